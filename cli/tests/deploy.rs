//! What stands in `filters/*/deploy` is read as those would read it who run it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn files_below(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files_below(&entry, into);
        } else {
            into.push(entry);
        }
    }
}

/// Every YAML file of every deploy folder, with its documents.
fn documents() -> Vec<(PathBuf, Vec<Value>)> {
    let mut files = Vec::new();
    for filter in fs::read_dir(root().join("filters")).unwrap() {
        let folder = filter.unwrap().path().join("deploy");
        if folder.is_dir() {
            files_below(&folder, &mut files);
        }
    }
    let yaml = files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "yaml"));
    let read = yaml.map(|file| {
        let text = fs::read_to_string(&file).unwrap();
        let documents = serde_saphyr::from_multiple(&text);
        let documents = documents.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (file, documents)
    });
    let read: Vec<_> = read.collect();
    assert!(!read.is_empty());
    read
}

fn bootstraps() -> impl Iterator<Item = (PathBuf, Value)> {
    let first = |(file, mut documents): (PathBuf, Vec<Value>)| (file, documents.remove(0));
    documents().into_iter().map(first).filter(|(_, document)| document.get("static_resources").is_some())
}

/// All values below this key, wherever it stands.
fn all<'a>(key: &str, value: &'a Value, found: &mut Vec<&'a Value>) {
    found.extend(value.get(key));
    match value {
        Value::Object(map) => map.values().for_each(|value| all(key, value, found)),
        Value::Array(list) => list.iter().for_each(|value| all(key, value, found)),
        _ => {}
    }
}

/// Files of limits, and those that are texts in ConfigMaps.
fn limits() -> Vec<Value> {
    let mut limits = Vec::new();
    for (file, documents) in documents() {
        for document in documents {
            if document.get("domain").is_some() {
                limits.push(document);
            } else if document["kind"] == "ConfigMap" {
                for text in document["data"].as_object().unwrap().values() {
                    let read = serde_saphyr::from_str(text.as_str().unwrap());
                    limits.push(read.unwrap_or_else(|error| panic!("{}: {error}", file.display())));
                }
            }
        }
    }
    limits
}

/// Whether a descriptor of these names, from the top down, ends at a limit.
fn has_limit(descriptors: &Value, names: &[Value]) -> bool {
    let Some((first, rest)) = names.split_first() else { return false };
    descriptors.as_array().into_iter().flatten().filter(|descriptor| descriptor["key"] == *first).any(|descriptor| {
        if rest.is_empty() { descriptor["rate_limit"].is_object() } else { has_limit(&descriptor["descriptors"], rest) }
    })
}

#[test]
fn descriptors_of_the_policies_have_limits_wherever_limits_are_written() {
    let (limits, mut seen) = (limits(), 0);
    assert!(limits.len() > 1, "a file, and a ConfigMap");
    for (file, bootstrap) in bootstraps() {
        let mut configurations = Vec::new();
        all("configuration", &bootstrap, &mut configurations);
        for configuration in configurations.iter().map(|configuration| &configuration["value"]) {
            let domain = &configuration["service"]["domain"];
            let of_domain: Vec<_> = limits.iter().filter(|limits| limits["domain"] == *domain).collect();
            assert_eq!(of_domain.len(), limits.len(), "{}: {domain}", file.display());
            for policy in configuration["policies"].as_array().unwrap() {
                let names = policy["global"]["descriptor"].as_array().unwrap();
                for limits in &of_domain {
                    assert!(has_limit(&limits["descriptors"], names), "{}: {names:?} in {limits}", file.display());
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 1);
}

#[test]
fn limits_are_the_same_wherever_they_are_written() {
    let limits = limits();
    assert!(limits.iter().all(|other| *other == limits[0]), "{limits:#?}");
}

#[test]
fn bootstraps_are_what_sluice_and_envoy_accept() {
    let mut seen = 0;
    for (file, _) in bootstraps() {
        // the modules are where `make build` puts them
        let modules = format!("{}/", root().join("dist").display());
        let text = fs::read_to_string(&file).unwrap().replace("/etc/envoy/", &modules);
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("envoy.yaml");
        fs::write(&copy, text).unwrap();
        let mut validate = vec![Command::new(env!("CARGO_BIN_EXE_sluice"))];
        validate[0].arg("validate").arg(&copy);
        match std::env::var_os("ENVOY") {
            Some(envoy) => {
                let mut envoy = Command::new(envoy);
                envoy.args(["--mode", "validate", "-l", "warning", "-c"]).arg(&copy);
                validate.push(envoy);
            }
            None => eprintln!("SKIPPED in Envoy: the variable ENVOY names none"),
        }
        for mut command in validate {
            let output = command.output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(output.status.success(), "{} with {:?}: {said}", file.display(), command.get_program());
        }
        seen += 1;
    }
    assert!(seen > 0);
}

/// What a container must not be: root, or without bounds.
#[test]
fn workloads_in_kubernetes_ask_for_little() {
    let mut seen = 0;
    for workload in documents().into_iter().flat_map(|(_, documents)| documents).filter(|d| d["kind"] == "Deployment") {
        let name = &workload["metadata"]["name"];
        let pod = &workload["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(workload["spec"]["selector"]["matchLabels"], workload["spec"]["template"]["metadata"]["labels"]);
        for container in pod["containers"].as_array().unwrap() {
            assert!(container["resources"]["requests"].is_object(), "{name}");
            assert!(container["readinessProbe"].is_object() && container["livenessProbe"].is_object(), "{name}");
            assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{name}");
            // a tag, and none that moves with every commit
            let image = container["image"].as_str().unwrap();
            assert!(image.contains(':') && !image.ends_with(":latest") && !image.ends_with(":master"), "{image}");
        }
        seen += 1;
    }
    assert!(seen > 1);
}
