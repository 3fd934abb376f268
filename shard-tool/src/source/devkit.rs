//! The development kit of ILSVRC 2012: `data/ILSVRC2012_validation_ground_truth.txt` has the id of a class for each validation
//! image, `data/meta.mat` the WordNet id (the name of the class folder) for each of these ids.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use super::mat::{self, Value};
use crate::error::ToolError;

const GROUND_TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";
const META: &str = "meta.mat";
/// Far above the 20 KB of the real files.
const MAX_BYTES: u64 = 16 << 20;

/// Whether this is a devkit: `ILSVRC2012_devkit_t12.tar.gz`, by its name, or the folder it unpacks to.
pub(crate) fn is_devkit(path: &Path) -> bool {
    let Some(name) = path.file_name().map(OsStr::to_string_lossy) else {
        return false;
    };
    let is_archive = name.ends_with(".tar.gz") || name.ends_with(".tgz");
    let is_folder =
        || [GROUND_TRUTH, META].map(|file| path.join("data").join(file).exists()) != [false; 2];
    name.contains("devkit") && (is_archive || is_folder())
}

/// The class of each validation image, in order.
pub(crate) fn load(path: &Path) -> Result<Vec<String>, ToolError> {
    let (truth, meta) = if path.is_dir() {
        let read = |file: &str| {
            let file = path.join("data").join(file);
            fs::read(&file).map_err(ToolError::read(&file))
        };
        (read(GROUND_TRUTH)?, read(META)?)
    } else {
        unpack(path)?
    };
    classes_of(&truth, &meta).map_err(|problem| unusable(path, &problem))
}

/// The class of each image for a file of ids that lies beside `meta.mat`, as in an unpacked devkit.
pub(crate) fn load_beside(file: &Path, truth: &[u8]) -> Result<Vec<String>, ToolError> {
    let Ok(meta) = fs::read(file.with_file_name(META)) else {
        let problem = "the ids of classes have no meaning without meta.mat beside this file";
        return Err(unusable(file, problem));
    };
    classes_of(truth, &meta).map_err(|problem| unusable(file, &problem))
}

fn unusable(path: &Path, problem: &str) -> ToolError {
    let what = format_args!("the devkit cannot be used: {problem}");
    ToolError::data(what, path.display(), "download it again")
}

/// The two files in a `.tar.gz`.
fn unpack(path: &Path) -> Result<(Vec<u8>, Vec<u8>), ToolError> {
    let file = File::open(path).map_err(ToolError::read(path))?;
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    let (mut truth, mut meta) = (None, None);
    for member in archive.entries().map_err(ToolError::read(path))? {
        let member = member.map_err(ToolError::read(path))?;
        let name = member.path_bytes().into_owned();
        let wanted = if name.ends_with(GROUND_TRUTH.as_bytes()) {
            &mut truth
        } else if name.ends_with(META.as_bytes()) {
            &mut meta
        } else {
            continue;
        };
        let mut bytes = Vec::new();
        member
            .take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(ToolError::read(path))?;
        *wanted = Some(bytes);
    }
    match (truth, meta) {
        (Some(truth), Some(meta)) => Ok((truth, meta)),
        _ => Err(unusable(
            path,
            &format!("it lacks {GROUND_TRUTH} or {META}"),
        )),
    }
}

fn classes_of(truth: &[u8], meta: &[u8]) -> Result<Vec<String>, String> {
    let wordnet_ids = wordnet_ids(meta)?;
    let text = std::str::from_utf8(truth).map_err(|_| format!("{GROUND_TRUTH} is no text"))?;
    let class_of = |word: &str| {
        let id: u32 = word
            .parse()
            .map_err(|_| format!("`{word}` in {GROUND_TRUTH} is no id"))?;
        let class = wordnet_ids.get(&id).cloned();
        class.ok_or_else(|| format!("id {id} of {GROUND_TRUTH} is not in {META}"))
    };
    text.split_ascii_whitespace().map(class_of).collect()
}

/// `synsets(i).ILSVRC2012_ID` -> `synsets(i).WNID`.
fn wordnet_ids(meta: &[u8]) -> Result<BTreeMap<u32, String>, String> {
    let rows = mat::read_struct(meta, "synsets").map_err(|problem| format!("{META}: {problem}"))?;
    let mut ids = BTreeMap::new();
    for row in rows {
        let (Some(Value::Number(id)), Some(Value::Text(wordnet_id))) =
            (row.get("ILSVRC2012_ID"), row.get("WNID"))
        else {
            return Err(format!("{META}: a synset lacks ILSVRC2012_ID or WNID"));
        };
        ids.insert(*id as u32, wordnet_id.clone());
    }
    Ok(ids)
}
