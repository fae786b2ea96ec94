//! The `core` runner: the pure filters, without any host.

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
    request: Option<usize>,
    response: Option<usize>,
}

/// Runs one case.
pub fn run(file: &File, case: &Case) -> Result<Observation, String> {
    let mut chain = Vec::new();
    for filter in &file.filters {
        let native = configured(filter).ok_or("not a native filter")??;
        let stream = native.stream();
        chain.push(Running { native, stream, env: FixedEnv::default(), request: None, response: None });
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
    }
    Ok(seen)
}

/// The way in: how many filters the response has to pass, and the response.
fn request(file: &File, case: &Case, chain: &mut [Running], seen: &mut Observation) -> (usize, Message) {
    let all = chain.len();
    let mut head = Head::from_fields(request_head(case));
    // a message of no bytes ends with its head
    let ended =
        case.request.trailers.is_empty() && case.request.body.as_ref().is_none_or(|body| body.bytes().is_empty());
    for (index, running) in chain.iter_mut().enumerate() {
        match running.stream.on_request_head(&mut head, &running.env) {
            Flow::Reply(reply) => return (index + 1, replied(&reply)),
            Flow::Buffer { limit } if !ended => {
                head.remove("content-length");
                running.request = Some(limit);
            }
            Flow::Continue | Flow::Buffer { .. } => {}
        }
    }
    let mut bytes = case.request.body.as_ref().map(|body| body.bytes().to_vec()).unwrap_or_default();
    for (index, running) in chain.iter_mut().enumerate() {
        let Some(limit) = running.request else { continue };
        if bytes.len() > limit {
            return (index + 1, replied(&Reply::too_large()));
        }
        let mut body = Body::new(bytes);
        if let Flow::Reply(reply) = running.stream.on_request_body(&mut body, &running.env) {
            return (index + 1, replied(&reply));
        }
        bytes = body.bytes().to_vec();
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

fn replied(reply: &Reply) -> Message {
    let mut headers = vec![(":status".to_owned(), reply.status.to_string().into_bytes())];
    headers.extend(reply.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
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
        if !matches!(flow, Some(Flow::Continue | Flow::Buffer { .. })) {
            seen.reset = true;
        }
    }
    let fields = head.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    seen.client.headers = fields.collect();
    if !seen.reset {
        seen.client.body = body.bytes().to_vec();
    }
}
