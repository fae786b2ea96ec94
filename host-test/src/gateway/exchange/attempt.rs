//! Sends a request that has left the filters, and once more where the route's retry policy says so.

use std::rc::Rc;

use bytes::Bytes;
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Exchange, Upstream};
use crate::gateway::clusters::{Lease, ThreadCluster};
use crate::gateway::log::Level;
use crate::gateway::pipe::{self, Reader};
use crate::gateway::retry::{Retries, Timeouts, Verdict};
use crate::gateway::words::{self, Failure};
use crate::gateway::{generation, head};
use crate::{HeaderMap, LocalReply};

/// A request on its way, with what another attempt needs.
pub(super) struct Outgoing {
    pub(super) cluster: Rc<ThreadCluster>,
    pub(super) headers: HeaderMap,
    pub(super) timeouts: Timeouts,
    /// Nothing when the request is not tried again, or not any more.
    pub(super) retries: Option<Retries>,
    /// Most bytes of a body that are kept for another attempt.
    pub(super) limit: usize,
    /// Whether the upstream is told which attempt it sees, and how long it may take.
    pub(super) tells: (bool, bool),
    /// It has no body.
    pub(super) bodyless: bool,
    /// The filters have let go of all of it.
    complete: bool,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    connected: Rc<Notify>,
    is_connected: bool,
}

impl Outgoing {
    pub(super) fn new(cluster: Rc<ThreadCluster>, headers: HeaderMap, bodyless: bool) -> Self {
        Self {
            cluster,
            headers,
            timeouts: Timeouts::default(),
            retries: None,
            limit: 0,
            tells: (false, false),
            bodyless,
            complete: bodyless,
            kept: Vec::new(),
            kept_bytes: 0,
            connected: Rc::default(),
            is_connected: false,
        }
    }

    /// A piece of the body. False when that is more than is kept for another attempt, so that there will be none.
    pub(super) fn keep(&mut self, data: &Bytes, end: bool) -> bool {
        self.complete |= end;
        if self.retries.is_none() {
            return true;
        }
        self.kept_bytes += data.len();
        if self.kept_bytes > self.limit {
            self.settle();
            return false;
        }
        self.kept.push(data.clone());
        true
    }

    /// It will not be tried again.
    fn settle(&mut self) {
        self.retries = None;
        self.kept = Vec::new();
    }

    /// What says when there is a connection, if somebody waits for that.
    pub(super) fn connecting(&self) -> Option<Rc<Notify>> {
        (self.timeouts.each.is_some() && !self.is_connected).then(|| self.connected.clone())
    }
}

impl Exchange {
    /// Sends the request to the next endpoint. A reply is what must be said instead.
    pub(super) fn attempt(&mut self) -> Result<(), LocalReply> {
        let Some(outgoing) = &mut self.outgoing else { return Ok(()) };
        let cluster = outgoing.cluster.clone();
        self.record.attempts += 1;
        if cluster.state.config.tls {
            return Err(self.failed(Failure::Tls));
        }
        let Some(address) = cluster.pick() else {
            cluster.state.stats.cx_none_healthy.inc();
            return Err(self.failed(Failure::NoHost));
        };
        self.record.upstream(address);
        let (tells_attempt, tells_timeout) = outgoing.tells;
        if let Some(expected) = outgoing.timeouts.expected(self.record.since_sent()).filter(|_| tells_timeout)
            && self.record.attempts > 1
        {
            outgoing.headers.replace("x-envoy-expected-rq-timeout-ms", expected.to_string());
        }
        if tells_attempt {
            outgoing.headers.replace("x-envoy-attempt-count", self.record.attempts.to_string());
        }
        let (sender, reader) = body(outgoing.bodyless);
        let request = head::to_upstream(&outgoing.headers, reader).map_err(|why| {
            self.site.log.line(Level::Error, &format!("request {}: {}", self.id.number(), why.0));
            words::text(503, &why.0, "invalid_request_headers")
        })?;
        if let Some(sender) = &sender {
            for data in &outgoing.kept {
                sender.push(data.clone());
            }
            if outgoing.complete {
                sender.finish();
            }
        }
        self.to_upstream = sender;
        let active = cluster.state.stats.rq_active.hold();
        let connected = Rc::<Notify>::default();
        (outgoing.connected, outgoing.is_connected) = (connected.clone(), false);
        self.upstream = Upstream::Asking(Box::pin(async move {
            let _active = active;
            cluster.send_watched(address, request, &connected).await
        }));
        Ok(())
    }

    /// The attempt has a connection.
    pub(super) fn connected(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.is_connected = true;
        }
        self.start_clock();
    }

    /// The attempt's time runs from when it has a connection and the request is complete.
    pub(super) fn start_clock(&mut self) {
        if let Some(outgoing) = self.outgoing.as_ref().filter(|outgoing| outgoing.is_connected && outgoing.complete) {
            self.attempt_deadline = outgoing.timeouts.each.map(|each| Instant::now() + each);
        }
    }

    /// The pause before the next attempt is over.
    pub(super) fn attempt_again(&mut self) {
        self.upstream = Upstream::Idle;
        if let Err(reply) = self.attempt() {
            self.say(reply);
        }
    }

    /// An attempt has brought an answer.
    pub(super) fn attempt_answered(&mut self, response: http::Response<Incoming>, lease: Lease) {
        let status = response.status().as_u16();
        if self.goes_on(|retries| retries.answered(status, response.headers(), generation::random())) {
            if let Some(cluster) = &self.cluster {
                cluster.state.stats.retried(status);
            }
            if http_body::Body::is_end_stream(response.body()) {
                lease.give_back();
            }
            return;
        }
        self.answer(response, lease);
    }

    /// An attempt has failed.
    pub(super) fn attempt_failed(&mut self, failure: Failure) {
        if !self.goes_on(|retries| retries.failed(failure, generation::random())) {
            let reply = self.failed(failure);
            self.say(reply);
        }
    }

    /// An attempt has taken its time.
    pub(super) fn attempt_timed_out(&mut self) {
        self.attempt_deadline = None;
        if let Some(cluster) = &self.cluster {
            cluster.state.stats.rq_per_try_timeout.inc();
        }
        if self.goes_on(|retries| retries.timed_out(generation::random())) {
            return;
        }
        if let Some(cluster) = &self.cluster {
            cluster.state.stats.answered(504);
        }
        self.record.flag("UT");
        self.say(words::attempt_timeout());
    }

    /// Decides about another attempt; true when there will be one.
    fn goes_on(&mut self, decide: impl FnOnce(&mut Retries) -> Verdict) -> bool {
        self.attempt_deadline = None;
        let Some(outgoing) = &mut self.outgoing else { return false };
        let Some(retries) = &mut outgoing.retries else { return false };
        let stats = &outgoing.cluster.state.stats;
        match decide(retries) {
            Verdict::Again(pause) => {
                stats.rq_retry.inc();
                self.to_upstream = None;
                self.upstream = Upstream::Pausing(Instant::now() + pause);
                return true;
            }
            Verdict::Exhausted => {
                stats.rq_retry_limit_exceeded.inc();
                self.record.retries_exhausted();
            }
            Verdict::Final if self.record.attempts > 1 => stats.rq_retry_success.inc(),
            Verdict::Final => {}
        }
        outgoing.settle();
        false
    }
}

/// The two ends of a body to be sent; nothing to write when the message has none.
pub(super) fn body(end: bool) -> (Option<pipe::Sender>, Reader) {
    if end {
        return (None, Reader::empty());
    }
    let (sender, reader) = pipe::pipe();
    (Some(sender), reader)
}
