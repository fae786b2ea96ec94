//! The `envoy` runner: the `.wasm` files in a real Envoy, one process for all files of a run.

use super::access_log::AccessLog;
use super::connection;
use super::format::{Case, FilterUse, Scenario, expand};
use super::observe::{Message, Observation};
use super::wasm::{Modules, configuration};
use super::wire::{self, Kind, Reader};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A running Envoy with a listener for each scenario.
pub struct Envoy {
    process: Child,
    listeners: Vec<u16>,
    /// For each listener, if the cases look at it.
    logs: Vec<Option<AccessLog>>,
    admin: u16,
    upstreams: Arc<Mutex<Upstreams>>,
    folder: PathBuf,
}

/// What the upstream servers answer, and what they got.
#[derive(Default)]
struct Upstreams {
    answer: Vec<u8>,
    got: Vec<(String, Message)>,
}

/// Longest wait for anything.
const BOUND: Duration = Duration::from_secs(20);
const TYPES: &str = "type.googleapis.com/envoy.extensions";

impl Envoy {
    /// Starts Envoy for these scenarios.
    pub fn start(binary: &Path, modules: &Modules, scenarios: &[Scenario]) -> Result<Self, String> {
        let upstreams = Arc::new(Mutex::new(Upstreams::default()));
        let clusters: BTreeSet<&String> = scenarios.iter().flat_map(|scenario| &scenario.file.clusters).collect();
        let mut served = Vec::new();
        for cluster in clusters {
            served.push((cluster.clone(), serve(cluster, &upstreams).map_err(|error| error.to_string())?));
        }
        let mut ports = free_ports(scenarios.len() + 1).map_err(|error| error.to_string())?;
        let admin = ports.pop().unwrap_or_default();
        let folder = folder().map_err(|error| error.to_string())?;
        let logs: Vec<Option<AccessLog>> =
            scenarios.iter().zip(&ports).map(|(each, port)| AccessLog::new(&each.file, &folder, *port)).collect();
        let listeners = scenarios.iter().zip(&ports).zip(&logs);
        let listeners: Vec<Value> =
            listeners.map(|((scenario, port), log)| listener(scenario, *port, modules, log.as_ref())).collect();
        let clusters: Vec<Value> = served.iter().map(|(name, port)| cluster(name, *port)).collect();
        let bootstrap = json!({
            "admin": {"address": socket(admin)},
            "static_resources": {"listeners": listeners, "clusters": clusters}});
        let (file, log) = (folder.join("bootstrap.json"), folder.join("envoy.log"));
        std::fs::write(&file, bootstrap.to_string()).map_err(|error| error.to_string())?;
        let mut command = Command::new(binary);
        command.arg("-c").arg(&file).args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warn", "--log-path"]);
        let command = command
            .arg(&log)
            .args(["--file-flush-interval-msec", "20"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut envoy = Self { process, listeners: ports, logs, admin, upstreams, folder };
        envoy.wait(&log)?;
        Ok(envoy)
    }

    fn wait(&mut self, log: &Path) -> Result<(), String> {
        let begin = Instant::now();
        while begin.elapsed() < BOUND {
            if let Ok(Some(status)) = self.process.try_wait() {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                return Err(format!("Envoy ended ({status}) before it was ready:\n{log}"));
            }
            if self.admin("/ready").is_ok_and(|answer| answer.starts_with(b"LIVE")) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("Envoy is not ready".to_owned())
    }

    /// Runs one case of the scenario with this number.
    pub fn run(&self, scenario: usize, case: &Case) -> Result<Observation, String> {
        let port = self.listeners.get(scenario).copied().unwrap_or_default();
        {
            let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
            upstreams.got.clear();
            upstreams.answer = answer(case);
        }
        let before = self.counters(case)?;
        let access_log = self.logs.get(scenario).and_then(Option::as_ref);
        let logged = access_log.map_or(0, AccessLog::lines);
        let (client, reset) = self.exchange(port, case).map_err(|error| format!("the client: {error}"))?;
        let after = self.counters(case)?;
        let mut log = access_log.map_or_else(|| Ok(BTreeMap::new()), |log| log.fields(logged, BOUND))?;
        log.retain(|name, _| case.log.contains_key(name));
        let grown = after.into_iter().filter_map(|(name, value)| {
            let grown = value - before.get(&name).copied().unwrap_or(0);
            (grown > 0).then_some((name, grown))
        });
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        if upstreams.got.len() > 1 {
            return Err(format!("the upstream got {} requests", upstreams.got.len()));
        }
        Ok(Observation { upstream: upstreams.got.pop(), client, reset, counters: grown.collect(), log })
    }

    fn exchange(&self, port: u16, case: &Case) -> io::Result<(Message, bool)> {
        let mut socket = connect(port)?;
        let request = &case.request;
        let first = [request.method.as_bytes(), b" ", request.path.bytes(), b" HTTP/1.1"].concat();
        let mut headers = vec![("connection".to_owned(), b"close".to_vec())];
        headers.extend(request.authority.as_ref().map(|host| ("host".to_owned(), host.bytes().to_vec())));
        headers.extend(expand(&request.headers));
        let body = request.body.as_ref().map(super::format::Text::bytes);
        let mut bytes = connection::proxy_line(case).unwrap_or_default();
        bytes.extend(wire::write(&first, &headers, body, &expand(&request.trailers)));
        let mut sending = socket.try_clone()?;
        // an answer may come before the request has ended, and then nobody reads the rest
        let sender = std::thread::spawn(move || sending.write_all(&bytes));
        let received = Reader::new(&mut socket).message(Kind::Response { to_head: request.method == "HEAD" });
        socket.shutdown(std::net::Shutdown::Both).ok();
        sender.join().ok();
        match received? {
            Some(received) => Ok((received.message, !received.complete)),
            None => Ok((Message::default(), true)),
        }
    }

    fn counters(&self, case: &Case) -> Result<BTreeMap<String, u64>, String> {
        if case.counters.is_empty() {
            return Ok(BTreeMap::new());
        }
        let text = self.admin("/stats?filter=^wasmcustom").map_err(|error| format!("stats: {error}"))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = |line: &str| {
            let (name, value) = line.strip_prefix("wasmcustom.")?.rsplit_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    fn admin(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut socket = connect(self.admin)?;
        let head = format!("GET {path} HTTP/1.1");
        let headers = [("host".to_owned(), b"admin".to_vec()), ("connection".to_owned(), b"close".to_vec())];
        socket.write_all(&wire::write(head.as_bytes(), &headers, None, &[]))?;
        let received = Reader::new(socket).message(Kind::Response { to_head: false })?;
        Ok(received.map(|received| received.message.body).unwrap_or_default())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The lines that Envoy logs when it refuses a configuration, or nothing if it takes it.
pub fn refusal(binary: &Path, modules: &Modules, filter: &FilterUse) -> Result<Option<Vec<String>>, String> {
    let folder = folder().map_err(|error| error.to_string())?;
    let file = folder.join("bootstrap.json");
    let listener = listener_of(std::slice::from_ref(filter), &[], 0, modules, "refused", [None, None]);
    let bootstrap = json!({"static_resources": {"listeners": [listener]}});
    std::fs::write(&file, bootstrap.to_string()).map_err(|error| error.to_string())?;
    let mut command = Command::new(binary);
    command.args(["--mode", "validate", "-l", "error", "-c"]).arg(&file).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("{}: {error}", binary.display()))?;
    std::fs::remove_dir_all(&folder).ok();
    if output.status.success() {
        return Ok(None);
    }
    let text = [output.stdout, output.stderr].concat();
    let lines = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
    Ok(Some(lines))
}

fn folder() -> io::Result<PathBuf> {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("sluice-scenario-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let socket = TcpStream::connect_timeout(&address, BOUND)?;
    socket.set_read_timeout(Some(BOUND))?;
    socket.set_write_timeout(Some(BOUND))?;
    Ok(socket)
}

fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let sockets: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    sockets.iter().map(|socket| Ok(socket.local_addr()?.port())).collect()
}

/// The bytes of the upstream's answer.
fn answer(case: &Case) -> Vec<u8> {
    let response = &case.response;
    let first = format!("HTTP/1.1 {} -", response.status);
    let bytes = wire::write(
        first.as_bytes(),
        &expand(&response.headers),
        Some(response.body.bytes()),
        &expand(&response.trailers),
    );
    if case.request.method == "HEAD" {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        return bytes.get(..end).unwrap_or_default().to_vec();
    }
    bytes
}

/// An upstream server; its threads end with the process.
fn serve(cluster: &str, upstreams: &Arc<Mutex<Upstreams>>) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let (cluster, upstreams) = (cluster.to_owned(), Arc::clone(upstreams));
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (cluster, upstreams) = (cluster.clone(), Arc::clone(&upstreams));
            std::thread::spawn(move || {
                let Ok(mut sending) = socket.try_clone() else { return };
                let mut reader = Reader::new(socket);
                while let Ok(Some(received)) = reader.message(Kind::Request) {
                    if !received.complete {
                        return;
                    }
                    let answer = {
                        let mut upstreams = upstreams.lock().unwrap_or_else(PoisonError::into_inner);
                        upstreams.got.push((cluster.clone(), received.message));
                        upstreams.answer.clone()
                    };
                    if sending.write_all(&answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(port)
}

fn socket(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn cluster(name: &str, port: u16) -> Value {
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "2s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}}}},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(port)}}]}]}})
}

fn listener(scenario: &Scenario, port: u16, modules: &Modules, log: Option<&AccessLog>) -> Value {
    let mut routes = vec![json!({
        "match": {"prefix": "/", "headers": [{"name": "x-sluice-cluster", "present_match": true}]},
        "route": {"cluster_header": "x-sluice-cluster"}})];
    if let Some(fallback) = &scenario.file.fallback {
        routes.push(json!({"match": {"prefix": "/"}, "route": {"cluster": fallback}}));
    }
    let (access_log, around) = (log.map(AccessLog::config), connection::listener_filters(&scenario.file.cases));
    listener_of(&scenario.file.filters, &routes, port, modules, &port.to_string(), [access_log, around])
}

fn listener_of(
    filters: &[FilterUse],
    routes: &[Value],
    port: u16,
    modules: &Modules,
    name: &str,
    [access_log, around]: [Option<Value>; 2],
) -> Value {
    let filters = filters.iter().enumerate().map(|(index, filter)| {
        let name = format!("{name}-{index}");
        let configuration = String::from_utf8_lossy(&configuration(&filter.config)).into_owned();
        json!({"name": name, "typed_config": {"@type": format!("{TYPES}.filters.http.wasm.v3.Wasm"), "config": {
            "name": name, "failure_policy": "FAIL_RELOAD", "allow_on_headers_stop_iteration": filter.hold,
            "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
            "vm_config": {"vm_id": name, "runtime": "envoy.wasm.runtime.v8",
                          "code": {"local": {"filename": modules.path(&filter.filter)}}}}}})
    });
    let router = json!({"name": "envoy.filters.http.router", "typed_config": {"@type": format!("{TYPES}.filters.http.router.v3.Router")}});
    json!({
        "name": name, "address": socket(port), "listener_filters": around.into_iter().collect::<Vec<_>>(),
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "scenario", "access_log": access_log.into_iter().collect::<Vec<_>>(), "max_request_headers_kb": 1024,
            "common_http_protocol_options": {"max_headers_count": 2000},
            "http_protocol_options": {"enable_trailers": true},
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
            "http_filters": filters.chain([router]).collect::<Vec<_>>()}}]}]})
}
