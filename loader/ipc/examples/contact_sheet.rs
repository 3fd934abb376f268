//! Counts the images of each class in one epoch, and draws the views of the first ones.
//!
//! usage: contact_sheet SHARDS SPLIT RECIPE OUT.png [SOCKET]
//!
//! A loader has to serve SHARDS: `loader serve SHARDS`. RECIPE is a name: sslight, dino, swav, moco, simclr, supervised, val.

use std::error::Error;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use loader_ipc::{Client, Lease, Recipe, StreamInfo, Subscription, default_socket};

const PATIENCE: Duration = Duration::from_secs(60);
const BATCH_SIZE: u32 = 32;
/// Rows of the sheet.
const NUM_SHOWN: usize = 8;
/// Pixels between two views.
const GAP: usize = 4;

/// An RGB picture.
struct Sheet {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("contact_sheet: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let (shards, split, recipe, out, socket) = match args {
        [shards, split, recipe, out] => (shards, split, recipe, out, default_socket(&[shards])),
        [shards, split, recipe, out, socket] => (shards, split, recipe, out, PathBuf::from(socket)),
        _ => return Err("usage: contact_sheet SHARDS SPLIT RECIPE OUT.png [SOCKET]".into()),
    };
    let recipe = Recipe::named(recipe).map_err(|reason| reason.to_string())?;
    let all_samples = Subscription {
        drop_last: false,
        ..Subscription::new(split, recipe, BATCH_SIZE)
    };
    let mut batches = Client::connect(&socket, PATIENCE)?.subscribe(&all_samples)?;
    let info = batches.info().clone();
    let mut counts = vec![0; info.classes.len()];
    let start = Instant::now();
    while let Some(batch) = batches.receive(PATIENCE)? {
        count(&batch, &mut counts);
        if batch.step() == 0 {
            write_png(&contact_sheet(&batch), out)?;
        }
    }
    report(shards, &info, &counts, start.elapsed());
    Ok(())
}

fn count(batch: &Lease, counts: &mut [u64]) {
    for label in &batch.labels()[..batch.num_valid()] {
        // -1 is a sample without a label.
        if let Some(count) = usize::try_from(*label)
            .ok()
            .and_then(|label| counts.get_mut(label))
        {
            *count += 1;
        }
    }
}

fn report(shards: &str, info: &StreamInfo, counts: &[u64], took: Duration) {
    for (class, count) in info.classes.iter().zip(counts) {
        println!("{count:8} {class}");
    }
    let rate = info.num_samples as f64 / took.as_secs_f64();
    println!(
        "{:8} images of {shards} at {rate:.0} images/s",
        info.num_samples
    );
}

/// A row for each of the first samples: its views side by side.
fn contact_sheet(batch: &Lease) -> Sheet {
    let num_rows = batch.num_valid().min(NUM_SHOWN);
    let shapes: Vec<_> = (0..batch.num_groups())
        .map(|group| batch.group(group).shape())
        .collect();
    let row_height = GAP
        + shapes
            .iter()
            .map(|[_, _, height, _, _]| *height)
            .max()
            .unwrap_or(0);
    let width = shapes
        .iter()
        .map(|[views, _, _, width, _]| views * (width + GAP))
        .sum::<usize>()
        + GAP;
    let mut sheet = Sheet::white(width, num_rows * row_height + GAP);
    let mut left = GAP;
    for (group, [num_views, batch_size, height, width, channels]) in shapes.into_iter().enumerate()
    {
        // A copy of a few views; a training would take `as_ptr` and copy nothing.
        let pixels = batch.group(group).to_vec();
        let views: Vec<&[u8]> = pixels.chunks(height * width * channels).collect();
        for view in 0..num_views {
            for row in 0..num_rows {
                sheet.draw(
                    views[view * batch_size + row],
                    width,
                    left,
                    GAP + row * row_height,
                );
            }
            left += width + GAP;
        }
    }
    sheet
}

impl Sheet {
    fn white(width: usize, height: usize) -> Sheet {
        let pixels = vec![255; width * height * 3];
        Sheet {
            width,
            height,
            pixels,
        }
    }

    /// Draws a view that is `width` pixels wide.
    fn draw(&mut self, view: &[u8], width: usize, left: usize, top: usize) {
        for (y, line) in view.chunks(width * 3).enumerate() {
            let at = ((top + y) * self.width + left) * 3;
            self.pixels[at..at + line.len()].copy_from_slice(line);
        }
    }
}

fn write_png(sheet: &Sheet, out: &str) -> Result<(), Box<dyn Error>> {
    let file = File::create(out).map_err(|error| format!("cannot write {out}: {error}"))?;
    let mut encoder = png::Encoder::new(file, sheet.width as u32, sheet.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    Ok(encoder.write_header()?.write_image_data(&sheet.pixels)?)
}
