//! Files to pixels by the card alone, for whoever compares them with the CPU's: the lane of a batch, without views.

use std::sync::Arc;

use loader_card::CardError;
use loader_ipc::Reason;
use nvjpeg::{Picture, Route};

use crate::augment::cuda::Table;
use crate::pipeline::cuda::card::Card;
use crate::pipeline::cuda::lane::{Lane, Share};
use crate::pipeline::cuda::nvjpeg_decoders;
use crate::pipeline::cuda::round::{Round, Source};

/// A card that decodes files. It belongs to one thread.
#[derive(Debug)]
pub struct CardDecoder {
    card: Arc<Card>,
    lane: Lane,
    name: String,
}

/// A file's pixels, `u8 [height, width, 3]`, and the way that it went; else why the card does not decode it.
pub type Pixels = Result<(Route, Vec<u8>), String>;

impl CardDecoder {
    /// Opens card and nvJPEG.
    ///
    /// # Errors
    /// Why one of them cannot be used.
    pub fn open() -> Result<CardDecoder, Reason> {
        let card = Arc::new(Card::open(0)?);
        let share = Share::of(&card, usize::MAX, 1);
        let (mut decoders, version) = nvjpeg_decoders::open(&card, 1, share.nvjpeg)?;
        let num_branches = nvjpeg_decoders::num_branches(&decoders, 1);
        let lane = Lane::new(&card, share.room, decoders.pop(), num_branches);
        let lane = lane.map_err(|error| card.broken(&error))?;
        let name = format!("{}, {version}", card.name());
        Ok(CardDecoder { card, lane, name })
    }

    /// Card and library, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Decodes these files in one batch, or in several where they are more than the card's memory holds.
    ///
    /// # Errors
    /// That the card failed.
    pub fn decode(&mut self, files: &[(Vec<u8>, Picture)]) -> Result<Vec<Pixels>, Reason> {
        let mut all = Vec::new();
        while all.len() < files.len() {
            let left = &files[all.len()..];
            let some = self.decode_some(left);
            all.extend(some.map_err(|error| self.card.broken(&error))?);
        }
        Ok(all)
    }

    /// Decodes as many of the first files as there is room for, one at least.
    fn decode_some(&mut self, files: &[(Vec<u8>, Picture)]) -> Result<Vec<Pixels>, CardError> {
        let (mut round, no_views) = (Round::default(), Table::new());
        let (first, picture) = &files[0];
        let needed = round.with(Source::Jpeg(first, picture), &no_views);
        if !self.lane.room().holds(needed) && !self.lane.grow(needed)? {
            return Ok(vec![Err(
                "it is larger than the card's share of memory".to_owned()
            )]);
        }
        for (row, (bytes, picture)) in files.iter().enumerate() {
            let source = Source::Jpeg(bytes, picture);
            let Some(place) = round.take(source, &no_views, self.lane.room()) else {
                break;
            };
            self.lane.write(place, bytes);
            round.add_file(row, source, place);
        }
        let answers = self.lane.run(&round)?;
        let jpegs = round.jpegs.iter().zip(answers.answers);
        let pixels = jpegs.map(|(jpeg, answer)| {
            let pixels = self.lane.pixels(jpeg)?;
            Ok(answer
                .map(|way| (way, pixels))
                .map_err(|error| error.to_string()))
        });
        pixels.collect()
    }
}
