//! The lines of files that people write: lists of files, labels, subsets. Pure, and any bytes are a line.

/// Path and class of a line `path[<tab>class]`; `None` for an empty one.
pub(crate) fn path_and_class(line: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut parts = line.splitn(2, |byte| *byte == b'\t');
    let path = parts.next().filter(|path| !path.is_empty())?;
    let class = parts.next().map(<[u8]>::trim_ascii);
    Some((path, class.filter(|class| !class.is_empty())))
}

/// Image, without folders and extension, and class of a line `file,class`, also with a tab or blanks between; numbers after the
/// class are left out (boxes, in Kaggle's list).
pub(crate) fn image_and_class(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_separator = |byte: &u8| matches!(byte, b',' | b'\t');
    let at = line
        .iter()
        .position(is_separator)
        .or_else(|| line.iter().position(|byte| *byte == b' '))?;
    let class = without_boxes(unquoted(line[at + 1..].trim_ascii()).trim_ascii());
    let image = without_extension(base_name(unquoted(line[..at].trim_ascii())));
    (!image.is_empty() && !class.is_empty()).then_some((image, class))
}

/// The first word, if there are only numbers after it.
fn without_boxes(field: &[u8]) -> &[u8] {
    let mut words = field.split(|byte| *byte == b' ');
    let first = words.next().unwrap_or(field);
    match words.all(|word| word.iter().all(u8::is_ascii_digit)) {
        true => first,
        false => field,
    }
}

/// A field of a CSV without its quotes.
fn unquoted(field: &[u8]) -> &[u8] {
    let inner = field
        .strip_prefix(b"\"")
        .and_then(|field| field.strip_suffix(b"\""));
    inner.unwrap_or(field)
}

/// What a line of a subset asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    Index(usize),
    Name(&'a str),
}

/// A line of a subset is an index, a file name, or fields with commas of which the last is the file name.
pub(crate) fn wanted(line: &str) -> Wanted<'_> {
    match line.parse() {
        Ok(index) => Wanted::Index(index),
        Err(_) => Wanted::Name(line.rsplit(',').next().unwrap_or(line).trim()),
    }
}

/// What follows the last slash.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The name without its last extension; a name that only is one keeps it.
pub(crate) fn without_extension(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

/// Extensions that torchvision's `ImageFolder` takes for images.
const IMAGE_EXTENSIONS: [&[u8]; 9] = [
    b"jpg", b"jpeg", b"png", b"ppm", b"bmp", b"pgm", b"tif", b"tiff", b"webp",
];

/// Whether this is the name of an image for `ImageFolder`.
pub(crate) fn is_image_name(name: &[u8]) -> bool {
    let extension = name.rsplit(|byte| *byte == b'.').next();
    // A name without a dot is no extension.
    let extension = extension.filter(|extension| extension.len() < name.len());
    extension.is_some_and(|extension| {
        IMAGE_EXTENSIONS
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_of_a_list_is_a_path_with_or_without_a_class() {
        let spaced = (&b"a b.jpg"[..], Some(&b"red fox"[..]));
        assert_eq!(path_and_class(b"a b.jpg\tred fox\r"), Some(spaced));
        assert_eq!(path_and_class(b"a.jpg"), Some((&b"a.jpg"[..], None)));
        assert_eq!(path_and_class(b"a.jpg\t"), Some((&b"a.jpg"[..], None)));
        assert_eq!(path_and_class(b"\r"), None);
    }

    #[test]
    fn lines_of_a_subset_are_indices_names_or_rows_that_end_with_a_name() {
        assert_eq!(wanted("17"), Wanted::Index(17));
        assert_eq!(wanted("a_1.JPEG"), Wanted::Name("a_1.JPEG"));
        assert_eq!(wanted("n01/a_1.JPEG"), Wanted::Name("n01/a_1.JPEG"));
        let row = "1021436,797,n04235860,n04235860_14959.JPEG";
        assert_eq!(wanted(row), Wanted::Name("n04235860_14959.JPEG"));
    }

    #[test]
    fn boxes_are_no_part_of_a_class_and_other_words_are() {
        let class = |line: &'static str| image_and_class(line.as_bytes()).expect("a class").1;
        assert_eq!(class("a,n03995372 85 1 499 272"), b"n03995372");
        assert_eq!(class("a.jpg,\"red fox\""), b"red fox");
        assert_eq!(class("a red fox"), b"red fox");
    }

    #[test]
    fn images_are_told_by_their_extensions() {
        for image in ["a.jpg", "a.b.JPEG", "x/.png", "a.TiFf"] {
            assert!(is_image_name(image.as_bytes()), "{image}");
        }
        for other in ["a", "jpg", "a.jpg.txt", "notes.txt", "a.gif", ""] {
            assert!(!is_image_name(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_a_line_gives_is_in_it_whatever_the_line(line in prop::collection::vec(any::<u8>(), 0..60)) {
            let path = path_and_class(&line).map(|(path, _)| path);
            prop_assert!(path.is_none_or(|path| line.starts_with(path)));
            if let Some((image, class)) = image_and_class(&line) {
                prop_assert!(!image.contains(&b'/') && !class.is_empty());
            }
        }
    }
}
