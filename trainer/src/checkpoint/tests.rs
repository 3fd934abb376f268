//! Saving, loading, pruning, and what a kill leaves.

use super::*;

fn state(step: u64, epoch: u64, step_in_epoch: u64) -> State {
    State {
        position: Position {
            step,
            epoch,
            step_in_epoch,
            is_validated: true,
        },
        steps_per_epoch: 10,
        probe_classes: None,
        settings: BTreeMap::new(),
    }
}

fn tensors() -> Vec<(String, Tensor)> {
    vec![("a".to_owned(), Tensor::from_slice(&[1.0f32, 2.0]))]
}

#[test]
fn what_is_saved_comes_back_and_the_latest_wins() {
    let dir = tempfile::tempdir().unwrap();
    for step in [10, 9, 20] {
        save(dir.path(), &state(step, 1, 0), &tensors()).unwrap();
    }
    let (path, found) = latest(dir.path()).unwrap();
    assert_eq!(found, state(20, 1, 0));
    let loaded = load(&path).unwrap();
    let find = finder(&loaded);
    assert_eq!(find("a", &[2]).unwrap(), Tensor::from_slice(&[1.0f32, 2.0]));
    assert!(
        find("a", &[3])
            .unwrap_err()
            .contains("has shape [2] instead of [3]")
    );
    assert!(find("b", &[2]).unwrap_err().contains("no tensor b"));
}

#[test]
fn a_damaged_checkpoint_is_named_and_not_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let path = save(dir.path(), &state(1, 0, 1), &tensors()).unwrap();
    let file = path.join(TENSORS);
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, &bytes).unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(
        error.contains("another checksum") && error.contains("step-00000001"),
        "{error}"
    );
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    assert!(
        load(&path)
            .unwrap_err()
            .to_string()
            .contains("bytes instead of")
    );
    fs::write(path.join(STATE), "{").unwrap();
    assert!(latest(dir.path()).is_err());
}

#[test]
fn a_half_written_checkpoint_is_not_seen() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &state(5, 0, 5), &tensors()).unwrap();
    fs::create_dir(dir.path().join(".step-00000009.partial")).unwrap();
    assert_eq!(latest(dir.path()).unwrap().1.position.step, 5);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        latest(empty.path()),
        Err(CheckpointError::None(_))
    ));
}

#[test]
fn the_last_ones_and_every_period_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for epoch in 1..=6 {
        save(dir.path(), &state(epoch * 10, epoch, 0), &tensors()).unwrap();
    }
    save(dir.path(), &state(65, 6, 5), &tensors()).unwrap();
    let keep = |last| Keep {
        last,
        period_epochs: 3,
    };
    for (last, steps) in [(4, &[30, 40, 50, 60, 65][..]), (2, &[30, 60, 65])] {
        prune(dir.path(), keep(last)).unwrap();
        let left: Vec<_> = list(dir.path())
            .iter()
            .filter_map(|path| folders::step_of(path))
            .collect();
        assert_eq!(left, steps);
    }
}

#[test]
fn the_link_leads_to_the_last_one_and_is_no_truth() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("latest");
    for step in [1, 2] {
        let saved = save(dir.path(), &state(step, 0, step), &tensors()).unwrap();
        point_to(&saved).unwrap();
        assert_eq!(
            fs::canonicalize(&link).unwrap(),
            fs::canonicalize(saved).unwrap()
        );
        load(&link).unwrap();
    }
    save(dir.path(), &state(3, 0, 3), &tensors()).unwrap();
    assert_eq!(latest(dir.path()).unwrap().1.position.step, 3);
    for gone in list(dir.path()).into_iter().skip(1) {
        fs::remove_dir_all(gone).unwrap();
    }
    assert!(!link.exists(), "it leads nowhere");
    assert_eq!(latest(dir.path()).unwrap().1.position.step, 1);
}

#[test]
fn a_step_saved_again_is_beside_the_first_until_that_is_pruned() {
    let dir = tempfile::tempdir().unwrap();
    for epoch in [1, 2, 2, 2] {
        save(dir.path(), &state(epoch * 10, epoch, 0), &tensors()).unwrap();
    }
    let names = || -> Vec<String> {
        let names = list(dir.path()).into_iter();
        names
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    let (first, second) = ("step-00000010", "step-00000020");
    assert_eq!(
        names(),
        [first, second, "step-00000020.1", "step-00000020.2"]
    );
    let keep = Keep {
        last: 2,
        period_epochs: 100,
    };
    prune(dir.path(), keep).unwrap();
    assert_eq!(names(), [first, "step-00000020.2"]);
}

/// What a kill leaves after each stage of saving step 20 (for the first time, and again) and of removing step 10.
#[test]
fn after_a_kill_at_any_stage_the_newest_loads_and_the_next_save_cleans_up() {
    type Stage = (&'static str, fn(&Path));
    let stages: [Stage; 7] = [
        ("begun", |dir| {
            folders::begin(dir, 20).unwrap();
        }),
        ("torn", |dir| {
            let hidden = folders::begin(dir, 20).unwrap();
            fs::write(hidden.join(TENSORS), "half").unwrap();
        }),
        ("written", |dir| {
            let hidden = folders::begin(dir, 20).unwrap();
            write(&hidden, &state(20, 2, 0), &tensors()).unwrap();
        }),
        ("published", |dir| {
            save(dir, &state(20, 2, 0), &tensors()).unwrap();
        }),
        ("half linked", |dir| {
            let saved = save(dir, &state(20, 2, 0), &tensors()).unwrap();
            std::os::unix::fs::symlink(saved, dir.join(".step-latest.partial")).unwrap();
        }),
        ("hidden", |dir| {
            save(dir, &state(20, 2, 0), &tensors()).unwrap();
            let oldest = list(dir)[0].clone();
            fs::rename(oldest, dir.join(".step-00000010.removed")).unwrap();
        }),
        ("half removed", |dir| {
            save(dir, &state(20, 2, 0), &tensors()).unwrap();
            let hidden = dir.join(".step-00000010.removed");
            fs::rename(list(dir)[0].clone(), &hidden).unwrap();
            fs::remove_file(hidden.join(STATE)).unwrap();
        }),
    ];
    for saved_before in [&[10][..], &[10, 20]] {
        for (name, stage) in stages {
            let dir = tempfile::tempdir().unwrap();
            for step in saved_before {
                save(dir.path(), &state(*step, 1, 0), &tensors()).unwrap();
            }
            stage(dir.path());
            let (path, found) = latest(dir.path()).unwrap();
            assert!(
                found.position.step >= saved_before[saved_before.len() - 1],
                "{name}"
            );
            load(&path).unwrap();
            save(dir.path(), &state(30, 3, 0), &tensors()).unwrap();
            assert_eq!(latest(dir.path()).unwrap().1.position.step, 30, "{name}");
            let entries = fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(entries, list(dir.path()).len(), "{name} leaves something");
        }
    }
}
