//! Header maps.

use super::Answer;
use super::call::Call;
use crate::abi::MapType;
use crate::pairs;

/// True for a value that Envoy would write to the client as it is, and so split the response. It is not taken.
pub(super) fn splits_response(call: &mut Call<'_>, name: &[u8], value: &[u8]) -> bool {
    let splits = name.iter().chain(value).any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    if splits {
        call.state().misuse("a line break or NUL in a response header; Envoy sends it as it is: response splitting");
    }
    splits
}

fn is_response(map: MapType) -> bool {
    matches!(map, MapType::ResponseHeaders | MapType::ResponseTrailers)
}

pub(super) fn get_pairs(call: &mut Call<'_>, map: u32, out: u32, out_len: u32) -> Answer {
    let map = MapType::from_raw(map)?;
    let state = call.peek();
    let response = state.root_context().and_then(|root| root.call.as_ref());
    // A map that cannot be read is an empty one here, unlike in `get`.
    let bytes = call.context()?.read_map(response, map, |map, _| pairs::encode_map(map)).unwrap_or_default();
    call.give(&bytes, out, out_len)
}

pub(super) fn get_size(call: &mut Call<'_>, map: u32, out: u32) -> Answer {
    let map = MapType::from_raw(map)?;
    let context = call.context()?;
    if context.view.log {
        return Err(crate::abi::Status::BadArgument.into());
    }
    let size = context.read_map(None, map, |map, _| map.byte_size())?;
    Ok(call.write_u32(out, u32::try_from(size).unwrap_or(u32::MAX))?)
}

pub(super) fn get(call: &mut Call<'_>, map: u32, key: u32, key_len: u32, out: u32, out_len: u32) -> Answer {
    let map = MapType::from_raw(map)?;
    let key = call.copy(key, key_len)?;
    let state = call.peek();
    let response = state.root_context().and_then(|root| root.call.as_ref());
    let value = call.context()?.read_map(response, map, |map, role| map.get_as(role, &key).map(<[u8]>::to_vec))?;
    let value = value.ok_or(crate::abi::Status::NotFound)?;
    call.give(&value, out, out_len)
}

pub(super) fn set_pairs(call: &mut Call<'_>, map: u32, data: u32, len: u32) -> Answer {
    let map = MapType::from_raw(map)?;
    let mut pairs = pairs::decode(&call.copy(data, len)?);
    if is_response(map) {
        pairs.retain(|(name, value)| !splits_response(call, name, value));
    }
    call.context()?.write_map(map, |map, role| {
        map.clear();
        for (name, value) in &pairs {
            map.append(role, name, value);
        }
    })?;
    Ok(())
}

pub(super) fn add(call: &mut Call<'_>, map: u32, key: u32, key_len: u32, value: u32, value_len: u32) -> Answer {
    let map = MapType::from_raw(map)?;
    let (key, value) = (call.copy(key, key_len)?, call.copy(value, value_len)?);
    if is_response(map) && splits_response(call, &key, &value) {
        return Ok(());
    }
    call.context()?.write_map(map, |map, role| map.append(role, &key, &value))?;
    Ok(())
}

pub(super) fn replace(call: &mut Call<'_>, map: u32, key: u32, key_len: u32, value: u32, value_len: u32) -> Answer {
    let map = MapType::from_raw(map)?;
    let (key, value) = (call.copy(key, key_len)?, call.copy(value, value_len)?);
    if is_response(map) && splits_response(call, &key, &value) {
        return Ok(());
    }
    call.context()?.write_map(map, |map, role| map.replace_as(role, &key, &value))?;
    Ok(())
}

pub(super) fn remove(call: &mut Call<'_>, map: u32, key: u32, key_len: u32) -> Answer {
    let map = MapType::from_raw(map)?;
    let key = call.copy(key, key_len)?;
    call.context()?.write_map(map, |map, role| map.remove_as(role, &key))?;
    Ok(())
}
