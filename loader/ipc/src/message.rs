//! What the two sides say to each other over the control channel.

use serde::{Deserialize, Serialize};

use crate::layout::{CardId, Geometry};
use crate::reason::Reason;
use crate::recipe::Recipe;

/// What a subscriber asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// Free text that `loader status` shows.
    pub name: String,
    /// Split of the data set, such as `train` or `val`.
    pub split: String,
    /// Names of the samples to serve; `None` serves all of the split. A name is that of an image file, with or without extension, alone or
    /// behind its class: `n01440764/n01440764_18.JPEG`. Their order means nothing.
    pub subset: Option<Vec<String>>,
    /// The views of every image.
    pub recipe: Recipe,
    /// Samples in a batch of this rank.
    pub batch_size: u32,
    /// This rank, below `world_size`.
    pub rank: u32,
    /// Number of ranks that share every global batch.
    pub world_size: u32,
    /// Seed of the order and of the views.
    pub seed: u64,
    /// Order of the samples.
    pub order: Order,
    /// Whether samples that fill no global batch at the end of an epoch are left out; else the last batch may be partial
    /// ([`crate::Lease::num_valid`]).
    pub drop_last: bool,
    /// Epoch to start in.
    pub start_epoch: u64,
    /// Step within the start epoch to start at.
    pub start_step: u64,
    /// Epochs to serve, the start epoch included.
    pub num_epochs: u64,
    /// Slots of the ring; `None` leaves it to the daemon.
    pub num_slots: Option<u32>,
    /// The card whose memory shall hold the views; `None` wants them in memory of the host. Whoever asks for a card must be ready for host memory
    /// ([`StreamInfo::not_on_card`]).
    #[serde(default)]
    pub card: Option<CardId>,
}

impl Subscription {
    /// One epoch of `split` for a program of one rank: shuffled with seed 0, whole batches alone, called after the program. What should be
    /// otherwise is said by update: `Subscription { seed: 1, ..Subscription::new("train", recipe, 256) }`.
    pub fn new(split: &str, recipe: Recipe, batch_size: u32) -> Subscription {
        Subscription {
            name: program_name(),
            split: split.to_owned(),
            subset: None,
            recipe,
            batch_size,
            rank: 0,
            world_size: 1,
            seed: 0,
            order: Order::Shuffled,
            drop_last: true,
            start_epoch: 0,
            start_step: 0,
            num_epochs: 1,
            num_slots: None,
            card: None,
        }
    }
}

fn program_name() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let name = program.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Order of the samples within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// A seeded permutation of all samples, another one each epoch.
    Shuffled,
    /// By sample id.
    Sequential,
}

/// What the daemon promises about a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// Process id of the daemon.
    pub pid: i32,
    /// Samples that are served in an epoch, and those that are left out at its end: all of the split, or of the subset.
    pub num_samples: u64,
    /// How many of them have no label.
    pub num_unlabelled: u64,
    /// Class names by label.
    pub classes: Vec<String>,
    /// Batches per epoch for this rank.
    pub steps_per_epoch: u64,
    /// Batches that the stream will deliver in all.
    pub num_batches: u64,
    /// Epoch of the first batch.
    pub start_epoch: u64,
    /// Step within the epoch of the first batch.
    pub start_step: u64,
    /// Sizes of the ring, and where it lies.
    pub geometry: Geometry,
    /// Why the views lie in memory of the host although a card was asked for.
    pub not_on_card: Option<Reason>,
}

impl StreamInfo {
    /// Epoch and step within the epoch of batch number `sequence` of this stream.
    pub fn position(&self, sequence: u64) -> (u64, u64) {
        let step = self.start_step + sequence;
        let steps = self.steps_per_epoch.max(1);
        (self.start_epoch + step / steps, step % steps)
    }
}

/// A question to the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Start a stream on this connection.
    Subscribe(Subscription),
    /// How are things?
    Status,
}

/// An answer from the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The stream starts; the segments follow on the socket.
    Subscribed(StreamInfo),
    /// The subscription is refused.
    Refused(Reason),
    /// Answer to [`Request::Status`].
    Status(DaemonStatus),
    /// The stream ends before its last batch, or the daemon before it was asked for one. Only a daemon that was killed hangs up without this.
    Closed(Reason),
}

/// What `loader status` shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Version of the daemon.
    pub version: String,
    /// Process id of the daemon.
    pub pid: i32,
    /// Folders of the data set.
    pub data: Vec<String>,
    /// Where it listens.
    pub socket: String,
    /// Seconds since start.
    pub uptime_s: f64,
    /// Worker threads that decode and augment.
    pub num_workers: usize,
    /// Samples that could not be used, by cause.
    pub failures: Vec<FailureCount>,
    /// Images by the way they took, where there are several.
    pub routes: Vec<RouteCount>,
    /// Cards that it has opened.
    pub cards: Vec<CardMemory>,
    /// Live subscribers.
    pub subscribers: Vec<SubscriberStatus>,
}

/// Samples replaced for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCount {
    /// The cause, such as `truncated`.
    pub cause: String,
    /// Distinct samples it hit.
    pub num_samples: u64,
}

/// Images that took one way from file to views.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCount {
    /// What decoded them, such as `CPU`.
    pub route: String,
    /// How many there were.
    pub num_images: u64,
}

/// What the daemon has of a card's memory now, in bytes. What driver and nvJPEG take for themselves they do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardMemory {
    /// The card.
    pub card: CardId,
    /// Slots of rings whose views lie there.
    pub slot_bytes: u64,
    /// Batches that it decodes and makes views of.
    pub in_flight_bytes: u64,
}

/// One subscriber, as the daemon sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriberStatus {
    /// Number of the subscription, counting from 1.
    pub id: u64,
    /// Process id of the subscriber.
    pub pid: i32,
    /// What it called itself.
    pub name: String,
    /// Split it reads.
    pub split: String,
    /// Rank of the subscriber.
    pub rank: u32,
    /// Number of ranks.
    pub world_size: u32,
    /// Samples in a batch.
    pub batch_size: u32,
    /// What makes its batches, for people: `2 CPU threads`.
    pub engine: String,
    /// Epoch of the newest published batch.
    pub epoch: u64,
    /// Step within the epoch of the newest published batch.
    pub step: u64,
    /// Batches published so far.
    pub num_published: u64,
    /// Batches of the whole stream.
    pub num_batches: u64,
    /// Images per second since the stream began.
    pub images_per_s: f64,
    /// Share of the stream's time that the subscriber waited for the loader, 0 to 1.
    pub consumer_wait: f64,
    /// Share of the stream's time that the loader waited for a free slot, 0 to 1.
    pub producer_wait: f64,
    /// What its batches have gone through.
    pub stages: Vec<StageStatus>,
    /// Which of it bounds the rate, for people. Of threads that streams share, what all of these take counts.
    pub bound: String,
}

/// One thing that is done to batches on their way, as far as it has been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    /// What it is, for people: `views, CPU`.
    pub stage: String,
    /// Images that went through it.
    pub num_images: u64,
    /// Milliseconds for each batch that is published; times of threads are added up.
    pub ms_per_batch: f64,
    /// Share of the stream's time that it kept whoever does it busy, 0 to 1: all threads, or the card's engines, kernels or copies.
    pub busy: f64,
}
