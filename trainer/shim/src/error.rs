//! Errors of the C++ side: text that the caller frees.

use std::ffi::{CStr, c_char, c_void};

use tch::TchError;

/// Panics with an error's words, written as tch's operations write theirs.
pub(crate) fn told(error: *mut c_char) {
    if error.is_null() {
        return;
    }
    // SAFETY: an error is a C string that the call left to us.
    let words = unsafe { CStr::from_ptr(error) }
        .to_string_lossy()
        .into_owned();
    // SAFETY: it was made by strdup.
    unsafe { free(error.cast()) };
    panic!("{:?}", TchError::Torch(words));
}

unsafe extern "C" {
    fn free(memory: *mut c_void);
}
