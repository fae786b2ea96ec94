//! An upstream filter runs once for each attempt of a request, each time on the head as the last attempt left it. Only a
//! real Envoy has such filters; the guest `probe` does what a header says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const TYPES: &str = "type.googleapis.com/envoy.extensions";

struct Envoy(Child);

impl Drop for Envoy {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Answers 503 as often as said, then 200; the request heads come out.
fn upstream(failures: usize) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, received) = mpsc::channel();
    std::thread::spawn(move || {
        for (number, socket) in listener.incoming().flatten().enumerate() {
            heads.send(head(&socket)).ok();
            let status = if number < failures { "503 No" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            (&socket).write_all(answer.as_bytes()).ok();
        }
    });
    (port, received)
}

fn head(mut socket: &TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        match socket.read(&mut piece) {
            Ok(size) if size > 0 => bytes.extend(&piece[..size]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn start(binary: &Path, module: &Path, configuration: &Value, port: u16, upstream: u16) -> Envoy {
    let address = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let filter = json!({"name": "probe", "typed_config": {
        "@type": format!("{TYPES}.filters.http.wasm.v3.Wasm"), "config": {
            "name": "probe", "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration.to_string()},
            "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": module}}}}}});
    let codec = json!({"name": "codec", "typed_config": {
        "@type": format!("{TYPES}.filters.http.upstream_codec.v3.UpstreamCodec")}});
    let router = json!({"name": "router", "typed_config": {"@type": format!("{TYPES}.filters.http.router.v3.Router")}});
    let route = json!({"match": {"prefix": "/"}, "route": {
        "cluster": "up", "retry_policy": {"retry_on": "5xx", "num_retries": 3, "retry_back_off": {"base_interval": "0.001s"}}}});
    let bootstrap = json!({"static_resources": {
        "listeners": [{"name": "l", "address": address(port), "filter_chains": [{"filters": [{
            "name": "hcm", "typed_config": {
                "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "s", "http_filters": [router],
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]}}}]}]}],
        "clusters": [{"name": "up", "type": "STATIC",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http_protocol_options": {}}, "http_filters": [filter, codec]}},
            "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]}}]}});
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("retries-{port}.json"));
    std::fs::write(&file, bootstrap.to_string()).unwrap();
    let mut command = Command::new(binary);
    command.arg("-c").arg(&file).args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]);
    Envoy(command.stdin(Stdio::null()).spawn().unwrap())
}

/// Sends a request through Envoy to an upstream that fails twice; the heads that it got. `None` without an Envoy.
fn attempts(module: &str, configuration: &Value, request: &str) -> Option<Vec<String>> {
    let Some(binary) = std::env::var_os("ENVOY").map(PathBuf::from) else {
        eprintln!("SKIPPED: the variable ENVOY names none");
        return None;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let dist = std::env::var_os("SLUICE_DIST").map_or_else(|| root.join("dist"), PathBuf::from);
    let (to, heads) = upstream(2);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _envoy = start(&binary, &dist.join(module), configuration, port, to);
    let begin = Instant::now();
    let socket = loop {
        assert!(begin.elapsed() < PATIENCE, "Envoy does not listen");
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => break socket,
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    (&socket).write_all(request.as_bytes()).unwrap();
    let answer = head(&socket);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    Some(heads.try_iter().collect())
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

#[test]
fn an_upstream_filters_edits_stay_for_the_next_attempt_in_envoy() {
    let script = "x-probe-: rh: add 0 :path /again; add 0 x-attempt 1";
    let request = format!("GET /a HTTP/1.1\r\nhost: a.test\r\n{script}\r\n\r\n");
    let Some(heads) = attempts("guests/probe.wasm", &json!({}), &request) else { return };
    let seen: Vec<_> = heads.iter().map(|head| (path(head), head.matches("x-attempt: 1").count())).collect();
    // adding to the path joins with a comma
    assert_eq!(seen, [("/a,/again", 1), ("/a,/again,/again", 2), ("/a,/again,/again,/again", 3)]);
}

#[test]
fn prefix_rewrite_rewrites_the_first_attempt_only_in_envoy() {
    let rule = |name: &str, from: &str, to: &str| json!({"name": name, "match": {"path": {"prefix": from}}, "rewrite": {"prefix": to}});
    let rules = json!({"rules": [rule("a", "/a", "/b"), rule("b", "/b", "/c")]});
    let request = "GET /a/x?y HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let Some(heads) = attempts("prefix-rewrite.wasm", &rules, request) else { return };
    assert_eq!(heads.iter().map(|head| path(head)).collect::<Vec<_>>(), ["/b/x?y"; 3]);
}
