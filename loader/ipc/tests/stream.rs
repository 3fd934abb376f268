//! Whole streams between a daemon's side and a subscriber's side, each on a thread of its own.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use loader_ipc::{
    BatchHead, Client, Connection, ErrorKind, Geometry, IpcError, Lease, Listener, NO_LABEL,
    NO_SAMPLE, Order, Publisher, Reason, Recipe, Reply, Request, StreamInfo, Subscription,
};

const PATIENCE: Duration = Duration::from_secs(30);
const BATCH: u32 = 3;
const SIZE: u32 = 8;

fn subscription() -> Subscription {
    Subscription {
        name: "test".into(),
        split: "train".into(),
        subset: None,
        recipe: Recipe::evaluation(SIZE, SIZE),
        batch_size: BATCH,
        rank: 0,
        world_size: 1,
        seed: 0,
        order: Order::Sequential,
        drop_last: false,
        start_epoch: 2,
        start_step: 1,
        num_epochs: 2,
        num_slots: Some(2),
        card: None,
    }
}

fn info(subscription: &Subscription) -> StreamInfo {
    StreamInfo {
        pid: 1,
        num_samples: 8,
        num_unlabelled: 0,
        classes: vec!["a".into()],
        steps_per_epoch: 3,
        num_batches: 5,
        start_epoch: subscription.start_epoch,
        start_step: subscription.start_step,
        geometry: Geometry::new(&subscription.recipe, subscription.batch_size, 2),
        not_on_card: None,
    }
}

/// A daemon that greets one subscriber and then does `serve` with the connection.
fn greeting_daemon(path: &Path, serve: impl FnOnce(Connection) + Send + 'static) -> JoinHandle<()> {
    let listener = Listener::bind(path, "test daemon").unwrap();
    std::thread::spawn(move || serve(Listener::greet(listener.accept().unwrap()).unwrap()))
}

/// A daemon that greets one subscriber and then does `serve` with the connection, its promise and its ring.
fn daemon(
    path: &Path,
    serve: impl FnOnce(Connection, StreamInfo, Publisher) + Send + 'static,
) -> JoinHandle<()> {
    greeting_daemon(path, |connection| {
        let info = promise(&connection);
        let publisher = Publisher::create(&info.geometry).unwrap();
        connection.send_ring(&publisher).unwrap();
        serve(connection, info, publisher);
    })
}

/// Answers the subscription, which comes first.
fn promise(connection: &Connection) -> StreamInfo {
    let Some(Request::Subscribe(subscription)) = connection.next_request() else {
        panic!("a subscription comes first")
    };
    let info = info(&subscription);
    assert!(connection.reply(Reply::Subscribed(info.clone())));
    info
}

fn over_budget() -> Reason {
    Reason::new(ErrorKind::Data, "over budget", "", "")
}

fn publish(publisher: &Publisher, info: &StreamInfo, sequence: u64, num_valid: usize) {
    let slot = publisher
        .reserve(sequence, PATIENCE)
        .unwrap()
        .expect("a slot becomes free");
    let (epoch, step) = info.position(sequence);
    for (row, mut writer) in slot
        .split(BatchHead {
            epoch,
            step,
            num_valid,
        })
        .into_iter()
        .enumerate()
    {
        writer.view(0).fill(sequence as u8 * 10 + row as u8);
        writer.finish(row as i64, sequence * 100 + row as u64);
    }
}

fn socket(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("loader.sock")
}

fn received(lease: Lease) -> (u64, u64, Vec<i64>, Vec<u64>, Vec<u8>) {
    let firsts = lease
        .group(0)
        .to_vec()
        .chunks((SIZE * SIZE * 3) as usize)
        .map(|view| view[0])
        .collect();
    (
        lease.epoch(),
        lease.step(),
        lease.labels(),
        lease.sample_ids(),
        firsts,
    )
}

#[test]
fn batches_arrive_in_order_with_their_labels_and_the_stream_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let daemon = daemon(&path, |connection, info, publisher| {
        for sequence in 0..info.num_batches {
            publish(
                &publisher,
                &info,
                sequence,
                if sequence == 4 { 2 } else { 3 },
            );
        }
        assert!(
            connection.next_request().is_none(),
            "the subscriber hangs up when it is done"
        );
    });
    let mut subscriber = Client::connect(&path, PATIENCE)
        .unwrap()
        .subscribe(&subscription())
        .unwrap();
    let mut batches = Vec::new();
    while let Some(lease) = subscriber.receive(PATIENCE).unwrap() {
        assert_eq!(lease.group(0).shape(), [1, 3, 8, 8, 3]);
        batches.push(received(lease));
    }
    assert_eq!(batches.len(), 5);
    assert_eq!(
        batches[0],
        (2, 1, vec![0, 1, 2], vec![0, 1, 2], vec![0, 1, 2])
    );
    assert_eq!(
        batches[3],
        (3, 1, vec![0, 1, 2], vec![300, 301, 302], vec![30, 31, 32])
    );
    assert_eq!(batches[4].2, [0, 1, NO_LABEL]);
    assert_eq!(batches[4].3, [400, 401, NO_SAMPLE]);
    drop(subscriber);
    daemon.join().unwrap();
}

#[test]
fn a_held_lease_keeps_its_pixels_and_blocks_the_publisher() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let (blocked, on_blocked) = std::sync::mpsc::channel();
    let daemon = daemon(&path, move |connection, info, publisher| {
        publish(&publisher, &info, 0, 3);
        publish(&publisher, &info, 1, 3);
        blocked
            .send(
                publisher
                    .reserve(2, Duration::from_millis(50))
                    .unwrap()
                    .is_none(),
            )
            .unwrap();
        publish(&publisher, &info, 2, 3);
        assert!(connection.next_request().is_none());
    });
    let mut subscriber = Client::connect(&path, PATIENCE)
        .unwrap()
        .subscribe(&subscription())
        .unwrap();
    let first = subscriber.receive(PATIENCE).unwrap().unwrap();
    assert!(
        on_blocked.recv().unwrap(),
        "no slot is free while the lease is held"
    );
    assert_eq!(received(first).4, [0, 1, 2]);
    assert_eq!(
        received(subscriber.receive(PATIENCE).unwrap().unwrap()).4,
        [10, 11, 12]
    );
    assert_eq!(
        received(subscriber.receive(PATIENCE).unwrap().unwrap()).4,
        [20, 21, 22]
    );
    drop(subscriber);
    daemon.join().unwrap();
}

#[test]
fn a_daemon_that_vanishes_is_an_error_naming_the_step_never_a_hang() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let daemon = daemon(&path, |_, info, publisher| publish(&publisher, &info, 0, 3));
    let mut subscriber = Client::connect(&path, PATIENCE)
        .unwrap()
        .subscribe(&subscription())
        .unwrap();
    daemon.join().unwrap();
    assert!(
        subscriber.receive(PATIENCE).unwrap().is_some(),
        "what was published still counts"
    );
    let error = subscriber.receive(PATIENCE).unwrap_err();
    assert!(
        matches!(
            error,
            IpcError::PeerGone {
                epoch: 2,
                step: 2,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::PeerLost);
}

#[test]
fn a_daemon_that_stops_on_purpose_says_why_whenever_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let daemon = daemon(&path, |connection, _, _| {
        connection.closer().close(over_budget())
    });
    let mut subscriber = Client::connect(&path, PATIENCE)
        .unwrap()
        .subscribe(&subscription())
        .unwrap();
    daemon.join().unwrap();
    for _ in 0..2 {
        let error = subscriber.receive(PATIENCE).unwrap_err();
        assert!(error.to_string().contains("over budget"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Data);
    }
}

#[test]
fn a_daemon_that_stops_before_it_is_asked_says_why_whatever_it_is_asked() {
    let asked: [fn(Client) -> Option<IpcError>; 2] = [
        |client| client.subscribe(&subscription()).err(),
        |client| client.status().err(),
    ];
    for ask in asked {
        let dir = tempfile::tempdir().unwrap();
        let path = socket(&dir);
        let daemon = greeting_daemon(&path, |connection| {
            connection.closer().close(over_budget());
        });
        let client = Client::connect(&path, PATIENCE).unwrap();
        daemon.join().unwrap();
        let error = ask(client).unwrap();
        assert!(error.to_string().contains("over budget"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Data);
    }
}

#[test]
fn a_daemon_that_stops_before_it_hands_over_the_ring_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let daemon = greeting_daemon(&path, |connection| {
        promise(&connection);
        connection.closer().close(over_budget());
    });
    let client = Client::connect(&path, PATIENCE).unwrap();
    let error = client.subscribe(&subscription()).unwrap_err();
    assert!(error.to_string().contains("over budget"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Data);
    daemon.join().unwrap();
}

#[test]
fn a_daemon_that_vanishes_before_there_is_a_stream_is_lost_and_named() {
    let unanswered: fn(Connection) = |connection| drop(connection.next_request());
    let without_ring: fn(Connection) = |connection| drop(promise(&connection));
    for serve in [unanswered, without_ring] {
        let dir = tempfile::tempdir().unwrap();
        let path = socket(&dir);
        let daemon = greeting_daemon(&path, serve);
        let client = Client::connect(&path, PATIENCE).unwrap();
        let error = client.subscribe(&subscription()).unwrap_err();
        daemon.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::PeerLost, "{error}");
        let pid = format!("the loader (pid {})", std::process::id());
        assert!(error.to_string().contains(&pid), "{error}");
    }
}

#[test]
fn waiting_for_a_silent_daemon_ends_with_a_time_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let daemon = daemon(&path, |connection, _, _| {
        assert!(connection.next_request().is_none())
    });
    let mut subscriber = Client::connect(&path, PATIENCE)
        .unwrap()
        .subscribe(&subscription())
        .unwrap();
    let error = subscriber.receive(Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, IpcError::TimedOut { .. }), "{error}");
    drop(subscriber);
    daemon.join().unwrap();
}

#[test]
fn whoever_waits_for_a_slot_that_he_holds_himself_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let daemon = daemon(&path, |connection, info, publisher| {
        publish(&publisher, &info, 0, 3);
        publish(&publisher, &info, 1, 3);
        assert!(connection.next_request().is_none())
    });
    let mut subscriber = Client::connect(&path, PATIENCE)
        .unwrap()
        .subscribe(&subscription())
        .unwrap();
    let mut receive = |timeout| subscriber.receive(timeout);
    let first = receive(PATIENCE).unwrap();
    let _second = receive(PATIENCE).unwrap();
    let moment = Duration::from_millis(20);
    let told = receive(moment).unwrap_err().to_string();
    assert!(told.contains("give that back first"), "{told}");
    drop(first);
    let told = receive(moment).unwrap_err().to_string();
    assert!(told.contains("ask it for its status"), "{told}");
    drop(subscriber);
    daemon.join().unwrap();
}

#[test]
fn a_slot_that_is_dropped_unfinished_aborts_the_ring() {
    for num_finished in [None, Some(0), Some(2)] {
        aborts_the_ring(num_finished);
    }
}

/// Drops a slot of three rows whole, or after some rows.
fn aborts_the_ring(num_finished: Option<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let daemon = daemon(&path, move |_, info, publisher| {
        let slot = publisher.reserve(0, PATIENCE).unwrap().unwrap();
        let (epoch, step) = info.position(0);
        assert!(!publisher.is_aborted());
        match num_finished {
            None => drop(slot),
            Some(num) => {
                let mut rows = slot.split(BatchHead {
                    epoch,
                    step,
                    num_valid: 3,
                });
                for row in rows.drain(..num) {
                    row.finish(0, 0);
                }
                assert!(!publisher.is_aborted());
            }
        }
        assert!(publisher.is_aborted());
    });
    let mut subscriber = Client::connect(&path, PATIENCE)
        .unwrap()
        .subscribe(&subscription())
        .unwrap();
    daemon.join().unwrap();
    assert!(
        subscriber.receive(PATIENCE).is_err(),
        "an aborted slot is never delivered"
    );
}

#[test]
fn nobody_at_the_socket_is_an_error_that_says_what_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let error = Client::connect(&socket(&dir), PATIENCE).unwrap_err();
    assert!(matches!(error, IpcError::NoDaemon { .. }));
    assert!(error.to_string().contains("start one"), "{error}");
}

#[test]
fn a_stranger_at_the_socket_is_recognised() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let stranger = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let talk = std::thread::spawn(move || {
        stranger
            .accept()
            .unwrap()
            .0
            .write_all(b"HTTP/1.1 400 Bad Request")
    });
    let error = Client::connect(&path, PATIENCE).unwrap_err();
    assert!(matches!(error, IpcError::NotAPeer { .. }), "{error}");
    talk.join().unwrap().unwrap();
}

#[test]
fn another_protocol_version_is_refused_naming_both() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let future = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let talk = std::thread::spawn(move || {
        let mut hello = *b"sslight\n\0\0\0\0";
        hello[8..].copy_from_slice(&77u32.to_le_bytes());
        future.accept().unwrap().0.write_all(&hello)
    });
    let error = Client::connect(&path, PATIENCE).unwrap_err();
    assert!(error.to_string().contains("77"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Usage);
    talk.join().unwrap().unwrap();
}
