//! Memory of the card and pinned memory: both are pages of the host, each piece with a page behind it that nobody may touch.

use std::collections::BTreeMap;
use std::{env, fs, ptr};

use crate::status::{INVALID_VALUE, OUT_OF_MEMORY, Status, complain};

const PAGE: usize = 4096;
/// What the driver promises of an address.
const ALIGN: usize = 256;

/// What a piece of memory was taken as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of the card with this number.
    Card(usize),
    Pinned,
}

#[derive(Debug)]
struct Piece {
    kind: Kind,
    num_bytes: usize,
    pages: usize,
    num_mapped: usize,
    is_given_back: bool,
}

/// All that was ever taken, by address.
#[derive(Debug)]
pub(crate) struct Memory {
    pieces: BTreeMap<usize, Piece>,
    /// What every card has.
    pub(crate) total: usize,
    used: BTreeMap<usize, usize>,
    next_garbage: u8,
}

impl Memory {
    /// Cards that have `total` bytes each.
    pub(crate) const fn new(total: usize) -> Memory {
        Memory {
            pieces: BTreeMap::new(),
            total,
            used: BTreeMap::new(),
            next_garbage: 0xA5,
        }
    }

    pub(crate) fn free_bytes(&self, card: usize) -> usize {
        self.total - self.used.get(&card).copied().unwrap_or(0)
    }

    /// Counts memory as used.
    pub(crate) fn count(&mut self, card: usize, num_bytes: usize) -> Result<(), Status> {
        if num_bytes > self.free_bytes(card) {
            return Err(OUT_OF_MEMORY);
        }
        *self.used.entry(card).or_default() += num_bytes;
        self.tell(card);
        Ok(())
    }

    /// Counts it as free again.
    pub(crate) fn uncount(&mut self, card: usize, num_bytes: usize) {
        *self.used.get_mut(&card).expect("it was counted") -= num_bytes;
        self.tell(card);
    }

    fn tell(&self, card: usize) {
        if let Some(path) = env::var_os("STANDIN_USED") {
            let told = fs::write(path, self.used[&card].to_string());
            told.expect("the file can be written");
        }
    }

    /// Knows pages of others as memory of the card.
    pub(crate) fn know(&mut self, card: usize, address: usize, num_bytes: usize) {
        let piece = Piece {
            kind: Kind::Card(card),
            num_bytes,
            pages: address,
            num_mapped: num_bytes,
            is_given_back: false,
        };
        self.pieces.insert(address, piece);
    }

    /// Does not know them any more.
    pub(crate) fn forget(&mut self, address: usize) {
        self.pieces.remove(&address);
    }

    /// Memory full of garbage.
    pub(crate) fn take(&mut self, kind: Kind, num_bytes: usize) -> Result<usize, Status> {
        if num_bytes == 0 {
            return Err(INVALID_VALUE);
        }
        if let Kind::Card(card) = kind {
            self.count(card, num_bytes)?;
        }
        let room = num_bytes.next_multiple_of(ALIGN);
        let num_mapped = room.next_multiple_of(PAGE) + PAGE;
        let (prot, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: new pages, of which the last one is closed; what is filled lies before it.
        let (pages, address) = unsafe {
            let pages = libc::mmap(ptr::null_mut(), num_mapped, prot, flags, -1, 0);
            if pages == libc::MAP_FAILED {
                return Err(OUT_OF_MEMORY);
            }
            let behind = pages.byte_add(num_mapped - PAGE);
            assert_eq!(libc::mprotect(behind, PAGE, libc::PROT_NONE), 0);
            // It ends as near to the closed page as its alignment allows.
            let start = behind.byte_sub(room);
            start.cast::<u8>().write_bytes(self.next_garbage, room);
            (pages.addr(), start.addr())
        };
        self.next_garbage = self.next_garbage.wrapping_mul(5).wrapping_add(3);
        let piece = Piece {
            kind,
            num_bytes,
            pages,
            num_mapped,
            is_given_back: false,
        };
        self.pieces.insert(address, piece);
        Ok(address)
    }

    /// Memory of a card that is closed until a stream opens it.
    pub(crate) fn take_closed(&mut self, card: usize, num_bytes: usize) -> Result<usize, Status> {
        let address = self.take(Kind::Card(card), num_bytes)?;
        self.pieces[&address].protect(libc::PROT_NONE);
        Ok(address)
    }

    /// A stream has come to where it was taken.
    pub(crate) fn open(&mut self, address: usize) {
        self.pieces[&address].protect(libc::PROT_READ | libc::PROT_WRITE);
    }

    /// Closes memory for ever: its addresses are never used again.
    pub(crate) fn give_back(&mut self, address: usize) -> Result<(), Status> {
        let piece = self.pieces.get_mut(&address).ok_or(INVALID_VALUE)?;
        if piece.is_given_back {
            complain("memory is given back twice");
        }
        piece.is_given_back = true;
        let (kind, num_bytes) = (piece.kind, piece.num_bytes);
        if let Kind::Card(card) = kind {
            self.uncount(card, num_bytes);
        }
        self.pieces[&address].close();
        Ok(())
    }

    /// How much was asked for at an address that was given out.
    pub(crate) fn num_bytes(&self, address: usize) -> Option<usize> {
        self.pieces.get(&address).map(|piece| piece.num_bytes)
    }

    /// Complains unless these bytes are that card's.
    pub(crate) fn check(&self, card: usize, address: usize, num_bytes: usize, what: &str) {
        let before = self.pieces.range(..=address).next_back();
        let holds = |(start, piece): (&usize, &Piece)| {
            piece.kind == Kind::Card(card)
                && !piece.is_given_back
                && address + num_bytes <= start + piece.num_bytes
        };
        if !before.is_some_and(holds) {
            complain(&format!(
                "{what} is not, or not any more, memory of card {card}"
            ));
        }
    }
}

impl Piece {
    /// All pages but the last, which is closed anyway.
    fn protect(&self, prot: libc::c_int) {
        let pages = ptr::with_exposed_provenance_mut(self.pages);
        // SAFETY: pages that were mapped by `take` and never given back.
        let answer = unsafe { libc::mprotect(pages, self.num_mapped - PAGE, prot) };
        assert_eq!(answer, 0);
    }

    /// Gives the system what they held, and closes them.
    fn close(&self) {
        let pages = ptr::with_exposed_provenance_mut(self.pages);
        // SAFETY: as above.
        unsafe { libc::madvise(pages, self.num_mapped, libc::MADV_DONTNEED) };
        self.protect(libc::PROT_NONE);
    }
}

/// Says what it means that closed memory is touched; the process then ends as it would without that.
pub(crate) fn explain_faults() {
    extern "C" fn explain(_: libc::c_int) {
        let line = b"stand-in of the driver: memory is used that was given back, that its stream has not come to yet, or that lies behind what was taken\n";
        // SAFETY: both calls may be made by a handler. The fault comes again, and then ends the process.
        unsafe {
            libc::write(2, line.as_ptr().cast(), line.len());
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        }
    }
    let handler: extern "C" fn(libc::c_int) = explain;
    // SAFETY: the handler does what a handler may.
    unsafe { libc::signal(libc::SIGSEGV, handler as libc::sighandler_t) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_holds_garbage_and_ends_when_it_is_used_up() {
        let mut memory = Memory::new(1000);
        let address = memory.take(Kind::Card(0), 600).unwrap();
        // SAFETY: it was just taken.
        let bytes =
            unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance::<u8>(address), 600) };
        assert!(bytes.iter().all(|byte| *byte != 0));
        assert_eq!(address % ALIGN, 0);
        assert_eq!(memory.take(Kind::Card(0), 600), Err(OUT_OF_MEMORY));
        assert!(memory.take(Kind::Card(1), 600).is_ok());
        assert!(memory.take(Kind::Pinned, 600).is_ok());
        memory.give_back(address).unwrap();
        let other = memory.take(Kind::Card(0), 600).unwrap();
        assert_ne!(other, address, "addresses are not used again");
        assert_eq!(memory.give_back(other + 1), Err(INVALID_VALUE));
    }
}
