//! The two pieces of memory that both processes map, and the only place that creates or maps them.
//!
//! * The **views** segment is an unnamed file on `/dev/shm` (`O_TMPFILE`, mode 0600): it counts against that file system, has
//!   no name to leave behind, and vanishes with its last holder. The subscriber gets a read-only descriptor, so it cannot map
//!   the views writable.
//! * The **control** segment (turn words) is a small `memfd` that both sides write, sealed against shrinking, so that no peer
//!   can turn our accesses into `SIGBUS`.
//!
//! All pages are reserved at creation. Offsets are checked here, once, for every access.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};

use crate::error::IpcError;
use crate::layout::Layout;
use crate::sync::{AtomicU32, AtomicU64};

const SHM: &str = "/dev/shm";
const MIB: u64 = 1 << 20;

/// A mapped shared segment of a fixed size.
#[derive(Debug)]
pub(crate) struct Segment {
    map: MmapRaw,
    len: usize,
    file: File,
}

impl Segment {
    /// A zeroed views segment, every page reserved.
    pub(crate) fn create_views(layout: &Layout) -> Result<Segment, IpcError> {
        let bytes = layout.views_bytes();
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let fd = rustix::fs::open(SHM, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| IpcError::io(format!("cannot create a segment in {SHM}"))(e.into()))?;
        rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, bytes as u64)
            .map_err(|errno| too_small(errno, layout))?;
        Segment::map(fd.into(), bytes, true)
    }

    /// A zeroed control segment of `bytes`, sealed against resizing.
    pub(crate) fn create_control(bytes: usize) -> Result<Segment, IpcError> {
        let create = || -> io::Result<OwnedFd> {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let fd = rustix::fs::memfd_create("sslight-control", flags)?;
            rustix::fs::ftruncate(&fd, bytes as u64)?;
            rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW)?;
            Ok(fd)
        };
        let fd = create().map_err(IpcError::io("cannot create the control segment"))?;
        Segment::map(fd.into(), bytes, true)
    }

    /// Maps a segment that the peer sent, after checking that it is as large as agreed.
    pub(crate) fn open(fd: OwnedFd, bytes: usize, writable: bool) -> Result<Segment, IpcError> {
        let file = File::from(fd);
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

    /// A read-only descriptor of the same memory, to hand to the peer.
    pub(crate) fn read_only_fd(&self) -> Result<OwnedFd, IpcError> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| IpcError::io("cannot reopen the views segment read-only")(e.into()))
    }

    /// A descriptor of the same memory with the same rights.
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

    /// The 64-bit counter at `offset`, shared with the peer.
    #[allow(unsafe_code)]
    pub(crate) fn counter(&self, offset: usize) -> &AtomicU64 {
        let ptr = self.bytes(offset, 8).cast::<u64>();
        assert!(ptr.is_aligned());
        // SAFETY: as for `word`.
        unsafe { AtomicU64::from_ptr(ptr) }
    }
}

fn too_small(errno: rustix::io::Errno, layout: &Layout) -> IpcError {
    if errno != rustix::io::Errno::NOSPC {
        return IpcError::io(format!("cannot reserve shared memory in {SHM}"))(errno.into());
    }
    let free = rustix::fs::statvfs(SHM).map_or(0, |fs| fs.f_bavail * fs.f_frsize);
    IpcError::SharedMemory {
        needed_mib: (layout.views_bytes() as u64).div_ceil(MIB),
        free_mib: free / MIB,
        num_slots: layout.num_slots as u32,
    }
}

#[cfg(test)]
mod tests {
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
    fn the_peer_cannot_map_the_views_writable() {
        let layout = layout();
        let views = Segment::create_views(&layout).unwrap();
        let fd = views.read_only_fd().unwrap();
        assert!(
            MmapOptions::new()
                .len(layout.views_bytes())
                .map_raw(&File::from(fd))
                .is_err()
        );
    }

    #[test]
    fn the_peer_cannot_shrink_the_control_segment() {
        let control = Segment::create_control(4096).unwrap();
        assert!(File::from(control.fd().unwrap()).set_len(16).is_err());
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
