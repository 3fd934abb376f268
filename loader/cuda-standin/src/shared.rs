//! Memory of the card that processes share: files without a name, mapped where addresses were reserved. Several processes with this library have one card.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::memory::Memory;
use crate::status::{INVALID_VALUE, OUT_OF_MEMORY, Status, complain};

/// Memory is shared in pieces of this size: large enough that whoever does not round fails.
pub(crate) const PIECE: usize = 64 << 10;

#[derive(Debug)]
struct Allocation {
    file: OwnedFd,
    card: usize,
    num_bytes: usize,
    /// Taken here, not imported.
    is_ours: bool,
    num_mappings: usize,
    is_released: bool,
}

#[derive(Debug)]
struct Reservation {
    num_bytes: usize,
    /// The allocation that is mapped there.
    mapped: Option<u64>,
}

/// All that is shared, by handle, and all addresses that were ever reserved.
#[derive(Debug)]
pub(crate) struct Shared {
    allocations: BTreeMap<u64, Allocation>,
    reservations: BTreeMap<usize, Reservation>,
    last_handle: u64,
}

impl Shared {
    pub(crate) const fn new() -> Shared {
        Shared {
            allocations: BTreeMap::new(),
            reservations: BTreeMap::new(),
            last_handle: 0xE0,
        }
    }

    /// Takes memory full of garbage.
    pub(crate) fn take(
        &mut self,
        num_bytes: usize,
        card: usize,
        memory: &mut Memory,
    ) -> Result<u64, Status> {
        check_size(num_bytes)?;
        memory.count(card, num_bytes)?;
        // SAFETY: a new file without a name, which is this large before it is looked at.
        let file = unsafe {
            let file = libc::memfd_create(c"card".as_ptr(), libc::MFD_CLOEXEC);
            assert!(file >= 0, "a file without a name");
            let file = OwnedFd::from_raw_fd(file);
            if libc::ftruncate(file.as_raw_fd(), num_bytes as libc::off_t) != 0 {
                return Err(OUT_OF_MEMORY);
            }
            let pages = map(
                file.as_raw_fd(),
                ptr::null_mut(),
                num_bytes,
                libc::PROT_WRITE,
            );
            pages.cast::<u8>().write_bytes(0x5C, num_bytes);
            libc::munmap(pages, num_bytes);
            file
        };
        Ok(self.keep(file, card, num_bytes, true))
    }

    /// A descriptor of an allocation that is the caller's.
    pub(crate) fn export(&self, handle: u64) -> Result<RawFd, Status> {
        let allocation = self.allocations.get(&handle).ok_or(INVALID_VALUE)?;
        // SAFETY: a descriptor that lives.
        match unsafe { libc::fcntl(allocation.file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) } {
            -1 => Err(OUT_OF_MEMORY),
            descriptor => Ok(descriptor),
        }
    }

    /// An allocation of another process, or of this one. The descriptor stays the caller's.
    pub(crate) fn import(&mut self, descriptor: RawFd, card: usize) -> Result<u64, Status> {
        // SAFETY: any number may be asked for; the answer is plain numbers.
        let (file, status) = unsafe {
            let mut status = std::mem::zeroed::<libc::stat>();
            let file = libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0);
            if file == -1 || libc::fstat(file, &raw mut status) != 0 {
                return Err(INVALID_VALUE);
            }
            (OwnedFd::from_raw_fd(file), status)
        };
        let num_bytes = status.st_size as usize;
        check_size(num_bytes)?;
        Ok(self.keep(file, card, num_bytes, false))
    }

    fn keep(&mut self, file: OwnedFd, card: usize, num_bytes: usize, is_ours: bool) -> u64 {
        self.last_handle += 1;
        let allocation = Allocation {
            file,
            card,
            num_bytes,
            is_ours,
            num_mappings: 0,
            is_released: false,
        };
        self.allocations.insert(self.last_handle, allocation);
        self.last_handle
    }

    /// Gives a handle back; what is mapped stays.
    pub(crate) fn release(&mut self, handle: u64, memory: &mut Memory) -> Result<(), Status> {
        let allocation = self.allocations.get_mut(&handle).ok_or(INVALID_VALUE)?;
        if allocation.is_released {
            complain("a handle is given back twice");
        }
        allocation.is_released = true;
        self.forget_unused(handle, memory);
        Ok(())
    }

    /// Addresses that nothing else gets, and that cannot be touched.
    pub(crate) fn reserve(&mut self, num_bytes: usize) -> Result<usize, Status> {
        check_size(num_bytes)?;
        let address = closed(ptr::null_mut(), num_bytes);
        let mapped = None;
        self.reservations
            .insert(address, Reservation { num_bytes, mapped });
        Ok(address)
    }

    /// Ends a reservation; its addresses stay closed for ever.
    pub(crate) fn end_reservation(&mut self, address: usize) -> Result<(), Status> {
        let reservation = self.reservations.remove(&address).ok_or(INVALID_VALUE)?;
        if reservation.mapped.is_some() {
            complain("addresses are given back where memory is mapped");
        }
        Ok(())
    }

    /// Maps a whole allocation; it still cannot be touched.
    pub(crate) fn map(
        &mut self,
        address: usize,
        num_bytes: usize,
        handle: u64,
    ) -> Result<(), Status> {
        let reservation = self.reservations.get_mut(&address).ok_or(INVALID_VALUE)?;
        let allocation = self.allocations.get_mut(&handle).ok_or(INVALID_VALUE)?;
        let is_whole = [reservation.num_bytes, allocation.num_bytes] == [num_bytes; 2];
        if !is_whole || allocation.is_released || reservation.mapped.is_some() {
            return Err(INVALID_VALUE);
        }
        let pages = ptr::with_exposed_provenance_mut(address);
        // SAFETY: pages of a reservation, and a file of this size.
        unsafe {
            map(
                allocation.file.as_raw_fd(),
                pages,
                num_bytes,
                libc::PROT_NONE,
            )
        };
        allocation.num_mappings += 1;
        reservation.mapped = Some(handle);
        Ok(())
    }

    /// Opens mapped memory to the card.
    pub(crate) fn open(
        &self,
        address: usize,
        num_bytes: usize,
        memory: &mut Memory,
    ) -> Result<(), Status> {
        let reservation = self.reservations.get(&address).ok_or(INVALID_VALUE)?;
        let handle = reservation.mapped.ok_or(INVALID_VALUE)?;
        if reservation.num_bytes != num_bytes {
            return Err(INVALID_VALUE);
        }
        let (pages, both) = (
            ptr::with_exposed_provenance_mut(address),
            libc::PROT_READ | libc::PROT_WRITE,
        );
        // SAFETY: pages that `map` has mapped.
        assert_eq!(unsafe { libc::mprotect(pages, num_bytes, both) }, 0);
        memory.know(self.allocations[&handle].card, address, num_bytes);
        Ok(())
    }

    /// Closes mapped memory. A stream that still uses it will fault, as the driver does not wait for it.
    pub(crate) fn unmap(&mut self, address: usize, memory: &mut Memory) -> Result<(), Status> {
        let reservation = self.reservations.get_mut(&address).ok_or(INVALID_VALUE)?;
        let handle = reservation.mapped.take().ok_or(INVALID_VALUE)?;
        closed(
            ptr::with_exposed_provenance_mut(address),
            reservation.num_bytes,
        );
        memory.forget(address);
        let allocation = self.allocations.get_mut(&handle).expect("it is mapped");
        allocation.num_mappings -= 1;
        self.forget_unused(handle, memory);
        Ok(())
    }

    fn forget_unused(&mut self, handle: u64, memory: &mut Memory) {
        let allocation = &self.allocations[&handle];
        if allocation.is_released && allocation.num_mappings == 0 {
            if allocation.is_ours {
                memory.uncount(allocation.card, allocation.num_bytes);
            }
            self.allocations.remove(&handle);
        }
    }
}

fn check_size(num_bytes: usize) -> Result<(), Status> {
    match num_bytes > 0 && num_bytes.is_multiple_of(PIECE) {
        true => Ok(()),
        false => Err(INVALID_VALUE),
    }
}

/// Pages that nobody can touch, at `address` if it is not null.
fn closed(address: *mut libc::c_void, num_bytes: usize) -> usize {
    let fixed = if address.is_null() {
        0
    } else {
        libc::MAP_FIXED
    };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | fixed;
    // SAFETY: new pages, or those of a reservation.
    let pages = unsafe { libc::mmap(address, num_bytes, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(pages, libc::MAP_FAILED, "addresses");
    pages.expose_provenance()
}

/// Pages of a file, at `address` if it is not null.
///
/// # Safety
/// The address is null or that of a reservation, and the file is as large.
unsafe fn map(
    file: RawFd,
    address: *mut libc::c_void,
    num_bytes: usize,
    prot: i32,
) -> *mut libc::c_void {
    let fixed = if address.is_null() {
        0
    } else {
        libc::MAP_FIXED
    };
    // SAFETY: as said above.
    let pages = unsafe { libc::mmap(address, num_bytes, prot, libc::MAP_SHARED | fixed, file, 0) };
    assert_ne!(pages, libc::MAP_FAILED, "pages of a file");
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Maps an allocation.
    fn mapped(shared: &mut Shared, memory: &mut Memory, handle: u64) -> usize {
        let address = shared.reserve(PIECE).unwrap();
        shared.map(address, PIECE, handle).unwrap();
        shared.open(address, PIECE, memory).unwrap();
        address
    }

    #[test]
    fn an_imported_allocation_shows_the_same_bytes_and_is_counted_where_it_was_taken() {
        let mut memory = Memory::new(2 * PIECE);
        let mut shared = Shared::new();
        let taken = shared.take(PIECE, 0, &mut memory).unwrap();
        assert_eq!(memory.free_bytes(0), PIECE);
        assert_eq!(shared.take(2 * PIECE, 0, &mut memory), Err(OUT_OF_MEMORY));
        assert_eq!(shared.take(PIECE - 1, 0, &mut memory), Err(INVALID_VALUE));
        let descriptor = shared.export(taken).unwrap();
        let imported = shared.import(descriptor, 0).unwrap();
        // SAFETY: `export` gave it to this caller.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        let [ours, theirs] =
            [taken, imported].map(|handle| mapped(&mut shared, &mut memory, handle));
        let byte = |address| ptr::with_exposed_provenance_mut::<u8>(address);
        // SAFETY: both are mapped and open.
        unsafe {
            assert_eq!(byte(theirs).read_volatile(), 0x5C, "garbage");
            byte(ours).write_volatile(7);
            assert_eq!(byte(theirs).read_volatile(), 7);
        }
        shared.release(taken, &mut memory).unwrap();
        shared.unmap(ours, &mut memory).unwrap();
        shared.end_reservation(ours).unwrap();
        assert_eq!(memory.free_bytes(0), 2 * PIECE);
        // SAFETY: the other one is still mapped.
        let left = unsafe { byte(theirs).read_volatile() };
        assert_eq!(left, 7, "as long as anybody maps it");
        assert_eq!(shared.map(ours, PIECE, imported), Err(INVALID_VALUE));
    }
}
