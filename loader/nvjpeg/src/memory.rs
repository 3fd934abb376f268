//! The memory that the library works with. It is the caller's, who counts and bounds it; this is how the library asks for it.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::{cudaStream_t, nvjpegDevAllocatorV2_t, nvjpegPinnedAllocatorV2_t};

/// What kind of memory nvJPEG asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Memory {
    /// Of the device.
    Device,
    /// Of the host, pinned, so that the device copies it by itself.
    Pinned,
}

/// Where nvJPEG takes its memory from: all that its states and buffers hold. Called on the threads that make, use and drop a decoder.
pub trait Allocator: Send + Sync {
    /// Memory that work on any stream may use at once. `None` where there is no more: then nvJPEG fails ([`Failure::is_out_of_memory`]).
    ///
    /// [`Failure::is_out_of_memory`]: crate::Failure::is_out_of_memory
    fn take(&self, kind: Memory, num_bytes: usize) -> Option<NonNull<c_void>>;

    /// Most bytes of a kind that it ever gives: an image that takes more is refused.
    fn room(&self, kind: Memory) -> usize;

    /// Takes back what [`Allocator::take`] gave, once. Work that is on `stream` (a `CUstream`) may still use it.
    fn give_back(&self, kind: Memory, memory: NonNull<c_void>, stream: *mut c_void);
}

/// An allocator as the library takes it. It stays in place as long as anything that was made with it.
pub(crate) struct Callbacks {
    pub(crate) device: nvjpegDevAllocatorV2_t,
    pub(crate) pinned: nvjpegPinnedAllocatorV2_t,
    /// What both point to.
    context: Box<Context>,
}

struct Context {
    allocator: Arc<dyn Allocator>,
    was_refused: AtomicBool,
}

impl Callbacks {
    pub(crate) fn of(allocator: &Arc<dyn Allocator>) -> Box<Self> {
        let own = Box::new(Context {
            allocator: Arc::clone(allocator),
            was_refused: AtomicBool::new(false),
        });
        let context = (&raw const *own).cast_mut().cast();
        Box::new(Self {
            device: nvjpegDevAllocatorV2_t {
                dev_malloc: Some(take_device),
                dev_free: Some(give_device_back),
                dev_ctx: context,
            },
            pinned: nvjpegPinnedAllocatorV2_t {
                pinned_malloc: Some(take_pinned),
                pinned_free: Some(give_pinned_back),
                pinned_ctx: context,
            },
            context: own,
        })
    }

    pub(crate) fn room(&self, kind: Memory) -> usize {
        self.context.allocator.room(kind)
    }

    /// Whether memory was refused since this was last asked.
    pub(crate) fn was_refused(&self) -> bool {
        self.context.was_refused.swap(false, Ordering::Relaxed)
    }
}

/// CUDA's number for a lack of memory.
const OUT_OF_MEMORY: c_int = 2;

/// Declares the two functions of a kind of memory. They answer as CUDA's own: of nothing there is always enough.
macro_rules! callbacks {
    ($($take:ident, $give_back:ident: $kind:expr;)*) => {
        $(
            unsafe extern "C" fn $take(
                context: *mut c_void,
                memory: *mut *mut c_void,
                num_bytes: usize,
                _stream: cudaStream_t,
            ) -> c_int {
                // SAFETY: the context is that of `Callbacks::of`, which outlives all that the library makes with it.
                let taken = unsafe { given(context) }.take($kind, num_bytes);
                // SAFETY: the library's variable.
                unsafe { memory.write(taken.map_or(ptr::null_mut(), NonNull::as_ptr)) };
                if taken.is_some() || num_bytes == 0 { 0 } else { OUT_OF_MEMORY }
            }

            unsafe extern "C" fn $give_back(
                context: *mut c_void,
                memory: *mut c_void,
                _num_bytes: usize,
                stream: cudaStream_t,
            ) -> c_int {
                if let Some(memory) = NonNull::new(memory) {
                    // SAFETY: as above.
                    unsafe { given(context) }.allocator.give_back($kind, memory, stream.cast());
                }
                0
            }
        )*
    };
}

callbacks! {
    take_device, give_device_back: Memory::Device;
    take_pinned, give_pinned_back: Memory::Pinned;
}

impl Context {
    fn take(&self, kind: Memory, num_bytes: usize) -> Option<NonNull<c_void>> {
        if num_bytes == 0 {
            return None;
        }
        let taken = self.allocator.take(kind, num_bytes);
        self.was_refused
            .fetch_or(taken.is_none(), Ordering::Relaxed);
        taken
    }
}

/// # Safety
/// `context` is that of callbacks that live.
unsafe fn given<'a>(context: *mut c_void) -> &'a Context {
    // SAFETY: the caller's promise.
    unsafe { &*context.cast_const().cast() }
}
