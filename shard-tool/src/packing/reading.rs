//! One candidate: its bytes, what they are, and what tells its state from another.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use image_decode::content_name;
use rustix::fs::OFlags;
use shard_format::ImageHeader;
use shard_format::image_header::{Content, identify};

use crate::error::{ToolError, is_lack_of_descriptors};
use crate::packing::transcode::{Transcode, why_not_packed};
use crate::source::location::{Archive, Location, Span, Stamp};

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
    /// It was listed and is not there any more.
    Gone,
    /// The system failed to read it, which says nothing of the file.
    Failed(io::Error),
    /// The archive is not what was listed.
    ArchiveChanged,
}

impl Outcome {
    /// Why the candidate is left out; `None` for an image.
    ///
    /// # Errors
    /// What does not end with this candidate.
    pub(crate) fn reason_to_skip(
        &self,
        shown: impl FnOnce() -> PathBuf,
    ) -> Result<Option<String>, ToolError> {
        match self {
            Self::Image { .. } => Ok(None),
            Self::Skip(reason) => Ok(Some(reason.clone())),
            Self::Gone => Ok(Some("listed, and not there any more".to_owned())),
            Self::Failed(error) if is_lack_of_descriptors(error) => Err(ToolError::read(shown())(
                io::Error::from(rustix::io::Errno::MFILE),
            )),
            Self::Failed(error) => Err(ToolError::data(
                format_args!("cannot read: {error}"),
                shown().display(),
                "see to its disk and run the same command again, which goes on after the last finished shard",
            )),
            Self::ArchiveChanged => Err(ToolError::data(
                "the archive changed while it was packed",
                shown().display(),
                "leave it alone and run the same command again",
            )),
        }
    }
}

impl Reading {
    /// What there is to say of a candidate that cannot be read.
    pub(super) fn of_nothing(outcome: Outcome, location: &Location<'_>) -> Self {
        let stamp = Stamp::at(location);
        Self { outcome, stamp }
    }
}

/// Reads one candidate and recognises it by its content.
pub(crate) fn read(location: &Location<'_>, transcode: &Transcode) -> Reading {
    match Opened::open(location) {
        Ok(opened) => opened.read(transcode),
        Err(outcome) => Reading::of_nothing(outcome, location),
    }
}

/// A candidate that is there and of a size that an image may have.
#[derive(Debug)]
pub(super) enum Opened<'a> {
    File { file: File, stamp: Stamp },
    Member { archive: &'a Archive, span: Span },
}

impl<'a> Opened<'a> {
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn open(location: &Location<'a>) -> Result<Self, Outcome> {
        let opened = match location {
            Location::File(path) => open_file(path)?,
            Location::Member { archive, span } => Self::Member {
                archive,
                span: *span,
            },
        };
        if opened.num_bytes() > MAX_IMAGE_BYTES {
            return Err(Outcome::Skip("larger than 1 GiB".to_owned()));
        }
        Ok(opened)
    }

    /// What reading it will take.
    pub(super) fn num_bytes(&self) -> u64 {
        match self {
            Self::File { stamp, .. } => stamp.num_bytes,
            Self::Member { span, .. } => span.num_bytes,
        }
    }

    pub(super) fn read(self, transcode: &Transcode) -> Reading {
        let (bytes, stamp) = match self {
            Self::File { file, stamp } => (read_file(&file, stamp), stamp),
            Self::Member { archive, span } => {
                (read_member(archive, span), Stamp::of_member(archive, span))
            }
        };
        let outcome = match bytes {
            Ok(bytes) => recognise(bytes, transcode),
            Err(outcome) => outcome,
        };
        Reading { outcome, stamp }
    }
}

/// Pipes and devices are no images, and must not be waited for.
fn open_file<'a>(path: &Path) -> Result<Opened<'a>, Outcome> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path);
    let file = opened.map_err(failure)?;
    let metadata = file.metadata().map_err(failure)?;
    if !metadata.is_file() {
        return Err(Outcome::Skip("not a file".to_owned()));
    }
    let stamp = Stamp::of(&metadata);
    Ok(Opened::File { file, stamp })
}

fn read_file(file: &File, before: Stamp) -> Result<Vec<u8>, Outcome> {
    let mut bytes = Vec::with_capacity(before.num_bytes as usize);
    // Reading up to the known size needs no look for more; what the size does not tell is read all the same.
    let mut limited = file.take(before.num_bytes.max(1));
    limited.read_to_end(&mut bytes).map_err(failure)?;
    let after = Stamp::of(&file.metadata().map_err(failure)?);
    if bytes.len() as u64 == before.num_bytes && after == before {
        Ok(bytes)
    } else {
        Err(Outcome::Skip("changed while it was read".to_owned()))
    }
}

fn read_member(archive: &Archive, span: Span) -> Result<Vec<u8>, Outcome> {
    let mut bytes = vec![0; span.num_bytes as usize];
    let read = archive.file.read_exact_at(&mut bytes, span.offset);
    let now = archive.file.metadata().map_err(failure)?;
    if Stamp::of(&now) != archive.listed {
        return Err(Outcome::ArchiveChanged);
    }
    read.map_err(failure).map(|()| bytes)
}

/// What belongs to one file is a reason to skip it; everything else may befall all files that follow.
fn failure(error: io::Error) -> Outcome {
    match error.kind() {
        ErrorKind::NotFound => Outcome::Gone,
        ErrorKind::PermissionDenied
        | ErrorKind::InvalidFilename
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory => Outcome::Skip(format!("cannot be read ({})", error.kind())),
        _ => Outcome::Failed(error),
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
        Content::Other => {
            let option = (!transcode.to_jpeg).then_some("--transcode");
            Outcome::Skip(why_not_packed(content_name(&bytes), option))
        }
    }
}

/// Whether the first bytes hold the whole header of an image, which is so for most images.
pub(crate) fn begins_with_image_header(location: &Location<'_>) -> bool {
    const FIRST_BYTES: usize = 32 << 10;
    let Ok(opened) = Opened::open(location) else {
        return false;
    };
    let mut first = vec![0; FIRST_BYTES.min(opened.num_bytes() as usize)];
    let num_read = match opened {
        Opened::File { file, .. } => file.read_at(&mut first, 0),
        Opened::Member { archive, span } => archive.file.read_at(&mut first, span.offset),
    };
    num_read.is_ok_and(|num_read| matches!(identify(&first[..num_read]), Content::Image(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).expect("written");
        (folder, path)
    }

    fn read_path(path: impl Into<PathBuf>) -> Reading {
        read(&Location::File(path.into()), &Transcode::default())
    }

    #[test]
    fn a_file_that_is_not_there_is_told_from_one_that_cannot_be_read() {
        let (folder, file) = file_of(b"text");
        let gone = read_path(folder.path().join("missing"));
        assert!(matches!(gone.outcome, Outcome::Gone));
        assert_eq!(gone.stamp, Stamp::default());
        let below_a_file = read_path(file.join("x"));
        assert!(
            matches!(below_a_file.outcome, Outcome::Skip(reason) if reason.starts_with("cannot be read"))
        );
        let a_folder = read_path(folder.path());
        assert_eq!(
            a_folder.stamp,
            Stamp::at(&Location::File(folder.path().into()))
        );
        assert_ne!(a_folder.stamp, Stamp::default());
        assert!(matches!(a_folder.outcome, Outcome::Skip(reason) if reason == "not a file"));
        let device = read_path("/dev/null");
        assert!(matches!(device.outcome, Outcome::Skip(reason) if reason == "not a file"));
    }

    #[test]
    fn a_changed_file_has_another_stamp() {
        let (_folder, path) = file_of(b"text");
        let location = Location::File(path.clone());
        let before = Stamp::at(&location);
        assert_eq!(before, read(&location, &Transcode::default()).stamp);
        std::fs::write(&path, "other text").expect("written");
        assert_ne!(before, Stamp::at(&location));
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_skipped() {
        let (_folder, path) = file_of(b"text");
        let opened = Opened::open(&Location::File(path.clone()));
        std::fs::write(&path, "longer text").expect("written");
        let Ok(opened) = opened else { panic!("opened") };
        let outcome = opened.read(&Transcode::default()).outcome;
        assert!(matches!(outcome, Outcome::Skip(reason) if reason == "changed while it was read"));
    }

    #[test]
    fn an_archive_that_changes_after_it_was_listed_is_told() {
        let (_folder, path) = file_of(&[1; 2_000]);
        let file = File::open(&path).expect("opened");
        let archive = &Archive::new(file, None).expect("opened");
        let span = Span {
            offset: 1_000,
            num_bytes: 10,
        };
        let location = Location::Member { archive, span };
        assert!(matches!(
            read(&location, &Transcode::default()).outcome,
            Outcome::Skip(_)
        ));
        std::fs::write(&path, [2; 500]).expect("written");
        assert!(matches!(
            read(&location, &Transcode::default()).outcome,
            Outcome::ArchiveChanged
        ));
    }
}
