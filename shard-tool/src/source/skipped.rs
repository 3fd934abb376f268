//! Why something that was found is not packed.

pub(super) const NOT_A_FILE: &str = "neither a file nor a folder";
pub(super) const NOT_IN_CLASS: &str = "not in a class folder";
pub(super) const BESIDE_SPLITS: &str = "beside train and val";
pub(super) const NOT_IN_LABELS: &str = "not in the file of labels";

/// Why nobody means this file or folder, by its name, to be packed; `None` for all others.
pub(super) fn why_hidden(name: &[u8]) -> Option<&'static str> {
    match name {
        b"@eaDir" => Some("an index of a Synology disk station (@eaDir)"),
        b".AppleDouble" => Some("a folder of resource forks of macOS (.AppleDouble)"),
        [b'.', b'_', ..] => Some("a resource fork of macOS (._*)"),
        b".." => None,
        [b'.', ..] => Some("hidden (the name starts with a dot)"),
        _ => None,
    }
}
