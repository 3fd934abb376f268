//! `shard-tool synth`: a small labelled set of JPEGs to try things on.
//!
//! A class is a shape with a texture. Everything else (colours, place, size, rotation, clutter,
//! light, noise) is drawn at random from the same distributions for all classes. Each image is
//! a pure function of (seed, split, class, number), so any number of threads give the same bytes.

mod class;
mod random;
mod scene;
mod shape;
mod texture;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use super::out_folder::{OutFolder, Work};
use crate::error::ToolError;
use crate::report::counts::thousands;
use crate::report::output;
use crate::source::splits::{TRAIN, VAL};
use crate::system::threads;
use class::{Class, MAX_CLASSES};
use random::Random;

const ABOUT_SYNTH: &str = "Make a small labelled set of JPEGs: scattered shapes with textures, each in a random pose and \
colours, among clutter.

Writes OUT/{train,val}/<class>/<class>_<number>.JPEG. A class is a shape with a texture; colours, size, \
place, rotation, lighting and clutter are drawn at random and say nothing of the class.";

const EXAMPLE_SYNTH: &str = "Example:
  shard-tool synth shapes --classes 10 --images 100 --px 96 --seed 0";

/// Make a small labelled set of JPEGs.
#[derive(Debug, Args)]
#[command(long_about = ABOUT_SYNTH, after_help = EXAMPLE_SYNTH)]
pub(crate) struct SynthOptions {
    /// Folder for the images; must be empty or not there.
    pub(crate) out: PathBuf,
    /// Number of classes.
    #[arg(long, value_name = "C", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CLASSES)))]
    pub(crate) classes: u32,
    /// Images per class, in each of train and val.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) images: u32,
    /// Width and height in pixels.
    #[arg(long, value_name = "P", default_value_t = 96, value_parser = clap::value_parser!(u32).range(16..=1024))]
    pub(crate) px: u32,
    /// Seed; the same options give byte-equal files.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// One image to be made.
#[derive(Debug, Clone, Copy)]
struct Job {
    split: usize,
    class: Class,
    number: u64,
}

const SPLITS: [&str; 2] = [TRAIN, VAL];

/// Makes the images and prints the summary.
pub(crate) fn run(options: &SynthOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    let jobs = jobs(options);
    let num_bytes = make_all(&jobs, options)?;
    let (out, seconds) = (options.out.display(), started.elapsed().as_secs_f64());
    let json = serde_json::json!({
        "out": options.out, "num_images": jobs.len(), "num_classes": options.classes, "num_bytes": num_bytes,
        "seconds": seconds,
    });
    let text = format!(
        "made {} images of {px} x {px} pixels, {} classes, train and val, {:.1} MB in {seconds:.2} s\n\
         where: {out}\nnext:  shard-tool pack {out}\n",
        thousands(jobs.len() as u64),
        options.classes,
        num_bytes as f64 / 1e6,
        px = options.px,
    );
    output::print(|output| output.either(options.json, &json, &text))
}

fn jobs(options: &SynthOptions) -> Vec<Job> {
    let numbers = 0..u64::from(options.images);
    let of_class = |split, class| {
        numbers.clone().map(move |number| Job {
            split,
            class,
            number,
        })
    };
    let of_split =
        |split| (0..options.classes).flat_map(move |class| of_class(split, Class::new(class)));
    (0..SPLITS.len()).flat_map(of_split).collect()
}

/// Makes all images on all processors; the sum of their sizes in bytes.
fn make_all(jobs: &[Job], options: &SynthOptions) -> Result<u64, ToolError> {
    let folder = OutFolder::create(&options.out)?;
    let class_dirs: Vec<PathBuf> = jobs
        .iter()
        .filter(|job| job.number == 0)
        .map(class_dir)
        .collect();
    folder.make_folders(class_dirs.iter().map(PathBuf::as_path))?;
    let work = Work {
        verb: "making",
        num_files: jobs.len(),
        num_threads: threads::for_computing(),
    };
    let num_bytes = folder.fill(work, |partial, number| {
        make(&jobs[number], options, partial)
    })?;
    folder.publish()?;
    Ok(num_bytes)
}

fn make(job: &Job, options: &SynthOptions, partial: &Path) -> Result<u64, ToolError> {
    let jpeg = jpeg(options.seed, job, options.px);
    let file = format!("{}_{:05}.JPEG", job.class.name(), job.number);
    let path = partial.join(class_dir(job)).join(file);
    fs::write(&path, &jpeg).map_err(ToolError::write(path))?;
    Ok(jpeg.len() as u64)
}

fn class_dir(job: &Job) -> PathBuf {
    Path::new(SPLITS[job.split]).join(job.class.name())
}

fn jpeg(seed: u64, job: &Job, px: u32) -> Vec<u8> {
    let mut random = Random::new(&[
        seed,
        job.split as u64,
        u64::from(job.class.number()),
        job.number,
    ]);
    let rgb = scene::draw(job.class, px, &mut random);
    let quality = random.between(82.0, 96.0) as u8;
    crate::packing::jpeg::encode(&rgb, px, px, quality)
        .expect("an image of a size that was checked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(class: u32, number: u64) -> Job {
        Job {
            split: 0,
            class: Class::new(class),
            number,
        }
    }

    fn mean_colour(class: u32, number: u64) -> [f64; 3] {
        let mut random = Random::new(&[1, 0, u64::from(class), number]);
        let rgb = scene::draw(Class::new(class), 32, &mut random);
        let mut sum = [0.0; 3];
        for pixel in rgb.chunks_exact(3) {
            (0..3).for_each(|channel| sum[channel] += f64::from(pixel[channel]));
        }
        sum.map(|channel| channel / 1024.0)
    }

    fn distance(a: &[f64; 3], b: &[f64; 3]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
        assert_eq!(jpeg(5, &job(3, 7), 48), jpeg(5, &job(3, 7), 48));
        assert_ne!(jpeg(5, &job(3, 7), 48), jpeg(6, &job(3, 7), 48));
        assert_ne!(jpeg(5, &job(3, 7), 48), jpeg(5, &job(3, 8), 48));
        assert_ne!(
            jpeg(5, &job(3, 7), 48),
            jpeg(
                5,
                &Job {
                    split: 1,
                    ..job(3, 7)
                },
                48
            )
        );
    }

    #[test]
    fn the_mean_colour_does_not_tell_the_class() {
        const CLASSES: u32 = 10;
        let centres: Vec<[f64; 3]> = (0..CLASSES)
            .map(|class| {
                let colours: Vec<_> = (0..60).map(|number| mean_colour(class, number)).collect();
                [0, 1, 2].map(|channel| colours.iter().map(|c| c[channel]).sum::<f64>() / 60.0)
            })
            .collect();
        let nearest = |colour: &[f64; 3]| {
            let by_distance = |a: &u32, b: &u32| {
                let to = |class: u32| distance(colour, &centres[class as usize]);
                to(*a).total_cmp(&to(*b))
            };
            (0..CLASSES).min_by(by_distance).expect("there are classes")
        };
        let is_right = |class: u32, number| nearest(&mean_colour(class, number)) == class;
        let num_right: usize = (0..CLASSES)
            .map(|class| (100..160).filter(|number| is_right(class, *number)).count())
            .sum();
        let accuracy = num_right as f64 / 600.0;
        println!("nearest mean colour: {accuracy:.3}, chance is 0.1");
        assert!(accuracy < 0.18, "nearest mean colour reaches {accuracy}");
    }
}
