//! Copies of requests (`request_mirror_policies`): sent beside the request, their answers thrown away.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;

use super::clusters::ThreadCluster;
use super::head;
use super::pipe::{self, Reader};
use crate::HeaderMap;

/// Copies under way that a thread has at most for one cluster; more are left out. Envoy's default limit of requests to
/// a cluster is the same.
const MAX_COPIES: usize = 1024;

/// A copy whose body is still coming.
#[derive(Debug)]
pub(crate) struct Copy {
    body: pipe::Sender,
    /// Most bytes that may wait for a mirror that reads slowly.
    limit: usize,
}

/// One of the copies under way, until dropped.
struct Place(Rc<Cell<usize>>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Copy {
    /// Sends the head of a copy. Nothing if it is complete with that, or cannot be sent.
    pub(crate) fn send(
        cluster: Rc<ThreadCluster>,
        headers: &HeaderMap,
        end: bool,
        timeout: Option<Duration>,
        limit: usize,
    ) -> Option<Self> {
        let under_way = cluster.copies.clone();
        if under_way.get() >= MAX_COPIES {
            return None;
        }
        under_way.set(under_way.get() + 1);
        let place = Place(under_way);
        let (sender, reader) = if end { (None, Reader::empty()) } else { split(pipe::pipe()) };
        let address = cluster.pick()?;
        let request = head::to_upstream(headers, reader).ok()?;
        let active = cluster.state.stats.rq_active.hold();
        tokio::task::spawn_local(async move {
            let _kept = (active, place);
            let exchange = async {
                let Ok((response, lease)) = cluster.clone().send(address, request).await else { return };
                cluster.state.stats.answered(response.status().as_u16());
                let mut body = response.into_body();
                while let Some(frame) = body.frame().await {
                    if frame.is_err() {
                        return;
                    }
                }
                lease.give_back();
            };
            match timeout {
                // a mirror that does not answer is nobody's trouble
                Some(timeout) => drop(tokio::time::timeout(timeout, exchange).await),
                None => exchange.await,
            }
        });
        sender.map(|body| Self { body, limit })
    }

    /// More of the body. False when the copy has to be given up, because the mirror does not keep up.
    pub(crate) fn push(&self, data: &Bytes, end: bool) -> bool {
        if self.body.waiting() + data.len() > self.limit {
            return false;
        }
        self.body.push(data.clone());
        if end {
            self.body.finish();
        }
        true
    }
}

fn split((sender, reader): (pipe::Sender, Reader)) -> (Option<pipe::Sender>, Reader) {
    (Some(sender), reader)
}

/// The head of a copy. Envoy says in it that the request comes from itself.
pub(crate) fn shadow_head(headers: &HeaderMap, keep_host: bool) -> HeaderMap {
    let mut copy = headers.clone();
    if let (false, Some(host)) = (keep_host, headers.get(b":authority")) {
        copy.replace(":authority", shadow_host(host));
    }
    copy.replace("x-envoy-internal", "true");
    copy
}

/// The host of a copy: Envoy marks it with `-shadow`, before the port if there is one.
pub(crate) fn shadow_host(host: &[u8]) -> Vec<u8> {
    let bracket = host.iter().rposition(|byte| *byte == b']');
    let colon = host.iter().rposition(|byte| *byte == b':').filter(|colon| bracket.is_none_or(|at| at < *colon));
    let port = |at: &usize| {
        let digits = host.get(at + 1..).unwrap_or_default();
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    };
    let (name, port) = host.split_at(colon.filter(port).unwrap_or(host.len()));
    [name, b"-shadow", port].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_before_the_port() {
        for (host, expected) in [
            ("a.test", "a.test-shadow"),
            ("a.test:8080", "a.test-shadow:8080"),
            ("[::1]:8080", "[::1]-shadow:8080"),
            ("[::1]", "[::1]-shadow"),
            ("a:", "a:-shadow"),
            ("a:b", "a:b-shadow"),
        ] {
            assert_eq!(String::from_utf8_lossy(&shadow_host(host.as_bytes())), expected);
        }
    }
}
