//! Members that say something of the next member: GNU long names and PAX headers.

use tar::EntryType;

use super::fault::Fault;

/// What was said of the member to come.
#[derive(Debug, Default)]
pub(super) struct Extensions<'a> {
    long_name: Option<&'a [u8]>,
    long_link: bool,
    pax: Option<Pax<'a>>,
}

#[derive(Debug, Default)]
struct Pax<'a> {
    name: Option<&'a [u8]>,
    size: Option<u64>,
    is_sparse: bool,
}

/// Whether a member of this type only describes others.
pub(super) fn is_extension(kind: EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

impl<'a> Extensions<'a> {
    pub(super) fn add(&mut self, kind: EntryType, content: &'a [u8]) -> Result<(), Fault> {
        let had_one = if kind.is_gnu_longname() {
            self.long_name.replace(until_zero(content)).is_some()
        } else if kind.is_gnu_longlink() {
            std::mem::replace(&mut self.long_link, true)
        } else if kind.is_pax_global_extensions() {
            return check_global(content);
        } else {
            self.pax.replace(Pax::parse(content)?).is_some()
        };
        if had_one {
            return Err(Fault::TwoExtensions);
        }
        Ok(())
    }

    pub(super) fn describe_a_member(&self) -> bool {
        self.long_name.is_some() || self.long_link || self.pax.is_some()
    }

    pub(super) fn name(&self) -> Option<&'a [u8]> {
        self.long_name
            .or_else(|| self.pax.as_ref().and_then(|pax| pax.name))
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.pax.as_ref()?.size
    }

    pub(super) fn is_sparse(&self) -> bool {
        self.pax.as_ref().is_some_and(|pax| pax.is_sparse)
    }
}

impl<'a> Pax<'a> {
    fn parse(content: &'a [u8]) -> Result<Self, Fault> {
        let mut pax = Self::default();
        for record in pax_records(content) {
            match record? {
                (b"path", name) => pax.name = Some(name),
                (b"size", size) => pax.size = Some(decimal(size).ok_or(Fault::Pax)?),
                (key, _) => pax.is_sparse |= key.starts_with(b"GNU.sparse."),
            }
        }
        Ok(pax)
    }
}

/// The records `<length> <key>=<value>\n` of a PAX header. A value may hold line ends; a zero byte
/// ends the list.
pub fn pax_records(content: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), Fault>> {
    let mut rest = content;
    std::iter::from_fn(move || {
        if matches!(rest.first(), None | Some(0)) {
            return None;
        }
        let record = split_record(rest);
        rest = record.map_or(&[], |(_, after)| after);
        Some(record.map(|(pair, _)| pair).ok_or(Fault::Pax))
    })
}

type Pair<'a> = (&'a [u8], &'a [u8]);

/// The first record and what follows it. Its length counts all of it, also the digits.
fn split_record(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..blank])?).ok()?;
    let (record, after) = bytes.split_at_checked(length)?;
    let pair = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some(((&pair[..equals], &pair[equals + 1..]), after))
}

/// A header for all members may hold a comment or times, but not what only one member can have.
fn check_global(content: &[u8]) -> Result<(), Fault> {
    let pax = Pax::parse(content)?;
    if pax.name.is_some() || pax.size.is_some() || pax.is_sparse {
        return Err(Fault::GlobalName);
    }
    Ok(())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    // `parse` would take a sign.
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}
