//! What an exchange waits for; what is absent never comes.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Answered;
use crate::gateway::pipe;

pub(super) async fn wait(asking: Option<&mut Pin<Box<dyn Future<Output = Answered>>>>) -> Answered {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

pub(super) async fn next_frame(body: Option<&mut Incoming>) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    match body {
        Some(body) => body.frame().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn room(first: Option<&pipe::Sender>, second: Option<&pipe::Sender>) {
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

pub(super) async fn notified(what: Option<Rc<Notify>>) {
    match what {
        Some(what) => what.notified().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
