//! Reads files on several threads and hands them over in order.
//!
//! Thread `t` of `T` reads files `t, t + T, t + 2T, ...` and waits when it is a few files ahead, so
//! that memory is bounded by `T * (AHEAD + 2)` files of at most [`MAX_IMAGE_BYTES`].

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use shard_format::ImageHeader;
use shard_format::image_header::{Content, identify};

use crate::source::{Location, Span};
use crate::transcode::Transcode;

/// Files that each thread may be ahead of the consumer.
const AHEAD: usize = 8;
/// A larger file is not taken for an image.
const MAX_IMAGE_BYTES: u64 = 1 << 30;

/// One candidate, read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) outcome: Outcome,
    /// Size and time of change of what was read; differs when the source has changed.
    pub(crate) stamp: Stamp,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// A JPEG or PNG.
    Image {
        bytes: Vec<u8>,
        crc: u32,
        header: ImageHeader,
    },
    /// Why it is left out.
    Skip(String),
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    pub(crate) num_bytes: u64,
    pub(crate) changed_ns: i64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let changed_ns = metadata.mtime().wrapping_mul(1_000_000_000) + metadata.mtime_nsec();
        Self {
            num_bytes: metadata.len(),
            changed_ns,
        }
    }

    /// The stamp that reading there would give; that of nothing if there is nothing.
    pub(crate) fn at(location: &Location<'_>) -> Self {
        match location {
            Location::File(path) => {
                std::fs::metadata(path).map_or(Self::default(), |m| Self::of(&m))
            }
            Location::Member { archive, span } => Self {
                num_bytes: span.num_bytes,
                ..archive.metadata().map_or(Self::default(), |m| Self::of(&m))
            },
        }
    }
}

/// Reads candidates `0..num_files` and calls `consume` for each, in order, on this thread.
///
/// # Errors
/// The first error of `consume`; then no more files are read.
pub(crate) fn read_in_order<'a, E>(
    num_files: usize,
    location_of: impl Fn(usize) -> Location<'a> + Sync,
    transcode: &Transcode,
    mut consume: impl FnMut(usize, Reading) -> Result<(), E>,
) -> Result<(), E> {
    let num_threads = num_threads();
    let read_every = |first: usize, sender: &SyncSender<Reading>| {
        let mut numbers = (first..num_files).step_by(num_threads);
        // The consumer goes away when it has failed.
        while let Some(number) = numbers.next()
            && sender.send(read(&location_of(number), transcode)).is_ok()
        {}
    };
    thread::scope(|scope| {
        let read_every = &read_every;
        let start = |first: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            scope.spawn(move || read_every(first, &sender));
            receiver
        };
        let receivers: Vec<_> = (0..num_threads).map(start).collect();
        for number in 0..num_files {
            let reading = receivers[number % num_threads].recv();
            consume(number, reading.expect("a reader sends all of its files"))?;
        }
        Ok(())
    })
}

/// Reads one candidate and recognises it by its content.
pub(crate) fn read(location: &Location<'_>, transcode: &Transcode) -> Reading {
    let read = match location {
        Location::File(path) => read_file(path),
        Location::Member { archive, span } => read_member(archive, *span),
    };
    match read {
        Ok((Ok(bytes), stamp)) => Reading {
            outcome: recognise(bytes, transcode),
            stamp,
        },
        Ok((Err(reason), stamp)) => Reading {
            outcome: Outcome::Skip(reason.to_owned()),
            stamp,
        },
        Err(error) => Reading {
            outcome: Outcome::Skip(format!("cannot be read ({})", error.kind())),
            stamp: Stamp::default(),
        },
    }
}

fn recognise(bytes: Vec<u8>, transcode: &Transcode) -> Outcome {
    let bytes = match transcode.apply(bytes) {
        Ok(bytes) => bytes,
        Err(reason) => return Outcome::Skip(reason),
    };
    match identify(&bytes) {
        Content::Image(header) => Outcome::Image {
            crc: crc32fast::hash(&bytes),
            bytes,
            header,
        },
        Content::Damaged { detected, problem } => {
            Outcome::Skip(format!("{detected} with an unusable header ({problem})"))
        }
        Content::Other(detected) => {
            Outcome::Skip(format!("not a JPEG or PNG (detected: {detected})"))
        }
    }
}

/// Bytes, or why they are of no use.
type Bytes = Result<Vec<u8>, &'static str>;

fn read_file(path: &Path) -> io::Result<(Bytes, Stamp)> {
    let file = File::open(path)?;
    let before = Stamp::of(&file.metadata()?);
    if before.num_bytes > MAX_IMAGE_BYTES {
        return Ok((Err("larger than 1 GiB"), before));
    }
    let mut bytes = Vec::with_capacity(before.num_bytes as usize + 1);
    (&file).take(before.num_bytes + 1).read_to_end(&mut bytes)?;
    let is_same = bytes.len() as u64 == before.num_bytes && Stamp::of(&file.metadata()?) == before;
    let bytes = if is_same {
        Ok(bytes)
    } else {
        Err("changed while it was read")
    };
    Ok((bytes, before))
}

fn read_member(archive: &File, span: Span) -> io::Result<(Bytes, Stamp)> {
    let stamp = Stamp {
        num_bytes: span.num_bytes,
        ..Stamp::of(&archive.metadata()?)
    };
    if span.num_bytes > MAX_IMAGE_BYTES {
        return Ok((Err("larger than 1 GiB"), stamp));
    }
    let mut bytes = vec![0; span.num_bytes as usize];
    archive.read_exact_at(&mut bytes, span.offset)?;
    Ok((Ok(bytes), stamp))
}

/// Whether the first bytes hold the whole header of an image, which is so for most images.
pub(crate) fn begins_with_image_header(location: &Location<'_>) -> bool {
    const FIRST_BYTES: usize = 32 << 10;
    let mut first = vec![0; FIRST_BYTES];
    let num_read = match location {
        Location::File(path) => File::open(path).and_then(|file| file.read_at(&mut first, 0)),
        Location::Member { archive, span } => archive
            .read_at(&mut first, span.offset)
            .map(|num_read| num_read.min(usize::try_from(span.num_bytes).unwrap_or(usize::MAX))),
    };
    num_read.is_ok_and(|num_read| matches!(identify(&first[..num_read]), Content::Image(_)))
}

/// Twice the processors this process may use, since readers also wait for the disk.
fn num_threads() -> usize {
    let num_processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (2 * num_processors).clamp(2, 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_files(num_files: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for number in 0..num_files {
            let content = if number % 3 == 0 { "" } else { "text" };
            std::fs::write(folder.path().join(number.to_string()), content).expect("written");
        }
        folder
    }

    fn reason(reading: Reading) -> String {
        match reading.outcome {
            Outcome::Skip(reason) => reason,
            Outcome::Image { .. } => panic!("not an image"),
        }
    }

    #[test]
    fn files_arrive_in_order() {
        let folder = text_files(100);
        let mut num_seen = 0;
        let location_of = |number: usize| Location::File(folder.path().join(number.to_string()));
        let transcode = Transcode::default();
        let outcome: Result<(), ()> =
            read_in_order(100, location_of, &transcode, |number, reading| {
                assert_eq!(number, num_seen);
                let reason = reason(reading);
                assert_eq!(
                    reason.contains("detected: empty"),
                    number % 3 == 0,
                    "{reason}"
                );
                num_seen += 1;
                Ok(())
            });
        assert_eq!((outcome, num_seen), (Ok(()), 100));
    }

    #[test]
    fn a_failing_consumer_ends_the_reading() {
        let folder = text_files(100);
        let location_of = |number: usize| Location::File(folder.path().join(number.to_string()));
        let stop_at_five = |number, _| if number == 5 { Err("full") } else { Ok(()) };
        let outcome = read_in_order(100, location_of, &Transcode::default(), stop_at_five);
        assert_eq!(outcome, Err("full"));
    }

    #[test]
    fn an_unreadable_file_is_a_reason_and_not_a_failure() {
        let reading = read(
            &Location::File("/nonexistent".into()),
            &Transcode::default(),
        );
        assert_eq!(reading.stamp, Stamp::default());
        assert!(reason(reading).starts_with("cannot be read"));
    }

    #[test]
    fn a_changed_file_has_another_stamp() {
        let folder = text_files(2);
        let location = Location::File(folder.path().join("1"));
        let before = Stamp::at(&location);
        assert_eq!(before, read(&location, &Transcode::default()).stamp);
        std::fs::write(folder.path().join("1"), "other text").expect("written");
        assert_ne!(before, Stamp::at(&location));
    }
}
