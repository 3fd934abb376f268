//! Lists of images: a part of a split by the names of its files.

use std::fs;
use std::path::Path;

use crate::failure::Failure;

/// The names that a list holds, as the loader takes them.
///
/// # Errors
/// When it cannot be read, is empty, or a line holds no name.
pub fn names(path: &Path) -> Result<Vec<String>, Failure> {
    let wrong =
        |what: &str, remedy: &str| Failure::Usage(format!("{what}; {}; {remedy}", path.display()));
    let remedy = "give a list of file names (SUBSET_FILE_PATH)";
    let text = fs::read_to_string(path)
        .map_err(|error| wrong(&format!("cannot read the subset: {error}"), remedy))?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let lines = lines.enumerate().filter(|(_, line)| !line.is_empty());
    let name = |(number, line)| {
        name(line).ok_or_else(|| {
            let what = format!(
                "line {} of the subset is an index, not a name: {line}",
                number + 1
            );
            wrong(
                &what,
                "write CLASS/FILE on each line: an index means another image in another copy",
            )
        })
    };
    let names: Vec<String> = lines.map(name).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(wrong("the subset names no image", remedy));
    }
    Ok(names)
}

/// The name on a line: all of it, or the last field behind the one before it, as in the reference's `index,label,class,file`.
fn name(line: &str) -> Option<String> {
    let mut fields = line.rsplit(',').map(str::trim);
    let (file, class) = (fields.next()?, fields.next());
    let is_number = |field: &str| field.bytes().all(|byte| byte.is_ascii_digit());
    match class {
        None => (!is_number(file)).then(|| file.to_owned()),
        Some(class) if file.contains('/') || class.is_empty() || is_number(class) => {
            (!is_number(file)).then(|| file.to_owned())
        }
        Some(class) => Some(format!("{class}/{file}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_or_ends_with_a_class_and_a_name() {
        for (line, wanted) in [
            (
                "1021436,797,n04235860,n04235860_14959.JPEG",
                Some("n04235860/n04235860_14959.JPEG"),
            ),
            ("n01/a.jpg", Some("n01/a.jpg")),
            ("17,n01/a.jpg", Some("n01/a.jpg")),
            ("17,a.jpg", Some("a.jpg")),
            ("a.jpg", Some("a.jpg")),
            ("17", None),
            ("17,3", None),
        ] {
            assert_eq!(name(line).as_deref(), wanted, "{line}");
        }
    }

    #[test]
    fn what_is_no_list_of_names_is_told_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("list.txt");
        let told = |text: &str| {
            fs::write(&file, text).unwrap();
            names(&file).unwrap_err().to_string()
        };
        assert!(told("\n \n").contains("names no image"));
        assert!(told("a.jpg\n\n12\n").contains("line 3 of the subset is an index"));
        assert!(names(&dir.path().join("none")).unwrap_err().exit_code() == 2);
        fs::write(&file, "\u{feff}a.jpg\r\nb.jpg\r\n").unwrap();
        assert_eq!(names(&file).unwrap(), ["a.jpg", "b.jpg"]);
    }
}
