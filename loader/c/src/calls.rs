//! The functions. Each checks what it is given, does its work in safe code, and answers with a status and words; no panic gets past it.
//!
//! One of the rooms of this crate with unsafe code.
#![allow(unsafe_code)]

use std::any::Any;
use std::ffi::{CStr, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::time::Duration;

use crate::batch::BATCHES;
use crate::failure::Failure;
use crate::handle::{self, Kind};
use crate::loader::{LOADERS, Loader};
use crate::sigpipe;
use crate::stream::{STREAMS, Stream};
use crate::subscription;
use crate::types::{
    SSLIGHT_ABI_VERSION, SSLIGHT_ERROR_BYTES, SslightBatch, SslightError, SslightHandle,
    SslightStatus, SslightStreamInfo,
};

/// `SSLIGHT_ABI_VERSION` of the library.
#[unsafe(no_mangle)]
pub extern "C" fn sslight_abi_version() -> u32 {
    SSLIGHT_ABI_VERSION
}

/// Finds the loader that serves a data set, or starts one that ends with its last user.
///
/// `abi_version` is `SSLIGHT_ABI_VERSION`. `shards` are the `num_shards` folders of the packed data set. `socket` is where the loader listens;
/// NULL means the data set's own place. `program` is the `loader` to start where none answers, a path or a name to look for in `PATH`; NULL starts
/// none. `timeout_ms` is how long a loader may take for an answer (one that is started has a minute more). `*loader` becomes the handle.
///
/// # Safety
/// Texts are closed by a zero, `shards` has `num_shards` of them, and `loader` and `error` lead to memory of their types. `error` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sslight_connect(
    abi_version: u32,
    shards: *const *const c_char,
    num_shards: usize,
    socket: *const c_char,
    program: *const c_char,
    timeout_ms: u64,
    loader: *mut SslightHandle,
    error: *mut SslightError,
) -> SslightStatus {
    let work = || {
        check_version(abi_version)?;
        let loader = out(loader, "loader")?;
        // SAFETY: the caller's promise.
        let (data, socket, program) =
            unsafe { (paths(shards, num_shards)?, path(socket), path(program)) };
        let timeout = Duration::from_millis(timeout_ms);
        let connect = || Loader::connect(&data, socket, program, timeout);
        let (handle, _) = LOADERS.keep(sigpipe::without(connect)?);
        // SAFETY: the caller's promise.
        unsafe { loader.write(handle) };
        Ok(SslightStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(error, work) }
}

/// Subscribes to batches, and makes `*stream` the handle.
///
/// `subscription` is a JSON object; NULL is `{}`. Its keys, all optional: `split` ("train"), `recipe` (a name: "sslight", "dino", "swav", "moco",
/// "simclr", "supervised", "val"; or an object, as `loader preview --recipe` reads it), `batch_size` (256), `rank` (0) of `world_size` (1),
/// `seed` (0), `order` ("shuffled" or "sequential"), `drop_last` (true), `start_epoch` and `start_step` (0), `num_epochs` (1, the first included),
/// `num_slots` (null: the loader's choice), `subset` (null, or names of images), `name` (what `loader status` shows), `card` (null, or the number of
/// CUDA's device, which this process must see, whose memory shall hold the views; where the loader cannot make them there, `sslight_describe` says why, and they lie in main memory).
///
/// # Safety
/// `subscription` is closed by a zero; `stream` and `error` lead to memory of their types. `error` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sslight_subscribe(
    loader: SslightHandle,
    subscription: *const c_char,
    stream: *mut SslightHandle,
    error: *mut SslightError,
) -> SslightStatus {
    let work = || {
        let loader = LOADERS.get(loader)?;
        let stream = out(stream, "stream")?;
        // SAFETY: the caller's promise.
        let json = unsafe { text(subscription) }.unwrap_or(c"{}").to_str();
        let json = json.map_err(|error| Failure::usage(format!("bad subscription: {error}")))?;
        let subscription = subscription::read(json)?;
        let subscriber = sigpipe::without(|| loader.subscribe(&subscription))?;
        let (handle, _) = STREAMS.keep(Stream::new(subscriber));
        // SAFETY: the caller's promise.
        unsafe { stream.write(handle) };
        Ok(SslightStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(error, work) }
}

/// Tells what a stream will deliver.
///
/// # Safety
/// `info` and `error` lead to memory of their types. `error` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sslight_describe(
    stream: SslightHandle,
    info: *mut SslightStreamInfo,
    error: *mut SslightError,
) -> SslightStatus {
    let work = || {
        let (stream, info) = (STREAMS.get(stream)?, out(info, "info")?);
        // SAFETY: the caller's promise.
        unsafe { info.write(stream.describe()) };
        Ok(SslightStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(error, work) }
}

/// Waits for the next batch, at most `timeout_ms`: `SSLIGHT_STATUS_OK`, and the batch is to be released; `SSLIGHT_STATUS_END` after the
/// last one; `SSLIGHT_STATUS_TIMED_OUT`, after which one may ask again.
///
/// Batches that are held may be released in any order, by any thread. But each holds a slot, so whoever holds all of them waits in vain.
///
/// # Safety
/// `batch` and `error` lead to memory of their types. `error` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sslight_next(
    stream: SslightHandle,
    timeout_ms: u64,
    batch: *mut SslightBatch,
    error: *mut SslightError,
) -> SslightStatus {
    let work = || {
        let (stream, batch) = (STREAMS.get(stream)?, out(batch, "batch")?);
        let Some(next) = stream.next(Duration::from_millis(timeout_ms))? else {
            return Ok(SslightStatus::End);
        };
        // SAFETY: the caller's promise.
        unsafe { batch.write(next) };
        Ok(SslightStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(error, work) }
}

/// Says that a stream of the card (`CUstream` or `cudaStream_t`) reads the views of a batch: what it is asked to do before the batch is released is done before the
/// slot is filled anew. It is a stream of the card's primary context, as those of CUDA's runtime are; NULL is the default stream. Where nobody says so, all streams of that
/// context are waited for when the next batch is asked for.
///
/// # Safety
/// `stream` is one of the card's until the batch is released; `error` leads to memory of its type, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sslight_read_by(
    batch: SslightHandle,
    stream: *mut c_void,
    error: *mut SslightError,
) -> SslightStatus {
    let work = || {
        // CUDA's NULL is the default stream.
        let stream = stream.expose_provenance().max(1);
        let batch = BATCHES.get(batch)?;
        // SAFETY: the caller's promise.
        unsafe { batch.read_by(stream)? };
        Ok(SslightStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(error, work) }
}

/// Lets go of a batch, a stream or a loader, in any order: batches outlive their stream, streams their loader. A forked process may so let go of
/// what it inherited, which takes nothing from the process that forked it.
///
/// # Safety
/// `error` leads to memory of its type, or is NULL. Nothing reads any more what the handle's structures point to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sslight_release(
    handle: SslightHandle,
    error: *mut SslightError,
) -> SslightStatus {
    let work = || {
        match handle::kind(handle)? {
            Kind::Loader => LOADERS.release(handle)?,
            Kind::Stream => STREAMS.release(handle)?,
            Kind::Batch => BATCHES.release(handle)?,
        }
        Ok(SslightStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(error, work) }
}

fn check_version(theirs: u32) -> Result<(), Failure> {
    match theirs {
        SSLIGHT_ABI_VERSION => Ok(()),
        _ => Err(Failure::usage(format!(
            "version mismatch; the program was built with sslight_loader.h of version {theirs}, and the library is of version \
             {SSLIGHT_ABI_VERSION}; build it with the library's header"
        ))),
    }
}

/// Does `work` and tells how it went, in words too if `error` is not NULL.
///
/// # Safety
/// `error` is NULL or leads to memory of its type.
unsafe fn answer(
    error: *mut SslightError,
    work: impl FnOnce() -> Result<SslightStatus, Failure>,
) -> SslightStatus {
    // After a panic nothing is left half done that anybody could see: tables and streams change in single steps.
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(bug(&*panic)));
    let (status, words) = match done {
        Ok(status) => (status, String::new()),
        Err(failure) => (failure.status, failure.words),
    };
    if let Some(error) = NonNull::new(error) {
        let words = cut(&words, SSLIGHT_ERROR_BYTES - 1);
        let text = error.cast::<u8>().as_ptr();
        // SAFETY: an error has room for as many bytes and the zero. It need not be initialised, so no reference is made.
        unsafe {
            ptr::copy_nonoverlapping(words.as_ptr(), text, words.len());
            text.add(words.len()).write(0);
        }
    }
    status
}

/// At most `most` bytes of it, and no half character.
fn cut(words: &str, most: usize) -> &str {
    let mut end = words.len().min(most);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    &words[..end]
}

fn bug(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let said = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let said = said.unwrap_or("it did not say why");
    Failure {
        status: SslightStatus::Library,
        words: format!("a bug of this library: {said}; report it"),
    }
}

/// Where an answer goes.
fn out<T>(pointer: *mut T, name: &str) -> Result<NonNull<T>, Failure> {
    NonNull::new(pointer).ok_or_else(|| Failure::usage(format!("`{name}` is NULL")))
}

/// # Safety
/// `pointer` is NULL, or leads to a text that is closed by a zero and stays for the call.
unsafe fn text<'a>(pointer: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
}

/// # Safety
/// As for [`text`].
unsafe fn path<'a>(pointer: *const c_char) -> Option<&'a Path> {
    // SAFETY: the caller's promise.
    let text = unsafe { text(pointer) };
    text.map(|text| Path::new(OsStr::from_bytes(text.to_bytes())))
}

/// # Safety
/// `pointers` is NULL or leads to `num` pointers, each as for [`text`].
unsafe fn paths(pointers: *const *const c_char, num: usize) -> Result<Vec<PathBuf>, Failure> {
    if pointers.is_null() || num == 0 {
        return Err(Failure::usage("`shards` names no folder"));
    }
    let folder = |index| {
        // SAFETY: the caller's promise.
        let folder = unsafe { path(*pointers.add(index)) };
        let folder = folder.ok_or_else(|| Failure::usage(format!("`shards[{index}]` is NULL")));
        folder.map(Path::to_owned)
    };
    (0..num).map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_status_and_words_and_long_words_are_cut_between_characters() {
        let mut error = SslightError {
            text: [1; SSLIGHT_ERROR_BYTES],
        };
        let told = |error: &SslightError| {
            let bytes = error.text.map(c_char::cast_unsigned);
            let text = CStr::from_bytes_until_nul(&bytes).unwrap().to_str();
            text.unwrap().to_owned()
        };
        // SAFETY: `error` is one.
        let status = unsafe { answer(&mut error, || panic!("by design")) };
        assert_eq!(status, SslightStatus::Library);
        let words = "a bug of this library: by design; report it";
        assert_eq!(told(&error), words);
        // Two bytes each, and an odd number of bytes is free.
        let long = || Err(Failure::usage("ä".repeat(SSLIGHT_ERROR_BYTES)));
        // SAFETY: as above.
        let status = unsafe { answer(&mut error, long) };
        assert_eq!(status, SslightStatus::Usage);
        assert_eq!(told(&error), "ä".repeat((SSLIGHT_ERROR_BYTES - 1) / 2));
        // SAFETY: as above.
        let status = unsafe { answer(&mut error, || Ok(SslightStatus::End)) };
        assert_eq!((status, told(&error)), (SslightStatus::End, String::new()));
    }
}
