//! The order in which torchvision's `ImageFolder` numbers the images of a folder, which is what an index of a subset counts.
//! Pure.
//!
//! The lists of the reference (`semi_1percent.txt` of saic-fi/SSLight, `index,label,class,file` with indices from 0) count
//! through classes by name and through the images of each by name; for one level of folders `ImageFolder` does the same.
//! It counts by extension: other files have no index. Names are compared as the source has them, not as keys escape them.

use shard_format::name;

use super::lines::is_image_name;

/// What images are sorted by: class, folder below it, file name.
pub(super) type Place<'a> = (Vec<u8>, &'a [u8], &'a [u8]);

/// The place of an image, by its class and its path below the class folder; `None` for a file that is not numbered.
pub(super) fn place<'a>(class: Option<&str>, path: &'a [u8]) -> Option<Place<'a>> {
    let file_at = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    let (folder, file) = path.split_at(file_at);
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    let class = class.map(name::unescape).unwrap_or_default();
    is_image_name(file).then_some((class, folder, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_sorted_by_class_then_folder_then_name() {
        let mut images = [
            (Some("b"), "1.jpg"),
            (Some("a"), "x/1.jpg"),
            (Some("a"), "x y/1.jpg"),
            (Some("a"), "z.jpg"),
            (Some("a"), "Z.jpg"),
            (Some("a%2Fc"), "1.jpg"),
        ];
        images.sort_by_key(|(class, path)| place(*class, path.as_bytes()));
        let sorted: Vec<&str> = images.iter().map(|(_, path)| *path).collect();
        let expected = ["Z.jpg", "z.jpg", "x/1.jpg", "x y/1.jpg", "1.jpg", "1.jpg"];
        assert_eq!(sorted, expected);
        assert_eq!(place(Some("a"), b"notes.txt"), None);
    }
}
