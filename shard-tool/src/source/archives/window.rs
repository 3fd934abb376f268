//! A part of a file as a file of its own. Several windows share a file: none of them moves its position.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// `start..end` of a file, and where reading goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    file: &'a File,
    start: u64,
    end: u64,
    at: u64,
    /// Whether the last read found nothing.
    is_exhausted: bool,
}

impl<'a> Window<'a> {
    pub(super) fn whole(file: &'a File) -> io::Result<Self> {
        let end = file.metadata()?.len();
        Ok(Self {
            file,
            start: 0,
            end,
            at: 0,
            is_exhausted: false,
        })
    }

    /// A part of the file, which may also lie outside of this window.
    pub(super) fn part(&self, offset: u64, num_bytes: u64) -> Self {
        Self {
            file: self.file,
            start: offset,
            end: offset + num_bytes,
            at: offset,
            is_exhausted: false,
        }
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Whether nothing but zeros follows.
    pub(super) fn rest_is_zero(mut self) -> io::Result<bool> {
        let mut buffer = [0; 1 << 14];
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(true),
                num_read if buffer[..num_read].iter().any(|byte| *byte != 0) => return Ok(false),
                _ => {}
            }
        }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at).min(buffer.len() as u64) as usize;
        let num_read = self.file.read_at(&mut buffer[..left], self.at)?;
        self.at += num_read as u64;
        self.is_exhausted = num_read == 0 && !buffer.is_empty();
        Ok(num_read)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(offset) => self.start.checked_add(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
            SeekFrom::End(offset) => self.end.checked_add_signed(offset),
        };
        let at = at.filter(|at| *at >= self.start);
        self.at =
            at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "before the start"))?;
        Ok(self.at - self.start)
    }
}
