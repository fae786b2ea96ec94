//! Log, time, timers, the flow of a stream, foreign functions.

use super::Answer;
use super::call::Call;
use super::headers::splits_response;
use crate::abi::{LogLevel, Status};
use crate::context::{Action, BodyView, Timer};
use crate::effect::LocalReply;
use crate::grpc::GrpcAnswer;
use crate::pairs;
use crate::stream_data::Direction;

pub(super) fn log(call: &mut Call<'_>, level: u32, text: u32, len: u32) -> Answer {
    let level = LogLevel::from_raw(level)?;
    let text = call.copy(text, len)?;
    call.peek().log(level, String::from_utf8_lossy(&text).into_owned());
    Ok(())
}

pub(super) fn get_log_level(call: &mut Call<'_>, out: u32) -> Answer {
    let level = call.peek().host.log_level();
    Ok(call.write_u32(out, level)?)
}

pub(super) fn get_current_time(call: &mut Call<'_>, out: u32) -> Answer {
    let now = call.peek().host.clock().wall();
    Ok(call.write_u64(out, now)?)
}

pub(super) fn set_tick_period(call: &mut Call<'_>, period: u32) -> Answer {
    let state = call.state();
    let period = u64::from(period) * 1_000_000;
    let due = state.host.clock().monotonic().saturating_add(period);
    let root = state.root_of_context();
    if let Some(root) = state.contexts.get_mut(&root) {
        root.timer = (period > 0).then_some(Timer { period, due });
    }
    Ok(())
}

pub(super) fn get_status(call: &mut Call<'_>, code: u32, text: u32, len: u32) -> Answer {
    // Only failed gRPC callouts set it; the message is there for as long as the guest is told of it.
    let root = call.peek().root_context();
    let status = root.map_or(0, |root| root.grpc_status);
    let message = match root.and_then(|root| root.grpc.as_ref()) {
        Some(GrpcAnswer::Failed { message, .. }) => message.clone().into_bytes(),
        _ => Vec::new(),
    };
    call.write_u32(code, status)?;
    call.give(&message, text, len)
}

pub(super) fn set_effective_context(call: &mut Call<'_>, id: u32) -> Answer {
    let state = call.state();
    if !state.contexts.contains_key(&id) {
        return Err(Status::BadArgument.into());
    }
    state.effective = id;
    Ok(())
}

pub(super) fn done(_call: &mut Call<'_>) -> Answer {
    // Only a context whose on_done said "not yet" may call it, and Envoy ends HTTP contexts without asking.
    Err(Status::NotFound.into())
}

pub(super) fn continue_stream(call: &mut Call<'_>, stream: u32) -> Answer {
    let direction = match stream {
        0 => Direction::Request,
        1 => Direction::Response,
        2 => return Ok(()),
        3 => return Err(Status::Unimplemented.into()),
        _ => return Err(Status::BadArgument.into()),
    };
    let state = call.state();
    let callback = state.callback;
    let (has_stream, answered) = state
        .context()
        .and_then(|context| context.stream.as_ref())
        .map_or((false, false), |stream| (true, stream.borrow().halves.of(Direction::Response).headers.is_some()));
    let id = state.context_id();
    if has_stream {
        if direction == Direction::Response && !answered {
            state.misuse("proxy_continue_stream for a response that does not exist yet; Envoy crashes");
        } else if direction == Direction::Response && callback == "proxy_on_response_headers" {
            state.misuse(
                "proxy_continue_stream inside proxy_on_response_headers; Envoy sends the headers twice or hangs",
            );
        } else {
            state.actions.push((id, Action::Continue(direction)));
        }
    }
    let view = &mut call.context_mut()?.view;
    *view.headers.of_mut(Direction::Request) = false;
    *view.trailers.of_mut(Direction::Request) = false;
    // What the filter itself holds back stays in its hands.
    if *view.body.of(Direction::Request) == BodyView::Flowing {
        *view.body.of_mut(Direction::Request) = BodyView::Nothing;
    }
    Ok(())
}

pub(super) fn close_stream(call: &mut Call<'_>, stream: u32) -> Answer {
    if stream > 3 {
        return Err(Status::BadArgument.into());
    }
    let state = call.state();
    if stream < 2 && state.context().is_some_and(|context| context.stream.is_some()) {
        if ending(state.callback) {
            state.misuse("proxy_close_stream while the stream ends; Envoy crashes");
        } else {
            let id = state.context_id();
            state.actions.push((id, Action::Close));
        }
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)]
pub(super) fn send_local_response(
    call: &mut Call<'_>,
    status: u32,
    details: u32,
    details_len: u32,
    body: u32,
    body_len: u32,
    headers: u32,
    headers_len: u32,
    grpc: u32,
) -> Answer {
    let details = call.copy(details, details_len)?;
    let body = call.copy(body, body_len)?;
    let mut headers = pairs::decode(&call.copy(headers, headers_len)?);
    headers.retain(|(name, value)| !splits_response(call, name, value));
    let state = call.state();
    if state.context().is_some_and(|context| context.stream.is_some()) {
        if ending(state.callback) {
            state.misuse("proxy_send_local_response while the stream ends; Envoy crashes");
        } else {
            let reply = LocalReply {
                status,
                body,
                headers,
                grpc_status: (grpc != u32::MAX).then_some(grpc),
                details: String::from_utf8_lossy(&details).into_owned(),
            };
            let id = state.context_id();
            state.actions.push((id, Action::Reply(reply)));
        }
    }
    state.stop = true;
    Ok(())
}

fn ending(callback: &str) -> bool {
    matches!(callback, "proxy_on_log" | "proxy_on_done" | "proxy_on_delete")
}

pub(super) fn call_foreign_function(
    call: &mut Call<'_>,
    name: u32,
    name_len: u32,
    args: u32,
    args_len: u32,
    out: u32,
    out_len: u32,
) -> Answer {
    let name = call.copy(name, name_len)?;
    let args = call.copy(args, args_len)?;
    let status = match name.as_slice() {
        b"clear_route_cache" => {
            if let Some(stream) = &call.context()?.stream {
                stream.borrow_mut().route = None;
            }
            Ok(())
        }
        b"set_envoy_filter_state" => super::properties::set_envoy_filter_state(call, &args),
        b"compress" | b"uncompress" | b"declare_property" | b"sign" | b"verify_signature" | b"expr_create"
        | b"expr_evaluate" | b"expr_delete" => {
            let text =
                format!("foreign function {} exists in Envoy but not in this host", String::from_utf8_lossy(&name));
            call.peek().log(LogLevel::Error, text);
            Err(Status::InternalFailure)
        }
        _ => return Err(Status::NotFound.into()),
    };
    if out != 0 {
        call.write_u32(out, 0)?;
    }
    if out_len != 0 {
        call.write_u32(out_len, 0)?;
    }
    Ok(status?)
}
