//! One request and its response: moves heads and bodies between the client, the filters and the upstream.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::access::AccessRecord;
use super::bootstrap::{Action, ClusterChoice, Proxy};
use super::clusters::{Lease, ThreadCluster};
use super::log::Level;
use super::pipe::{self, Reader};
use super::site::{Inbox, Site};
use super::words::{self, Failure};
use super::{generation, head};
use crate::{Effect, HeaderMap, LocalReply, StreamId, Worker};

type Answered = Result<(http::Response<Incoming>, Lease), Failure>;

/// Where the upstream's part stands.
enum Upstream {
    /// No request has gone out.
    Idle,
    /// The request is on its way.
    Asking(Pin<Box<dyn Future<Output = Answered>>>),
    /// The response comes in.
    Answering(Incoming, Lease),
    /// Nothing more comes.
    Over,
}

/// What happened next.
enum Event {
    ClientGone,
    FromFilters,
    Answer(Answered),
    ResponseFrame(Option<Result<Frame<Bytes>, hyper::Error>>),
    RequestFrame(Option<Result<Frame<Bytes>, hyper::Error>>),
    RequestTimeout,
    Silence,
    Room,
}

/// A request under way.
pub(crate) struct Exchange {
    site: Rc<Site>,
    id: StreamId,
    inbox: Rc<Inbox>,
    request: Option<Incoming>,
    request_complete: bool,
    /// What still has to come of a body whose length is promised.
    request_left: Option<u64>,
    response_left: Option<u64>,
    head: Option<oneshot::Sender<http::Response<Reader>>>,
    client: Option<pipe::Sender>,
    response_over: bool,
    is_head_request: bool,
    cluster: Option<Rc<ThreadCluster>>,
    upstream: Upstream,
    to_upstream: Option<pipe::Sender>,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    last_active: Instant,
    record: AccessRecord,
}

/// What an exchange begins with.
pub(crate) struct Beginning {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
    pub(crate) attributes: crate::Attributes,
    pub(crate) head: oneshot::Sender<http::Response<Reader>>,
}

/// Runs an exchange to its end.
pub(crate) async fn run(site: Rc<Site>, beginning: Beginning) {
    let Beginning { headers, body, attributes, head } = beginning;
    let _active = site.stats.rq_active.hold();
    let (id, inbox) = site.open(attributes);
    let complete = body.is_end_stream();
    let record = AccessRecord::new(&headers);
    let mut exchange = Exchange {
        inbox,
        id,
        request: (!complete).then_some(body),
        request_complete: complete,
        request_left: None,
        response_left: None,
        head: Some(head),
        client: None,
        response_over: false,
        is_head_request: headers.get(b":method") == Some(b"HEAD"),
        cluster: None,
        upstream: Upstream::Idle,
        to_upstream: None,
        timeout: None,
        deadline: None,
        last_active: Instant::now(),
        record,
        site,
    };
    exchange.filters(|worker, id| worker.request_headers(id, headers, complete));
    while !exchange.response_over {
        let event = exchange.next().await;
        exchange.on(event);
    }
    exchange.finish();
}

impl Exchange {
    /// Calls into the filters and carries out what comes out of them, and what follows from that.
    fn filters(&mut self, call: impl FnOnce(&mut Worker, StreamId) -> Vec<Effect>) {
        let id = self.id;
        let effects = self.site.call(|worker| call(worker, id));
        self.carry_out(effects.into());
    }

    fn carry_out(&mut self, mut effects: VecDeque<Effect>) {
        while let Some(effect) = effects.pop_front() {
            if self.response_over {
                return;
            }
            if let Some(reply) = self.effect(effect) {
                let id = self.id;
                // What was under way towards the upstream is void.
                effects.clear();
                self.to_upstream = None;
                self.upstream = Upstream::Over;
                effects.extend(self.site.call(|worker| worker.reply(id, reply)));
            }
        }
    }

    /// Carries one effect out. A reply is what must be said instead.
    fn effect(&mut self, effect: Effect) -> Option<LocalReply> {
        match effect {
            Effect::RequestHeaders(headers, end) => return self.route(headers, end).err(),
            Effect::RequestData(data, end) => return self.request_data(data, end).err(),
            // HTTP/1.1 trailers are dropped, as Envoy does by default.
            Effect::RequestTrailers(_) => return self.request_data(Vec::new(), true).err(),
            Effect::ResponseHeaders(headers, end) => self.response_head(&headers, end),
            Effect::ResponseData(data, end) => self.response_data(data, end),
            Effect::ResponseTrailers(_) => self.response_data(Vec::new(), true),
            Effect::Reset(reason) => {
                self.site.stats.rq_tx_reset.inc();
                self.site.log.line(Level::Debug, &format!("stream {} cut off: {reason:?}", self.id.number()));
                self.abort();
            }
        }
        None
    }

    /// Finds the route for the final request headers and sends the request there.
    fn route(&mut self, mut headers: HeaderMap, end: bool) -> Result<(), LocalReply> {
        self.record.request_left_filters(&headers);
        let site = self.site.clone();
        let Some(listener) = site.listener() else { return Err(words::bare(404, "route_not_found")) };
        let Some((_, route)) = listener.http.routes.find(&headers) else {
            site.stats.no_route.inc();
            self.record.flag("NR");
            return Err(words::bare(404, "route_not_found"));
        };
        site.stats.router_rq_total.inc();
        let proxy = match &route.action {
            Action::Proxy(proxy) => proxy,
            Action::Respond { status, body } => {
                site.stats.direct_response.inc();
                return Err(words::text(u32::from(*status), body, "direct_response"));
            }
        };
        let Some(cluster) = self.choose(proxy, &headers) else {
            site.stats.no_cluster.inc();
            self.record.flag("NC");
            return Err(words::bare(503, "cluster_not_found"));
        };
        proxy.rewrite(&route.path, &mut headers);
        if !proxy.timeout.is_zero() {
            self.timeout = Some(proxy.timeout);
            if !listener.http.suppress_envoy_headers {
                headers.replace("x-envoy-expected-rq-timeout-ms", proxy.timeout.as_millis().to_string());
            }
        }
        self.cluster = Some(cluster.clone());
        let Some(address) = cluster.pick() else {
            cluster.state.stats.cx_none_healthy.inc();
            return Err(self.failed(Failure::NoHost));
        };
        self.record.upstream(address);
        self.request_left = if end { None } else { head::content_length(&headers) };
        let (sender, reader) = body(end);
        let request = head::to_upstream(&headers, reader).map_err(|why| {
            site.log.line(Level::Error, &format!("request {}: {}", self.id.number(), why.0));
            words::text(503, &why.0, "invalid_request_headers")
        })?;
        self.to_upstream = sender;
        let active = cluster.state.stats.rq_active.hold();
        self.upstream = Upstream::Asking(Box::pin(async move {
            let _active = active;
            cluster.send(address, request).await
        }));
        if end {
            self.request_sent();
        }
        Ok(())
    }

    fn choose(&self, proxy: &Proxy, headers: &HeaderMap) -> Option<Rc<ThreadCluster>> {
        let name = match &proxy.cluster {
            ClusterChoice::Named(name) => name.as_str(),
            ClusterChoice::FromHeader(header) => {
                let header = if header == "host" { ":authority" } else { header };
                std::str::from_utf8(headers.get(header.as_bytes())?).ok()?
            }
            ClusterChoice::Weighted(split) => split.pick(generation::random()),
        };
        self.site.clusters.get(name).cloned()
    }

    /// The request is on its way completely: the route's timeout runs from here.
    fn request_sent(&mut self) {
        self.deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        self.record.request_sent();
    }

    fn request_data(&mut self, data: Vec<u8>, end: bool) -> Result<(), LocalReply> {
        let Some(sender) = &self.to_upstream else { return Ok(()) };
        if let Some(left) = &mut self.request_left {
            let fits = left.checked_sub(data.len() as u64).filter(|rest| !end || *rest == 0);
            let Some(rest) = fits else {
                return Err(self.misframed("request"));
            };
            *left = rest;
        }
        sender.push(Bytes::from(data));
        if end {
            sender.finish();
            self.request_sent();
        }
        Ok(())
    }

    /// Envoy would put such a message on the wire as it is and spoil the connection for the next one.
    fn misframed(&mut self, what: &str) -> LocalReply {
        let why = format!(
            "the {what} body has another length than its content-length says: a filter changed only one of them"
        );
        self.site.log.line(Level::Error, &format!("stream {}: {why}", self.id.number()));
        words::text(502, &why, "body_length_mismatch")
    }

    fn response_head(&mut self, headers: &HeaderMap, end: bool) {
        let Some(head) = self.head.take() else { return };
        let Some(listener) = self.site.listener() else { return self.abort() };
        let (sender, reader) = body(end);
        let mut response = match head::to_client(headers, &listener.http.server_name, reader) {
            Ok(response) => response,
            Err(why) => {
                let line = format!("stream {}: the filters' response cannot be sent: {}", self.id.number(), why.0);
                self.site.log.line(Level::Error, &line);
                return self.abort();
            }
        };
        let status = response.status().as_u16();
        let bodyless = self.is_head_request || matches!(status, 204 | 304);
        let length = head::content_length(headers);
        if end && !bodyless && length.is_some_and(|length| length > 0) {
            self.misframed("response");
            return self.abort();
        }
        self.response_left = if bodyless { None } else { length };
        if !self.request_complete {
            // Nobody will read the rest of the request, so the connection cannot go on.
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        self.record.answered(status, headers);
        self.site.stats.answered(status);
        self.client = sender;
        self.response_over = end;
        if head.send(response).is_err() {
            self.abort();
        }
    }

    fn response_data(&mut self, data: Vec<u8>, end: bool) {
        if let Some(left) = &mut self.response_left {
            match left.checked_sub(data.len() as u64).filter(|rest| !end || *rest == 0) {
                Some(rest) => *left = rest,
                None => {
                    self.misframed("response");
                    return self.abort();
                }
            }
        }
        self.record.sent(data.len());
        if let Some(client) = &self.client {
            client.push(Bytes::from(data));
            if end {
                client.finish();
            }
        }
        self.response_over |= end;
    }

    /// Cuts the stream off: the client's connection is closed.
    fn abort(&mut self) {
        if let Some(client) = self.client.take() {
            client.abort();
        }
        // Without a head to send, dropping the sender makes the server close the connection.
        self.head = None;
        self.response_over = true;
    }

    /// Waits for the next thing to happen.
    async fn next(&mut self) -> Event {
        let listener_idle = self.site.listener().map_or(Duration::ZERO, |listener| listener.http.stream_idle_timeout);
        let idle_at = (!listener_idle.is_zero()).then(|| self.last_active + listener_idle);
        let upstream_room = self.to_upstream.as_ref().filter(|sender| sender.is_full());
        let client_room = self.client.as_ref().filter(|sender| sender.is_full());
        let reads_request = self.request.is_some() && upstream_room.is_none() && !self.site.request_is_full(self.id);
        let reads_response = client_room.is_none() && !self.site.response_is_full(self.id);
        let (head, client, inbox) = (&mut self.head, &self.client, &self.inbox);
        let gone = async move {
            match (head, client) {
                (Some(head), _) => head.closed().await,
                (None, Some(client)) => client.reader_gone().await,
                (None, None) => std::future::pending().await,
            }
        };
        let (asking, answering) = match &mut self.upstream {
            Upstream::Asking(asking) => (Some(asking), None),
            Upstream::Answering(incoming, _) => (None, Some(incoming)),
            Upstream::Idle | Upstream::Over => (None, None),
        };
        tokio::select! {
            biased;
            () = gone => Event::ClientGone,
            () = inbox.arrived() => Event::FromFilters,
            answer = wait(asking) => Event::Answer(answer),
            frame = next_frame(answering), if reads_response => Event::ResponseFrame(frame),
            frame = next_frame(self.request.as_mut()), if reads_request => Event::RequestFrame(frame),
            () = room(upstream_room, client_room) => Event::Room,
            () = at(self.deadline) => Event::RequestTimeout,
            () = at(idle_at) => Event::Silence,
        }
    }

    fn on(&mut self, event: Event) {
        if !matches!(event, Event::Room) {
            self.last_active = Instant::now();
        }
        match event {
            Event::Room => {}
            Event::ClientGone => {
                self.site.stats.rq_rx_reset.inc();
                self.record.flag("DC");
                self.abort();
            }
            Event::FromFilters => {
                let effects = self.inbox.take();
                self.carry_out(effects.into());
            }
            Event::Answer(Ok((response, lease))) => self.answer(response, lease),
            Event::Answer(Err(failure)) => {
                let reply = self.failed(failure);
                self.say(reply);
            }
            Event::ResponseFrame(frame) => self.response_frame(frame),
            Event::RequestFrame(frame) => self.request_frame(frame),
            Event::RequestTimeout => {
                self.deadline = None;
                if let Some(cluster) = &self.cluster {
                    cluster.state.stats.rq_timeout.inc();
                    cluster.state.stats.answered(504);
                }
                self.record.flag("UT");
                self.say(words::request_timeout());
            }
            Event::Silence => {
                self.site.stats.rq_idle_timeout.inc();
                self.record.flag("SI");
                self.say(words::stream_timeout(self.request_complete));
            }
        }
    }

    fn failed(&mut self, failure: Failure) -> LocalReply {
        let (reply, flag) = failure.reply();
        self.record.flag(flag);
        if let Some(cluster) = &self.cluster {
            cluster.state.stats.answered(u16::try_from(reply.status).unwrap_or(503));
        }
        reply
    }

    /// Answers in the upstream's place; too late for that, the stream is cut off.
    fn say(&mut self, reply: LocalReply) {
        self.to_upstream = None;
        self.upstream = Upstream::Over;
        self.filters(|worker, id| worker.reply(id, reply));
    }

    fn answer(&mut self, response: http::Response<Incoming>, lease: Lease) {
        let (parts, body) = response.into_parts();
        let mut headers = head::from_upstream(&parts);
        if let Some(cluster) = &self.cluster {
            cluster.state.stats.answered(parts.status.as_u16());
        }
        let suppressed = self.site.listener().is_some_and(|listener| listener.http.suppress_envoy_headers);
        if !suppressed {
            headers.replace("x-envoy-upstream-service-time", self.record.service_time().to_string());
        }
        let end = body.is_end_stream();
        if end {
            self.upstream = Upstream::Over;
            self.upstream_over(lease);
        } else {
            self.upstream = Upstream::Answering(body, lease);
        }
        self.filters(|worker, id| worker.response_headers(id, headers, end));
    }

    fn upstream_over(&mut self, lease: Lease) {
        self.deadline = None;
        lease.give_back();
    }

    fn response_frame(&mut self, frame: Option<Result<Frame<Bytes>, hyper::Error>>) {
        match frame {
            Some(Ok(frame)) => {
                // Trailers are dropped, as Envoy does by default.
                if let Ok(data) = frame.into_data() {
                    self.filters(|worker, id| worker.response_data(id, data.into(), false));
                }
            }
            None => {
                if let Upstream::Answering(_, lease) = std::mem::replace(&mut self.upstream, Upstream::Over) {
                    self.upstream_over(lease);
                }
                self.filters(|worker, id| worker.response_data(id, Vec::new(), true));
            }
            Some(Err(_)) => {
                if let Some(cluster) = &self.cluster {
                    cluster.state.stats.rq_rx_reset.inc();
                }
                self.record.flag("UPE");
                self.say(Failure::Ended.reply().0);
            }
        }
    }

    fn request_frame(&mut self, frame: Option<Result<Frame<Bytes>, hyper::Error>>) {
        match frame {
            Some(Ok(frame)) => {
                // Trailers are dropped, as Envoy does by default.
                if let Ok(data) = frame.into_data() {
                    self.record.received(data.len());
                    self.filters(|worker, id| worker.request_data(id, data.into(), false));
                }
            }
            None => {
                self.request = None;
                self.request_complete = true;
                self.filters(|worker, id| worker.request_data(id, Vec::new(), true));
            }
            Some(Err(_)) => {
                self.request = None;
                self.site.stats.cx_protocol_error.inc();
                self.record.flag("DPE");
                self.say(words::text(400, "Bad Request", "http1.codec_error"));
            }
        }
    }

    /// The last words: stats, the filters' log phase, the access log.
    fn finish(mut self) {
        let waiting = matches!(self.upstream, Upstream::Asking(_) | Upstream::Answering(..));
        let sending = self.to_upstream.is_some() && !self.request_complete;
        if let Some(cluster) = &self.cluster
            && (waiting || sending)
        {
            cluster.state.stats.rq_tx_reset.inc();
        }
        self.upstream = Upstream::Over;
        let closed = self.site.close(self.id);
        match closed.details.as_deref() {
            Some("request_payload_too_large") => self.site.stats.rq_too_large.inc(),
            Some("response_payload_too_large") => self.site.stats.rs_too_large.inc(),
            _ => {}
        }
        if self.site.listener().is_some_and(|listener| listener.http.access_log) {
            self.site.log.access(&self.record.line());
        }
    }
}

async fn wait(asking: Option<&mut Pin<Box<dyn Future<Output = Answered>>>>) -> Answered {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

async fn next_frame(body: Option<&mut Incoming>) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    match body {
        Some(body) => body.frame().await,
        None => std::future::pending().await,
    }
}

async fn room(first: Option<&pipe::Sender>, second: Option<&pipe::Sender>) {
    match (first, second) {
        (Some(first), Some(second)) => {
            tokio::select! {
                () = first.room() => {}
                () = second.room() => {}
            }
        }
        (Some(one), None) | (None, Some(one)) => one.room().await,
        (None, None) => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The two ends of a body to be sent; nothing to write when the message has none.
fn body(end: bool) -> (Option<pipe::Sender>, Reader) {
    if end {
        return (None, Reader::empty());
    }
    let (sender, reader) = pipe::pipe();
    (Some(sender), reader)
}
