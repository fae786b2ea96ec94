//! Situations of the corpus, as scenarios.

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_convert::emit::bootstrap::{Place, router_config};
use sluice_convert::{Dialect, Options, Section};
use std::path::{Path, PathBuf};

/// A file of the corpus; `cli/convert/tests/corpus/README.md` has the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Situation {
    pub name: String,
    #[serde(default)]
    pub args: Vec<String>,
    pub manifests: String,
    pub entry: String,
    pub cases: Vec<Row>,
    #[serde(default, alias = "unsupported")]
    pub report: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub name: String,
    pub request: Request,
    pub expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    #[serde(default = "get")]
    pub method: String,
    pub host: Option<String>,
    pub path: String,
    pub port: Option<u16>,
    #[serde(default)]
    pub headers: Vec<String>,
    pub scheme: Option<String>,
    pub source: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    pub status: u16,
    pub location: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    pub backend: Option<String>,
    pub backends: Vec<String>,
    pub status: Option<u16>,
    pub redirect: Option<Redirect>,
    pub path: Option<String>,
    pub host: Option<String>,
    pub request_headers: Vec<String>,
    pub request_absent: Vec<String>,
    pub response_headers: Vec<String>,
    pub mirrors: Vec<String>,
    pub grpc_status: Option<u16>,
}

pub fn get() -> String {
    "GET".to_owned()
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

pub fn place() -> Place {
    Place {
        listen: "127.0.0.1".parse().unwrap(),
        ports: Default::default(),
        admin: "127.0.0.1:9901".parse().unwrap(),
        wasm: "dist".to_owned(),
        endpoints: Default::default(),
    }
}

pub fn files(dialect: &str) -> Vec<PathBuf> {
    let folder = root().join("cli/convert/tests/corpus").join(dialect);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

/// The situation as a scenario for the table that its requests come to; one for each port.
pub fn scenarios(file: &Path, dialect: Dialect) -> Result<Vec<(String, Value)>, String> {
    let text = std::fs::read_to_string(file).unwrap();
    let shown = file.file_name().unwrap().to_str().unwrap();
    let situation: Situation = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{shown}: {error}"));
    let class = situation.args.iter().position(|arg| arg == "--class").map(|at| situation.args[at + 1].clone());
    let options = Options { dialect, namespace: "default".to_owned(), class };
    let texts = [(shown.to_owned(), situation.manifests.clone())];
    let mut converted = sluice_convert::convert(&texts, &options).map_err(|mistakes| {
        let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        format!("{shown}:\n{}", mistakes.join("\n"))
    })?;
    let written =
        sluice_convert::emit::files(&mut converted, &place(), "test").unwrap_or_else(|why| panic!("{shown}: {why}"));
    let again = sluice_convert::convert(&texts, &options)
        .map(|mut again| sluice_convert::emit::files(&mut again, &place(), "test"));
    assert_eq!(again.ok().unwrap().unwrap(), written, "{shown}: the same bytes every time");
    // the embedded gateway takes it as it is
    for style in [sluice_convert::Style::Filter, sluice_convert::Style::Native] {
        converted.style = style;
        let written = sluice_convert::emit::files(&mut converted, &place(), "test").unwrap();
        host_test::gateway::bootstrap::parse(&written["envoy.yaml"])
            .map_err(|error| format!("{shown} in style {style:?}: {error}"))?;
    }
    converted.style = sluice_convert::Style::Filter;
    let report = &written["REPORT.md"];
    for wanted in &situation.report {
        if !report.contains(wanted.as_str()) {
            return Err(format!("{shown}: the report does not say {wanted:?}\n{report}"));
        }
    }
    if situation.report.is_empty() {
        let lost: Vec<_> =
            converted.report.lines().iter().filter(|line| line.section == Section::NotSupported).collect();
        if !lost.is_empty() {
            return Err(format!("{shown}: {lost:?}"));
        }
    }
    let entry = converted.model.entries.iter().find(|entry| entry.id == situation.entry);
    let Some(entry) = entry else { return Err(format!("{shown}: no entry {}", situation.entry)) };
    let mut made = Vec::new();
    for (number, table) in entry.tables.iter().enumerate() {
        let ports: Vec<u16> =
            entry.listeners.iter().filter(|listener| listener.table == number).map(|listener| listener.port).collect();
        let rows: Vec<&Row> = situation
            .cases
            .iter()
            .filter(|row| row.request.port.map_or(number == 0, |port| ports.contains(&port) || ports.is_empty()))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let clusters: Vec<&String> = converted.model.clusters.keys().collect();
        let clusters = if clusters.is_empty() { json!(["unused"]) } else { json!(clusters) };
        let config = router_config(table, &place());
        let cases: Vec<Value> = rows.iter().map(|row| case(row, ports.first().copied())).collect();
        let mut filters = vec![json!({"filter": "header-router", "config": config})];
        filters.extend(table.rate_limit.as_ref().map(|limits| json!({"filter": "rate-limit", "config": limits})));
        let scenario = json!({"name": situation.name, "clusters": clusters, "filters": filters, "cases": cases});
        made.push((format!("{shown}-{number}.yaml"), scenario));
    }
    Ok(made)
}

fn case(row: &Row, first: Option<u16>) -> Value {
    let Row { request, expect, .. } = row;
    let mut asked = json!({"method": request.method, "path": request.path, "headers": request.headers});
    if let Some(scheme) = &request.scheme {
        asked["headers"].as_array_mut().unwrap().push(json!(format!("x-forwarded-proto: {scheme}")));
    }
    if let Some(host) = &request.host {
        asked["authority"] = json!(host);
    }
    if let Some(port) = request.port.or(first) {
        asked["port"] = json!(port);
    }
    if let Some(source) = &request.source {
        asked["source"] = json!(source);
    }
    let mut upstream = json!({});
    let mut client = json!({"headers": expect.response_headers});
    match (&expect.backend, expect.backends.is_empty()) {
        (Some(backend), true) => upstream["cluster"] = json!(backend),
        (None, false) => upstream["any_of"] = json!(expect.backends),
        _ => upstream["cluster"] = json!("none"),
    }
    for (key, value) in [("path", &expect.path), ("authority", &expect.host)] {
        if let Some(value) = value {
            upstream[key] = json!(value);
        }
    }
    if !expect.request_headers.is_empty() {
        upstream["headers"] = json!(expect.request_headers);
    }
    if !expect.request_absent.is_empty() {
        upstream["absent"] = json!(expect.request_absent);
    }
    if let Some(status) = expect.status {
        client["status"] = json!(status);
    }
    if let Some(redirect) = &expect.redirect {
        client["status"] = json!(redirect.status);
        client["headers"] = json!([format!("location: {}", redirect.location)]);
    }
    if request.headers.iter().any(|header| header.starts_with("content-type: application/grpc")) {
        // a host says it in its own way
        client.as_object_mut().unwrap().remove("status");
    }
    let mut case = json!({"name": row.name, "request": asked, "upstream": upstream, "client": client});
    if let Some(mirror) = expect.mirrors.first() {
        case["mirror"] = json!({"cluster": mirror});
    }
    case
}
