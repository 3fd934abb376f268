//! Why a command failed: what; where; what to do.

use std::io;
use std::path::PathBuf;

use shard_format::FormatError;

use crate::index::IndexError;
use crate::report::{counted, thousands};

/// The failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error("the source folder does not exist; {}; check the path", .0.display())]
    MissingSource(PathBuf),
    #[error(
        "the source is neither a folder nor a .tar; {}; give one of these (decompressed), or a list of files with --list",
        .0.display()
    )]
    SourceNotAFolder(PathBuf),
    #[error(
        "the source folder is empty; {}; it should hold {{train,val}}/<class>/<images> or <class>/<images>",
        .0.display()
    )]
    EmptySource(PathBuf),
    #[error(
        "these images lie in no class folder; {}; give their classes with --labels FILE (a list `file,class`, or the \
         ILSVRC2012 devkit)",
        .0.display()
    )]
    FlatSplit(PathBuf),
    #[error("this line is not `file,class`; {} line {line}; correct it", path.display())]
    LabelLine { path: PathBuf, line: usize },
    #[error(
        "an image gets another class than in a line before: `{image}`; {} line {line}; \
         keep one of the lines (images are known by name, without folder and extension)", path.display()
    )]
    TwoLabels {
        path: PathBuf,
        line: usize,
        image: String,
    },
    #[error("the devkit cannot be used: {problem}; {}; download it again", path.display())]
    Devkit { path: PathBuf, problem: String },
    #[error("the archive holds no file; {}; check the path", .0.display())]
    EmptyArchive(PathBuf),
    #[error(
        "the archive is damaged: {problem}; {place}; download or copy it again, or use what is before with --allow-damaged"
    )]
    DamagedArchive { problem: String, place: String },
    #[error("a line is longer than 1 MiB; {} line {line}; give a file of lines", path.display())]
    LongLine { path: PathBuf, line: usize },
    #[error(
        "no class of val is among those of train; val has {val}, train has {train}; give val labels that are class names \
         of train, or their positions, from 0, in order of name"
    )]
    ForeignVal { val: String, train: String },
    #[error("the output is no folder; {}; use another --out", .0.display())]
    OutNotAFolder(PathBuf),
    #[error(
        "a list is a file; standard input (`-`); write the list into a file, since paths in it are relative to its folder"
    )]
    ListFromStdin,
    #[error("the subset names no image; {}; write an index or a file name on each line", .0.display())]
    EmptySubset(PathBuf),
    #[error(
        "none of the {num_images} images that need a label has one in this file; {}; \
         check that it belongs to this source: lines `file,class`", path.display()
    )]
    NoLabelFits { path: PathBuf, num_images: u64 },
    #[error(
        "one split is in {archive}, the other in a folder beside it; {}; move the folder elsewhere and give both, as several \
         sources, or unpack the archive", dir.display()
    )]
    HalfUnpacked { dir: PathBuf, archive: String },
    #[error(
        "an earlier packing of other files, or with other options, has finished {num_shards} shards here; {}; \
         run its command again to go on, or give --overwrite to lose them", out.display()
    )]
    OtherPacking { out: PathBuf, num_shards: usize },
    #[error("the list names no file; {}; write a line `path[<tab>class]` for each image", .0.display())]
    EmptyList(PathBuf),
    #[error("a file of this name is there twice for the same class; {}; leave one out", .0.display())]
    NameTwice(PathBuf),
    #[error(
        "{} of the subset are not in the training split, or in several classes: {first}{}; {}; check that it \
         belongs to this source",
        counted(*num_unknown as u64, "line"), if *num_unknown > 5 { ", ..." } else { "" }, path.display()
    )]
    UnknownInSubset {
        path: PathBuf,
        num_unknown: usize,
        first: String,
    },
    #[error(
        "no JPEG or PNG image in {}, {} skipped (see above); {}; check the path",
        counted(*num_folders as u64, "class folder"), counted(*num_skipped, "file"), src.display()
    )]
    NoImages {
        src: PathBuf,
        num_folders: usize,
        num_skipped: u64,
    },
    #[error(
        "{} skipped and {} without images, with --strict; {}; \
         remove them or leave out --strict (nothing was written)",
        counted(*num_skipped, "file"), counted(*num_empty_classes as u64, "class folder"), src.display()
    )]
    Strict {
        src: PathBuf,
        num_skipped: u64,
        num_empty_classes: usize,
    },
    #[error("--val-fraction makes a val split, but SRC has one; {}; leave out --val-fraction", .0.display())]
    HasVal(PathBuf),
    #[error("the output folder lies inside the source; {}; give another --out", .0.display())]
    OutInsideSource(PathBuf),
    #[error("the default output folder has no name beside the source; {}; give --out DIR", .0.display())]
    NoDefaultOut(PathBuf),
    #[error(
        "the disk is full; {}; what is left of the set needs about {} MiB, {} MiB are free there: \
         free some and run the same command again, which goes on after the last finished shard, or give --out on another disk",
        out.display(), mib_up(*needed_bytes), free_bytes >> 20
    )]
    DiskFull {
        out: PathBuf,
        needed_bytes: u64,
        free_bytes: u64,
    },
    #[error(
        "the disk is full: a stream is kept while it is packed, and {} MiB of it were read; {}, where {} MiB are free; \
         free some, or give --out on another disk", mib_up(*num_bytes), dir.display(), free_bytes >> 20
    )]
    SpoolFull {
        dir: PathBuf,
        num_bytes: u64,
        free_bytes: u64,
    },
    #[error(
        "the source has more files than can be numbered, 4,294,967,295; the command line; pack parts of it into sets of their own"
    )]
    TooManyFiles,
    #[error(
        "cannot read: {problem}; {}; see to its disk and run the same command again, which goes on after the last finished shard",
        path.display()
    )]
    SourceFails { path: PathBuf, problem: String },
    #[error(
        "the archive changed while it was packed; {}; leave it alone and run the same command again",
        .0.display()
    )]
    ArchiveChanged(PathBuf),
    #[error(
        "{} of {} that were listed are not there any more; {}, for one; see that its disk is mounted and that nobody removes \
         files, or correct the list, and run the same command again",
        thousands(*num_gone), counted(*num_files, "file"), first.display()
    )]
    SourceGone {
        num_gone: u64,
        num_files: u64,
        first: PathBuf,
    },
    #[error(
        "stopped on request; {}; run the same command again to go on after the last finished shard",
        .0.display()
    )]
    Stopped(PathBuf),
    #[error("the output folder is not empty; {}; give another folder", .0.display())]
    OutNotEmpty(PathBuf),
    #[error("the output folder is the current one; {}; give another, which is put in place when it is whole", .0.display())]
    OutIsHere(PathBuf),
    #[error("stopped on request; {}; run the same command again (nothing was left there)", .0.display())]
    Interrupted(PathBuf),
    #[error("cannot read: {source}; {}; check the path and its permissions", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write: {source}; {}; check free space and permissions", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("there is no sample `{key}`; {}; {}", place.display(), did_you_mean(near))]
    UnknownKey {
        key: String,
        place: PathBuf,
        near: Vec<String>,
    },
    #[error("this is no tar: {problem}; {}; give a folder with manifest.json, or a tar", path.display())]
    NotATar { path: PathBuf, problem: String },
    #[error(
        "{}, {}; {}; see the list on stdout, and leave them out with --repair",
        counted(*num_defects, "defect"), counted(*num_bad_samples, "bad sample"), set.display()
    )]
    Defects {
        set: PathBuf,
        num_defects: u64,
        num_bad_samples: u64,
    },
    #[error("the set cannot be repaired: {problem}; {}; {remedy} (nothing was changed)", set.display())]
    BeyondRepair {
        set: PathBuf,
        problem: String,
        remedy: String,
    },
    #[error(
        "a member is refused: `{member}`: {problem}; {} offset {offset}; \
         unpack it with another program if you trust it (nothing was written)", tar.display()
    )]
    UnsafeMember {
        tar: PathBuf,
        member: String,
        offset: u64,
        problem: &'static str,
    },
    #[error(
        "the tar is damaged: {problem}; {} offset {offset}, {}; copy it again (nothing was written)",
        path.display(), crate::report::last_good(last_good.as_ref())
    )]
    DamagedTar {
        path: PathBuf,
        offset: u64,
        problem: String,
        last_good: Option<(String, u64)>,
    },
    #[error("two images would become the same file; {}; unpack splits or shards apart (nothing was written)", .0.display())]
    SamePath(PathBuf),
    #[error("two samples would get the key `{key}`; {}; index the shards that repeat it as a set of their own", set.display())]
    SameKey { set: PathBuf, key: String },
    #[error("the new set would replace the old one; {}; give another --out", .0.display())]
    OutIsSet(PathBuf),
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl ToolError {
    /// 2 usage, 3 data, 4 resources, 75 stopped and resumable.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::HasVal(_)
            | Self::OutNotAFolder(_)
            | Self::ListFromStdin
            | Self::OtherPacking { .. }
            | Self::FlatSplit(_)
            | Self::ForeignVal { .. }
            | Self::OutInsideSource(_)
            | Self::NoDefaultOut(_)
            | Self::OutNotEmpty(_)
            | Self::OutIsHere(_)
            | Self::OutIsSet(_) => 2,
            Self::Stopped(_) | Self::Interrupted(_) => 75,
            Self::DiskFull { .. } | Self::SpoolFull { .. } | Self::Write { .. } => 4,
            Self::Format(error) => error.exit_code() as u8,
            Self::Index(error) => error.exit_code(),
            _ => 3,
        }
    }

    /// Whether the disk, or the user's share of it, is full.
    pub(crate) fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::Format(error) => error.is_disk_full(),
            Self::Write { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded),
            _ => false,
        }
    }

    /// Whether the source is to blame, so that what was written of it is of no use.
    pub(crate) fn is_of_the_source(&self) -> bool {
        matches!(self, Self::Strict { .. } | Self::NoImages { .. })
    }

    pub(crate) fn not_a_tar(path: impl Into<PathBuf>, problem: String) -> Self {
        let path = path.into();
        Self::NotATar { path, problem }
    }

    /// For `map_err` on a read of `path`.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    /// For `map_err` on a write of `path`.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}

fn mib_up(num_bytes: u64) -> u64 {
    num_bytes.div_ceil(1 << 20)
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() {
        return "see `shard-tool list` for the keys there are".to_owned();
    }
    format!("did you mean {}?", near.join(", "))
}
