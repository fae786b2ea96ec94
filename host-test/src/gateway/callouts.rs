//! Callouts of guests, on the network.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;

use super::log::{Level, Log};
use super::pipe::{self, Reader};
use super::site::{Site, ThreadClusters};
use super::words::Failure;
use super::{grpc, head};
use crate::{Answer, Callout, CalloutToken, Effect, GrpcCallout, HeaderMap, StreamId, Worker};

/// Largest body of an answer. Envoy has no limit.
pub(super) const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// How long callouts that are under way keep a chain alive which serves nothing any more.
const KEPT: Duration = Duration::from_secs(30);

impl Site {
    /// Sends callouts, and takes their answers to the guests.
    pub(super) fn call_out(self: &Rc<Self>, callouts: Vec<Callout>, grpc: Vec<GrpcCallout>) {
        for callout in callouts {
            let token = callout.token;
            self.wait_for(token, ask(self.clusters.clone(), self.log.clone(), callout), Worker::answer_callout);
        }
        for callout in grpc {
            let token = callout.token;
            let cluster = self.clusters.get(&callout.cluster).cloned();
            self.wait_for(token, grpc::call(cluster, callout), Worker::answer_grpc);
        }
    }

    fn wait_for<A: 'static>(
        self: &Rc<Self>,
        token: CalloutToken,
        asking: impl Future<Output = A> + 'static,
        answer: fn(&mut Worker, CalloutToken, A) -> Vec<(StreamId, Effect)>,
    ) {
        let site = self.clone();
        let task = tokio::task::spawn_local(async move {
            let mut asking = pin!(asking);
            let (site, what) = match tokio::time::timeout(KEPT, asking.as_mut()).await {
                Ok(what) => (site, what),
                Err(_) => {
                    let weak = Rc::downgrade(&site);
                    drop(site);
                    let what = asking.await;
                    let Some(site) = weak.upgrade() else { return };
                    (site, what)
                }
            };
            site.callouts.borrow_mut().remove(&token);
            let effects = site.call(|worker| answer(worker, token, what));
            site.deliver(effects);
        });
        self.callouts.borrow_mut().insert(token, task.abort_handle());
    }
}

/// Makes an HTTP callout.
async fn ask(clusters: ThreadClusters, log: Log, callout: Callout) -> Answer {
    let timeout = callout.timeout;
    let asking = ask_for_ever(clusters, log, callout);
    match timeout {
        Some(timeout) => tokio::time::timeout(timeout, asking).await.unwrap_or(Answer::Timeout),
        None => asking.await,
    }
}

async fn ask_for_ever(clusters: ThreadClusters, log: Log, callout: Callout) -> Answer {
    let Some(cluster) = clusters.get(&callout.cluster) else { return Answer::NoHealthyUpstream };
    let Some(address) = cluster.pick() else {
        cluster.state.stats.cx_none_healthy.inc();
        return Answer::NoHealthyUpstream;
    };
    let body = whole(callout.body);
    let request = match head::to_upstream(&callout.headers, body) {
        Ok(request) => request,
        Err(why) => {
            log.line(Level::Error, &format!("callout of {}: {}", callout.plugin, why.0));
            return Answer::Reset;
        }
    };
    let _active = cluster.state.stats.rq_active.hold();
    let (response, lease) = match cluster.clone().send(address, request).await {
        Ok(answer) => answer,
        Err(Failure::NoHost) => return Answer::NoHealthyUpstream,
        Err(Failure::Connect | Failure::ConnectTimeout | Failure::Tls) => return Answer::ConnectFailure,
        Err(Failure::Ended | Failure::NotHttp | Failure::Reset | Failure::StreamRefused) => return Answer::Reset,
    };
    cluster.state.stats.answered(response.status().as_u16());
    let (parts, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return Answer::Reset };
        if let Ok(data) = frame.into_data() {
            if body.len() + data.len() > MAX_ANSWER_BYTES {
                return Answer::Reset;
            }
            body.extend_from_slice(&data);
        }
    }
    lease.give_back();
    Answer::Response { headers: head::from_upstream(&parts), body, trailers: HeaderMap::new() }
}

/// A body that is there already.
pub(super) fn whole(bytes: Vec<u8>) -> Reader {
    if bytes.is_empty() {
        return Reader::empty();
    }
    let (sender, reader) = pipe::pipe();
    sender.push(Bytes::from(bytes));
    sender.finish();
    reader
}
