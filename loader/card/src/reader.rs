//! A subscription, wherever its views lie.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loader_ipc::{Client, IpcError, Layout, Lease, Reason, StreamInfo, Subscriber, Subscription};

use crate::views::{CardLease, CardViews};

/// How often a wait looks whether streams have read earlier batches.
const FENCE_INTERVAL: Duration = Duration::from_millis(1);
/// How often it looks whether another thread has let go of one.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The receiving end of a stream. Its views lie in memory of the card that the subscription names if that is possible, else in that of the host.
#[derive(Debug)]
pub struct Reader {
    subscriber: Subscriber,
    views: Option<Arc<CardViews>>,
    not_on_card: Option<Reason>,
}

/// A batch, ours until dropped.
#[derive(Debug)]
pub enum Held {
    /// Its views lie in memory of the host.
    Host(Lease),
    /// They lie in memory of a card.
    Card(CardLease),
}

impl Reader {
    /// Subscribes at `socket`, waiting at most `timeout` for each of the daemon's answers.
    ///
    /// # Errors
    /// Those of [`Client::connect`] and [`Client::subscribe`]. That the views cannot lie on the card is none: [`Reader::not_on_card`].
    pub fn subscribe(
        socket: &Path,
        timeout: Duration,
        subscription: &Subscription,
    ) -> Result<Reader, IpcError> {
        let mut subscriber = Client::connect(socket, timeout)?.subscribe(subscription)?;
        let (subscriber, views, not_on_card) = match CardViews::open(&mut subscriber) {
            Ok(views) => {
                let reason = subscriber.info().not_on_card.clone();
                (subscriber, views.map(Arc::new), reason)
            }
            // It can be had there, and not here. Connected before the other ends: a daemon may end with its last user.
            Err(reason) => {
                let client = Client::connect(socket, timeout)?;
                drop(subscriber);
                let on_host = Subscription {
                    card: None,
                    ..subscription.clone()
                };
                (client.subscribe(&on_host)?, None, Some(reason))
            }
        };
        Ok(Reader {
            subscriber,
            views,
            not_on_card,
        })
    }

    /// Why the views lie in memory of the host although a card was asked for.
    pub fn not_on_card(&self) -> Option<&Reason> {
        self.not_on_card.as_ref()
    }

    /// Number of the card whose memory holds the views, as CUDA counts in this process; `None` where they lie in memory of the host.
    pub fn device(&self) -> Option<usize> {
        self.views.as_ref().map(|views| views.device())
    }

    /// What the daemon promised.
    pub fn info(&self) -> &StreamInfo {
        self.subscriber.info()
    }

    /// Sizes of the ring.
    pub fn layout(&self) -> &Layout {
        self.subscriber.layout()
    }

    /// Waits for the next batch; `None` once all epochs were served.
    ///
    /// # Errors
    /// Those of [`Subscriber::receive`], and that the card does not tell what it has read.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Held>, IpcError> {
        let Some(views) = &self.views else {
            return Ok(self.subscriber.receive(timeout)?.map(Held::Host));
        };
        let start = Instant::now();
        loop {
            let is_read = views.reclaim().map_err(IpcError::Stopped)?;
            let interval = if is_read {
                FENCE_INTERVAL
            } else {
                LOOK_INTERVAL
            };
            let left = timeout.saturating_sub(start.elapsed());
            match self.subscriber.receive(left.min(interval)) {
                Err(IpcError::TimedOut { .. }) if start.elapsed() < timeout => {}
                Err(error) => return Err(error.having_waited(start.elapsed())),
                Ok(lease) => {
                    let held = |lease| Held::Card(CardLease::new(lease, views));
                    return Ok(lease.map(held));
                }
            }
        }
    }
}

impl Held {
    /// Labels, ids and shapes.
    pub fn lease(&self) -> &Lease {
        match self {
            Held::Host(lease) => lease,
            Held::Card(batch) => batch.lease(),
        }
    }
}
