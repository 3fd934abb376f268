//! The subscriber's side: meet the daemon, subscribe, receive leases.
//!
//! A [`Lease`] is a published slot; dropping it gives the slot back. Nothing here starts a thread. Every wait has a deadline,
//! and a daemon that dies is noticed within [`LIVENESS_INTERVAL`].

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_channel::TryRecvError;
use ipc_channel::ipc::{IpcReceiver, IpcSender};

use crate::error::IpcError;
use crate::handshake;
use crate::layout::{CardId, Layout, Place, TensorLayout};
use crate::liveness;
use crate::message::{DaemonStatus, Reply, Request, StreamInfo, Subscription};
use crate::reason::Reason;
use crate::ring::{Ring, Turn};
use crate::segment::Segment;
use crate::sync::Ordering;

/// How often a waiting subscriber looks whether the daemon still lives.
pub const LIVENESS_INTERVAL: Duration = Duration::from_millis(100);
/// How long the daemon may take to answer a request (a subscription reserves the whole ring).
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to the daemon, before any subscription.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    requests: IpcSender<Request>,
    replies: IpcReceiver<Reply>,
    pid: i32,
}

/// The receiving end of one stream of batches.
#[derive(Debug)]
pub struct Subscriber {
    shared: Arc<Shared>,
    client: Client,
    info: StreamInfo,
    card_memory: Option<(CardId, OwnedFd)>,
    next: u64,
    /// Why the daemon ended the stream, once it has said so: it says it once, and whoever asks again is told, too.
    stopped: Option<Reason>,
}

// Drop order: leases hold the mapping; the socket closes with the client, after which the daemon frees the ring.
#[derive(Debug)]
struct Shared {
    ring: Ring,
    views: Segment,
    layout: Layout,
    /// The process that subscribed. A forked one sees the same memory, and no slot is its to give back.
    pid: u32,
}

/// A batch in shared memory, ours until dropped. A lease that is dropped in a forked process gives nothing back.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    turn: Turn,
    epoch: u64,
    step: u64,
    num_valid: usize,
}

/// One tensor of a lease: `u8 [num_views, batch_size, size, size, 3]` in shared memory.
///
/// A sound daemon leaves this memory alone until the lease is dropped; another may write it at any time. So it is reached through a pointer
/// and never a slice.
#[derive(Debug, Clone, Copy)]
pub struct GroupBytes<'a> {
    lease: &'a Lease,
    tensor: TensorLayout,
}

impl Client {
    /// Connects to the daemon at `socket`, waiting at most `timeout` for its answers.
    ///
    /// # Errors
    /// [`IpcError::NoDaemon`] when nobody listens, [`IpcError::Version`] when the protocols differ.
    pub fn connect(socket: &Path, timeout: Duration) -> Result<Client, IpcError> {
        let (stream, (requests, replies)) = handshake::connect(socket, timeout)?;
        let pid = liveness::peer_pid(&stream)?;
        Ok(Client {
            stream,
            requests,
            replies,
            pid,
        })
    }

    /// Process id of the daemon.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Asks how the daemon and its subscribers are doing.
    ///
    /// # Errors
    /// When the daemon is gone or does not answer.
    pub fn status(&self) -> Result<DaemonStatus, IpcError> {
        match self.ask(Request::Status)? {
            Reply::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Starts a stream. One connection carries one stream.
    ///
    /// # Errors
    /// [`IpcError::Refused`] with the daemon's reason.
    pub fn subscribe(self, subscription: &Subscription) -> Result<Subscriber, IpcError> {
        let info = match self.ask(Request::Subscribe(subscription.clone()))? {
            Reply::Subscribed(info) => info,
            other => return Err(unexpected(&other)),
        };
        check_promise(subscription, &info)?;
        let layout = info.geometry.layout()?;
        let (control, views, card_memory) = match info.geometry.place {
            Place::HostFile => {
                let [control, views] = self.receive_ring(&info)?;
                (control, views, None)
            }
            Place::Card(card) => {
                let [control, views, memory] = self.receive_ring(&info)?;
                (control, views, Some((card, memory)))
            }
        };
        let ring = Ring::open(control, &layout)?;
        let views = Segment::open(views, layout.views_bytes(), false)?;
        let shared = Arc::new(Shared {
            ring,
            views,
            layout,
            pid: std::process::id(),
        });
        Ok(Subscriber {
            shared,
            client: self,
            info,
            card_memory,
            next: 0,
            stopped: None,
        })
    }

    /// The daemon's answer, unless it is a refusal. One that is ending says why instead, also before it is asked.
    fn ask(&self, request: Request) -> Result<Reply, IpcError> {
        let patience = match self.requests.send(request) {
            Ok(()) => REPLY_TIMEOUT,
            Err(_) => Duration::ZERO,
        };
        match self.replies.try_recv_timeout(patience) {
            Ok(Reply::Refused(reason) | Reply::Closed(reason)) => Err(IpcError::Refused(reason)),
            Ok(reply) => Ok(reply),
            Err(TryRecvError::Empty) if !patience.is_zero() => Err(IpcError::NotAPeer {
                what: format!("no answer within {REPLY_TIMEOUT:?}"),
            }),
            Err(_) => Err(IpcError::HungUp {
                what: format!("the loader (pid {}) hung up before it answered", self.pid),
            }),
        }
    }

    /// The segments of the stream that `info` promises.
    fn receive_ring<const NUM: usize>(
        &self,
        info: &StreamInfo,
    ) -> Result<[OwnedFd; NUM], IpcError> {
        let received = handshake::receive_descriptors(&self.stream);
        received.map_err(|error| match self.last_words() {
            Some(reason) => IpcError::Refused(reason),
            None if liveness::is_closed(&self.stream) => self.gone(info.position(0)),
            None => error,
        })
    }

    /// Why the daemon hung up, if it has said so: that comes before the end of the socket.
    fn last_words(&self) -> Option<Reason> {
        match self.replies.try_recv() {
            Ok(Reply::Refused(reason) | Reply::Closed(reason)) => Some(reason),
            _ => None,
        }
    }

    /// The daemon hung up without a word, before the batch of that epoch and step.
    fn gone(&self, (epoch, step): (u64, u64)) -> IpcError {
        IpcError::PeerGone {
            pid: self.pid,
            epoch,
            step,
        }
    }
}

impl Subscriber {
    /// What the daemon promised.
    pub fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// The card whose memory holds the views, and the descriptor that its driver imports ([`Layout::card_bytes`]): whoever maps it takes it. `None`
    /// where the views lie in memory of the host, and when it was taken.
    pub fn take_card_memory(&mut self) -> Option<(CardId, OwnedFd)> {
        self.card_memory.take()
    }

    /// Sizes of the ring.
    pub fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// Waits for the next batch; `None` once all epochs were served.
    ///
    /// # Errors
    /// [`IpcError::TimedOut`] after `timeout`, [`IpcError::Stopped`] when the daemon ended the stream, also when it is asked again,
    /// [`IpcError::PeerGone`] when it was killed, [`IpcError::Forked`] in a process that another one forked after it subscribed.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Lease>, IpcError> {
        if !self.shared.is_ours() {
            let pid = self.shared.pid;
            return Err(IpcError::Forked { pid });
        }
        if self.next == self.info.num_batches {
            return Ok(None);
        }
        let turn = self.shared.ring.turn(self.next);
        let start = Instant::now();
        let ready = self.wait_ready(turn, timeout);
        let waited_us = start.elapsed().as_micros() as u64;
        self.shared
            .ring
            .consumer_wait_us()
            .fetch_add(waited_us, Ordering::Relaxed);
        ready?;
        let lease = self.lease(turn)?;
        self.next += 1;
        Ok(Some(lease))
    }

    fn wait_ready(&mut self, turn: Turn, timeout: Duration) -> Result<(), IpcError> {
        let start = Instant::now();
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            if self
                .shared
                .ring
                .wait_ready(turn, left.min(LIVENESS_INTERVAL))?
            {
                return Ok(());
            }
            if liveness::is_closed(&self.client.stream) {
                return self.last_look(turn);
            }
            if start.elapsed() >= timeout {
                let (epoch, step) = self.info.position(self.next);
                let waited_ms = timeout.as_millis();
                return Err(IpcError::TimedOut {
                    pid: self.client.pid,
                    waited_ms,
                    epoch,
                    step,
                    is_held: self.shared.ring.is_held(turn),
                });
            }
        }
    }

    /// The daemon hung up: a batch may have been published just before, else its last words say why.
    fn last_look(&mut self, turn: Turn) -> Result<(), IpcError> {
        if self.shared.ring.wait_ready(turn, Duration::ZERO)? {
            return Ok(());
        }
        self.stopped = self.stopped.take().or_else(|| self.client.last_words());
        Err(match &self.stopped {
            Some(reason) => IpcError::Stopped(reason.clone()),
            None => self.client.gone(self.info.position(self.next)),
        })
    }

    fn lease(&self, turn: Turn) -> Result<Lease, IpcError> {
        let [epoch, step, num_valid] = self.shared.read_head(turn);
        let (expected_epoch, expected_step) = self.info.position(self.next);
        let num_valid = usize::try_from(num_valid).unwrap_or(usize::MAX);
        if (epoch, step) != (expected_epoch, expected_step)
            || num_valid > self.shared.layout.batch_size
        {
            let what = format!(
                "a batch of epoch {epoch}, step {step} with {num_valid} samples where epoch {expected_epoch}, step {expected_step} was due"
            );
            return Err(IpcError::Corrupt { what });
        }
        Ok(Lease {
            shared: Arc::clone(&self.shared),
            turn,
            epoch,
            step,
            num_valid,
        })
    }
}

impl Lease {
    /// Epoch of the batch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Step within the epoch.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Rows that hold a sample; the others are padding (label -1).
    pub fn num_valid(&self) -> usize {
        self.num_valid
    }

    /// Labels `[batch_size]`, -1 where there is none.
    pub fn labels(&self) -> Vec<i64> {
        let rows = self
            .shared
            .read_rows(self.turn, self.shared.layout.labels_offset);
        rows.map(u64::cast_signed).collect()
    }

    /// Sample ids `[batch_size]` within the split.
    pub fn sample_ids(&self) -> Vec<u64> {
        let rows = self
            .shared
            .read_rows(self.turn, self.shared.layout.ids_offset);
        rows.collect()
    }

    /// The tensor of view group `index`; panics when the recipe has fewer groups.
    pub fn group(&self, index: usize) -> GroupBytes<'_> {
        GroupBytes {
            lease: self,
            tensor: self.shared.layout.tensors[index],
        }
    }

    /// Number of view groups.
    pub fn num_groups(&self) -> usize {
        self.shared.layout.tensors.len()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.shared.is_ours() {
            self.shared.ring.release(self.turn);
        }
    }
}

impl GroupBytes<'_> {
    /// Where it begins in the card's memory, in bytes; `None` where it lies in memory of the host.
    pub fn card_offset(&self) -> Option<usize> {
        let Lease { shared, turn, .. } = self.lease;
        let of_slot = shared.layout.card_offset(turn.slot)?;
        Some(of_slot + self.tensor.offset)
    }

    /// First byte; valid for reads of [`GroupBytes::len`] bytes while the lease lives. Make no slice of it: the daemon may write there.
    ///
    /// # Panics
    /// If it lies in memory of a card.
    pub fn as_ptr(&self) -> *const u8 {
        assert!(self.card_offset().is_none(), "views in memory of the host");
        let Lease { shared, turn, .. } = self.lease;
        shared.bytes(*turn, self.tensor.offset, self.tensor.bytes)
    }

    /// Bytes of the tensor.
    pub fn len(&self) -> usize {
        self.tensor.bytes
    }

    /// Never true: a group has at least one view.
    pub fn is_empty(&self) -> bool {
        self.tensor.bytes == 0
    }

    /// Shape `[num_views, batch_size, size, size, 3]`.
    pub fn shape(&self) -> [usize; 5] {
        let side = self.tensor.group.size as usize;
        [
            self.tensor.group.num_views,
            self.lease.shared.layout.batch_size,
            side,
            side,
            3,
        ]
    }

    /// A private copy of the bytes.
    ///
    /// # Panics
    /// If they lie in memory of a card.
    pub fn to_vec(&self) -> Vec<u8> {
        assert!(self.card_offset().is_none(), "views in memory of the host");
        let Lease { shared, turn, .. } = self.lease;
        // Tensors begin at whole pages and end before the end of a page, so the last word is all inside of the slot.
        let word = |number: usize| {
            shared
                .word(*turn, self.tensor.offset + 8 * number)
                .to_ne_bytes()
        };
        let mut copy: Vec<u8> = (0..self.len().div_ceil(8)).flat_map(word).collect();
        copy.truncate(self.len());
        copy
    }
}

impl Shared {
    fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    fn bytes(&self, turn: Turn, offset: usize, len: usize) -> *const u8 {
        assert!(
            offset + len <= self.layout.slot_bytes,
            "range inside the slot"
        );
        self.views
            .bytes(turn.slot * self.layout.slot_bytes + offset, len)
    }

    /// Eight bytes of a published slot (the acquiring load of its turn word came first).
    fn word(&self, turn: Turn, offset: usize) -> u64 {
        assert!(
            offset + 8 <= self.layout.slot_bytes,
            "range inside the slot"
        );
        let at = turn.slot * self.layout.slot_bytes + offset;
        self.views.counter(at).load(Ordering::Relaxed)
    }

    /// Epoch, step, and number of valid rows.
    fn read_head(&self, turn: Turn) -> [u64; 3] {
        [0, 8, 16].map(|offset| self.word(turn, offset))
    }

    fn read_rows(&self, turn: Turn, offset: usize) -> impl Iterator<Item = u64> {
        (0..self.layout.batch_size).map(move |row| self.word(turn, offset + 8 * row))
    }
}

fn unexpected(reply: &Reply) -> IpcError {
    IpcError::NotAPeer {
        what: format!("an answer to another question: {reply:?}"),
    }
}

fn check_promise(asked: &Subscription, info: &StreamInfo) -> Result<(), IpcError> {
    let geometry = &info.geometry;
    let is_place_asked_for = match geometry.place {
        Place::HostFile => true,
        Place::Card(card) => asked.card == Some(card),
    };
    if geometry.batch_size == asked.batch_size
        && geometry.groups == asked.recipe.groups()
        && is_place_asked_for
    {
        return Ok(());
    }
    Err(IpcError::Corrupt {
        what: format!("the daemon promises {geometry:?}, which nobody asked for"),
    })
}

#[cfg(test)]
mod tests;
