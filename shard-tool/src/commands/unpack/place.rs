//! Where the image of a key goes, below OUT. Pure.
//!
//! A part of a key gets its source name back if escaping that name gives the part again, so that
//! packing makes the same key, and if it leads to no other folder; else it stays as it is.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use shard_format::{ImageKind, name};

/// `<split>/<class>/<file>` for `<class>/<stem>`.
///
/// # Errors
/// What is wrong with a key that leads elsewhere.
pub(super) fn path_of(split: &str, key: &[u8], kind: ImageKind) -> Result<PathBuf, &'static str> {
    let (class, stem) = parts(key)?;
    let class = restored(class, name::escape_class, is_one_name);
    Ok(Path::new(split)
        .join(OsStr::from_bytes(&class))
        .join(file_of(stem, kind, is_inside)))
}

/// `<file>` for `<class>/<stem>`, where there are no classes: packing takes a folder of images alone for images without labels.
///
/// # Errors
/// What is wrong with a key that leads elsewhere.
pub(super) fn path_without_class(key: &[u8], kind: ImageKind) -> Result<PathBuf, &'static str> {
    let (_, stem) = parts(key)?;
    Ok(file_of(stem, kind, is_one_name))
}

fn parts(key: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    check(key)?;
    let slash = key.iter().rposition(|byte| *byte == b'/');
    let slash = slash.ok_or("it is in no folder")?;
    Ok((&key[..slash], &key[slash + 1..]))
}

fn file_of(stem: &[u8], kind: ImageKind, is_safe: fn(&[u8]) -> bool) -> PathBuf {
    let mut file = restored(stem, name::escape_stem, is_safe);
    file.push(b'.');
    file.extend(kind.extension().as_bytes());
    PathBuf::from(OsString::from_vec(file))
}

/// Refuses a name that leads out of the folder it is put into.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(name: &[u8]) -> Result<(), &'static str> {
    if name.starts_with(b"/") {
        return Err("its path is absolute");
    }
    if name.split(|byte| *byte == b'/').any(|part| part == b"..") {
        return Err("its path has `..`");
    }
    match is_inside(name) {
        true => Ok(()),
        false => Err("its path has an empty part, `.` or a zero byte"),
    }
}

fn restored(part: &[u8], escape: fn(&[u8]) -> String, is_safe: fn(&[u8]) -> bool) -> Vec<u8> {
    let source = std::str::from_utf8(part).map(name::unescape);
    let same = |source: &Vec<u8>| escape(source).as_bytes() == part && is_safe(source);
    source.ok().filter(same).unwrap_or_else(|| part.to_vec())
}

fn is_inside(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').all(is_one_name)
}

fn is_one_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(key: &str) -> Result<String, &'static str> {
        let path = path_of("train", key.as_bytes(), ImageKind::JpegBaseline)?;
        Ok(path.to_string_lossy().into_owned())
    }

    #[test]
    fn source_names_come_back() {
        assert_eq!(path("cat/1").as_deref(), Ok("train/cat/1.jpg"));
        assert_eq!(
            path("v1.2 cats/img%2Efinal").as_deref(),
            Ok("train/v1.2 cats/img.final.jpg")
        );
        assert_eq!(path("cat/sub%2Fa").as_deref(), Ok("train/cat/sub/a.jpg"));
        assert_eq!(path("%5F_x__/a").as_deref(), Ok("train/__x__/a.jpg"));
    }

    #[test]
    fn without_classes_a_file_lies_in_no_folder() {
        let path = |key: &str| path_without_class(key.as_bytes(), ImageKind::Png);
        assert_eq!(path("unlabelled/a%2Eb"), Ok("a.b.png".into()));
        assert_eq!(path("unlabelled/sub%2Fa"), Ok("sub%2Fa.png".into()));
        assert!(path("../a").is_err());
    }

    #[test]
    fn a_name_that_would_lead_elsewhere_stays_escaped() {
        assert_eq!(
            path("cat/%2E%2E%2F%2E%2E%2Fevil").as_deref(),
            Ok("train/cat/%2E%2E%2F%2E%2E%2Fevil.jpg")
        );
        assert_eq!(path("%2E%2E/a").as_deref(), Ok("train/%2E%2E/a.jpg"));
        assert_eq!(path("a%2Fb/c").as_deref(), Ok("train/a%2Fb/c.jpg"));
        assert_eq!(
            path("cat/%2Fetc%2Fx").as_deref(),
            Ok("train/cat/%2Fetc%2Fx.jpg")
        );
        assert_eq!(path("cat/a%00").as_deref(), Ok("train/cat/a%00.jpg"));
    }

    #[test]
    fn what_pack_would_have_written_otherwise_stays_as_it_is() {
        assert_eq!(path("cat/100%41").as_deref(), Ok("train/cat/100%41.jpg"));
        assert_eq!(path("cat/a.b").as_deref(), Ok("train/cat/a.b.jpg"));
    }

    #[test]
    fn keys_that_lead_elsewhere_are_refused() {
        for key in [
            "/etc/x", "../x", "cat/..", "a//b", "./a", "cat/", "a\0/b", "flat",
        ] {
            assert!(path(key).is_err(), "{key:?}");
        }
    }
}
