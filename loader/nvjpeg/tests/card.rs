//! The decoder on a card: NVIDIA's nvJPEG and driver, or stand-ins of both that `LD_LIBRARY_PATH` names. It tells for every kind of file which way it went
//! and how many values of its planes differ from libjpeg-turbo's.
//!
//! Skips, with a line, where there is no card; `REQUIRE_GPU=1` makes that a failure.
#![allow(unsafe_code)]

#[allow(dead_code)]
#[path = "decode/files.rs"]
mod files;
#[allow(dead_code)]
#[path = "decode/harness.rs"]
mod harness;

use std::collections::BTreeMap;
use std::ffi::{c_int, c_uint, c_void};
use std::io::Write;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use files::{SAMPLINGS, flat_blocks, jpeg, progressive};
use harness::{OPTIONS, Work};
use nvjpeg::{Allocator, Decoder, Error, Library, Memory, Planes, Route};

/// Past the test harness, which keeps what `eprintln` says to itself.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is there");
}

type Stream = *mut c_void;

/// As much of CUDA's driver as it takes: a context, a stream, memory.
struct Card {
    driver: libloading::Library,
    stream: Stream,
}

impl Card {
    /// A card with its context current, or why there is none.
    fn open() -> Result<Self, String> {
        // SAFETY: the driver does nothing when it is loaded; signatures are those of cuda.h.
        unsafe {
            let driver = libloading::Library::new("libcuda.so.1");
            let driver = driver.map_err(|_| "there is no libcuda.so.1".to_owned())?;
            let mut card = Self {
                driver,
                stream: ptr::null_mut(),
            };
            let initialised = card.function::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit")(0);
            if initialised != 0 {
                return Err(format!("cuInit answers {initialised}"));
            }
            let (mut device, mut context): (c_int, *mut c_void) = (0, ptr::null_mut());
            card.call(
                "cuDeviceGet",
                |f: unsafe extern "C" fn(*mut c_int, c_int) -> c_int| f(&raw mut device, 0),
            );
            card.call(
                "cuDevicePrimaryCtxRetain",
                |f: unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int| {
                    f(&raw mut context, device)
                },
            );
            card.call(
                "cuCtxSetCurrent",
                |f: unsafe extern "C" fn(*mut c_void) -> c_int| f(context),
            );
            let mut stream = ptr::null_mut();
            card.call(
                "cuStreamCreate",
                |f: unsafe extern "C" fn(*mut Stream, c_uint) -> c_int| f(&raw mut stream, 1),
            );
            card.stream = stream;
            Ok(card)
        }
    }

    unsafe fn function<T: Copy>(&self, name: &str) -> T {
        // SAFETY: the caller knows the signature.
        *unsafe { self.driver.get::<T>(name.as_bytes()) }.unwrap()
    }

    unsafe fn call<T: Copy>(&self, name: &str, call: impl FnOnce(T) -> c_int) {
        // SAFETY: the caller knows the signature.
        assert_eq!(call(unsafe { self.function(name) }), 0, "{name}");
    }

    /// Memory of the card that will hold `bytes`.
    fn upload(&self, bytes: &[u8]) -> u64 {
        let (mut address, from, stream) = (0, bytes.as_ptr(), self.stream);
        // SAFETY: signatures of cuda.h, memory of that size on both sides, which `decode` keeps until it has waited.
        unsafe {
            self.call(
                "cuMemAlloc_v2",
                |f: unsafe extern "C" fn(*mut u64, usize) -> c_int| {
                    f(&raw mut address, bytes.len().max(1))
                },
            );
            type Up = unsafe extern "C" fn(u64, *const u8, usize, Stream) -> c_int;
            if !bytes.is_empty() {
                self.call("cuMemcpyHtoDAsync_v2", |f: Up| {
                    f(address, from, bytes.len(), stream)
                });
            }
        }
        address
    }

    /// Fills `bytes` from memory of the card, when the stream comes to it.
    fn download(&self, address: u64, bytes: &mut [u8]) {
        let (to, stream) = (bytes.as_mut_ptr(), self.stream);
        type Down = unsafe extern "C" fn(*mut u8, u64, usize, Stream) -> c_int;
        if !bytes.is_empty() {
            // SAFETY: made by `upload` for as many bytes; `decode` waits before anybody looks.
            unsafe {
                self.call("cuMemcpyDtoHAsync_v2", |f: Down| {
                    f(to, address, bytes.len(), stream)
                })
            }
        }
    }

    fn free(&self, address: u64) {
        // SAFETY: made by `upload`, freed once, and not in use.
        unsafe {
            self.call("cuMemFree_v2", |f: unsafe extern "C" fn(u64) -> c_int| {
                f(address)
            })
        }
    }

    fn wait(&self) {
        // SAFETY: the stream lives.
        unsafe {
            self.call(
                "cuStreamSynchronize",
                |f: unsafe extern "C" fn(Stream) -> c_int| f(self.stream),
            )
        }
    }

    /// Decodes files on the card, and fetches their planes.
    fn decode(&self, decoder: &mut Decoder, works: &mut [Work]) -> Vec<Result<Route, Error>> {
        let upload = |work: &Work| Planes {
            address: [0, 1, 2].map(|component| self.upload(&work.planes[component])),
            ..work.planes()
        };
        let planes: Vec<Planes> = works.iter().map(upload).collect();
        let files = works.iter().map(|work| &work.jpeg[..]);
        let images: Vec<_> = files.zip(planes.iter().copied()).collect();
        // SAFETY: planes as large as the header says; files and planes are left alone until the stream was waited for.
        let answers = unsafe { decoder.decode(&images, self.stream) };
        for (work, planes) in works.iter_mut().zip(&planes) {
            for (component, bytes) in work.planes.iter_mut().enumerate() {
                self.download(planes.address[component], bytes);
            }
        }
        self.wait();
        for address in planes.iter().flat_map(|planes| planes.address) {
            self.free(address);
        }
        answers
    }
}

/// Takes what nvJPEG asks for of the driver, and tells of it.
struct DriversMemory {
    driver: libloading::Library,
    held: Mutex<[BTreeMap<usize, usize>; 2]>,
    num_taken: AtomicUsize,
}

impl DriversMemory {
    fn new() -> Arc<Self> {
        // SAFETY: the driver is loaded already.
        let driver = unsafe { libloading::Library::new("libcuda.so.1") }.unwrap();
        Arc::new(Self {
            driver,
            held: Mutex::default(),
            num_taken: AtomicUsize::new(0),
        })
    }

    /// MiB of the device, MiB pinned.
    fn mebibytes(&self) -> [usize; 2] {
        let held = self.held.lock().unwrap();
        [0, 1].map(|kind| held[kind].values().sum::<usize>() >> 20)
    }
}

impl Allocator for DriversMemory {
    fn take(&self, kind: Memory, num_bytes: usize) -> Option<NonNull<c_void>> {
        let mut address: *mut c_void = ptr::null_mut();
        // SAFETY: signatures of cuda.h; the context is current.
        let answer = unsafe {
            match kind {
                Memory::Device => {
                    type Take = unsafe extern "C" fn(*mut *mut c_void, usize) -> c_int;
                    self.driver.get::<Take>(b"cuMemAlloc_v2").unwrap()(&raw mut address, num_bytes)
                }
                Memory::Pinned => {
                    type Take = unsafe extern "C" fn(*mut *mut c_void, usize, c_uint) -> c_int;
                    self.driver.get::<Take>(b"cuMemHostAlloc").unwrap()(
                        &raw mut address,
                        num_bytes,
                        0,
                    )
                }
            }
        };
        assert_eq!(answer, 0, "{num_bytes} bytes");
        self.num_taken.fetch_add(1, Ordering::Relaxed);
        self.held.lock().unwrap()[kind as usize].insert(address.addr(), num_bytes);
        NonNull::new(address)
    }

    fn room(&self, _kind: Memory) -> usize {
        usize::MAX
    }

    fn give_back(&self, kind: Memory, memory: NonNull<c_void>, _stream: *mut c_void) {
        let held = self.held.lock().unwrap()[kind as usize].remove(&memory.addr().get());
        assert!(held.is_some(), "it was taken");
        let name: &[u8] = match kind {
            Memory::Device => b"cuMemFree_v2",
            Memory::Pinned => b"cuMemFreeHost",
        };
        type Give = unsafe extern "C" fn(*mut c_void) -> c_int;
        // SAFETY: signatures of cuda.h, whose addresses are as wide; the tests wait for the card before anything is given back.
        let answer = unsafe { self.driver.get::<Give>(name).unwrap()(memory.as_ptr()) };
        assert_eq!(answer, 0);
    }
}

/// Card, library and memory, or a line that says what is missing.
fn card() -> Option<(Card, Arc<Library>, Arc<DriversMemory>)> {
    let missing = match (Card::open(), Library::load()) {
        (Ok(card), Ok(library)) => {
            say(&format!("{library:?}"));
            return Some((card, library, DriversMemory::new()));
        }
        (Err(missing), _) => missing,
        (_, Err(missing)) => missing.to_string(),
    };
    assert!(
        std::env::var_os("REQUIRE_GPU").is_none(),
        "REQUIRE_GPU is set, and {missing}"
    );
    say(&format!("SKIPPED: {missing}"));
    None
}

/// Every kind of file, with its name.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (width, height) in [(500, 375), (33, 17), (640, 481)] {
        for subsamp in SAMPLINGS {
            let file = jpeg(width, height, subsamp, width);
            files.push((
                format!("{subsamp:?} {width} x {height}, progressive"),
                progressive(&file),
            ));
            files.push((format!("{subsamp:?} {width} x {height}"), file));
        }
        for (name, factors, one_scan) in [
            ("4:1:0", [(4, 2), (1, 1)], true),
            ("4:1:0 standing", [(2, 4), (1, 1)], true),
            ("4:4:0 by other factors", [(2, 2), (2, 1)], true),
            ("4:2:0, three scans", [(2, 2), (1, 1)], false),
        ] {
            let file = flat_blocks(width, height, factors, one_scan);
            files.push((format!("{name} {width} x {height}"), file));
        }
    }
    files
}

/// Values that differ: all, by one, by more; the most.
fn differences(made: &[u8], expected: &[u8]) -> (usize, usize, usize, u8) {
    assert_eq!(made.len(), expected.len());
    let levels: Vec<u8> = made
        .iter()
        .zip(expected)
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    let of = |is: fn(&&u8) -> bool| levels.iter().filter(is).count();
    let most = levels.iter().copied().max().unwrap_or(0);
    (
        levels.len(),
        of(|level| **level == 1),
        of(|level| **level > 1),
        most,
    )
}

/// Levels by which a pixel may be off where no value of a plane is off by more than one, which is what the inverse DCT may do.
const MOST_OF_A_PIXEL: u8 = 3;

#[test]
fn every_kind_of_file_has_the_planes_of_libjpeg_turbo_but_for_a_level() {
    let Some((card, library, memory)) = card() else {
        return;
    };
    let mut decoder = Decoder::new(&library, &(Arc::clone(&memory) as _), OPTIONS).unwrap();
    say(&format!(
        "{} engines of {} cores",
        decoder.num_engines(),
        decoder.cores_per_engine()
    ));
    let (names, mut works): (Vec<_>, Vec<_>) = files()
        .into_iter()
        .map(|(name, file)| (name, Work::new(file)))
        .unzip();
    let mut wrong = Vec::new();
    for round in 0..2 {
        let answers = card.decode(&mut decoder, &mut works);
        for ((name, work), answer) in names.iter().zip(&works).zip(answers) {
            let route = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
            let (num, by_one, by_more, most) = differences(&work.rgb(), &work.expected());
            if round == 0 {
                say(&format!(
                    "{name}: {route:?}, of {num} values {by_one} differ by 1, {by_more} by more, {most} at most"
                ));
            }
            let planes = work.all_planes();
            let expected = work.expected_planes().unwrap_or_else(|| planes.clone());
            let of_planes = planes
                .iter()
                .zip(&expected)
                .map(|(a, b)| differences(a, b).3);
            let of_planes = of_planes.max().unwrap();
            if most > MOST_OF_A_PIXEL || of_planes > 1 {
                wrong.push(format!("{name} by {most}, in planes by {of_planes}"));
            }
        }
        let (num, [device, pinned]) =
            (memory.num_taken.load(Ordering::Relaxed), memory.mebibytes());
        say(&format!(
            "nvJPEG took memory {num} times by now, and holds {device} MiB of the device, {pinned} MiB pinned"
        ));
    }
    assert_eq!(decoder.take_engine_failure(), None);
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn after_garbage_what_is_valid_is_decoded_on_the_card() {
    let Some((card, library, memory)) = card() else {
        return;
    };
    let mut decoder = Decoder::new(&library, &(Arc::clone(&memory) as _), OPTIONS).unwrap();
    let whole = jpeg(300, 200, turbojpeg::Subsamp::Sub2x2, 1);
    let middle = whole.len() / 2;
    let mut flipped = whole.clone();
    flipped[middle] ^= 0x55;
    let lost = [&whole[..middle], &whole[middle + 400..]].concat();
    for damaged in [flipped, lost, [&whole[..middle], b"\xff\xd9"].concat()] {
        for file in [
            damaged.clone(),
            progressive(&whole)[..whole.len() / 3].to_vec(),
        ] {
            let mut works = [Work::new(file), Work::new(whole.clone())];
            let answers = card.decode(&mut decoder, &mut works);
            say(&format!(
                "damaged: {:?}, its neighbour: {:?}",
                answers[0], answers[1]
            ));
            let mut works = [Work::new(whole.clone()), Work::new(progressive(&whole))];
            for (answer, work) in card
                .decode(&mut decoder, &mut works)
                .into_iter()
                .zip(&works)
            {
                answer.unwrap();
                let (.., most) = differences(&work.rgb(), &work.expected());
                assert!(most <= MOST_OF_A_PIXEL, "off by {most}");
            }
        }
    }
}
