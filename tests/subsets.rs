//! A stream of some images: exactly those, in every epoch, wherever it begins, whatever is bad.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use loader_ipc::{Client, IpcError, Order, Subscription};

use crate::harness::{WATCHDOG, one_epoch_in_order, pack, packed, run, serve, synth, text};

fn names(shards: &Path) -> Vec<String> {
    let done = run("shard-tool", &["list", text(shards), "--split", "train"]);
    let keys = done
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    keys.map(str::to_owned).collect()
}

/// Ids of every batch of a stream.
fn ids(socket: &Path, subscription: &Subscription) -> Result<Vec<Vec<u64>>, IpcError> {
    let client = Client::connect(socket, WATCHDOG)?;
    let mut subscriber = client.subscribe(subscription)?;
    let mut batches = Vec::new();
    while let Some(lease) = subscriber.receive(WATCHDOG)? {
        batches.push(lease.sample_ids()[..lease.num_valid()].to_vec());
    }
    Ok(batches)
}

fn of(names: &[String]) -> Subscription {
    Subscription {
        subset: Some(names.to_vec()),
        ..one_epoch_in_order(4)
    }
}

#[test]
fn a_subset_is_served_exactly_in_every_order_and_from_any_step() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 3, 8, 32);
    let socket = dir.path().join("loader.sock");
    let _loader = serve(&shards, &socket, &[]);
    let all = names(&shards);
    // Backwards, by file name, by class and file, with an extension.
    let wanted: BTreeSet<u64> = [1, 4, 6, 9, 13, 14, 20, 21, 22, 23].into();
    let named = wanted.iter().rev().map(|id| {
        let key = &all[*id as usize];
        match id % 3 {
            0 => key.clone(),
            1 => format!("{key}.JPEG"),
            _ => format!("some/where/{key}.jpg"),
        }
    });
    let subset: Vec<String> = named.collect();
    let batches = ids(&socket, &of(&subset)).unwrap();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
    assert!(batches.concat().iter().eq(&wanted), "in the order of ids");

    let shuffled = Subscription {
        order: Order::Shuffled,
        num_epochs: 2,
        ..of(&subset)
    };
    let batches = ids(&socket, &shuffled).unwrap();
    let epochs = [batches[..3].concat(), batches[3..].concat()];
    for epoch in &epochs {
        assert_eq!(epoch.iter().copied().collect::<BTreeSet<u64>>(), wanted);
    }
    assert_ne!(epochs[0], epochs[1]);
    let resumed = Subscription {
        start_epoch: 1,
        start_step: 1,
        num_epochs: 1,
        ..shuffled.clone()
    };
    assert_eq!(ids(&socket, &resumed).unwrap(), batches[4..]);
    let dropped = Subscription {
        drop_last: true,
        num_epochs: 1,
        ..shuffled
    };
    assert_eq!(ids(&socket, &dropped).unwrap(), batches[..2]);
}

#[test]
fn names_of_nothing_of_several_or_given_twice_are_refused_with_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 3, 4, 32);
    let socket = dir.path().join("loader.sock");
    let _loader = serve(&shards, &socket, &[]);
    let all = names(&shards);
    let told = |names: &[String]| ids(&socket, &of(names)).unwrap_err().to_string();
    let none = told(&[all[0].clone(), "x/none.jpg".to_owned()]);
    assert!(
        none.contains("1 of the 2 images of the subset") && none.contains("x/none.jpg"),
        "{none}"
    );
    let twice = told(&[all[3].clone(), format!("{}.png", all[3])]);
    assert!(
        twice.contains(&all[3]) && twice.contains("twice"),
        "{twice}"
    );
    assert!(told(&[]).contains("names no image"));
}

#[test]
fn a_bad_image_of_a_subset_is_replaced_by_another_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("images");
    synth(&source, 2, 6, 40);
    let class = fs::read_dir(source.join("train")).unwrap().next();
    let class = class.unwrap().unwrap().path();
    let victim = fs::read_dir(&class)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let bytes = fs::read(&victim).unwrap();
    fs::write(&victim, &bytes[..bytes.len() / 2]).unwrap();
    let shards = pack(&source, &dir.path().join("shards"));
    let socket = dir.path().join("loader.sock");
    let _loader = serve(&shards, &socket, &[]);
    let all = names(&shards);
    let stem = victim.file_stem().unwrap().to_str().unwrap();
    let bad = all
        .iter()
        .position(|key| key.ends_with(&format!("/{stem}")));
    let bad = bad.unwrap();
    // Not its neighbour in the split, on either side.
    let others = [(bad + 3) % 12, (bad + 7) % 12];
    let subset = [bad, others[0], others[1]].map(|id| all[id].clone());
    let served = ids(&socket, &of(&subset)).unwrap().concat();
    assert_eq!(served.len(), 3);
    assert!(
        served.iter().all(|id| others.contains(&(*id as usize))),
        "{served:?} of {others:?}"
    );
}
