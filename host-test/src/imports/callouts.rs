//! HTTP callouts.

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
