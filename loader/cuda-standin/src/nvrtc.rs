//! NVRTC's calls that the loader makes. Its machine code is the source itself: the kernels are there already.
#![allow(clippy::missing_safety_doc)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use crate::status::Status;

const COMPILATION: Status = 6;
const INTERNAL: Status = 11;
/// What machine code of this stand-in begins with.
const MAGIC: [u8; 8] = *b"STANDIN\n";
/// Without these a card's bits would be others.
const NEEDED: [&str; 2] = ["--fmad=false", "-arch=sm_90"];

struct Program {
    source: String,
    log: &'static CStr,
    code: Vec<u8>,
}

/// The source behind machine code that was made here.
///
/// # Safety
/// There are at least 16 bytes, and as many as they say if they are of this stand-in.
pub(crate) unsafe fn source_of(code: *const c_void) -> Option<String> {
    let code = code.cast::<u8>();
    // SAFETY: as said above.
    unsafe {
        let head: [u8; 8] = code.cast::<[u8; 8]>().read();
        let len = u64::from_le_bytes(code.add(8).cast::<[u8; 8]>().read()) as usize;
        let is_ours = head == MAGIC;
        let source = || std::slice::from_raw_parts(code.add(16), len);
        is_ours.then(|| String::from_utf8_lossy(source()).into_owned())
    }
}

calls! {
    INTERNAL:

    fn nvrtcCreateProgram(
        program: *mut *mut c_void,
        source: *const c_char,
        _name: *const c_char,
        _num_headers: c_int,
        _headers: *const *const c_char,
        _include_names: *const *const c_char,
    ) {
        let source = CStr::from_ptr(source).to_string_lossy().into_owned();
        let made = Program { source, log: c"", code: Vec::new() };
        program.write(Box::into_raw(Box::new(made)).cast());
        Ok(())
    }

    fn nvrtcCompileProgram(program: *mut c_void, num_options: c_int, options: *const *const c_char) {
        let program = &mut *program.cast::<Program>();
        let options = std::slice::from_raw_parts(options, num_options as usize);
        let options: Vec<_> = options.iter().map(|text| CStr::from_ptr(*text).to_string_lossy()).collect();
        if NEEDED.iter().any(|needed| !options.iter().any(|option| option == needed)) {
            program.log = c"an option is missing that the bits depend on";
            return Err(COMPILATION);
        }
        let len = program.source.len() as u64;
        program.code = [&MAGIC[..], &len.to_le_bytes(), program.source.as_bytes()].concat();
        Ok(())
    }

    fn nvrtcGetProgramLogSize(program: *mut c_void, num_bytes: *mut usize) {
        num_bytes.write((*program.cast::<Program>()).log.count_bytes() + 1);
        Ok(())
    }

    fn nvrtcGetProgramLog(program: *mut c_void, log: *mut c_char) {
        let text = (*program.cast::<Program>()).log.to_bytes_with_nul();
        ptr::copy_nonoverlapping(text.as_ptr().cast(), log, text.len());
        Ok(())
    }

    fn nvrtcGetCUBINSize(program: *mut c_void, num_bytes: *mut usize) {
        let program = &*program.cast::<Program>();
        num_bytes.write(program.code.len());
        Ok(())
    }

    fn nvrtcGetCUBIN(program: *mut c_void, code: *mut u8) {
        let from = &(*program.cast::<Program>()).code;
        ptr::copy_nonoverlapping(from.as_ptr(), code, from.len());
        Ok(())
    }

    fn nvrtcDestroyProgram(program: *mut *mut c_void) {
        drop(Box::from_raw((*program).cast::<Program>()));
        Ok(())
    }
}
