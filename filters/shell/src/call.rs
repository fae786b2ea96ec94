//! Host calls in the filters' terms.

use crate::raw::{self, Buffer, Level, Map, Metric, Status, StreamSide};
use filter_kit::head::Edit;
use filter_kit::metrics::config_gauges;
use filter_kit::{Answer, Callout, Head, Reply};
use std::borrow::Cow;

/// Reads a head.
pub(crate) fn head(map: Map) -> Result<Head, Status> {
    // a host that encodes wrongly is treated as one that has no such map
    Head::from_map_bytes(raw::map_bytes(map)?).map_err(|_| Status(2))
}

/// Writes back what changed.
pub(crate) fn write(map: Map, head: &Head) -> Result<(), Status> {
    head.edits().try_for_each(|edit| match edit {
        Edit::Set(name, value) => raw::set_header(map, name, value),
        Edit::Add(name, value) => raw::add_header(map, name, value),
        Edit::Remove(name) => raw::remove_header(map, name),
    })
}

/// Answers the client.
pub(crate) fn reply(reply: &Reply) -> Result<(), Status> {
    let headers = encode(&reply.headers);
    raw::reply(reply.status, reply.details, &reply.body, &headers, reply.grpc_status.unwrap_or(-1))
}

/// Largest answer of a service in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Asks a service; the number is how its answer will be known.
pub(crate) fn ask(callout: &Callout) -> Result<u32, Status> {
    let Callout { cluster, service, method, message, timeout_ms } = callout;
    raw::grpc_call(&grpc_service(cluster), service, method, message, (*timeout_ms).max(1))
}

/// Envoy's `GrpcService` message with nothing but the name of a cluster. A bare name would do, were it not that Envoy first tries to read it
/// as such a message, and that a name which happens to be one without a target ends the whole process: `users` is one.
fn grpc_service(cluster: &str) -> Vec<u8> {
    let field = |bytes: &[u8]| {
        let mut field = vec![0x0a];
        let mut len = bytes.len();
        while len >= 0x80 {
            field.push(u8::try_from(len & 0x7f).unwrap_or(0) | 0x80);
            len >>= 7;
        }
        field.push(u8::try_from(len).unwrap_or(0));
        field.extend_from_slice(bytes);
        field
    };
    field(&field(cluster.as_bytes()))
}

/// The message that a service has sent.
pub(crate) fn answer() -> Answer {
    // one that is cut off is no message any more, and whoever reads it finds that out
    raw::buffer_bytes(Buffer::GrpcMessage, MAX_ANSWER).map_or(Answer::Failed(13), Answer::Message)
}

/// The ABI's encoding of a map.
fn encode(fields: &[(Cow<'static, str>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, len: usize| bytes.extend(u32::try_from(len).unwrap_or(0).to_le_bytes());
    number(&mut bytes, fields.len());
    for (name, value) in fields {
        number(&mut bytes, name.len());
        number(&mut bytes, value.len());
    }
    for (name, value) in fields {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

/// The configuration of the plugin that is being configured.
pub(crate) fn configuration() -> Result<Vec<u8>, Status> {
    raw::buffer_bytes(Buffer::PluginConfiguration, usize::MAX)
}

/// Says which configuration of a filter is in force. A host without gauges misses only that.
pub(crate) fn tell_configuration(filter: &str, configuration: &[u8]) {
    for (name, value) in config_gauges(filter, configuration) {
        let told = raw::define_metric(Metric::Gauge, &name).and_then(|id| raw::record(id, value));
        if let Err(status) = told {
            log_error(&format!("metric {name}: refused with status {}", status.0));
        }
    }
}

/// An attribute that is a number: hosts write them as eight bytes, the lowest first.
pub(crate) fn number(path: &str) -> Option<u64> {
    raw::property(path).ok()?.try_into().ok().map(u64::from_le_bytes)
}

/// An error in the host's log, the one level that every host prints.
pub(crate) fn log_error(text: &str) {
    raw::log(Level::Error, text);
}

/// Drops the connection to the client; what has been sent of the response stays cut off.
pub(crate) fn reset_response() -> Result<(), Status> {
    raw::reset(StreamSide::Response)
}
