//! The checksum at the end of a manifest: XXH3-64 of the text without it.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

const BEFORE: &str = ",\n  \"checksum\": \"";
const AFTER: &str = "\"\n}\n";
const END: &str = "\n}";

/// Adds the checksum to `body`, a JSON object of several lines that ends in its brace.
pub(super) fn seal(body: &str) -> String {
    let open = body.strip_suffix(END).expect("an object of several lines");
    let digest = xxh3_64(body.as_bytes());
    format!("{open}{BEFORE}{digest:016x}{AFTER}")
}

/// The text without its checksum, and whether that is right. A text that does not end in one is left as it is.
pub(super) fn unseal(text: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let Some((open, digest)) = parts(text) else {
        return (text.into(), false);
    };
    let body = [open, END.as_bytes()].concat();
    let is_right = format!("{:016x}", xxh3_64(&body)).as_bytes() == digest;
    (body.into(), is_right)
}

/// What is before the checksum, and its 16 digits.
fn parts(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_suffix(AFTER.as_bytes())?;
    let (text, digest) = text.split_at_checked(text.len().checked_sub(16)?)?;
    Some((text.strip_suffix(BEFORE.as_bytes())?, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_comes_back_and_every_changed_byte_is_seen() {
        let body = "{\n  \"a\": 1\n}";
        let sealed = seal(body);
        assert_eq!(unseal(sealed.as_bytes()), (body.as_bytes().into(), true));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] ^= 1;
            assert!(!unseal(&changed).1, "at {at}");
            assert!(!unseal(&sealed.as_bytes()[..at]).1, "cut at {at}");
        }
    }
}
