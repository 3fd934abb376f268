//! Reads files on several threads and hands them over in order.
//!
//! Thread `t` of `T` reads blocks `t, t + T, t + 2T, ...` of [`BLOCK`] files and waits when it is a few blocks ahead, or when all
//! files that wait to be consumed have [`MAX_BYTES`] together.

use std::ops::Range;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use super::budget::Budget;
use super::reading::{Opened, Reading};
use crate::error::ToolError;
use crate::packing::transcode::Transcode;
use crate::source::location::Location;
use crate::system::threads;

/// Files that a thread reads one after another.
const BLOCK: usize = 16;
/// Bytes of files that are handed over together, about; waking the consumer costs as much as reading a small file.
const BYTES_TOGETHER: u64 = 128 << 10;
/// Times that a thread may hand over files before the consumer takes them.
const AHEAD: usize = 2;
/// Bytes of files that may be in memory at once; a larger file is there alone.
const MAX_BYTES: u64 = 48 << 20;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadOptions {
    pub(crate) transcode: Transcode,
    /// Threads that read.
    pub(crate) num_threads: usize,
}

/// A file that was read, and what it takes of the budget.
type Read = (Reading, u64);

/// Reads candidates `0..num_files` and calls `consume` for each, in order, on this thread.
///
/// # Errors
/// The first error of `consume`, or no thread; then no more files are read.
pub(crate) fn in_order<'a>(
    num_files: usize,
    location_of: impl Fn(usize) -> Location<'a> + Sync,
    options: ReadOptions,
    mut consume: impl FnMut(usize, Reading) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let num_threads = options.num_threads;
    let budget = Budget::new(MAX_BYTES);
    thread::scope(|scope| {
        let _closing = budget.closing();
        let start = |first: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            let reader = Reader {
                location_of: &location_of,
                transcode: &options.transcode,
                budget: &budget,
                sender,
            };
            let blocks = (first..).step_by(num_threads);
            threads::start(scope, move || reader.read_blocks(blocks, num_files))?;
            Ok(receiver)
        };
        let receivers = (0..num_threads).map(start);
        let receivers: Vec<_> = receivers.collect::<Result<_, ToolError>>()?;
        let mut number = 0;
        while number < num_files {
            let files = receivers[number / BLOCK % num_threads].recv();
            let (first, mut num_bytes) = (number, 0);
            for (reading, more_bytes) in files.expect("a reader sends all of its files") {
                consume(number, reading)?;
                number += 1;
                num_bytes += more_bytes;
            }
            budget.leave(number - first, num_bytes);
        }
        Ok(())
    })
}

/// What a thread needs to read its files.
struct Reader<'s, L> {
    location_of: &'s L,
    transcode: &'s Transcode,
    budget: &'s Budget,
    sender: SyncSender<Vec<Read>>,
}

impl<'a, L: Fn(usize) -> Location<'a>> Reader<'_, L> {
    /// Reads these blocks of the files, until nobody wants more.
    fn read_blocks(&self, blocks: impl Iterator<Item = usize>, num_files: usize) {
        let starts = blocks
            .map(|block| block * BLOCK)
            .take_while(|start| *start < num_files);
        for start in starts {
            let numbers = start..num_files.min(start + BLOCK);
            if self.read_block(numbers).is_none() {
                return;
            }
        }
    }

    /// Nothing when nobody wants these files.
    fn read_block(&self, numbers: Range<usize>) -> Option<()> {
        let (mut files, mut num_bytes) = (Vec::new(), 0);
        for number in numbers {
            let read = self.read(number, &mut files)?;
            num_bytes += read.1;
            files.push(read);
            if num_bytes >= BYTES_TOGETHER {
                self.send(std::mem::take(&mut files))?;
                num_bytes = 0;
            }
        }
        self.send(files)
    }

    /// Reads one file when there is room for it, having sent those before it if that must be waited for; nothing when nobody
    /// wants it.
    fn read(&self, number: usize, before: &mut Vec<Read>) -> Option<Read> {
        let location = (self.location_of)(number);
        let opened = Opened::open(&location);
        let num_bytes = opened.as_ref().map_or(0, Opened::num_bytes);
        if !self.budget.has_let_in(number, num_bytes) {
            self.send(std::mem::take(before))?;
            self.budget.enter(number, num_bytes).then_some(())?;
        }
        let reading = match opened {
            Ok(opened) => opened.read(self.transcode),
            Err(outcome) => Reading::of_nothing(outcome, &location),
        };
        Some((reading, num_bytes))
    }

    /// Nothing when nobody takes them, since the consumer has failed.
    fn send(&self, files: Vec<Read>) -> Option<()> {
        if files.is_empty() {
            return Some(());
        }
        self.sender.send(files).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::reading::Outcome;
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
        let location_of = |number: usize| Location::File(folder.join(number.to_string()));
        let options = ReadOptions {
            transcode: Transcode::default(),
            num_threads,
        };
        in_order(100, location_of, options, consume)
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
    fn a_failing_consumer_ends_the_reading() {
        let folder = text_files(100);
        let outcome = read_all(folder.path(), 4, |number, _| match number {
            5 => Err(ToolError::data("enough", "here", "stop")),
            _ => Ok(()),
        });
        let error = outcome.expect_err("it failed");
        assert_eq!(error.to_string(), "enough; here; stop");
    }
}
