//! gRPC callouts. Unary calls are carried out; for streams every service is unknown.

use super::Answer;
use super::call::Call;
use crate::abi::{LogLevel, Status};
use crate::effect::CalloutToken;
use crate::grpc::{GrpcAnswer, GrpcCallout};
use crate::grpc_service::{self, Service};
use crate::headers::{HeaderMap, Role};
use crate::pairs;
use std::time::Duration;

/// The low two bits of a token tell what kind of call it belongs to.
const KIND: u32 = 3;
/// A unary gRPC call.
const UNARY: u32 = 1;
/// A gRPC stream.
const STREAM: u32 = 2;

#[allow(clippy::too_many_arguments)]
pub(super) fn call(
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
    timeout: u32,
    out: u32,
) -> Answer {
    let service = call.copy(service, service_len)?;
    let name = call.copy(name, name_len)?;
    let method = call.copy(method, method_len)?;
    let metadata = pairs::decode(&call.copy(metadata, metadata_len)?);
    let message = call.copy(request, request_len)?;
    let (cluster, authority) = match grpc_service::read(&service) {
        Service::Name(name) if call.peek().host.has_cluster(name) => (name, None),
        Service::Name(_) => return Err(Status::ParseFailure.into()),
        Service::Cluster { name, authority } => (name, authority),
        Service::GoogleGrpc => {
            call.peek().log(LogLevel::Error, "google_grpc services exist in Envoy but not in this host".to_owned());
            return Err(Status::BadArgument.into());
        }
        Service::NoTarget => {
            call.state().misuse(
                "proxy_grpc_call with a service that is a GrpcService message without a target, as names like \
                 \"users\" are; Envoy's process ends",
            );
            return Err(Status::BadArgument.into());
        }
    };
    let state = call.state();
    state.next_call = state.next_call.wrapping_add(4).max(4);
    let token = state.next_call | UNARY;
    let root = state.root_of_context();
    let mut headers = HeaderMap::new();
    for (name, value) in metadata {
        headers.append(Role::Request, &name, &value);
    }
    let failure = if !state.host.has_cluster(cluster) {
        Some(GrpcAnswer::unknown_cluster())
    } else if !state.host.cluster_has_hosts(cluster) {
        Some(GrpcAnswer::no_healthy_upstream())
    } else {
        unsendable(&name, &method, &headers).map(|why| {
            let details = why.replace(' ', "_");
            GrpcAnswer::unavailable(&format!("{why}{{filter_removed_required_request_headers{{{details}}}}}"))
        })
    };
    if let Some(failure) = failure {
        // Envoy tells a guest of the end of a call whose token it never got.
        state.grpc.failed.push_back((root, token, failure));
        return Err(Status::InternalFailure.into());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let callout = GrpcCallout {
        token: CalloutToken(0),
        plugin: state.context().map(|context| context.plugin.name.clone()).unwrap_or_default(),
        cluster: text(cluster),
        authority: authority.map(text),
        service: text(&name),
        method: text(&method),
        metadata: headers,
        message,
        timeout: (timeout > 0).then(|| Duration::from_millis(u64::from(timeout))),
    };
    state.grpc.open.insert(token, root);
    state.grpc.outgoing.push((token, callout));
    Ok(call.write_u32(out, token)?)
}

/// Why Envoy's HTTP client does not take the headers of a request.
fn unsendable(service: &[u8], method: &[u8], headers: &HeaderMap) -> Option<String> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(byte);
    if has_control(service) || has_control(method) {
        return Some("invalid header value for: :path".to_owned());
    }
    headers.iter().find_map(|(name, value)| {
        let shown = String::from_utf8_lossy(name);
        if !name.iter().all(is_token) {
            Some(format!("invalid header name: {shown}"))
        } else if has_control(value) && !name.ends_with(b"-bin") {
            Some(format!("invalid header value for: {shown}"))
        } else {
            None
        }
    })
}

fn has_control(value: &[u8]) -> bool {
    value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

#[allow(clippy::too_many_arguments)]
pub(super) fn stream(
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

pub(super) fn send(call: &mut Call<'_>, token: u32, message: u32, len: u32, _end: u32) -> Answer {
    call.bytes(message, len)?;
    // Messages go to streams only, and there are none.
    Err(if token & KIND == STREAM { Status::NotFound } else { Status::BadArgument }.into())
}

/// Gives a call up: its answer does not come any more.
pub(super) fn cancel(call: &mut Call<'_>, token: u32) -> Answer {
    let state = call.state();
    let root = state.root_of_context();
    match token & KIND {
        UNARY if state.grpc.cancel(root, token) => Ok(()),
        UNARY | STREAM => Err(Status::NotFound.into()),
        _ => Err(Status::BadArgument.into()),
    }
}
