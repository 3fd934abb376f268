//! What a writer leaves that is dropped, suspended, killed, or cannot finish, and how the next one goes on.

use std::fs;

use shard_format::{Fault, FinishedShard, SetWriter, WriterOptions};

use crate::harness::{
    Item, OPTIONS, append, classes, files_of, folder, items, read, write, write_with,
};

#[test]
fn a_dropped_writer_leaves_nothing_behind() {
    let parent = folder();
    let dir = parent.path().join("set");
    let mut writer = SetWriter::create(&dir, classes(), OPTIONS).expect("starts");
    writer.begin_split("train");
    append(&mut writer, &items(1)[0]).expect("appends");
    assert_eq!(files_of(&dir).len(), 1);
    drop(writer);
    assert!(!dir.exists());
}

#[test]
fn what_a_killed_writer_left_is_removed_by_the_next() {
    let dir = folder();
    fs::write(dir.path().join(".train-000007.tar.partial"), b"half").expect("written");
    fs::write(dir.path().join("notes.txt"), b"mine").expect("written");
    write(dir.path(), &items(3));
    let names: Vec<_> = files_of(dir.path())
        .iter()
        .map(|path| path.file_name().expect("a name").to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "manifest.json",
            "notes.txt",
            "train-000000.idx",
            "train-000000.tar"
        ]
    );
}

/// Writes until `stop_at` samples are in, gives up as a killed process would, goes on with a new writer.
fn write_in_two_parts(dir: &std::path::Path, stop_at: usize, options: WriterOptions) {
    let (items, mut finished, mut at_last_shard) = (items(40), Vec::new(), 0);
    let mut writer = SetWriter::create(dir, classes(), options).expect("starts");
    writer.begin_split("train");
    for (position, item) in items[..stop_at].iter().enumerate() {
        if let Some(shard) = append(&mut writer, item).expect("appends") {
            (at_last_shard, _) = (position, finished.push(shard));
        }
    }
    writer.suspend();
    assert!(finished.iter().all(|shard| shard.is_in(dir)));
    let mut writer = SetWriter::resume(dir, classes(), options, finished).expect("goes on");
    writer.begin_split("train");
    for item in &items[at_last_shard..] {
        append(&mut writer, item).expect("appends");
    }
    writer.end_split().expect("ends");
    writer.finish().expect("finishes");
}

#[test]
fn a_set_written_in_two_parts_has_the_bytes_of_one_written_at_once() {
    let options = WriterOptions {
        shard_bytes: 16 << 10,
        ..OPTIONS
    };
    let whole = folder();
    write_with(whole.path(), &items(40), options).expect("the set is written");
    let bytes_of = |dir: &std::path::Path| -> Vec<Vec<u8>> {
        let read = |path: std::path::PathBuf| fs::read(path).expect("reads");
        files_of(dir).into_iter().map(read).collect()
    };
    for stop_at in [0, 1, 17, 39, 40] {
        let dir = folder();
        write_in_two_parts(dir.path(), stop_at, options);
        assert_eq!(bytes_of(dir.path()), bytes_of(whole.path()), "at {stop_at}");
    }
}

#[test]
fn a_closed_shard_that_was_changed_is_not_adopted() {
    let dir = folder();
    let options = WriterOptions {
        shard_samples: 1,
        ..OPTIONS
    };
    let mut writer = SetWriter::create(dir.path(), classes(), options).expect("starts");
    writer.begin_split("train");
    append(&mut writer, &items(2)[0]).expect("appends");
    let finished = append(&mut writer, &items(2)[1])
        .expect("appends")
        .expect("closed");
    writer.suspend();
    assert!(finished.is_in(dir.path()));
    let tar = dir.path().join(".train-000000.tar.partial");
    fs::OpenOptions::new()
        .write(true)
        .open(tar)
        .and_then(|tar| tar.set_len(512))
        .expect("cut");
    assert!(!finished.is_in(dir.path()));
}

/// Closes a shard for each sample but the last one.
fn write_closed(writer: &mut SetWriter, items: &[Item]) -> Vec<FinishedShard> {
    writer.begin_split("train");
    let closed = items
        .iter()
        .map(|item| append(writer, item).expect("appends"));
    closed.collect::<Vec<_>>().into_iter().flatten().collect()
}

const SHARDS_OF_ONE: WriterOptions = WriterOptions {
    shard_samples: 1,
    ..OPTIONS
};

#[test]
fn a_panic_leaves_closed_shards_to_the_next_writer() {
    let dir = folder();
    let mut finished = Vec::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut writer = SetWriter::create(dir.path(), classes(), SHARDS_OF_ONE).expect("starts");
        finished = write_closed(&mut writer, &items(3));
        panic!("as planned");
    }));
    assert!(panicked.is_err() && finished.len() == 2);
    assert!(finished.iter().all(|shard| shard.is_in(dir.path())));
    assert_eq!(files_of(dir.path()).len(), 4);
}

#[test]
fn a_set_that_cannot_be_finished_now_is_finished_by_the_next_writer() {
    let dir = folder();
    let mut writer = SetWriter::create(dir.path(), classes(), SHARDS_OF_ONE).expect("starts");
    let mut finished = write_closed(&mut writer, &items(3));
    finished.extend(writer.end_split().expect("ends"));
    let in_the_way = dir.path().join(".manifest.json.partial");
    fs::create_dir(&in_the_way).expect("made");
    assert!(
        writer
            .finish()
            .is_err_and(|error| error.fault() == Fault::Write)
    );
    writer.suspend();
    fs::remove_dir(&in_the_way).expect("removed");
    let next = SetWriter::resume(dir.path(), classes(), SHARDS_OF_ONE, finished);
    let mut next = next.expect("goes on");
    next.begin_split("train");
    next.end_split().expect("ends");
    next.finish().expect("finishes");
    assert_eq!(read(dir.path()), items(3));
}
