//! Gives memory back of what a reader has passed, so that a shard of any size takes a few megabytes at a time.

use std::ops::Range;

use shard_format::MappedFile;

/// Bytes after which memory is given back.
pub(crate) const STEP_BYTES: usize = 4 << 20;

/// What a reader has read and that is still in memory.
#[derive(Debug)]
pub(crate) struct DropBehind<'a> {
    tar: &'a MappedFile,
    /// From the first to the last byte that was read.
    span: Range<usize>,
}

impl<'a> DropBehind<'a> {
    pub(crate) fn new(tar: &'a MappedFile) -> Self {
        Self { tar, span: 0..0 }
    }

    /// These bytes have been read.
    pub(crate) fn read(&mut self, bytes: Range<usize>) {
        if self.span.is_empty() {
            self.span = bytes;
        } else {
            self.span = self.span.start.min(bytes.start)..self.span.end.max(bytes.end);
        }
        if self.span.len() >= STEP_BYTES {
            self.release();
        }
    }

    fn release(&mut self) {
        self.tar.release(self.span.clone());
        self.span = 0..0;
    }
}

impl Drop for DropBehind<'_> {
    fn drop(&mut self) {
        self.release();
    }
}
