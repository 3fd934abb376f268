//! nvJPEG's decoders, one for each lane: whether there are any, and what they made of a round.

use std::sync::Arc;

use ::nvjpeg::{Decoder, Error, Failure, Library, Options, Route};
use loader_ipc::{ErrorKind, Reason};

use crate::pipeline::cuda::card::Card;

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
    /// Adds what nvJPEG answered for the images of these rows.
    pub(super) fn add(
        &mut self,
        rows: impl Iterator<Item = usize>,
        answers: Vec<Result<Route, Error>>,
    ) {
        for (row, answer) in rows.zip(answers) {
            match answer {
                Ok(Route::Hardware) => self.by_engines += 1,
                Ok(Route::Hybrid) => self.by_hybrid += 1,
                Err(error) => {
                    self.failed_rows.push(row);
                    if let Error::Failed(failure) = error
                        && !failure.is_of_the_image()
                    {
                        self.failure = Some(failure);
                    }
                }
            }
        }
    }

    /// Adds what became of another round.
    pub(super) fn append(&mut self, other: Decoded) {
        self.by_engines += other.by_engines;
        self.by_hybrid += other.by_hybrid;
        self.failed_rows.extend(other.failed_rows);
        self.failure = other.failure.or(self.failure);
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
/// Why nvJPEG cannot be used.
pub(super) fn open(card: &Card, num_lanes: usize) -> Result<(Vec<Decoder>, String), Reason> {
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
    let decoder = |_| new_decoder(&library);
    let decoders = (0..num_lanes).map(decoder).collect::<Result<Vec<_>, _>>();
    let decoders =
        decoders.map_err(|failure| failed(format!("nvJPEG does not start: {failure}")))?;
    let version = library.version();
    let num_engines = decoders.iter().map(Decoder::num_engines).min().unwrap_or(0);
    Ok(match num_engines {
        0 => (
            Vec::new(),
            format!("nvJPEG {version} finds no JPEG engines on it"),
        ),
        num => (
            decoders,
            format!("nvJPEG {version} with {num} JPEG engines"),
        ),
    })
}

/// A lane's next round begins when the one before is done, so one call is under way. Memory is taken when images come that need it.
fn new_decoder(library: &Arc<Library>) -> Result<Decoder, Failure> {
    let options = Options {
        num_in_flight: 1,
        batch: 1,
        width: 1,
        height: 1,
        use_engines: true,
    };
    Decoder::new(library, options)
}
