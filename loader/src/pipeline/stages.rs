//! How long each stage of a stream's batches takes, how busy that keeps who does it, and what bounds the rate.
//!
//! A stage that threads do is measured where they do it, and its times are added up. One that a card does is told by events (`cuda::timing`): batches in
//! flight may be in the same stage at once, one waiting for the other, so its share is that of the time in which any of them was in it.
//! Threads serve all streams, so what bounds a stream's rate counts what all of them together take of the threads.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use loader_ipc::StageStatus;

/// What a batch goes through; not all of it, wherever it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The stream waits until its subscriber gives back a slot.
    FreeSlot,
    /// A thread finds files that the card decodes, and copies them out of their shards.
    Read,
    /// A thread decodes files. Shards are mapped, so this reads them, too.
    Decode,
    /// A thread makes views.
    Views,
    /// A thread copies files or images to where the card takes them from.
    Pin,
    /// A thread makes the calls of a batch, and nvJPEG's hybrid back end its part on the CPU.
    HandOver,
    /// Files, images and parameters are copied to the card.
    Upload,
    /// The card's JPEG engines decode.
    Engines,
    /// The hybrid back end decodes.
    Hybrid,
    /// Kernels make pixels of planes, and views of pixels.
    Kernels,
    /// Views are copied to the host.
    Download,
    /// They are copied once more, on the host.
    Bounce,
}

/// The threads that all streams of a daemon share.
#[derive(Debug, Clone, Copy)]
pub struct Threads {
    num: usize,
    num_streams: usize,
    /// How many of them all streams together keep busy.
    num_busy: f64,
}

/// What stages are called, in their order, and whether they are done by the threads that all streams share.
const STAGES: [(&str, bool); 12] = [
    ("waiting for a free slot", false),
    ("reading files for the card", true),
    ("reading and decoding, CPU", true),
    ("views, CPU", true),
    ("copying to pinned memory", true),
    ("calling card and nvJPEG", true),
    ("upload to the card", false),
    ("decoding, JPEG engines", false),
    ("decoding, hybrid back end", false),
    ("colours and views, kernels", false),
    ("copy to the host", false),
    ("second copy, on the host", false),
];

/// Whatever is less busy bounds nothing.
const BUSY: f64 = 0.8;

/// The stages of one stream.
#[derive(Debug, Default)]
pub struct Stages(Mutex<[Sum; STAGES.len()]>);

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    num_images: u64,
    total_s: f64,
    /// As above, but time in which several batches are in the stage counts once.
    busy_s: f64,
    until_s: f64,
}

impl Threads {
    /// So many, of which each stream keeps so many busy.
    pub fn shared(num: usize, by_stream: impl IntoIterator<Item = f64>) -> Threads {
        let none = Threads {
            num,
            num_streams: 0,
            num_busy: 0.0,
        };
        by_stream.into_iter().fold(none, |all, num_busy| Threads {
            num_streams: all.num_streams + 1,
            num_busy: all.num_busy + num_busy,
            ..all
        })
    }

    fn share(self, num_busy: f64) -> f64 {
        (num_busy / self.num as f64).min(1.0)
    }

    fn describe(self) -> String {
        match self.num_streams {
            0 | 1 => format!("{} CPU threads", self.num),
            several => format!("{} CPU threads, shared by {several} streams", self.num),
        }
    }
}

impl Stages {
    /// Does something that is this stage of so many images.
    pub fn time<T>(&self, stage: Stage, num_images: usize, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.add(stage, num_images, started);
        done
    }

    /// Adds what a thread has done since `started`.
    pub fn add(&self, stage: Stage, num_images: usize, started: Instant) {
        let took_s = started.elapsed().as_secs_f64();
        let sum = &mut self.sums()[stage as usize];
        sum.num_images += num_images as u64;
        sum.total_s += took_s;
        sum.busy_s += took_s;
    }

    /// Adds what a card has done, in seconds of a clock of its own.
    pub fn add_span(&self, stage: Stage, num_images: usize, from_s: f64, to_s: f64) {
        let sum = &mut self.sums()[stage as usize];
        sum.num_images += num_images as u64;
        sum.total_s += to_s - from_s;
        sum.busy_s += (to_s - from_s.max(sum.until_s)).max(0.0);
        sum.until_s = sum.until_s.max(to_s);
    }

    /// Seconds of a stage so far.
    pub fn seconds(&self, stage: Stage) -> f64 {
        self.sums()[stage as usize].total_s
    }

    /// How many threads the stream has kept busy, given its age.
    pub fn num_busy_threads(&self, elapsed_s: f64) -> f64 {
        let stages = STAGES.iter().zip(*self.sums());
        let of_threads = stages.filter(|((_, is_of_threads), _)| *is_of_threads);
        of_threads.map(|(_, sum)| sum.busy_s).sum::<f64>() / elapsed_s
    }

    /// All stages that batches have gone through, and what bounds the rate, given the stream's age and the batches that it has published.
    pub fn status(
        &self,
        threads: Threads,
        num_batches: u64,
        elapsed_s: f64,
    ) -> (Vec<StageStatus>, String) {
        let sums = *self.sums();
        let taken = STAGES
            .iter()
            .zip(sums)
            .filter(|(_, sum)| sum.num_images > 0);
        let mut stages = Vec::new();
        let mut alone = ("nothing", 0.0);
        for (&(name, is_of_threads), sum) in taken {
            let num_at_once = if is_of_threads { threads.num } else { 1 };
            let busy = (sum.busy_s / num_at_once as f64 / elapsed_s).min(1.0);
            if !is_of_threads && busy > alone.1 {
                alone = (name, busy);
            }
            stages.push(StageStatus {
                stage: name.to_owned(),
                num_images: sum.num_images,
                ms_per_batch: 1e3 * sum.total_s / num_batches.max(1) as f64,
                busy,
            });
        }
        // A stream that is held up by what is its own would not be faster without the others.
        let num_busy = match alone.1 < BUSY {
            true => threads.num_busy,
            false => self.num_busy_threads(elapsed_s),
        };
        let of_threads = threads.share(num_busy);
        let bound = match of_threads > alone.1 {
            true => bound(&threads.describe(), of_threads),
            false => bound(alone.0, alone.1),
        };
        (stages, bound)
    }

    fn sums(&self) -> MutexGuard<'_, [Sum; STAGES.len()]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bound(busiest: &str, busy: f64) -> String {
    let percent = 100.0 * busy;
    match busy < BUSY {
        true => format!("nothing bounds the rate by itself; most: {busiest}, {percent:.1} %"),
        false => format!("what bounds the rate: {busiest}, {percent:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The threads of a daemon with this one stream.
    fn threads(num: usize, stages: &Stages, elapsed_s: f64) -> Threads {
        Threads::shared(num, [stages.num_busy_threads(elapsed_s)])
    }

    fn long_ago(seconds: u64) -> Instant {
        Instant::now()
            .checked_sub(Duration::from_secs(seconds))
            .expect("a machine that runs for minutes")
    }

    /// A stream whose images one thread has decoded for so long.
    fn decoded_for(seconds: u64) -> Stages {
        let stages = Stages::default();
        stages.add(Stage::Decode, 8, long_ago(seconds));
        stages
    }

    #[test]
    fn batches_in_a_stage_of_the_card_at_once_keep_it_busy_once() {
        let stages = Stages::default();
        for (from_s, to_s) in [(0.0, 4.0), (2.0, 6.0), (3.0, 5.0), (8.0, 9.0)] {
            stages.add_span(Stage::Kernels, 5, from_s, to_s);
        }
        stages.add_span(Stage::Upload, 20, 1.0, 2.0);
        let (told, bound) = stages.status(threads(2, &stages, 8.0), 4, 8.0);
        assert_eq!(told.len(), 2, "{told:?}");
        let kernels = &told[1];
        assert_eq!(kernels.stage, "colours and views, kernels");
        assert_eq!(
            (kernels.num_images, kernels.ms_per_batch),
            (20, 11_000.0 / 4.0)
        );
        assert_eq!(kernels.busy, 7.0 / 8.0);
        assert_eq!(
            bound,
            "what bounds the rate: colours and views, kernels, 87.5 %"
        );
    }

    #[test]
    fn threads_that_share_their_time_between_stages_bound_the_rate_together() {
        let stages = decoded_for(100);
        stages.add(Stage::Views, 8, long_ago(100));
        stages.add_span(Stage::Upload, 8, 0.0, 60.0);
        let (told, bound) = stages.status(threads(2, &stages, 100.0), 1, 100.0);
        assert!(told[0].busy < 0.6, "{told:?}");
        assert!(
            bound.starts_with("what bounds the rate: 2 CPU threads"),
            "{bound}"
        );
        let (_, bound) = stages.status(threads(8, &stages, 100.0), 1, 100.0);
        assert!(bound.starts_with("nothing bounds the rate"), "{bound}");
        assert!(bound.contains("upload"), "{bound}");
        let none = Stages::default();
        assert!(none.status(threads(2, &none, 1.0), 0, 1.0).0.is_empty());
    }

    #[test]
    fn streams_that_share_the_threads_are_bound_by_them_together() {
        let (one, other) = (decoded_for(100), decoded_for(50));
        let by_stream = [one.num_busy_threads(100.0), other.num_busy_threads(50.0)];
        for stages in [&one, &other] {
            let (_, alone) = stages.status(threads(2, stages, 100.0), 1, 100.0);
            assert!(alone.starts_with("nothing bounds the rate"), "{alone}");
            let (_, bound) = stages.status(Threads::shared(2, by_stream), 1, 100.0);
            let expected = "what bounds the rate: 2 CPU threads, shared by 2 streams, 100.0 %";
            assert_eq!(bound, expected);
        }
        one.add(Stage::FreeSlot, 8, long_ago(90));
        let (_, bound) = one.status(Threads::shared(2, by_stream), 1, 100.0);
        assert!(bound.contains("waiting for a free slot, 90"), "{bound}");
    }
}
