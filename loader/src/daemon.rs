//! The daemon: accepts subscribers, keeps their streams, and ends them all when it is told to stop.
//!
//! Threads: the caller's waits for the reason to stop; one accepts; each connection has one for its requests and, once
//! subscribed, one that reserves its slots; those of the engine do the work.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use loader_ipc::{
    CardMemory, Connection, DaemonStatus, ErrorKind, IpcError, Listener, Reason, Reply, Request,
    Subscription,
};

use crate::config::ServeConfig;
use crate::failures::Failures;
use crate::pipeline::{Engines, Threads};
use crate::shutdown::{Shutdown, Stop};
use crate::source::Shards;
use crate::stream::{Services, Stream};
use crate::users::{User, Users};

/// How long subscribers may take to leave once the daemon stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a failed accept, so that running out of descriptors does not burn a core.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long a daemon that ends with its last user waits for the first one.
const FIRST_USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything the daemon's threads share.
#[derive(Debug)]
pub struct Daemon {
    config: ServeConfig,
    services: Services,
    started: Instant,
    users: Arc<Users>,
    streams: Mutex<BTreeMap<u64, Arc<Stream>>>,
    stream_left: Condvar,
    last_stream_id: AtomicU64,
}

impl Daemon {
    /// A daemon over `shards` whose batches are made by `engines`, its socket not yet bound.
    pub fn new(
        config: ServeConfig,
        shards: Shards,
        engines: Engines,
        shutdown: Shutdown,
    ) -> Arc<Daemon> {
        let users = Users::new(config.until_unused.then(|| shutdown.clone()));
        let services = Services {
            shards,
            engines,
            failures: Arc::new(Failures::new(config.max_bad_fraction)),
            shutdown,
            num_slots: config.num_slots,
        };
        Arc::new(Daemon {
            config,
            services,
            started: Instant::now(),
            users,
            streams: Mutex::default(),
            stream_left: Condvar::new(),
            last_stream_id: AtomicU64::new(0),
        })
    }

    /// Serves until `woken`, then ends every stream and returns the reason.
    ///
    /// # Errors
    /// When the accepting thread cannot be started.
    pub fn serve(self: &Arc<Daemon>, listener: Listener, woken: &Receiver<()>) -> io::Result<Stop> {
        let listener = Arc::new(listener);
        let (daemon, door) = (Arc::clone(self), Arc::clone(&listener));
        let accepting = thread::Builder::new()
            .name("accept".into())
            .spawn(move || daemon.accept_all(&door))?;
        self.wait(woken);
        let stop = self
            .services
            .shutdown
            .stop()
            .cloned()
            .expect("woken with a reason");
        listener.shut();
        if accepting.join().is_err() {
            tracing::error!("the accepting thread panicked; the socket may still be there");
        }
        drop(listener);
        self.drain(&stop);
        Ok(stop)
    }

    /// The sender lives in `self.services.shutdown`, so this only ever returns because somebody pulled it.
    fn wait(&self, woken: &Receiver<()>) {
        if woken.recv_timeout(FIRST_USER_TIMEOUT).is_err() {
            self.users.end_if_unused();
            let _ = woken.recv();
        }
    }

    /// How the daemon and its streams are doing.
    pub fn status(&self) -> DaemonStatus {
        let threads = self.threads();
        DaemonStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id() as i32,
            data: self.shown_folders(),
            socket: self.config.socket.display().to_string(),
            uptime_s: self.started.elapsed().as_secs_f64(),
            num_workers: self.config.num_workers,
            failures: self.services.failures.counts(),
            routes: self.services.engines.routes(),
            cards: self.cards(),
            subscribers: self
                .streams()
                .values()
                .map(|stream| stream.status(threads))
                .collect(),
        }
    }

    fn threads(&self) -> Threads {
        let streams = self.streams();
        let by_stream = streams.values().map(|stream| stream.num_busy_threads());
        Threads::shared(self.config.num_workers, by_stream)
    }

    fn cards(&self) -> Vec<CardMemory> {
        let streams = self.streams();
        let memory = |(card, in_flight_bytes)| CardMemory {
            card,
            slot_bytes: streams.values().map(|stream| stream.bytes_of(card)).sum(),
            in_flight_bytes,
        };
        self.services
            .engines
            .cards()
            .into_iter()
            .map(memory)
            .collect()
    }

    fn shown_folders(&self) -> Vec<String> {
        let dirs = self.services.shards.dirs();
        dirs.map(|dir| dir.display().to_string()).collect()
    }

    fn accept_all(self: Arc<Daemon>, listener: &Listener) {
        while !self.services.shutdown.is_triggered() {
            let accepted = match listener.accept() {
                Ok(accepted) => accepted,
                Err(_) if self.services.shutdown.is_triggered() => break,
                Err(error) => {
                    tracing::error!("{error}");
                    thread::sleep(ACCEPT_RETRY);
                    continue;
                }
            };
            let Some(user) = self.users.enter() else {
                break;
            };
            let daemon = Arc::clone(&self);
            let (hand_over, handed) = mpsc::channel();
            let greeting = thread::Builder::new()
                .name("connection".into())
                .spawn(move || handed.recv().map(|accepted| daemon.greet(accepted, user)));
            match greeting.map_err(IpcError::no_thread("a subscriber")) {
                // The thread waits for just this.
                Ok(_) => drop(hand_over.send(accepted)),
                Err(error) => {
                    tracing::error!("a subscriber was turned away: {error}");
                    Listener::turn_away(accepted, &error);
                }
            }
        }
    }

    fn greet(self: Arc<Daemon>, accepted: UnixStream, user: User) {
        match Listener::greet(accepted) {
            Ok(connection) => {
                let closer = connection.closer();
                user.at_the_end(move |reason| closer.close(reason));
                self.attend(&connection);
            }
            Err(error) => tracing::warn!("a connection was turned away: {error}"),
        }
    }

    /// Answers one connection until its subscriber is gone.
    fn attend(self: &Arc<Daemon>, connection: &Connection) {
        let mut stream = None;
        while let Some(request) = connection.next_request() {
            match request {
                Request::Status => {
                    connection.reply(Reply::Status(self.status()));
                }
                Request::Subscribe(_) if stream.is_some() => {
                    let what = "a second subscription on one connection";
                    let reason = Reason::new(ErrorKind::Usage, what, "", "connect once more");
                    connection.reply(Reply::Refused(reason));
                }
                Request::Subscribe(subscription) => {
                    stream = self.subscribe(connection, subscription)
                }
            }
        }
        if let Some(stream) = stream {
            self.part_with(&stream);
        }
    }

    fn subscribe(
        self: &Arc<Daemon>,
        connection: &Connection,
        subscription: Subscription,
    ) -> Option<Arc<Stream>> {
        let name = format!("`{}` (pid {})", subscription.name, connection.pid());
        match self.try_subscribe(connection, subscription) {
            Ok(stream) => {
                let (info, memory) = (stream.info(), stream.memory());
                tracing::info!(
                    "stream {}: {name} subscribed: {} samples, {} steps per epoch, {} slots, {memory}, made by {}",
                    stream.id(),
                    info.num_samples,
                    info.steps_per_epoch,
                    info.geometry.num_slots,
                    stream.engine().describe(),
                );
                Some(stream)
            }
            Err(reason) => {
                tracing::warn!("{name} was refused: {reason}");
                connection.reply(Reply::Refused(reason));
                None
            }
        }
    }

    fn try_subscribe(
        self: &Arc<Daemon>,
        connection: &Connection,
        subscription: Subscription,
    ) -> Result<Arc<Stream>, Reason> {
        let id = self.last_stream_id.fetch_add(1, Ordering::Relaxed) + 1;
        let stream = Stream::prepare(&self.services, id, connection, subscription)?;
        let stream = Arc::new(stream);
        let started = stream.start();
        started.map_err(IpcError::no_thread("a stream"))?;
        connection.reply(Reply::Subscribed(stream.info().clone()));
        if let Err(error) = connection.send_ring(stream.publisher()) {
            stream.cancel();
            // It waits for what it was promised.
            stream.close(error.reason());
            return Err(error.into());
        }
        self.streams().insert(stream.id(), Arc::clone(&stream));
        Ok(stream)
    }

    fn part_with(&self, stream: &Stream) {
        stream.cancel();
        self.streams().remove(&stream.id());
        self.stream_left.notify_all();
        let status = stream.status(self.threads());
        tracing::info!(
            "stream {}: pid {} left after {} of {} batches; its slots are free",
            status.id,
            status.pid,
            status.num_published,
            status.num_batches,
        );
    }

    /// Tells all who are connected why, which ends their streams, and waits a while for the subscribers to leave.
    fn drain(&self, stop: &Stop) {
        self.users.end(stop.reason());
        let start = Instant::now();
        let mut streams = self.streams();
        while !streams.is_empty() {
            let Some(left) = DRAIN_TIMEOUT.checked_sub(start.elapsed()) else {
                return tracing::warn!("{} subscribers did not leave in time", streams.len());
            };
            streams = self
                .stream_left
                .wait_timeout(streams, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Stream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
