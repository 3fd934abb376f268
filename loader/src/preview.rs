//! `loader preview`: a contact sheet of the views that a recipe makes, through the very code that serves them.
//!
//! One row per image: the whole image first, then its views, at their true size or, if all are small, magnified alike.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageError, ImageFormat, RgbImage as Canvas, imageops};
use image_decode::DEFAULT_PIXEL_LIMIT;
use loader_ipc::{ErrorKind, Recipe};
use shard_format::{FormatError, ReadOptions};

use crate::augment::{ViewKey, draw};
use crate::cli::PreviewArgs;
use crate::pipeline::cpu::Worker;
use crate::set_error;
use crate::source::Samples;
use crate::source::Shards;
use crate::source::order::Permutation;

const GAP: u32 = 6;
const GROUP_GAP: u32 = 18;
const BACKGROUND: image::Rgb<u8> = image::Rgb([250, 250, 250]);
/// Longest side of the whole image in its cell, in pixels.
const THUMBNAIL: u32 = 224;
/// Most rows of a sheet.
const MAX_IMAGES: u64 = 256;

/// Why there is no contact sheet.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The data set cannot be read.
    #[error(transparent)]
    Data(#[from] FormatError),
    /// The recipe file is no recipe.
    #[error("bad recipe: {what}; {}; write one like the trainer's recipe.json", .path.display())]
    Recipe {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing could be drawn.
    #[error(
        "no image of split `{split}` could be decoded; see the warnings above; check the data set"
    )]
    Empty {
        /// The split.
        split: String,
    },
    /// The picture cannot be written.
    #[error("cannot write the picture: {source}; {}; choose another file, ending in .png", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ImageError,
    },
}

impl PreviewError {
    /// Of what kind it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            PreviewError::Data(error) => set_error::kind(error),
            PreviewError::Recipe { .. } => ErrorKind::Usage,
            PreviewError::Empty { .. } => ErrorKind::Data,
            PreviewError::Write { .. } => ErrorKind::Resources,
        }
    }
}

/// Draws the sheet that `args` asks for. Where it names samples, returns a line for each and for each of its views.
///
/// # Errors
/// See [`PreviewError`].
pub fn run(args: &PreviewArgs) -> Result<Vec<String>, PreviewError> {
    let recipe = match &args.recipe {
        Some(path) => read_recipe(path)?,
        None => Recipe::sslight(),
    };
    let set = Shards::open(&args.data, ReadOptions::default())?.split(&args.split)?;
    let mut told = Vec::new();
    let rows = rows(args, &set, &recipe, &mut told)?;
    if rows.is_empty() {
        return Err(PreviewError::Empty {
            split: args.split.clone(),
        });
    }
    write(&compose(&rows), &args.out).map_err(|source| PreviewError::Write {
        path: args.out.clone(),
        source,
    })?;
    Ok(told)
}

/// Encodes before it writes, so that what the system refuses is told apart from what the encoder does.
fn write(sheet: &Canvas, path: &Path) -> Result<(), ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    sheet.write_to(&mut bytes, ImageFormat::from_path(path)?)?;
    Ok(fs::write(path, bytes.into_inner())?)
}

fn read_recipe(path: &Path) -> Result<Recipe, PreviewError> {
    let bad = |what: String| PreviewError::Recipe {
        path: path.to_owned(),
        what,
    };
    let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let recipe: Recipe = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    match recipe.violations() {
        broken if broken.is_empty() => Ok(recipe),
        broken => Err(bad(broken.join("; "))),
    }
}

/// One row per image: the thumbnail and the views with the group each belongs to.
type Row = Vec<(usize, Canvas)>;

fn rows(
    args: &PreviewArgs,
    set: &Samples,
    recipe: &Recipe,
    told: &mut Vec<String>,
) -> Result<Vec<Row>, PreviewError> {
    let mut worker = Worker::new(DEFAULT_PIXEL_LIMIT);
    let order = Permutation::new(args.seed, args.epoch.into(), set.num_samples());
    let most = match args.ids.is_empty() {
        true => args.images.min(MAX_IMAGES),
        false => MAX_IMAGES,
    };
    let in_order = (0..set.num_samples()).map(|position| order.sample(position));
    let ids: Box<dyn Iterator<Item = u64>> = match args.ids.is_empty() {
        true => Box::new(in_order),
        false => Box::new(args.ids.iter().copied()),
    };
    let mut rows = Vec::new();
    for id in ids {
        if rows.len() as u64 == most {
            break;
        }
        let sample = set.sample(id)?;
        match worker.decode(sample.image()?) {
            Ok(_) => {
                rows.push(row(&mut worker, recipe, args, id));
                if !args.ids.is_empty() {
                    told.push(format!(
                        "sample {id}: {}, shard {}",
                        sample.key, sample.shard
                    ));
                    told.extend(drawn(&worker, recipe, args, id));
                }
            }
            Err(error) => tracing::warn!(
                "{error}; {}, key {}; {}",
                sample.shard,
                sample.key,
                error.remedy()
            ),
        }
    }
    Ok(rows)
}

fn row(worker: &mut Worker, recipe: &Recipe, args: &PreviewArgs, id: u64) -> Row {
    let group_of = |view: usize| {
        1 + recipe
            .groups()
            .iter()
            .position(|g| view < g.first_view + g.num_views)
            .expect("a view of the recipe")
    };
    let mut row = vec![(0, thumbnail(worker))];
    for (view, spec) in recipe.views.iter().enumerate() {
        let mut canvas = Canvas::new(spec.size, spec.size);
        worker.make_view(view_key(args, id, view), spec, &mut canvas);
        row.push((group_of(view), magnified(&canvas, magnification(recipe))));
    }
    row
}

/// What the views of the worker's image are drawn as.
fn drawn(worker: &Worker, recipe: &Recipe, args: &PreviewArgs, id: u64) -> Vec<String> {
    let (width, height) = (worker.image().width(), worker.image().height());
    let views = recipe.views.iter().enumerate();
    let line = |(view, spec)| {
        let params = draw(view_key(args, id, view), spec, width, height);
        format!("  view {view}: {params:?}")
    };
    views.map(line).collect()
}

fn view_key(args: &PreviewArgs, id: u64, view: usize) -> ViewKey {
    ViewKey {
        seed: args.seed,
        epoch: args.epoch,
        sample: id,
        view: view as u16,
    }
}

/// Whole times that views are magnified: until the largest is about as large as the thumbnail.
fn magnification(recipe: &Recipe) -> u32 {
    let largest = recipe
        .views
        .iter()
        .map(|view| view.size)
        .max()
        .unwrap_or(THUMBNAIL);
    (THUMBNAIL / largest).max(1)
}

/// Every pixel as a square of `times * times`.
fn magnified(view: &Canvas, times: u32) -> Canvas {
    let (width, height) = (view.width() * times, view.height() * times);
    imageops::resize(view, width, height, imageops::FilterType::Nearest)
}

fn thumbnail(worker: &Worker) -> Canvas {
    let image = worker.image();
    let whole = Canvas::from_raw(image.width(), image.height(), image.pixels().to_vec())
        .expect("3 bytes a pixel");
    let longest = image.width().max(image.height());
    let scaled =
        |side: u32| (u64::from(side) * u64::from(THUMBNAIL) / u64::from(longest)).max(1) as u32;
    imageops::resize(
        &whole,
        scaled(image.width()),
        scaled(image.height()),
        imageops::FilterType::Triangle,
    )
}

fn compose(rows: &[Row]) -> Canvas {
    let xs = columns(&rows[0]);
    let height_of = |row: &Row| {
        row.iter()
            .map(|(_, cell)| cell.height())
            .max()
            .unwrap_or(0)
            .max(THUMBNAIL)
    };
    let width = xs.last().copied().unwrap_or(0);
    let height = GAP + rows.iter().map(|row| height_of(row) + GAP).sum::<u32>();
    let mut sheet = Canvas::from_pixel(width, height, BACKGROUND);
    let mut top = GAP;
    for row in rows {
        for ((_, cell), left) in row.iter().zip(&xs) {
            imageops::replace(&mut sheet, cell, i64::from(*left), i64::from(top));
        }
        top += height_of(row) + GAP;
    }
    sheet
}

/// Left edge of every column, then the sheet's width. Groups stand a little apart.
fn columns(row: &Row) -> Vec<u32> {
    let mut xs = vec![GAP];
    let mut left = GAP;
    for (index, (group, cell)) in row.iter().enumerate() {
        let width = if index == 0 { THUMBNAIL } else { cell.width() };
        let is_last_of_group = row.get(index + 1).is_some_and(|(next, _)| next != group);
        left += width + if is_last_of_group { GROUP_GAP } else { GAP };
        xs.push(left);
    }
    xs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_their_cells_and_groups_stand_apart() {
        let cell = |size| Canvas::new(size, size);
        let row = vec![(0, cell(10)), (1, cell(64)), (1, cell(64)), (2, cell(32))];
        assert_eq!(
            columns(&row),
            [6, 6 + 224 + 18, 248 + 64 + 6, 318 + 64 + 18, 400 + 32 + 6]
        );
    }

    #[test]
    fn small_views_are_magnified_and_others_are_not() {
        assert_eq!(magnification(&Recipe::sslight()), 1);
        assert_eq!(magnification(&Recipe::evaluation(36, 32)), 7);
        let view = Canvas::from_fn(2, 1, |x, _| image::Rgb([x as u8 * 200, 0, 0]));
        let large = magnified(&view, 3);
        assert_eq!((large.width(), large.height()), (6, 3));
        assert_eq!(
            (large.get_pixel(2, 2)[0], large.get_pixel(3, 0)[0]),
            (0, 200)
        );
    }

    #[test]
    fn a_recipe_with_a_broken_rule_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recipe.json");
        let mut recipe = Recipe::sslight();
        recipe.views[0].size = 0;
        std::fs::write(&path, serde_json::to_string(&recipe).unwrap()).unwrap();
        let error = read_recipe(&path).unwrap_err();
        assert!(
            error.to_string().contains("recipe.json") && error.to_string().contains("size 0"),
            "{error}"
        );
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
