//! One request and its response: moves heads and bodies between the client, the filters and the upstream.
//!
//! This file waits for what happens; `effects` carries out what the filters want, `attempt` asks the upstream.

mod attempt;
mod effects;
mod wait;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::access::AccessRecord;
use super::clusters::{Lease, ThreadCluster};
use super::head;
use super::mirror::Copy;
use super::pipe::{self, Reader};
use super::site::{Inbox, Site};
use super::words::{self, Failure};
use crate::{HeaderEdits, HeaderMap, LocalReply, Role, StreamId};

use attempt::Outgoing;
use wait::{at, next_frame, notified, room, wait};

type Answered = Result<(http::Response<Incoming>, Lease), Failure>;

/// Where the upstream's part stands.
enum Upstream {
    /// No request has gone out.
    Idle,
    /// The request is on its way.
    Asking(Pin<Box<dyn Future<Output = Answered>>>),
    /// The request is tried again then.
    Pausing(Instant),
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
    Connected,
    AttemptTimeout,
    PauseOver,
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
    outgoing: Option<Outgoing>,
    to_upstream: Option<pipe::Sender>,
    /// Those whose bodies still come.
    copies: Vec<Copy>,
    deadline: Option<Instant>,
    attempt_deadline: Option<Instant>,
    /// Of the route, where it has one.
    idle_timeout: Option<Duration>,
    response_edits: Arc<[HeaderEdits]>,
    last_active: Instant,
    record: AccessRecord,
}

/// What an exchange begins with.
pub(crate) struct Beginning {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
    pub(crate) attributes: crate::Attributes,
    /// Of the route that the request has as it comes.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) head: oneshot::Sender<http::Response<Reader>>,
}

/// Runs an exchange to its end.
pub(crate) async fn run(site: Rc<Site>, beginning: Beginning) {
    let Beginning { headers, body, attributes, idle_timeout, head } = beginning;
    let _active = site.stats.rq_active.hold();
    let record = AccessRecord::new(&headers, &attributes);
    let (id, inbox) = site.open(attributes);
    let complete = body.is_end_stream();
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
        outgoing: None,
        to_upstream: None,
        copies: Vec::new(),
        deadline: None,
        attempt_deadline: None,
        idle_timeout,
        response_edits: Arc::new([]),
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
    /// Waits for the next thing to happen.
    async fn next(&mut self) -> Event {
        let listener_idle = self.site.listener().map_or(Duration::ZERO, |listener| listener.http.stream_idle_timeout);
        let idle = self.idle_timeout.unwrap_or(listener_idle);
        let idle_at = (!idle.is_zero()).then(|| self.last_active + idle);
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
        let (mut asking, mut answering, mut pause_end) = (None, None, None);
        let mut connecting = None;
        match &mut self.upstream {
            Upstream::Asking(future) => {
                asking = Some(future);
                connecting = self.outgoing.as_ref().and_then(Outgoing::connecting);
            }
            Upstream::Pausing(end) => pause_end = Some(*end),
            Upstream::Answering(incoming, _) => answering = Some(incoming),
            Upstream::Idle | Upstream::Over => {}
        }
        tokio::select! {
            biased;
            () = gone => Event::ClientGone,
            () = inbox.arrived() => Event::FromFilters,
            answer = wait(asking) => Event::Answer(answer),
            frame = next_frame(answering), if reads_response => Event::ResponseFrame(frame),
            frame = next_frame(self.request.as_mut()), if reads_request => Event::RequestFrame(frame),
            () = room(upstream_room, client_room) => Event::Room,
            () = notified(connecting) => Event::Connected,
            () = at(self.deadline) => Event::RequestTimeout,
            () = at(self.attempt_deadline) => Event::AttemptTimeout,
            () = at(pause_end) => Event::PauseOver,
            () = at(idle_at) => Event::Silence,
        }
    }

    fn on(&mut self, event: Event) {
        if !matches!(event, Event::Room | Event::Connected) {
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
            Event::Answer(Ok((response, lease))) => self.attempt_answered(response, lease),
            Event::Answer(Err(failure)) => self.attempt_failed(failure),
            Event::Connected => self.connected(),
            Event::AttemptTimeout => self.attempt_timed_out(),
            Event::PauseOver => self.attempt_again(),
            Event::ResponseFrame(frame) => self.response_frame(frame),
            Event::RequestFrame(frame) => self.request_frame(frame),
            Event::RequestTimeout => {
                self.deadline = None;
                if let Some(cluster) = &self.cluster {
                    cluster.state.stats.rq_timeout.inc();
                    if self.head.is_some() {
                        cluster.state.stats.answered(504);
                    }
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
        let (reply, flag) = failure.reply(self.record.attempts);
        self.record.flag(flag);
        if let Some(cluster) = &self.cluster {
            cluster.state.stats.answered(u16::try_from(reply.status).unwrap_or(503));
        }
        reply
    }

    /// Answers in the upstream's place; too late for that, the stream is cut off.
    fn say(&mut self, reply: LocalReply) {
        self.leave_upstream();
        self.filters(|worker, id| worker.reply(id, reply));
    }

    /// Nothing more goes to an upstream or comes from one.
    fn leave_upstream(&mut self) {
        self.to_upstream = None;
        self.copies.clear();
        self.upstream = Upstream::Over;
        self.outgoing = None;
        self.attempt_deadline = None;
    }

    fn answer(&mut self, response: http::Response<Incoming>, lease: Lease) {
        let (parts, body) = response.into_parts();
        let mut headers = head::from_upstream(&parts);
        if let Some(cluster) = &self.cluster {
            cluster.state.stats.answered(parts.status.as_u16());
        }
        let suppressed = self.site.listener().is_some_and(|listener| listener.http.suppress_envoy_headers);
        if !suppressed {
            headers.replace("x-envoy-upstream-service-time", self.record.service_time().as_millis().to_string());
        }
        for edits in self.response_edits.iter() {
            edits.apply(Role::Response, &mut headers);
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
                self.say(Failure::Ended.reply(1).0);
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
        self.log(closed);
        if let Some(request) = self.request.take() {
            tokio::task::spawn_local(discard(request));
        }
    }
}

impl Exchange {
    /// Writes the access logs.
    fn log(&mut self, closed: crate::Closed) {
        let Some(logs) = self.site.access_logs().filter(|logs| !logs.is_empty()) else { return };
        if self.record.route.is_none() {
            self.record.route = (self.site.resolver)(&self.record.request).map(|route| (route.name, route.cluster));
        }
        self.record.details = closed.details;
        self.record.filter_state = closed.filter_state;
        logs.write(&self.record, &self.site.log);
    }
}

/// Reads on for a moment when the answer came before the request was complete. A connection that is closed with bytes
/// unread is reset, and the client could lose the answer.
async fn discard(mut request: Incoming) {
    let all = async { while request.frame().await.is_some_and(|frame| frame.is_ok()) {} };
    // Envoy's `delayed_close_timeout` too is a second.
    let _ = tokio::time::timeout(Duration::from_secs(1), all).await;
}
