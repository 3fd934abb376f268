//! Reads files on several threads and hands them over in order.
//!
//! Thread `t` of `T` reads files `t, t + T, t + 2T, ...` and waits when it is a few files ahead, or when all files that wait
//! to be consumed have [`MAX_BYTES`] together.

mod budget;
mod reading;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use crate::error::ToolError;
use crate::source::Location;
use crate::transcode::Transcode;
use budget::Budget;
use reading::Opened;
pub(crate) use reading::{Outcome, Reading, Stamp, begins_with_image_header, read};

/// Files that each thread may be ahead of the consumer.
const AHEAD: usize = 8;
/// Bytes of files that may be in memory at once; a larger file is there alone.
const MAX_BYTES: u64 = 48 << 20;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeedOptions {
    pub(crate) transcode: Transcode,
    /// Threads that read.
    pub(crate) num_threads: usize,
}

/// A file that was read, and what it takes of the budget.
type Read = Result<(Reading, u64), ToolError>;

/// Reads candidates `0..num_files` and calls `consume` for each, in order, on this thread.
///
/// # Errors
/// The first error of `location_of` or `consume`; then no more files are read.
pub(crate) fn read_in_order<'a>(
    num_files: usize,
    location_of: impl Fn(usize) -> Result<Location<'a>, ToolError> + Sync,
    options: FeedOptions,
    mut consume: impl FnMut(usize, Reading) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let FeedOptions {
        transcode,
        num_threads,
    } = options;
    let budget = Budget::new(MAX_BYTES);
    let read_every = |first: usize, sender: &SyncSender<Read>| {
        for number in (first..num_files).step_by(num_threads) {
            let read = match location_of(number) {
                Ok(location) => read_within(&budget, number, &location, &transcode),
                Err(error) => Some(Err(error)),
            };
            // Nobody takes it when the consumer has failed.
            if !read.is_some_and(|read| sender.send(read).is_ok()) {
                return;
            }
        }
    };
    thread::scope(|scope| {
        let _closing = budget.closing();
        let read_every = &read_every;
        let start = |first: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            scope.spawn(move || read_every(first, &sender));
            receiver
        };
        let receivers: Vec<_> = (0..num_threads).map(start).collect();
        for number in 0..num_files {
            let read = receivers[number % num_threads].recv();
            let (reading, num_bytes) = read.expect("a reader sends all of its files")?;
            consume(number, reading)?;
            budget.leave(num_bytes);
        }
        Ok(())
    })
}

/// Reads a file when there is room for it; nothing when nobody wants files any more.
fn read_within(
    budget: &Budget,
    number: usize,
    location: &Location<'_>,
    transcode: &Transcode,
) -> Option<Read> {
    let opened = Opened::open(location);
    let num_bytes = opened.as_ref().map_or(0, Opened::num_bytes);
    if !budget.enter(number, num_bytes) {
        return None;
    }
    let reading = opened.map_or_else(Reading::of_nothing, |opened| opened.read(transcode));
    Some(Ok((reading, num_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn text_files(num_files: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for number in 0..num_files {
            let content = if number % 3 == 0 { "" } else { "text" };
            std::fs::write(folder.path().join(number.to_string()), content).expect("written");
        }
        folder
    }

    fn read_all(
        folder: &Path,
        num_threads: usize,
        consume: impl FnMut(usize, Reading) -> Result<(), ToolError>,
    ) -> Result<(), ToolError> {
        let location_of = |number: usize| Ok(Location::File(folder.join(number.to_string())));
        let options = FeedOptions {
            transcode: Transcode::default(),
            num_threads,
        };
        read_in_order(100, location_of, options, consume)
    }

    #[test]
    fn files_arrive_in_order_from_any_number_of_threads() {
        let folder = text_files(100);
        for num_threads in [1, 2, 7, 101] {
            let mut num_seen = 0;
            let outcome = read_all(folder.path(), num_threads, |number, reading| {
                assert_eq!(number, num_seen);
                let Outcome::Skip(reason) = reading.outcome else {
                    panic!("not an image")
                };
                assert_eq!(
                    reason.contains("detected: empty"),
                    number % 3 == 0,
                    "{reason}"
                );
                num_seen += 1;
                Ok(())
            });
            assert!(outcome.is_ok() && num_seen == 100);
        }
    }

    #[test]
    fn a_failing_consumer_or_catalogue_ends_the_reading() {
        let folder = text_files(100);
        let outcome = read_all(folder.path(), 4, |number, _| match number {
            5 => Err(ToolError::TooManyFiles),
            _ => Ok(()),
        });
        assert!(matches!(outcome, Err(ToolError::TooManyFiles)));
        let nowhere = |_| Err(ToolError::TooManyFiles);
        let options = FeedOptions {
            transcode: Transcode::default(),
            num_threads: 3,
        };
        let outcome = read_in_order(100, nowhere, options, |_, _| Ok(()));
        assert!(matches!(outcome, Err(ToolError::TooManyFiles)));
    }
}
