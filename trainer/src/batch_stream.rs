//! Batches from the loader, one after another, with the time spent waiting for each.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loader_card::Reader;
use loader_ipc::{CardMemory, Client, IpcError, StreamInfo, Subscription};

use crate::batch::{Batch, Normalizer};
use crate::batch_source::{BatchSource, DataFacts, Next};
use crate::failure::Failure;
use crate::output::show;
use crate::stop::Stop;

/// How often a wait looks whether a stop was asked for.
const STOP_INTERVAL: Duration = Duration::from_millis(200);

/// How long the loader may take to say how it is doing.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// One stream of batches.
#[derive(Debug)]
pub struct BatchStream {
    socket: PathBuf,
    reader: Reader,
    timeout: Duration,
    stop: Stop,
}

impl BatchStream {
    /// Subscribes at `socket`; no wait is longer than `timeout`.
    ///
    /// # Errors
    /// Whatever the loader answers.
    pub fn open(
        socket: &Path,
        timeout: Duration,
        subscription: &Subscription,
        stop: Stop,
    ) -> Result<BatchStream, IpcError> {
        let reader = Reader::subscribe(socket, timeout, subscription)?;
        if let Some(reason) = reader.not_on_card() {
            show!("views come through memory of the host: {reason}");
        }
        Ok(BatchStream {
            socket: socket.to_owned(),
            reader,
            timeout,
            stop,
        })
    }

    /// What the loader promised.
    pub fn info(&self) -> &StreamInfo {
        self.reader.info()
    }
}

impl BatchSource for BatchStream {
    fn facts(&self) -> DataFacts {
        let info = self.info();
        DataFacts {
            num_samples: info.num_samples,
            num_unlabelled: info.num_unlabelled,
            num_classes: info.classes.len() as i64,
            steps_per_epoch: info.steps_per_epoch,
        }
    }

    fn card_memory(&self, card: usize) -> Option<CardMemory> {
        let card = loader_card::card_of_device(card).ok()?;
        let client = Client::connect(&self.socket, STATUS_TIMEOUT).ok()?;
        let cards = client.status().ok()?.cards;
        cards.into_iter().find(|memory| memory.card == card)
    }

    fn next(&mut self, normalizer: &Normalizer) -> Result<Next, Failure> {
        let start = Instant::now();
        loop {
            match self.reader.receive(STOP_INTERVAL) {
                Ok(Some(held)) => {
                    let waited = start.elapsed();
                    return Ok(Next::Batch(Batch::of(&held, normalizer), waited));
                }
                Ok(None) => return Ok(Next::End),
                Err(IpcError::TimedOut { .. }) if self.stop.is_asked() => return Ok(Next::Stopped),
                Err(IpcError::TimedOut { .. }) if start.elapsed() < self.timeout => {}
                Err(error) => return Err(error.having_waited(start.elapsed()).into()),
            }
        }
    }
}
