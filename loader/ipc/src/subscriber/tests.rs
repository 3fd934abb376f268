//! Daemons that speak the protocol and hand over segments that cannot be trusted.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use rustix::fs::{MemfdFlags, SealFlags};

use super::*;
use crate::layout::Geometry;
use crate::message::Order;
use crate::publisher::Publisher;
use crate::recipe::Recipe;

const PATIENCE: Duration = Duration::from_secs(30);

fn subscription() -> Subscription {
    Subscription {
        name: "test".into(),
        split: "train".into(),
        subset: None,
        recipe: Recipe::evaluation(8, 8),
        batch_size: 3,
        rank: 0,
        world_size: 1,
        seed: 0,
        order: Order::Sequential,
        drop_last: false,
        start_epoch: 0,
        start_step: 0,
        num_epochs: 1,
        num_slots: None,
        card: None,
    }
}

fn geometry() -> Geometry {
    Geometry::new(&subscription().recipe, 3, 2)
}

fn memfd(bytes: usize, seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create("test", flags).unwrap();
    rustix::fs::ftruncate(&fd, bytes as u64).unwrap();
    rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
    fd
}

/// What a subscriber makes of a daemon that speaks the protocol and passes these descriptors.
fn subscribe_to(descriptors: Vec<OwnedFd>) -> Result<Subscriber, IpcError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let (replies, requests) = handshake::accept(&mut stream).unwrap();
        assert!(matches!(requests.recv(), Ok(Request::Subscribe(_))));
        let info = StreamInfo {
            pid: 1,
            num_samples: 3,
            num_unlabelled: 0,
            classes: Vec::new(),
            steps_per_epoch: 1,
            num_batches: 1,
            start_epoch: 0,
            start_step: 0,
            geometry: geometry(),
            not_on_card: None,
        };
        replies.send(Reply::Subscribed(info)).unwrap();
        handshake::send_descriptors(&stream, &descriptors).unwrap();
        requests.recv().unwrap_err();
    });
    let client = Client::connect(&path, PATIENCE).unwrap();
    let subscribed = client.subscribe(&subscription());
    if subscribed.is_err() {
        daemon.join().unwrap();
    }
    subscribed
}

#[test]
fn views_that_are_too_short_or_could_shrink_are_refused() {
    let bytes = geometry().layout().unwrap().views_bytes();
    let control = || {
        Publisher::create(&geometry())
            .unwrap()
            .descriptors()
            .unwrap()
    };
    for (views, words) in [
        (memfd(bytes, SealFlags::GROW), "not sealed"),
        (memfd(bytes - 1, SealFlags::SHRINK), "were agreed"),
        (
            std::fs::File::open("/dev/zero").unwrap().into(),
            "not sealed",
        ),
    ] {
        let error = subscribe_to(vec![control().remove(0), views]).unwrap_err();
        assert!(
            matches!(&error, IpcError::Corrupt { what } if what.contains(words)),
            "{error}"
        );
    }
    let error = subscribe_to(vec![memfd(4096, SealFlags::GROW), control().remove(1)]).unwrap_err();
    assert!(error.to_string().contains("not sealed"), "{error}");
    let error = subscribe_to(control().into_iter().chain(control()).take(3).collect()).unwrap_err();
    assert!(
        error.to_string().contains("3 descriptors where 2 were due"),
        "{error}"
    );
    assert!(
        subscribe_to(control()).is_ok(),
        "and those of a sound daemon are taken"
    );
}
