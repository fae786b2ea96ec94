use super::*;
use crate::config_file;
use ai_normalize::AiNormalize;
use clap::ValueEnum;
use filter_kit::Filter;
use header_router::HeaderRouter;
use host_test::yaml;
use prefix_rewrite::PrefixRewrite;
use rate_limit::RateLimit;
use std::path::{Path, PathBuf};
use suite::Suite;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn accepts(filter: Known, config: &Value) -> bool {
    let json = config.to_string().into_bytes();
    match filter {
        Known::AiNormalize => AiNormalize::from_config(&json).is_ok(),
        Known::HeaderRouter => HeaderRouter::from_config(&json).is_ok(),
        Known::PrefixRewrite => PrefixRewrite::from_config(&json).is_ok(),
        Known::RateLimit => RateLimit::from_config(&json).is_ok(),
        Known::Suite => Suite::from_config(&json).is_ok(),
    }
}

fn validators() -> Vec<(Known, jsonschema::Validator)> {
    let one = |filter: &Known| {
        let schema: Value = serde_json::from_str(&text(*filter).unwrap()).unwrap();
        assert!(jsonschema::meta::is_valid(&schema), "{}", filter.name());
        (*filter, jsonschema::draft202012::new(&schema).unwrap())
    };
    Known::value_variants().iter().map(one).collect()
}

#[test]
fn the_committed_schemas_are_current() {
    for filter in Known::value_variants() {
        let file = root().join(format!("docs/schemas/{}.schema.json", filter.name()));
        let text = text(*filter).unwrap();
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(committed == text, "docs/schemas/{0}.schema.json: BLESS=1 cargo test -p sluice schema", filter.name());
    }
}

/// Every configuration of ours in a YAML file: of plugins, of scenarios, or the file itself.
fn configurations(node: &yaml::Node, found: &mut Vec<(Known, Value)>) {
    match &node.value {
        yaml::Value::Map(entries) => {
            let name = match node.get("filter").map(|filter| &filter.value) {
                Some(yaml::Value::Text(name)) => Known::from_str(name, false).ok(),
                _ => None,
            };
            if let (Some(filter), Some(config)) = (name, node.get("config")) {
                found.push((filter, config.value.to_json()));
            }
            entries.iter().for_each(|(_, value)| configurations(value, found));
        }
        yaml::Value::List(items) => items.iter().for_each(|item| configurations(item, found)),
        _ => {}
    }
}

fn yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "md") {
            files.push(path);
        }
    }
}

#[test]
fn what_the_filters_accept_is_valid() {
    let validators = validators();
    let mut files = vec![root().join("README.md")];
    for folder in ["filters", "envoy-configs", "examples", "docs", "host-test/scenarios"] {
        let folder = root().join(folder);
        if folder.is_dir() {
            yaml_files(&folder, &mut files);
        }
    }
    let (mut checked, mut refused) = (0, 0);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut found = Vec::new();
        if file.extension().is_some_and(|extension| extension == "md") {
            for block in text.split("\n```yaml ").skip(1) {
                let (info, rest) = block.split_once('\n').unwrap();
                let Ok(filter) = Known::from_str(info.trim(), false) else { continue };
                let text = rest.split("\n```").next().unwrap();
                found.push((filter, config_file::parse(text).ok().unwrap().value.to_json()));
            }
        } else if let Ok(root) = config_file::parse(&text) {
            configurations(&root, &mut found);
            for plugin in
                config_file::plugins(&root, None).into_iter().flatten().filter(|plugin| plugin.plugin.is_some())
            {
                found.extend(serde_json::from_slice(&plugin.json()).ok().map(|config| (plugin.filter, config)));
            }
        }
        for (filter, config) in found {
            if !accepts(filter, &config) {
                refused += 1;
                continue;
            }
            let (_, validator) = validators.iter().find(|(known, _)| *known == filter).unwrap();
            let errors: Vec<_> =
                validator.iter_errors(&config).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{}: {}: {errors:?}\n{config:#}", file.display(), filter.name());
            checked += 1;
        }
    }
    assert!(checked >= 20 && refused >= 1, "{checked} checked, {refused} refused");
}

#[test]
fn mistakes_are_invalid() {
    let validators = validators();
    let rule = |rest: &str| format!("rules: [{{name: a, targets: [{{cluster: c}}], {rest}}}]\ndefault: continue");
    for (filter, text) in [
        (Known::HeaderRouter, "rules: []".to_owned()),
        (Known::HeaderRouter, "rulez: []\nrules: []\ndefault: continue".to_owned()),
        (Known::HeaderRouter, "rules: []\ndefault: {status: 200}".to_owned()),
        (Known::HeaderRouter, "rules: []\ndefault: stop".to_owned()),
        (Known::HeaderRouter, "rules: []\ndefault: continue\nmax_body_bytes: 0".to_owned()),
        (Known::HeaderRouter, "rules: [{name: a}]\ndefault: continue".to_owned()),
        (Known::HeaderRouter, "rules: [{name: a b, targets: [{cluster: c}]}]\ndefault: continue".to_owned()),
        (
            Known::HeaderRouter,
            "rules: [{name: a, targets: [{cluster: c, weight: 1000001}]}]\ndefault: continue".to_owned(),
        ),
        (Known::HeaderRouter, "rules: [{name: a, targets: [{cluster: c, status: 200}]}]\ndefault: continue".to_owned()),
        (Known::HeaderRouter, "rules: [{name: a, redirect: {host: h, status: 200}}]\ndefault: continue".to_owned()),
        (Known::HeaderRouter, "rules: [{name: a, redirect: {port: 0}}]\ndefault: continue".to_owned()),
        (Known::HeaderRouter, rule("priority: 1001")),
        (Known::HeaderRouter, rule("priority: high")),
        (Known::HeaderRouter, rule("mirror: {cluster: c, share: 10001}")),
        (Known::HeaderRouter, rule("match: {path: {prefx: /a}}")),
        (Known::HeaderRouter, rule("match: {path: {prefix: a}}")),
        (Known::HeaderRouter, rule("match: {path: {prefix: /a, exact: /b}}")),
        (Known::HeaderRouter, rule("match: {ports: [0]}")),
        (Known::HeaderRouter, rule("match: {ports: [70000]}")),
        (Known::HeaderRouter, rule("match: {schemes: [ftp]}")),
        (Known::HeaderRouter, rule("match: {hosts: [{wildcard: a.test}]}")),
        (Known::HeaderRouter, rule("match: {headers: [{name: x, match: {prefix: ''}}]}")),
        (Known::HeaderRouter, rule("match: {headers: [{name: x, match: {range: {start: 1.5, end: 2}}}]}")),
        (Known::HeaderRouter, rule("tags: {A: x}")),
        (Known::PrefixRewrite, "rules: [{name: a}]".to_owned()),
        (Known::PrefixRewrite, "rules: [{name: a, rewrite: {prefx: /}}]".to_owned()),
        (Known::PrefixRewrite, "rules: []\norder: random".to_owned()),
        (Known::Suite, "filters: []".to_owned()),
        (Known::Suite, "filters: [{header_routr: {}}]".to_owned()),
        (
            Known::Suite,
            "filters: [{prefix_rewrite: {rules: [{name: a, priority: -1, rewrite: {host: h}}]}}]".to_owned(),
        ),
    ] {
        let config =
            config_file::parse(&text).unwrap_or_else(|finding| panic!("{text}: {}", finding.why)).value.to_json();
        let (_, validator) = validators.iter().find(|(known, _)| *known == filter).unwrap();
        assert!(!accepts(filter, &config), "the filter takes {text}");
        assert!(!validator.is_valid(&config), "the schema takes {text}");
    }
}
