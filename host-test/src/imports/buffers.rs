//! Bodies, configurations, callout bodies.

use super::Answer;
use super::call::Call;
use crate::abi::{BufferType, Status};
use crate::context::BodyView;
use crate::grpc::GrpcAnswer;
use crate::stream_data::Direction;

/// Runs `read` on a buffer's bytes. A buffer that Envoy knows but has nothing for is empty.
fn read<T>(call: &Call<'_>, kind: BufferType, read: impl FnOnce(&[u8]) -> T) -> Result<T, Status> {
    let context = call.context()?;
    let state = call.peek();
    let root = state.root_context();
    match kind {
        BufferType::VmConfiguration => Ok(read(&state.vm_configuration)),
        BufferType::PluginConfiguration if context.configuring => Ok(read(&context.plugin.configuration)),
        BufferType::CallResponseBody => {
            let response = root.and_then(|root| root.call.as_ref());
            response.map(|response| read(&response.body)).ok_or(Status::NotFound)
        }
        BufferType::PluginConfiguration => Err(Status::NotFound),
        BufferType::RequestBody => Ok(body(call, Direction::Request, read)?),
        BufferType::ResponseBody => Ok(body(call, Direction::Response, read)?),
        BufferType::GrpcReceive => Ok(match root.and_then(|root| root.grpc.as_ref()) {
            Some(GrpcAnswer::Message(message)) => read(message),
            _ => read(&[]),
        }),
        BufferType::DownstreamData | BufferType::UpstreamData | BufferType::CallData => Ok(read(&[])),
    }
}

fn body<T>(call: &Call<'_>, direction: Direction, read: impl FnOnce(&[u8]) -> T) -> Result<T, Status> {
    let context = call.context()?;
    let Some(stream) = &context.stream else { return Ok(read(&[])) };
    let mut data = stream.borrow_mut();
    let half = data.halves.of_mut(direction);
    Ok(match context.view.body.of(direction) {
        BodyView::Nothing => read(&[]),
        BodyView::Flowing => read(half.flowing()),
        BodyView::Buffer => read(half.buffer.as_deref().unwrap_or_default()),
    })
}

pub(super) fn get(call: &mut Call<'_>, kind: u32, start: u32, max: u32, out: u32, out_len: u32) -> Answer {
    let kind = BufferType::from_raw(kind)?;
    // A piece that reaches past the end is cut, one that begins there is empty.
    let bytes = read(call, kind, |bytes| {
        let start = to_usize(start).min(bytes.len());
        let end = start.saturating_add(to_usize(max)).min(bytes.len());
        bytes.get(start..end).unwrap_or_default().to_vec()
    })?;
    call.give(&bytes, out, out_len)
}

pub(super) fn status(call: &mut Call<'_>, kind: u32, len: u32, flags: u32) -> Answer {
    let size = read(call, BufferType::from_raw(kind)?, <[u8]>::len)?;
    call.write_u32(len, u32::try_from(size).unwrap_or(u32::MAX))?;
    Ok(call.write_u32(flags, 0)?)
}

pub(super) fn set(call: &mut Call<'_>, kind: u32, start: u32, size: u32, data: u32, len: u32) -> Answer {
    let kind = BufferType::from_raw(kind)?;
    read(call, kind, |_| ())?;
    let new = call.copy(data, len)?;
    if kind == BufferType::GrpcReceive {
        let state = call.state();
        let root = state.root_of_context();
        return match state.contexts.get_mut(&root).and_then(|root| root.grpc.as_mut()) {
            Some(GrpcAnswer::Message(message)) => Ok(splice(message, start, size, new)?),
            _ => Err(Status::BadArgument.into()),
        };
    }
    let direction = match kind {
        BufferType::RequestBody => Direction::Request,
        BufferType::ResponseBody => Direction::Response,
        _ => return Err(Status::BadArgument.into()),
    };
    let context = call.context()?;
    let stream = context.stream.as_ref().ok_or(Status::BadArgument)?;
    let mut stream = stream.borrow_mut();
    let half = stream.halves.of_mut(direction);
    let bytes = match context.view.body.of(direction) {
        BodyView::Nothing => return Err(Status::BadArgument.into()),
        BodyView::Flowing => half.flowing(),
        BodyView::Buffer => half.buffer.get_or_insert_default(),
    };
    Ok(splice(bytes, start, size, new)?)
}

/// Puts new bytes in the place of the first `size` ones (none: in front), or behind the last.
fn splice(bytes: &mut Vec<u8>, start: u32, size: u32, new: Vec<u8>) -> Result<(), Status> {
    let (start, size) = (to_usize(start), to_usize(size));
    if start == 0 {
        bytes.splice(..size.min(bytes.len()), new);
    } else if start >= bytes.len() {
        bytes.extend_from_slice(&new);
    } else {
        return Err(Status::BadArgument);
    }
    Ok(())
}

fn to_usize(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
