//! Work that is done when the stream comes to it.
//!
//! It goes onto a stream by the driver's `cuLaunchHostFunc`, so that a stand-in of the driver decides when it runs. Where there is no driver it runs at
//! once; a test without one may hold it back, which is as adversarial as a stream may be: nothing runs until it must, and the last stream runs first.

use std::ffi::{CStr, c_int, c_void};
use std::sync::{LazyLock, Mutex, PoisonError};

use libloading::os::unix::Library;

/// `CUstream`.
pub(crate) type Stream = *mut c_void;
type HostFunction = unsafe extern "C" fn(*mut c_void);
type Launch = unsafe extern "C" fn(Stream, HostFunction, *mut c_void) -> c_int;
type Work = Box<dyn FnOnce() + Send>;

const LAUNCH: &CStr = c"cuLaunchHostFunc";

/// Work that is held back, in the order in which it came, with the stream's address; `None` where nothing is.
static HELD: Mutex<Option<Vec<(usize, Work)>>> = Mutex::new(None);

/// The driver's call: in what is loaded already, else in its library.
static DRIVER: LazyLock<Option<Launch>> = LazyLock::new(|| {
    // SAFETY: the signature is the driver's, and its library is never unloaded.
    unsafe {
        let of = |library: &Library| {
            library
                .get::<Launch>(LAUNCH.to_bytes_with_nul())
                .map(|f| *f)
        };
        if let Ok(launch) = of(&Library::this()) {
            return Some(launch);
        }
        let library = Library::new("libcuda.so.1").ok()?;
        let launch = of(&library).ok();
        std::mem::forget(library);
        launch
    }
});

/// Does the work when the stream comes to it. `false` if the driver refuses.
pub(crate) fn enqueue(stream: Stream, work: impl FnOnce() + Send + 'static) -> bool {
    let work: Work = Box::new(work);
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(held) = held.as_mut() {
        held.push((stream.addr(), work));
        return true;
    }
    drop(held);
    let Some(launch) = *DRIVER else {
        work();
        return true;
    };
    let parcel: *mut Work = Box::into_raw(Box::new(work));
    // SAFETY: the driver calls the function once with what it is given, which the function owns.
    if unsafe { launch(stream, run, parcel.cast()) } == 0 {
        return true;
    }
    // SAFETY: the driver refused, so it is still ours.
    drop(unsafe { Box::from_raw(parcel) });
    false
}

unsafe extern "C" fn run(parcel: *mut c_void) {
    // SAFETY: made by `enqueue`, and called once.
    let work = unsafe { Box::from_raw(parcel.cast::<Work>()) };
    work();
}

/// From now on work is held back, until it is released.
pub(crate) fn hold() {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.get_or_insert_default();
}

/// Does what was held back, the last stream first, each stream in its order. Nothing is held back afterwards.
pub(crate) fn release() {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut held = held.unwrap_or_default();
    held.sort_by_key(|(stream, _)| std::cmp::Reverse(*stream));
    for (_, work) in held {
        work();
    }
}
