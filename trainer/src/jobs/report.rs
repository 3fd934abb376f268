//! `trainer report`: several runs on one page.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint;
use crate::cli::ReportArgs;
use crate::config::{RawConfig, Resolved, Settings, resolve};
use crate::device;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::output::show;
use crate::pretrained::{self, names::Which};
use crate::report::charts::{self, SECTIONS};
use crate::report::gallery::Gallery;
use crate::report::page::Page;
use crate::report::picture::Picture;
use crate::report::run::{self, Run};
use crate::report::{attention, neighbours, recipes};
use crate::stop::Stop;

const PAGE: &str = "index.html";
/// The report's folder in that of the first run.
const FOLDER: &str = "report";

/// Writes the page and its pictures.
///
/// # Errors
/// When a folder is no run, or something cannot be written. Pictures that need a model or data that are not there are left out with a line.
pub(super) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    device::keep_freed_memory();
    let runs = run::read_all(&args.runs)?;
    let dir = args.to.clone().unwrap_or_else(|| args.runs[0].join(FOLDER));
    fs::create_dir_all(&dir).map_err(Failure::io("making the report's folder", &dir))?;
    let mut page = Page::new(&runs);
    for section in SECTIONS {
        let drawn = section.quantities.iter();
        let drawn = drawn.map(|quantity| charts::draw(quantity, &runs));
        let pictures: Vec<Option<Picture>> = drawn.collect::<Result<_, _>>().map_err(undrawn)?;
        let pictures: Vec<Picture> = pictures.into_iter().flatten().collect();
        for picture in &pictures {
            write(&dir, picture)?;
        }
        if !pictures.is_empty() {
            page.section(section.title, section.about);
            page.charts(&pictures);
        }
    }
    tell_recipes(&mut page, &runs);
    show_images(&mut page, &runs, &dir, &stop)?;
    let path = dir.join(PAGE);
    fs::write(&path, page.finish()).map_err(Failure::io("writing the report", &path))?;
    show!("report: {}", path.display());
    Ok(())
}

fn tell_recipes(page: &mut Page, runs: &[Run]) {
    let rows = recipes::differences(runs);
    match (runs.len(), rows.is_empty()) {
        (1, _) => page.section("Recipe", "Keys with another value than the default."),
        (_, true) => page.section("Recipes", "All known settings of these runs are the same."),
        (_, false) => page.section("Recipes", "Keys in which these runs differ."),
    }
    if !rows.is_empty() {
        page.recipes(runs, &rows);
    }
}

fn show_images(page: &mut Page, runs: &[Run], dir: &Path, stop: &Stop) -> Result<(), Failure> {
    page.section(
        "Nearest neighbours",
        "Validation images (left) with the five others whose features are most alike, as the latest checkpoint's student sees them, and their cosine \
         similarity. Frames: blue where the class is the same, orange where it is another.",
    );
    let mut maps = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        page.part(&run.name, run.color);
        let files = [
            format!("neighbours-{}.png", number + 1),
            format!("attention-{}.png", number + 1),
        ];
        match images(run, files, dir, stop) {
            Ok((neighbours, attention)) => {
                write(dir, &neighbours)?;
                page.picture(&neighbours);
                maps.extend(attention.map(|picture| (run, picture)));
            }
            Err(failure) => page.note(&format!("No pictures: {failure}")),
        }
        if stop.is_asked() {
            return Err(Failure::Usage(format!(
                "stopped before the report was done; {}; start it again",
                dir.display()
            )));
        }
    }
    if !maps.is_empty() {
        page.section(
            "Attention",
            "Where the class token looks in the last block: bright patches most. The mean over heads, then up to six heads.",
        );
    }
    for (run, picture) in maps {
        write(dir, &picture)?;
        page.part(&run.name, run.color);
        page.picture(&picture);
    }
    Ok(())
}

/// The neighbours, and the attention where there is any.
fn images(
    run: &Run,
    [neighbours_file, attention_file]: [String; 2],
    dir: &Path,
    stop: &Stop,
) -> Result<(Picture, Option<Picture>), Failure> {
    let weights = pretrained::load(&run.folder, Which::Student)?;
    show!("pictures of {}: {}", run.name, weights.path.display());
    let settings = settings(&weights.path)?;
    let (backbone, _parameters) = weights.network(&weights.backbone()?, &Machine::cpu())?;
    let gallery = Gallery::open(&settings, &backbone, dir, stop)?;
    let picture = |file, alt: String, png: Result<Vec<u8>, Box<dyn Error>>| {
        let png = png.map_err(undrawn)?;
        Ok::<_, Failure>(Picture { file, alt, png })
    };
    let alt = format!("nearest neighbours of validation images, {}", run.name);
    let neighbours = picture(neighbours_file, alt, neighbours::draw(&gallery))?;
    let alt = format!("attention of the class token, {}", run.name);
    let attention = attention::draw(&gallery, &backbone);
    let attention = attention.map(|png| picture(attention_file, alt, png));
    Ok((neighbours, attention.transpose()?))
}

/// What a checkpoint's run was told.
fn settings(checkpoint: &Path) -> Result<Settings, Failure> {
    let told = checkpoint::state(checkpoint)?.settings.into_iter();
    let pairs: Vec<String> = told.flat_map(|(key, value)| [key, value]).collect();
    match resolve(&RawConfig::parse("", "", &pairs)?)? {
        Resolved::Runnable(settings) => Ok(*settings),
        Resolved::Unavailable(what) => Err(Failure::Usage(format!(
            "the checkpoint is of a run that this version cannot make: {}; {}; use the version that made it",
            what.join(", "),
            checkpoint.display()
        ))),
    }
}

fn write(dir: &Path, picture: &Picture) -> Result<(), Failure> {
    let path: PathBuf = dir.join(&picture.file);
    fs::write(&path, &picture.png).map_err(Failure::io("writing a picture", &path))
}

fn undrawn(error: Box<dyn Error>) -> Failure {
    Failure::Library(format!("drawing failed: {error}; the report; report this"))
}
