//! One host call under way: the guest's memory and the VM's state.

use crate::abi::Status;
use crate::context::Context;
use crate::report;
use crate::vm::VmState;
use wasmtime::{AsContext, Caller, Memory};

pub(super) struct Call<'a> {
    caller: Caller<'a, VmState>,
    memory: Memory,
}

/// Why a host call does not succeed.
pub(super) enum Exit {
    /// The guest gets the status.
    Status(Status),
    /// The guest's allocator trapped, or it may not call now.
    Trap(wasmtime::Error),
}

impl From<Status> for Exit {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// When a host call may be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    Always,
    /// Not during the start functions and the allocator.
    NotDuringStart,
}

impl<'a> Call<'a> {
    pub(super) fn enter(
        mut caller: Caller<'a, VmState>,
        name: &'static str,
        numbers: &[u64],
        guard: Guard,
    ) -> wasmtime::Result<Self> {
        let state = caller.data_mut();
        state.ring.enter(name, numbers);
        if let Some(stream) = state.contexts.get(&state.current).and_then(|context| context.stream.as_ref()) {
            stream.borrow_mut().meter.count(name);
        }
        if guard == Guard::NotDuringStart && state.restricted {
            wasmtime::bail!("{name} may not be called during start or inside the allocator");
        }
        let memory = match state.memory {
            Some(memory) => memory,
            None => match caller.get_export("memory").and_then(wasmtime::Extern::into_memory) {
                Some(memory) => memory,
                None => wasmtime::bail!("the module exports no memory"),
            },
        };
        Ok(Self { caller, memory })
    }

    pub(super) fn leave(mut self, answer: Result<(), Exit>) -> wasmtime::Result<u32> {
        let result = match answer {
            Ok(()) => Ok(()),
            Err(Exit::Status(status)) => Err(status),
            Err(Exit::Trap(error)) => return Err(error),
        };
        let number = report::number(&result);
        self.state().ring.leave(number);
        Ok(number)
    }

    pub(super) fn leave_with(mut self, number: u32) -> u32 {
        self.state().ring.leave(number);
        number
    }

    pub(super) fn state(&mut self) -> &mut VmState {
        self.caller.data_mut()
    }

    pub(super) fn peek(&self) -> &VmState {
        self.caller.data()
    }

    /// The context that the call works on.
    pub(super) fn context(&self) -> Result<&Context, Status> {
        self.peek().context().ok_or(Status::BadArgument)
    }

    pub(super) fn context_mut(&mut self) -> Result<&mut Context, Status> {
        let state = self.state();
        let id = state.context_id();
        state.contexts.get_mut(&id).ok_or(Status::BadArgument)
    }

    /// A piece of the guest's memory.
    pub(super) fn bytes(&self, ptr: u32, len: u32) -> Result<&[u8], Status> {
        let memory = self.memory.data(self.caller.as_context());
        memory.get(range(ptr, len)?).ok_or(Status::InvalidMemoryAccess)
    }

    /// A copy of a piece of the guest's memory; the beginning goes to the ring.
    pub(super) fn copy(&mut self, ptr: u32, len: u32) -> Result<Vec<u8>, Status> {
        let (memory, state) = self.memory.data_and_store_mut(&mut self.caller);
        let bytes = memory.get(range(ptr, len)?).ok_or(Status::InvalidMemoryAccess)?;
        state.ring.note(bytes);
        Ok(bytes.to_vec())
    }

    pub(super) fn write(&mut self, ptr: u32, bytes: &[u8]) -> Result<(), Status> {
        let len = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        let memory = self.memory.data_mut(&mut self.caller);
        memory.get_mut(range(ptr, len)?).ok_or(Status::InvalidMemoryAccess)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, ptr: u32, value: u32) -> Result<(), Status> {
        self.write(ptr, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, ptr: u32, value: u64) -> Result<(), Status> {
        self.write(ptr, &value.to_le_bytes())
    }

    /// Hands bytes to the guest in a block of its own allocator. Nothing is a null pointer.
    pub(super) fn give(&mut self, bytes: &[u8], ptr_out: u32, len_out: u32) -> Result<(), Exit> {
        let len = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        let mut ptr = 0;
        if len > 0 {
            let Some(allocate) = self.state().allocate.clone() else { return Err(Status::InvalidMemoryAccess.into()) };
            let restricted = std::mem::replace(&mut self.state().restricted, true);
            ptr = allocate.call(&mut self.caller, len).map_err(Exit::Trap)?;
            self.state().restricted = restricted;
            if ptr == 0 {
                return Err(Status::InvalidMemoryAccess.into());
            }
            self.write(ptr, bytes)?;
        }
        self.write_u32(ptr_out, ptr)?;
        self.write_u32(len_out, len)?;
        Ok(())
    }
}

fn range(ptr: u32, len: u32) -> Result<std::ops::Range<usize>, Status> {
    let start = usize::try_from(ptr).map_err(|_| Status::InvalidMemoryAccess)?;
    let len = usize::try_from(len).map_err(|_| Status::InvalidMemoryAccess)?;
    Ok(start..start.checked_add(len).ok_or(Status::InvalidMemoryAccess)?)
}
