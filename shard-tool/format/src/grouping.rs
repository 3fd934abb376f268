//! How WebDataset readers make samples of the members of a tar.
//!
//! Pure. The rules are those of the Python library `webdataset` 1.0: consecutive members with the
//! same key are one sample, and what follows the key names the field.

/// Key and extension of a member: its name, split at the first dot after its last slash.
/// `None` if it has no dot there, or nothing before it: such a member belongs to no sample.
///
/// In two corners it follows what the library's regular expression does rather than that sentence:
/// `dir/.jpg` has the key `dir/` (unless `dir` has a dot), and a slash after a line end does not
/// count as one.
///
/// ```
/// use shard_format::grouping::split_member_name;
/// assert_eq!(split_member_name("v1.0/cat.seg.png"), Some(("v1.0/cat", "seg.png")));
/// assert_eq!(split_member_name("v1.0/README"), None);
/// ```
pub fn split_member_name(name: &str) -> Option<(&str, &str)> {
    let first_line = name.split('\n').next().unwrap_or_default();
    let after_slashes = first_line.rmatch_indices('/').map(|(slash, _)| slash + 1);
    for start in after_slashes.chain([0]) {
        let dot = start + name[start..].find('.')?;
        if name[dot..].contains('/') {
            return None;
        }
        if dot > start {
            return Some((&name[..dot], &name[dot + 1..]));
        }
    }
    None
}

/// Whether readers pass over a member of this name: its first part is of the form `__x__`.
pub fn is_metadata(name: &str) -> bool {
    let first = name.split('/').next().unwrap_or_default();
    first.len() >= 4 && first.starts_with("__") && first.ends_with("__")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_split_at_the_first_dot_after_its_last_slash() {
        for (name, expected) in [
            ("a.jpg", Some(("a", "jpg"))),
            ("a/b.c.jpg", Some(("a/b", "c.jpg"))),
            ("a.b/c.jpg", Some(("a.b/c", "jpg"))),
            ("./a.jpg", Some(("./a", "jpg"))),
            ("a.", Some(("a", ""))),
            ("a", None),
            ("a.b/c", None),
            (".jpg", None),
            ("a.b/.jpg", None),
            ("a/.jpg", Some(("a/", "jpg"))),
            ("a\n/b.jpg", Some(("a\n/b", "jpg"))),
            ("a.\n/b.jpg", None),
        ] {
            assert_eq!(split_member_name(name), expected, "{name}");
        }
    }

    #[test]
    fn metadata_is_recognised_by_the_first_part() {
        for name in ["__meta__", "__x__/a.jpg", "____"] {
            assert!(is_metadata(name), "{name}");
        }
        for name in ["__meta__.json", "a/__meta__", "___", "__x/a.jpg"] {
            assert!(!is_metadata(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn key_dot_and_extension_make_the_name(name in "[ab./\\n]{0,12}") {
            if let Some((key, extension)) = split_member_name(&name) {
                prop_assert_eq!(format!("{key}.{extension}"), name.as_str());
                prop_assert!(!key.is_empty() && !extension.contains('/'));
            }
        }
    }
}
