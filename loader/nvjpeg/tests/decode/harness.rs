//! The stand-in, device memory that is the host's, and what the pixels should be.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_void};
use std::path::PathBuf;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host_kernels::Launch;
use image_decode::{DEFAULT_PIXEL_LIMIT, RgbImage};
use nvjpeg::{
    Allocator, Decoder, EngineStreams, Error, Failure, Library, Memory, Options, Picture, Planes,
    Route,
};

/// What most tests ask for.
pub(crate) const OPTIONS: Options = Options {
    num_in_flight: 1,
    use_engines: true,
};

/// The stand-in, for one test at a time: its faults, counts and held work are those of the process.
pub(crate) struct Standin {
    pub(crate) library: Arc<Library>,
    pub(crate) memory: Arc<HostMemory>,
    controls: libloading::Library,
    /// Handles that an earlier test was not allowed to give back.
    num_lost: usize,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Standin {
    pub(crate) fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let path = standin_path();
        // SAFETY: the stand-in does nothing when it is loaded.
        let controls = unsafe { libloading::Library::new(&path) }.unwrap();
        let mut standin = Self {
            num_lost: 0,
            library: Library::open(&path).unwrap(),
            memory: Arc::default(),
            controls,
            _alone: alone,
        };
        standin.release();
        standin.fail("");
        standin.num_lost = standin.num_live_handles();
        standin
    }

    pub(crate) fn decoder(&self, options: Options) -> Result<Decoder, Failure> {
        let memory: Arc<dyn Allocator> = Arc::clone(&self.memory) as _;
        Decoder::new(&self.library, &memory, options)
    }

    /// Makes a call fail (`name:n[:status]`), and counts calls anew.
    pub(crate) fn fail(&self, plan: &str) {
        let plan = CString::new(plan).unwrap();
        // SAFETY: the stand-in's signature.
        unsafe {
            self.control::<unsafe extern "C" fn(*const c_char)>("nvjpeg_standin_fail")(
                plan.as_ptr(),
            );
        }
    }

    pub(crate) fn num_calls(&self, name: &str) -> u64 {
        let name = CString::new(name).unwrap();
        // SAFETY: likewise.
        unsafe {
            self.control::<unsafe extern "C" fn(*const c_char) -> u64>("nvjpeg_standin_num_calls")(
                name.as_ptr(),
            )
        }
    }

    pub(crate) fn num_live_handles(&self) -> usize {
        // SAFETY: likewise.
        let num =
            unsafe { self.control::<extern "C" fn() -> usize>("nvjpeg_standin_live_handles")() };
        num - self.num_lost
    }

    /// Holds the streams' work back.
    pub(crate) fn hold(&self) {
        // SAFETY: likewise.
        unsafe { self.control::<extern "C" fn()>("nvjpeg_standin_hold")() }
    }

    /// Lets the streams do their work, the last stream first.
    pub(crate) fn release(&self) {
        // SAFETY: likewise.
        unsafe { self.control::<extern "C" fn()>("nvjpeg_standin_release")() }
    }

    unsafe fn control<T: Copy>(&self, name: &str) -> T {
        // SAFETY: the caller knows the signature.
        *unsafe { self.controls.get::<T>(name.as_bytes()) }.unwrap()
    }
}

/// Memory of the host, which the stand-in takes for the device's, too.
#[derive(Default)]
pub(crate) struct HostMemory {
    held: Mutex<BTreeMap<usize, Piece>>,
    num_taken: AtomicUsize,
    /// The number of the taking that is refused, and most bytes; 0 for none and for no bound.
    refused: AtomicUsize,
    most_bytes: AtomicUsize,
}

type Piece = (Memory, Box<[u8]>);

impl HostMemory {
    /// How often memory was taken.
    pub(crate) fn num_taken(&self) -> usize {
        self.num_taken.load(Ordering::Relaxed)
    }

    /// Refuses to be taken once: the `nth` time from now.
    pub(crate) fn refuse(&self, nth: usize) {
        let at = self.num_taken() + nth;
        self.refused.store(at, Ordering::Relaxed);
    }

    /// Has no more than so many bytes of each kind.
    pub(crate) fn bound(&self, num_bytes: usize) {
        self.most_bytes.store(num_bytes, Ordering::Relaxed);
    }

    pub(crate) fn num_bytes(&self, kind: Memory) -> usize {
        let held = self.held.lock().unwrap();
        let of_kind = held.values().filter(|(other, _)| *other == kind);
        of_kind.map(|(_, bytes)| bytes.len()).sum()
    }

    pub(crate) fn num_bytes_in_all(&self) -> usize {
        self.num_bytes(Memory::Device) + self.num_bytes(Memory::Pinned)
    }
}

impl Allocator for HostMemory {
    fn take(&self, kind: Memory, num_bytes: usize) -> Option<NonNull<c_void>> {
        let nth = self.num_taken.fetch_add(1, Ordering::Relaxed) + 1;
        let most = self.most_bytes.load(Ordering::Relaxed);
        let is_too_much = most > 0 && self.num_bytes(kind) + num_bytes > most;
        if is_too_much || nth == self.refused.load(Ordering::Relaxed) {
            return None;
        }
        let mut bytes = vec![0; num_bytes].into_boxed_slice();
        let address = NonNull::new(bytes.as_mut_ptr().cast());
        let mut held = self.held.lock().unwrap();
        held.insert(bytes.as_ptr().addr(), (kind, bytes));
        address
    }

    fn room(&self, _kind: Memory) -> usize {
        match self.most_bytes.load(Ordering::Relaxed) {
            0 => usize::MAX,
            most => most,
        }
    }

    fn give_back(&self, kind: Memory, memory: NonNull<c_void>, _stream: *mut c_void) {
        let held = self.held.lock().unwrap().remove(&memory.addr().get());
        assert_eq!(held.map(|(kind, _)| kind), Some(kind), "it was taken");
    }
}

/// Cargo builds the stand-in beside the tests that depend on it.
pub(crate) fn standin_path() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.with_file_name("libnvjpeg_standin.so")
}

/// A file and memory for its planes, which the kernels and the stand-in take for the device's.
pub(crate) struct Work {
    pub(crate) jpeg: Vec<u8>,
    pub(crate) picture: Option<Picture>,
    pub(crate) planes: [Vec<u8>; 3],
}

/// Rows are farther apart than they need be.
const PADDING: u32 = 5;

/// What the planes hold before.
const UNTOUCHED: u8 = 0xa5;

impl Work {
    pub(crate) fn new(jpeg: Vec<u8>) -> Self {
        let picture = Decoder::picture(&jpeg).ok();
        let plane = |component: usize| {
            let picture = picture.filter(|picture| component < picture.num_components.into());
            let size = picture.map(|picture| picture.plane(component));
            let num = size.map_or(0, |(width, height)| (width + PADDING) * height);
            vec![UNTOUCHED; num as usize]
        };
        Self {
            planes: [0, 1, 2].map(plane),
            jpeg,
            picture,
        }
    }

    pub(crate) fn planes(&self) -> Planes {
        let pitch = |component: usize| {
            let size = self.picture.map(|picture| picture.plane(component));
            size.map_or(0, |(width, _)| width + PADDING)
        };
        Planes {
            address: [0, 1, 2].map(|component| self.planes[component].as_ptr().addr() as u64),
            pitch: [0, 1, 2].map(pitch),
        }
    }

    /// A component's plane without the padding, which must be untouched.
    pub(crate) fn plane(&self, component: usize) -> Vec<u8> {
        let (width, _) = self.picture.unwrap().plane(component);
        let rows = self.planes[component].chunks_exact((width + PADDING) as usize);
        rows.flat_map(|row| {
            let (used, padding) = row.split_at(width as usize);
            assert!(
                padding.iter().all(|byte| *byte == UNTOUCHED),
                "written beside the plane"
            );
            used.to_vec()
        })
        .collect()
    }

    /// Pixels that the loader's kernel makes of the planes.
    pub(crate) fn rgb(&self) -> Vec<u8> {
        let picture = self.picture.unwrap();
        let (planes, is_grey) = (self.planes(), picture.num_components == 1);
        let mut out = vec![0; (picture.width * picture.height * 3) as usize];
        let descriptor = Descriptor {
            luma: planes.address[0],
            blue: if is_grey { 0 } else { planes.address[1] },
            red: planes.address[2],
            out: out.as_mut_ptr().addr() as u64,
            luma_stride: planes.pitch[0],
            chroma_stride: planes.pitch[1],
            width: picture.width,
            height: picture.height,
            across: picture.across,
            down: picture.down,
        };
        let launch = Launch {
            kernel: "rgb_of_planes",
            num_blocks: (picture.width * picture.height).div_ceil(128),
            num_threads: 128,
            num_views: 1,
            backward: false,
        };
        // SAFETY: one descriptor, whose planes and pixels are as large as it says.
        unsafe { host_kernels::run(launch, (&raw const descriptor).cast(), ptr::null_mut()) };
        out
    }

    /// The pixels of the CPU's decoder.
    pub(crate) fn expected(&self) -> Vec<u8> {
        let mut image = RgbImage::new();
        let mut decoder = image_decode::Decoder::new(DEFAULT_PIXEL_LIMIT);
        decoder.decode(&self.jpeg, &mut image).unwrap();
        image.into_pixels()
    }

    /// All planes, one after the other, without the padding, which must be untouched.
    pub(crate) fn all_planes(&self) -> Vec<Vec<u8>> {
        let num = self.picture.unwrap().num_components;
        (0..num.into())
            .map(|component| self.plane(component))
            .collect()
    }

    /// What TurboJPEG gives, without the padding to whole chroma values; `None` where it does not know the sampling.
    pub(crate) fn expected_planes(&self) -> Option<Vec<Vec<u8>>> {
        let yuv = turbojpeg::decompress_to_yuv(&self.jpeg).ok()?;
        let picture = self.picture.unwrap();
        let mut start = 0;
        let plane = |component: usize| {
            let (width, height) = picture.plane(component);
            let shared = if component == 0 {
                (picture.across, picture.down)
            } else {
                (1, 1)
            };
            let pitch = width
                .next_multiple_of(shared.0)
                .next_multiple_of(yuv.align as u32) as usize;
            let rows = yuv.pixels[start..].chunks(pitch).take(height as usize);
            start += pitch * height.next_multiple_of(shared.1) as usize;
            rows.flat_map(|row| row[..width as usize].to_vec())
                .collect()
        };
        Some((0..picture.num_components.into()).map(plane).collect())
    }

    pub(crate) fn assert_decoded(&self, what: &str) {
        let (made, expected) = (self.rgb(), self.expected());
        assert_eq!(made.len(), expected.len(), "{what}");
        let differing = made.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert_eq!(differing, 0, "bytes of {what}, {:?}", self.picture);
    }
}

/// `struct Planes` of `loader/src/decode/planes.cu`.
#[repr(C)]
struct Descriptor {
    luma: u64,
    blue: u64,
    red: u64,
    out: u64,
    luma_stride: u32,
    chroma_stride: u32,
    width: u32,
    height: u32,
    across: u32,
    down: u32,
}

/// A stream: any address does.
pub(crate) fn stream(number: usize) -> *mut std::ffi::c_void {
    ptr::without_provenance_mut(number * 8)
}

/// Decodes files into memory of theirs.
pub(crate) fn decode(decoder: &mut Decoder, works: &[Work]) -> Vec<Result<Route, Error>> {
    decode_on(decoder, works, 1)
}

pub(crate) fn decode_on(
    decoder: &mut Decoder,
    works: &[Work],
    number: usize,
) -> Vec<Result<Route, Error>> {
    let images: Vec<_> = works
        .iter()
        .map(|work| (&work.jpeg[..], work.planes()))
        .collect();
    // SAFETY: planes of the header's size; tests that hold work back keep the files and planes, or do not on purpose (memory stays theirs).
    unsafe { decoder.decode(&images, stream(number)) }
}

/// Streams for the engines, whose work the stand-in does at once.
struct OwnStreams {
    streams: Vec<*mut c_void>,
    num_joined: Option<usize>,
}

impl EngineStreams for OwnStreams {
    fn streams(&self) -> Vec<*mut c_void> {
        self.streams.clone()
    }

    fn wait(&mut self, _nth: usize) -> bool {
        true
    }

    fn join(&mut self, num_images: usize) {
        self.num_joined = Some(num_images);
    }
}

/// As [`decode`], the engines' work on so many streams of its own.
pub(crate) fn decode_in_parts(
    decoder: &mut Decoder,
    works: &[Work],
    num_streams: usize,
) -> Vec<Result<Route, Error>> {
    let images: Vec<_> = works
        .iter()
        .map(|work| (&work.jpeg[..], work.planes()))
        .collect();
    let mut engines = OwnStreams {
        streams: (2..num_streams + 2).map(stream).collect(),
        num_joined: None,
    };
    // SAFETY: as above.
    let answers = unsafe { decoder.decode_on(&images, stream(1), &mut engines) };
    let by_engines = answers.iter().filter(|it| **it == Ok(Route::Hardware));
    assert_eq!(engines.num_joined, Some(by_engines.count()));
    answers
}

/// As [`decode`], by the hybrid back end alone.
pub(crate) fn decode_hybrid(decoder: &mut Decoder, works: &[Work]) -> Vec<Result<Route, Error>> {
    let images: Vec<_> = works
        .iter()
        .map(|work| (&work.jpeg[..], work.planes()))
        .collect();
    // SAFETY: as above.
    unsafe { decoder.decode_hybrid(&images, stream(1)) }
}
