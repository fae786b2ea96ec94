//! One request and its response.

use crate::call::Call;
use crate::grant::{self, Granted};
use crate::kind::Kind;
use crate::pace::Paced;
use crate::provider;
use crate::record::{Record, Recorded};
use crate::reply::Reply;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// No body is longer: what providers take ends before that.
const MAX_BODY: usize = 64 << 20;

/// Where the requests so far are told, or forgotten.
const RECORD: &str = "/__requests";

/// Reads a request and answers it.
pub async fn exchange(
    kind: Kind,
    request: Request<Incoming>,
    record: &Mutex<Record>,
    breaks: Arc<AtomicBool>,
) -> Response<Paced> {
    let http1 = request.version() != Version::HTTP_2;
    let version = format!("{:?}", request.version());
    let (head, body) = request.into_parts();
    let read = Limited::new(body, MAX_BODY).collect().await;
    let (body, too_long) = read.map_or((Vec::new(), true), |body| (body.to_bytes().to_vec(), false));
    let call = Call::new(
        head.method.to_string(),
        head.uri.path().to_owned(),
        head.uri.query().unwrap_or_default().to_owned(),
        head.headers,
        body,
    );
    let reply = if call.path == RECORD {
        told(&call.method, &mut lock(record))
    } else {
        lock(record).add(Recorded::new(&call, &version));
        let reply = if too_long { provider::error(kind, &call, 413) } else { answered(kind, &call) };
        if reply.wishes.hang {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(reply.wishes.delay()).await;
        reply
    };
    // a broken stream of HTTP/2 does not take its connection with it
    let breaks = if http1 { breaks } else { Arc::default() };
    response(grant::grant(reply), breaks)
}

/// The provider's answer, or the error that was wished for.
fn answered(kind: Kind, call: &Call) -> Reply {
    let mut reply = provider::answer(kind, call);
    if reply.status >= 400 {
        return reply.wishing(&call.wishes);
    }
    let wishes = reply.wishes.clone();
    let status = wishes.error.or_else(|| wishes.body.map(|_| 502));
    if let Some(status) = status {
        let mut failed = call.clone();
        failed.wishes = wishes.clone();
        reply = grant::error(provider::error(kind, &failed, status).wishing(&wishes), &wishes);
    }
    reply
}

fn told(method: &str, record: &mut MutexGuard<'_, Record>) -> Reply {
    match method {
        "GET" => Reply::json(200, &serde_json::to_value(record.all()).unwrap_or_default()),
        "DELETE" => {
            record.clear();
            Reply::whole(204, "application/json", Vec::new())
        }
        _ => Reply::whole(405, "text/plain", b"GET or DELETE\n".to_vec()),
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

fn response(granted: Granted, breaks: Arc<AtomicBool>) -> Response<Paced> {
    let mut response = Response::new(Paced::new(granted.steps, granted.length, breaks));
    *response.status_mut() = StatusCode::from_u16(granted.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in granted.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
