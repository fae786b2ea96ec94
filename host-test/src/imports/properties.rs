//! Properties: attributes of the stream, and filter state that filters set.

use super::Answer;
use super::call::Call;
use crate::abi::Status;
use crate::{properties, protobuf};

pub(super) fn get(call: &mut Call<'_>, path: u32, path_len: u32, out: u32, out_len: u32) -> Answer {
    let path = call.copy(path, path_len)?;
    let state = call.peek();
    let value = properties::get(&state.vm_id, call.context()?, &path, state.host.clock())?;
    call.give(&value, out, out_len)
}

pub(super) fn set(call: &mut Call<'_>, path: u32, path_len: u32, value: u32, value_len: u32) -> Answer {
    let (path, value) = (call.copy(path, path_len)?, call.copy(value, value_len)?);
    let stream = call.context()?.stream.as_ref().ok_or(Status::NotFound)?;
    stream.borrow_mut().filter_state.insert([b"wasm.", path.as_slice()].concat(), value);
    Ok(())
}

/// `set_envoy_filter_state`: a protobuf message with a path, a value and a life span.
pub(super) fn set_envoy_filter_state(call: &Call<'_>, args: &[u8]) -> Result<(), Status> {
    let (path, value) = protobuf::filter_state_arguments(args).ok_or(Status::BadArgument)?;
    let stream = call.context()?.stream.as_ref().ok_or(Status::NotFound)?;
    const KNOWN: &[&[u8]] = &[b"envoy.string", b"envoy.hashable_string", b"envoy.upstream.dynamic_host"];
    if !KNOWN.contains(&path) {
        return Err(Status::NotFound);
    }
    stream.borrow_mut().filter_state.insert(path.to_vec(), value.to_vec());
    Ok(())
}
