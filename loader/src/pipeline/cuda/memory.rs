//! Memory of the card, memory of the host that the card reads and writes by itself, and the copies between them.
//!
//! It knows nothing of images. A copy is only put onto a stream here; whoever asks for it keeps both ends alive until the stream has done it.
#![allow(unsafe_code)]

use std::mem::{self, ManuallyDrop};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr, PinnedHostSlice, result, sys};
use loader_card::{CardError, failed};
use loader_ipc::RingMemory;

/// Memory of the card, freed in the order of its stream, and counted until then.
#[derive(Debug)]
pub(super) struct DeviceMemory {
    slice: CudaSlice<u8>,
    counter: Arc<AtomicU64>,
}

impl DeviceMemory {
    /// Memory that holds anything.
    pub(super) fn new(
        stream: &Arc<CudaStream>,
        counter: &Arc<AtomicU64>,
        num_bytes: usize,
    ) -> Result<DeviceMemory, CardError> {
        // SAFETY: bytes are valid whatever they are.
        let slice = unsafe { stream.alloc::<u8>(num_bytes) };
        let slice = slice.map_err(failed("taking device memory"))?;
        let counter = Arc::clone(counter);
        counter.fetch_add(num_bytes as u64, Ordering::Relaxed);
        Ok(DeviceMemory { slice, counter })
    }

    /// Memory of zeros.
    pub(super) fn zeroed(
        stream: &Arc<CudaStream>,
        counter: &Arc<AtomicU64>,
        num_bytes: usize,
    ) -> Result<DeviceMemory, CardError> {
        let mut memory = DeviceMemory::new(stream, counter, num_bytes)?;
        let cleared = stream.memset_zeros(&mut memory.slice);
        cleared
            .map(|()| memory)
            .map_err(failed("clearing device memory"))
    }

    pub(super) fn address(&self) -> u64 {
        self.slice.device_ptr(self.slice.stream()).0
    }

    pub(super) fn num_bytes(&self) -> usize {
        self.slice.len()
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        let num_bytes = self.num_bytes() as u64;
        self.counter.fetch_sub(num_bytes, Ordering::Relaxed);
    }
}

/// Memory of the host that cannot be swapped out. It is kept where the card hangs.
#[derive(Debug)]
pub(super) struct PinnedMemory {
    slice: ManuallyDrop<PinnedHostSlice<u8>>,
    start: *mut u8,
    context: Arc<CudaContext>,
}

// SAFETY: `start` is that of `slice`, which may be used by any thread.
unsafe impl Send for PinnedMemory {}

/// A part of pinned memory that is written once.
#[derive(Debug)]
pub(super) struct Piece {
    start: *mut u8,
    num_bytes: usize,
}

impl PinnedMemory {
    pub(super) fn new(
        context: &Arc<CudaContext>,
        num_bytes: usize,
    ) -> Result<PinnedMemory, CardError> {
        // SAFETY: bytes are valid whatever they are. No flags: the host reads it, too.
        let slice = unsafe { context.alloc_pinned_with_flags::<u8>(num_bytes, 0) };
        let mut slice = slice.map_err(failed("taking pinned memory"))?;
        let start = slice
            .as_mut_ptr()
            .map_err(failed("looking at pinned memory"))?;
        Ok(PinnedMemory {
            slice: ManuallyDrop::new(slice),
            start,
            context: Arc::clone(context),
        })
    }

    pub(super) fn num_bytes(&self) -> usize {
        self.slice.len()
    }

    /// A part of it, to be written.
    ///
    /// # Safety
    /// Until it is written or dropped, the memory lives and nobody, the card included, uses this part of it.
    ///
    /// # Panics
    /// If it does not lie inside.
    pub(super) unsafe fn piece(&self, offset: usize, num_bytes: usize) -> Piece {
        let end = offset.checked_add(num_bytes);
        assert!(
            end.is_some_and(|end| end <= self.num_bytes()),
            "inside the memory"
        );
        let start = self.start.wrapping_add(offset);
        Piece { start, num_bytes }
    }

    /// What a part of it holds.
    ///
    /// # Safety
    /// Nobody writes the part for as long as it is looked at.
    pub(super) unsafe fn part(&self, offset: usize, num_bytes: usize) -> &[u8] {
        // SAFETY: upheld by the caller, as far as the part is looked at.
        unsafe { &self.bytes(offset + num_bytes)[offset..] }
    }

    /// What it holds.
    ///
    /// # Safety
    /// The card does not write it any more.
    pub(super) unsafe fn bytes(&self, num_bytes: usize) -> &[u8] {
        assert!(num_bytes <= self.num_bytes(), "inside the memory");
        // SAFETY: inside of the memory, which lives as long as the borrow; upheld by the caller, as said above.
        unsafe { std::slice::from_raw_parts(self.start, num_bytes) }
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        // The card might yet write it, and the driver would wait for that.
        if !loader_card::hangs(&self.context) {
            // SAFETY: dropped here alone.
            unsafe { ManuallyDrop::drop(&mut self.slice) };
        }
    }
}

impl Piece {
    /// Writes all of it.
    ///
    /// # Panics
    /// If `values` take another number of bytes.
    pub(super) fn write<T: Copy>(self, values: &[T]) {
        assert_eq!(
            size_of_val(values),
            self.num_bytes,
            "as many bytes as were asked for"
        );
        // SAFETY: `PinnedMemory::piece` gives a part that lies inside of the memory and that is this writer's alone.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr().cast(), self.start, self.num_bytes);
        }
    }
}

/// Copies the first bytes of `from` to those of `to`.
///
/// # Safety
/// Both live, and nobody writes `from`, until the stream has done it.
pub(super) unsafe fn upload(
    stream: &CudaStream,
    from: &PinnedMemory,
    to: &DeviceMemory,
    num_bytes: usize,
) -> Result<(), CardError> {
    assert!(num_bytes <= to.num_bytes(), "inside the memory");
    // SAFETY: nobody writes it, as the caller promises.
    let bytes = unsafe { from.bytes(num_bytes) };
    // SAFETY: the addresses are those of live memory of this size; upheld by the caller.
    unsafe { upload_to(stream, bytes, to.address()) }
}

/// Copies bytes to an address of the card.
///
/// # Safety
/// Both ends live, nobody writes `from`, and nobody else uses the other, until the stream has done it.
pub(super) unsafe fn upload_to(stream: &CudaStream, from: &[u8], to: u64) -> Result<(), CardError> {
    bind(stream)?;
    // SAFETY: upheld by the caller.
    let put = unsafe { result::memcpy_htod_async(to, from, stream.cu_stream()) };
    put.map_err(failed("copying to the card"))
}

/// Copies bytes of `from`, from `offset` on, to the host.
///
/// # Safety
/// `to` is memory that lives, and that nobody else uses, until the stream has done it; so does `from`.
pub(super) unsafe fn download(
    stream: &CudaStream,
    from: &DeviceMemory,
    offset: usize,
    to: &mut [u8],
) -> Result<(), CardError> {
    let end = offset.checked_add(to.len());
    assert!(
        end.is_some_and(|end| end <= from.num_bytes()),
        "inside the memory"
    );
    bind(stream)?;
    let address = from.address() + offset as u64;
    // SAFETY: the addresses are those of live memory of this size; upheld by the caller.
    let put = unsafe {
        sys::cuMemcpyDtoHAsync_v2(
            to.as_mut_ptr().cast(),
            address,
            to.len(),
            stream.cu_stream(),
        )
    };
    put.result().map_err(failed("copying from the card"))
}

/// The driver's own calls, unlike cudarc's, do not see to it that the context is the thread's.
fn bind(stream: &CudaStream) -> Result<(), CardError> {
    let bound = stream.context().bind_to_thread();
    bound.map_err(failed("making the card this thread's"))
}

impl PinnedMemory {
    /// Copies the first bytes of `from` to its own.
    ///
    /// # Safety
    /// Both live, and nobody uses this memory, until the stream has done it.
    pub(super) unsafe fn download(
        &self,
        stream: &CudaStream,
        from: &DeviceMemory,
        num_bytes: usize,
    ) -> Result<(), CardError> {
        assert!(num_bytes <= self.num_bytes(), "inside the memory");
        // SAFETY: inside of the memory; the rest is upheld by the caller.
        unsafe {
            let to = std::slice::from_raw_parts_mut(self.start, num_bytes);
            download(stream, from, 0, to)
        }
    }
}

/// A ring that the card writes by itself; no longer so when it is dropped, unless the card hangs.
#[derive(Debug)]
pub struct PinnedRing {
    memory: RingMemory,
    context: Arc<CudaContext>,
}

// SAFETY: the memory is only named, not touched.
unsafe impl Send for PinnedRing {}
// SAFETY: as above.
unsafe impl Sync for PinnedRing {}

impl PinnedRing {
    pub(super) fn register(
        context: &Arc<CudaContext>,
        memory: RingMemory,
    ) -> Result<PinnedRing, CardError> {
        let doing = "making the ring known to the card";
        context.bind_to_thread().map_err(failed(doing))?;
        let (address, num_bytes) = (memory.address().cast(), memory.num_bytes());
        // SAFETY: the mapping of the ring, which `memory` keeps until it is known no more.
        let known = unsafe {
            sys::cuMemHostRegister_v2(address, num_bytes, sys::CU_MEMHOSTREGISTER_PORTABLE)
        };
        known.result().map_err(failed(doing))?;
        let context = Arc::clone(context);
        Ok(PinnedRing { memory, context })
    }
}

impl Drop for PinnedRing {
    fn drop(&mut self) {
        if loader_card::hangs(&self.context) {
            // As above.
            return mem::forget(self.memory.clone());
        }
        self.context.record_err(self.context.bind_to_thread());
        // SAFETY: registered once, and no batch that is on its way to it is left: each holds the stream, which holds this.
        let forgotten = unsafe { sys::cuMemHostUnregister(self.memory.address().cast()) };
        self.context.record_err(forgotten.result());
    }
}
