//! The attributes that a guest can read, and in which phase.

use crate::abi::Status;
use crate::attributes::Attributes;
use crate::clock::Clock;
use crate::context::Context;
use crate::headers::HeaderMap;
use crate::outlet::grpc_status;
use crate::stream_data::{Direction, StreamData};
use crate::value::Value;
use std::collections::BTreeMap;

/// Reads a property. Segments of the path are separated by NUL.
pub(crate) fn get(vm_id: &str, context: &Context, path: &[u8], clock: &Clock) -> Result<Vec<u8>, Status> {
    let mut segments = path.split(|byte| *byte == 0);
    let first = segments.next().unwrap_or_default();
    let rest: Vec<&[u8]> = segments.collect();
    let plugin = &context.plugin;
    let own = match first {
        b"plugin_name" => Some(plugin.name.as_bytes()),
        b"plugin_root_id" => Some(plugin.root_id.as_bytes()),
        b"plugin_vm_id" => Some(vm_id.as_bytes()),
        _ => None,
    };
    if let Some(own) = own {
        return if rest.is_empty() { Ok(own.to_vec()) } else { Err(Status::NotFound) };
    }
    let stream = context.stream.as_ref().ok_or(Status::NotFound)?;
    let mut data = stream.borrow_mut();
    if path.is_empty() {
        return Err(Status::SerializationFailure);
    }
    let Some((member, deeper)) = rest.split_first() else {
        return match first {
            b"metadata" => Value::Metadata(data.attributes.dynamic_metadata.clone()).bytes(),
            b"request"
            | b"response"
            | b"source"
            | b"destination"
            | b"connection"
            | b"upstream"
            | b"xds"
            | b"filter_state"
            | b"upstream_filter_state" => Err(Status::SerializationFailure),
            name => data.filter_state.get(&[b"wasm.", name].concat()).cloned().ok_or(Status::NotFound),
        };
    };
    let value = match first {
        b"request" => request(context, &data, member, clock),
        b"response" => response(context, &data, member, clock),
        b"source" => peer(&data.attributes.source_address, member),
        b"destination" => peer(&data.attributes.destination_address, member),
        b"connection" => connection(&data.attributes, member),
        b"xds" => xds(&mut data, member),
        // nothing is tried twice here
        b"upstream" if *member == b"request_attempt_count" => data.attributes.behind_routing.then_some(Value::Uint(1)),
        b"metadata" => (*member == b"filter_metadata").then(|| Value::Map(data.attributes.dynamic_metadata.clone())),
        b"filter_state" => data.filter_state.get(*member).cloned().map(Value::Bytes),
        _ => None,
    };
    let mut value = value.ok_or(Status::NotFound)?;
    for segment in deeper {
        value = value.member(segment).ok_or(Status::NotFound)?;
    }
    value.bytes()
}

fn request(context: &Context, data: &StreamData, member: &[u8], clock: &Clock) -> Option<Value> {
    let half = data.halves.of(Direction::Request);
    let visible = *context.view.headers.of(Direction::Request) || context.view.log;
    let headers = half.headers.as_ref().filter(|_| visible);
    let header = |name: &[u8]| headers.and_then(|headers| headers.get(name)).map(|value| Value::Bytes(value.to_vec()));
    match member {
        b"path" => header(b":path"),
        b"url_path" => {
            let path = headers?.get(b":path")?;
            Some(Value::Bytes(path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default().to_vec()))
        }
        b"query" => {
            let path = headers?.get(b":path")?;
            let path = path.split(|byte| *byte == b'#').next().unwrap_or_default();
            let at = path.iter().position(|byte| *byte == b'?');
            Some(Value::Bytes(at.and_then(|at| path.get(at + 1..)).unwrap_or_default().to_vec()))
        }
        b"host" => header(b":authority"),
        b"scheme" => header(b":scheme"),
        b"method" => header(b":method"),
        b"referer" => header(b"referer"),
        b"useragent" => header(b"user-agent"),
        b"id" => header(b"x-request-id"),
        b"headers" => Some(group(headers)),
        b"time" => Some(Value::Uint(data.start_wall)),
        b"protocol" => Some(Value::Bytes(data.attributes.protocol.clone().into_bytes())),
        b"size" => {
            let length =
                headers.and_then(|headers| std::str::from_utf8(headers.get(b"content-length")?).ok()?.parse().ok());
            Some(Value::Uint(length.unwrap_or(data.received)))
        }
        b"total_size" => {
            let head = headers.map_or(0, HeaderMap::byte_size) as u64;
            Some(Value::Uint(data.received.saturating_add(head)))
        }
        b"duration" if context.view.log => Some(Value::Uint(clock.monotonic().saturating_sub(data.start_monotonic))),
        _ => None,
    }
}

fn response(context: &Context, data: &StreamData, member: &[u8], clock: &Clock) -> Option<Value> {
    let half = data.halves.of(Direction::Response);
    let visible = *context.view.headers.of(Direction::Response) || context.view.log;
    let headers = half.headers.as_ref().filter(|_| visible);
    match member {
        b"code" => Some(Value::Uint(u64::from(data.response_code?))),
        b"code_details" => data.details.as_deref().map(Value::from),
        b"headers" => Some(group(headers)),
        b"trailers" => Some(group(half.trailers.as_ref().filter(|_| *context.view.trailers.of(Direction::Response)))),
        b"grpc_status" => {
            let given =
                headers.and_then(|headers| std::str::from_utf8(headers.get(b"grpc-status")?).ok()?.parse().ok());
            Some(Value::Int(given.unwrap_or(i64::from(grpc_status(data.response_code?)))))
        }
        b"size" => Some(Value::Uint(data.sent)),
        b"total_size" => Some(Value::Uint(data.sent.saturating_add(headers.map_or(0, HeaderMap::byte_size) as u64))),
        b"flags" => Some(Value::Uint(0)),
        b"backend_latency" if context.view.log => {
            Some(Value::Uint(clock.monotonic().saturating_sub(data.start_monotonic)))
        }
        _ => None,
    }
}

/// Headers as a map: repeated names are joined with commas.
fn group(headers: Option<&HeaderMap>) -> Value {
    let mut members: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, value) in headers.into_iter().flat_map(HeaderMap::iter) {
        let joined = members.entry(String::from_utf8_lossy(name).into_owned());
        joined
            .and_modify(|old| {
                old.push(b',');
                old.extend_from_slice(value);
            })
            .or_insert_with(|| value.to_vec());
    }
    Value::Map(members.into_iter().map(|(name, value)| (name, Value::Bytes(value))).collect())
}

fn peer(address: &str, member: &[u8]) -> Option<Value> {
    match member {
        b"address" => Some(Value::from(address)),
        b"port" => address.rsplit_once(':')?.1.parse().ok().map(Value::Uint),
        _ => None,
    }
}

fn connection(attributes: &Attributes, member: &[u8]) -> Option<Value> {
    match member {
        b"id" => Some(Value::Uint(attributes.connection_id)),
        b"mtls" => Some(Value::Bool(attributes.mtls)),
        b"requested_server_name" => Some(Value::from(attributes.requested_server_name.as_str())),
        _ => None,
    }
}

fn xds(data: &mut StreamData, member: &[u8]) -> Option<Value> {
    let metadata = |fields: &BTreeMap<String, Value>| Value::Metadata(fields.clone());
    match member {
        b"node" => {
            let (id, cluster) = &data.attributes.node;
            let fields =
                [("id", id), ("cluster", cluster)].map(|(name, text)| (name.to_owned(), Value::from(text.as_str())));
            Some(Value::Group(fields.into_iter().collect()))
        }
        b"listener_direction" => Some(Value::Int(data.attributes.listener_direction)),
        b"listener_metadata" => Some(metadata(&data.attributes.listener_metadata)),
        b"filter_chain_name" => Some(Value::from(data.attributes.filter_chain_name.as_str())),
        b"route_name" => Some(Value::from(data.route()?.name.as_str())),
        b"route_metadata" => data.route().map(|route| metadata(&route.metadata)),
        b"virtual_host_name" => Some(Value::from(data.route()?.virtual_host.as_str())),
        b"virtual_host_metadata" => data.route().map(|route| metadata(&route.virtual_host_metadata)),
        b"cluster_name" => {
            data.route().filter(|route| !route.cluster.is_empty()).map(|route| Value::from(route.cluster.as_str()))
        }
        b"cluster_metadata" => data.route().map(|route| metadata(&route.cluster_metadata)),
        _ => None,
    }
}
