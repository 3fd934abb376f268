//! Where everything lies inside the two shared segments, computed from the same facts by both sides.
//!
//! Pure arithmetic: nothing here touches memory. Both sides compute a [`Layout`] from the agreed [`Geometry`]; no offset or
//! length ever travels through shared memory.
//!
//! Views segment: `num_slots` slots of `slot_bytes`. One slot of [`Place::HostFile`]:
//!
//! | part | type and shape | at |
//! |---|---|---|
//! | slot header | `epoch: u64, step: u64, num_valid: u64` | 0 |
//! | labels | `i64 [batch]`, -1 where unlabelled | 64 |
//! | sample ids | `u64 [batch]` | after the labels, 64-byte aligned |
//! | one tensor per view group | `u8 [num_views, batch, size, size, 3]` | 4096-byte aligned |
//!
//! Of [`Place::Card`] the segment's slots end behind the sample ids, and the tensors lie in the card's memory: `num_slots` times
//! `card_slot_bytes`, the first tensor of a slot where that begins.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::IpcError;
use crate::recipe::{Recipe, ViewGroup};

/// Channels of a pixel (red, green, blue).
pub const CHANNELS: usize = 3;
/// Bytes of the slot header.
pub(crate) const SLOT_HEADER_BYTES: usize = 64;
/// Bytes of the control segment before the first turn word.
pub(crate) const CONTROL_HEADER_BYTES: usize = 128;
/// Distance between two turn words: a cache line each, so the two sides do not share one by accident.
pub(crate) const TURN_STRIDE: usize = 64;

const TENSOR_ALIGN: usize = 4096;
/// Most slots a ring may have.
pub const MAX_SLOTS: u32 = 1024;
/// Most samples a batch may have.
pub const MAX_BATCH: u32 = 1 << 16;

/// What both sides agree on before a segment exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Slots in the ring.
    pub num_slots: u32,
    /// Samples in a batch.
    pub batch_size: u32,
    /// The recipe's views, grouped by size.
    pub groups: Vec<ViewGroup>,
    /// Where the slots lie.
    pub place: Place,
}

/// The kind of memory that holds the views. Turn words, heads, labels and ids lie in host memory always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// A sealed `memfd`, passed by its descriptor.
    HostFile,
    /// Memory of a card, passed by a descriptor that its driver exports.
    Card(CardId),
}

/// An NVIDIA card, or an instance of one (MIG), by the UUID that its driver gives it, the same in all processes whatever `CUDA_VISIBLE_DEVICES` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardId(pub [u8; 16]);

impl fmt::Display for CardId {
    /// As `nvidia-smi -L` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GPU")?;
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if [0, 4, 6, 8, 10].contains(&index) {
                "-"
            } else {
                ""
            };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// Offsets and lengths in bytes, all derived from a [`Geometry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Samples in a batch.
    pub batch_size: usize,
    /// Slots in the ring.
    pub num_slots: usize,
    /// Bytes from one slot to the next in the views segment.
    pub slot_bytes: usize,
    /// Bytes from one slot to the next in the card's memory; 0 where the views lie in the segment.
    pub card_slot_bytes: usize,
    pub(crate) labels_offset: usize,
    pub(crate) ids_offset: usize,
    /// The tensors, in the recipe's order.
    pub tensors: Vec<TensorLayout>,
}

/// One view group's tensor inside a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorLayout {
    /// The views it holds.
    pub group: ViewGroup,
    /// Offset from the start of the slot, in bytes, in the memory that holds the views.
    pub offset: usize,
    /// Bytes of one view of one sample.
    pub view_bytes: usize,
    /// Bytes of the whole tensor.
    pub bytes: usize,
}

impl Geometry {
    /// The geometry for `recipe` with `batch_size` samples a batch and `num_slots` slots in host memory.
    pub fn new(recipe: &Recipe, batch_size: u32, num_slots: u32) -> Geometry {
        Geometry {
            num_slots,
            batch_size,
            groups: recipe.groups(),
            place: Place::HostFile,
        }
    }

    /// Computes the layout, refusing sizes that no sound peer would ask for.
    ///
    /// # Errors
    /// [`IpcError::BadGeometry`] when a count is out of range or the sizes overflow.
    pub fn layout(&self) -> Result<Layout, IpcError> {
        self.check()?;
        self.offsets().ok_or_else(|| IpcError::BadGeometry {
            what: "the segment's size overflows".into(),
        })
    }

    fn check(&self) -> Result<(), IpcError> {
        let bad = |what: String| Err(IpcError::BadGeometry { what });
        if !(2..=MAX_SLOTS).contains(&self.num_slots) {
            return bad(format!(
                "{} slots; a ring has 2 to {MAX_SLOTS}",
                self.num_slots
            ));
        }
        if !(1..=MAX_BATCH).contains(&self.batch_size) {
            return bad(format!(
                "batch size {}; a batch has 1 to {MAX_BATCH} samples",
                self.batch_size
            ));
        }
        Ok(())
    }

    fn offsets(&self) -> Option<Layout> {
        let batch_size = self.batch_size as usize;
        let labels_offset = SLOT_HEADER_BYTES;
        let ids_offset = align(labels_offset.checked_add(batch_size.checked_mul(8)?)?, 64)?;
        let head_end = ids_offset.checked_add(batch_size.checked_mul(8)?)?;
        let (host_end, mut end) = match self.place {
            Place::HostFile => (None, head_end),
            Place::Card(_) => (Some(head_end), 0),
        };
        let mut tensors = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let tensor = tensor_at(*group, align(end, TENSOR_ALIGN)?, batch_size)?;
            end = tensor.offset.checked_add(tensor.bytes)?;
            tensors.push(tensor);
        }
        let (slot_bytes, card_slot_bytes) = match host_end {
            None => (align(end, TENSOR_ALIGN)?, 0),
            Some(head_end) => (align(head_end, TENSOR_ALIGN)?, align(end, TENSOR_ALIGN)?),
        };
        let num_slots = self.num_slots as usize;
        for bytes in [slot_bytes, card_slot_bytes] {
            let all = bytes.checked_mul(num_slots)?;
            isize::try_from(all).ok()?;
        }
        Some(Layout {
            batch_size,
            num_slots,
            slot_bytes,
            card_slot_bytes,
            labels_offset,
            ids_offset,
            tensors,
        })
    }
}

impl Layout {
    /// Bytes of the views segment.
    pub fn views_bytes(&self) -> usize {
        self.slot_bytes * self.num_slots
    }

    /// Bytes of the card's memory; 0 where the views lie in the segment.
    pub fn card_bytes(&self) -> usize {
        self.card_slot_bytes * self.num_slots
    }

    /// Bytes of the control segment.
    pub fn control_bytes(&self) -> usize {
        (CONTROL_HEADER_BYTES + TURN_STRIDE * self.num_slots).next_multiple_of(TENSOR_ALIGN)
    }

    /// Where the tensors of a slot begin in the card's memory; `None` where they lie in the segment.
    pub(crate) fn card_offset(&self, slot: usize) -> Option<usize> {
        (self.card_slot_bytes > 0).then_some(slot * self.card_slot_bytes)
    }

    /// Where the tensors begin in a slot of the memory that holds them; they end where it does.
    pub(crate) fn tensors_offset(&self) -> usize {
        self.tensors
            .first()
            .map_or(self.slot_bytes, |tensor| tensor.offset)
    }

    /// Where view `view` of the recipe lies for sample `row` of the batch: offset in the slot and length, in bytes.
    pub fn view_range(&self, view: usize, row: usize) -> Option<(usize, usize)> {
        let holds = |t: &&TensorLayout| {
            (t.group.first_view..t.group.first_view + t.group.num_views).contains(&view)
        };
        let tensor = self.tensors.iter().find(holds)?;
        let index = (view - tensor.group.first_view) * self.batch_size + row;
        (row < self.batch_size)
            .then_some((tensor.offset + index * tensor.view_bytes, tensor.view_bytes))
    }
}

fn tensor_at(group: ViewGroup, offset: usize, batch_size: usize) -> Option<TensorLayout> {
    let side = group.size as usize;
    let view_bytes = side.checked_mul(side)?.checked_mul(CHANNELS)?;
    let bytes = view_bytes
        .checked_mul(group.num_views)?
        .checked_mul(batch_size)?;
    Some(TensorLayout {
        group,
        offset,
        view_bytes,
        bytes,
    })
}

fn align(offset: usize, to: usize) -> Option<usize> {
    offset.checked_next_multiple_of(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CARD: Place = Place::Card(CardId([0xA1; 16]));

    fn geometry(num_slots: u32, batch_size: u32, sizes: &[(usize, u32)]) -> Geometry {
        let mut first_view = 0;
        let mut groups = Vec::new();
        for &(num_views, size) in sizes {
            groups.push(ViewGroup {
                first_view,
                num_views,
                size,
            });
            first_view += num_views;
        }
        Geometry {
            num_slots,
            batch_size,
            groups,
            place: Place::HostFile,
        }
    }

    #[test]
    fn sslight_views_at_batch_128_need_76_megabytes_a_slot() {
        let layout = geometry(4, 128, &[(2, 224), (6, 128)]).layout().unwrap();
        let views = 128 * (2 * 224 * 224 * 3 + 6 * 128 * 128 * 3);
        assert!(layout.slot_bytes >= views && layout.slot_bytes < views + 3 * 4096);
    }

    #[test]
    fn views_on_a_card_leave_heads_labels_and_ids_on_the_host() {
        let on_host = geometry(4, 128, &[(2, 224), (6, 128)]);
        let on_card = Geometry {
            place: CARD,
            ..on_host.clone()
        };
        let (host, card) = (on_host.layout().unwrap(), on_card.layout().unwrap());
        assert_eq!(card.slot_bytes, 4096);
        assert_eq!(
            (card.labels_offset, card.ids_offset),
            (host.labels_offset, host.ids_offset)
        );
        assert_eq!(
            card.card_slot_bytes,
            host.slot_bytes - host.tensors_offset()
        );
        assert_eq!(card.card_bytes(), 4 * card.card_slot_bytes);
        for (view, row) in [(0, 0), (1, 127), (7, 3)] {
            let (offset, len) = host.view_range(view, row).unwrap();
            assert_eq!(
                card.view_range(view, row),
                Some((offset - host.tensors_offset(), len))
            );
        }
        assert_eq!(host.card_bytes(), 0);
    }

    #[test]
    fn a_card_is_shown_as_by_nvidia_smi() {
        let id = CardId(std::array::from_fn(|index| index as u8 * 17));
        assert_eq!(id.to_string(), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn absurd_geometries_are_refused() {
        assert!(geometry(1, 8, &[(1, 8)]).layout().is_err());
        assert!(geometry(4, 0, &[(1, 8)]).layout().is_err());
        assert!(
            geometry(1024, 65_536, &[(usize::MAX / 2, 4096)])
                .layout()
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn no_two_views_of_a_slot_overlap(
            batch in 1u32..5, globals in 1usize..4, locals in 1usize..4, big in 1u32..40, small in 1u32..40,
        ) {
            prop_assume!(big != small);
            let layout = geometry(2, batch, &[(globals, big), (locals, small)]).layout().unwrap();
            let mut ranges = Vec::new();
            for view in 0..globals + locals {
                for row in 0..batch as usize {
                    ranges.push(layout.view_range(view, row).unwrap());
                }
            }
            ranges.sort_unstable();
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].0 + pair[0].1 <= pair[1].0);
            }
            let &(last, len) = ranges.last().unwrap();
            prop_assert!(last + len <= layout.slot_bytes);
            prop_assert!(ranges[0].0 >= layout.ids_offset + 8 * batch as usize);
            prop_assert!(layout.view_range(globals + locals, 0).is_none());
            prop_assert!(layout.view_range(0, batch as usize).is_none());
        }
    }
}
