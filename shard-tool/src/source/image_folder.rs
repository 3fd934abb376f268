//! The order in which torchvision's `ImageFolder` numbers the images of a folder, which is what an index of a subset counts.
//! Pure.
//!
//! The lists of the reference (`semi_1percent.txt` of saic-fi/SSLight, `index,label,class,file` with indices from 0) count
//! through classes by name and through the images of each by name; for one level of folders `ImageFolder` does the same.
//! It counts by extension: other files have no index. Names are compared as the source has them, not as keys escape them.

use super::lines::is_image_name;

/// What the images of a class are sorted by: folder below it, file name.
pub(super) type Place<'a> = (&'a [u8], &'a [u8]);

/// The place of an image in its class, by its path below the class folder; `None` for a file that is not numbered.
pub(super) fn place(path: &[u8]) -> Option<Place<'_>> {
    let file_at = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    let (folder, file) = path.split_at(file_at);
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    is_image_name(file).then_some((folder, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_sorted_by_folder_then_name() {
        let mut images = ["x/1.jpg", "x y/1.jpg", "z.jpg", "Z.jpg"];
        images.sort_by_key(|path| place(path.as_bytes()));
        assert_eq!(images, ["Z.jpg", "z.jpg", "x/1.jpg", "x y/1.jpg"]);
        assert_eq!(place(b"notes.txt"), None);
    }
}
