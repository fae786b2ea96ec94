//! Metrics.

use super::Answer;
use super::call::Call;

pub(super) fn define(call: &mut Call<'_>, kind: u32, name: u32, name_len: u32, out: u32) -> Answer {
    let name = call.copy(name, name_len)?;
    let state = call.state();
    let host = std::sync::Arc::clone(&state.host);
    let id = state.metrics.define(host.metrics(), kind, &name)?;
    Ok(call.write_u32(out, id)?)
}

pub(super) fn increment(call: &mut Call<'_>, id: u32, delta: i64) -> Answer {
    Ok(call.peek().metrics.increment(id, delta)?)
}

pub(super) fn record(call: &mut Call<'_>, id: u32, value: u64) -> Answer {
    Ok(call.peek().metrics.record(id, value)?)
}

pub(super) fn get(call: &mut Call<'_>, id: u32, out: u32) -> Answer {
    let value = call.peek().metrics.get(id)?;
    Ok(call.write_u64(out, value)?)
}
