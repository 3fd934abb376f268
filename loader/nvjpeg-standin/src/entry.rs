//! The entry points of libnvjpeg that the loader calls, and a few of our own for tests.

#![allow(non_snake_case)]

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::faults;
use crate::jpeg::{FAILS_ENGINES, Image, Way};
use crate::memory::{Allocator, Memory, RUBBISH, locked};
use crate::objects::{self, Jpeg, Number, Object, State};
use crate::status::{
    ARCH_MISMATCH, BAD_JPEG, EXECUTION_FAILED, INVALID_PARAMETER, JPEG_NOT_SUPPORTED,
};
use crate::stream::{self, Stream};

/// Version that is told: nvJPEG's and CUDA's.
const VERSION: [c_int; 3] = [13, 3, 2];
const CUDA_VERSION: [c_int; 3] = [13, 0, 0];

/// What the card pretends to have.
const NUM_ENGINES: c_uint = 2;
const CORES_PER_ENGINE: c_uint = 4;

const HARDWARE: c_uint = 3;
const YUV: c_uint = 1;

const NO_STREAM: Stream = ptr::null_mut();

/// Exports functions that count their calls and may be made to fail.
macro_rules! entries {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $body:block)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
                let answer = faults::enter(stringify!($name)).and_then(|()| -> Result<(), u32> { $body });
                answer.err().unwrap_or(0)
            }
        )*
    };
}

entries! {
    fn nvjpegGetProperty(which: c_uint, value: *mut c_int) { tell(VERSION, which, value) }
    fn nvjpegGetCudartProperty(which: c_uint, value: *mut c_int) { tell(CUDA_VERSION, which, value) }

    fn nvjpegCreateExV2(backend: c_uint, device: *const Allocator, pinned: *const Allocator, _flags: c_uint, handle: *mut Number) {
        if backend > HARDWARE {
            return Err(ARCH_MISMATCH);
        }
        // SAFETY: null or the caller's structs.
        let (device, pinned) = unsafe { (Allocator::read(device)?, Allocator::read(pinned)?) };
        made(Object::Library(device, pinned), handle)
    }
    fn nvjpegDestroy(handle: Number) { objects::destroy(handle, |object| matches!(object, Object::Library(..))) }
    fn nvjpegGetHardwareDecoderInfo(handle: Number, engines: *mut c_uint, cores: *mut c_uint) {
        objects::library(handle)?;
        written(engines, NUM_ENGINES)?;
        written(cores, CORES_PER_ENGINE)
    }

    fn nvjpegJpegStateCreate(handle: Number, state: *mut Number) {
        made(Object::State(new_state(handle)?), state)
    }
    fn nvjpegJpegStateDestroy(state: Number) { objects::destroy(state, |object| matches!(object, Object::State(_))) }

    fn nvjpegDecodeBatchedInitialize(handle: Number, state: Number, num_images: c_int, _threads: c_int, format: c_uint) {
        objects::library(handle)?;
        let state = idle(state)?;
        if num_images < 1 || format != YUV {
            return Err(INVALID_PARAMETER);
        }
        locked(&state.parts).batch = num_images as usize;
        Ok(())
    }
    fn nvjpegDecodeBatchedPreAllocate(
        handle: Number, state: Number, images: c_int, width: c_int, height: c_int, _sampling: c_int, _format: c_uint
    ) {
        objects::library(handle)?;
        let num_bytes = [3, images, width, height].map(|factor| factor as usize).iter().product();
        idle(state)?.memory.grow(num_bytes, NO_STREAM)
    }
    fn nvjpegDecodeBatchedSupported(handle: Number, jpeg: Number, code: *mut c_int) {
        objects::library(handle)?;
        let takes = objects::parsed(jpeg)?.parsed.is_for_engines();
        written(code, if takes { 0 } else { JPEG_NOT_SUPPORTED as c_int })
    }
    fn nvjpegDecodeBatched(handle: Number, state: Number, jpegs: *const *const u8, lengths: *const usize, images: *mut Image, stream: Stream) {
        objects::library(handle)?;
        let state = idle(state)?;
        let num_images = std::mem::take(&mut locked(&state.parts).batch);
        if num_images == 0 {
            return Err(INVALID_PARAMETER);
        }
        let mut batch = Vec::new();
        for nth in 0..num_images {
            // SAFETY: the caller says that the arrays are as long as the batch, and that the bytes stay.
            let (jpeg, image) = unsafe { (Jpeg::new(*jpegs.add(nth), *lengths.add(nth))?, *images.add(nth)) };
            if !jpeg.parsed.is_for_engines() {
                return Err(JPEG_NOT_SUPPORTED);
            }
            // SAFETY: the caller says that the bytes are there.
            let bytes = unsafe { jpeg.bytes() };
            if bytes.windows(FAILS_ENGINES.len()).any(|window| window == FAILS_ENGINES) {
                return Err(BAD_JPEG);
            }
            batch.push((jpeg, image));
        }
        let of_pixels: usize = batch.iter().map(|(jpeg, _)| jpeg.parsed.num_values()).sum();
        let of_file = batch.iter().map(|(jpeg, _)| jpeg.num_bytes).max().unwrap_or(0);
        state.memory.grow(of_pixels.max(of_file), stream)?;
        for (jpeg, image) in batch {
            let memory = state.memory.clone();
            // SAFETY: the bytes and the planes are there until the work is done, the caller says.
            enqueue(&state, stream, move || unsafe { by_engines(jpeg, &memory, &image) })?;
        }
        locked(&state.parts).batch = num_images;
        Ok(())
    }

    fn nvjpegJpegStreamCreate(handle: Number, jpeg: *mut Number) {
        objects::library(handle)?;
        made(Object::Jpeg(Arc::default()), jpeg)
    }
    fn nvjpegJpegStreamDestroy(jpeg: Number) { objects::destroy(jpeg, |object| matches!(object, Object::Jpeg(_))) }
    fn nvjpegJpegStreamParse(handle: Number, bytes: *const u8, num_bytes: usize, _metadata: c_int, _copy: c_int, jpeg: Number) {
        parse(handle, bytes, num_bytes, jpeg)
    }
    fn nvjpegJpegStreamParseHeader(handle: Number, bytes: *const u8, num_bytes: usize, jpeg: Number) {
        parse(handle, bytes, num_bytes, jpeg)
    }

    fn nvjpegDecodeParamsCreate(handle: Number, params: *mut Number) {
        objects::library(handle)?;
        made(Object::Params, params)
    }
    fn nvjpegDecodeParamsDestroy(params: Number) { objects::destroy(params, |object| matches!(object, Object::Params)) }
    fn nvjpegDecodeParamsSetOutputFormat(params: Number, format: c_uint) {
        objects::params(params)?;
        if format == YUV { Ok(()) } else { Err(INVALID_PARAMETER) }
    }

    fn nvjpegDecoderCreate(handle: Number, backend: c_uint, decoder: *mut Number) {
        objects::library(handle)?;
        if backend >= HARDWARE {
            return Err(ARCH_MISMATCH);
        }
        made(Object::Backend, decoder)
    }
    fn nvjpegDecoderDestroy(decoder: Number) { objects::destroy(decoder, |object| matches!(object, Object::Backend)) }
    fn nvjpegDecoderStateCreate(handle: Number, decoder: Number, state: *mut Number) {
        objects::backend(decoder)?;
        made(Object::State(new_state(handle)?), state)
    }
    fn nvjpegDecoderJpegSupported(decoder: Number, jpeg: Number, params: Number, code: *mut c_int) {
        objects::backend(decoder)?;
        objects::params(params)?;
        let takes = objects::parsed(jpeg)?.parsed.is_for_hybrid();
        written(code, if takes { 0 } else { ARCH_MISMATCH as c_int })
    }

    fn nvjpegBufferPinnedCreateV2(handle: Number, allocator: *const Allocator, buffer: *mut Number) {
        objects::library(handle)?;
        // SAFETY: null or the caller's struct.
        made(Object::Pinned(Memory::of(unsafe { Allocator::read(allocator) }?)), buffer)
    }
    fn nvjpegBufferPinnedDestroy(buffer: Number) { objects::destroy(buffer, |object| matches!(object, Object::Pinned(_))) }
    fn nvjpegBufferPinnedResize(buffer: Number, num_bytes: usize, stream: Stream) {
        objects::pinned(buffer)?.resize(num_bytes, stream)
    }
    fn nvjpegBufferDeviceCreateV2(handle: Number, allocator: *const Allocator, buffer: *mut Number) {
        objects::library(handle)?;
        // SAFETY: null or the caller's struct.
        made(Object::Device(Memory::of(unsafe { Allocator::read(allocator) }?)), buffer)
    }
    fn nvjpegBufferDeviceDestroy(buffer: Number) { objects::destroy(buffer, |object| matches!(object, Object::Device(_))) }
    fn nvjpegBufferDeviceResize(buffer: Number, num_bytes: usize, stream: Stream) {
        objects::device(buffer)?.resize(num_bytes, stream)
    }
    fn nvjpegStateAttachPinnedBuffer(state: Number, buffer: Number) {
        let state = objects::state(state)?;
        locked(&state.parts).pinned = Some(objects::pinned(buffer)?);
        Ok(())
    }
    fn nvjpegStateAttachDeviceBuffer(state: Number, buffer: Number) {
        let state = objects::state(state)?;
        locked(&state.parts).device = Some(objects::device(buffer)?);
        Ok(())
    }

    fn nvjpegDecodeJpegHost(handle: Number, decoder: Number, state: Number, params: Number, jpeg: Number) {
        objects::library(handle)?;
        objects::backend(decoder)?;
        objects::params(params)?;
        let jpeg = objects::parsed(jpeg)?;
        let state = objects::state(state)?;
        let mut parts = locked(&state.parts);
        // SAFETY: the caller keeps the bytes.
        let bytes = unsafe { jpeg.bytes() };
        let pinned = parts.pinned.as_ref().ok_or(INVALID_PARAMETER)?;
        pinned.grow(bytes.len(), NO_STREAM)?;
        pinned.with(|pinned| pinned[..bytes.len()].copy_from_slice(bytes));
        parts.jpeg = Some(jpeg);
        Ok(())
    }
    fn nvjpegDecodeJpegTransferToDevice(handle: Number, decoder: Number, state: Number, jpeg: Number, stream: Stream) {
        objects::library(handle)?;
        objects::backend(decoder)?;
        objects::parsed(jpeg)?;
        let state = objects::state(state)?;
        let (jpeg, pinned, device) = phase(&state)?;
        device.grow(jpeg.num_bytes, stream)?;
        enqueue(&state, stream, move || {
            // The first half is what the host's phase left, the rest still lies in the file.
            // SAFETY: the caller keeps the bytes until the work is done.
            let mut bytes = unsafe { jpeg.bytes() }.to_vec();
            pinned.with(|pinned| {
                let half = pinned.len().min(bytes.len()) / 2;
                bytes[..half].copy_from_slice(&pinned[..half]);
                pinned.fill(RUBBISH);
            });
            device.with(|device| copy(&bytes, device));
        })
    }
    fn nvjpegDecodeJpegDevice(handle: Number, decoder: Number, state: Number, image: *mut Image, stream: Stream) {
        objects::library(handle)?;
        objects::backend(decoder)?;
        if image.is_null() {
            return Err(INVALID_PARAMETER);
        }
        let state = objects::state(state)?;
        let (jpeg, _, device) = phase(&state)?;
        // SAFETY: not null, so the caller's struct.
        let image = unsafe { *image };
        enqueue(&state, stream, move || {
            device.with(|device| {
                let num_bytes = jpeg.num_bytes.min(device.len());
                // SAFETY: the planes are there until the work is done, the caller says.
                unsafe { jpeg.parsed.decode(&device[..num_bytes], &image, Way::Hybrid) };
                device.fill(RUBBISH);
            });
        })
    }
}

fn tell(version: [c_int; 3], which: c_uint, value: *mut c_int) -> Result<(), u32> {
    written(
        value,
        *version.get(which as usize).ok_or(INVALID_PARAMETER)?,
    )
}

fn written<T>(place: *mut T, value: T) -> Result<(), u32> {
    if place.is_null() {
        return Err(INVALID_PARAMETER);
    }
    // SAFETY: not null, so the caller's variable.
    unsafe { place.write(value) };
    Ok(())
}

fn made(object: Object, place: *mut Number) -> Result<(), u32> {
    // SAFETY: null or the caller's variable.
    unsafe { objects::create(object, place) }
}

fn parse(handle: Number, bytes: *const u8, num_bytes: usize, jpeg: Number) -> Result<(), u32> {
    objects::library(handle)?;
    let place = objects::jpeg(jpeg)?;
    let mut place = locked(&place);
    *place = None;
    // SAFETY: the caller's bytes, for as long as it uses the handle.
    *place = Some(unsafe { Jpeg::new(bytes, num_bytes) }?);
    Ok(())
}

fn new_state(handle: Number) -> Result<Arc<State>, u32> {
    let (device, _) = objects::library(handle)?;
    Ok(Arc::new(State {
        num_pending: AtomicUsize::new(0),
        memory: Memory::of(device),
        parts: Mutex::default(),
    }))
}

/// An engine reads a file by way of the state's memory.
///
/// # Safety
/// File and planes are there.
unsafe fn by_engines(jpeg: Jpeg, memory: &Memory, image: &Image) {
    memory.with(|memory| {
        // SAFETY: the caller's promise.
        copy(unsafe { jpeg.bytes() }, memory);
        let num_bytes = jpeg.num_bytes.min(memory.len());
        // SAFETY: the caller's promise.
        unsafe {
            jpeg.parsed
                .decode(&memory[..num_bytes], image, Way::Engines)
        };
    });
}

/// What there is room for: memory that was given back has none.
fn copy(from: &[u8], to: &mut [u8]) {
    let num_bytes = from.len().min(to.len());
    to[..num_bytes].copy_from_slice(&from[..num_bytes]);
}

/// A state whose work is done: NVIDIA wants nothing under way where a batch begins.
fn idle(state: Number) -> Result<Arc<State>, u32> {
    let state = objects::state(state)?;
    match state.num_pending.load(Ordering::Acquire) {
        0 => Ok(state),
        _ => Err(EXECUTION_FAILED),
    }
}

/// What the host's phase was about, and the buffers.
fn phase(state: &State) -> Result<(Jpeg, Memory, Memory), u32> {
    let parts = locked(&state.parts);
    let all = (parts.jpeg, parts.pinned.clone(), parts.device.clone());
    match all {
        (Some(jpeg), Some(pinned), Some(device)) => Ok((jpeg, pinned, device)),
        _ => Err(INVALID_PARAMETER),
    }
}

/// Puts work of a state onto a stream.
fn enqueue(
    state: &Arc<State>,
    stream: Stream,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), u32> {
    state.num_pending.fetch_add(1, Ordering::AcqRel);
    let pending = Pending(Arc::clone(state));
    let is_taken = stream::enqueue(stream, move || {
        work();
        drop(pending);
    });
    if is_taken {
        Ok(())
    } else {
        Err(EXECUTION_FAILED)
    }
}

/// Counts its work as done when it is dropped, done or not.
struct Pending(Arc<State>);

impl Drop for Pending {
    fn drop(&mut self) {
        let num_pending: &AtomicUsize = &self.0.num_pending;
        num_pending.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Handles that are alive.
#[unsafe(no_mangle)]
extern "C" fn nvjpeg_standin_live_handles() -> usize {
    objects::num_live()
}

/// Changes which call fails (`name:n[:status]`, null: none) and counts calls anew.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvjpeg_standin_fail(plan: *const c_char) {
    // SAFETY: null or the caller's text.
    faults::replace(&unsafe { text(plan) });
}

/// Calls of an entry point since the last plan.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvjpeg_standin_num_calls(name: *const c_char) -> u64 {
    // SAFETY: null or the caller's text.
    faults::num_calls(&unsafe { text(name) })
}

/// Holds work back from now on.
#[unsafe(no_mangle)]
extern "C" fn nvjpeg_standin_hold() {
    stream::hold();
}

/// Does what was held back, and holds back no more.
#[unsafe(no_mangle)]
extern "C" fn nvjpeg_standin_release() {
    stream::release();
}

/// # Safety
/// `text` is null or ends in a zero.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
