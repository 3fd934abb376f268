//! How much memory a new ring may take: what the machine has to spare, and what the limits of our control groups leave.
//!
//! Shared memory belongs to nobody's heap, and whoever asks for more than there is gets killed rather than refused. So it is counted
//! before it is asked for. Others may take it in the meantime: this is a guard against rings that cannot fit, not a reservation.

use std::fs;
use std::path::{Path, PathBuf};

/// Left alone, so that there is something to decode with.
const SPARE: u64 = 64 << 20;

/// Memory that can be had, and who sets this limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// So much.
    pub bytes: u64,
    /// For people: `this machine`, or a control group.
    pub whose: String,
}

/// How much memory a daemon may take from now on, be it for a ring or as memory that a device reads: the least of all limits. `None` where the system
/// tells none.
pub fn room() -> Option<Room> {
    room_below(Path::new("/"))
}

fn room_below(root: &Path) -> Option<Room> {
    let machine = available(root).map(|bytes| Room {
        bytes,
        whose: "this machine".to_owned(),
    });
    let all = group_folders(root)
        .into_iter()
        .filter_map(|group| left_in(&group))
        .chain(machine);
    let least = all.min_by_key(|room| room.bytes)?;
    Some(Room {
        bytes: least.bytes.saturating_sub(SPARE),
        ..least
    })
}

/// Memory that can be had without swapping, as the kernel estimates it.
fn available(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}

/// The folders of our control groups and of all groups around them. A container often sees its own group at the top, whatever its name.
fn group_folders(root: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut folders = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let top = match controllers {
            "" => root.join("sys/fs/cgroup"),
            some if some.split(',').any(|controller| controller == "memory") => {
                root.join("sys/fs/cgroup/memory")
            }
            _ => continue,
        };
        let inner = top.join(group.trim_start_matches('/'));
        folders.extend(
            inner
                .ancestors()
                .take_while(|folder| folder.starts_with(&top))
                .map(Path::to_owned),
        );
    }
    folders
}

/// What the limit of a group leaves; files that are only cached can be given up. Versions 2 and 1 name things differently.
fn left_in(group: &Path) -> Option<Room> {
    let number = |names: [&str; 2]| {
        let text = names
            .iter()
            .find_map(|name| fs::read_to_string(group.join(name)).ok())?;
        text.trim().parse::<u64>().ok()
    };
    let limit = number(["memory.max", "memory.limit_in_bytes"])?;
    let used = number(["memory.current", "memory.usage_in_bytes"])?;
    let free = limit.saturating_sub(used.saturating_sub(cached(group)));
    Some(Room {
        bytes: free,
        whose: format!("the memory limit of {}", group.display()),
    })
}

fn cached(group: &Path) -> u64 {
    let text = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let pairs: Vec<(&str, u64)> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect();
    let sum = |names: [&str; 2]| {
        pairs
            .iter()
            .filter(|(name, _)| names.contains(name))
            .map(|(_, value)| value)
            .sum()
    };
    // Version 1 tells the group alone and, as "total", the group with those inside of it.
    match sum(["total_inactive_file", "total_active_file"]) {
        0 => sum(["inactive_file", "active_file"]),
        total => total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_least_of_machine_and_groups_counts_and_is_named() {
        let files = [
            (
                "proc/meminfo",
                "MemTotal: 2048000 kB\nMemAvailable:    1048576 kB\n",
            ),
            ("proc/self/cgroup", "0::/pod/box\n"),
            ("sys/fs/cgroup/pod/box/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/box/memory.current", "5\n"),
        ];
        let machine = room_below(system(&files).path()).unwrap();
        assert_eq!(
            (machine.bytes, machine.whose.as_str()),
            (1024 * MIB - SPARE, "this machine")
        );
        let limited = [
            ("sys/fs/cgroup/pod/memory.max", "536870912\n"),
            ("sys/fs/cgroup/pod/memory.current", "314572800\n"),
            (
                "sys/fs/cgroup/pod/memory.stat",
                "anon 7\nactive_file 52428800\ninactive_file 52428800\n",
            ),
        ];
        let root = system(&[&files[..], &limited].concat());
        let pod = room_below(root.path()).unwrap();
        assert_eq!(pod.bytes, 512 * MIB - 200 * MIB - SPARE);
        assert!(pod.whose.ends_with("sys/fs/cgroup/pod"), "{}", pod.whose);
    }

    #[test]
    fn a_container_of_version_1_sees_its_own_group_at_the_top() {
        let root = system(&[
            (
                "proc/self/cgroup",
                "9:name=systemd:/\n4:memory:/docker/0123\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "104857600\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "inactive_file 1\ntotal_inactive_file 4194304\ntotal_active_file 0\n",
            ),
        ]);
        assert_eq!(
            room_below(root.path()).unwrap().bytes,
            256 * MIB - 96 * MIB - SPARE
        );
    }

    #[test]
    fn a_system_that_tells_no_limit_has_none() {
        assert_eq!(room_below(system(&[]).path()), None);
        assert!(room().is_some(), "Linux tells");
    }
}
