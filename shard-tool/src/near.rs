//! Names that somebody may have meant who wrote another one.

/// How many are told.
const NUM_TOLD: usize = 3;

/// The candidates nearest to `wanted`, the nearest first; none if none is near.
///
/// A candidate is near if it differs in few letters, or if it has the last part of `wanted`, whose
/// extension does not count.
pub(crate) fn matches<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<String> {
    let most = (wanted.chars().count() / 4).clamp(1, 4);
    let mut nearest: Vec<(usize, &str)> = Vec::new();
    for candidate in candidates {
        let distance = match (last_part(wanted), last_part(candidate)) {
            (wanted, last) if wanted == last => 0,
            (stem, last) if !wanted.contains('/') => distance(stem, last, most),
            _ => distance(wanted, candidate, most),
        };
        if distance <= most {
            nearest.push((distance, candidate));
            nearest.sort_unstable();
            nearest.dedup();
            nearest.truncate(NUM_TOLD);
        }
    }
    nearest
        .into_iter()
        .map(|(_, name)| name.to_owned())
        .collect()
}

fn last_part(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.split_once('.').map_or(file, |(stem, _)| stem)
}

/// Letters to insert, delete or replace (Levenshtein); more than `most` if it is more than that.
fn distance(left: &str, right: &str, most: usize) -> usize {
    if left.len().abs_diff(right.len()) > 4 * most {
        return most + 1;
    }
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, letter) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
        if row.iter().all(|value| *value > most) {
            return most + 1;
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_inserted_deleted_and_replaced() {
        assert_eq!(distance("kitten", "sitting", 9), 3);
        assert_eq!(distance("cat", "cat", 9), 0);
        assert_eq!(distance("cat/1", "dog/7", 1), 2);
    }

    #[test]
    fn a_slip_and_a_missing_class_are_found() {
        let keys = ["cat/10026", "cat/10027", "dog/33"];
        assert_eq!(
            matches("cat/1002", keys.into_iter()),
            ["cat/10026", "cat/10027"]
        );
        assert_eq!(matches("33.JPEG", keys.into_iter()), ["dog/33"]);
        assert_eq!(matches("zebra/5", keys.into_iter()), [""; 0]);
    }
}
