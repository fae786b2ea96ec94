//! Gateways, upstreams and clients for the tests: plain blocking sockets with time limits.

use host_test::gateway::{self, Log, Options, Running, bootstrap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// No socket waits longer than this.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One end of a connection.
pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A message as it came over the wire.
#[derive(Debug, Clone)]
pub struct Message {
    /// The head without its last empty line, bytes as Latin-1.
    pub head: String,
    pub body: Vec<u8>,
    /// The body ended as its framing says.
    pub complete: bool,
}

impl Message {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

impl Socket {
    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// More bytes; false at the end of the connection (a reset is an end too).
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => {
                panic!("a socket hangs or breaks: {error}; so far {:?}", self.buffer.escape_ascii().to_string())
            }
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.truncate(line.len() - if line.ends_with(b"\r\n") { 2 } else { 1 });
                return Some(line);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The next head; `None` at the end of the connection.
    pub fn head(&mut self) -> Option<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(lines.join("\n"));
            }
            lines.push(line.iter().map(|byte| char::from(*byte)).collect::<String>());
        }
    }

    /// Exactly so many bytes, or what there is before the end.
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill() {}
        let count = count.min(self.buffer.len());
        self.buffer.drain(..count).collect()
    }

    /// One chunk of a chunked body; empty at its end, `None` when the connection broke off.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.line()?;
        let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
        let data = self.exactly(size);
        if data.len() < size {
            return None;
        }
        if size == 0 {
            while !self.line()?.is_empty() {}
            return Some(data);
        }
        self.line()?;
        Some(data)
    }

    /// A whole message whose head was read already.
    pub fn rest(&mut self, head: String) -> Message {
        let (mut body, mut complete) = (Vec::new(), true);
        if header(&head, "transfer-encoding").is_some() {
            loop {
                match self.chunk() {
                    Some(data) if data.is_empty() => break,
                    Some(data) => body.extend_from_slice(&data),
                    None => {
                        complete = false;
                        break;
                    }
                }
            }
        } else if let Some(length) = header(&head, "content-length") {
            let length = length.parse().unwrap();
            body = self.exactly(length);
            complete = body.len() == length;
        }
        Message { head, body, complete }
    }

    pub fn message(&mut self) -> Option<Message> {
        let head = self.head()?;
        Some(self.rest(head))
    }

    /// The next response.
    pub fn response(&mut self) -> Message {
        self.message().expect("the connection ended without a response")
    }

    /// Nothing more comes.
    pub fn ended(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill()
    }
}

/// A server whose connections are served by a function.
pub struct Upstream {
    pub address: SocketAddr,
}

impl Upstream {
    pub fn start(serve: impl Fn(&mut Socket) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = serve.clone();
                std::thread::spawn(move || serve(&mut Socket::new(stream)));
            }
        });
        Self { address }
    }

    /// Answers every request with `name`, then the request's head and body.
    pub fn echo(name: &'static str) -> Self {
        Self::start(move |socket| {
            while let Some(request) = socket.message() {
                let body = format!("{name}\n{}\n{}", request.head, request.text());
                if !socket.try_send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())) {
                    return;
                }
            }
        })
    }
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Lines of a cluster that speaks HTTP/2.
const HTTP2: &str = r#"    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"#;

/// A bootstrap in the making.
#[derive(Clone, Default)]
pub struct Setup {
    /// YAML lines of `routes`.
    pub routes: Vec<String>,
    pub clusters: Vec<(String, Vec<SocketAddr>)>,
    /// Root id, module, configuration.
    pub filters: Vec<(String, String, String)>,
    /// More lines of the connection manager.
    pub manager: String,
    /// More lines of the virtual host.
    pub host: String,
    /// More lines of the filter chain.
    pub chain: String,
    /// More lines of the route table.
    pub table: String,
    /// More lines of the listener.
    pub listener: String,
    /// The clusters that speak HTTP/2.
    pub http2: Vec<String>,
    /// More lines of each cluster.
    pub cluster_lines: String,
}

impl Setup {
    /// Everything goes to one upstream.
    pub fn to(upstream: &Upstream) -> Self {
        Self::default().route("match: {prefix: /}, route: {cluster: up}").cluster("up", &[upstream.address])
    }

    pub fn route(mut self, line: &str) -> Self {
        self.routes.push(line.to_owned());
        self
    }

    pub fn cluster(mut self, name: &str, addresses: &[SocketAddr]) -> Self {
        self.clusters.push((name.to_owned(), addresses.to_vec()));
        self
    }

    pub fn http2_cluster(mut self, name: &str, ports: &[u16]) -> Self {
        self.http2.push(name.to_owned());
        let addresses: Vec<SocketAddr> = ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect();
        self.cluster(name, &addresses)
    }

    /// A filter with the test guest `probe`, driven by the header `x-probe-ROOT_ID`.
    pub fn probe(self, root_id: &str, configuration: &str) -> Self {
        self.filter(root_id, &guest("probe"), configuration)
    }

    pub fn filter(mut self, root_id: &str, module: &str, configuration: &str) -> Self {
        self.filters.push((root_id.to_owned(), module.to_owned(), configuration.to_owned()));
        self
    }

    pub fn yaml(&self) -> String {
        let routes: String = self.routes.iter().map(|line| format!("              - {{{line}}}\n")).collect();
        let filters: String = self
            .filters
            .iter()
            .map(|(root_id, module, configuration)| {
                let configuration = configuration.replace('\'', "''");
                format!(
                    r#"          - name: {root_id}
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: {root_id}
                root_id: {root_id}
                failure_policy: FAIL_RELOAD
                reload_config: {{backoff: {{base_interval: 0.05s, max_interval: 0.1s}}}}
                allow_on_headers_stop_iteration: true
                configuration: {{"@type": type.googleapis.com/google.protobuf.StringValue, value: '{configuration}'}}
                vm_config:
                  runtime: envoy.wasm.runtime.v8
                  code: {{local: {{filename: '{module}'}}}}
"#
                )
            })
            .collect();
        let clusters: String = self.clusters.iter().map(|(name, addresses)| {
            let endpoints: Vec<_> = addresses.iter().map(|address| {
                format!("{{endpoint: {{address: {{socket_address: {{address: '{}', port_value: {}}}}}}}}}", address.ip(), address.port())
            }).collect();
            format!(
                "  - name: {name}\n    connect_timeout: 2s\n{}{}    load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{}]}}]}}\n",
                self.cluster_lines, if self.http2.contains(name) { HTTP2 } else { "" }, endpoints.join(", ")
            )
        }).collect();
        let clusters = if clusters.is_empty() { "    []\n".to_owned() } else { clusters };
        format!(
            r#"
admin:
  address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
static_resources:
  listeners:
  - name: main
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
{}    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
{}          route_config:
{}            virtual_hosts:
            - name: all
              domains: ["*"]
{}              routes:
{routes}          http_filters:
{filters}          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
{}  clusters:
{clusters}"#,
            self.listener, self.manager, self.table, self.host, self.chain
        )
    }

    pub fn start(&self) -> Gateway {
        Gateway::start(&self.yaml(), |_| {})
    }
}

/// The path of a test guest.
pub fn guest(name: &str) -> String {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist");
    let dist = std::env::var("SLUICE_DIST").unwrap_or_else(|_| default.to_owned());
    let path = format!("{dist}/guests/{name}.wasm");
    assert!(std::path::Path::new(&path).exists(), "{path} is missing; `cargo xtask wasm` builds the test guests");
    path
}

/// A running gateway and what it logs.
pub struct Gateway {
    pub running: Running,
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    pub access: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    pub fn start(yaml: &str, change: impl FnOnce(&mut Options)) -> Self {
        let (log, access) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (lines, records) = (log.clone(), access.clone());
        let mut options = Options {
            concurrency: 2,
            drain: Duration::from_secs(5),
            log: Log::new(
                move |level, text| lines.lock().unwrap().push(format!("[{}] {text}", level.name())),
                move |record| records.lock().unwrap().push(record.to_owned()),
            ),
            ..Options::default()
        };
        change(&mut options);
        let bootstrap = bootstrap::parse(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        let running = gateway::start(bootstrap, options).unwrap();
        let address = running.addresses()[0].1;
        Self { running, address, log, access }
    }

    pub fn connect(&self) -> Socket {
        Socket::connect(self.address)
    }

    /// One request on its own connection.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        let mut socket = self.connect();
        socket.send(request);
        socket.response()
    }

    /// A GET with more header lines.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Message {
        self.ask(get(path, headers))
    }

    pub fn logged(&self, words: &str) -> bool {
        self.log.lock().unwrap().iter().any(|line| line.contains(words))
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub fn admin(&self, path: &str) -> Message {
        let mut socket = Socket::connect(self.running.admin().unwrap());
        socket.send(get(path, &[]));
        socket.response()
    }

    pub fn stat(&self, name: &str) -> Option<u64> {
        let text = self.admin("/stats").text();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok())
    }
}

/// Options without a log.
pub fn quiet() -> Options {
    Options { log: Log::new(|_, _| {}, |_| {}), ..Options::default() }
}

pub fn get(path: &str, headers: &[(&str, &str)]) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n{lines}\r\n")
}

/// Waits until something is true.
pub fn eventually(what: &str, check: impl Fn() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
