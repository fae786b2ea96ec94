//! envoy-configs/ai.yaml on free ports, with mocks of the providers behind it, on either gateway.
#![allow(dead_code)]

use mock_providers::{Kind, Server};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Longest wait for anything.
pub const BOUND: Duration = Duration::from_secs(30);

const BOOTSTRAP: &str = "envoy-configs/ai.yaml";

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A process that ends with the test.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let command = command.current_dir(root()).stdin(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn mocks() -> Server {
    Server::of(&Kind::ALL).unwrap()
}

/// A port that nobody has, and that nothing else in this process was given: Envoys share a port without complaint.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// The bundled bootstrap with the mocks' addresses.
pub struct Bootstrap {
    pub value: Value,
    pub port: u16,
    pub admin: u16,
}

impl Bootstrap {
    pub fn new(mocks: &Server) -> Self {
        Self::of(BOOTSTRAP, mocks)
    }

    pub fn of(file: &str, mocks: &Server) -> Self {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let mut value: Value = serde_saphyr::from_str(&text).unwrap();
        let (port, admin) = (free_port(), free_port());
        let socket = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        value["admin"]["address"] = socket(admin);
        value["static_resources"]["listeners"][0]["address"] = socket(port);
        for cluster in value["static_resources"]["clusters"].as_array_mut().unwrap() {
            let name = cluster["name"].as_str().unwrap().to_owned();
            let kind: Kind = name.parse().unwrap_or_else(|why| panic!("cluster {name}: {why}"));
            let address = mocks.address(kind).unwrap();
            cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] =
                socket(address.port());
        }
        Self { value, port, admin }
    }

    /// The plugin's map.
    pub fn plugin(&mut self) -> &mut Value {
        let manager = &mut self.value["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
        &mut manager["typed_config"]["http_filters"][0]["typed_config"]["config"]
    }

    /// The filter's configuration.
    pub fn filter(&mut self) -> &mut Value {
        &mut self.plugin()["configuration"]["value"]
    }

    /// All clusters speak HTTP/2.
    pub fn over_http2(&mut self) {
        for cluster in self.value["static_resources"]["clusters"].as_array_mut().unwrap() {
            cluster["typed_extension_protocol_options"] = json!({
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}}}});
        }
    }

    pub fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join("ai.yaml");
        fs::write(&file, self.value.to_string()).unwrap();
        file
    }
}

/// The command of a gateway with that file.
pub fn embedded(file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(["serve", "--watch-interval-ms", "0"]).arg(file);
    command
}

/// The same on Envoy, if there is one.
pub fn envoy(file: &Path, workers: u8) -> Option<Command> {
    let mut command = Command::new(std::env::var_os("ENVOY")?);
    let workers = workers.to_string();
    command.args(["--use-dynamic-base-id", "--concurrency", &workers, "-l", "error", "-c"]).arg(file);
    Some(command)
}

/// Whether the gateway says that it is ready.
fn is_ready(bootstrap: &Bootstrap) -> bool {
    let ask = || -> std::io::Result<bool> {
        TcpStream::connect(("127.0.0.1", bootstrap.port))?;
        let mut stream = TcpStream::connect(("127.0.0.1", bootstrap.admin))?;
        stream.set_read_timeout(Some(BOUND))?;
        write!(stream, "GET /ready HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

/// Starts a gateway and waits until it is ready.
pub fn serve(command: &mut Command, bootstrap: &Bootstrap) -> Running {
    let mut running = Running::start(command.stdout(Stdio::null()));
    let begin = Instant::now();
    while !is_ready(bootstrap) {
        assert!(running.0.try_wait().unwrap().is_none(), "the gateway ended before it listened");
        assert!(begin.elapsed() < BOUND, "the gateway does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

/// What came of a response.
#[derive(Debug, Default)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// It ended as HTTP says.
    pub complete: bool,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// A connection of a client.
pub struct Client {
    stream: TcpStream,
    raw: Vec<u8>,
    ended: bool,
}

impl Client {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_write_timeout(Some(BOUND)).unwrap();
        Self { stream, raw: Vec::new(), ended: false }
    }

    /// The head of a request; without a length, its body comes in chunks.
    pub fn head(&mut self, path: &str, headers: &[(&str, &str)], length: Option<usize>) {
        let mut head =
            format!("POST {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-type: application/json\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match length {
            Some(length) => head.push_str(&format!("content-length: {length}\r\n\r\n")),
            None => head.push_str("transfer-encoding: chunked\r\n\r\n"),
        }
        self.stream.write_all(head.as_bytes()).unwrap();
    }

    /// As much of a body as the gateway takes: one that refuses it stops reading.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Reads until this is there, or the end.
    pub fn until(&mut self, text: &str) -> String {
        while !self.ended && !String::from_utf8_lossy(&self.raw).contains(text) {
            self.fill();
        }
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// Whether something has come already, or comes within a moment.
    pub fn has_answer(&self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let came = matches!(self.stream.peek(&mut [0]), Ok(1));
        self.stream.set_read_timeout(Some(BOUND)).unwrap();
        came
    }

    fn fill(&mut self) {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(count) if count > 0 => self.raw.extend_from_slice(&buffer[..count]),
            _ => self.ended = true,
        }
    }

    /// Reads to the end.
    pub fn response(mut self) -> Response {
        while !self.ended {
            self.fill();
        }
        let raw = self.raw;
        let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") else { return Response::default() };
        let (head, rest) = (String::from_utf8_lossy(&raw[..end + 2]).into_owned(), &raw[end + 4..]);
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let (body, complete) = match length {
            Some(length) => (rest.to_vec(), rest.len() == length),
            None => unchunked(rest),
        };
        Response { status, head, body, complete }
    }
}

fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        rest = &rest[line + 2..];
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
    (body, false)
}

/// Posts JSON.
pub fn post(port: u16, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut client = Client::connect(port);
    let body = body.to_string();
    client.head(path, headers, Some(body.len()));
    client.write(body.as_bytes());
    client.response()
}

/// The value of a counter.
pub fn counter(admin: u16, name: &str) -> u64 {
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    write!(stream, "GET /stats?filter=sluice_ai HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("wasmcustom.{name}: ")));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

/// Waits until a counter has that value.
pub fn wait_for(admin: u16, name: &str, value: u64) {
    let begin = Instant::now();
    while counter(admin, name) != value {
        assert!(begin.elapsed() < BOUND, "{name} is {}, not {value}", counter(admin, name));
        std::thread::sleep(Duration::from_millis(20));
    }
}
