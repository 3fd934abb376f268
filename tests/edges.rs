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

#[test]
fn the_trainer_builds_no_decoder_and_nobody_else_libtorch() {
    let direct = dependencies();
    let forbidden = [
        (
            "trainer",
            vec![
                "image-decode",
                "turbojpeg-sys",
                "loader",
                "shard-format",
                "tar",
            ],
        ),
        (
            "loader",
            vec!["tch", "torch-sys", "trainer", "shard-tool", "host-kernels"],
        ),
        (
            "shard-tool",
            vec!["tch", "torch-sys", "loader", "loader-ipc"],
        ),
        (
            "loader-ipc",
            vec![
                "tch",
                "image-decode",
                "image",
                "shard-format",
                "clap",
                "tracing",
            ],
        ),
        (
            "shard-format",
            vec!["tch", "image-decode", "image", "loader-ipc", "clap"],
        ),
        (
            "image-decode",
            vec!["tch", "shard-format", "loader-ipc", "tar", "clap"],
        ),
        (
            "loader-client",
            vec!["tch", "loader", "shard-format", "clap", "tracing"],
        ),
        (
            "loader-c",
            vec!["tch", "loader", "image-decode", "shard-format", "clap"],
        ),
        ("loader-python", vec!["tch", "torch-sys", "trainer"]),
        ("signals", vec!["clap", "tracing", "rustix"]),
    ];
    for (package, names) in forbidden {
        let under = everything_under(package, &direct);
        for name in names {
            assert!(!under.contains(name), "{package} must not depend on {name}");
        }
    }
}
