//! The table in a real Envoy: raw bytes to its listeners, a server of our own as its upstream.

use crate::ours;
use crate::support::grpc::Server;
use crate::support::guest_path;
use crate::table::{Case, shown, shown_headers};
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(3);

pub fn run(table: &[Case], binary: &Path) -> Vec<Vec<String>> {
    let upstream = Upstream::start(table);
    let service = Server::start();
    let envoy = Envoy::start(binary, upstream.port, service.port);
    table.iter().map(|case| envoy.exchange(case, &upstream)).collect()
}

/// A message as it came over a connection.
#[derive(Clone, Default)]
struct Message {
    start: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
    complete: bool,
}

impl Message {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn shown_headers(&self) -> String {
        shown_headers(self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }

    fn shown_trailers(&self) -> String {
        if self.trailers.is_empty() {
            return String::new();
        }
        format!(" trailers{}", shown_headers(self.trailers.iter().map(|(n, v)| (n.as_str(), v.as_str()))))
    }

    /// Reads one HTTP/1.1 message. `None` when nothing came at all.
    fn read(stream: &mut TcpStream, without_body: bool) -> Option<Self> {
        let mut bytes = Bytes { stream, seen: Vec::new(), at: 0 };
        let mut message = Message { start: bytes.line()?, ..Message::default() };
        message.headers = bytes.fields()?;
        let no_content = message.start.contains(" 204");
        if without_body || no_content {
            message.complete = true;
        } else if message.header("transfer-encoding").is_some() {
            while let Some(size) = bytes.line().and_then(|line| usize::from_str_radix(line.trim(), 16).ok()) {
                if size == 0 {
                    if let Some(trailers) = bytes.fields() {
                        message.trailers = trailers;
                        message.complete = true;
                    }
                    break;
                }
                let Some(chunk) = bytes.exactly(size) else { break };
                message.body.extend(chunk);
                bytes.line();
            }
        } else if let Some(size) = message.header("content-length").and_then(|size| size.parse().ok()) {
            let body = bytes.up_to(size);
            message.complete = body.len() == size;
            message.body = body;
        } else {
            message.complete = true;
        }
        Some(message)
    }
}

struct Bytes<'a> {
    stream: &'a mut TcpStream,
    seen: Vec<u8>,
    at: usize,
}

impl Bytes<'_> {
    fn more(&mut self) -> bool {
        let mut buffer = [0; 16384];
        match self.stream.read(&mut buffer) {
            Ok(n) if n > 0 => {
                self.seen.extend(&buffer[..n]);
                true
            }
            _ => false,
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.seen[self.at..].windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.seen[self.at..self.at + end]).into_owned();
                self.at += end + 2;
                return Some(line);
            }
            if !self.more() {
                return None;
            }
        }
    }

    fn fields(&mut self) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(fields);
            }
            let (name, value) = line.split_once(':')?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn up_to(&mut self, size: usize) -> Vec<u8> {
        while self.seen.len() - self.at < size && self.more() {}
        let end = self.seen.len().min(self.at + size);
        let piece = self.seen[self.at..end].to_vec();
        self.at = end;
        piece
    }

    fn exactly(&mut self, size: usize) -> Option<Vec<u8>> {
        let piece = self.up_to(size);
        (piece.len() == size).then_some(piece)
    }
}

struct Upstream {
    port: u16,
    seen: Arc<Mutex<HashMap<String, Message>>>,
}

impl Upstream {
    fn start(table: &[Case]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let cases: Arc<HashMap<String, Case>> =
            Arc::new(table.iter().map(|case| (case.name.clone(), case.clone())).collect());
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, cases) = (Arc::clone(&shared), Arc::clone(&cases));
                std::thread::spawn(move || serve(stream, &seen, &cases));
            }
        });
        Self { port, seen }
    }
}

/// Answers one request and closes.
fn serve(mut stream: TcpStream, seen: &Mutex<HashMap<String, Message>>, cases: &HashMap<String, Case>) {
    let bodyless = false;
    let Some(message) = Message::read(&mut stream, bodyless) else { return };
    let name = message.header("x-case").unwrap_or_default().to_owned();
    if message.start.contains(" /slow ") {
        std::thread::sleep(PATIENCE);
        return;
    }
    if message.start.contains(" /side ") {
        let _ =
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-side: yes\r\nconnection: close\r\n\r\nside");
        return;
    }
    if !message.complete {
        return;
    }
    seen.lock().unwrap().insert(name.clone(), message);
    let Some(case) = cases.get(&name) else { return };
    let mut answer = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", case.status);
    for (name, value) in &case.answer_headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut answer = answer.into_bytes();
    let no_body = case.is_head() || case.status == 204;
    if no_body {
        answer.extend(b"\r\n");
    } else if case.answer_trailers.is_empty() {
        answer.extend(format!("content-length: {}\r\n\r\n", case.answer.len()).bytes());
        answer.extend(&case.answer);
    } else {
        answer.extend(format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", case.answer.len()).bytes());
        answer.extend(&case.answer);
        answer.extend(b"\r\n0\r\n");
        for (name, value) in &case.answer_trailers {
            answer.extend(format!("{name}: {value}\r\n").bytes());
        }
        answer.extend(b"\r\n");
    }
    let _ = stream.write_all(&answer);
}

struct Envoy {
    process: Child,
    log: PathBuf,
    ports: HashMap<&'static str, u16>,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Envoy {
    fn start(binary: &Path, upstream: u16, service: u16) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("conformance");
        fs::create_dir_all(&dir).unwrap();
        let (config, log) = (dir.join("envoy.yaml"), dir.join("envoy.log"));
        let ports: HashMap<&'static str, u16> = ["plain", "stop", "small"].map(|name| (name, free_port())).into();
        fs::write(&config, bootstrap(&ports, upstream, free_port(), service)).unwrap();
        let process = Command::new(binary)
            .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "info", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            // Not --log-path: that one is written every ten seconds only.
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let envoy = Self { process, log, ports };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !envoy.log_from(0).contains("starting main dispatch loop") || !envoy.listens() {
            assert!(Instant::now() < deadline, "Envoy does not start:\n{}", envoy.log_from(0));
            std::thread::sleep(Duration::from_millis(50));
        }
        envoy
    }

    fn listens(&self) -> bool {
        self.ports.values().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
    }

    fn log_from(&self, offset: usize) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(offset..).unwrap_or_default()).into_owned()
    }

    fn exchange(&self, case: &Case, upstream: &Upstream) -> Vec<String> {
        let offset = self.log_from(0).len();
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[case.listener.as_str()])).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&request(case)).unwrap();
        if case.leaves {
            std::thread::sleep(Duration::from_millis(100));
            drop(stream);
            return self.lines(case, offset, None, true, upstream);
        }
        let response = Message::read(&mut stream, case.is_head());
        let mut rest = [0; 1];
        let open = matches!(&response, None | Some(Message { complete: false, .. }))
            && matches!(stream.read(&mut rest), Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset);
        drop(stream);
        self.lines(case, offset, response, open, upstream)
    }

    /// What the probes have said once the streams are over, and what both ends have seen.
    fn lines(
        &self,
        case: &Case,
        offset: usize,
        response: Option<Message>,
        open: bool,
        upstream: &Upstream,
    ) -> Vec<String> {
        let deadline = Instant::now() + if case.traps { Duration::from_millis(400) } else { PATIENCE };
        loop {
            let log = self.log_from(offset);
            let over = log.matches("|delete|end").count() >= 2;
            let answers = ["|grpc|end", "|gclose|end"].map(|end| log.matches(end).count()).iter().sum::<usize>();
            if over && answers >= case.answers || Instant::now() > deadline {
                let lines = log.lines().filter_map(|line| ours::line(case, line));
                return lines.chain(ends(case, response, open, upstream)).collect();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn ends(case: &Case, response: Option<Message>, open: bool, upstream: &Upstream) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(seen) = upstream.seen.lock().unwrap().get(&case.name) {
        let start = seen.start.trim_end_matches(" HTTP/1.1");
        lines.push(format!(
            "upstream: {start}{} body {}{}",
            seen.shown_headers(),
            shown(&seen.body),
            seen.shown_trailers()
        ));
    }
    lines.push(match response {
        None if open => "client: hangs".to_owned(),
        None => "client: cut".to_owned(),
        Some(message) => {
            let status = message.start.split(' ').nth(1).unwrap_or_default().to_owned();
            let end = match (message.complete, open) {
                (true, _) => "",
                (false, true) => " hangs",
                (false, false) => " cut",
            };
            let (headers, trailers) = (message.shown_headers(), message.shown_trailers());
            format!("client: {status}{headers} body {}{trailers}{end}", shown(&message.body))
        }
    });
    lines
}

fn request(case: &Case) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\nhost: a.test\r\nx-case: {}\r\n", case.method, case.path, case.name);
    for (name, value) in &case.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut bytes = head.into_bytes();
    match &case.body {
        None => bytes.extend(b"\r\n"),
        Some(body) if case.trailers.is_empty() => {
            bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
            bytes.extend(body);
        }
        Some(body) => {
            bytes.extend(format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len()).bytes());
            bytes.extend(body);
            bytes.extend(b"\r\n0\r\n");
            for (name, value) in &case.trailers {
                bytes.extend(format!("{name}: {value}\r\n").bytes());
            }
            bytes.extend(b"\r\n");
        }
    }
    bytes
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn bootstrap(ports: &HashMap<&'static str, u16>, upstream: u16, dead: u16, service: u16) -> String {
    let code = guest_path("probe");
    let mut text = "static_resources:\n  listeners:\n".to_owned();
    for (name, port) in ports {
        let stop = *name != "plain";
        let limit = if *name == "small" { 1024 } else { 1024 * 1024 };
        let mut filters = String::new();
        for root in ["a", "b"] {
            filters.push_str(&format!(
                r#"
          - name: probe-{root}
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: probe-{root}
                root_id: {root}
                failure_policy: FAIL_RELOAD
                reload_config: {{backoff: {{base_interval: 0.1s, max_interval: 1s}}}}
                allow_on_headers_stop_iteration: {stop}
                configuration: {{"@type": type.googleapis.com/google.protobuf.StringValue, value: "cfg: buf 7 0 5; buf 6 0 3; set-buf 7 0 0 x | "}}
                vm_config:
                  vm_id: v-{name}
                  runtime: envoy.wasm.runtime.v8
                  configuration: {{"@type": type.googleapis.com/google.protobuf.StringValue, value: "vm: buf 7 0 9; buf-status 6; prop plugin_root_id"}}
                  code: {{local: {{filename: "{}"}}}}"#,
                code.display()
            ));
        }
        text.push_str(&format!(
            r#"  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    per_connection_buffer_limit_bytes: {limit}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          http_protocol_options: {{enable_trailers: true}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - name: main
                match: {{prefix: "/"}}
                route: {{cluster: up}}
          http_filters:{filters}
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"#
        ));
    }
    text.push_str("  clusters:\n");
    let http1 = "http_protocol_options: {enable_trailers: true}";
    let http2 = "http2_protocol_options: {}";
    for (name, port, protocol) in [
        ("up", Some(upstream), http1),
        ("side", Some(upstream), http1),
        ("dead", Some(dead), http1),
        ("rpc", Some(service), http2),
        ("rpc-dead", Some(dead), http2),
        // What speaks HTTP/1 with a gRPC server, and HTTP/2 with a server that does not.
        ("rpc-1", Some(service), http1),
        ("rpc-up", Some(upstream), http2),
        ("none", None, http2),
    ] {
        let hosts = port.map(|port| {
            format!("{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}")
        });
        let hosts = hosts.unwrap_or_default();
        text.push_str(&format!(
            r#"  - name: {name}
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{{protocol}}}
    load_assignment:
      cluster_name: {name}
      endpoints: [{{lb_endpoints: [{hosts}]}}]
"#
        ));
    }
    text
}
