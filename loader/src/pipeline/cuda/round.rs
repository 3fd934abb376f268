//! What goes to the card at once: images and the views to make of them, as many as the memory of a lane holds. Arithmetic alone.

use nvjpeg::Picture;

use crate::augment::cuda::{Table, View};
use crate::decode::Planes;
use crate::pipeline::cuda::jpeg::{self, Jpeg};

/// Alignment of images and descriptors in the staging memory.
const ALIGN: usize = 16;
/// Most descriptors of a launch: the most blocks along y.
const MAX_VIEWS: usize = 65_535;

/// Bytes of the memories that images need on their way, and how many files may be among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// For images, JPEG files and descriptors, on the host and again on the card.
    pub(super) staging: usize,
    /// For planes and pixels of JPEG files.
    pub(super) decoded: usize,
    /// For what kernels write in between.
    pub(super) scratch: usize,
    /// Files that nvJPEG has memory of its own for.
    pub(super) num_jpegs: usize,
}

impl Room {
    /// Whether there is as much as is needed.
    pub(super) fn holds(&self, needed: Room) -> bool {
        needed.staging <= self.staging
            && needed.decoded <= self.decoded
            && needed.scratch <= self.scratch
            && needed.num_jpegs <= self.num_jpegs
    }
}

/// What is copied to the card of an image.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// Its pixels, `u8 [height, width, 3]`.
    Pixels(&'a [u8]),
    /// Its file, which the card decodes.
    Jpeg(&'a [u8], &'a Picture),
}

/// An image's place in a round: offsets in the memory for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// In the staging memory.
    pub(super) staging: usize,
    /// In that for what is decoded.
    pub(super) decoded: usize,
}

/// A round that is being filled by several threads.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The views of all images that have been written.
    pub(super) table: Table,
    /// The files among them.
    pub(super) jpegs: Vec<Jpeg>,
    image_bytes: usize,
    decoded_bytes: usize,
    scratch_bytes: usize,
    num_views: usize,
    num_jpegs: usize,
    /// All images that have a place.
    pub(super) num_images: usize,
    /// Images whose place is taken and that are not yet written.
    pub(super) num_writing: usize,
}

impl Round {
    /// What the round needs with one image more.
    pub(super) fn with(&self, source: Source, views: &Table) -> Room {
        let images = self.image_bytes.next_multiple_of(ALIGN) + source.bytes().len();
        let of_views = (self.num_views + views.views().len()) * size_of::<View>();
        let num_jpegs = self.num_jpegs + source.num_jpegs();
        let of_jpegs = num_jpegs * size_of::<Planes>();
        Room {
            staging: images.next_multiple_of(ALIGN) + of_views + of_jpegs,
            decoded: self.decoded_bytes + source.decoded_bytes(),
            scratch: self.scratch_bytes + views.scratch_bytes() as usize,
            num_jpegs,
        }
    }

    /// A place for an image within `room`. `None` where the round is full.
    pub(super) fn take(&mut self, source: Source, views: &Table, room: Room) -> Option<Place> {
        let num_views = self.num_views + views.views().len();
        if num_views > MAX_VIEWS || !room.holds(self.with(source, views)) {
            return None;
        }
        let place = Place {
            staging: self.image_bytes.next_multiple_of(ALIGN),
            decoded: self.decoded_bytes,
        };
        self.image_bytes = place.staging + source.bytes().len();
        self.decoded_bytes = place.decoded + source.decoded_bytes();
        self.num_jpegs += source.num_jpegs();
        self.scratch_bytes += views.scratch_bytes() as usize;
        self.num_views = num_views;
        self.num_images += 1;
        self.num_writing += 1;
        Some(place)
    }

    /// Adds what was written to a place that was taken, if it is a file.
    pub(super) fn add_file(&mut self, row: usize, source: Source, place: Place) {
        if let Source::Jpeg(bytes, picture) = source {
            self.jpegs.push(Jpeg {
                row,
                offset: place.staging,
                num_bytes: bytes.len(),
                picture: *picture,
                decoded: place.decoded,
            });
        }
    }

    /// Whether no place is taken.
    pub(super) fn is_empty(&self) -> bool {
        self.num_views == 0
    }

    /// Where the descriptors go in the staging memory, after the images: those of views, those of files, and the end of both.
    pub(super) fn descriptors(&self) -> [usize; 3] {
        let of_views = self.image_bytes.next_multiple_of(ALIGN);
        let of_jpegs = of_views + size_of_val(self.table.views());
        [
            of_views,
            of_jpegs,
            of_jpegs + self.jpegs.len() * size_of::<Planes>(),
        ]
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        let (mut table, mut jpegs) = (
            std::mem::take(&mut self.table),
            std::mem::take(&mut self.jpegs),
        );
        table.clear();
        jpegs.clear();
        *self = Round {
            table,
            jpegs,
            ..Round::default()
        };
    }
}

impl<'a> Source<'a> {
    /// What is copied.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Source::Pixels(bytes) | Source::Jpeg(bytes, _) => bytes,
        }
    }

    fn num_jpegs(self) -> usize {
        usize::from(matches!(self, Source::Jpeg(..)))
    }

    fn decoded_bytes(self) -> usize {
        match self {
            Source::Pixels(_) => 0,
            Source::Jpeg(_, picture) => jpeg::decoded_bytes(picture),
        }
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
        let image = Source::Pixels(&[0; 105]);
        let one = round.with(image, &views);
        let enough_for_three = Room {
            staging: 3 * (112 + size_of::<View>()),
            decoded: 0,
            scratch: one.scratch * 3,
            num_jpegs: 0,
        };
        for index in 0..3 {
            let place = round.take(image, &views, enough_for_three);
            assert_eq!(place, at(index * 112, 0));
        }
        assert_eq!(round.take(image, &views, enough_for_three), None);
        assert_eq!(round.num_writing, 3);
        round.clear();
        assert!(round.is_empty());
        assert_eq!(round.take(image, &views, enough_for_three), at(0, 0));
    }

    fn at(staging: usize, decoded: usize) -> Option<Place> {
        Some(Place { staging, decoded })
    }

    #[test]
    fn a_file_takes_its_bytes_its_planes_and_its_pixels() {
        let picture = Picture {
            width: 5,
            height: 7,
            num_components: 1,
            across: 1,
            down: 1,
        };
        let views = views();
        let jpeg = Source::Jpeg(&[0; 40], &picture);
        let mut round = Round::default();
        let two = Room {
            decoded: 2 * 224,
            staging: 1 << 20,
            scratch: 1 << 20,
            num_jpegs: 9,
        };
        assert_eq!(round.take(jpeg, &views, two), at(0, 0));
        assert_eq!(
            round.take(jpeg, &views, two),
            at(48, 224),
            "16 a row, then 3 a pixel"
        );
        assert_eq!(round.take(jpeg, &views, two), None);
        let pixels = Source::Pixels(&[0; 105]);
        assert_eq!(
            round.take(pixels, &views, two),
            at(96, 448),
            "they take none of it"
        );
    }

    #[test]
    fn a_round_takes_as_many_files_as_nvjpeg_has_memory_for() {
        let picture = Picture {
            width: 5,
            height: 7,
            num_components: 1,
            across: 1,
            down: 1,
        };
        let (views, room) = (
            views(),
            Room {
                decoded: 1 << 20,
                staging: 1 << 20,
                scratch: 1 << 20,
                num_jpegs: 1,
            },
        );
        let jpeg = Source::Jpeg(&[0; 40], &picture);
        let mut round = Round::default();
        assert!(round.take(jpeg, &views, room).is_some());
        assert_eq!(round.take(jpeg, &views, room), None);
        let pixels = Source::Pixels(&[0; 105]);
        assert!(round.take(pixels, &views, room).is_some());
    }

    #[test]
    fn a_round_is_full_where_either_memory_is() {
        let views = views();
        let mut round = Round::default();
        let image = Source::Pixels(&[0; 105]);
        let one = round.with(image, &views);
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
            assert_eq!(round.take(image, &views, room), None);
        }
        assert_eq!(round.take(image, &views, one), at(0, 0));
    }
}
