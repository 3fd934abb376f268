//! Spreads the work over all processors and gathers what is found.
//!
//! A task is the files of one shard, or some of its samples. Tasks are taken in order, so that all
//! threads work in the same few shards and every byte comes from the disk once.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use super::findings::{Depth, Findings};
use super::shard::Shard;
use super::{files, members, samples};
use crate::error::ToolError;
use crate::report::progress::Progress;
use crate::system::threads;

/// Samples of one task.
const CHUNK: u64 = 256;
/// Tasks whose findings may wait to be gathered.
const AHEAD: usize = 64;

#[derive(Debug, Clone)]
enum Task {
    Files(usize),
    Samples(usize, Range<u64>),
}

/// Looks at everything in `shards`.
///
/// # Errors
/// If no thread can be started.
pub(super) fn scan(shards: &[Shard<'_>], depth: Depth) -> Result<Findings, ToolError> {
    let tasks = tasks(shards);
    let mut progress = Progress::new("verifying", shards.iter().map(Shard::num_at_hand).sum());
    let mut findings = Findings::default();
    let (next, (sender, receiver)) = (AtomicUsize::new(0), sync_channel(AHEAD));
    let num_left = num_tasks_of_each(&tasks, shards.len());
    thread::scope(|scope| -> Result<(), ToolError> {
        // It lives in here, so that nobody goes on when no thread can be started.
        let receiver = receiver;
        for _ in 0..threads::for_computing() {
            let (sender, next, tasks, num_left) = (sender.clone(), &next, &tasks, &num_left);
            threads::start(scope, move || {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = perform(task, shards, depth);
                    // What each task gave back, its neighbours may have read around.
                    if num_left[task.shard()].fetch_sub(1, Ordering::Relaxed) == 1 {
                        shards[task.shard()].release();
                    }
                    if sender.send(found).is_err() {
                        return;
                    }
                }
            })?;
        }
        drop(sender);
        for found in receiver {
            let num_samples = found.num_samples;
            findings.merge(found);
            progress.advance(num_samples, findings.num_bytes);
        }
        Ok(())
    })?;
    progress.finish();
    Ok(findings)
}

fn tasks(shards: &[Shard<'_>]) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (position, shard) in shards.iter().enumerate() {
        tasks.push(Task::Files(position));
        let num_entries = shard.num_at_hand();
        let starts = (0..num_entries).step_by(CHUNK as usize);
        tasks.extend(starts.map(|start| {
            let end = num_entries.min(start + CHUNK);
            Task::Samples(position, start..end)
        }));
    }
    tasks
}

fn num_tasks_of_each(tasks: &[Task], num_shards: usize) -> Vec<AtomicUsize> {
    let mut numbers = vec![0; num_shards];
    tasks.iter().for_each(|task| numbers[task.shard()] += 1);
    numbers.into_iter().map(AtomicUsize::new).collect()
}

fn perform(task: &Task, shards: &[Shard<'_>], depth: Depth) -> Findings {
    match task {
        Task::Files(shard) => check_files(&shards[*shard]),
        Task::Samples(shard, numbers) => samples::check(&shards[*shard], numbers.clone(), depth),
    }
}

fn check_files(shard: &Shard<'_>) -> Findings {
    let mut found = Findings::default();
    let tar = files::check_tar(shard, &mut found.defects);
    found.tars.extend(tar.map(|tar| (shard.number, tar)));
    files::check_index(shard, &mut found.defects);
    let as_stated = tar.is_some_and(|tar| tar.as_stated);
    members::check(shard, as_stated, &mut found.defects, &mut found.notes);
    found
}

impl Task {
    fn shard(&self) -> usize {
        match self {
            Self::Files(shard) | Self::Samples(shard, _) => *shard,
        }
    }
}
