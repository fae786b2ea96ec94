//! HTTP and gRPC callouts.

use super::Answer;
use super::call::Call;
use crate::abi::Status;
use crate::effect::{Callout, CalloutToken};
use crate::headers::{HeaderMap, Role};
use crate::pairs;
use std::time::Duration;

#[allow(clippy::too_many_arguments)]
pub(super) fn http_call(
    call: &mut Call<'_>,
    cluster: u32,
    cluster_len: u32,
    headers: u32,
    headers_len: u32,
    body: u32,
    body_len: u32,
    trailers: u32,
    trailers_len: u32,
    timeout: u32,
    out: u32,
) -> Answer {
    let cluster = call.copy(cluster, cluster_len)?;
    let body = call.copy(body, body_len)?;
    let headers = pairs::decode(&call.copy(headers, headers_len)?);
    let trailers = pairs::decode(&call.copy(trailers, trailers_len)?);
    call.write_u32(out, 0)?;
    if i32::try_from(timeout).is_err() || !call.peek().host.has_cluster(&cluster) {
        return Err(Status::BadArgument.into());
    }
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(Role::Request, &name, &value);
    }
    if [&b":path"[..], b":method", b":authority"].iter().any(|name| map.get(name).is_none()) {
        return Err(Status::BadArgument.into());
    }
    if !body.is_empty() {
        map.replace("content-length", body.len().to_string());
    }
    map.replace("x-envoy-internal", "true");
    if timeout > 0 {
        map.replace("x-envoy-expected-rq-timeout-ms", timeout.to_string());
    }
    let state = call.state();
    // The low two bits tell what kind of call a token belongs to; 0 is HTTP.
    state.next_call = state.next_call.wrapping_add(4).max(4);
    let token = state.next_call;
    let root = state.root_of_context();
    let callout = Callout {
        token: CalloutToken(0),
        plugin: state.context().map(|context| context.plugin.name.clone()).unwrap_or_default(),
        cluster: String::from_utf8_lossy(&cluster).into_owned(),
        headers: map,
        body,
        trailers: trailers.into_iter().collect(),
        timeout: (timeout > 0).then(|| Duration::from_millis(u64::from(timeout))),
    };
    state.callouts.push((token, root, callout));
    Ok(call.write_u32(out, token)?)
}

/// gRPC callouts are not carried out: every service is unknown, which Envoy answers with this status.
#[allow(clippy::too_many_arguments)]
pub(super) fn grpc_call(
    call: &mut Call<'_>,
    service: u32,
    service_len: u32,
    name: u32,
    name_len: u32,
    method: u32,
    method_len: u32,
    metadata: u32,
    metadata_len: u32,
    request: u32,
    request_len: u32,
    _timeout: u32,
    _out: u32,
) -> Answer {
    for (ptr, len) in [
        (service, service_len),
        (name, name_len),
        (method, method_len),
        (metadata, metadata_len),
        (request, request_len),
    ] {
        call.copy(ptr, len)?;
    }
    Err(Status::ParseFailure.into())
}

#[allow(clippy::too_many_arguments)]
pub(super) fn grpc_stream(
    call: &mut Call<'_>,
    service: u32,
    service_len: u32,
    name: u32,
    name_len: u32,
    method: u32,
    method_len: u32,
    metadata: u32,
    metadata_len: u32,
    _out: u32,
) -> Answer {
    for (ptr, len) in [(service, service_len), (name, name_len), (method, method_len), (metadata, metadata_len)] {
        call.copy(ptr, len)?;
    }
    Err(Status::ParseFailure.into())
}

pub(super) fn grpc_send(call: &mut Call<'_>, token: u32, message: u32, len: u32, _end: u32) -> Answer {
    call.bytes(message, len)?;
    // Messages go to streams (low bits 2) only, and there are none.
    Err(if token & 3 == 2 { Status::NotFound } else { Status::BadArgument }.into())
}

pub(super) fn grpc_cancel(_call: &mut Call<'_>, token: u32) -> Answer {
    Err(unknown_grpc(token).into())
}

pub(super) fn grpc_close(_call: &mut Call<'_>, token: u32) -> Answer {
    Err(unknown_grpc(token).into())
}

fn unknown_grpc(token: u32) -> Status {
    if matches!(token & 3, 1 | 2) { Status::NotFound } else { Status::BadArgument }
}
