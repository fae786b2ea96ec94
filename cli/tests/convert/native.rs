//! The corpus, decided by Envoy's own routes.

use super::ONE_AT_A_TIME;
use super::corpus::{Row, Situation, files, place, root};
use super::gateways::{Gateway, Ports, ask, named_answer};
use sluice_convert::{Dialect, Options};
use std::path::Path;
use std::process::Command;

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
