//! The host calls, by the ABI's names.

mod buffers;
mod call;
mod callouts;
mod control;
mod grpc;
mod headers;
mod metrics;
mod properties;
mod shared;
mod wasi;

use crate::vm::VmState;
use call::{Call, Exit};
use wasmtime::{Caller, Linker};

/// Defines host calls: each one checks that it may be called now, is counted, kept in the ring, and answers a status.
macro_rules! host_calls {
    ($linker:ident, $guard:expr; $($name:literal = $function:path: ($($arg:ident: $ty:ty),*);)*) => {
        $($linker.func_wrap("env", $name, |caller: Caller<'_, VmState>, $($arg: $ty),*| -> wasmtime::Result<u32> {
            #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, trivial_numeric_casts)]
            let mut call = Call::enter(caller, $name, &[$($arg as u64),*], $guard)?;
            let result = $function(&mut call, $($arg),*);
            call.leave(result)
        })?;)*
    };
}

pub(crate) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    host_calls! { linker, call::Guard::Always;
        "proxy_log" = control::log: (level: u32, text: u32, len: u32);
        "proxy_get_log_level" = control::get_log_level: (out: u32);
        "proxy_get_current_time_nanoseconds" = control::get_current_time: (out: u32);
    }
    host_calls! { linker, call::Guard::NotDuringStart;
        "proxy_set_tick_period_milliseconds" = control::set_tick_period: (period: u32);
        "proxy_get_status" = control::get_status: (code: u32, text: u32, len: u32);
        "proxy_set_effective_context" = control::set_effective_context: (id: u32);
        "proxy_done" = control::done: ();
        "proxy_continue_stream" = control::continue_stream: (stream: u32);
        "proxy_close_stream" = control::close_stream: (stream: u32);
        "proxy_send_local_response" = control::send_local_response:
            (status: u32, details: u32, details_len: u32, body: u32, body_len: u32, headers: u32, headers_len: u32, grpc: u32);
        "proxy_call_foreign_function" = control::call_foreign_function:
            (name: u32, name_len: u32, args: u32, args_len: u32, out: u32, out_len: u32);
        "proxy_get_buffer_bytes" = buffers::get: (kind: u32, start: u32, max: u32, out: u32, out_len: u32);
        "proxy_get_buffer_status" = buffers::status: (kind: u32, len: u32, flags: u32);
        "proxy_set_buffer_bytes" = buffers::set: (kind: u32, start: u32, size: u32, data: u32, len: u32);
        "proxy_get_header_map_pairs" = headers::get_pairs: (map: u32, out: u32, out_len: u32);
        "proxy_get_header_map_size" = headers::get_size: (map: u32, out: u32);
        "proxy_get_header_map_value" = headers::get: (map: u32, key: u32, key_len: u32, out: u32, out_len: u32);
        "proxy_set_header_map_pairs" = headers::set_pairs: (map: u32, data: u32, len: u32);
        "proxy_add_header_map_value" = headers::add: (map: u32, key: u32, key_len: u32, value: u32, value_len: u32);
        "proxy_replace_header_map_value" = headers::replace: (map: u32, key: u32, key_len: u32, value: u32, value_len: u32);
        "proxy_remove_header_map_value" = headers::remove: (map: u32, key: u32, key_len: u32);
        "proxy_get_property" = properties::get: (path: u32, path_len: u32, out: u32, out_len: u32);
        "proxy_set_property" = properties::set: (path: u32, path_len: u32, value: u32, value_len: u32);
        "proxy_get_shared_data" = shared::get: (key: u32, key_len: u32, out: u32, out_len: u32, cas: u32);
        "proxy_set_shared_data" = shared::set: (key: u32, key_len: u32, value: u32, value_len: u32, cas: u32);
        "proxy_register_shared_queue" = shared::register: (name: u32, name_len: u32, out: u32);
        "proxy_resolve_shared_queue" = shared::resolve: (vm: u32, vm_len: u32, name: u32, name_len: u32, out: u32);
        "proxy_enqueue_shared_queue" = shared::enqueue: (queue: u32, data: u32, len: u32);
        "proxy_dequeue_shared_queue" = shared::dequeue: (queue: u32, out: u32, out_len: u32);
        "proxy_define_metric" = metrics::define: (kind: u32, name: u32, name_len: u32, out: u32);
        "proxy_increment_metric" = metrics::increment: (id: u32, delta: i64);
        "proxy_record_metric" = metrics::record: (id: u32, value: u64);
        "proxy_get_metric" = metrics::get: (id: u32, out: u32);
        "proxy_http_call" = callouts::http_call:
            (cluster: u32, cluster_len: u32, headers: u32, headers_len: u32, body: u32, body_len: u32, trailers: u32, trailers_len: u32, timeout: u32, out: u32);
        "proxy_grpc_call" = grpc::call:
            (service: u32, service_len: u32, name: u32, name_len: u32, method: u32, method_len: u32, metadata: u32, metadata_len: u32, request: u32, request_len: u32, timeout: u32, out: u32);
        "proxy_grpc_stream" = grpc::stream:
            (service: u32, service_len: u32, name: u32, name_len: u32, method: u32, method_len: u32, metadata: u32, metadata_len: u32, out: u32);
        "proxy_grpc_send" = grpc::send: (token: u32, message: u32, len: u32, end: u32);
        "proxy_grpc_cancel" = grpc::cancel: (token: u32);
        "proxy_grpc_close" = grpc::cancel: (token: u32);
    }
    wasi::define(linker)
}

/// What a host call ends with: a status, or a trap that kills the VM.
type Answer = Result<(), Exit>;
