//! Owned handles of nvJPEG: each is destroyed once, when its owner is dropped, and before what it was made with.
//!
//! A handle belongs to the device that was current when it was made, and to no thread.

use std::ffi::{c_int, c_uint};
use std::ptr;
use std::sync::Arc;

use crate::library::Library;
use crate::memory::{Allocator, Callbacks, Memory};
use crate::status::{Failure, check};
use crate::sys::{self, cudaStream_t, nvjpegImage_t};

/// Memory of the device that one state may reserve: one part of all that there ever is, in so many.
const PART_OF_STATE: usize = 4;

/// Calls a function of the library, and names it in what goes wrong. For use within `unsafe`.
macro_rules! call {
    ($library:expr, $function:ident($($argument:expr),* $(,)?)) => {
        check(stringify!($function), ($library.functions.$function)($($argument),*))
    };
}

/// The library's own handle, which all others are made with.
pub(crate) struct Handle {
    raw: sys::nvjpegHandle_t,
    library: Arc<Library>,
    memory: Box<Callbacks>,
}

// SAFETY: NVIDIA's documentation calls this handle safe for several threads at once.
unsafe impl Send for Handle {}
// SAFETY: likewise.
unsafe impl Sync for Handle {}

impl Handle {
    pub(crate) fn create(
        library: &Arc<Library>,
        backend: sys::nvjpegBackend_t,
        allocator: &Arc<dyn Allocator>,
    ) -> Result<Arc<Self>, Failure> {
        let mut raw = ptr::null_mut();
        let mut memory = Callbacks::of(allocator);
        let (device, pinned) = (&raw mut memory.device, &raw mut memory.pinned);
        // SAFETY: the callbacks stay in place as long as the handle, no flags; the handle is written before success is said.
        unsafe {
            call!(
                library,
                nvjpegCreateExV2(backend, device, pinned, 0, &raw mut raw)
            )
        }?;
        Ok(Arc::new(Self {
            raw,
            library: Arc::clone(library),
            memory,
        }))
    }

    /// Hardware engines of the device, and cores of each.
    pub(crate) fn engines(&self) -> Result<(u32, u32), Failure> {
        let (mut engines, mut cores): (c_uint, c_uint) = (0, 0);
        // SAFETY: the handle lives, and two numbers are written.
        unsafe {
            let numbers = (&raw mut engines, &raw mut cores);
            call!(
                self.library,
                nvjpegGetHardwareDecoderInfo(self.raw, numbers.0, numbers.1)
            )
        }?;
        Ok((engines, cores))
    }
}

impl Handle {
    /// Whether memory was refused since this was last asked.
    pub(crate) fn was_refused_memory(&self) -> bool {
        self.memory.was_refused()
    }

    /// Whether there is ever memory of either kind for a buffer of this size.
    pub(crate) fn has_room(&self, num_bytes: usize) -> bool {
        let room = |kind| self.memory.room(kind);
        num_bytes <= room(Memory::Device).min(room(Memory::Pinned))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made in `create`, and all that was made with it holds it: this is the last use. There is nobody to tell of a failure.
        unsafe { (self.library.functions.nvjpegDestroy)(self.raw) };
    }
}

/// Declares an owner of a handle that is made with the library's handle.
macro_rules! owner {
    ($(#[$doc:meta])* $name:ident($raw:ty), $destroy:ident) => {
        $(#[$doc])*
        pub(crate) struct $name {
            raw: $raw,
            handle: Arc<Handle>,
        }

        // SAFETY: no handle is tied to a thread, and `&mut self` keeps two threads from using one at once.
        unsafe impl Send for $name {}

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: the handle was made by this type and is destroyed once, here. There is nobody to tell of a failure.
                unsafe { (self.handle.library.functions.$destroy)(self.raw) };
            }
        }
    };
}

/// Declares how an owner is made from the library's handle, and from its callbacks for the kind of memory that it is of.
macro_rules! create {
    ($name:ident, $create:ident($($memory:ident)?)) => {
        impl $name {
            pub(crate) fn create(handle: &Arc<Handle>) -> Result<Self, Failure> {
                let mut raw = ptr::null_mut();
                // SAFETY: the library's handle and its callbacks live, which the library reads; the new handle is written before success is said.
                unsafe {
                    call!(
                        handle.library,
                        $create(handle.raw, $((&raw const handle.memory.$memory).cast_mut(),)? &raw mut raw)
                    )
                }?;
                Ok(Self {
                    raw,
                    handle: Arc::clone(handle),
                })
            }
        }
    };
}

owner! {
    /// What a decoding is in between its calls.
    State(sys::nvjpegJpegState_t), nvjpegJpegStateDestroy
}
owner! {
    /// A file that the library has parsed; it refers to the file's bytes.
    ParsedJpeg(sys::nvjpegJpegStream_t), nvjpegJpegStreamDestroy
}
owner! {
    /// What is asked of a decoding: the output's format.
    Params(sys::nvjpegDecodeParams_t), nvjpegDecodeParamsDestroy
}
owner! {
    /// A back end other than the engines.
    Backend(sys::nvjpegJpegDecoder_t), nvjpegDecoderDestroy
}
owner! {
    /// Pinned memory of the host, between the halves of a hybrid decoding.
    PinnedBuffer(sys::nvjpegBufferPinned_t), nvjpegBufferPinnedDestroy
}
owner! {
    /// Memory of the device, likewise.
    DeviceBuffer(sys::nvjpegBufferDevice_t), nvjpegBufferDeviceDestroy
}
create! { State, nvjpegJpegStateCreate() }
create! { ParsedJpeg, nvjpegJpegStreamCreate() }
create! { Params, nvjpegDecodeParamsCreate() }
create! { PinnedBuffer, nvjpegBufferPinnedCreateV2(pinned) }
create! { DeviceBuffer, nvjpegBufferDeviceCreateV2(device) }

impl Params {
    /// Planes at the stored sampling.
    pub(crate) fn yuv(handle: &Arc<Handle>) -> Result<Self, Failure> {
        let params = Self::create(handle)?;
        // SAFETY: the handle lives.
        unsafe {
            call!(
                handle.library,
                nvjpegDecodeParamsSetOutputFormat(params.raw, sys::YUV)
            )
        }?;
        Ok(params)
    }
}

impl Backend {
    /// The back end whose Huffman decoding is the CPU's.
    pub(crate) fn hybrid(handle: &Arc<Handle>) -> Result<Self, Failure> {
        let mut raw = ptr::null_mut();
        // SAFETY: as in `create`.
        unsafe {
            call!(
                handle.library,
                nvjpegDecoderCreate(handle.raw, sys::HYBRID, &raw mut raw)
            )
        }?;
        Ok(Self {
            raw,
            handle: Arc::clone(handle),
        })
    }

    /// A state for this back end.
    pub(crate) fn state(&self) -> Result<State, Failure> {
        let mut raw = ptr::null_mut();
        let handle = &self.handle;
        // SAFETY: as in `create`; the back end lives, and outlives the states that are kept beside it.
        unsafe {
            call!(
                handle.library,
                nvjpegDecoderStateCreate(handle.raw, self.raw, &raw mut raw)
            )
        }?;
        Ok(State {
            raw,
            handle: Arc::clone(handle),
        })
    }

    /// Whether the back end takes a parsed file.
    pub(crate) fn supports(&self, jpeg: &ParsedJpeg, params: &Params) -> Result<bool, Failure> {
        let mut code: c_int = 1;
        // SAFETY: all handles live, and one number is written.
        unsafe {
            let code = &raw mut code;
            call!(
                self.handle.library,
                nvjpegDecoderJpegSupported(self.raw, jpeg.raw, params.raw, code)
            )
        }?;
        Ok(code == 0)
    }
}

impl ParsedJpeg {
    /// Parses a file whole.
    ///
    /// # Safety
    /// `jpeg` stays in place until nothing refers to it: another is parsed, and the decoding that it was parsed for is done.
    pub(crate) unsafe fn parse(&mut self, jpeg: &[u8]) -> Result<(), Failure> {
        let (handle, bytes) = (&self.handle, jpeg.as_ptr());
        // SAFETY: the handles live, the bytes are there for the call, and longer by what the caller promises.
        unsafe {
            call!(
                handle.library,
                nvjpegJpegStreamParse(handle.raw, bytes, jpeg.len(), 0, 0, self.raw)
            )
        }
    }

    /// Whether the engines take a file, by its header.
    pub(crate) fn is_for_engines(&mut self, jpeg: &[u8]) -> Result<bool, Failure> {
        let (handle, bytes) = (&self.handle, jpeg.as_ptr());
        let mut code: c_int = 1;
        // SAFETY: the handles live, the bytes are there for both calls, and one number is written.
        unsafe {
            call!(
                handle.library,
                nvjpegJpegStreamParseHeader(handle.raw, bytes, jpeg.len(), self.raw)
            )?;
            call!(
                handle.library,
                nvjpegDecodeBatchedSupported(handle.raw, self.raw, &raw mut code)
            )?;
        }
        Ok(code == 0)
    }
}

impl PinnedBuffer {
    /// Makes it hold `num_bytes`.
    ///
    /// # Safety
    /// No work that is still to be done uses it.
    pub(crate) unsafe fn resize(
        &mut self,
        num_bytes: usize,
        stream: cudaStream_t,
    ) -> Result<(), Failure> {
        // SAFETY: the handle lives, and what it held is not needed, as the caller promises.
        unsafe {
            call!(
                self.handle.library,
                nvjpegBufferPinnedResize(self.raw, num_bytes, stream)
            )
        }
    }
}

impl DeviceBuffer {
    /// Makes it hold `num_bytes`.
    ///
    /// # Safety
    /// No work that is still to be done uses it.
    pub(crate) unsafe fn resize(
        &mut self,
        num_bytes: usize,
        stream: cudaStream_t,
    ) -> Result<(), Failure> {
        // SAFETY: as with pinned memory.
        unsafe {
            call!(
                self.handle.library,
                nvjpegBufferDeviceResize(self.raw, num_bytes, stream)
            )
        }
    }
}

/// Planes of the image on the device, as the library wants them.
pub(crate) type Destination = nvjpegImage_t;

impl State {
    /// A hint to take memory is no need of it.
    pub(crate) fn forget_refusal(&self) {
        self.handle.was_refused_memory();
    }

    /// Whether so much of the device's memory leaves enough of what there ever is to others.
    pub(crate) fn may_take(&self, num_bytes: usize) -> bool {
        num_bytes <= self.handle.memory.room(Memory::Device) / PART_OF_STATE
    }

    /// Makes the state use these buffers, which must outlive it.
    pub(crate) fn attach(
        &mut self,
        pinned: &PinnedBuffer,
        device: &DeviceBuffer,
    ) -> Result<(), Failure> {
        let library = &self.handle.library;
        // SAFETY: all handles live.
        unsafe {
            call!(library, nvjpegStateAttachPinnedBuffer(self.raw, pinned.raw))?;
            call!(library, nvjpegStateAttachDeviceBuffer(self.raw, device.raw))
        }
    }

    /// All three phases of a hybrid decoding: the host's, the copy, the device's.
    ///
    /// # Safety
    /// `destination` has room for the planes; it, the file's bytes, the state and its pinned buffer are left alone until the stream has done what is
    /// enqueued.
    pub(crate) unsafe fn decode_hybrid(
        &mut self,
        backend: &Backend,
        params: &Params,
        jpeg: &ParsedJpeg,
        destination: &mut Destination,
        stream: cudaStream_t,
    ) -> Result<(), Failure> {
        let (library, handle) = (&self.handle.library, self.handle.raw);
        let (backend, state, jpeg) = (backend.raw, self.raw, jpeg.raw);
        // SAFETY: all handles live and belong together; the rest is the caller's promise.
        unsafe {
            call!(
                library,
                nvjpegDecodeJpegHost(handle, backend, state, params.raw, jpeg)
            )?;
            call!(
                library,
                nvjpegDecodeJpegTransferToDevice(handle, backend, state, jpeg, stream)
            )?;
            call!(
                library,
                nvjpegDecodeJpegDevice(handle, backend, state, destination, stream)
            )
        }
    }

    /// Takes memory for batches of this size.
    ///
    /// # Safety
    /// No work that is still to be done uses the state.
    pub(crate) unsafe fn preallocate(
        &mut self,
        num_images: u32,
        width: u32,
        height: u32,
    ) -> Result<(), Failure> {
        let handle = self.handle.raw;
        let (num, width, height) = (num_images as c_int, width as c_int, height as c_int);
        let (sampling, format) = (sys::ANY_SAMPLING, sys::YUV);
        // SAFETY: the handles live; the rest is the caller's promise.
        unsafe {
            call!(
                self.handle.library,
                nvjpegDecodeBatchedPreAllocate(
                    handle, self.raw, num, width, height, sampling, format
                )
            )
        }
    }

    /// Readies the state for batches of `num_images`.
    ///
    /// # Safety
    /// No work that is still to be done uses the state.
    pub(crate) unsafe fn begin_batches(&mut self, num_images: usize) -> Result<(), Failure> {
        let (handle, num, one_thread) = (self.handle.raw, num_images as c_int, 1);
        // SAFETY: as above.
        unsafe {
            call!(
                self.handle.library,
                nvjpegDecodeBatchedInitialize(handle, self.raw, num, one_thread, sys::YUV)
            )
        }
    }

    /// Decodes a batch on the engines.
    ///
    /// # Safety
    /// The state was readied for batches of this size, and the arrays are that long; they, and as with a hybrid decoding every image, are left alone until
    /// the stream has done what is enqueued.
    pub(crate) unsafe fn decode_batch(
        &mut self,
        jpegs: &[*const u8],
        lengths: &[usize],
        destinations: &mut [Destination],
        stream: cudaStream_t,
    ) -> Result<(), Failure> {
        let (jpegs, lengths) = (jpegs.as_ptr(), lengths.as_ptr());
        let (handle, destinations) = (self.handle.raw, destinations.as_mut_ptr());
        // SAFETY: the handles live; the rest is the caller's promise.
        unsafe {
            call!(
                self.handle.library,
                nvjpegDecodeBatched(handle, self.raw, jpegs, lengths, destinations, stream)
            )
        }
    }
}
