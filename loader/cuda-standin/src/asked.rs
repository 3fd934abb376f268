//! What a real driver refuses, or does otherwise than the loader means, although the stand-in would not need to: sizes, flags and properties.

use std::ffi::{c_int, c_uint, c_void};

use crate::shared::PIECE;
use crate::status::complain;

/// What is wrong with what was asked for.
pub(crate) type Asked = Result<(), &'static str>;

/// `CUmemLocation`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Location {
    kind: c_int,
    id: c_int,
}

/// `CUmemAllocationProp`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Properties {
    kind: c_int,
    handles: c_int,
    location: Location,
    of_windows: *mut c_void,
    flags: [u8; 8],
}

/// `CUmemAccessDesc`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    location: Location,
    flags: c_int,
}

/// Blocks and threads of a launch along x, y and z.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) blocks: [c_uint; 3],
    pub(crate) threads: [c_uint; 3],
}

/// `CU_MEM_ALLOCATION_TYPE_PINNED`.
const PINNED: c_int = 1;
/// `CU_MEM_LOCATION_TYPE_DEVICE`.
const OF_DEVICE: c_int = 1;
/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`.
const DESCRIPTOR: c_int = 1;
/// `CU_MEM_ACCESS_FLAGS_PROT_READWRITE`.
const READ_AND_WRITE: c_int = 3;
/// `CU_MEMHOSTREGISTER_PORTABLE` and `CU_MEMHOSTREGISTER_DEVICEMAP`: the others are for memory that no card writes.
const OF_WRITTEN_MEMORY: c_uint = 3;
/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: c_uint = 1;
/// What vectors of a kernel's table are aligned to.
const ALIGN: usize = 16;

const MOST_THREADS: u64 = 1024;
const MOST_THREADS_Z: c_uint = 64;
const MOST_BLOCKS_X: c_uint = i32::MAX as c_uint;
const MOST_BLOCKS_YZ: c_uint = 65_535;

/// Ends the process where something is wrong.
pub(crate) fn must(asked: Asked) {
    if let Err(what) = asked {
        complain(what);
    }
}

impl Location {
    fn check(self, card: usize) -> Asked {
        match (self.kind, self.id) {
            (OF_DEVICE, id) if id == card as c_int => Ok(()),
            _ => Err("memory to share is asked for somewhere else than on the context's card"),
        }
    }
}

impl Properties {
    /// Of memory to share, with a context of `card`.
    pub(crate) fn check(&self, card: usize) -> Asked {
        self.location.check(card)?;
        match self {
            it if it.kind != PINNED => Err("memory to share is asked for that is not pinned"),
            it if it.handles != DESCRIPTOR => Err("memory to share has no descriptor"),
            it if !it.of_windows.is_null() || it.flags != [0; 8] => {
                Err("memory to share is asked for with what was never set")
            }
            _ => Ok(()),
        }
    }
}

impl Access {
    /// Of memory that a context of `card` opens.
    pub(crate) fn check(&self, card: usize, count: usize) -> Asked {
        self.location.check(card)?;
        match (self.flags, count) {
            (READ_AND_WRITE, 1) => Ok(()),
            _ => Err("memory to share is not opened for both reading and writing, once"),
        }
    }
}

impl Shape {
    pub(crate) fn check(self) -> Asked {
        let threads = self.threads.map(u64::from).iter().product::<u64>();
        let [x, y, z] = self.blocks;
        if threads == 0 || threads > MOST_THREADS || self.threads[2] > MOST_THREADS_Z {
            return Err("a block has no thread, or more than a card takes");
        }
        let has_few = x <= MOST_BLOCKS_X && y <= MOST_BLOCKS_YZ && z <= MOST_BLOCKS_YZ;
        match has_few && self.blocks.iter().all(|num| *num > 0) {
            true => Ok(()),
            false => Err("a launch has no block, or more than a card takes"),
        }
    }
}

/// The kind of descriptors that memory is exported or imported as.
pub(crate) fn handle_kind(kind: c_uint) -> Asked {
    match kind == DESCRIPTOR as c_uint {
        true => Ok(()),
        false => Err("memory is exported or imported otherwise than by a descriptor"),
    }
}

pub(crate) fn register_flags(flags: c_uint) -> Asked {
    match flags & !OF_WRITTEN_MEMORY {
        0 => Ok(()),
        _ => Err("memory of the host is registered as none that a card writes"),
    }
}

pub(crate) fn stream_flags(flags: c_uint) -> Asked {
    match flags {
        NON_BLOCKING => Ok(()),
        _ => Err("a stream is made that waits for the default stream"),
    }
}

/// What is reserved, taken, mapped or opened of memory to share.
pub(crate) fn whole_pieces(num_bytes: usize) -> Asked {
    match num_bytes > 0 && num_bytes.is_multiple_of(PIECE) {
        true => Ok(()),
        false => Err("memory to share is no multiple of the pieces that the driver has told"),
    }
}

/// The address of a kernel's descriptors.
pub(crate) fn table(address: usize) -> Asked {
    match address.is_multiple_of(ALIGN) {
        true => Ok(()),
        false => Err("a kernel's table is not aligned"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Location = Location {
        kind: OF_DEVICE,
        id: 1,
    };

    const PROPERTIES: Properties = Properties {
        kind: PINNED,
        handles: DESCRIPTOR,
        location: HERE,
        of_windows: std::ptr::null_mut(),
        flags: [0; 8],
    };

    /// Memory of the host, which has no number.
    const ELSEWHERE: Location = Location { kind: 2, id: 1 };

    #[test]
    fn structures_are_as_large_as_those_of_the_driver() {
        assert_eq!([size_of::<Properties>(), size_of::<Access>()], [32, 12]);
    }

    #[test]
    fn memory_to_share_that_is_not_the_cards_pinned_or_exportable_is_noticed() {
        assert_eq!(PROPERTIES.check(1), Ok(()));
        for wrong in [
            Properties {
                kind: 0,
                ..PROPERTIES
            },
            Properties {
                kind: 2,
                ..PROPERTIES
            },
            Properties {
                handles: 0,
                ..PROPERTIES
            },
            Properties {
                handles: 8,
                ..PROPERTIES
            },
            Properties {
                location: ELSEWHERE,
                ..PROPERTIES
            },
            Properties {
                of_windows: std::ptr::without_provenance_mut(8),
                ..PROPERTIES
            },
            Properties {
                flags: [1, 0, 0, 0, 0, 0, 0, 0],
                ..PROPERTIES
            },
        ] {
            assert!(wrong.check(1).is_err(), "{wrong:?}");
        }
        assert!(PROPERTIES.check(0).is_err(), "of another card");
    }

    #[test]
    fn memory_that_is_opened_to_another_card_or_for_reading_alone_is_noticed() {
        let access = Access {
            location: HERE,
            flags: READ_AND_WRITE,
        };
        assert_eq!(access.check(1, 1), Ok(()));
        assert!(access.check(0, 1).is_err());
        assert!(access.check(1, 0).is_err());
        for wrong in [
            Access { flags: 1, ..access },
            Access { flags: 0, ..access },
            Access {
                location: ELSEWHERE,
                ..access
            },
        ] {
            assert!(wrong.check(1, 1).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn launches_that_no_card_takes_are_noticed() {
        let check = |blocks, threads| Shape { blocks, threads }.check();
        assert_eq!(check([1, 1, 1], [1, 1, 1]), Ok(()));
        assert_eq!(
            check([i32::MAX as u32, 65_535, 65_535], [32, 32, 1]),
            Ok(())
        );
        for (blocks, threads) in [
            ([1, 1, 1], [1025, 1, 1]),
            ([1, 1, 1], [32, 33, 1]),
            ([1, 1, 1], [1, 1, 65]),
            ([1, 1, 1], [0, 1, 1]),
            ([1 << 31, 1, 1], [1, 1, 1]),
            ([1, 65_536, 1], [1, 1, 1]),
            ([1, 1, 65_536], [1, 1, 1]),
            ([0, 1, 1], [1, 1, 1]),
            ([1, 0, 1], [1, 1, 1]),
            ([1, 1, 0], [1, 1, 1]),
        ] {
            assert!(check(blocks, threads).is_err(), "{blocks:?} {threads:?}");
        }
    }

    #[test]
    fn kinds_flags_sizes_and_addresses_that_the_driver_refuses_are_noticed() {
        let (kinds, registers) = ([0, 2, 4, 8], [4, 8, 16]);
        assert!(handle_kind(1).is_ok() && kinds.iter().all(|kind| handle_kind(*kind).is_err()));
        assert!(
            [0, 1, 2, 3]
                .iter()
                .all(|flags| register_flags(*flags).is_ok())
        );
        assert!(
            registers
                .iter()
                .all(|flags| register_flags(*flags).is_err())
        );
        assert!(stream_flags(1).is_ok() && stream_flags(0).is_err() && stream_flags(2).is_err());
        assert!(whole_pieces(2 * PIECE).is_ok());
        assert!(
            [0, 1, PIECE - 1, PIECE + 4096]
                .iter()
                .all(|size| whole_pieces(*size).is_err())
        );
        assert!(table(4096).is_ok() && table(4096 + 8).is_err());
    }
}
