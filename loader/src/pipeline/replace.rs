//! The rule for bad samples, the same for every engine.
//!
//! In place of a bad sample comes the next good one that the stream serves: ids count up, and begin anew at the end. Its row then has the views and the
//! label of the other sample. Every rank finds the same one. Trouble that is no sample's fault, such as a full disk, stops the daemon instead.

use image_decode::{DecodeError, Outcome};
use loader_ipc::{ErrorKind, NO_LABEL, Reason};
use shard_format::Sample;

use crate::failures::{BadSample, Verdict};
use crate::pipeline::stream_context::StreamContext;
use crate::set_error;
use crate::shutdown::Stop;

/// How many neighbours are tried in place of a bad sample.
const MAX_REPLACEMENTS: u64 = 64;

/// What a row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// The sample: the planned one, or that in its place.
    pub(super) sample_id: u64,
    /// Its label, or [`NO_LABEL`].
    pub(super) label: i64,
}

/// Hands the planned sample's file to `decode`, and then its neighbours' until one is good. `None` where none is, or the daemon stops.
pub(super) fn first_good(
    stream: &StreamContext,
    planned: u64,
    mut decode: impl FnMut(&[u8]) -> Result<Outcome, DecodeError>,
) -> Option<Shown> {
    let num_samples = stream.selection.num_samples();
    for distance in 0..num_samples.min(MAX_REPLACEMENTS + 1) {
        let sample_id = stream.selection.after(planned, distance);
        if let Some(label) = label_if_good(stream, sample_id, &mut decode) {
            return Some(Shown { sample_id, label });
        }
        if stream.shutdown.is_triggered() {
            return None;
        }
    }
    let place = format!(
        "split `{}`: sample {planned} and the {MAX_REPLACEMENTS} after it",
        stream.split
    );
    let what = "no good sample after a bad one";
    let reason = Reason::new(ErrorKind::Data, what, place, "check the data set");
    stream.shutdown.trigger(Stop::Failed(reason));
    None
}

/// Decodes a sample, reports what is wrong with it, and gives its label.
fn label_if_good(
    stream: &StreamContext,
    id: u64,
    decode: impl FnOnce(&[u8]) -> Result<Outcome, DecodeError>,
) -> Option<i64> {
    let found = stream.set.sample(id);
    let found = found.and_then(|sample| Ok((sample, sample.image()?)));
    let (sample, image) = match found {
        Ok(found) => found,
        Err(error) if set_error::kind(&error) == ErrorKind::Resources => {
            let reason = set_error::reason(&error);
            stream.shutdown.trigger(Stop::Failed(reason));
            return None;
        }
        Err(error) => {
            report(stream, id, "index", error.to_string());
            return None;
        }
    };
    match decode(image) {
        Ok(Outcome::Clean) => {}
        Ok(Outcome::Recovered) => {
            if stream.failures.report_recovered(&stream.split, id) {
                tracing::warn!(
                    "a damaged image was recovered; {}; replace the file",
                    place(&sample)
                );
            }
        }
        Err(error) => {
            report(
                stream,
                id,
                error.cause(),
                format!("{error}; {}; {}", place(&sample), error.remedy()),
            );
            return None;
        }
    }
    Some(sample.label.map_or(NO_LABEL, i64::from))
}

fn report(stream: &StreamContext, id: u64, cause: &'static str, place: String) {
    let num_samples = stream.set.num_samples();
    let bad = BadSample {
        split: &stream.split,
        id,
        num_samples,
        cause,
        place: place.clone(),
    };
    match stream.failures.report(bad) {
        Verdict::Known => {}
        Verdict::New => tracing::warn!("sample {id} is replaced by its neighbour: {place}"),
        Verdict::OverBudget(reason) => stream.shutdown.trigger(Stop::OverBudget(reason)),
    }
}

fn place(sample: &Sample<'_>) -> String {
    format!(
        "{}, key {}, offset {}",
        sample.shard, sample.key, sample.offset
    )
}
