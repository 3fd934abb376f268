//! The kernels, compiled by NVRTC for the architectures of the cards: no driver and no card is needed, only the wheel `nvidia-cuda-nvrtc`.
//!
//! Tells registers and spills of every kernel. It skips, with a line, where the wheel is not there.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use loader::augment::cuda::{KERNELS, OPTIONS, SOURCE};
use loader::decode;

const ARCHITECTURES: [&str; 3] = ["sm_80", "sm_90", "sm_100"];

#[test]
fn the_kernels_compile_for_every_architecture_without_spilling_a_register() {
    let Some(nvrtc) = Nvrtc::load() else {
        say("SKIPPED: there is no NVRTC beside SSLIGHT_PYTHON; scripts/setup --tests installs it");
        return;
    };
    for (source, num_kernels) in [(SOURCE, KERNELS.len()), (decode::SOURCE, 1)] {
        for architecture in ARCHITECTURES {
            let log = nvrtc.compile(source, architecture);
            say(&format!("{architecture}: {}", told(&log)));
            let entries = log.matches("Compiling entry function");
            assert_eq!(entries.count(), num_kernels, "{log}");
            let unspilled =
                log.matches("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads");
            assert_eq!(unspilled.count(), num_kernels, "{log}");
        }
    }
}

#[test]
fn what_is_wrong_in_a_kernel_is_told_with_its_line() {
    let Some(nvrtc) = Nvrtc::load() else {
        return say("SKIPPED: there is no NVRTC beside SSLIGHT_PYTHON");
    };
    let source = format!("{SOURCE}\nextern \"C\" __global__ void broken() {{ nothing(); }}\n");
    let line = format!("views.cu({})", source.lines().count());
    let log = nvrtc.try_compile(&source, ARCHITECTURES[0]).unwrap_err();
    assert!(
        log.contains(&line) && log.contains("nothing"),
        "{line}: {log}"
    );
}

/// Registers by kernel.
fn told(log: &str) -> String {
    let entry = |part: &str| {
        let name = part.split('\'').nth(1)?;
        let registers = part.split("Used ").nth(1)?.split(' ').next()?;
        Some(format!("{name} {registers}"))
    };
    let parts = log.split("Compiling entry function").skip(1);
    let entries: Vec<String> = parts.filter_map(entry).collect();
    format!("registers, none spilled: {}", entries.join(", "))
}

/// Past the test harness, which keeps what `eprintln` says to itself.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is there");
}

/// The libraries of the wheel: NVRTC, and its builtins, which it opens by name.
fn libraries() -> Vec<PathBuf> {
    let python = std::env::var_os("SSLIGHT_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python"),
        PathBuf::from,
    );
    let script = "import glob, sysconfig; print('\\n'.join(sorted(glob.glob(sysconfig.get_path('purelib') + '/nvidia/*/lib/libnvrtc*.so.*'))))";
    let Ok(output) = Command::new(python).args(["-c", script]).output() else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.lines().filter(|path| !path.contains(".alt."));
    paths.map(PathBuf::from).collect()
}

type Program = *mut c_void;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Bytes = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;

struct Nvrtc {
    library: Library,
    _builtins: Library,
}

impl Nvrtc {
    fn load() -> Option<Nvrtc> {
        let paths = libraries();
        let open = |path: &PathBuf| {
            // SAFETY: NVIDIA's libraries do nothing when they are loaded.
            unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }
                .expect("the wheel is whole")
        };
        let of = |is_builtins: bool| {
            paths
                .iter()
                .find(|path| path.to_string_lossy().contains("builtins") == is_builtins)
        };
        Some(Nvrtc {
            _builtins: open(of(true)?),
            library: open(of(false)?),
        })
    }

    fn compile(&self, source: &str, architecture: &str) -> String {
        let compiled = self.try_compile(source, architecture);
        compiled.unwrap_or_else(|log| panic!("{architecture}: {log}"))
    }

    /// Compiles to machine code; gives the log.
    fn try_compile(&self, source: &str, architecture: &str) -> Result<String, String> {
        let text = |text: &str| CString::new(text).expect("no zero inside");
        let (source, name) = (text(source), text("views.cu"));
        let mut options: Vec<CString> = OPTIONS.map(text).to_vec();
        options.push(text(&format!("-arch={architecture}")));
        options.push(text("--ptxas-options=-v"));
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let mut program = ptr::null_mut();
        // SAFETY: signatures as in NVRTC's documentation; all texts end with a zero and outlive the calls, and the program is destroyed once.
        unsafe {
            let create = self
                .library
                .get::<Create>(b"nvrtcCreateProgram")
                .expect("NVRTC");
            let compile = self
                .library
                .get::<Compile>(b"nvrtcCompileProgram")
                .expect("NVRTC");
            let destroy = self
                .library
                .get::<Destroy>(b"nvrtcDestroyProgram")
                .expect("NVRTC");
            let (none, nowhere) = (0, ptr::null());
            let created = create(
                &mut program,
                source.as_ptr(),
                name.as_ptr(),
                none,
                nowhere,
                nowhere,
            );
            assert_eq!(created, 0, "nvrtcCreateProgram");
            let compiled = compile(program, options.len() as c_int, options.as_ptr());
            let log = self.bytes(program, "ProgramLog");
            let code = if compiled == 0 {
                self.bytes(program, "CUBIN")
            } else {
                Vec::new()
            };
            destroy(&mut program);
            let log = String::from_utf8_lossy(&log).into_owned();
            if code.starts_with(b"\x7fELF") {
                Ok(log)
            } else {
                Err(log)
            }
        }
    }

    /// What `nvrtcGet<what>` gives.
    unsafe fn bytes(&self, program: Program, what: &str) -> Vec<u8> {
        let mut len = 0;
        // SAFETY: the caller's program lives; the second function writes as many bytes as the first one says.
        unsafe {
            let size = self
                .library
                .get::<Size>(format!("nvrtcGet{what}Size").as_bytes())
                .expect("NVRTC");
            let bytes = self
                .library
                .get::<Bytes>(format!("nvrtcGet{what}").as_bytes())
                .expect("NVRTC");
            size(program, &mut len);
            let mut out = vec![0u8; len];
            bytes(program, out.as_mut_ptr().cast());
            out
        }
    }
}
