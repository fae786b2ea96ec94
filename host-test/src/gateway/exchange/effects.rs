//! Carries out what comes out of the filters: routes requests, sends heads and bodies, cuts off.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::attempt::{Outgoing, body};
use super::{Exchange, Upstream};
use crate::gateway::bootstrap::{Action, ClusterChoice, Proxy};
use crate::gateway::clusters::ThreadCluster;
use crate::gateway::log::Level;
use crate::gateway::mirror::{Copy, shadow_head};
use crate::gateway::retry::{self, Retries, Timeouts};
use crate::gateway::words;
use crate::gateway::{generation, head};
use crate::{Effect, HeaderMap, LocalReply, Role, StreamId, Worker};

impl Exchange {
    /// Calls into the filters and carries out what comes out of them, and what follows from that.
    pub(super) fn filters(&mut self, call: impl FnOnce(&mut Worker, StreamId) -> Vec<Effect>) {
        let id = self.id;
        let effects = self.site.call(|worker| call(worker, id));
        self.carry_out(effects.into());
    }

    pub(super) fn carry_out(&mut self, mut effects: VecDeque<Effect>) {
        while let Some(effect) = effects.pop_front() {
            if self.response_over {
                return;
            }
            if let Some(reply) = self.effect(effect) {
                let id = self.id;
                // What was under way towards the upstream is void.
                effects.clear();
                self.leave_upstream();
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
        self.record.request.clone_from(&headers);
        let site = self.site.clone();
        let Some(listener) = site.listener() else { return Err(words::bare(404, "route_not_found")) };
        let Some((host, route)) = listener.http.routes.find(&headers) else {
            site.stats.no_route.inc();
            self.record.flag("NR");
            return Err(words::bare(404, "route_not_found"));
        };
        site.stats.router_rq_total.inc();
        let proxy = match &route.action {
            Action::Proxy(proxy) => proxy,
            Action::Redirect(redirect) => {
                site.stats.direct_response.inc();
                let location = redirect.location(&route.path, &headers);
                return Err(words::redirect(redirect.status, location));
            }
            Action::Respond { status, body } => {
                site.stats.direct_response.inc();
                return Err(words::text(u32::from(*status), body, "direct_response"));
            }
        };
        let Some(cluster) = self.choose(&proxy.cluster, &headers) else {
            site.stats.no_cluster.inc();
            self.record.flag("NC");
            return Err(words::bare(503, "cluster_not_found"));
        };
        self.record.route = Some((route.name.clone(), cluster.state.config.name.clone()));
        let timeouts = Timeouts::new(proxy.timeout, proxy.retry.as_ref(), &headers);
        let retries = Retries::new(proxy.retry.as_ref(), &headers);
        retry::forget(&mut headers);
        let tells_timeout = !listener.http.suppress_envoy_headers;
        if let Some(expected) = timeouts.expected(Duration::ZERO).filter(|_| tells_timeout) {
            headers.replace("x-envoy-expected-rq-timeout-ms", expected.to_string());
        }
        for edits in route.request_edits.iter() {
            edits.apply(Role::Request, &mut headers);
        }
        proxy.rewrite(&route.path, &mut headers);
        self.response_edits = route.response_edits.clone();
        self.idle_timeout = proxy.idle_timeout;
        self.record.request.clone_from(&headers);
        self.mirror(proxy, &headers, end, timeouts.whole, listener.buffer_limit);
        self.cluster = Some(cluster.clone());
        self.request_left = if end { None } else { head::content_length(&headers) };
        let mut outgoing = Outgoing::new(cluster, headers, end);
        (outgoing.timeouts, outgoing.retries) = (timeouts, retries);
        outgoing.limit = route.request_limit.unwrap_or(listener.buffer_limit);
        outgoing.tells = (host.attempt_count, tells_timeout);
        self.outgoing = Some(outgoing);
        self.attempt()?;
        if end {
            self.request_sent();
        }
        Ok(())
    }

    /// Sends the copies that the route asks for; their bodies follow with the request's.
    fn mirror(&mut self, proxy: &Proxy, headers: &HeaderMap, end: bool, timeout: Option<Duration>, limit: usize) {
        for mirror in &proxy.mirrors {
            if !mirror.takes(generation::random()) {
                continue;
            }
            let Some(cluster) = self.choose(&mirror.cluster, headers) else { continue };
            let head = shadow_head(headers, mirror.keep_host);
            self.copies.extend(Copy::send(cluster, &head, end, timeout, limit));
        }
    }

    fn choose(&self, choice: &ClusterChoice, headers: &HeaderMap) -> Option<Rc<ThreadCluster>> {
        let name = match choice {
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
        let whole = self.outgoing.as_ref().and_then(|outgoing| outgoing.timeouts.whole);
        self.deadline = whole.map(|whole| Instant::now() + whole);
        self.record.request_sent();
        self.start_clock();
    }

    fn request_data(&mut self, data: Vec<u8>, end: bool) -> Result<(), LocalReply> {
        let Some(outgoing) = &mut self.outgoing else { return Ok(()) };
        if let Some(left) = &mut self.request_left {
            let fits = left.checked_sub(data.len() as u64).filter(|rest| !end || *rest == 0);
            let Some(rest) = fits else {
                return Err(self.misframed("request"));
            };
            *left = rest;
        }
        let data = Bytes::from(data);
        self.copies.retain(|copy| copy.push(&data, end));
        if !outgoing.keep(&data, end) {
            outgoing.cluster.state.stats.retry_abandoned.inc();
            if matches!(self.upstream, Upstream::Pausing(_)) {
                return Err(words::too_large_to_retry());
            }
        }
        if let Some(sender) = &self.to_upstream {
            sender.push(data);
            if end {
                sender.finish();
            }
        }
        if end {
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
    pub(super) fn abort(&mut self) {
        if let Some(client) = self.client.take() {
            client.abort();
        }
        // Without a head to send, dropping the sender makes the server close the connection.
        self.head = None;
        self.request = None;
        self.response_over = true;
    }
}
