//! The `envoy` runner: the `.wasm` files in a real Envoy. One process serves all files of a run that know the same rate limit service; only
//! those with upstream filters, which belong to the clusters, have one each.

use super::access_log::AccessLog;
use super::bootstrap::{Filters, cluster, listener, service_cluster, socket};
use super::connection;
use super::format::{Case, File, Leaves, Position, Scenario, expand};
use super::observe::{Message, Observation};
use super::routing;
use super::service::CLUSTER;
use super::settled::{Kind, Served, settle};
use super::upstreams::Upstreams;
use super::wasm::Modules;
use super::wire::{self, Reader};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The Envoys of a run.
pub struct Envoys {
    running: Vec<Envoy>,
    /// For each scenario, its Envoy and its listener there.
    places: Vec<(usize, usize)>,
}

impl Envoys {
    /// Starts as many as these scenarios need.
    pub fn start(binary: &Path, modules: &Modules, scenarios: &[Scenario]) -> Result<Self, String> {
        let mut groups: Vec<Vec<&Scenario>> = Vec::new();
        let mut places = Vec::new();
        let is_alone = |scenario: &Scenario| scenario.file.filters_at(Position::Upstream).next().is_some();
        for scenario in scenarios {
            let kind = Kind::of(&scenario.file);
            let fits =
                |group: &Vec<&Scenario>| group.iter().all(|other| !is_alone(other) && Kind::of(&other.file) == kind);
            match groups.iter_mut().enumerate().find(|(_, group)| !is_alone(scenario) && fits(group)) {
                Some((number, group)) => {
                    places.push((number, group.len()));
                    group.push(scenario);
                }
                None => {
                    places.push((groups.len(), 0));
                    groups.push(vec![scenario]);
                }
            }
        }
        let running = groups.iter().map(|group| Envoy::start(binary, modules, group)).collect::<Result<_, _>>()?;
        Ok(Self { running, places })
    }

    /// Runs one case of the scenario with this number.
    pub fn run(&self, number: usize, scenario: &Scenario, case: &Case) -> Result<Observation, String> {
        let place = self.places.get(number).and_then(|(envoy, listener)| Some((self.running.get(*envoy)?, *listener)));
        let (envoy, listener) = place.ok_or("no such scenario")?;
        envoy.run(listener, scenario, case)
    }
}

/// A running Envoy with a listener for each scenario.
struct Envoy {
    process: Child,
    listeners: Vec<u16>,
    /// For each listener, if the cases look at it.
    logs: Vec<Option<AccessLog>>,
    admin: u16,
    upstreams: Upstreams,
    service: Served,
    folder: PathBuf,
}

/// Longest wait for anything.
pub(super) const BOUND: Duration = Duration::from_secs(20);
/// Longest wait for a copy of a request, which Envoy sends beside it.
const MIRROR_BOUND: Duration = Duration::from_secs(5);

impl Envoy {
    fn start(binary: &Path, modules: &Modules, scenarios: &[&Scenario]) -> Result<Self, String> {
        let upstreams = Upstreams::default();
        let clusters: BTreeSet<&String> = scenarios.iter().flat_map(|scenario| &scenario.file.clusters).collect();
        let mut served = Vec::new();
        for cluster in clusters {
            served.push((cluster.clone(), upstreams.serve(cluster).map_err(|error| error.to_string())?));
        }
        let service = Served::start(scenarios).map_err(|error| format!("the rate limit service: {error}"))?;
        let mut ports = free_ports(scenarios.len() + 1).map_err(|error| error.to_string())?;
        let admin = ports.pop().unwrap_or_default();
        let folder = folder().map_err(|error| error.to_string())?;
        let logs: Vec<Option<AccessLog>> =
            scenarios.iter().zip(&ports).map(|(each, port)| AccessLog::new(&each.file, &folder, *port)).collect();
        let listeners = scenarios.iter().zip(&ports).zip(&logs);
        let listeners: Vec<Value> =
            listeners.map(|((scenario, port), log)| listener(scenario, *port, modules, log.as_ref())).collect();
        let behind = Filters::of(scenarios, Position::Upstream, modules);
        let clusters = served.iter().map(|(name, port)| cluster(name, *port, &behind));
        let clusters: Vec<Value> = clusters.chain(service.port().map(|port| service_cluster(CLUSTER, port))).collect();
        let bootstrap = json!({
            "admin": {"address": socket(admin)},
            "static_resources": {"listeners": listeners, "clusters": clusters}});
        let (file, log) = (folder.join("bootstrap.json"), folder.join("envoy.log"));
        std::fs::write(&file, bootstrap.to_string()).map_err(|error| error.to_string())?;
        let mut command = Command::new(binary);
        command.arg("-c").arg(&file).args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warn", "--log-path"]);
        command.arg(&log).args(["--file-flush-interval-msec", "20"]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut envoy = Self { process, listeners: ports, logs, admin, upstreams, service, folder };
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

    fn run(&self, listener: usize, scenario: &Scenario, case: &Case) -> Result<Observation, String> {
        let port = self.listeners.get(listener).copied().unwrap_or_default();
        self.service.reset(&scenario.file)?;
        self.upstreams.expect(case);
        let before = self.counters(case)?;
        let access_log = self.logs.get(listener).and_then(Option::as_ref);
        let logged = access_log.map_or(0, AccessLog::lines);
        for _ in 1..case.times {
            self.exchange(port, case).map_err(|error| format!("the client: {error}"))?;
            self.settle(&scenario.file, case)?;
            self.upstreams.take();
            self.upstreams.expect(case);
        }
        let (client, reset) = self.exchange(port, case).map_err(|error| format!("the client: {error}"))?;
        self.settle(&scenario.file, case)?;
        let mirror = self.mirror(scenario, case);
        let after = self.counters(case)?;
        let mut log = access_log
            .map_or_else(|| Ok(BTreeMap::new()), |log| log.fields(logged + case.times.saturating_sub(1), BOUND))?;
        log.retain(|name, _| case.log.contains_key(name));
        let grown = after.into_iter().filter_map(|(name, value)| {
            let grown = value - before.get(&name).copied().unwrap_or(0);
            (grown > 0).then_some((name, grown))
        });
        let mut got = self.upstreams.take();
        if got.len() > 1 {
            return Err(format!("the upstream got {} requests", got.len()));
        }
        Ok(Observation {
            upstream: got.pop(),
            mirror,
            client,
            reset,
            counters: grown.collect(),
            log,
            service: self.service.calls(),
        })
    }

    /// Waits until nothing is under way any more: the last request, and calls that nothing has waited for.
    fn settle(&self, file: &File, case: &Case) -> Result<(), String> {
        if file.rate_limit_service.is_none() && case.request.leaves.is_none() {
            return Ok(());
        }
        settle(BOUND, || self.admin("/stats?filter=_rq_.*active$").map_err(|error| format!("stats: {error}")))
    }

    /// The copy of the request, if it or the case lets one be expected.
    fn mirror(&self, scenario: &Scenario, case: &Case) -> Option<(String, Message)> {
        let named = |(_, message): &(String, Message)| routing::mirror_cluster(&scenario.file, message).is_some();
        let wanted = case.mirror.as_ref().and_then(|mirror| mirror.cluster.as_deref());
        let expected = wanted.is_some_and(|cluster| cluster != "none") || self.upstreams.any(named);
        let begin = Instant::now();
        while expected && begin.elapsed() < MIRROR_BOUND {
            if let Some(copy) = self.upstreams.take_copy() {
                return Some(copy);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.upstreams.take_copy()
    }

    fn exchange(&self, port: u16, case: &Case) -> io::Result<(Message, bool)> {
        let calls = self.service.calls().len();
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
        let left = request.leaves.map(|what| self.leave(what, calls)).transpose();
        if request.leaves.is_some() {
            socket.shutdown(std::net::Shutdown::Both).ok();
            sender.join().ok();
            return left.map(|_| (Message::default(), false));
        }
        let received = Reader::new(&mut socket).message(wire::Kind::Response { to_head: request.method == "HEAD" });
        socket.shutdown(std::net::Shutdown::Both).ok();
        sender.join().ok();
        match received? {
            Some(received) => Ok((received.message, !received.complete)),
            None => Ok((Message::default(), true)),
        }
    }

    /// Waits for the moment at which the client leaves; `calls` is how many the service had got before.
    fn leave(&self, what: Leaves, calls: usize) -> io::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < BOUND {
            let now = match what {
                Leaves::Service => self.service.calls().len() > calls,
                Leaves::Upstream => self.upstreams.any(|_| true),
            };
            if now {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(io::Error::other("the client was to leave while something is waited for, and nothing was"))
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
        admin(self.admin, path)
    }
}

/// What the admin interface at this port says.
pub(super) fn admin(port: u16, path: &str) -> io::Result<Vec<u8>> {
    let mut socket = connect(port)?;
    let head = format!("GET {path} HTTP/1.1");
    let headers = [("host".to_owned(), b"admin".to_vec()), ("connection".to_owned(), b"close".to_vec())];
    socket.write_all(&wire::write(head.as_bytes(), &headers, None, &[]))?;
    let received = Reader::new(socket).message(wire::Kind::Response { to_head: false })?;
    Ok(received.map(|received| received.message.body).unwrap_or_default())
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

pub(super) fn folder() -> io::Result<PathBuf> {
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

pub(super) fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let sockets: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    sockets.iter().map(|socket| Ok(socket.local_addr()?.port())).collect()
}
