//! Lines of lists, labels and subsets: what they give lies in the line, and is what it is said to be.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../../src/source/lines.rs"]
mod lines;

fuzz_target!(|line: &[u8]| {
    if let Some((path, class)) = lines::path_and_class(line) {
        assert!(line.starts_with(path) && !path.contains(&b'\t'));
        assert!(class.is_none_or(|class| class.trim_ascii() == class));
    }
    if let Some((image, class)) = lines::image_and_class(line) {
        assert!(!image.is_empty() && !image.contains(&b'/'));
        assert!(!class.is_empty() && line.windows(class.len()).any(|part| part == class));
    }
    if let Ok(text) = std::str::from_utf8(line) {
        match lines::wanted(text) {
            lines::Wanted::Index(index) => assert_eq!(text.parse(), Ok(index)),
            lines::Wanted::Name(name) => assert!(!name.contains(',') && text.contains(name)),
        }
    }
});
