//! What is left of a shard that was cut short.

use std::fmt;

use crate::index::{Entry, Index};

/// A shard that is shorter than it was, and the samples that are whole up to there: those before the first one that does not
/// lie in the file any more, or whose checksum differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutShard {
    /// File name of the shard.
    pub file: String,
    /// Its size, bytes.
    pub found_bytes: u64,
    /// Its size when it was indexed, bytes.
    pub expected_bytes: u64,
    /// Samples that are whole.
    pub num_good: u64,
    /// Samples that there were.
    pub num_samples: u64,
    /// Key and offset of the last one that is whole.
    pub last_good: Option<(String, u64)>,
}

impl CutShard {
    /// Looks at every sample of the shard `file`, of which `tar` is left.
    pub(super) fn examine(file: &str, index: &Index, tar: &[u8]) -> Self {
        let mut cut = Self {
            file: file.to_owned(),
            found_bytes: tar.len() as u64,
            expected_bytes: index.shard_bytes(),
            num_good: 0,
            num_samples: index.num_entries(),
            last_good: None,
        };
        let entries = (0..index.num_entries()).map_while(|number| index.entry(number).ok());
        let good = entries.take_while(|(entry, _)| is_whole(entry, tar));
        let (num_good, last) = good.fold((0, None), |(count, _), found| (count + 1, Some(found)));
        cut.num_good = num_good;
        cut.last_good = last.map(|(entry, key)| (key.to_owned(), entry.offset));
        cut
    }

    /// How many samples are lost.
    pub fn num_lost(&self) -> u64 {
        self.num_samples - self.num_good
    }
}

fn is_whole(entry: &Entry, tar: &[u8]) -> bool {
    let image = entry.range().and_then(|range| tar.get(range));
    image.is_some_and(|image| crc32fast::hash(image) == entry.crc)
}

impl fmt::Display for CutShard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} has {} of {} bytes, and {} of its {} samples",
            self.file, self.found_bytes, self.expected_bytes, self.num_good, self.num_samples
        )?;
        match &self.last_good {
            Some((key, offset)) => write!(
                formatter,
                ", the last good one {} at offset {offset}",
                key.escape_debug()
            ),
            None => Ok(()),
        }
    }
}
