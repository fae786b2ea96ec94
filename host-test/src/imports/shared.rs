//! Shared data and queues.

use super::Answer;
use super::call::Call;
use crate::abi::Status;
use crate::shared::Registrant;

pub(super) fn get(call: &mut Call<'_>, key: u32, key_len: u32, out: u32, out_len: u32, cas_out: u32) -> Answer {
    let key = call.copy(key, key_len)?;
    let state = call.peek();
    let shared = state.host.shared_data();
    let found = shared.get(&state.vm_id, &key);
    shared.after_read(&key);
    let (value, cas) = found.ok_or(Status::NotFound)?;
    call.give(&value, out, out_len)?;
    Ok(call.write_u32(cas_out, cas)?)
}

pub(super) fn set(call: &mut Call<'_>, key: u32, key_len: u32, value: u32, value_len: u32, cas: u32) -> Answer {
    let (key, value) = (call.copy(key, key_len)?, call.copy(value, value_len)?);
    let state = call.peek();
    status(state.host.shared_data().set(&state.vm_id, &key, &value, cas))
}

pub(super) fn register(call: &mut Call<'_>, name: u32, name_len: u32, out: u32) -> Answer {
    let name = call.copy(name, name_len)?;
    let state = call.peek();
    let who = Registrant { worker: state.worker, vm: state.number, root: state.root_of_context() };
    let token = state.host.queues.register(&state.vm_id, &name, who);
    Ok(call.write_u32(out, token)?)
}

pub(super) fn resolve(call: &mut Call<'_>, vm: u32, vm_len: u32, name: u32, name_len: u32, out: u32) -> Answer {
    let (vm, name) = (call.copy(vm, vm_len)?, call.copy(name, name_len)?);
    let state = call.peek();
    let vm = String::from_utf8_lossy(&vm);
    let vm = if vm.is_empty() { state.vm_id.as_str() } else { &vm };
    let token = state.host.queues.resolve(vm, &name).ok_or(Status::NotFound)?;
    Ok(call.write_u32(out, token)?)
}

pub(super) fn enqueue(call: &mut Call<'_>, queue: u32, data: u32, len: u32) -> Answer {
    let item = call.copy(data, len)?;
    status(call.peek().host.queues.enqueue(queue, &item))
}

pub(super) fn dequeue(call: &mut Call<'_>, queue: u32, out: u32, out_len: u32) -> Answer {
    let item = call.peek().host.queues.dequeue(queue)?;
    call.give(&item, out, out_len)
}

fn status(status: Status) -> Answer {
    if status == Status::Ok { Ok(()) } else { Err(status.into()) }
}
