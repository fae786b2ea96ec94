//! HTTP/2 towards upstreams, without TLS and from the first byte: one connection of a thread for each endpoint, shared
//! by all requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::{Notify, watch};

use super::clusters::{MAX_HEAD_BYTES, ThreadCluster};
use super::pipe::Reader;
use super::words::Failure;

/// How much of an answer may be on its way unread, for a request and for all of a connection.
const WINDOWS: (u32, u32) = (256 * 1024, 4 * 1024 * 1024);
/// How often a request that was not sent is tried on another connection.
const MAX_ATTEMPTS: u32 = 3;

/// What became of opening a connection; nothing yet while it is being opened.
type Opening = watch::Receiver<Option<Result<SendRequest<Reader>, Failure>>>;

/// The connections of a thread to one cluster.
#[derive(Debug, Default)]
pub(crate) struct Connections(RefCell<HashMap<SocketAddr, Opening>>);

/// Runs connections on the thread that made them.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// Sends a request and waits for the head of the answer.
pub(super) async fn send(
    cluster: &Rc<ThreadCluster>,
    address: SocketAddr,
    request: http::Request<Reader>,
    connected: &Notify,
) -> Result<http::Response<Incoming>, Failure> {
    let mut request = in_full(request).ok_or(Failure::NotHttp)?;
    for _ in 0..MAX_ATTEMPTS {
        let mut sender = connection(cluster, address).await?;
        cluster.state.stats.rq_total.inc();
        connected.notify_one();
        match sender.try_send_request(request).await {
            Ok(response) => return Ok(response),
            Err(mut error) => match error.take_message() {
                // The connection had ended and nothing was sent: the next one.
                Some(unsent) => request = unsent,
                None => {
                    let failure = failure(error.error());
                    if failure == Failure::NotHttp {
                        cluster.state.stats.cx_protocol_error.inc();
                    }
                    return Err(failure);
                }
            },
        }
    }
    Err(Failure::Ended)
}

/// The connection to an endpoint. Whoever comes while it is being opened waits for the same one.
async fn connection(cluster: &Rc<ThreadCluster>, address: SocketAddr) -> Result<SendRequest<Reader>, Failure> {
    let known = cluster.http2.0.borrow().get(&address).filter(|opening| is_usable(opening)).cloned();
    let mut opening = known.unwrap_or_else(|| {
        let (outcome, opening) = watch::channel(None);
        let opened = cluster.clone();
        tokio::task::spawn_local(async move {
            outcome.send_replace(Some(open(&opened, address).await));
        });
        cluster.http2.0.borrow_mut().insert(address, opening.clone());
        opening
    });
    let outcome = opening.wait_for(Option::is_some).await;
    outcome.map_or(Err(Failure::Connect), |outcome| outcome.clone().unwrap_or(Err(Failure::Connect)))
}

fn is_usable(opening: &Opening) -> bool {
    match &*opening.borrow() {
        None => opening.has_changed().is_ok(),
        Some(Ok(sender)) => !sender.is_closed(),
        Some(Err(_)) => false,
    }
}

async fn open(cluster: &ThreadCluster, address: SocketAddr) -> Result<SendRequest<Reader>, Failure> {
    let (stream, held) = cluster.open(address).await?;
    let handshake = Builder::new(Local)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(|_| Failure::Ended)?;
    tokio::task::spawn_local(async move {
        // Its errors reach the requests that are under way.
        let _ = connection.await;
        drop(held);
    });
    Ok(sender)
}

/// A request as HTTP/2 has it: scheme and authority in its target, no `host`.
fn in_full(mut request: http::Request<Reader>) -> Option<http::Request<Reader>> {
    let host = request.headers_mut().remove(http::header::HOST);
    if request.uri().scheme().is_none() {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(http::uri::Authority::try_from(host?.as_bytes()).ok()?);
        *request.uri_mut() = http::Uri::from_parts(parts).ok()?;
    }
    *request.version_mut() = http::Version::HTTP_2;
    Some(request)
}

/// What an error of a request means.
pub(super) fn failure(error: &hyper::Error) -> Failure {
    let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>()) else {
        return if error.is_parse() { Failure::NotHttp } else { Failure::Ended };
    };
    if cause.is_remote() && cause.is_reset() {
        match cause.reason() {
            Some(h2::Reason::REFUSED_STREAM) => Failure::StreamRefused,
            _ => Failure::Reset,
        }
    } else if cause.is_io() || cause.is_remote() {
        Failure::Ended
    } else {
        Failure::NotHttp
    }
}
