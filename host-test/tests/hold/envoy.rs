//! A real Envoy whose listeners show bodies of held heads, do not, or have other filters.

use crate::support::{dist, guest_path};
use crate::{GUEST, rewrite, router};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Listener that shows bodies of held heads.
pub const SHOWS: usize = 0;
/// Listener that does not.
pub const IGNORES: usize = 1;

const BOUND: Duration = Duration::from_secs(20);
const TYPES: &str = "type.googleapis.com/envoy.extensions";

pub struct Envoy {
    process: Child,
    folder: PathBuf,
    ports: Vec<u16>,
    upstream: Arc<Mutex<Vec<String>>>,
}

pub struct Connection(BufReader<TcpStream>);

impl Drop for Envoy {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        fs::remove_dir_all(&self.folder).ok();
    }
}

impl Envoy {
    pub fn start(binary: &Path) -> Self {
        let folder = std::env::temp_dir().join(format!("sluice-hold-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let upstream = Arc::new(Mutex::new(Vec::new()));
        let server = serve(Arc::clone(&upstream));
        let sockets: Vec<_> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        drop(sockets);
        let text =
            |config: String| json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": config});
        let message = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": router()});
        let guest = guest_path("body-upper");
        let filters = [
            vec![wasm("shows", &guest, &text(GUEST.to_owned()), true)],
            vec![wasm("ignores", &guest, &text(GUEST.to_owned()), false)],
            vec![
                wasm("router", &dist().join("header-router.wasm"), &message, false),
                wasm("rewrite", &dist().join("prefix-rewrite.wasm"), &text(rewrite().to_string()), false),
            ],
        ];
        let listeners: Vec<Value> =
            filters.into_iter().zip(&ports).map(|(filters, port)| listener(*port, filters, &folder)).collect();
        let address = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        let bootstrap = json!({
            "admin": {"address": address(ports[3])},
            "static_resources": {"listeners": listeners, "clusters": [{
                "name": "up", "connect_timeout": "1s",
                "load_assignment": {"cluster_name": "up", "endpoints": [
                    {"lb_endpoints": [{"endpoint": {"address": address(server)}}]}]}}]}});
        let config = folder.join("bootstrap.json");
        fs::write(&config, bootstrap.to_string()).unwrap();
        let process = Command::new(binary)
            .args([
                "--use-dynamic-base-id",
                "--concurrency",
                "1",
                "-l",
                "warn",
                "--file-flush-interval-msec",
                "20",
                "-c",
            ])
            .arg(&config)
            .stdout(Stdio::null())
            // Not --log-path: that one is written every ten seconds only.
            .stderr(fs::File::create(folder.join("envoy.log")).unwrap())
            .spawn()
            .unwrap();
        let envoy = Self { process, folder, ports, upstream };
        eventually("Envoy is ready", || TcpStream::connect(("127.0.0.1", envoy.ports[3])).is_ok());
        eventually("Envoy is live", || envoy.ask_admin("/ready").contains("LIVE"));
        envoy
    }

    pub fn connect(&self, listener: usize) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", self.ports[listener])).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        Connection(BufReader::new(stream))
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("envoy.log")).unwrap()
    }

    /// The lines of a listener's access log, once there are so many.
    pub fn access_log(&self, listener: usize, count: usize) -> Vec<String> {
        let path = self.folder.join(format!("{}.log", self.ports[listener]));
        let read = || fs::read_to_string(&path).unwrap_or_default();
        eventually("the access log is written", || read().lines().count() >= count);
        read().lines().map(str::to_owned).collect()
    }

    /// What the upstream got.
    pub fn upstream(&self) -> Vec<String> {
        self.upstream.lock().unwrap().clone()
    }

    pub fn stats(&self) -> String {
        self.ask_admin("/stats")
    }

    fn ask_admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[3])).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Connection {
    pub fn send(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    /// Reads a response.
    pub fn status(&mut self) -> u16 {
        let response = read(&mut self.0).expect("a response");
        response.start.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

struct Message {
    start: String,
    fields: Vec<(String, String)>,
    body: String,
}

fn read(source: &mut impl BufRead) -> Option<Message> {
    let start = line(source)?;
    let mut fields = Vec::new();
    while let Some((name, value)) = line(source)?.split_once(": ") {
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut body = Vec::new();
    if fields.iter().any(|(_, value)| value == "chunked") {
        loop {
            let size = usize::from_str_radix(&line(source)?, 16).ok()?;
            let mut chunk = vec![0; size + 2];
            source.read_exact(&mut chunk).ok()?;
            body.extend(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else if let Some((_, size)) = fields.iter().find(|(name, _)| name == "content-length") {
        body = vec![0; size.parse().ok()?];
        source.read_exact(&mut body).ok()?;
    }
    Some(Message { start, fields, body: String::from_utf8(body).unwrap() })
}

fn line(source: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    (source.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

/// Keeps `path x-body-length n content-length m body` of each request.
fn serve(seen: Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                while let Some(Message { start, fields, body }) = read(&mut reader) {
                    let field = |name: &str| {
                        let found = fields.iter().find(|(known, _)| known == name);
                        format!("{name} {}", found.map_or("-", |(_, value)| value))
                    };
                    let path = start.split(' ').nth(1).unwrap();
                    let told = format!("{path} {} {} {body}", field("x-body-length"), field("content-length"));
                    seen.lock().unwrap().push(told);
                    if reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn wasm(name: &str, module: &Path, configuration: &Value, shows: bool) -> Value {
    json!({"name": name, "typed_config": {"@type": format!("{TYPES}.filters.http.wasm.v3.Wasm"), "config": {
        "name": name, "configuration": configuration, "allow_on_headers_stop_iteration": shows,
        "vm_config": {"vm_id": name, "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": module}}}}}})
}

fn listener(port: u16, mut filters: Vec<Value>, folder: &Path) -> Value {
    filters
        .push(json!({"name": "router", "typed_config": {"@type": format!("{TYPES}.filters.http.router.v3.Router")}}));
    let line = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %FILTER_STATE(wasm.body_length:PLAIN)%\n";
    json!({
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
            "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "hold",
            "access_log": [{"name": "file", "typed_config": {
                "@type": format!("{TYPES}.access_loggers.file.v3.FileAccessLog"),
                "path": folder.join(format!("{port}.log")),
                "log_format": {"text_format_source": {"inline_string": line}}}}],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}]},
            "http_filters": filters}}]}]})
}

fn eventually(what: &str, check: impl Fn() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !check() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}
