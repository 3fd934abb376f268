//! The bytes of a pickle from front to back; every length is checked before it is used.

/// Bytes and how many of them are read.
#[derive(Debug)]
pub(super) struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(all: &'a [u8]) -> Bytes<'a> {
        Bytes { all, at: 0 }
    }

    /// How many are read.
    pub(super) fn num_read(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, num: u64) -> Result<&'a [u8], String> {
        let rest = &self.all[self.at..];
        let num = usize::try_from(num).ok().filter(|num| *num <= rest.len());
        let num = num.ok_or("the pickle ends too early")?;
        self.at += num;
        Ok(&rest[..num])
    }

    pub(super) fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned number of so many bytes, at most 8, the least significant first.
    pub(super) fn number(&mut self, width: u64) -> Result<u64, String> {
        let mut wide = [0; 8];
        wide[..width as usize].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(wide))
    }

    /// As many bytes as the number before them says, which is so wide.
    pub(super) fn counted(&mut self, width: u64) -> Result<&'a [u8], String> {
        let num = self.number(width)?;
        self.take(num)
    }

    /// The bytes up to the end of the line.
    pub(super) fn line(&mut self) -> Result<String, String> {
        let rest = &self.all[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = self.take(end.map_or(u64::MAX, |end| end as u64))?;
        self.byte()?;
        Ok(text(line))
    }
}

/// Python's texts may hold what Unicode forbids; names do not.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
