//! Memory of a card that processes share: one takes and exports it, others import the descriptor; all map it.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use cudarc::driver::sys::{
    CUdevice_attribute, CUmemAccess_flags, CUmemAccessDesc, CUmemAllocationGranularity_flags,
    CUmemAllocationHandleType, CUmemAllocationProp, CUmemAllocationType,
    CUmemGenericAllocationHandle, CUmemLocation, CUmemLocationType,
};
use cudarc::driver::{CudaContext, sys};
use loader_ipc::{CardId, ErrorKind, Reason};

use crate::driver::{self, Bound};
use crate::error::{CardError, failed};
use crate::fence::Fence;
use crate::patience;

const DESCRIPTOR: CUmemAllocationHandleType =
    CUmemAllocationHandleType::CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

/// Memory of a card, zeroed, that other processes can map. It is freed when the last of them lets go of it.
#[derive(Debug)]
pub struct ExportedMemory {
    mapping: Mapping,
    card: CardId,
}

/// Memory that another process has exported.
#[derive(Debug)]
pub(crate) struct ImportedMemory(Mapping);

/// A piece of memory and the addresses where it lies.
#[derive(Debug)]
struct Mapping {
    context: Arc<CudaContext>,
    address: u64,
    num_bytes: usize,
    allocation: Allocation,
}

/// Keeps memory while it is not mapped.
#[derive(Debug)]
struct Allocation {
    context: Arc<CudaContext>,
    handle: CUmemGenericAllocationHandle,
}

/// Addresses that nothing else gets.
struct Reservation {
    address: u64,
    num_bytes: usize,
}

impl ExportedMemory {
    /// Takes at least `num_bytes` of the context's card.
    ///
    /// # Errors
    /// That the driver exports no memory, or has too little.
    pub fn new(context: &Arc<CudaContext>, num_bytes: usize) -> Result<ExportedMemory, Reason> {
        let take = || -> Result<ExportedMemory, CardError> {
            patience::check_answers(context)?;
            let _bound = Bound::to(context)?;
            let card = driver::id_of_context(context)?;
            let mapping = Mapping::new(Allocation::take(context, num_bytes)?, num_bytes)?;
            let mapping = mapping.cleared()?;
            Ok(ExportedMemory { mapping, card })
        };
        check_exports(context)?;
        take().map_err(|error| match error.is_out_of_memory() {
            true => {
                let what = format!("the card has no room for a ring of {} MiB", num_bytes >> 20);
                let remedy = "make batches smaller, take fewer slots, or free memory of the card";
                Reason::new(ErrorKind::Resources, what, error.to_string(), remedy)
            }
            false => error.not_shared(String::new(), "see the driver's messages (dmesg)"),
        })
    }

    /// The card that it is of.
    pub fn card(&self) -> CardId {
        self.card
    }

    /// All that it takes.
    pub fn num_bytes(&self) -> usize {
        self.mapping.num_bytes
    }

    /// Its first byte, for the card.
    pub fn address(&self) -> u64 {
        self.mapping.address
    }

    /// A descriptor of it, for another process.
    ///
    /// # Errors
    /// When the driver makes none.
    pub fn export(&self) -> Result<OwnedFd, Reason> {
        let export = || -> Result<OwnedFd, CardError> {
            let _bound = Bound::to(&self.mapping.context)?;
            let mut descriptor = -1;
            // SAFETY: the memory lives; the driver writes one descriptor.
            let exported = unsafe {
                sys::cuMemExportToShareableHandle(
                    (&raw mut descriptor).cast(),
                    self.mapping.allocation.handle,
                    DESCRIPTOR,
                    0,
                )
            };
            exported.result().map_err(failed("exporting memory"))?;
            // SAFETY: a new descriptor that nobody else has.
            Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
        };
        export().map_err(|error| {
            error.not_shared(
                self.card.to_string(),
                "see the driver's messages (dmesg), and the limit of descriptors (ulimit -n)",
            )
        })
    }
}

impl ImportedMemory {
    /// Maps at least `num_bytes` of what `descriptor` stands for.
    pub(crate) fn new(
        card: CardId,
        descriptor: &OwnedFd,
        num_bytes: usize,
    ) -> Result<ImportedMemory, Reason> {
        driver::check_present()?;
        let _bound = Bound::new();
        let context = driver::context_of(card)?;
        let import = || Mapping::new(Allocation::import(&context, descriptor)?, num_bytes);
        let imported = import().map_err(|error| {
            let remedy = "let both processes see the card alike (driver, container), or take the views in memory of the host";
            error.not_shared(card.to_string(), remedy)
        });
        imported.map(ImportedMemory)
    }

    pub(crate) fn address(&self) -> u64 {
        self.0.address
    }

    pub(crate) fn context(&self) -> &Arc<CudaContext> {
        &self.0.context
    }
}

impl Mapping {
    /// Maps an allocation. The context is the thread's.
    fn new(allocation: Allocation, num_bytes: usize) -> Result<Mapping, CardError> {
        let context = Arc::clone(&allocation.context);
        let num_bytes = rounded(&context, num_bytes)?;
        let reservation = Reservation::take(num_bytes)?;
        let address = reservation.address;
        // SAFETY: addresses that were just reserved, and memory that lives as long as its handle or its mapping.
        let mapped = unsafe { sys::cuMemMap(address, num_bytes, 0, allocation.handle, 0) };
        mapped.result().map_err(failed("mapping memory"))?;
        std::mem::forget(reservation);
        // From here on dropping it gives everything back.
        let mapping = Mapping {
            address,
            num_bytes,
            allocation,
            context,
        };
        let access = CUmemAccessDesc {
            location: location(&mapping.context),
            flags: CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
        };
        // SAFETY: mapped above.
        let opened = unsafe { sys::cuMemSetAccess(address, num_bytes, &raw const access, 1) };
        opened
            .result()
            .map_err(failed("opening memory to the card"))?;
        Ok(mapping)
    }

    fn cleared(self) -> Result<Mapping, CardError> {
        // SAFETY: mapped, and nobody else knows it.
        let cleared = unsafe { sys::cuMemsetD8_v2(self.address, 0, self.num_bytes) };
        let doing = "clearing memory";
        cleared.result().map_err(failed(doing))?;
        // The default stream clears it.
        let fence = Fence::record(&self.context, 0);
        let waited = fence.and_then(|fence| patience::wait(&self.context, doing, || fence.asked()));
        match waited {
            Ok(()) => Ok(self),
            Err(error) => {
                // The card might yet write there, so it is never given back.
                std::mem::forget(self);
                Err(error)
            }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // What a card that hangs may yet write is nobody else's, and the driver would wait for it.
        if patience::hangs(&self.context) {
            std::mem::forget(Arc::clone(&self.context));
            return;
        }
        // A driver that refuses any of this has failed, which the next call of another kind tells.
        let Ok(_bound) = Bound::to(&self.context) else {
            return;
        };
        // SAFETY: mapped once, by `new`; whoever holds this sees to it that no stream uses it any more.
        let unmapped = unsafe { sys::cuMemUnmap(self.address, self.num_bytes) };
        if unmapped.result().is_ok() {
            drop(Reservation {
                address: self.address,
                num_bytes: self.num_bytes,
            });
        }
    }
}

impl Allocation {
    fn take(context: &Arc<CudaContext>, num_bytes: usize) -> Result<Allocation, CardError> {
        let num_bytes = rounded(context, num_bytes)?;
        let properties = properties(context);
        Allocation::of(context, "taking memory to share", |handle| {
            // SAFETY: the driver reads the properties and writes a handle.
            unsafe { sys::cuMemCreate(handle, num_bytes, &raw const properties, 0) }
        })
    }

    fn import(context: &Arc<CudaContext>, descriptor: &OwnedFd) -> Result<Allocation, CardError> {
        let os_handle = ptr::without_provenance_mut(descriptor.as_raw_fd() as usize);
        Allocation::of(context, "importing memory", |handle| {
            // SAFETY: a descriptor by its number, as this kind of handle is passed; the driver checks what it is.
            unsafe { sys::cuMemImportFromShareableHandle(handle, os_handle, DESCRIPTOR) }
        })
    }

    fn of(
        context: &Arc<CudaContext>,
        doing: &'static str,
        call: impl FnOnce(*mut CUmemGenericAllocationHandle) -> sys::CUresult,
    ) -> Result<Allocation, CardError> {
        let mut handle = 0;
        call(&raw mut handle).result().map_err(failed(doing))?;
        let context = Arc::clone(context);
        Ok(Allocation { context, handle })
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        if let Ok(_bound) = Bound::to(&self.context) {
            // SAFETY: a handle of ours; what is mapped stays until it is unmapped.
            let _ = unsafe { sys::cuMemRelease(self.handle) };
        }
    }
}

impl Reservation {
    fn take(num_bytes: usize) -> Result<Reservation, CardError> {
        let mut address = 0;
        // SAFETY: the driver writes an address.
        let reserved = unsafe { sys::cuMemAddressReserve(&raw mut address, num_bytes, 0, 0, 0) };
        reserved.result().map_err(failed("reserving addresses"))?;
        Ok(Reservation { address, num_bytes })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: reserved by `take`, and nothing is mapped there.
        let _ = unsafe { sys::cuMemAddressFree(self.address, self.num_bytes) };
    }
}

fn check_exports(context: &CudaContext) -> Result<(), Reason> {
    let attribute =
        CUdevice_attribute::CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED;
    let exports = context
        .attribute(attribute)
        .map_err(failed("asking what the card can do"));
    match exports {
        Ok(1..) => Ok(()),
        Ok(_) => {
            let remedy = "take the views in memory of the host";
            Err(Reason::new(
                ErrorKind::Library,
                "the card's driver exports no memory",
                "",
                remedy,
            ))
        }
        Err(error) => Err(error.not_shared(String::new(), "see the driver's messages (dmesg)")),
    }
}

/// Memory is shared in pieces of this size, the same on both sides.
fn rounded(context: &CudaContext, num_bytes: usize) -> Result<usize, CardError> {
    let mut piece = 0;
    let properties = properties(context);
    let least = CUmemAllocationGranularity_flags::CU_MEM_ALLOC_GRANULARITY_MINIMUM;
    // SAFETY: the driver reads the properties and writes a number.
    let asked =
        unsafe { sys::cuMemGetAllocationGranularity(&raw mut piece, &raw const properties, least) };
    asked
        .result()
        .map_err(failed("asking for the size of pieces"))?;
    Ok(num_bytes.next_multiple_of(piece.max(1)))
}

fn properties(context: &CudaContext) -> CUmemAllocationProp {
    // SAFETY: plain numbers and a null pointer.
    let nothing = unsafe { MaybeUninit::<CUmemAllocationProp>::zeroed().assume_init() };
    CUmemAllocationProp {
        type_: CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED,
        requestedHandleTypes: DESCRIPTOR,
        location: location(context),
        ..nothing
    }
}

fn location(context: &CudaContext) -> CUmemLocation {
    CUmemLocation {
        type_: CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE,
        id: context.cu_device(),
    }
}
