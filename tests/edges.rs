//! Every arrow of the house is a crate: nobody builds what he does not need.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Normal (not dev) dependencies of every package, by name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = crate::harness::metadata();
    let name_of = |id: &Value| {
        let packages = metadata["packages"].as_array().unwrap();
        packages
            .iter()
            .find(|package| package["id"] == *id)
            .unwrap()["name"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let is_normal = |dep: &&Value| {
        dep["dep_kinds"]
            .as_array()
            .unwrap()
            .iter()
            .any(|kind| kind["kind"].is_null())
    };
    nodes
        .iter()
        .map(|node| {
            let deps = node["deps"].as_array().unwrap().iter().filter(is_normal);
            (
                name_of(&node["id"]),
                deps.map(|dep| name_of(&dep["pkg"])).collect(),
            )
        })
        .collect()
}

fn everything_under(
    package: &str,
    direct: &BTreeMap<String, BTreeSet<String>>,
) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![package.to_owned()];
    while let Some(name) = open.pop() {
        for dep in &direct[&name] {
            if seen.insert(dep.clone()) {
                open.push(dep.clone());
            }
        }
    }
    seen
}

/// What may not be under a package.
const FORBIDDEN: [(&str, &[&str]); 12] = [
    (
        "trainer",
        &[
            "image-decode",
            "turbojpeg-sys",
            "loader",
            "shard-format",
            "tar",
        ],
    ),
    (
        "loader",
        &[
            "tch",
            "torch-sys",
            "trainer",
            "shard-tool",
            "host-kernels",
            "nvjpeg-standin",
        ],
    ),
    ("shard-tool", &["tch", "torch-sys", "loader", "loader-ipc"]),
    (
        "loader-ipc",
        &[
            "tch",
            "image-decode",
            "image",
            "shard-format",
            "clap",
            "tracing",
            "cudarc",
        ],
    ),
    (
        "loader-card",
        &["tch", "loader", "image-decode", "shard-format", "clap"],
    ),
    (
        "shard-format",
        &["tch", "image-decode", "image", "loader-ipc", "clap"],
    ),
    (
        "image-decode",
        &["tch", "shard-format", "loader-ipc", "tar", "clap"],
    ),
    (
        "loader-client",
        &["tch", "loader", "shard-format", "clap", "tracing"],
    ),
    (
        "loader-c",
        &["tch", "loader", "image-decode", "shard-format", "clap"],
    ),
    ("loader-python", &["tch", "torch-sys", "trainer"]),
    (
        "nvjpeg",
        &[
            "tch",
            "loader",
            "loader-ipc",
            "image-decode",
            "turbojpeg-sys",
            "nvjpeg-standin",
            "cudarc",
        ],
    ),
    ("signals", &["clap", "tracing", "rustix"]),
];

#[test]
fn the_trainer_builds_no_decoder_and_nobody_else_libtorch() {
    let direct = dependencies();
    for (package, names) in FORBIDDEN {
        let under = everything_under(package, &direct);
        for name in names {
            assert!(
                !under.contains(*name),
                "{package} must not depend on {name}"
            );
        }
    }
}
