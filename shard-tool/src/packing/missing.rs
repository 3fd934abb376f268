//! Files that were listed and are not there any more: a few are left out, many end the packing, since their disk may be gone.

use std::path::PathBuf;

use super::reading::Outcome;
use crate::error::ToolError;
use crate::report::counts::{counted, thousands};

/// So many files may go away, or one in a hundred.
const MAX_GONE: u64 = 100;

/// How many went away so far.
#[derive(Debug, Default)]
pub(super) struct Missing {
    num_read: u64,
    num_gone: u64,
    first: Option<PathBuf>,
}

impl Missing {
    /// Counts what came of one more file.
    ///
    /// # Errors
    /// When too many are gone.
    pub(super) fn count(
        &mut self,
        outcome: &Outcome,
        shown: impl FnOnce() -> PathBuf,
    ) -> Result<(), ToolError> {
        self.num_read += 1;
        if !matches!(outcome, Outcome::Gone) {
            return Ok(());
        }
        self.num_gone += 1;
        let first = self.first.get_or_insert_with(shown);
        if self.num_gone > MAX_GONE.max(self.num_read / 100) {
            let (gone, files) = (thousands(self.num_gone), counted(self.num_read, "file"));
            return Err(ToolError::data(
                format_args!("{gone} of {files} that were listed are not there any more"),
                format_args!("{}, for one", first.display()),
                "see that its disk is mounted and that nobody removes files, or correct the list, and run the same command again",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_files_or_one_in_a_hundred_may_go_away() {
        let (mut few, mut many) = (Missing::default(), Missing::default());
        let is = |number: u64| match number % 100 {
            0 => Outcome::Gone,
            _ => Outcome::Skip(String::new()),
        };
        assert!((1..100_000).all(|number| few.count(&is(number), PathBuf::new).is_ok()));
        let all = (0..1_000).position(|_| many.count(&Outcome::Gone, PathBuf::new).is_err());
        assert_eq!(all, Some(100));
    }
}
