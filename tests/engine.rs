//! An engine that loses a batch, in a daemon of this process: its subscriber is told, whichever batch it is.

use std::path::Path;
use std::sync::Arc;

use loader::cli::{Cli, Command};
use loader::config::ServeConfig;
use loader::daemon::Daemon;
use loader::pipeline::cpu::Pool;
use loader::pipeline::{BatchJob, Engine, Engines};
use loader::shutdown::Shutdown;
use loader::source::Shards;
use loader_ipc::{Client, IpcError, Listener};

use crate::harness::{WATCHDOG, one_epoch_in_order, packed, text};

/// The CPU's threads, but one batch is lost on the way, as by a thread that panics.
#[derive(Debug)]
struct Losing {
    pool: Pool,
    step: u64,
}

impl Engine for Losing {
    fn submit(&self, job: BatchJob) {
        if job.head.step != self.step {
            self.pool.submit(job);
        }
    }

    fn describe(&self) -> String {
        "a test".to_owned()
    }
}

/// Serves shards at a socket until this process ends.
fn serve(shards: &Path, socket: &Path, step: u64) {
    let args = ["loader", "serve", text(shards), "--socket", text(socket)];
    let Command::Serve(args) = <Cli as clap::Parser>::parse_from(args).command else {
        unreachable!("it is to serve")
    };
    let config = ServeConfig::resolve(args).unwrap();
    let pool = Pool::start(1, config.pixel_limit).unwrap();
    let (shutdown, woken) = Shutdown::new();
    let listener = Listener::bind(&config.socket, "a test").unwrap();
    let shards = Shards::open(&config.data, Default::default()).unwrap();
    let engines = Engines::new(Arc::new(Losing { pool, step }));
    let daemon = Daemon::new(config, shards, engines, shutdown);
    std::thread::spawn(move || daemon.serve(listener, &woken));
}

#[test]
fn a_batch_that_its_engine_loses_is_told_to_the_subscriber_be_it_the_first_or_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 8, 32);
    for lost in [0, 1, 3] {
        let socket = dir.path().join(format!("{lost}.sock"));
        serve(&shards, &socket, lost);
        let client = Client::connect(&socket, WATCHDOG).unwrap();
        let error = end_of_stream(client).to_string();
        assert!(error.contains("a worker failed"), "{lost}: {error}");
    }
}

/// What ends a stream of four batches early. It may come before the stream does.
fn end_of_stream(client: Client) -> IpcError {
    let mut subscriber = match client.subscribe(&one_epoch_in_order(4)) {
        Ok(subscriber) => subscriber,
        Err(error) => return error,
    };
    loop {
        match subscriber.receive(WATCHDOG) {
            Ok(lease) => drop(lease.expect("an epoch of four batches is not over")),
            Err(error) => return error,
        }
    }
}
