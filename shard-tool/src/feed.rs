//! Reads files on several threads and hands them over in order.
//!
//! Thread `t` of `T` reads files `t, t + T, t + 2T, ...` and waits when it is a few files ahead, so
//! that memory is bounded by `T * (AHEAD + 2)` files of at most [`MAX_IMAGE_BYTES`].

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use shard_format::ImageHeader;
use shard_format::image_header::{Content, identify};

/// Files that each thread may be ahead of the consumer.
const AHEAD: usize = 8;
/// A larger file is not taken for an image.
const MAX_IMAGE_BYTES: u64 = 1 << 30;

/// One file, read.
#[derive(Debug)]
pub(crate) enum Reading {
    /// A JPEG or PNG.
    Image {
        bytes: Vec<u8>,
        crc: u32,
        header: ImageHeader,
    },
    /// Why it is left out.
    Skip(String),
}

/// Reads files `0..num_files` and calls `consume` for each, in order, on this thread.
///
/// # Errors
/// The first error of `consume`; then no more files are read.
pub(crate) fn read_in_order<E>(
    num_files: usize,
    path_of: impl Fn(usize) -> PathBuf + Sync,
    mut consume: impl FnMut(usize, Reading) -> Result<(), E>,
) -> Result<(), E> {
    let num_threads = num_threads();
    let read_every = |first: usize, sender: &SyncSender<Reading>| {
        let mut numbers = (first..num_files).step_by(num_threads);
        // The consumer goes away when it has failed.
        while let Some(number) = numbers.next()
            && sender.send(read(&path_of(number))).is_ok()
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

/// Reads one file and recognises it by its content.
pub(crate) fn read(path: &Path) -> Reading {
    let bytes = match read_bounded(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Reading::Skip("larger than 1 GiB".to_owned()),
        Err(error) => return Reading::Skip(format!("cannot be read ({})", error.kind())),
    };
    match identify(&bytes) {
        Content::Image(header) => Reading::Image {
            crc: crc32fast::hash(&bytes),
            bytes,
            header,
        },
        Content::Damaged { detected, problem } => {
            Reading::Skip(format!("{detected} with an unusable header ({problem})"))
        }
        Content::Other(detected) => {
            Reading::Skip(format!("not a JPEG or PNG (detected: {detected})"))
        }
    }
}

/// The content, or `None` if the file is too large.
fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let num_bytes = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(num_bytes.min(MAX_IMAGE_BYTES) as usize + 1);
    file.take(MAX_IMAGE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_IMAGE_BYTES).then_some(bytes))
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

    #[test]
    fn files_arrive_in_order() {
        let folder = text_files(100);
        let mut num_seen = 0;
        let path_of = |number: usize| folder.path().join(number.to_string());
        let outcome: Result<(), ()> = read_in_order(100, path_of, |number, reading| {
            assert_eq!(number, num_seen);
            let Reading::Skip(reason) = reading else {
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
        assert_eq!((outcome, num_seen), (Ok(()), 100));
    }

    #[test]
    fn a_failing_consumer_ends_the_reading() {
        let folder = text_files(100);
        let path_of = |number: usize| folder.path().join(number.to_string());
        let stop_at_five = |number, _| if number == 5 { Err("full") } else { Ok(()) };
        assert_eq!(read_in_order(100, path_of, stop_at_five), Err("full"));
    }

    #[test]
    fn an_unreadable_file_is_a_reason_and_not_a_failure() {
        let Reading::Skip(reason) = read(Path::new("/nonexistent")) else {
            panic!("read")
        };
        assert!(reason.starts_with("cannot be read"), "{reason}");
    }
}
