//! Kernels to machine code by NVRTC, which is loaded at run time.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs;
use std::path::PathBuf;

use cudarc::nvrtc::{result, sys};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use nvjpeg::library_folders;

/// The name of the library that goes with CUDA 13.
const NVRTC: &str = "libnvrtc.so.13";

/// Makes NVRTC loadable, be it known to the system or lie in one of the folders in which nvJPEG is sought, too.
///
/// # Errors
/// The folders in which it was sought in vain.
pub(super) fn find_nvrtc() -> Result<(), Vec<PathBuf>> {
    // SAFETY: NVIDIA's libraries do nothing when they are loaded.
    if unsafe { sys::is_culib_present() } {
        return Ok(());
    }
    let folders = library_folders();
    let Some(folder) = folders.iter().find(|folder| folder.join(NVRTC).is_file()) else {
        return Err(folders);
    };
    // It opens its builtins by their name, and it is opened by its own: both are found once they are loaded.
    let builtins = |path: &PathBuf| path.to_string_lossy().contains("libnvrtc-builtins.so");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let builtins = entries.map(|entry| entry.path()).filter(builtins);
    for path in builtins.chain([folder.join(NVRTC)]) {
        // SAFETY: as above.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) };
        // It is never unloaded. What cannot be loaded is told by whoever needs it.
        library.map(std::mem::forget).ok();
    }
    // SAFETY: as above.
    match unsafe { sys::is_culib_present() } {
        true => Ok(()),
        false => Err(folders),
    }
}

struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by `create_program` and destroyed once. There is nobody to tell that it failed.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

/// Compiles `source` for an architecture such as `sm_90`. NVRTC must have been found.
///
/// # Errors
/// What NVRTC says.
pub(super) fn machine_code(
    source: &str,
    architecture: &str,
    options: &[&str],
) -> Result<Vec<u8>, String> {
    let told = |error: result::NvrtcError| format!("{:?}", error.0);
    let source = CString::new(source).expect("the kernels hold no zero");
    let program = Program(result::create_program(&source, None).map_err(told)?);
    let mut options = options.to_vec();
    let architecture = format!("-arch={architecture}");
    options.push(&architecture);
    // SAFETY: the program lives.
    unsafe { result::compile_program(program.0, &options) }
        .map_err(|error| format!("{}: {}", told(error), log(&program)))?;
    let mut num_bytes = 0;
    // SAFETY: the program lives, and its code is as large as NVRTC says.
    unsafe {
        let sized = sys::nvrtcGetCUBINSize(program.0, &raw mut num_bytes);
        sized.result().map_err(told)?;
        let mut code = vec![0; num_bytes];
        let got = sys::nvrtcGetCUBIN(program.0, code.as_mut_ptr().cast());
        got.result().map_err(told)?;
        Ok(code)
    }
}

fn log(program: &Program) -> String {
    // SAFETY: the program lives.
    let Ok(mut log) = (unsafe { result::get_program_log(program.0) }) else {
        return "no log".to_owned();
    };
    log.push(0);
    // SAFETY: it ends with a zero.
    let text = unsafe { CStr::from_ptr(log.as_ptr()) };
    text.to_string_lossy().into_owned()
}
