//! The `core` runner: the pure filters, without any host.

use super::connection;
use super::format::{Case, File, FilterUse, Leaves, Position, expand};
use super::native_chain::{Native, Running, Stopped, fields, inward, respond};
use super::observe::{Message, Observation};
use super::routing::{Destination, destination, mirror};
use super::service::Services;
use super::wasm::{request_head, response_head};
use crate::{HeaderMap, LocalReply, outlet, worker};
use ai_normalize::AiNormalize;
use asks::Asks;
use body_upper::BodyUpper;
use filter_kit::{CounterId, Filter, FixedEnv, Head, Reply};
use header_router::HeaderRouter;
use prefix_rewrite::PrefixRewrite;
use rate_limit::RateLimit;
use suite::Suite;

/// A configured filter, `None` for one that exists only as a module.
fn configured(filter: &FilterUse) -> Option<Result<Box<dyn Native>, String>> {
    fn one<F: Filter>(json: &[u8]) -> Result<Box<dyn Native>, String> {
        F::from_config(json).map(|filter| Box::new(filter) as Box<dyn Native>).map_err(|error| error.to_string())
    }
    let json = super::wasm::configuration(&filter.config);
    match filter.filter.as_str() {
        "ai-normalize" => Some(one::<AiNormalize>(&json)),
        "header-router" => Some(one::<HeaderRouter>(&json)),
        "prefix-rewrite" => Some(one::<PrefixRewrite>(&json)),
        "rate-limit" => Some(one::<RateLimit>(&json)),
        "suite" => Some(one::<Suite>(&json)),
        "asks" => Some(one::<Asks>(&json)),
        "body-upper" => Some(one::<BodyUpper>(&json)),
        _ => None,
    }
}

/// Whether every filter of the chain exists natively.
pub fn can_run(filters: &[FilterUse]) -> bool {
    filters.iter().all(|filter| configured(filter).is_some())
}

/// The error of a configuration.
pub fn refusal(filter: &FilterUse) -> Option<String> {
    configured(filter)?.err()
}

/// Runs one case.
pub fn run(file: &File, case: &Case) -> Result<Observation, String> {
    let services = Services::new(file)?;
    let start = |position| -> Result<Vec<Running>, String> {
        let mut chain = Vec::new();
        for filter in file.filters_at(position) {
            let native = configured(filter).ok_or("not a native filter")??;
            let (address, port) = connection::peer(case);
            let env = FixedEnv::default().with_source_address(address).with_destination_port(port);
            let env = env.with_clusters(services.clusters());
            let env = file.environment.iter().fold(env, |env, (name, value)| env.with_variable(name, value));
            // only what looks at an exchange when it is over may ask for it, as in a host
            let size = case.request.body.as_ref().map_or(0, |body| body.bytes().len());
            let env = env.with_property(&["request", "size"], &u64::try_from(size).unwrap_or(0).to_le_bytes());
            chain.push(Running::new(native, env, services.clone(), case.request.leaves == Some(Leaves::Service)));
        }
        Ok(chain)
    };
    let (mut downstream, mut upstream) = (start(Position::Downstream)?, start(Position::Upstream)?);
    let mut seen = once(file, case, &mut downstream, &mut upstream, &start)?;
    for _ in 1..case.times {
        downstream.iter_mut().chain(&mut upstream).for_each(Running::begin_anew);
        seen = once(file, case, &mut downstream, &mut upstream, &start)?;
    }
    seen.service = services.calls();
    Ok(seen)
}

/// How far a request and its answer get.
#[derive(Default)]
struct Reach {
    /// How many filters of each chain the response has to pass, from the outside.
    downstream: usize,
    upstream: usize,
    /// The client has left.
    left: bool,
}

/// Sends the request once.
fn once(
    file: &File,
    case: &Case,
    downstream: &mut [Running],
    upstream: &mut [Running],
    start: &dyn Fn(Position) -> Result<Vec<Running>, String>,
) -> Result<Observation, String> {
    let mut seen = Observation::default();
    let reach = there(file, case, downstream, upstream, start, &mut seen)?;
    if case.request.leaves.is_some() != reach.left {
        return Err("the client was to leave while something is waited for, and nothing was".to_owned());
    }
    if !reach.left {
        let behind = upstream.iter_mut().take(reach.upstream).rev();
        let before = downstream.iter_mut().take(reach.downstream).rev();
        respond(behind.chain(before), case.request.method == "HEAD", &|reply| replied(case, reply), &mut seen);
    }
    for chain in [downstream, upstream] {
        chain.iter_mut().try_for_each(Running::end)?;
        count(chain, case, &mut seen);
    }
    Ok(seen)
}

/// The way of the request, and the beginning of its answer.
fn there(
    file: &File,
    case: &Case,
    downstream: &mut [Running],
    upstream: &mut [Running],
    start: &dyn Fn(Position) -> Result<Vec<Running>, String>,
    seen: &mut Observation,
) -> Result<Reach, String> {
    let head = Head::from_fields(request_head(case));
    let body = case.request.body.as_ref().map(|body| body.bytes().to_vec()).unwrap_or_default();
    let trailers = expand(&case.request.trailers);
    let left = Reach { left: true, ..Reach::default() };
    let mut reach = Reach { downstream: downstream.len(), ..Reach::default() };
    let (head, body) = match inward(downstream, head, body, trailers.is_empty()) {
        Ok(passed) => passed,
        Err(Stopped::Left) => return Ok(left),
        Err(Stopped::Replied(replying, reply)) => {
            seen.client = replied(case, &reply);
            return Ok(Reach { downstream: replying, ..reach });
        }
    };
    let message =
        |head: &Head, body| Message { headers: fields(head), body, trailers: trailers.clone(), ..Message::default() };
    let routed = message(&head, body.clone());
    let cluster = match destination(file, &routed.headers) {
        Destination::Cluster(cluster) => cluster,
        Destination::Answer(status) => {
            seen.client = replied(case, &Reply::status(status, "route"));
            return Ok(reach);
        }
    };
    if let Some((cluster, copy)) = mirror(file, &routed) {
        let mut chain = start(Position::Upstream)?;
        let head = Head::from_fields(copy.headers.iter().map(|(name, value)| (name, value)));
        let passed = inward(&mut chain, head, copy.body, trailers.is_empty());
        seen.mirror = passed.ok().map(|(head, body)| (cluster, message(&head, body)));
        chain.iter_mut().try_for_each(Running::end)?;
        count(&chain, case, seen);
    }
    match inward(upstream, head, body, trailers.is_empty()) {
        Err(Stopped::Left) => return Ok(left),
        // no filter behind the routing sees it
        Err(Stopped::Replied(_, reply)) => seen.client = replied(case, &reply),
        Ok((head, body)) => {
            seen.upstream = Some((cluster, message(&head, body)));
            if case.request.leaves == Some(Leaves::Upstream) {
                return Ok(left);
            }
            seen.client = answered(case);
            reach.upstream = upstream.len();
        }
    }
    Ok(reach)
}

fn count(chain: &[Running], case: &Case, seen: &mut Observation) {
    for running in chain {
        for (id, name) in (0u32..).zip(running.native.names()) {
            let grown = running.env.counted(CounterId(id));
            if grown > 0 {
                *seen.counters.entry(name.clone()).or_default() += grown;
            }
        }
        seen.log.extend(running.env.log_fields().into_iter().filter(|(name, _)| case.log.contains_key(name)));
    }
}

/// The upstream's response.
fn answered(case: &Case) -> Message {
    let response = &case.response;
    let body = if case.request.method == "HEAD" { Vec::new() } else { response.body.bytes().to_vec() };
    Message { headers: response_head(case), body, trailers: expand(&response.trailers), framing: None }
}

/// A reply in the form that a host gives it.
fn replied(case: &Case, reply: &Reply) -> Message {
    let request: HeaderMap = request_head(case).into_iter().collect();
    let local = LocalReply {
        status: reply.status.into(),
        body: reply.body.clone(),
        headers: reply.headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone())).collect(),
        grpc_status: reply.grpc_status.and_then(|status| u32::try_from(status).ok()),
        details: String::new(),
    };
    let (headers, body) = outlet::response(&local, &[], worker::is_grpc(&request), case.request.method == "HEAD");
    let headers = headers.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    Message { headers: headers.collect(), body, ..Message::default() }
}
