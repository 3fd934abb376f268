//! nvJPEG's decoders, one for each lane: whether there are any, and what they made of a round.

use std::io;
use std::sync::Arc;

use ::nvjpeg::{Allocator, Decoder, Error, Failure, Library, Options, Route};
use loader_ipc::{ErrorKind, Reason};

use crate::pipeline::cuda::card::Card;
use crate::pipeline::cuda::jpeg::Jpeg;
use crate::pipeline::cuda::nvjpeg_memory::{NvjpegMemory, NvjpegRoom};

/// A place and a remedy. Without that library nvJPEG finds no engines on any card.
const NO_PART_FOR_ENGINES: (&str, &str) = (
    "libnvcuvid.so.1, a part of the driver, is not there",
    "in a container, let NVIDIA_DRIVER_CAPABILITIES have compute,utility,video",
);

/// What nvJPEG says of a file: the way that it went, or why it is not decoded.
pub(super) type Answer = Result<Route, Error>;

/// What nvJPEG says of the files of a round.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Of each.
    pub(super) answers: Vec<Answer>,
    /// What has gone wrong for good, where no image is to blame.
    pub(super) failure: Option<Failure>,
}

/// What became of the JPEG files of a batch.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// Images by the hardware engines.
    pub(super) by_engines: u64,
    /// Images by the hybrid back end.
    pub(super) by_hybrid: u64,
    /// Rows whose images nvJPEG did not decode.
    pub(super) failed_rows: Vec<usize>,
    /// What went wrong where no image is to blame.
    pub(super) failure: Option<Failure>,
}

impl Decoded {
    /// Adds what nvJPEG answered about the files of a round.
    pub(super) fn add(&mut self, jpegs: &[Jpeg], answers: Answers) {
        for (row, answer) in jpegs.iter().map(|jpeg| jpeg.row).zip(answers.answers) {
            match answer {
                Ok(Route::Hardware) => self.by_engines += 1,
                Ok(Route::Hybrid) => self.by_hybrid += 1,
                Err(_) => self.failed_rows.push(row),
            }
        }
        self.failure = answers.failure.or(self.failure);
    }

    /// Images that are decoded.
    pub(super) fn num_images(&self) -> u64 {
        self.by_engines + self.by_hybrid
    }
}

/// A decoder for each of `num_lanes` lanes, and what they are called. Without engines there is none: the hybrid back end reads a file on one thread, and the
/// CPU's decoder on all of them.
///
/// # Errors
/// Why nvJPEG cannot be used, or its engines.
pub(super) fn for_lanes(
    card: &Card,
    num_lanes: usize,
    room: NvjpegRoom,
) -> Result<(Vec<Decoder>, String), Reason> {
    let (decoders, version) = open(card, num_lanes, room)?;
    let num_engines = decoders.iter().map(Decoder::num_engines).min().unwrap_or(0);
    match num_engines {
        0 if !Library::reaches_engines() => {
            let what = format!("{version} cannot tell whether the card has JPEG engines");
            let (place, remedy) = NO_PART_FOR_ENGINES;
            Err(Reason::new(ErrorKind::Library, what, place, remedy))
        }
        0 => Ok((Vec::new(), format!("{version} finds no JPEG engines on it"))),
        num => Ok((decoders, format!("{version} with {num} JPEG engines"))),
    }
}

/// Streams for each of `num_lanes` lanes, so that all engines are busy when all lanes are.
pub(super) fn num_branches(decoders: &[Decoder], num_lanes: usize) -> usize {
    let num_engines = decoders.iter().map(Decoder::num_engines).min();
    (num_engines.unwrap_or(0) as usize).div_ceil(num_lanes)
}

/// So many decoders, each with so much memory, and what they are called.
///
/// # Errors
/// Why nvJPEG cannot be used.
pub(super) fn open(
    card: &Card,
    num: usize,
    room: NvjpegRoom,
) -> Result<(Vec<Decoder>, String), Reason> {
    let library = Library::load().map_err(|missing| {
        let remedy = "or let the CPU decode";
        Reason::new(ErrorKind::Library, missing.to_string(), "", remedy)
    })?;
    let failed = |what: String| {
        let remedy = "install another version of nvidia-nvjpeg, or let the CPU decode";
        Reason::new(
            ErrorKind::Library,
            what,
            library.path().display().to_string(),
            remedy,
        )
    };
    card.bind().map_err(|error| failed(error.to_string()))?;
    let memories = (0..num).map(|_| NvjpegMemory::of(card, room));
    let memories = memories.collect::<io::Result<Vec<_>>>();
    let memories = memories.map_err(|error| failed(format!("no thread for nvJPEG: {error}")))?;
    let decoders = memories
        .into_iter()
        .map(|memory| new_decoder(&library, memory));
    let decoders = decoders.collect::<Result<Vec<_>, _>>();
    let decoders = decoders.map_err(|failure| {
        let hint = match Library::reaches_engines() {
            true => String::new(),
            false => format!(" ({})", NO_PART_FOR_ENGINES.0),
        };
        failed(format!("nvJPEG does not start: {failure}{hint}"))
    })?;
    Ok((decoders, format!("nvJPEG {}", library.version())))
}

/// A lane's next round begins when the one before is done, so one call is under way.
fn new_decoder(library: &Arc<Library>, memory: NvjpegMemory) -> Result<Decoder, Failure> {
    let options = Options {
        num_in_flight: 1,
        use_engines: true,
    };
    let memory: Arc<dyn Allocator> = Arc::new(memory);
    Decoder::new(library, &memory, options)
}
