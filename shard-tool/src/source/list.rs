//! Lists of files: a line per image, `path[<tab>class]`; paths are relative to the folder of the list.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use shard_format::name;

use super::{Group, Place, Source, TRAIN};
use crate::error::ToolError;

/// Adds the files of a list.
///
/// # Errors
/// If the list cannot be read or names no file.
pub(super) fn add(list: &Path, source: &mut Source) -> Result<(), ToolError> {
    let text = fs::read(list).map_err(ToolError::read(list))?;
    let mut groups = BTreeMap::new();
    for (path, class) in text.split(|byte| *byte == b'\n').filter_map(parse_line) {
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
        source.catalogue.add_file(group, name);
    }
    if groups.is_empty() {
        return Err(ToolError::EmptyList(list.to_owned()));
    }
    Ok(())
}

/// Path and class of a line; `None` for an empty one.
fn parse_line(line: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut parts = line.splitn(2, |byte| *byte == b'\t');
    let path = parts.next().filter(|path| !path.is_empty())?;
    let class = parts.next().map(<[u8]>::trim_ascii);
    Some((path, class.filter(|class| !class.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_a_path_with_or_without_a_class() {
        assert_eq!(
            parse_line(b"a b.jpg\tred fox\r"),
            Some((&b"a b.jpg"[..], Some(&b"red fox"[..])))
        );
        assert_eq!(parse_line(b"a.jpg"), Some((&b"a.jpg"[..], None)));
        assert_eq!(parse_line(b"a.jpg\t"), Some((&b"a.jpg"[..], None)));
        assert_eq!(parse_line(b"\r"), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..60)) {
            let path = parse_line(&line).map(|(path, _)| path);
            prop_assert!(path.is_none_or(|path| line.starts_with(path)));
        }
    }
}
