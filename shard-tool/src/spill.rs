//! Arrays that are only added to, and may be larger than memory: what is older lies in an unnamed file, which is gone with the
//! process. Reading needs no lock, so threads share them.

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::ToolError;

/// Bytes, one after another.
#[derive(Debug)]
pub(crate) struct Spill {
    /// Where the file is made.
    dir: PathBuf,
    max_in_memory: usize,
    /// What comes after the bytes in the file.
    memory: Vec<u8>,
    file: Option<File>,
    num_in_file: u64,
}

impl Spill {
    /// Keeps up to `max_in_memory` bytes in memory, and the others in a file in `dir`.
    pub(crate) fn new(dir: &Path, max_in_memory: usize) -> Self {
        Self {
            dir: dir.to_owned(),
            max_in_memory,
            memory: Vec::new(),
            file: None,
            num_in_file: 0,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.num_in_file + self.memory.len() as u64
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), ToolError> {
        if self.memory.len() + bytes.len() > self.max_in_memory {
            self.move_to_file()?;
        }
        self.memory.extend_from_slice(bytes);
        Ok(())
    }

    /// The bytes `range`, which must be there.
    pub(crate) fn get(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>, ToolError> {
        let length = (range.end - range.start) as usize;
        if let Some(start) = range.start.checked_sub(self.num_in_file) {
            let start = start as usize;
            return Ok(Cow::Borrowed(&self.memory[start..start + length]));
        }
        let mut bytes = vec![0; length];
        let num_in_file = length.min((self.num_in_file - range.start) as usize);
        let (in_file, in_memory) = bytes.split_at_mut(num_in_file);
        in_memory.copy_from_slice(&self.memory[..length - num_in_file]);
        let file = self.file.as_ref().expect("it holds bytes");
        file.read_exact_at(in_file, range.start)
            .map_err(ToolError::read(&self.dir))?;
        Ok(Cow::Owned(bytes))
    }

    fn move_to_file(&mut self) -> Result<(), ToolError> {
        let file = match self.file.take() {
            Some(file) => Ok(file),
            None => tempfile::tempfile_in(&self.dir),
        };
        let file = file.map_err(ToolError::write(&self.dir))?;
        let written = file.write_all_at(&self.memory, self.num_in_file);
        written.map_err(ToolError::write(&self.dir))?;
        self.file = Some(file);
        self.num_in_file += self.memory.len() as u64;
        self.memory.clear();
        Ok(())
    }
}

/// Numbers, one after another.
#[derive(Debug)]
pub(crate) struct Numbers(Spill);

impl Numbers {
    /// As many numbers as lie in memory.
    const MAX_IN_MEMORY: usize = 4 << 20;
    const BYTES: u64 = size_of::<u32>() as u64;

    pub(crate) fn new(dir: &Path) -> Self {
        Self(Spill::new(dir, Self::MAX_IN_MEMORY * size_of::<u32>()))
    }

    pub(crate) fn len(&self) -> usize {
        (self.0.len() / Self::BYTES) as usize
    }

    pub(crate) fn push(&mut self, number: u32) -> Result<(), ToolError> {
        self.0.push(&number.to_le_bytes())
    }

    /// The number at `position`, which must be there.
    pub(crate) fn get(&self, position: usize) -> Result<u32, ToolError> {
        let start = position as u64 * Self::BYTES;
        let bytes = self.0.get(start..start + Self::BYTES)?;
        Ok(u32::from_le_bytes(
            bytes[..].try_into().expect("four bytes"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_added_is_read_wherever_it_lies(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..40),
            max_in_memory in 0usize..64,
            cuts in any::<[prop::sample::Index; 2]>(),
        ) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let mut spill = Spill::new(folder.path(), max_in_memory);
            parts.iter().for_each(|part| spill.push(part).expect("added"));
            let whole = parts.concat();
            prop_assert_eq!(spill.len(), whole.len() as u64);
            let mut range = cuts.map(|cut| cut.index(whole.len() + 1));
            range.sort_unstable();
            let read = spill.get(range[0] as u64..range[1] as u64).expect("read");
            prop_assert_eq!(&read[..], &whole[range[0]..range[1]]);
        }
    }

    #[test]
    fn numbers_come_back_from_memory_and_from_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut numbers = Numbers(Spill::new(folder.path(), 40));
        (0..1_000).for_each(|number| numbers.push(number * 7).expect("added"));
        assert_eq!(numbers.len(), 1_000);
        for position in [0, 1, 9, 10, 500, 999] {
            assert_eq!(numbers.get(position).expect("read"), position as u32 * 7);
        }
    }

    #[test]
    fn a_folder_that_takes_no_file_is_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut spill = Spill::new(&folder.path().join("missing"), 4);
        spill.push(b"1234").expect("in memory");
        assert!(matches!(spill.push(b"5"), Err(ToolError::Write { .. })));
    }
}
