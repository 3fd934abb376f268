//! The two pieces of memory that both processes map, and the only place that creates or maps them.
//!
//! Both are `memfd`s: they have no name to leave behind and vanish with their last holder. Both are sealed against resizing, so that no peer
//! can turn our accesses into `SIGBUS`; a segment that came without that seal is refused.
//!
//! * The **views** are sealed against writing, too, once the daemon has mapped them: nobody else can map or write them, by whatever way he
//!   comes to a descriptor.
//! * The **control** segment (turn words) is written by both sides, as atomics only.
//!
//! All pages are reserved at creation. Offsets are checked here, once, for every access.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};

use crate::error::IpcError;
use crate::layout::Layout;
use crate::memory::{self, Room};
use crate::sync::{AtomicU32, AtomicU64};

/// Seals of both segments: no size but this one, and no other seals.
const FIXED: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);
const MIB: u64 = 1 << 20;

/// A mapped shared segment of a fixed size.
#[derive(Debug)]
pub(crate) struct Segment {
    map: MmapRaw,
    len: usize,
    file: File,
}

impl Segment {
    /// A zeroed views segment, every page reserved, that nobody else can write.
    pub(crate) fn create_views(layout: &Layout) -> Result<Segment, IpcError> {
        let bytes = layout.views_bytes();
        check_room(memory::room(), layout)?;
        let file = create("sslight-views", bytes)?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes as u64)
            .map_err(|errno| not_reserved(errno, layout))?;
        let segment = Segment::map(file, bytes, true)?;
        // Only new mappings and writes are refused from here on; ours stays writable.
        seal(&segment.file, FIXED | SealFlags::FUTURE_WRITE)?;
        Ok(segment)
    }

    /// A zeroed control segment of `bytes`.
    pub(crate) fn create_control(bytes: usize) -> Result<Segment, IpcError> {
        let file = create("sslight-control", bytes)?;
        seal(&file, FIXED)?;
        Segment::map(file, bytes, true)
    }

    /// Maps a segment that the peer sent, after checking that it is as large as agreed and stays so.
    pub(crate) fn open(fd: OwnedFd, bytes: usize, writable: bool) -> Result<Segment, IpcError> {
        let file = File::from(fd);
        // What is no memfd has no seals to ask for, which is an error here.
        let is_fixed =
            rustix::fs::fcntl_get_seals(&file).is_ok_and(|seals| seals.contains(SealFlags::SHRINK));
        if !is_fixed {
            let what = "a segment that is not sealed against shrinking".to_owned();
            return Err(IpcError::Corrupt { what });
        }
        let len = file
            .metadata()
            .map_err(IpcError::io("cannot look at the peer's segment"))?
            .len();
        if len < bytes as u64 {
            return Err(IpcError::Corrupt {
                what: format!("a segment of {len} bytes where {bytes} were agreed"),
            });
        }
        Segment::map(file, bytes, writable)
    }

    fn map(file: File, len: usize, writable: bool) -> Result<Segment, IpcError> {
        let mut options = MmapOptions::new();
        options.len(len);
        let map = if writable {
            options.map_raw(&file)
        } else {
            options.map_raw_read_only(&file)
        };
        let map = map.map_err(IpcError::io(format!(
            "cannot map a shared segment of {len} bytes"
        )))?;
        Ok(Segment { map, len, file })
    }

    /// A descriptor of the same memory, to hand to the peer; the seals say what he can do with it.
    pub(crate) fn fd(&self) -> Result<OwnedFd, IpcError> {
        self.file
            .as_fd()
            .try_clone_to_owned()
            .map_err(IpcError::io("cannot duplicate a descriptor"))
    }

    /// Pointer to `len` bytes at `offset`; panics when they do not lie inside the segment.
    pub(crate) fn bytes(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "range inside the segment"
        );
        self.map.as_mut_ptr().wrapping_add(offset)
    }

    /// The 32-bit word at `offset`, shared with the peer.
    #[allow(unsafe_code)]
    pub(crate) fn word(&self, offset: usize) -> &AtomicU32 {
        let ptr = self.bytes(offset, 4).cast::<u32>();
        assert!(ptr.is_aligned());
        // SAFETY: inside the mapping (checked above), aligned, mapped as long as `self` lives, and only ever accessed as an
        // atomic by both processes (the control segment holds nothing but atomics after its creation).
        unsafe { AtomicU32::from_ptr(ptr) }
    }

    /// The 64-bit counter at `offset`, shared with the peer; only to be loaded (relaxed) where the segment is mapped read-only.
    #[allow(unsafe_code)]
    pub(crate) fn counter(&self, offset: usize) -> &AtomicU64 {
        let ptr = self.bytes(offset, 8).cast::<u64>();
        assert!(ptr.is_aligned());
        // SAFETY: as for `word`. Of the views, the subscriber loads what the daemon wrote before it published the slot; a daemon that writes
        // nevertheless gives it another number, never an invalid one. Relaxed loads of 64 bits work on read-only memory.
        unsafe { AtomicU64::from_ptr(ptr) }
    }
}

fn create(name: &str, bytes: usize) -> Result<File, IpcError> {
    let create = || -> io::Result<OwnedFd> {
        let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&fd, bytes as u64)?;
        Ok(fd)
    };
    let what = format!(
        "cannot create the segment {name} of {} MiB",
        (bytes as u64).div_ceil(MIB)
    );
    create().map(File::from).map_err(IpcError::io(what))
}

fn seal(file: &File, seals: SealFlags) -> Result<(), IpcError> {
    let what = "cannot seal a shared segment (Linux 5.1 or later can)";
    rustix::fs::fcntl_add_seals(file, seals).map_err(|errno| IpcError::io(what)(errno.into()))
}

/// Refuses a ring that `room` cannot hold.
fn check_room(room: Option<Room>, layout: &Layout) -> Result<(), IpcError> {
    let needed = layout.views_bytes() as u64;
    match room {
        Some(room) if room.bytes < needed => Err(IpcError::SharedMemory {
            needed_mib: needed.div_ceil(MIB),
            free_mib: room.bytes / MIB,
            whose: room.whose,
            num_slots: layout.num_slots as u32,
        }),
        _ => Ok(()),
    }
}

fn not_reserved(errno: rustix::io::Errno, layout: &Layout) -> IpcError {
    let full = [rustix::io::Errno::NOSPC, rustix::io::Errno::NOMEM];
    let none = Room {
        bytes: 0,
        whose: "the kernel".to_owned(),
    };
    match check_room(Some(none), layout) {
        Err(too_little) if full.contains(&errno) => too_little,
        _ => IpcError::io("cannot reserve shared memory")(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::layout::Geometry;
    use crate::recipe::Recipe;
    use crate::sync::Ordering;

    fn layout() -> Layout {
        Geometry::new(&Recipe::evaluation(16, 8), 2, 3)
            .layout()
            .unwrap()
    }

    #[test]
    fn the_peer_can_neither_write_nor_map_the_views_writable_nor_get_them_otherwise() {
        let layout = layout();
        let views = Segment::create_views(&layout).unwrap();
        let handed = File::from(views.fd().unwrap());
        let reopened = File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/self/fd/{}", handed.as_raw_fd()))
            .unwrap();
        for mut file in [handed, reopened] {
            assert!(
                MmapOptions::new()
                    .len(layout.views_bytes())
                    .map_raw(&file)
                    .is_err()
            );
            assert!(file.write_all(b"x").is_err());
            assert!(file.set_len(16).is_err());
        }
    }

    #[test]
    fn a_segment_that_could_shrink_is_refused() {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let unsealed = rustix::fs::memfd_create("test", flags).unwrap();
        rustix::fs::ftruncate(&unsealed, 8192).unwrap();
        let on_disk = tempfile::tempfile().unwrap();
        on_disk.set_len(8192).unwrap();
        for fd in [unsealed, on_disk.into()] {
            let refused = Segment::open(fd, 8192, false).unwrap_err();
            assert!(refused.to_string().contains("sealed"), "{refused}");
        }
    }

    #[test]
    fn the_peer_cannot_shrink_the_control_segment() {
        let control = Segment::create_control(4096).unwrap();
        assert!(File::from(control.fd().unwrap()).set_len(16).is_err());
    }

    #[test]
    fn a_ring_larger_than_the_room_is_refused_with_both_numbers_and_whose_room_it_is() {
        let layout = Geometry::new(&Recipe::evaluation(224, 224), 128, 4)
            .layout()
            .unwrap();
        let room = |bytes| Room {
            bytes,
            whose: "the memory limit of /pod".into(),
        };
        let refused = check_room(Some(room(10 * MIB)), &layout).unwrap_err();
        for words in ["/pod: 74 MiB needed, 10 MiB free", "4 slots", "fewer slots"] {
            assert!(refused.to_string().contains(words), "{refused}");
        }
        assert!(check_room(Some(room(layout.views_bytes() as u64)), &layout).is_ok());
        assert!(check_room(None, &layout).is_ok());
    }

    #[test]
    fn a_segment_smaller_than_agreed_is_refused() {
        let control = Segment::create_control(4096).unwrap();
        let refused = Segment::open(control.fd().unwrap(), 8192, true);
        assert!(matches!(refused, Err(IpcError::Corrupt { .. })));
    }

    #[test]
    fn both_mappings_show_the_same_words() {
        let ours = Segment::create_control(4096).unwrap();
        let theirs = Segment::open(ours.fd().unwrap(), 4096, true).unwrap();
        ours.word(128).store(7, Ordering::Release);
        assert_eq!(theirs.word(128).load(Ordering::Acquire), 7);
    }

    #[test]
    #[should_panic(expected = "range inside the segment")]
    fn an_offset_outside_the_segment_is_never_touched() {
        Segment::create_control(4096).unwrap().bytes(4090, 8);
    }
}
