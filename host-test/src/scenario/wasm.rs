//! The `host` runner: the `.wasm` files in this crate's host. Also what the runners have in common: how a request
//! looks, and where it goes.

use super::connection;
use super::format::{Case, File, FilterUse, expand};
use super::observe::{Cost, Message, Observation};
use crate::{Clock, Effect, HeaderMap, Host, LocalReply, Metric, Module, PluginConfig, StreamId, Worker};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a request goes behind the filters.
pub enum Route {
    /// To this cluster.
    Cluster(String),
    /// Nowhere; the client gets this status.
    Answer(u16),
}

/// The route table of every scenario: by the decision header, else to the fallback, else 404.
pub fn route(file: &File, decision: Option<&[u8]>) -> Route {
    match (decision, &file.fallback) {
        (Some(name), _) => match file.clusters.iter().find(|cluster| cluster.as_bytes() == name) {
            Some(cluster) => Route::Cluster(cluster.clone()),
            None => Route::Answer(503),
        },
        (None, Some(cluster)) => Route::Cluster(cluster.clone()),
        (None, None) => Route::Answer(404),
    }
}

/// The request head as Envoy shows it to its filters.
pub fn request_head(case: &Case) -> Vec<(String, Vec<u8>)> {
    let request = &case.request;
    let mut head = Vec::new();
    if let Some(authority) = &request.authority {
        head.push((":authority".to_owned(), authority.bytes().to_vec()));
    }
    head.push((":path".to_owned(), request.path.bytes().to_vec()));
    head.push((":method".to_owned(), request.method.clone().into_bytes()));
    head.push((":scheme".to_owned(), b"http".to_vec()));
    head.extend(expand(&request.headers));
    match &request.body {
        Some(_) if !request.trailers.is_empty() => head.push(("transfer-encoding".to_owned(), b"chunked".to_vec())),
        Some(body) => head.push(("content-length".to_owned(), body.bytes().len().to_string().into_bytes())),
        None => {}
    }
    head.push(("x-forwarded-proto".to_owned(), b"http".to_vec()));
    head
}

/// The upstream's response head.
pub fn response_head(case: &Case) -> Vec<(String, Vec<u8>)> {
    let response = &case.response;
    let mut head = vec![(":status".to_owned(), response.status.to_string().into_bytes())];
    head.extend(expand(&response.headers));
    if response.trailers.is_empty() {
        head.push(("content-length".to_owned(), response.body.bytes().len().to_string().into_bytes()));
    } else {
        head.push(("transfer-encoding".to_owned(), b"chunked".to_vec()));
    }
    head
}

/// A configuration as the host hands it over: text as it is, anything else as JSON.
pub fn configuration(config: &serde_json::Value) -> Vec<u8> {
    config.as_str().map_or_else(|| config.to_string().into_bytes(), |text| text.as_bytes().to_vec())
}

/// Finds and loads modules, each once.
#[derive(Debug, Default)]
pub struct Modules {
    dist: PathBuf,
    loaded: BTreeMap<PathBuf, Arc<Module>>,
}

impl Modules {
    /// Modules in this folder.
    pub fn new(dist: &Path) -> Self {
        Self { dist: dist.to_owned(), loaded: BTreeMap::new() }
    }

    /// The file of a filter.
    pub fn path(&self, filter: &str) -> PathBuf {
        if filter.ends_with(".wasm") {
            return PathBuf::from(filter);
        }
        let own = self.dist.join(format!("{filter}.wasm"));
        let guest = self.dist.join("guests").join(format!("{filter}.wasm"));
        if guest.is_file() && !own.is_file() { guest } else { own }
    }

    fn load(&mut self, filter: &str) -> Result<Arc<Module>, String> {
        let path = self.path(filter);
        if let Some(module) = self.loaded.get(&path) {
            return Ok(Arc::clone(module));
        }
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let bytes = std::fs::read(&path).map_err(|error| {
            format!("{}: {error}; make build makes our modules, --dist names their folder", path.display())
        })?;
        let module = Arc::new(Module::load(&bytes).map_err(|error| fault(&error))?);
        self.loaded.insert(path, Arc::clone(&module));
        Ok(module)
    }
}

/// How a body reaches the filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// For messages.
    pub name: String,
    /// Sizes of the pieces; the last one is repeated.
    pieces: Vec<usize>,
    /// The end comes with the last piece, not behind it.
    end_with_last: bool,
}

/// A body of this size up to which it is split at every position.
const SPLIT_UP_TO: usize = 48;

/// Whole, with the end or before it, byte by byte, and in two pieces at every position.
pub fn plans(case: &Case) -> Vec<Plan> {
    let plan = |name: String, pieces: Vec<usize>, end_with_last| Plan { name, pieces, end_with_last };
    let mut plans = vec![plan("whole".into(), vec![usize::MAX], false)];
    let size = |text: &super::format::Text| text.bytes().len();
    let longest = case.request.body.as_ref().map_or(0, size).max(size(&case.response.body));
    if case.request.body.is_some() || longest > 0 {
        plans.push(plan("whole with its end".into(), vec![usize::MAX], true));
        if longest <= SPLIT_UP_TO {
            plans.push(plan("byte by byte".into(), vec![1], true));
            plans.push(plan("byte by byte, then its end".into(), vec![1], false));
            plans.extend((1..longest).map(|at| plan(format!("split at {at}"), vec![at, usize::MAX], true)));
        } else {
            plans.push(plan("in pieces of 1000".into(), vec![1000], false));
        }
    }
    plans
}

/// The messages by which a host refuses a configuration, or nothing if it takes it.
pub fn refusal(modules: &mut Modules, filter: &FilterUse) -> Result<Option<Vec<String>>, String> {
    let host = Arc::new(Host::new(Clock::settable(1_700_000_000_000_000_000), 1));
    let plugin = plugin(modules, filter, 0)?;
    match Worker::start(host, &[plugin]) {
        Ok(_) => Ok(None),
        Err(error) => Ok(Some(error.logs.into_iter().map(|record| record.text).collect())),
    }
}

fn plugin(modules: &mut Modules, filter: &FilterUse, index: usize) -> Result<PluginConfig, String> {
    let mut plugin = PluginConfig::new(format!("{}-{index}", filter.filter), modules.load(&filter.filter)?);
    plugin.vm_id = plugin.name.clone();
    plugin.configuration = configuration(&filter.config);
    plugin.allow_on_headers_stop_iteration = filter.hold;
    Ok(plugin)
}

/// Runs one case in new VMs.
pub fn run(modules: &mut Modules, file: &File, case: &Case, plan: &Plan) -> Result<(Observation, Cost), String> {
    let host = Arc::new(Host::new(Clock::settable(1_700_000_000_000_000_000), 1));
    let plugins = file.filters.iter().enumerate().map(|(index, filter)| plugin(modules, filter, index));
    let plugins: Vec<PluginConfig> = plugins.collect::<Result<_, _>>()?;
    let mut worker = Worker::start(Arc::clone(&host), &plugins).map_err(|error| error.to_string())?;
    let id = worker.open(connection::attributes(case));
    let mut exchange = Exchange { file, case, plan, worker, id, upstream: Side::default(), client: Side::default() };
    exchange.request();
    exchange.response();
    let meter = exchange.worker.meter(id).unwrap_or_default();
    let closed = exchange.worker.close(id);
    if let Some(trap) = exchange.worker.take_traps().first() {
        return Err(trap.to_string());
    }
    if let Some(misuse) = exchange.worker.take_misuse().first() {
        return Err(misuse.to_string());
    }
    let counters = host.metrics().snapshot().into_iter().filter_map(|(name, metric)| match metric {
        Metric::Counter(value) if value > 0 => Some((name, value)),
        _ => None,
    });
    let calls = meter.host_calls().into_iter().map(|(name, count)| (name.to_owned(), count));
    let cost = Cost { host_calls: calls.collect(), fuel: meter.fuel };
    let counters = counters.collect();
    let mut observation = exchange.observation(counters);
    let field =
        |name: &String| Some((name.clone(), closed.filter_state.get(format!("wasm.{name}").as_bytes())?.clone()));
    observation.log = case.log.keys().filter_map(field).collect();
    Ok((observation, cost))
}

/// What left the chain on one side.
#[derive(Default)]
struct Side {
    message: Message,
    begun: bool,
    ended: bool,
    reset: bool,
}

struct Exchange<'a> {
    file: &'a File,
    case: &'a Case,
    plan: &'a Plan,
    worker: Worker,
    id: StreamId,
    upstream: Side,
    client: Side,
}

impl Exchange<'_> {
    fn request(&mut self) {
        let head: HeaderMap = request_head(self.case).into_iter().collect();
        let body = self.case.request.body.as_ref().map(|body| body.bytes().to_vec());
        let trailers = expand(&self.case.request.trailers);
        let body = body.filter(|body| !body.is_empty() || !trailers.is_empty());
        let effects = self.worker.request_headers(self.id, head, body.is_none());
        self.take(effects);
        let Some(body) = body else { return };
        for (piece, end) in pieces(&body, self.plan, trailers.is_empty()) {
            if self.client.begun {
                return;
            }
            let effects = self.worker.request_data(self.id, piece, end);
            self.take(effects);
        }
        if !trailers.is_empty() && !self.client.begun {
            let effects = self.worker.request_trailers(self.id, trailers.into_iter().collect());
            self.take(effects);
        }
    }

    fn response(&mut self) {
        if self.client.begun || self.client.reset || !self.upstream.ended {
            return;
        }
        let headers = &self.upstream.message;
        if let Route::Answer(status) = route(self.file, headers.value("x-sluice-cluster")) {
            let reply = LocalReply { status: status.into(), details: "route".into(), ..LocalReply::default() };
            let effects = self.worker.reply(self.id, reply);
            return self.take(effects);
        }
        let head: HeaderMap = response_head(self.case).into_iter().collect();
        let body = self.case.response.body.bytes().to_vec();
        let trailers = expand(&self.case.response.trailers);
        let bodyless = self.case.request.method == "HEAD" || body.is_empty() && trailers.is_empty();
        let effects = self.worker.response_headers(self.id, head, bodyless);
        self.take(effects);
        if bodyless {
            return;
        }
        for (piece, end) in pieces(&body, self.plan, trailers.is_empty()) {
            if self.client.reset {
                return;
            }
            let effects = self.worker.response_data(self.id, piece, end);
            self.take(effects);
        }
        if !trailers.is_empty() && !self.client.reset {
            let effects = self.worker.response_trailers(self.id, trailers.into_iter().collect());
            self.take(effects);
        }
    }

    fn take(&mut self, effects: Vec<Effect>) {
        let fields = |map: &HeaderMap| -> Vec<(String, Vec<u8>)> {
            map.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
        };
        for effect in effects {
            let (side, end) = match &effect {
                Effect::RequestHeaders(_, end) | Effect::RequestData(_, end) => (&mut self.upstream, *end),
                Effect::ResponseHeaders(_, end) | Effect::ResponseData(_, end) => (&mut self.client, *end),
                Effect::RequestTrailers(_) => (&mut self.upstream, true),
                Effect::ResponseTrailers(_) => (&mut self.client, true),
                Effect::Reset(_) => {
                    self.client.reset = true;
                    continue;
                }
            };
            side.begun = true;
            side.ended |= end;
            match effect {
                Effect::RequestHeaders(map, _) | Effect::ResponseHeaders(map, _) => side.message.headers = fields(&map),
                Effect::RequestData(data, _) | Effect::ResponseData(data, _) => side.message.body.extend(data),
                Effect::RequestTrailers(map) | Effect::ResponseTrailers(map) => side.message.trailers = fields(&map),
                Effect::Reset(_) => {}
            }
        }
    }

    fn observation(mut self, counters: BTreeMap<String, u64>) -> Observation {
        for side in [&mut self.upstream, &mut self.client] {
            let length = side.message.value("content-length").map(|text| String::from_utf8_lossy(text).into_owned());
            let real = side.message.body.len();
            if let Some(length) = length.filter(|length| *length != real.to_string()) {
                side.message.framing = Some(format!("content-length {length} before {real} bytes"));
            }
        }
        if self.case.request.method == "HEAD" {
            self.client.message.framing = None;
        }
        let upstream = (self.upstream.ended && !self.upstream.reset)
            .then(|| match route(self.file, self.upstream.message.value("x-sluice-cluster")) {
                Route::Cluster(cluster) => Some((cluster, self.upstream.message)),
                Route::Answer(_) => None,
            })
            .flatten();
        let reset = self.client.reset || !self.client.ended;
        Observation { upstream, client: self.client.message, reset, counters, log: BTreeMap::new() }
    }
}

/// A body in pieces; the flag ends it.
fn pieces(body: &[u8], plan: &Plan, ends_here: bool) -> Vec<(Vec<u8>, bool)> {
    let (mut rest, mut pieces) = (body, Vec::new());
    let mut sizes = plan.pieces.iter().copied().chain(std::iter::repeat(plan.pieces.last().copied().unwrap_or(1)));
    while !rest.is_empty() {
        let (piece, next) = rest.split_at(sizes.next().unwrap_or(1).min(rest.len()));
        pieces.push((piece.to_vec(), ends_here && plan.end_with_last && next.is_empty()));
        rest = next;
    }
    if ends_here && !pieces.last().is_some_and(|(_, end)| *end) {
        pieces.push((Vec::new(), true));
    }
    pieces
}
