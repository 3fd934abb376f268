//! Lists of files: a line per image, `path[<tab>class]`; paths are relative to the folder of the list.

use std::collections::BTreeMap;
use std::path::Path;

use shard_format::name;

use super::catalogue::{Group, Place};
use super::contents::Source;
use super::lines::path_and_class;
use super::splits::TRAIN;
use super::text_file::each_line;
use crate::error::ToolError;

/// Adds the files of a list.
///
/// # Errors
/// If the list cannot be read or names no file.
pub(super) fn add(list: &Path, source: &mut Source) -> Result<(), ToolError> {
    let mut groups = BTreeMap::new();
    each_line(list, |_, line| {
        let Some((path, class)) = path_and_class(line) else {
            return Ok(());
        };
        // The key of an absolute path is made like that of a relative one.
        let (root, name) = match path.strip_prefix(b"/") {
            Some(below_root) => (Path::new("/"), below_root),
            None => (list.parent().unwrap_or(Path::new("")), path),
        };
        let class = class.map(name::escape_class);
        let group = *groups.entry((root, class.clone())).or_insert_with(|| {
            let place = Place::Folder(root.to_owned());
            let group = Group {
                split: TRAIN,
                class,
                place,
            };
            source.catalogue.add_group(group)
        });
        source.catalogue.add_file(group, name)?;
        Ok(())
    })?;
    if groups.is_empty() {
        let remedy = "write a line `path[<tab>class]` for each image";
        let what = "the list names no file";
        return Err(ToolError::data(what, list.display(), remedy));
    }
    Ok(())
}
