//! `loader parity`: how far the pixels that a card decodes are from the CPU's, by the way that a file went.

use std::collections::BTreeMap;

use image_decode::{DEFAULT_PIXEL_LIMIT, Decoder, RgbImage};
use loader_ipc::{ErrorKind, Reason};
use nvjpeg::Picture;
use serde_json::{Value, json};
use shard_format::{FormatError, ReadOptions};

use crate::cli::ParityArgs;
use crate::decode::{MOST_BY_DCT, Parity};
use crate::pipeline::cuda::{CardDecoder, Pixels};
use crate::set_error;
use crate::source::order::Permutation;
use crate::source::{Samples, Shards};

/// Files that the card decodes at once.
const BATCH: usize = 32;

/// What was compared.
#[derive(Debug, Default)]
pub struct Report {
    card: String,
    /// Images and pixels by the way that they went.
    ways: BTreeMap<&'static str, (u64, Parity)>,
    /// Images that are the CPU's alone, by why nvJPEG is not asked or fails.
    not_decoded: BTreeMap<String, u64>,
    /// Images that the CPU refuses.
    num_bad: u64,
    /// The first image that is further off than the inverse DCT can be, and by how many levels.
    worst: Option<(String, u8)>,
}

/// Decodes images of a split both ways and compares them.
///
/// # Errors
/// When the data cannot be read, or the card or nvJPEG cannot be used.
pub fn run(args: &ParityArgs) -> Result<Report, Reason> {
    let of_set = |error: FormatError| set_error::reason(&error);
    let shards = Shards::open(&args.data, ReadOptions::default()).map_err(of_set)?;
    let set = shards.split(&args.split).map_err(of_set)?;
    let mut card = CardDecoder::open()?;
    let mut report = Report {
        card: card.name().to_owned(),
        ..Report::default()
    };
    let order = Permutation::new(0, 0, set.num_samples());
    let num = args.images.min(set.num_samples());
    let ids: Vec<u64> = (0..num).map(|position| order.sample(position)).collect();
    for ids in ids.chunks(BATCH) {
        report.add(&set, ids, &mut card)?;
    }
    Ok(report)
}

impl Report {
    fn add(&mut self, set: &Samples, ids: &[u64], card: &mut CardDecoder) -> Result<(), Reason> {
        let mut files: Vec<(Vec<u8>, Picture)> = Vec::new();
        let mut keys = Vec::new();
        for id in ids {
            let sample = set.sample(*id).map_err(|error| set_error::reason(&error))?;
            let bytes = sample.image().map_err(|error| set_error::reason(&error))?;
            match nvjpeg::Decoder::picture(bytes) {
                Ok(picture) => {
                    files.push((bytes.to_vec(), picture));
                    keys.push(format!("{}, key {}", sample.shard, sample.key));
                }
                Err(refusal) => *self.not_decoded.entry(refusal.to_string()).or_default() += 1,
            }
        }
        let made = card.decode(&files)?;
        for (((bytes, _), key), made) in files.iter().zip(keys).zip(made) {
            self.compare(bytes, key, made);
        }
        Ok(())
    }

    fn compare(&mut self, bytes: &[u8], key: String, made: Pixels) {
        let mut expected = RgbImage::new();
        if Decoder::new(DEFAULT_PIXEL_LIMIT)
            .decode(bytes, &mut expected)
            .is_err()
        {
            self.num_bad += 1;
            return;
        }
        let (route, pixels) = match made {
            Ok(made) => made,
            Err(why) => return *self.not_decoded.entry(why).or_default() += 1,
        };
        let parity = Parity::of(&pixels, expected.pixels());
        let way = match route {
            nvjpeg::Route::Hardware => "the card's engines",
            nvjpeg::Route::Hybrid => "nvJPEG's hybrid back end",
        };
        let (num_images, all) = self.ways.entry(way).or_default();
        *num_images += 1;
        *all = [*all, parity].into_iter().sum();
        if !parity.is_by_dct() {
            self.worst.get_or_insert((key, parity.most));
        }
    }

    /// That a pixel is further off than the inverse DCT can be.
    pub fn failure(&self) -> Option<Reason> {
        let (place, levels) = self.worst.as_ref()?;
        let what = format!(
            "the card decodes other pixels: {levels} levels off, where the inverse DCT makes at most {MOST_BY_DCT}"
        );
        let remedy = "report this with the file, and let the CPU decode (--decoder cpu)";
        Some(Reason::new(ErrorKind::Library, what, place.clone(), remedy))
    }

    /// For programs.
    pub fn as_json(&self) -> Value {
        let ways = self.ways.iter().map(|(way, (num_images, parity))| {
            json!({
                "way": way,
                "num_images": num_images,
                "num_pixels": parity.num_pixels,
                "by_one": parity.by_one,
                "by_more": parity.by_more,
                "most": parity.most,
            })
        });
        json!({
            "card": self.card,
            "ways": ways.collect::<Vec<_>>(),
            "not_decoded": self.not_decoded,
            "num_bad": self.num_bad,
            "bound": MOST_BY_DCT,
            "is_within": self.worst.is_none(),
        })
    }

    /// For people.
    pub fn as_text(&self) -> String {
        let mut text = format!(
            "{}\n{:28}{:>8}{:>14}{:>12}{:>10}{:>8}\n",
            self.card, "decoded by", "images", "pixels", "off by 1", "by more", "most"
        );
        for (way, (num_images, parity)) in &self.ways {
            let Parity {
                num_pixels,
                by_one,
                by_more,
                most,
            } = parity;
            text +=
                &format!("{way:28}{num_images:8}{num_pixels:14}{by_one:12}{by_more:10}{most:8}\n");
        }
        for (why, num) in &self.not_decoded {
            text += &format!("{:28}{num:8}  {why}\n", "the CPU alone");
        }
        text + &format!(
            "bad images: {}; at most {MOST_BY_DCT} levels are the inverse DCT's",
            self.num_bad
        )
    }
}
