//! What every bundled bootstrap has to have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use host_test::gateway::bootstrap;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every bundled bootstrap, by name.
fn bundled() -> Vec<(String, PathBuf)> {
    let files = std::fs::read_dir(root().join("envoy-configs")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.map(|file| (file.file_stem().unwrap().to_str().unwrap().to_owned(), file)).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn json(file: &Path) -> Value {
    host_test::yaml::parse(&std::fs::read_to_string(file).unwrap())
        .unwrap_or_else(|error| panic!("{}: {}", file.display(), error.why))
        .value
        .to_json()
}

/// All maps that look like Envoy's `PluginConfig`, behind the route decision too.
fn plugins<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    if value.get("vm_config").is_some() {
        found.push(value);
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| plugins(value, found)),
        Value::Array(list) => list.iter().for_each(|value| plugins(value, found)),
        _ => {}
    }
}

/// Why the embedded gateway cannot serve an example, if its `demo.conf` says so.
fn envoy_only(name: &str) -> Option<String> {
    let conf = root().join("examples").join(name).join("demo.conf");
    let text = std::fs::read_to_string(&conf).unwrap_or_else(|error| panic!("{}: {error}", conf.display()));
    text.lines().find_map(|line| line.strip_prefix("envoy-only ")).map(String::from)
}

#[test]
fn bundled_bootstraps_are_served_by_the_embedded_gateway_unless_their_example_says_why_not() {
    for (name, file) in bundled() {
        match (bootstrap::read(&file), envoy_only(&name)) {
            (Ok(_), None) => {}
            (Err(error), Some(why)) => {
                assert!(error.to_string().contains("not served by the embedded gateway"), "{error}");
                eprintln!("SKIPPED on the embedded gateway: {name}: {why}");
            }
            (Err(error), None) => panic!("{error}"),
            (Ok(_), Some(why)) => panic!("examples/{name}/demo.conf says `envoy-only {why}`, and it is served"),
        }
    }
}

#[test]
fn plugins_of_bundled_bootstraps_survive_a_trap() {
    for (name, file) in bundled() {
        let (root, mut found) = (json(&file), Vec::new());
        plugins(&root, &mut found);
        assert!(!found.is_empty(), "{name}: no plugin");
        for plugin in found {
            assert_eq!(
                plugin["failure_policy"], "FAIL_RELOAD",
                "{name}: plugin {}; one trap would take a worker out for good",
                plugin["name"]
            );
        }
    }
}

#[test]
fn bundled_bootstraps_make_the_same_labels_of_metric_names() {
    let all: Vec<_> = bundled().into_iter().map(|(name, file)| (name, json(&file)["stats_config"].take())).collect();
    for (name, tags) in &all {
        assert_eq!(*tags, all[0].1, "{name} and {}", all[0].0);
    }
    assert!(all[0].1["stats_tags"].is_array());
}
