//! A real Envoy with two workers that answers by itself what the filter lets pass.

use crate::support::dist;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(20);
const TYPES: &str = "type.googleapis.com/envoy.extensions";

pub struct Envoy {
    process: Child,
    folder: PathBuf,
    port: u16,
    admin: u16,
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
    pub fn start(binary: &Path, configuration: &Value) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("sluice-limits-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [port, admin] = sockets.each_ref().map(|socket| socket.local_addr().unwrap().port());
        drop(sockets);
        let address = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        let bootstrap = json!({
            "admin": {"address": address(admin)},
            "static_resources": {"listeners": [{
                "address": address(port),
                "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
                    "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                    "stat_prefix": "limits",
                    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                        {"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}]},
                    "http_filters": [
                        {"name": "rate-limit", "typed_config": {
                            "@type": format!("{TYPES}.filters.http.wasm.v3.Wasm"),
                            "config": {
                                "name": "rate-limit", "failure_policy": "FAIL_RELOAD",
                                "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": configuration},
                                "vm_config": {"vm_id": "rate-limit", "runtime": "envoy.wasm.runtime.v8",
                                    "code": {"local": {"filename": dist().join("rate-limit.wasm")}}}}}},
                        {"name": "router", "typed_config": {"@type": format!("{TYPES}.filters.http.router.v3.Router")}}]}}]}]}]}});
        let config = folder.join("bootstrap.json");
        fs::write(&config, bootstrap.to_string()).unwrap();
        let process = Command::new(binary)
            .args(["--use-dynamic-base-id", "--concurrency", "2", "-l", "warn", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let envoy = Self { process, folder, port, admin };
        eventually("Envoy is ready", || TcpStream::connect(("127.0.0.1", admin)).is_ok());
        eventually("Envoy is live", || envoy.ask_admin("/ready").contains("LIVE"));
        envoy
    }

    /// So many connections to each of the two workers.
    pub fn connections(&self, each: usize) -> [Vec<Connection>; 2] {
        let mut by_worker = [Vec::new(), Vec::new()];
        // the kernel deals them out
        for _ in 0..1000 {
            let before = self.dealt();
            let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            stream.set_read_timeout(Some(BOUND)).unwrap();
            stream.set_nodelay(true).unwrap();
            eventually("a worker has the connection", || self.dealt() != before);
            let worker = usize::from(self.dealt()[0] == before[0]);
            if by_worker[worker].len() < each {
                by_worker[worker].push(Connection(BufReader::new(stream)));
            }
            if by_worker.iter().all(|worker| worker.len() == each) {
                return by_worker;
            }
        }
        panic!("all connections come to one worker");
    }

    /// Connections that each worker has had.
    fn dealt(&self) -> [u64; 2] {
        let stats = self.ask_admin("/stats?filter=worker_.*downstream_cx_total");
        [0, 1].map(|worker| {
            let name = format!("listener.127.0.0.1_{}.worker_{worker}.downstream_cx_total: ", self.port);
            let line = stats.lines().find_map(|line| line.strip_prefix(&name));
            line.unwrap_or_else(|| panic!("no {name}in {stats}")).parse().unwrap()
        })
    }

    fn ask_admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Connection {
    /// Sends a request and reads the whole response; its status.
    pub fn ask(&mut self, path: &str, key: &str) -> u16 {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-key: {key}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        while let Some((name, value)) = self.line().split_once(": ") {
            if name == "content-length" {
                length = value.parse().unwrap();
            }
        }
        self.0.read_exact(&mut vec![0; length]).unwrap();
        status
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the connection has ended");
        line.trim_end().to_owned()
    }
}

fn eventually(what: &str, check: impl Fn() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !check() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}
