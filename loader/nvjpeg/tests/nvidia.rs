//! Headers, as NVIDIA's own library reads them: the wheel `nvidia-nvjpeg`, without driver and card.
//!
//! A handle cannot be had without a driver, but the functions that read headers look only whether there is one: they are given a block of zeros. That is
//! so for nvJPEG 13.0 and 13.3. Skips, with a line, where the wheel is not there.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;

use nvjpeg::{Decoder, Library, Picture, Refusal};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// `NVJPEG_CSS_UNKNOWN`, `NVJPEG_OUTPUT_YUV`, `NVJPEG_BACKEND_HYBRID`.
const UNKNOWN_SAMPLING: c_int = -1;
const YUV: c_int = 1;
const HYBRID: c_int = 1;

/// Past the test harness, which keeps what `eprintln` says to itself.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is there");
}

/// The library of the wheel beside `SSLIGHT_PYTHON`, or the one that a program would find.
fn path() -> Option<PathBuf> {
    let python = std::env::var_os("SSLIGHT_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python"),
        PathBuf::from,
    );
    let script = "import glob, sysconfig; print(*glob.glob(sysconfig.get_path('purelib') + '/nvidia/*/lib/libnvjpeg.so.13'))";
    let output = Command::new(python).args(["-c", script]).output().ok();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match text.filter(|text| !text.is_empty()) {
        Some(path) => Some(path.into()),
        None => Library::load()
            .ok()
            .map(|library| library.path().to_owned()),
    }
}

type Handle = *mut c_void;

/// What NVIDIA's library says of a header.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    num_components: c_int,
    sampling: c_int,
    widths: [c_int; 4],
    heights: [c_int; 4],
    is_for_hybrid: bool,
}

struct Nvidia {
    library: libloading::Library,
    zeros: Box<[u64; 8192]>,
    backend: Handle,
    params: Handle,
    jpeg: Handle,
}

impl Nvidia {
    fn load() -> Option<Self> {
        let path = path();
        let Some(path) = path else {
            say(
                "SKIPPED: there is no nvJPEG beside SSLIGHT_PYTHON; scripts/setup --tests installs it",
            );
            return None;
        };
        let ours = Library::open(&path).expect("every function that we call is there");
        say(&format!(
            "{ours:?}, built with CUDA {}",
            ours.cuda_version()
        ));
        // SAFETY: NVIDIA's library does nothing when it is loaded.
        let library = unsafe { libloading::Library::new(&path) }.unwrap();
        let mut nvidia = Self {
            library,
            zeros: Box::new([0; 8192]),
            backend: ptr::null_mut(),
            params: ptr::null_mut(),
            jpeg: ptr::null_mut(),
        };
        let handle = nvidia.handle();
        // SAFETY: signatures of NVIDIA's header; see above about the handle.
        unsafe {
            let create = nvidia
                .function::<unsafe extern "C" fn(Handle, c_int, *mut Handle) -> c_int>(
                    "nvjpegDecoderCreate",
                );
            assert_eq!(create(handle, HYBRID, &raw mut nvidia.backend), 0);
            let create = nvidia.function::<unsafe extern "C" fn(Handle, *mut Handle) -> c_int>(
                "nvjpegDecodeParamsCreate",
            );
            assert_eq!(create(handle, &raw mut nvidia.params), 0);
            let create = nvidia.function::<unsafe extern "C" fn(Handle, *mut Handle) -> c_int>(
                "nvjpegJpegStreamCreate",
            );
            assert_eq!(create(handle, &raw mut nvidia.jpeg), 0);
            let set = nvidia.function::<unsafe extern "C" fn(Handle, c_int) -> c_int>(
                "nvjpegDecodeParamsSetOutputFormat",
            );
            assert_eq!(set(nvidia.params, YUV), 0);
        }
        Some(nvidia)
    }

    fn handle(&self) -> Handle {
        self.zeros.as_ptr().cast_mut().cast()
    }

    unsafe fn function<T: Copy>(&self, name: &str) -> T {
        // SAFETY: the caller knows the signature.
        *unsafe { self.library.get::<T>(name.as_bytes()) }.unwrap()
    }

    /// `None` where the header cannot be read at all.
    fn look(&self, file: &[u8]) -> Option<Said> {
        let mut said = Said::default();
        let (bytes, len) = (file.as_ptr(), file.len());
        let mut code: c_int = 1;
        // SAFETY: signatures of NVIDIA's header, arrays of four; the bytes are there for the calls.
        unsafe {
            let info = self.function::<unsafe extern "C" fn(
                Handle,
                *const u8,
                usize,
                *mut c_int,
                *mut c_int,
                *mut c_int,
                *mut c_int,
            ) -> c_int>("nvjpegGetImageInfo");
            let (widths, heights) = (said.widths.as_mut_ptr(), said.heights.as_mut_ptr());
            if info(
                self.handle(),
                bytes,
                len,
                &raw mut said.num_components,
                &raw mut said.sampling,
                widths,
                heights,
            ) != 0
            {
                return None;
            }
            let parse = self.function::<unsafe extern "C" fn(
                Handle,
                *const u8,
                usize,
                c_int,
                c_int,
                Handle,
            ) -> c_int>("nvjpegJpegStreamParse");
            if parse(self.handle(), bytes, len, 0, 0, self.jpeg) == 0 {
                let supports = self.function::<unsafe extern "C" fn(
                    Handle,
                    Handle,
                    Handle,
                    *mut c_int,
                ) -> c_int>("nvjpegDecoderJpegSupported");
                supports(self.backend, self.jpeg, self.params, &raw mut code);
            }
        }
        said.is_for_hybrid = code == 0;
        Some(said)
    }
}

impl Said {
    fn plane(&self, component: usize) -> (u32, u32) {
        (
            self.widths[component] as u32,
            self.heights[component] as u32,
        )
    }

    fn has_the_planes_of(&self, picture: &Picture) -> bool {
        let num = usize::from(picture.num_components);
        self.num_components as usize == num && (0..num).all(|c| self.plane(c) == picture.plane(c))
    }
}

/// A JPEG that is nothing but headers: one scan, or as many as it takes.
fn headers(
    frame: u8,
    bits: u8,
    (width, height): (u16, u16),
    factors: &[(u8, u8)],
    num_in_scan: u8,
) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8];
    let mut body = vec![bits];
    body.extend(height.to_be_bytes());
    body.extend(width.to_be_bytes());
    body.push(factors.len() as u8);
    (1..)
        .zip(factors)
        .for_each(|(id, (h, v))| body.extend([id, h << 4 | v, 0]));
    push(&mut file, frame, &body);
    for first in (0..factors.len() as u8).step_by(num_in_scan.into()) {
        let mut scan = vec![num_in_scan];
        (0..num_in_scan).for_each(|nth| scan.extend([first + nth + 1, 0]));
        push(&mut file, 0xda, &[&scan[..], &[0, 63, 0]].concat());
        file.extend([0; 8]);
    }
    file.extend([0xff, 0xd9]);
    file
}

fn push(file: &mut Vec<u8>, marker: u8, body: &[u8]) {
    file.extend([0xff, marker]);
    file.extend((body.len() as u16 + 2).to_be_bytes());
    file.extend(body);
}

/// Ours and NVIDIA's view of a file: a picture of ours is one of theirs, of the same planes, and what they decode we refuse only on purpose.
fn compare(nvidia: &Nvidia, file: &[u8]) -> Result<(), String> {
    let said = nvidia.look(file);
    match (Decoder::picture(file), said) {
        (Ok(picture), Some(said)) if !said.is_for_hybrid || !said.has_the_planes_of(&picture) => {
            Err(format!("we say {picture:?}, they {said:?}"))
        }
        (Ok(picture), None) => Err(format!("we say {picture:?}, they cannot read it")),
        (Err(Refusal::Coding(_) | Refusal::Bits(_) | Refusal::Components(_)), Some(said))
            if said.is_for_hybrid =>
        {
            Err(format!("they take what we refuse: {said:?}"))
        }
        (Err(Refusal::Sampling), Some(said))
            if said.is_for_hybrid && said.sampling != UNKNOWN_SAMPLING =>
        {
            Err(format!("they know a sampling that we refuse: {said:?}"))
        }
        _ => Ok(()),
    }
}

#[test]
fn every_frame_and_sampling_is_taken_as_nvidias_parser_takes_it() {
    let Some(nvidia) = Nvidia::load() else { return };
    let factors = || (1..=4u8).flat_map(|h| (1..=4u8).map(move |v| (h, v)));
    let mut num_taken = 0;
    let mut check = |file: Vec<u8>, what: &str| {
        compare(&nvidia, &file).unwrap_or_else(|problem| panic!("{what}: {problem}"));
        num_taken += u32::from(Decoder::picture(&file).is_ok());
    };
    for luma in factors() {
        check(headers(0xc0, 8, (75, 53), &[luma], 1), "grey");
        for chroma in factors() {
            for size in [(75, 53), (1, 1), (65535, 2)] {
                let what = format!("{luma:?} {chroma:?} {size:?}");
                check(headers(0xc0, 8, size, &[luma, chroma, chroma], 3), &what);
                check(headers(0xc0, 8, size, &[luma, chroma, chroma], 1), &what);
            }
        }
        check(
            headers(0xc0, 8, (75, 53), &[luma, (1, 1), (2, 1)], 3),
            "two chroma samplings",
        );
    }
    for frame in (0xc0..=0xcf).filter(|frame| ![0xc4, 0xc8, 0xcc].contains(frame)) {
        for bits in [7, 8, 12, 16] {
            for num in 1..=4 {
                let file = headers(frame, bits, (75, 53), &vec![(1, 1); num.into()], num);
                check(
                    file,
                    &format!("frame {frame:x}, {bits} bits, {num} components"),
                );
            }
        }
    }
    assert!(num_taken > 50, "{num_taken} files are taken");
}

#[test]
fn files_of_libjpeg_turbo_and_mutated_headers_have_the_planes_that_nvidias_parser_gives() {
    let Some(nvidia) = Nvidia::load() else { return };
    let file = |subsamp: turbojpeg::Subsamp| {
        let pixels = vec![99u8; 45 * 37 * 3];
        let format = turbojpeg::PixelFormat::RGB;
        let image = turbojpeg::Image {
            pixels: &pixels[..],
            width: 45,
            pitch: 45 * 3,
            height: 37,
            format,
        };
        turbojpeg::compress(image, 90, subsamp).unwrap().to_vec()
    };
    use turbojpeg::Subsamp::{Gray, None as Whole, Sub1x2, Sub2x1, Sub2x2, Sub4x1};
    let files = [Whole, Sub2x1, Sub2x2, Sub1x2, Sub4x1, Gray].map(file);
    for file in &files {
        assert!(Decoder::picture(file).is_ok());
        compare(&nvidia, file).unwrap();
    }
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let mut runner = TestRunner::new(Config {
        cases: 4000,
        failure_persistence: None,
        ..Config::default()
    });
    let strategy = (prop::sample::select(files.to_vec()), changes);
    runner
        .run(&strategy, |(mut file, changes)| {
            let header = file
                .windows(2)
                .position(|pair| pair == [0xff, 0xda])
                .unwrap();
            for (at, value) in changes {
                file[at.index(header)] = value;
            }
            // What both can read they read alike; which damage is too much they may see differently, and say so.
            if let (Ok(picture), Some(said)) = (Decoder::picture(&file), nvidia.look(&file)) {
                prop_assert!(
                    !said.is_for_hybrid || said.has_the_planes_of(&picture),
                    "we say {:?}, they {:?}",
                    picture,
                    said
                );
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn real_images_have_the_planes_that_nvidias_parser_gives() {
    let Some(folder) = std::env::var_os("SSLIGHT_DATA") else {
        return say("SSLIGHT_DATA is not set: the files of libjpeg-turbo have to do");
    };
    let Some(nvidia) = Nvidia::load() else { return };
    let mut open = vec![PathBuf::from(folder)];
    let mut num = 0;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else if num < 2000 {
            let file = std::fs::read(&path).unwrap();
            compare(&nvidia, &file)
                .unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
            num += 1;
        }
    }
    say(&format!("{num} images of SSLIGHT_DATA"));
}
