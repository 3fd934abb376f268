//! `shard-tool pack` where the disk is full. Needs to mount small file systems, which only root may do.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{folder, jpeg, names_in, pack, put, tree};

/// A file system of so many MiB, until the end of the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Nothing, said aloud, where mounting is not allowed.
    fn mount(dir: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir(dir).expect("made");
        let size = format!("size={mib}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "small"]).arg(dir);
        let is_mounted = mount.output().is_ok_and(|mount| mount.status.success());
        if !is_mounted {
            eprintln!("SKIPPED: no right to mount a small file system");
        }
        is_mounted.then(|| Self(dir.to_owned()))
    }

    fn grow(&self, mib: u32) {
        let size = format!("remount,size={mib}m");
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", &size]).arg(&self.0).status();
        assert!(status.expect("mount runs").success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg(&self.0).status();
        assert!(status.expect("umount runs").success());
    }
}

/// `num_images` JPEGs of 1 MiB each.
fn large_images(src: &Path, num_images: u8) {
    for number in 0..num_images {
        let mut image = jpeg(number);
        image.resize(1 << 20, number);
        put(src.join(format!("cat/{number}.JPEG")), &image);
    }
}

#[test]
fn a_full_disk_is_told_with_what_is_needed_and_nothing_is_left() {
    let dir = folder();
    let (src, disk) = (dir.path().join("src"), dir.path().join("disk"));
    large_images(&src, 3);
    let Some(_mounted) = SmallDisk::mount(&disk, 1) else {
        return;
    };
    let outcome = pack(&src, &disk.join("out"), &[], 4);
    let told = "what is left of the set needs about 4 MiB, 1 MiB are free";
    assert!(outcome.stderr.contains(told), "{outcome:?}");
    assert!(names_in(&disk).is_empty());
}

#[test]
fn with_more_room_the_same_command_goes_on_after_the_finished_shards() {
    let dir = folder();
    let (src, disk) = (dir.path().join("src"), dir.path().join("disk"));
    large_images(&src, 12);
    let Some(mounted) = SmallDisk::mount(&disk, 7) else {
        return;
    };
    let options = ["--samples-per-shard", "2"];
    let outcome = pack(&src, &disk.join("out"), &options, 4);
    // Two shards of 2 MiB are noted as done; there was no room to go on after the third.
    let told = "what is left of the set needs about 9 MiB, 0 MiB are free";
    assert!(outcome.stderr.contains(told), "{outcome:?}");
    assert!(
        outcome.stderr.contains("run the same command again"),
        "{outcome:?}"
    );
    assert!(!disk.join("out/manifest.json").exists());
    mounted.grow(20);
    let outcome = pack(&src, &disk.join("out"), &options, 0);
    assert!(
        outcome.stderr.contains("going on after 2 shards"),
        "{outcome:?}"
    );
    let fresh = dir.path().join("fresh");
    pack(&src, &fresh, &options, 0);
    assert!(tree(&disk.join("out")) == tree(&fresh));
}

#[test]
fn a_stream_that_does_not_fit_is_told_with_what_was_read_of_it() {
    let dir = folder();
    let (src, disk) = (dir.path().join("src"), dir.path().join("disk"));
    large_images(&src, 8);
    let Some(_mounted) = SmallDisk::mount(&disk, 4) else {
        return;
    };
    let script = format!(
        "tar -C {} -cf - . | {} pack - --out {}/out",
        src.display(),
        env!("CARGO_BIN_EXE_shard-tool"),
        disk.display()
    );
    let run = Command::new("sh").args(["-c", &script]).output();
    let outcome = crate::harness::Outcome::from(run.expect("sh runs"));
    assert_eq!(outcome.code, 4, "{outcome:?}");
    assert!(
        outcome
            .stderr
            .contains("a stream is kept while it is packed"),
        "{outcome:?}"
    );
    assert!(names_in(&disk).is_empty());
}
