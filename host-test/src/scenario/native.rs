//! The `core` runner: the pure filters, without any host.

use super::connection;
use super::format::{Case, File, FilterUse, expand};
use super::observe::{Message, Observation};
use super::wasm::{Route, request_head, response_head, route};
use body_upper::BodyUpper;
use filter_kit::{Body, CounterId, Filter, FixedEnv, Flow, Head, Reply, Stream};
use header_router::HeaderRouter;
use prefix_rewrite::PrefixRewrite;
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

/// What a filter waits for of a request.
enum Wanted {
    Nothing,
    /// The body, of at most this size.
    Body(usize),
    /// The same, and the head is held.
    Held(usize),
}

/// Runs one case.
pub fn run(file: &File, case: &Case) -> Result<Observation, String> {
    let mut chain = Vec::new();
    for filter in &file.filters {
        let native = configured(filter).ok_or("not a native filter")??;
        let stream = native.stream();
        let (address, port) = connection::peer(case);
        let env = FixedEnv::default().with_source_address(address).with_destination_port(port);
        chain.push(Running { native, stream, env, request: Wanted::Nothing, response: None });
    }
    let mut seen = Observation::default();
    let (replying, response) = request(file, case, &mut chain, &mut seen);
    seen.client = response;
    // from the filter that replied, or the last one, back to the first
    let outward = chain.iter_mut().take(replying).rev();
    respond(outward, case.request.method == "HEAD", &mut seen);
    for running in &chain {
        for (id, name) in (0u32..).zip(running.native.names()) {
            let grown = running.env.counted(CounterId(id));
            if grown > 0 {
                *seen.counters.entry(name.clone()).or_default() += grown;
            }
        }
        seen.log.extend(running.env.log_fields().into_iter().filter(|(name, _)| case.log.contains_key(name)));
    }
    Ok(seen)
}

/// The way in: how many filters the response has to pass, and the response.
fn request(file: &File, case: &Case, chain: &mut [Running], seen: &mut Observation) -> (usize, Message) {
    let all = chain.len();
    let mut head = Head::from_fields(request_head(case));
    let mut bytes = case.request.body.as_ref().map(|body| body.bytes().to_vec()).unwrap_or_default();
    // a message of no bytes ends with its head
    let ended = case.request.trailers.is_empty() && bytes.is_empty();
    let mut reached = 0;
    while reached < all {
        let from = reached;
        if let Some(reply) = heads(chain, &mut reached, &mut head, ended) {
            return (reached, replied(&reply));
        }
        for (index, running) in chain.iter_mut().enumerate().take(reached).skip(from) {
            let reply = running.body(&mut head, &mut bytes);
            if let Some(reply) = reply {
                return (index + 1, replied(&reply));
            }
        }
    }
    let fields = |head: &Head| -> Vec<(String, Vec<u8>)> {
        head.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
    };
    match route(file, head.get("x-sluice-cluster")) {
        Route::Cluster(cluster) => {
            let trailers = expand(&case.request.trailers);
            seen.upstream = Some((cluster, Message { headers: fields(&head), body: bytes, trailers, framing: None }));
            let response = &case.response;
            let body = if case.request.method == "HEAD" { Vec::new() } else { response.body.bytes().to_vec() };
            let (headers, trailers) = (response_head(case), expand(&response.trailers));
            (all, Message { headers, body, trailers, framing: None })
        }
        Route::Answer(status) => {
            let headers = vec![(":status".to_owned(), status.to_string().into_bytes())];
            (all, Message { headers, ..Message::default() })
        }
    }
}

/// Shows the head to further filters, up to one that replies or waits for the body.
fn heads(chain: &mut [Running], reached: &mut usize, head: &mut Head, ended: bool) -> Option<Reply> {
    for running in chain.iter_mut().skip(*reached) {
        *reached += 1;
        let flow = running.stream.on_request_head(head, &running.env);
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
            Flow::Continue | Flow::Buffer { .. } => {}
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

fn replied(reply: &Reply) -> Message {
    let mut headers = vec![(":status".to_owned(), reply.status.to_string().into_bytes())];
    headers.extend(reply.headers.iter().map(|(name, value)| (name.clone().into_owned(), value.clone())));
    Message { headers, body: reply.body.clone(), ..Message::default() }
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
        if !matches!(flow, Some(Flow::Continue | Flow::Buffer { .. } | Flow::Hold { .. })) {
            seen.reset = true;
        }
    }
    let fields = head.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    seen.client.headers = fields.collect();
    if !seen.reset {
        seen.client.body = body.bytes().to_vec();
    }
}
