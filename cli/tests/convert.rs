//! Manifests of the corpus are converted, and the real filter decides what becomes of requests: natively, in our host and in Envoy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use host_test::scenario::{Runner, Runners, Scenario};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_convert::emit::bootstrap::{Place, router_config};
use sluice_convert::{Dialect, Options, Section};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the corpus; `cli/convert/tests/corpus/README.md` has the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Situation {
    name: String,
    #[serde(default)]
    args: Vec<String>,
    manifests: String,
    entry: String,
    cases: Vec<Row>,
    #[serde(default, alias = "unsupported")]
    report: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    request: Request,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default = "get")]
    method: String,
    host: Option<String>,
    path: String,
    port: Option<u16>,
    #[serde(default)]
    headers: Vec<String>,
    scheme: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redirect {
    status: u16,
    location: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Expect {
    backend: Option<String>,
    backends: Vec<String>,
    status: Option<u16>,
    redirect: Option<Redirect>,
    path: Option<String>,
    host: Option<String>,
    request_headers: Vec<String>,
    request_absent: Vec<String>,
    response_headers: Vec<String>,
    mirrors: Vec<String>,
    grpc_status: Option<u16>,
}

fn get() -> String {
    "GET".to_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn place() -> Place {
    Place {
        listen: "127.0.0.1".parse().unwrap(),
        ports: Default::default(),
        admin: "127.0.0.1:9901".parse().unwrap(),
        wasm: "dist".to_owned(),
        endpoints: Default::default(),
    }
}

fn files(dialect: &str) -> Vec<PathBuf> {
    let folder = root().join("cli/convert/tests/corpus").join(dialect);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

/// The situation as a scenario for the table that its requests come to; one for each port.
fn scenarios(file: &Path, dialect: Dialect) -> Result<Vec<(String, Value)>, String> {
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

/// Envoys that start at the same time may choose the same ports.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn check(dialect: Dialect, folder: &str) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let scratch = tempfile::tempdir().unwrap();
    let (mut scenarios, mut problems) = (Vec::new(), Vec::new());
    for file in files(folder) {
        match self::scenarios(&file, dialect) {
            Err(problem) => problems.push(problem),
            Ok(made) => {
                for (name, scenario) in made {
                    let path = scratch.path().join(name);
                    std::fs::write(&path, serde_json::to_string(&scenario).unwrap()).unwrap();
                    scenarios.push(Scenario::read(&path).unwrap_or_else(|error| panic!("{error}")));
                }
            }
        }
    }
    let envoy = std::env::var_os("ENVOY").map(PathBuf::from);
    let runners = [Runner::Core, Runner::Host].into_iter().chain(envoy.as_ref().map(|_| Runner::Envoy)).collect();
    let report = Runners { runners, dist: root().join("dist"), envoy }.run(&scenarios).unwrap();
    assert!(report.failed == 0 && problems.is_empty(), "{}\n{}", problems.join("\n"), report.text);
    assert!(report.passed > 0);
}

#[test]
fn app_mesh_decides_as_documented() {
    check(Dialect::AppMesh, "app-mesh");
}

#[test]
fn ingress_decides_as_its_controllers_do() {
    check(Dialect::Ingress, "ingress");
}

#[test]
fn the_gateway_api_decides_as_its_conformance_suite_wants() {
    check(Dialect::GatewayApi, "gateway-api");
}

fn sluice() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.current_dir(root());
    command
}

#[test]
fn mistakes_are_told_with_their_place_and_nothing_is_written() {
    let scratch = tempfile::tempdir().unwrap();
    let manifest = scratch.path().join("bad.yaml");
    let text = "apiVersion: appmesh.k8s.aws/v1beta2\nkind: GatewayRoute\nmetadata: {name: a}\nspec:\n  httpRoute:\n    match: {prefx: /}\n    \
                action: {target: {virtualService: {virtualServiceRef: {name: b}}}}\n  priority: high\n";
    std::fs::write(&manifest, text).unwrap();
    let output = scratch.path().join("out");
    let run = sluice().args(["convert", "app-mesh"]).arg(&manifest).arg("-o").arg(&output).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(
        told.contains("bad.yaml:6:13 spec.httpRoute.match.prefx: unknown field; did you mean \"prefix\"?"),
        "{told}"
    );
    assert!(told.contains("bad.yaml:8:3 spec.priority: expected integer, found \"high\""), "{told}");
    assert!(!output.exists());
}

#[test]
fn a_list_from_standard_input_is_taken_apart_and_slips_in_kinds_are_told() {
    let scratch = tempfile::tempdir().unwrap();
    let run = |text: &str| {
        let input = scratch.path().join("input");
        std::fs::write(&input, text).unwrap();
        let input = std::fs::File::open(&input).unwrap();
        let output = scratch.path().join("out");
        sluice().args(["convert", "app-mesh", "-", "-o"]).arg(output).stdin(input).output().unwrap()
    };
    let mesh = "{apiVersion: appmesh.k8s.aws/v1beta2, kind: Mesh, metadata: {name: m, uid: x, managedFields: []}, spec: {}, status: {conditions: []}}";
    let other = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}";
    let good = run(&format!("apiVersion: v1\nkind: List\nitems:\n- {mesh}\n- {other}\n"));
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));
    let report = std::fs::read_to_string(scratch.path().join("out/REPORT.md")).unwrap();
    assert!(report.contains("Deployment (apps/v1) is no part of this conversion"), "{report}");
    let slip = run("{apiVersion: appmesh.k8s.aws/v1beta2, kind: GatewayRout, metadata: {name: m}, spec: {}}");
    assert_eq!(slip.status.code(), Some(2));
    let told = String::from_utf8(slip.stderr).unwrap();
    assert!(told.contains("kind: unknown kind \"GatewayRout\"; did you mean \"GatewayRoute\"?"), "{told}");
}

#[test]
fn objects_of_other_groups_are_named_whatever_they_are_called() {
    let scratch = tempfile::tempdir().unwrap();
    let manifest = scratch.path().join("all.yaml");
    let documents = [
        "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, resources: [a.yaml]}",
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: \"system:Foo\"}}",
        "{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: edge}, spec: {selector: {}, servers: []}}",
        "{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: s}, spec: {template: {}}}",
        "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge}, spec: {gatewayClassName: c, \
         listeners: [{name: l, port: 80, protocol: HTTP}]}}",
    ];
    std::fs::write(&manifest, documents.join("\n---\n")).unwrap();
    let output = scratch.path().join("out");
    let run = sluice().args(["convert", "gateway-api"]).arg(&manifest).arg("-o").arg(&output).output().unwrap();
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    let report = std::fs::read_to_string(output.join("REPORT.md")).unwrap();
    for skipped in
        ["Kustomization (", "ClusterRole (", "Gateway (networking.istio.io/v1)", "Service (serving.knative.dev/v1)"]
    {
        assert!(report.contains(&format!("- {skipped}")), "{skipped}: {report}");
    }
    std::fs::write(&manifest, "{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: a}, spec: {}}")
        .unwrap();
    let run = sluice().args(["convert", "ingress"]).arg(&manifest).arg("-o").arg(&output).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("expected \"networking.k8s.io/v1\""));
}

/// The manifests of a situation as a file.
fn manifests(scratch: &Path, situation: &str, change: (&str, &str)) -> PathBuf {
    let text = std::fs::read_to_string(root().join("cli/convert/tests/corpus").join(situation)).unwrap();
    let situation: Situation = serde_saphyr::from_str(&text).unwrap();
    let path = scratch.join("manifests.yaml");
    std::fs::write(&path, situation.manifests.replace(change.0, change.1)).unwrap();
    path
}

fn convert(scratch: &Path, dialect: &str, situation: &str, change: (&str, &str), more: &[&str]) -> PathBuf {
    let output = scratch.join(format!("set-{}", change.1.len()));
    let manifests = manifests(scratch, situation, change);
    let run = sluice().args(["convert", dialect]).arg(manifests).arg("-o").arg(&output).args(more).output().unwrap();
    assert!(run.status.code() != Some(2), "{}", String::from_utf8_lossy(&run.stderr));
    output
}

#[test]
fn a_set_is_explained_by_entry_in_the_words_of_its_manifests() {
    let scratch = tempfile::tempdir().unwrap();
    let set = convert(scratch.path(), "app-mesh", "app-mesh/walkthrough.yaml", ("", ""), &[]);
    let explain = |more: &[&str]| {
        let run = sluice().args(["explain", "-c"]).arg(&set).args(more).output().unwrap();
        (run.status.code(), String::from_utf8(run.stdout).unwrap() + &String::from_utf8(run.stderr).unwrap())
    };
    let (code, told) = explain(&["GET", "/products/items", "-H", "X-User-Type: beta-tester"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("rule of   GatewayRoute/default/product-gateway-route-beta spec.httpRoute"), "{told}");
    assert!(told.contains("to        VirtualNode/default/product-service-v2"), "{told}");
    let (_, told) = explain(&["--entry", "VirtualService/default/product-service", "GET", "/items"]);
    assert!(told.contains("rule of   Route/default/product-route-v1"), "{told}");
    let (code, told) = explain(&["--entry", "VirtualService/default/product-servic", "GET", "/"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("did you mean VirtualService/default/product-service?"), "{told}");
}

#[test]
fn two_sets_are_compared_over_requests() {
    let scratch = tempfile::tempdir().unwrap();
    let old = convert(scratch.path(), "app-mesh", "app-mesh/walkthrough.yaml", ("", ""), &[]);
    let new =
        convert(scratch.path(), "app-mesh", "app-mesh/walkthrough.yaml", ("exact: beta-tester", "exact: tester"), &[]);
    let requests = scratch.path().join("requests.jsonl");
    let lines = r#"{"path": "/products/1", "headers": {"x-user-type": "beta-tester"}}"#;
    std::fs::write(&requests, format!("{lines}\n{{\"path\": \"/products/1\"}}\n")).unwrap();
    let diff = |one: &Path, other: &Path| {
        let run = sluice().arg("diff").arg(one).arg(other).arg("--requests").arg(&requests).output().unwrap();
        (run.status.code(), String::from_utf8(run.stdout).unwrap())
    };
    assert_eq!(diff(&old, &old).0, Some(0));
    let (code, told) = diff(&old, &new);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("requests: 1 of 2 changes"), "{told}");
}

/// Free ports: held until the gateway starts, so that none is given out twice.
#[derive(Default)]
struct Ports(Vec<std::net::TcpListener>);

impl Ports {
    fn free(&mut self) -> u16 {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        self.0.push(held);
        port
    }
}

/// Ends with the test.
struct Gateway(std::process::Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ten_thousand_routes_convert_and_their_gateway_starts() {
    use std::io::{Read, Write};
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let scratch = tempfile::tempdir().unwrap();
    let mut text = String::from(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec: {gatewayClassName: c, listeners: \
         [{name: l, port: 80, protocol: HTTP}]}}\n---\n{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}]}}\n",
    );
    for route in 0..625 {
        let rule = |number: usize| {
            let value = format!("/route/{route}/{number}");
            format!(
                "{{matches: [{{path: {{type: PathPrefix, value: {value}}}}}], backendRefs: [{{name: s, port: 80}}]}}"
            )
        };
        let rules: Vec<String> = (0..16).map(rule).collect();
        text.push_str(&format!(
            "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r{route}}}, spec: {{parentRefs: \
             [{{name: g}}], rules: [{}]}}}}\n",
            rules.join(", ")
        ));
    }
    let manifest = scratch.path().join("many.yaml");
    std::fs::write(&manifest, text).unwrap();
    let mut ports = Ports::default();
    let (port, admin, upstream) = (ports.free(), ports.free(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let output = scratch.path().join("out");
    let run = sluice()
        .args(["convert", "gateway-api", "--listen", "127.0.0.1", "--port", &format!("80={port}")])
        .args(["--admin", &format!("127.0.0.1:{admin}"), "--wasm"])
        .arg(root().join("dist"))
        .args(["--endpoint", &format!("default/s:80={}", upstream.local_addr().unwrap()), "-o"])
        .arg(&output)
        .arg(&manifest)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let bootstrap = output.join("envoy.yaml");
    drop(ports);
    let mut starts = vec![{
        let mut serve = sluice();
        serve.args(["serve", "--concurrency", "1"]).arg(&bootstrap);
        serve
    }];
    if let Some(envoy) = std::env::var_os("ENVOY") {
        let mut command = Command::new(envoy);
        command.args(["--use-dynamic-base-id", "--concurrency", "1", "-c"]).arg(&bootstrap);
        starts.push(command);
    }
    std::thread::spawn(move || {
        for connection in upstream.incoming().flatten() {
            std::thread::spawn(move || answer(connection));
        }
    });
    for mut start in starts {
        start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let _gateway = Gateway(start.spawn().unwrap());
        let begin = std::time::Instant::now();
        let mut client = loop {
            match std::net::TcpStream::connect(("127.0.0.1", port)) {
                Ok(client) => break client,
                Err(error) => assert!(begin.elapsed().as_secs() < 120, "{start:?}: {error}"),
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        };
        client.write_all(b"GET /route/624/15/x HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("default/r624/15"), "{answer}");
    }
}

/// The walkthrough from its manifests to answers: on the embedded gateway and in Envoy, and its generated scenarios.
#[test]
fn the_walkthrough_runs_on_both_gateways() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let scratch = tempfile::tempdir().unwrap();
    let mut ports = Ports::default();
    let (port, admin) = (ports.free(), format!("127.0.0.1:{}", ports.free()));
    let mut options = vec!["--listen".to_owned(), "127.0.0.1".to_owned(), "--port".to_owned(), format!("8080={port}")];
    options.extend(["--admin".to_owned(), admin, "--wasm".to_owned(), root().join("dist").display().to_string()]);
    for name in ["default/product-service-v1", "default/product-service-v2"] {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        options.extend(["--endpoint".to_owned(), format!("{name}={}", server.local_addr().unwrap())]);
        std::thread::spawn(move || {
            for connection in server.incoming().flatten() {
                std::thread::spawn(move || named_answer(connection, name));
            }
        });
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let set = convert(scratch.path(), "app-mesh", "app-mesh/walkthrough.yaml", ("", ""), &options);
    drop(ports);
    let mut starts = vec![{
        let mut serve = sluice();
        serve.args(["serve", "--concurrency", "1"]).arg(set.join("envoy.yaml"));
        serve
    }];
    if let Some(envoy) = std::env::var_os("ENVOY") {
        let mut command = Command::new(envoy);
        command.args(["--use-dynamic-base-id", "--concurrency", "1", "-c"]).arg(set.join("envoy.yaml"));
        starts.push(command);
    }
    for mut start in starts {
        start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let _gateway = Gateway(start.spawn().unwrap());
        let begin = std::time::Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed().as_secs() < 60, "{start:?} does not start");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        for (headers, version) in [(vec![], "v1"), (vec!["X-User-Type: beta-tester".to_owned()], "v2")] {
            let request = Request {
                method: get(),
                host: None,
                path: "/products/items".to_owned(),
                port: None,
                headers,
                scheme: None,
                source: None,
            };
            let answer = ask(port, &request);
            assert!(
                answer.contains(&format!("\ncluster default/product-service-{version}\npath /items\n")),
                "{answer}"
            );
        }
    }
    let scenarios = set.join("scenarios/virtualgateway-default-my-virtual-gateway.yaml");
    let run = sluice().arg("test").arg(scenarios).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}

/// Situations whose tables Envoy's own routes can say: the same rows, decided by those routes in Envoy.
#[test]
fn native_routes_decide_the_same_in_envoy() {
    let Some(envoy) = std::env::var_os("ENVOY") else { return eprintln!("skipped: no ENVOY") };
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut asked = 0;
    for (folder, dialect) in
        [("app-mesh", Dialect::AppMesh), ("ingress", Dialect::Ingress), ("gateway-api", Dialect::GatewayApi)]
    {
        // a start of Envoy each: some of them
        for file in files(folder).into_iter().step_by(12) {
            asked += native(&file, dialect, Path::new(&envoy));
        }
    }
    assert!(asked > 30, "{asked}");
}

/// Asks the rows of a situation; how many there were.
fn native(file: &Path, dialect: Dialect, envoy: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    let situation: Situation = serde_saphyr::from_str(&text).unwrap();
    let class = situation.args.iter().position(|arg| arg == "--class").map(|at| situation.args[at + 1].clone());
    let options = Options { dialect, namespace: "default".to_owned(), class };
    let texts = [(file.display().to_string(), situation.manifests.clone())];
    let mut converted = sluice_convert::convert(&texts, &options).map_err(|_| ()).unwrap();
    converted.style = sluice_convert::Style::Native;
    let Some(entry) = converted.model.entries.iter().find(|entry| entry.id == situation.entry) else { return 0 };
    let Some(listener) = entry.listeners.first().filter(|listener| listener.tls.is_empty()) else { return 0 };
    if sluice_convert::emit::native::routes(&entry.tables[listener.table]).is_err() {
        return 0;
    }
    let port = listener.moved.unwrap_or(listener.port);
    // every listener on a port of its own, every cluster a server that says who it is
    let mut place = place();
    let mut ports = Ports::default();
    for listener in converted.model.entries.iter().flat_map(|entry| &entry.listeners) {
        let port = listener.moved.unwrap_or(listener.port);
        place.ports.insert(port, ports.free());
    }
    place.admin = ([127, 0, 0, 1], ports.free()).into();
    for (name, cluster) in &converted.model.clusters {
        if cluster.http2 {
            return 0;
        }
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        place.endpoints.insert(name.clone(), server.local_addr().unwrap());
        let name = name.clone();
        std::thread::spawn(move || {
            for connection in server.incoming().flatten() {
                let name = name.clone();
                std::thread::spawn(move || named_answer(connection, &name));
            }
        });
    }
    let files = sluice_convert::emit::files(&mut converted, &place, "test").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let bootstrap = scratch.path().join("envoy.yaml");
    std::fs::write(&bootstrap, &files["envoy.yaml"]).unwrap();
    if files["envoy.yaml"].contains("common_tls_context") {
        return 0;
    }
    drop(ports);
    let mut start = Command::new(envoy);
    start
        .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "error", "-c"])
        .arg(&bootstrap)
        .current_dir(root());
    start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let _gateway = Gateway(start.spawn().unwrap());
    let begin = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", place.ports[&port])).is_err() {
        assert!(begin.elapsed().as_secs() < 60, "{}: Envoy does not start", file.display());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut asked = 0;
    for row in &situation.cases {
        let Row { name, request, expect } = row;
        let plain =
            request.port.is_none_or(|wanted| wanted == port) && request.source.is_none() && request.scheme.is_none();
        let is_ascii = request.headers.iter().all(|header| !header.ends_with(':') && header.is_ascii());
        if !plain || !is_ascii || expect.grpc_status.is_some() || request.method == "CONNECT" {
            continue;
        }
        let answer = ask(place.ports[&port], request);
        let told = format!("{}: {name}: {answer}", file.display());
        let seen = |label: &str| answer.lines().find_map(|line| line.strip_prefix(label)).map(str::to_owned);
        match (&expect.backend, expect.backends.as_slice(), &expect.redirect, expect.status) {
            (Some(backend), ..) => assert_eq!(seen("cluster "), Some(backend.clone()), "{told}"),
            (_, [_, ..], ..) => assert!(expect.backends.contains(&seen("cluster ").unwrap_or_default()), "{told}"),
            (.., Some(redirect), _) => {
                assert!(answer.starts_with(&format!("HTTP/1.1 {}", redirect.status)), "{told}");
                assert_eq!(seen("location: "), Some(redirect.location.clone()), "{told}");
            }
            (.., Some(status)) => assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{told}"),
            _ => {}
        }
        if expect.backend.is_some() || !expect.backends.is_empty() {
            for (label, wanted) in [("path ", &expect.path), ("host ", &expect.host)] {
                if let Some(wanted) = wanted {
                    assert_eq!(seen(label).as_ref(), Some(wanted), "{told}");
                }
            }
        }
        asked += 1;
    }
    asked
}

/// Asks Envoy.
fn ask(port: u16, request: &Request) -> String {
    use std::io::{Read, Write};
    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let host = request.host.clone().unwrap_or_else(|| "client.test".to_owned());
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n", request.method, request.path);
    request.headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
    client.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer.replace('\r', "")
}

/// Answers one request with the name of the cluster, path and host.
fn named_answer(mut connection: std::net::TcpStream, name: &str) {
    use std::io::{Read, Write};
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(connection.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let body = format!("\ncluster {name}\npath {path}\nhost {host}\n");
    let _ = write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
}

/// Answers one request with its head.
fn answer(mut connection: std::net::TcpStream) {
    use std::io::{Read, Write};
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(connection.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    let _ = write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", head.len());
    let _ = connection.write_all(&head);
}
