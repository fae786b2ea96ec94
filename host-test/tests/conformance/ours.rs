//! The table in our host.

use crate::support::grpc::Outcome;
use crate::support::{headers, plugin, probe};
use crate::table::{Case, shown, shown_headers};
use host_test::{
    Answer, Attributes, Clock, Effect, GrpcAnswer, GrpcCallout, HeaderMap, Host, LocalReply, LogLevel, RouteInfo,
    StreamId, Worker, source_address,
};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What each case shows, and how many reports of misuse it makes.
pub fn run(table: &[Case]) -> (Vec<Vec<String>>, Vec<usize>) {
    let host = Arc::new(Host::new(Clock::settable(1_700_000_000_000_000_000), 7));
    host.set_clusters(["up", "side", "dead", "rpc", "rpc-dead", "rpc-1", "rpc-up", "none"].map(str::to_owned));
    host.set_cluster_hosts("none", false);
    let start = |stop: bool, listener: &str| {
        let chain = ["a", "b"].map(|root| {
            let mut plugin = plugin(&format!("probe-{root}"), probe());
            plugin.root_id = root.to_owned();
            plugin.vm_id = format!("v-{listener}");
            plugin.vm_configuration = b"vm: buf 7 0 9; buf-status 6; prop plugin_root_id".to_vec();
            plugin.configuration = format!("cfg: buf 7 0 5; buf 6 0 3; set-buf 7 0 0 x | {}", "").into_bytes();
            plugin.allow_on_headers_stop_iteration = stop;
            plugin
        });
        Worker::start(Arc::clone(&host), &chain).unwrap()
    };
    let mut plain = start(false, "plain");
    let mut stop = start(true, "stop");
    let mut small = start(true, "small");
    table
        .iter()
        .map(|case| {
            let worker = match case.listener.as_str() {
                "plain" => &mut plain,
                "stop" => &mut stop,
                _ => &mut small,
            };
            host.clock().advance(Duration::from_secs(10));
            host.take_log();
            (Exchange::run(&host, worker, case), worker.take_misuse().len())
        })
        .unzip()
}

/// One case under way: what has arrived at both ends.
#[derive(Default)]
struct Exchange {
    upstream: Option<HeaderMap>,
    upstream_body: Vec<u8>,
    upstream_end: bool,
    upstream_trailers: Option<HeaderMap>,
    client: Option<HeaderMap>,
    client_body: Vec<u8>,
    client_end: bool,
    client_trailers: Option<HeaderMap>,
    reset: bool,
    answered: bool,
    slow: Vec<GrpcCallout>,
}

impl Exchange {
    fn run(host: &Host, worker: &mut Worker, case: &Case) -> Vec<String> {
        let mut exchange = Self::default();
        let route = |headers: &HeaderMap| {
            headers.get(b":path").map(|_| RouteInfo {
                name: "main".to_owned(),
                cluster: "up".to_owned(),
                virtual_host: "all".to_owned(),
                ..RouteInfo::default()
            })
        };
        let buffer_limit = if case.listener == "small" { 1024 } else { 1024 * 1024 };
        let defaults = Attributes::default();
        let id = worker.open(Attributes {
            source_address: source_address(&request(case), &defaults.source_address),
            route: Some(Rc::new(route)),
            buffer_limit,
            listener_direction: 0,
            ..defaults
        });
        let has_body = case.body.is_some();
        let effects = worker.request_headers(id, request(case), !has_body);
        exchange.take(worker, id, case, effects);
        if let Some(body) = &case.body {
            if !body.is_empty() {
                let effects = worker.request_data(id, body.clone(), false);
                exchange.take(worker, id, case, effects);
            }
            let effects = if case.trailers.is_empty() {
                worker.request_data(id, Vec::new(), true)
            } else {
                worker.request_trailers(id, case.trailers.iter().cloned().collect())
            };
            exchange.take(worker, id, case, effects);
        }
        if case.leaves {
            worker.close(id);
        }
        exchange.side_calls(worker, id, case);
        worker.close(id);
        exchange.side_calls(worker, id, case);
        let log = host.take_log();
        let mut lines: Vec<String> = log
            .iter()
            .filter(|record| record.level == LogLevel::Info)
            .filter_map(|record| line(case, &record.text))
            .collect();
        lines.extend(exchange.ends(case));
        lines
    }

    /// The end has come, and with it as many bytes as the framing promises.
    fn upstream_is_complete(&self) -> bool {
        let promised = self.upstream.as_ref().and_then(content_length).unwrap_or(0);
        self.upstream_end && self.upstream_body.len() >= promised
    }

    fn side_calls(&mut self, worker: &mut Worker, id: StreamId, case: &Case) {
        for _ in 0..10 {
            for callout in worker.callouts() {
                let answer = match (callout.cluster.as_str(), callout.headers.get(b":path")) {
                    ("dead", _) => Answer::ConnectFailure,
                    (_, Some(b"/slow")) => Answer::Timeout,
                    _ => Answer::Response {
                        headers: headers(&[
                            (":status", "200"),
                            ("content-length", "4"),
                            ("x-side", "yes"),
                            ("connection", "close"),
                            ("x-envoy-upstream-service-time", "0"),
                        ]),
                        body: b"side".to_vec(),
                        trailers: HeaderMap::new(),
                    },
                };
                let effects = worker.answer_callout(callout.token, answer);
                let effects = effects.into_iter().map(|(_, effect)| effect).collect();
                self.take(worker, id, case, effects);
            }
            let (slow, mut quick): (Vec<_>, Vec<_>) = worker
                .grpc_callouts()
                .into_iter()
                .partition(|callout| matches!(callout.method.as_str(), "Late" | "Never"));
            self.slow.extend(slow);
            // A stream that waits for nothing else is over before a slow service answers.
            if quick.is_empty() && (self.client.is_none() || worker.open_streams() == 0) {
                quick.append(&mut self.slow);
            }
            for callout in quick {
                let effects = worker.answer_grpc(callout.token, grpc_answer(&callout));
                let effects = effects.into_iter().map(|(_, effect)| effect).collect();
                self.take(worker, id, case, effects);
            }
        }
    }

    fn take(&mut self, worker: &mut Worker, id: StreamId, case: &Case, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::RequestHeaders(map, _)
                    if map.get(b":path").is_none() || map.get(b"x-forwarded-proto").is_none() =>
                {
                    // What Envoy's router does without a route.
                    let details = "route_not_found".to_owned();
                    let effects = worker.reply(id, LocalReply { status: 404, details, ..LocalReply::default() });
                    self.take(worker, id, case, effects);
                }
                Effect::RequestHeaders(map, end) => {
                    self.upstream = Some(map);
                    self.upstream_end = end;
                }
                Effect::RequestData(data, end) => {
                    self.upstream_body.extend(data);
                    self.upstream_end = end;
                }
                Effect::RequestTrailers(map) => {
                    self.upstream_trailers = Some(map);
                    self.upstream_end = true;
                }
                Effect::ResponseHeaders(map, end) => {
                    self.client = Some(map);
                    self.client_end = end;
                }
                Effect::ResponseData(data, end) => {
                    self.client_body.extend(data);
                    self.client_end = end;
                }
                Effect::ResponseTrailers(map) => {
                    self.client_trailers = Some(map);
                    self.client_end = true;
                }
                Effect::Reset(_) => self.reset = true,
            }
        }
        if !self.upstream_is_complete() || self.answered || self.client.is_some() || self.reset {
            return;
        }
        self.answered = true;
        let mut answer: HeaderMap = [(":status", case.status.to_string())].into_iter().collect();
        answer.add("connection", "close");
        for (name, value) in &case.answer_headers {
            answer.add(name.as_str(), value.as_str());
        }
        let no_body = case.is_head() || case.status == 204;
        if !no_body && case.answer_trailers.is_empty() {
            answer.add("content-length", case.answer.len().to_string());
        }
        let end = no_body || (case.answer.is_empty() && case.answer_trailers.is_empty());
        let effects = worker.response_headers(id, answer, end);
        self.take(worker, id, case, effects);
        if end {
            return;
        }
        let effects = worker.response_data(id, case.answer.clone(), false);
        self.take(worker, id, case, effects);
        let effects = if case.answer_trailers.is_empty() {
            worker.response_data(id, Vec::new(), true)
        } else {
            worker.response_trailers(id, case.answer_trailers.iter().cloned().collect())
        };
        self.take(worker, id, case, effects);
    }

    /// What the upstream and the client have seen.
    fn ends(&self, case: &Case) -> Vec<String> {
        let text = |map: &HeaderMap| -> Vec<(String, String)> {
            map.iter()
                .map(|(n, v)| (String::from_utf8_lossy(n).into_owned(), String::from_utf8_lossy(v).into_owned()))
                .collect()
        };
        let shown_map = |map: &HeaderMap| shown_headers(text(map).iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let mut lines = Vec::new();
        if let Some(map) = self.upstream.as_ref().filter(|_| self.answered) {
            let length = content_length(map);
            let mut map = map.clone();
            if length.is_none()
                && self.upstream_body.is_empty()
                && !matches!(map.get(b":method"), Some(b"GET" | b"HEAD"))
            {
                map.add("content-length", "0");
            }
            // By the framing the upstream takes no more than it was promised, and no trailers behind a length.
            let body = self.upstream_body.get(..length.unwrap_or(usize::MAX)).unwrap_or(&self.upstream_body);
            let part = |name: &[u8]| String::from_utf8_lossy(map.get(name).unwrap_or_default()).into_owned();
            let trailers = self
                .upstream_trailers
                .as_ref()
                .filter(|_| length.is_none())
                .map(|map| format!(" trailers{}", shown_map(map)))
                .unwrap_or_default();
            lines.push(format!(
                "upstream: {} {}{} body {}{trailers}",
                part(b":method"),
                part(b":path"),
                shown_map(&map),
                shown(body)
            ));
        }
        match &self.client {
            None if self.reset => lines.push("client: cut".to_owned()),
            None => lines.push("client: hangs".to_owned()),
            Some(map) => {
                let status = String::from_utf8_lossy(map.get(b":status").unwrap_or_default()).into_owned();
                let length = content_length(map).filter(|_| !case.is_head());
                let trailers = self
                    .client_trailers
                    .as_ref()
                    .filter(|_| length.is_none())
                    .map(|map| format!(" trailers{}", shown_map(map)))
                    .unwrap_or_default();
                let is_complete = self.client_end && length.is_none_or(|length| self.client_body.len() >= length);
                let mut map = map.clone();
                if self.client_end
                    && self.client_body.is_empty()
                    && map.get(b"content-length").is_none()
                    && !case.is_head()
                    && status != "204"
                {
                    map.add("content-length", "0");
                }
                let end = if is_complete {
                    ""
                } else if self.reset {
                    " cut"
                } else {
                    " hangs"
                };
                lines.push(format!(
                    "client: {status}{} body {}{trailers}{end}",
                    shown_map(&map),
                    shown(&self.client_body)
                ));
            }
        }
        lines
    }
}

/// What becomes of a call, in Envoy's words.
fn grpc_answer(callout: &GrpcCallout) -> GrpcAnswer {
    let unavailable = |reason: &str| GrpcAnswer::Failed {
        status: 14,
        message: format!(
            "upstream connect error or disconnect/reset before headers. reset reason: \
             {reason}{{upstream_reset_before_response_started{{{}}}}}",
            reason.replace(' ', "_")
        ),
    };
    let head = callout.request_head();
    let is_refused = |(name, value): (&[u8], &[u8])| {
        matches!(name, b"connection" | b"content-length" | b"transfer-encoding")
            || (name == b"te" && value != b"trailers")
    };
    match (callout.cluster.as_str(), callout.method.as_str()) {
        ("rpc-dead", _) => GrpcAnswer::refused(),
        ("rpc-1", _) => unavailable("protocol error"),
        ("rpc-up", _) => unavailable("connection termination"),
        ("side", _) => GrpcAnswer::Failed { status: 5, message: "five{via_upstream}".to_owned() },
        _ if head.iter().any(is_refused) => unavailable("protocol error"),
        (_, "Large") => GrpcAnswer::Message(vec![b'x'; 3_000_000]),
        (_, "Show") => {
            let shown = head.iter().map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()));
            let frame = format!("frame={}", callout.frame().escape_ascii());
            GrpcAnswer::Message(shown.chain([frame]).collect::<Vec<_>>().join(" ").into_bytes())
        }
        (_, method) => Outcome::of(method).unwrap().answer(),
    }
}

/// The request headers as Envoy hands them to filters.
fn request(case: &Case) -> HeaderMap {
    let mut map =
        headers(&[(":authority", "a.test"), (":path", &case.path), (":method", &case.method), (":scheme", "http")]);
    map.add("x-case", case.name.as_str());
    for (name, value) in &case.headers {
        map.append(host_test::Role::Request, name.as_bytes(), value.as_bytes());
    }
    if let Some(body) = &case.body
        && case.trailers.is_empty()
    {
        map.add("content-length", body.len().to_string());
    }
    map.add("x-forwarded-proto", "http");
    map.add("x-request-id", "00000000-0000-4000-8000-000000000000");
    map
}

fn content_length(map: &HeaderMap) -> Option<usize> {
    std::str::from_utf8(map.get(b"content-length")?).ok()?.parse().ok()
}

/// A probe's line without the case's name.
pub fn line(case: &Case, text: &str) -> Option<String> {
    let rest = text.split_once("PROBE|")?.1;
    Some(rest.strip_prefix(&format!("{}-", case.name)).unwrap_or(rest).to_owned())
}
