//! Manifests of the corpus are converted, and the real filter decides what becomes of requests: natively, in our host and in Envoy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "convert/corpus.rs"]
mod corpus;
#[path = "convert/gateways.rs"]
mod gateways;
#[path = "convert/native.rs"]
mod native;

use corpus::{Request, Situation, files, root, scenarios};
use gateways::{Gateway, Ports, answer, ask, named_answer};
use host_test::scenario::{Runner, Runners, Scenario};
use sluice_convert::Dialect;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Envoys that start at the same time may choose the same ports.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn check(dialect: Dialect, folder: &str) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let scratch = tempfile::tempdir().unwrap();
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for file in files(folder) {
        match scenarios(&file, dialect) {
            Err(problem) => problems.push(problem),
            Ok(made) => {
                for (name, scenario) in made {
                    let path = scratch.path().join(name);
                    std::fs::write(&path, serde_json::to_string(&scenario).unwrap()).unwrap();
                    all.push(Scenario::read(&path).unwrap_or_else(|error| panic!("{error}")));
                }
            }
        }
    }
    let envoy = std::env::var_os("ENVOY").map(PathBuf::from);
    let runners = [Runner::Core, Runner::Host].into_iter().chain(envoy.as_ref().map(|_| Runner::Envoy)).collect();
    let report = Runners { runners, dist: root().join("dist"), envoy }.run(&all).unwrap();
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
                method: "GET".to_owned(),
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
