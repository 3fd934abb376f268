//! What goes to the card at once: images and the views to make of them, as many as the memory of a lane holds. Arithmetic alone.

use crate::augment::cuda::{Table, View};

/// Alignment of images and descriptors in the staging memory.
const ALIGN: usize = 16;
/// Most descriptors of a launch: the most blocks along y.
const MAX_VIEWS: usize = 65_535;

/// Bytes of the two memories that images need on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// For images and descriptors, on the host and again on the card.
    pub(super) staging: usize,
    /// For what kernels write in between.
    pub(super) scratch: usize,
}

impl Room {
    fn holds(&self, needed: Room) -> bool {
        needed.staging <= self.staging && needed.scratch <= self.scratch
    }
}

/// A round that is being filled by several threads.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The views of all images that have been written.
    pub(super) table: Table,
    image_bytes: usize,
    scratch_bytes: usize,
    num_views: usize,
    /// Images whose place is taken and that are not yet written.
    pub(super) num_writing: usize,
}

impl Round {
    /// What the round needs with one image more.
    pub(super) fn with(&self, image_bytes: usize, views: &Table) -> Room {
        let images = self.image_bytes.next_multiple_of(ALIGN) + image_bytes;
        let descriptors = (self.num_views + views.views().len()) * size_of::<View>();
        Room {
            staging: images.next_multiple_of(ALIGN) + descriptors,
            scratch: self.scratch_bytes + views.scratch_bytes() as usize,
        }
    }

    /// A place for an image within `room`: its offset in the staging memory. `None` where the round is full.
    pub(super) fn take(&mut self, image_bytes: usize, views: &Table, room: Room) -> Option<usize> {
        let num_views = self.num_views + views.views().len();
        if num_views > MAX_VIEWS || !room.holds(self.with(image_bytes, views)) {
            return None;
        }
        let offset = self.image_bytes.next_multiple_of(ALIGN);
        self.image_bytes = offset + image_bytes;
        self.scratch_bytes += views.scratch_bytes() as usize;
        self.num_views = num_views;
        self.num_writing += 1;
        Some(offset)
    }

    /// Whether no place is taken.
    pub(super) fn is_empty(&self) -> bool {
        self.num_views == 0
    }

    /// Where the descriptors go in the staging memory, after the images, and how many bytes they take.
    pub(super) fn descriptors(&self) -> (usize, usize) {
        let offset = self.image_bytes.next_multiple_of(ALIGN);
        (offset, size_of_val(self.table.views()))
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        (self.image_bytes, self.scratch_bytes, self.num_views) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::cuda::DeviceImage;
    use crate::augment::{ViewKey, draw};
    use loader_ipc::Recipe;

    fn views() -> Table {
        let image = DeviceImage {
            address: 0,
            width: 5,
            height: 7,
        };
        let key = ViewKey {
            seed: 0,
            epoch: 0,
            sample: 0,
            view: 0,
        };
        let spec = &Recipe::evaluation(8, 8).views[0];
        let mut table = Table::new();
        table.push(image, &draw(key, spec, 5, 7), 8, 0);
        table
    }

    #[test]
    fn a_round_takes_what_its_room_holds_and_no_more() {
        let views = views();
        let mut round = Round::default();
        let one = round.with(105, &views);
        let enough_for_three = Room {
            staging: 3 * (112 + size_of::<View>()),
            scratch: one.scratch * 3,
        };
        for index in 0..3 {
            let offset = round.take(105, &views, enough_for_three);
            assert_eq!(offset, Some(index * 112));
        }
        assert_eq!(round.take(105, &views, enough_for_three), None);
        assert_eq!(round.num_writing, 3);
        round.clear();
        assert!(round.is_empty());
        assert_eq!(round.take(105, &views, enough_for_three), Some(0));
    }

    #[test]
    fn a_round_is_full_where_either_memory_is() {
        let views = views();
        let mut round = Round::default();
        let one = round.with(105, &views);
        for room in [
            Room {
                staging: one.staging - 1,
                ..one
            },
            Room {
                scratch: one.scratch - 1,
                ..one
            },
        ] {
            assert_eq!(round.take(105, &views, room), None);
        }
        assert_eq!(round.take(105, &views, one), Some(0));
    }
}
