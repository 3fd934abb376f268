//! What a killed packing had finished, so that the next one goes on from there.
//!
//! `OUT/.packing.jsonl` has a line with the digest of the plan, then a line for each shard that is closed and on disk: the
//! shard, how far into its split it reaches, and a digest of the files it was made from. A journal of another
//! plan, a shard that is not there any more, or a changed source file end what is adopted.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shard_format::FinishedShard;

use crate::error::ToolError;
use crate::report::counts::Reasons;

/// One finished shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Milestone {
    pub(crate) finished: FinishedShard,
    /// Candidates of the split that lie before the end of this shard.
    pub(crate) position: usize,
    /// Digest of size and time of change of the candidates since the milestone before.
    pub(crate) stamps: u64,
    /// All that was skipped so far.
    pub(crate) skips: Reasons,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    plan: u64,
}

/// The journal of one output folder, open for writing.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
}

fn path_in(out: &Path) -> PathBuf {
    out.join(".packing.jsonl")
}

/// Digest of the plan and milestones of an earlier packing into `out`, as far as they are readable.
pub(crate) fn load(out: &Path) -> Option<(u64, Vec<Milestone>)> {
    let text = fs::read_to_string(path_in(out)).ok()?;
    let mut lines = text.lines();
    let head: Head = serde_json::from_str(lines.next()?).ok()?;
    let milestones = lines.map_while(|line| serde_json::from_str(line).ok());
    Some((head.plan, milestones.collect()))
}

impl Journal {
    /// Starts a journal with these milestones; the folder must be there.
    pub(crate) fn create(out: &Path, plan: u64, adopted: &[Milestone]) -> Result<Self, ToolError> {
        let path = path_in(out);
        let partial = path.with_extension("partial");
        let mut text = line(&Head { plan });
        adopted
            .iter()
            .for_each(|milestone| text.push_str(&line(milestone)));
        let write = || -> std::io::Result<File> {
            let mut file = File::create(&partial)?;
            // Not synced: should a power cut lose this, the next packing only starts anew.
            file.write_all(text.as_bytes())?;
            fs::rename(&partial, &path)?;
            OpenOptions::new().append(true).open(&path)
        };
        let file = write().map_err(ToolError::write(&path))?;
        Ok(Self { path, file })
    }

    /// Adds a milestone and waits until it is on disk.
    pub(crate) fn add(&mut self, milestone: &Milestone) -> Result<(), ToolError> {
        let written = self.file.write_all(line(milestone).as_bytes());
        let synced = written.and_then(|()| self.file.sync_data());
        synced.map_err(ToolError::write(&self.path))
    }

    /// Removes the journal: nothing is left to be resumed.
    pub(crate) fn remove(self) -> Result<(), ToolError> {
        fs::remove_file(&self.path).map_err(ToolError::write(&self.path))
    }
}

fn line<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string(value).expect("strings and numbers only");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milestone(position: usize) -> Milestone {
        let finished = FinishedShard {
            split: "train".to_owned(),
            part: Default::default(),
        };
        Milestone {
            finished,
            position,
            stamps: u64::MAX,
            skips: Reasons::default(),
        }
    }

    #[test]
    fn milestones_come_back_with_the_digest_of_their_plan() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut journal = Journal::create(folder.path(), 7, &[milestone(1)]).expect("starts");
        journal.add(&milestone(2)).expect("adds");
        let both = vec![milestone(1), milestone(2)];
        assert_eq!(load(folder.path()), Some((7, both)));
        journal.remove().expect("removes");
        assert_eq!(load(folder.path()), None);
    }

    #[test]
    fn a_journal_cut_anywhere_gives_the_milestones_before_the_cut() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let journal = Journal::create(folder.path(), 7, &[milestone(1), milestone(2)]);
        let path = journal.expect("starts").path;
        let text = fs::read(&path).expect("reads");
        for end in 0..text.len() {
            fs::write(&path, &text[..end]).expect("written");
            let (_, found) = load(folder.path()).unwrap_or_default();
            assert!(found.len() <= 2 && found.iter().zip(1..).all(|(m, at)| m.position == at));
        }
    }
}
