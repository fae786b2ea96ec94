//! A real Envoy with two workers, in front of the test's upstream and its rate limit service.

use crate::client::Connection;
use crate::support::dist;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest that anything takes.
pub const BOUND: Duration = Duration::from_secs(20);
const TYPES: &str = "type.googleapis.com/envoy";

/// What an Envoy is started with, and what its listener can be changed to.
#[derive(Clone)]
pub struct Setup {
    pub module: PathBuf,
    pub configuration: Value,
    pub vm_configuration: &'static str,
    /// Port of the upstream; without one Envoy answers by itself.
    pub upstream: Option<u16>,
    /// Port of the rate limit service.
    pub service: Option<u16>,
    /// Envoy adds the client's address to `x-forwarded-for`, as it should where clients come to it directly.
    pub is_edge: bool,
    /// In the answer to `/version`.
    pub version: u32,
}

impl Setup {
    pub fn new(configuration: Value) -> Self {
        let module = dist().join("rate-limit.wasm");
        Self { module, configuration, vm_configuration: "", upstream: None, service: None, is_edge: false, version: 1 }
    }

    fn listener(&self, port: u16) -> Value {
        let text = |value: &str| json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value});
        let to_upstream = match self.upstream {
            Some(_) => json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}),
            None => json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}}),
        };
        let version = json!({"inline_string": self.version.to_string()});
        let answers_version =
            json!({"match": {"path": "/version"}, "direct_response": {"status": 200, "body": version}});
        json!({
            "@type": format!("{TYPES}.config.listener.v3.Listener"),
            "name": "limits",
            "address": address(port),
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
                "@type": format!("{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "limits",
                "max_request_headers_kb": 96,
                "use_remote_address": self.is_edge,
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answers_version, to_upstream]}]},
                "http_filters": [
                    {"name": "rate-limit", "typed_config": {
                        "@type": format!("{TYPES}.extensions.filters.http.wasm.v3.Wasm"),
                        "config": {
                            "name": "rate-limit", "failure_policy": "FAIL_RELOAD",
                            "reload_config": {"backoff": {"base_interval": "0.1s", "max_interval": "0.2s"}},
                            "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": self.configuration},
                            "vm_config": {"vm_id": "rate-limit", "runtime": "envoy.wasm.runtime.v8",
                                "configuration": text(self.vm_configuration),
                                "code": {"local": {"filename": self.module}}}}}},
                    {"name": "router", "typed_config": {"@type": format!("{TYPES}.extensions.filters.http.router.v3.Router")}}]}}]}]})
    }

    fn clusters(&self) -> Vec<Value> {
        let cluster = |(name, port): (&str, Option<u16>)| {
            let mut cluster = json!({"name": name, "connect_timeout": "1s",
                "load_assignment": {"cluster_name": name, "endpoints": [
                    {"lb_endpoints": [{"endpoint": {"address": address(port?)}}]}]}});
            if name == "service" {
                let options = format!("{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions");
                cluster["typed_extension_protocol_options"] = json!({options.trim_start_matches("type.googleapis.com/"): {
                    "@type": options, "explicit_http_config": {"http2_protocol_options": {}}}});
            }
            Some(cluster)
        };
        [("upstream", self.upstream), ("service", self.service)].into_iter().filter_map(cluster).collect()
    }
}

pub struct Envoy {
    process: Child,
    folder: PathBuf,
    port: u16,
    admin: u16,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        if std::thread::panicking() {
            eprintln!("Envoy's log:\n{}", self.log());
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

impl Envoy {
    /// `None`, and a word about it, where the variable `ENVOY` names no binary.
    pub fn start(setup: &Setup) -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let Some(binary) = std::env::var_os("ENVOY") else {
            eprintln!("SKIPPED: the variable ENVOY names none");
            return None;
        };
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("sluice-limits-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [port, admin] = sockets.each_ref().map(|socket| socket.local_addr().unwrap().port());
        drop(sockets);
        let source =
            json!({"path_config_source": {"path": folder.join("listeners.json")}, "resource_api_version": "V3"});
        let bootstrap = json!({
            "node": {"id": "limits", "cluster": "limits"},
            "admin": {"address": address(admin)},
            "dynamic_resources": {"lds_config": source},
            "static_resources": {"clusters": setup.clusters()}});
        let config = folder.join("bootstrap.json");
        fs::write(&config, bootstrap.to_string()).unwrap();
        write_listener(&folder, &setup.listener(port));
        let process = Command::new(binary)
            .args(["--use-dynamic-base-id", "--concurrency", "2", "--drain-time-s", "1", "-l", "warn", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("envoy.log")).unwrap())
            .spawn()
            .unwrap();
        let envoy = Self { process, folder, port, admin };
        eventually("Envoy is ready", || TcpStream::connect(("127.0.0.1", admin)).is_ok());
        eventually("Envoy is live", || envoy.ask_admin("/ready").contains("LIVE"));
        envoy.await_version(setup.version);
        Some(envoy)
    }

    /// Changes the listener; new connections see the change.
    pub fn update(&self, setup: &Setup) {
        write_listener(&self.folder, &setup.listener(self.port));
        self.await_version(setup.version);
    }

    fn await_version(&self, version: u32) {
        let answers = || {
            let mut connection = Connection::open(self.port)?;
            connection.send("GET /version HTTP/1.1\r\nhost: a\r\n\r\n");
            Some(connection.try_response()?.body == version.to_string())
        };
        eventually("the listener is there", || answers() == Some(true));
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.port).unwrap()
    }

    /// So many connections to each of the two workers.
    pub fn connections(&self, each: usize) -> [Vec<Connection>; 2] {
        let mut by_worker = [Vec::new(), Vec::new()];
        // the kernel deals them out
        for _ in 0..1000 {
            let before = self.dealt();
            let connection = self.connect();
            eventually("a worker has the connection", || self.dealt() != before);
            let worker = usize::from(self.dealt()[0] == before[0]);
            if by_worker[worker].len() < each {
                by_worker[worker].push(connection);
            }
            if by_worker.iter().all(|worker| worker.len() == each) {
                return by_worker;
            }
        }
        panic!("all connections come to one worker");
    }

    /// Connections that each worker has had.
    fn dealt(&self) -> [u64; 2] {
        [0, 1].map(|worker| self.stat(&format!("listener.127.0.0.1_{}.worker_{worker}.downstream_cx_total", self.port)))
    }

    /// A counter or gauge; 0 if there is none.
    pub fn stat(&self, name: &str) -> u64 {
        let stats = self.ask_admin("/stats");
        let line = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// Requests of a policy that ended so.
    pub fn requests(&self, policy: &str, result: &str) -> u64 {
        self.stat(&format!("wasmcustom.sluice_ratelimit.policy.{policy}.result.{result}.requests_total"))
    }

    /// What it has logged at level warning and above.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("envoy.log")).unwrap_or_default()
    }

    /// Waits until no request is left, and sees that no VM has died.
    pub fn assert_calm(&self) {
        eventually("all requests are over", || self.stat("http.limits.downstream_rq_active") == 0);
        let log = self.log();
        assert!(!log.contains("Proxy-Wasm VM failed") && !log.contains("Proxy-Wasm plugin in-VM backtrace"), "{log}");
    }

    /// Kilobytes of memory that it holds.
    pub fn resident_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn ask_admin(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.admin)) else { return String::new() };
        write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// Moved into place, so that Envoy sees it whole.
fn write_listener(folder: &std::path::Path, listener: &Value) {
    let new = folder.join("listeners.new");
    fs::write(&new, json!({"resources": [listener]}).to_string()).unwrap();
    fs::rename(new, folder.join("listeners.json")).unwrap();
}

pub fn eventually(what: &str, check: impl Fn() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !check() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}
