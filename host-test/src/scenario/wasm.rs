//! The `host` runner: the `.wasm` files in this crate's host. Also what the runners have in common: how messages look.

use super::exchange::Exchange;
use super::format::{Case, File, FilterUse, Position, expand};
use super::observe::{Cost, Observation};
use super::service::Services;
use crate::{Clock, HeaderMap, Host, Metric, Module, PluginConfig, Role, Worker};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The request head as Envoy shows it to its filters.
pub fn request_head(case: &Case) -> Vec<(String, Vec<u8>)> {
    let request = &case.request;
    let mut head = Vec::new();
    if let Some(authority) = &request.authority {
        head.push((":authority".to_owned(), authority.bytes().to_vec()));
    }
    head.push((":path".to_owned(), request.path.bytes().to_vec()));
    head.push((":method".to_owned(), request.method.clone().into_bytes()));
    let headers = expand(&request.headers);
    // what a client says of the scheme is believed, unless the host is told to know better
    let told = headers.iter().find(|(name, _)| name == "x-forwarded-proto").map(|(_, value)| value.clone());
    let scheme = told.clone().filter(|told| matches!(told.as_slice(), b"http" | b"https"));
    head.push((":scheme".to_owned(), scheme.unwrap_or_else(|| b"http".to_vec())));
    head.extend(headers);
    match &request.body {
        Some(_) if !request.trailers.is_empty() => head.push(("transfer-encoding".to_owned(), b"chunked".to_vec())),
        Some(body) => head.push(("content-length".to_owned(), body.bytes().len().to_string().into_bytes())),
        None => {}
    }
    if told.is_none() {
        head.push(("x-forwarded-proto".to_owned(), b"http".to_vec()));
    }
    received(Role::Request, head)
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
    received(Role::Response, head)
}

/// What is left of a head's entries in a host that keeps one of some names.
fn received(role: Role, head: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut map = HeaderMap::new();
    head.iter().for_each(|(name, value)| map.append(role, name.as_bytes(), value));
    map.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
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
    /// Services answer before the body comes, if they are asked by then; otherwise behind it.
    pub answers_at_once: bool,
}

/// A body of this size up to which it is split at every position.
const SPLIT_UP_TO: usize = 48;
/// And up to this size it comes byte by byte.
const SINGLE_UP_TO: usize = 4096;

/// Whole, with the end or before it, byte by byte, and in two pieces at every position; each with services that answer before and
/// behind it, if there are any.
pub fn plans(file: &File, case: &Case) -> Vec<Plan> {
    let plan =
        |name: String, pieces: Vec<usize>, end_with_last| Plan { name, pieces, end_with_last, answers_at_once: true };
    let mut plans = vec![plan("whole".into(), vec![usize::MAX], false)];
    let size = |text: &super::format::Text| text.bytes().len();
    let longest = case.request.body.as_ref().map_or(0, size).max(size(&case.response.body));
    if case.request.body.is_some() || longest > 0 {
        plans.push(plan("whole with its end".into(), vec![usize::MAX], true));
        if longest <= SPLIT_UP_TO {
            plans.push(plan("byte by byte".into(), vec![1], true));
            plans.push(plan("byte by byte, then its end".into(), vec![1], false));
            plans.extend((1..longest).map(|at| plan(format!("split at {at}"), vec![at, usize::MAX], true)));
        } else if longest <= SINGLE_UP_TO {
            plans.push(plan("byte by byte".into(), vec![1], true));
            plans.push(plan("in pieces of 7".into(), vec![7], false));
        } else {
            plans.push(plan("in pieces of 1000".into(), vec![1000], false));
        }
    }
    if file.rate_limit_service.is_some() && case.request.body.is_some() {
        let behind = |plan: &Plan| {
            let name = format!("{}, answers behind it", plan.name);
            Plan { name, answers_at_once: false, ..plan.clone() }
        };
        let more: Vec<Plan> = plans.iter().map(behind).collect();
        plans.extend(more);
    }
    plans
}

/// The messages by which a host refuses a configuration, or nothing if it takes it.
pub fn refusal(modules: &mut Modules, filter: &FilterUse) -> Result<Option<Vec<String>>, String> {
    let host = Arc::new(Host::new(Clock::settable(1_700_000_000_000_000_000), 1));
    let plugin = plugin(modules, &BTreeMap::new(), filter, 0)?;
    match Worker::start(host, &[plugin]) {
        Ok(_) => Ok(None),
        Err(error) => Ok(Some(error.logs.into_iter().map(|record| record.text).collect())),
    }
}

fn plugin(
    modules: &mut Modules,
    environment: &BTreeMap<String, String>,
    filter: &FilterUse,
    index: usize,
) -> Result<PluginConfig, String> {
    let mut plugin = PluginConfig::new(format!("{}-{index}", filter.filter), modules.load(&filter.filter)?);
    plugin.vm_id = plugin.name.clone();
    plugin.configuration = configuration(&filter.config);
    plugin.environment.clone_from(environment);
    plugin.allow_on_headers_stop_iteration = filter.hold;
    Ok(plugin)
}

/// Runs one case in new VMs: the filters of each side are a chain of their own.
pub fn run(modules: &mut Modules, file: &File, case: &Case, plan: &Plan) -> Result<(Observation, Cost), String> {
    let host = Arc::new(Host::new(Clock::settable(1_700_000_000_000_000_000), 1));
    let mut start = |position| -> Result<Worker, String> {
        let filters = file.filters.iter().enumerate().filter(|(_, filter)| filter.position == position);
        let plugins = filters.map(|(index, filter)| plugin(modules, &file.environment, filter, index));
        let plugins: Vec<PluginConfig> = plugins.collect::<Result<_, _>>()?;
        Worker::start(Arc::clone(&host), &plugins).map_err(|error| error.to_string())
    };
    let services = Services::new(file)?;
    host.set_clusters(services.clusters().iter().map(ToString::to_string));
    // what VMs share lives as long as one of them
    let _others = if case.times > 1 { Some(start(Position::Downstream)?) } else { None };
    for _ in 1..case.times {
        Exchange::run(file, case, plan, &services, [start(Position::Downstream)?, start(Position::Upstream)?])?;
    }
    let workers = [start(Position::Downstream)?, start(Position::Upstream)?];
    let (mut observation, meters) = Exchange::run(file, case, plan, &services, workers)?;
    observation.service = services.calls();
    let counters = host.metrics().snapshot().into_iter().filter_map(|(name, metric)| match metric {
        Metric::Counter(value) if value > 0 => Some((name, value)),
        _ => None,
    });
    observation.counters = counters.collect();
    let mut cost = Cost::default();
    for meter in meters {
        cost.fuel += meter.fuel;
        for (name, count) in meter.host_calls() {
            *cost.host_calls.entry(name.to_owned()).or_default() += count;
        }
    }
    Ok((observation, cost))
}

/// A body in pieces; the flag ends it.
pub fn pieces(body: &[u8], plan: &Plan, ends_here: bool) -> Vec<(Vec<u8>, bool)> {
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
