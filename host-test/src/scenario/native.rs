//! The `core` runner: the pure filters, without any host.

use super::connection;
use super::format::{Case, File, FilterUse, Position, expand};
use super::observe::{Message, Observation};
use super::routing::{Destination, destination, mirror};
use super::wasm::{request_head, response_head};
use crate::{HeaderMap, LocalReply, outlet, worker};
use body_upper::BodyUpper;
use filter_kit::{Answer, Body, CounterId, Filter, FixedEnv, Flow, Head, Reply, Stream};
use header_router::HeaderRouter;
use prefix_rewrite::PrefixRewrite;
use rate_limit::RateLimit;
use suite::Suite;

/// A filter as a value of one type.
trait Native {
    fn stream(&self) -> Box<dyn Stream>;
    fn names(&self) -> &[String];
}

impl<F: Filter> Native for F {
    fn stream(&self) -> Box<dyn Stream> {
        Box::new(Filter::stream(self))
    }

    fn names(&self) -> &[String] {
        self.metrics().names()
    }
}

/// A configured filter, `None` for one that exists only as a module.
fn configured(filter: &FilterUse) -> Option<Result<Box<dyn Native>, String>> {
    fn one<F: Filter>(json: &[u8]) -> Result<Box<dyn Native>, String> {
        F::from_config(json).map(|filter| Box::new(filter) as Box<dyn Native>).map_err(|error| error.to_string())
    }
    let json = super::wasm::configuration(&filter.config);
    match filter.filter.as_str() {
        "header-router" => Some(one::<HeaderRouter>(&json)),
        "prefix-rewrite" => Some(one::<PrefixRewrite>(&json)),
        "rate-limit" => Some(one::<RateLimit>(&json)),
        "suite" => Some(one::<Suite>(&json)),
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

struct Running {
    native: Box<dyn Native>,
    stream: Box<dyn Stream>,
    env: FixedEnv,
    request: Wanted,
    response: Option<usize>,
}

impl Running {
    /// The next stream of the same filter.
    fn begin_anew(&mut self) {
        self.stream = self.native.stream();
        (self.request, self.response) = (Wanted::Nothing, None);
    }
}

/// What a filter waits for of a request.
enum Wanted {
    Nothing,
    /// The body, of at most this size.
    Body(usize),
    /// The same, and the head is held.
    Held(usize),
}

/// A message that may have filters behind it.
type Passed = Result<(Head, Vec<u8>), (usize, Reply)>;

/// Runs one case.
pub fn run(file: &File, case: &Case) -> Result<Observation, String> {
    let start = |position| -> Result<Vec<Running>, String> {
        let mut chain = Vec::new();
        for filter in file.filters_at(position) {
            let native = configured(filter).ok_or("not a native filter")??;
            let stream = native.stream();
            let (address, port) = connection::peer(case);
            let env = FixedEnv::default().with_source_address(address).with_destination_port(port);
            chain.push(Running { native, stream, env, request: Wanted::Nothing, response: None });
        }
        Ok(chain)
    };
    let (mut downstream, mut upstream) = (start(Position::Downstream)?, start(Position::Upstream)?);
    let mut seen = once(file, case, &mut downstream, &mut upstream, &start)?;
    for _ in 1..case.times {
        downstream.iter_mut().chain(&mut upstream).for_each(Running::begin_anew);
        seen = once(file, case, &mut downstream, &mut upstream, &start)?;
    }
    Ok(seen)
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
    let head = Head::from_fields(request_head(case));
    let body = case.request.body.as_ref().map(|body| body.bytes().to_vec()).unwrap_or_default();
    let trailers = expand(&case.request.trailers);
    // how many filters of each chain the response has to pass, from the outside
    let mut outward = (downstream.len(), 0);
    match inward(downstream, head, body, trailers.is_empty()) {
        Err((replying, reply)) => {
            outward.0 = replying;
            seen.client = replied(case, &reply);
        }
        Ok((head, body)) => {
            let message = |head: &Head, body| Message {
                headers: fields(head),
                body,
                trailers: trailers.clone(),
                ..Message::default()
            };
            let routed = message(&head, body.clone());
            match destination(file, &routed.headers) {
                Destination::Answer(status) => seen.client = replied(case, &Reply::status(status, "route")),
                Destination::Cluster(cluster) => {
                    if let Some((cluster, copy)) = mirror(file, &routed) {
                        let mut chain = start(Position::Upstream)?;
                        let head = Head::from_fields(copy.headers.iter().map(|(name, value)| (name, value)));
                        let passed = inward(&mut chain, head, copy.body, trailers.is_empty());
                        seen.mirror = passed.ok().map(|(head, body)| (cluster, message(&head, body)));
                        count(&chain, case, &mut seen);
                    }
                    match inward(upstream, head, body, trailers.is_empty()) {
                        // no filter behind the routing sees it
                        Err((_, reply)) => seen.client = replied(case, &reply),
                        Ok((head, body)) => {
                            seen.upstream = Some((cluster, message(&head, body)));
                            seen.client = answered(case);
                            outward.1 = upstream.len();
                        }
                    }
                }
            }
        }
    }
    let behind = upstream.iter_mut().take(outward.1).rev();
    respond(behind.chain(downstream.iter_mut().take(outward.0).rev()), case.request.method == "HEAD", &mut seen);
    count(downstream, case, &mut seen);
    count(upstream, case, &mut seen);
    Ok(seen)
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

/// The way in through a chain; a reply comes with the number of filters that it has to pass.
fn inward(chain: &mut [Running], mut head: Head, mut bytes: Vec<u8>, no_trailers: bool) -> Passed {
    // a message of no bytes ends with its head
    let ended = no_trailers && bytes.is_empty();
    let mut reached = 0;
    while reached < chain.len() {
        let from = reached;
        if let Some(reply) = heads(chain, &mut reached, &mut head, ended) {
            return Err((reached, reply));
        }
        for (index, running) in chain.iter_mut().enumerate().take(reached).skip(from) {
            if let Some(reply) = running.body(&mut head, &mut bytes) {
                return Err((index + 1, reply));
            }
        }
    }
    Ok((head, bytes))
}

/// Shows the head to further filters, up to one that replies or waits for the body.
fn heads(chain: &mut [Running], reached: &mut usize, head: &mut Head, ended: bool) -> Option<Reply> {
    for running in chain.iter_mut().skip(*reached) {
        *reached += 1;
        let mut flow = running.stream.on_request_head(head, &running.env);
        while let Flow::Call(_) = flow {
            flow = running.stream.on_answer(head, None, Answer::UNAVAILABLE, &running.env);
        }
        match flow {
            Flow::Reply(reply) => return Some(reply),
            Flow::Hold { .. } if ended => {
                let mut none = Body::none();
                if let Flow::Reply(reply) = running.stream.on_held_request(head, &mut none, &running.env) {
                    return Some(reply);
                }
            }
            Flow::Hold { limit } => {
                running.request = Wanted::Held(limit);
                return None;
            }
            Flow::Buffer { limit } if !ended => {
                head.remove("content-length");
                running.request = Wanted::Body(limit);
            }
            Flow::Continue | Flow::Buffer { .. } | Flow::Call(_) => {}
        }
    }
    None
}

impl Running {
    /// The whole body, if the filter asked for it.
    fn body(&mut self, head: &mut Head, bytes: &mut Vec<u8>) -> Option<Reply> {
        let (Wanted::Body(limit) | Wanted::Held(limit)) = self.request else { return None };
        if bytes.len() > limit {
            return Some(Reply::too_large());
        }
        let mut body = Body::new(bytes.clone());
        let held = matches!(self.request, Wanted::Held(_));
        let flow = match held {
            true => self.stream.on_held_request(head, &mut body, &self.env),
            false => self.stream.on_request_body(&mut body, &self.env),
        };
        if let Flow::Reply(reply) = flow {
            return Some(reply);
        }
        let empty = bytes.is_empty();
        *bytes = body.bytes().to_vec();
        if held && !empty && head.get("content-length").is_some() {
            // digits are always a header's value
            let _ = head.set("content-length", bytes.len().to_string().as_bytes());
        }
        None
    }
}

fn fields(head: &Head) -> Vec<(String, Vec<u8>)> {
    head.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
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
    let (headers, body) = outlet::response(&local, worker::is_grpc(&request), case.request.method == "HEAD");
    let headers = headers.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    Message { headers: headers.collect(), body, ..Message::default() }
}

/// The way out.
fn respond<'a>(outward: impl Iterator<Item = &'a mut Running>, is_head: bool, seen: &mut Observation) {
    let mut head = Head::from_fields(seen.client.headers.iter().map(|(name, value)| (name, value)));
    let ended = is_head || seen.client.body.is_empty() && seen.client.trailers.is_empty();
    let mut wanting = Vec::new();
    for running in outward {
        if let Flow::Buffer { limit } = running.stream.on_response_head(&mut head, &running.env)
            && !ended
        {
            head.remove("content-length");
            running.response = Some(limit);
            wanting.push(running);
        }
    }
    let bytes = std::mem::take(&mut seen.client.body);
    let mut body = Body::new(bytes);
    for running in wanting {
        let limit = running.response.unwrap_or(usize::MAX);
        let flow = (body.bytes().len() <= limit).then(|| running.stream.on_response_body(&mut body, &running.env));
        if !matches!(flow, Some(Flow::Continue | Flow::Buffer { .. } | Flow::Hold { .. } | Flow::Call(_))) {
            seen.reset = true;
        }
    }
    seen.client.headers = fields(&head);
    if !seen.reset {
        seen.client.body = body.bytes().to_vec();
    }
}
