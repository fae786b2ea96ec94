//! The host's functions, and memory that the host hands over.

use std::ptr::{null, null_mut};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, len: usize) -> u32;
    fn proxy_get_log_level(out: *mut u32) -> u32;
    fn proxy_get_current_time_nanoseconds(out: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(kind: u32, start: usize, max: usize, out: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_get_buffer_status(kind: u32, len: *mut usize, flags: *mut u32) -> u32;
    fn proxy_set_buffer_bytes(kind: u32, start: usize, size: usize, data: *const u8, len: usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, out: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_get_header_map_size(map: u32, out: *mut usize) -> u32;
    fn proxy_get_header_map_value(map: u32, key: *const u8, key_len: usize, out: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, len: usize) -> u32;
    fn proxy_add_header_map_value(map: u32, key: *const u8, key_len: usize, value: *const u8, len: usize) -> u32;
    fn proxy_replace_header_map_value(map: u32, key: *const u8, key_len: usize, value: *const u8, len: usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_len: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_len: usize, out: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, len: usize) -> u32;
    fn proxy_get_shared_data(key: *const u8, key_len: usize, out: *mut *mut u8, len: *mut usize, cas: *mut u32) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_len: usize, value: *const u8, len: usize, cas: u32) -> u32;
    fn proxy_register_shared_queue(name: *const u8, len: usize, out: *mut u32) -> u32;
    fn proxy_resolve_shared_queue(vm: *const u8, vm_len: usize, name: *const u8, len: usize, out: *mut u32) -> u32;
    fn proxy_enqueue_shared_queue(queue: u32, data: *const u8, len: usize) -> u32;
    fn proxy_dequeue_shared_queue(queue: u32, out: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, len: usize, out: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, delta: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_metric(id: u32, out: *mut u64) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc: i32,
    ) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_len: usize,
        headers: *const u8,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
        trailers: *const u8,
        trailers_len: usize,
        timeout: u32,
        out: *mut u32,
    ) -> u32;
    fn proxy_grpc_call(
        service: *const u8,
        service_len: usize,
        name: *const u8,
        name_len: usize,
        method: *const u8,
        method_len: usize,
        metadata: *const u8,
        metadata_len: usize,
        request: *const u8,
        request_len: usize,
        timeout: u32,
        out: *mut u32,
    ) -> u32;
    fn proxy_grpc_stream(
        service: *const u8,
        service_len: usize,
        name: *const u8,
        name_len: usize,
        method: *const u8,
        method_len: usize,
        metadata: *const u8,
        metadata_len: usize,
        out: *mut u32,
    ) -> u32;
    fn proxy_grpc_send(token: u32, message: *const u8, len: usize, end: u32) -> u32;
    fn proxy_grpc_cancel(token: u32) -> u32;
    fn proxy_grpc_close(token: u32) -> u32;
    fn proxy_get_status(code: *mut u32, out: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_done() -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_len: usize,
        args: *const u8,
        args_len: usize,
        out: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(id: u32, precision: u64, out: *mut u64) -> u32;
    fn random_get(out: *mut u8, len: usize) -> u32;
    fn args_sizes_get(count: *mut usize, size: *mut usize) -> u32;
    fn fd_fdstat_get(fd: u32, out: *mut u64) -> u32;
    fn fd_close(fd: u32) -> u32;
    fn fd_prestat_get(fd: u32, out: *mut u64) -> u32;
    fn proc_exit(code: u32);
}

/// A pointer that no guest may use.
const NOWHERE: *const u8 = 0xffff_fff0 as *const u8;

/// What a call that hands bytes over has answered: `None` is a null pointer.
pub type Given = (u32, Option<Vec<u8>>);

fn given(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Given {
    // Values that show whether the host has written them.
    let (mut ptr, mut len) = (std::ptr::without_provenance_mut::<u8>(1), 77_777_usize);
    let status = call(&raw mut ptr, &raw mut len);
    if ptr as usize == 1 {
        return (status, (len != 77_777).then(|| b"(length written, pointer not)".to_vec()).or(None));
    }
    if ptr.is_null() {
        return (status, None);
    }
    (status, Some(unsafe { Vec::from_raw_parts(ptr, len, len) }))
}

pub fn log(level: u32, text: &[u8]) -> u32 {
    unsafe { proxy_log(level, text.as_ptr(), text.len()) }
}

pub fn log_nowhere() -> u32 {
    unsafe { proxy_log(2, NOWHERE, 100) }
}

pub fn log_level() -> (u32, u32) {
    let mut level = 99;
    (unsafe { proxy_get_log_level(&raw mut level) }, level)
}

pub fn time() -> (u32, u64) {
    let mut now = 0;
    (unsafe { proxy_get_current_time_nanoseconds(&raw mut now) }, now)
}

pub fn tick(period: u32) -> u32 {
    unsafe { proxy_set_tick_period_milliseconds(period) }
}

pub fn buffer(kind: u32, start: usize, max: usize) -> Given {
    given(|out, len| unsafe { proxy_get_buffer_bytes(kind, start, max, out, len) })
}

pub fn buffer_nowhere(kind: u32) -> u32 {
    unsafe { proxy_get_buffer_bytes(kind, 0, 100, NOWHERE as *mut *mut u8, NOWHERE as *mut usize) }
}

pub fn buffer_status(kind: u32) -> (u32, usize, u32) {
    let (mut len, mut flags) = (77_777, 77_777);
    let status = unsafe { proxy_get_buffer_status(kind, &raw mut len, &raw mut flags) };
    (status, len, flags)
}

pub fn set_buffer(kind: u32, start: usize, size: usize, data: &[u8]) -> u32 {
    unsafe { proxy_set_buffer_bytes(kind, start, size, data.as_ptr(), data.len()) }
}

pub fn pairs(map: u32) -> Given {
    given(|out, len| unsafe { proxy_get_header_map_pairs(map, out, len) })
}

pub fn map_size(map: u32) -> (u32, usize) {
    let mut size = 77_777;
    (unsafe { proxy_get_header_map_size(map, &raw mut size) }, size)
}

pub fn header(map: u32, key: &[u8]) -> Given {
    given(|out, len| unsafe { proxy_get_header_map_value(map, key.as_ptr(), key.len(), out, len) })
}

pub fn header_nowhere(map: u32) -> u32 {
    let (mut ptr, mut len) = (null_mut(), 0);
    unsafe { proxy_get_header_map_value(map, NOWHERE, 100, &raw mut ptr, &raw mut len) }
}

pub fn set_pairs(map: u32, data: &[u8]) -> u32 {
    unsafe { proxy_set_header_map_pairs(map, data.as_ptr(), data.len()) }
}

pub fn add(map: u32, key: &[u8], value: &[u8]) -> u32 {
    unsafe { proxy_add_header_map_value(map, key.as_ptr(), key.len(), value.as_ptr(), value.len()) }
}

pub fn replace(map: u32, key: &[u8], value: &[u8]) -> u32 {
    unsafe { proxy_replace_header_map_value(map, key.as_ptr(), key.len(), value.as_ptr(), value.len()) }
}

pub fn remove(map: u32, key: &[u8]) -> u32 {
    unsafe { proxy_remove_header_map_value(map, key.as_ptr(), key.len()) }
}

pub fn property(path: &[u8]) -> Given {
    given(|out, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), out, len) })
}

pub fn set_property(path: &[u8], value: &[u8]) -> u32 {
    unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) }
}

pub fn shared(key: &[u8]) -> (Given, u32) {
    let mut cas = 0;
    let answer = given(|out, len| unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), out, len, &raw mut cas) });
    (answer, cas)
}

pub fn set_shared(key: &[u8], value: &[u8], cas: u32) -> u32 {
    unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) }
}

pub fn register_queue(name: &[u8]) -> (u32, u32) {
    let mut token = 0;
    (unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &raw mut token) }, token)
}

pub fn resolve_queue(vm: &[u8], name: &[u8]) -> (u32, u32) {
    let mut token = 0;
    let status =
        unsafe { proxy_resolve_shared_queue(vm.as_ptr(), vm.len(), name.as_ptr(), name.len(), &raw mut token) };
    (status, token)
}

pub fn enqueue(queue: u32, data: &[u8]) -> u32 {
    unsafe { proxy_enqueue_shared_queue(queue, data.as_ptr(), data.len()) }
}

pub fn dequeue(queue: u32) -> Given {
    given(|out, len| unsafe { proxy_dequeue_shared_queue(queue, out, len) })
}

pub fn define_metric(kind: u32, name: &[u8]) -> (u32, u32) {
    let mut id = 0;
    (unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) }, id)
}

pub fn increment_metric(id: u32, delta: i64) -> u32 {
    unsafe { proxy_increment_metric(id, delta) }
}

pub fn record_metric(id: u32, value: u64) -> u32 {
    unsafe { proxy_record_metric(id, value) }
}

pub fn get_metric(id: u32) -> (u32, u64) {
    let mut value = 77_777;
    (unsafe { proxy_get_metric(id, &raw mut value) }, value)
}

pub fn continue_stream(stream: u32) -> u32 {
    unsafe { proxy_continue_stream(stream) }
}

pub fn close_stream(stream: u32) -> u32 {
    unsafe { proxy_close_stream(stream) }
}

pub fn reply(status: u32, details: &[u8], body: &[u8], headers: &[u8], grpc: i32) -> u32 {
    unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc,
        )
    }
}

pub fn http_call(cluster: &[u8], headers: &[u8], body: &[u8], timeout: u32) -> (u32, u32) {
    let mut token = 77_777;
    let status = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            null(),
            0,
            timeout,
            &raw mut token,
        )
    };
    (status, token)
}

/// What a gRPC callout is made of.
pub struct Call<'a> {
    pub service: &'a [u8],
    pub name: &'a [u8],
    pub method: &'a [u8],
    pub metadata: &'a [u8],
    pub request: &'a [u8],
    pub timeout: u32,
}

impl<'a> Call<'a> {
    /// A call without anything.
    pub fn to(service: &'a [u8]) -> Self {
        Self { service, name: b"S", method: b"M", metadata: b"", request: b"", timeout: 100 }
    }
}

pub fn grpc_call(call: &Call<'_>) -> (u32, u32) {
    let mut token = 77_777;
    let status = unsafe {
        proxy_grpc_call(
            call.service.as_ptr(),
            call.service.len(),
            call.name.as_ptr(),
            call.name.len(),
            call.method.as_ptr(),
            call.method.len(),
            call.metadata.as_ptr(),
            call.metadata.len(),
            call.request.as_ptr(),
            call.request.len(),
            call.timeout,
            &raw mut token,
        )
    };
    (status, token)
}

pub fn grpc_stream(service: &[u8]) -> u32 {
    let mut token = 0;
    unsafe {
        proxy_grpc_stream(
            service.as_ptr(),
            service.len(),
            b"S".as_ptr(),
            1,
            b"M".as_ptr(),
            1,
            null(),
            0,
            &raw mut token,
        )
    }
}

pub fn grpc_send(token: u32) -> u32 {
    unsafe { proxy_grpc_send(token, null(), 0, 0) }
}

pub fn grpc_cancel(token: u32) -> u32 {
    unsafe { proxy_grpc_cancel(token) }
}

pub fn grpc_close(token: u32) -> u32 {
    unsafe { proxy_grpc_close(token) }
}

pub fn get_status() -> (u32, Given) {
    let mut code = 77_777;
    let answer = given(|out, len| unsafe { proxy_get_status(&raw mut code, out, len) });
    (code, answer)
}

pub fn set_effective_context(context: u32) -> u32 {
    unsafe { proxy_set_effective_context(context) }
}

pub fn done() -> u32 {
    unsafe { proxy_done() }
}

pub fn foreign(name: &[u8], args: &[u8]) -> Given {
    given(|out, len| unsafe {
        proxy_call_foreign_function(name.as_ptr(), name.len(), args.as_ptr(), args.len(), out, len)
    })
}

pub fn wasi(name: &str, number: u32) -> Option<u32> {
    let mut out = [0_u64; 4];
    let (mut count, mut size) = (9_usize, 9_usize);
    Some(unsafe {
        match name {
            "clock" => clock_time_get(number, 0, out.as_mut_ptr()),
            "random" => random_get(out.as_mut_ptr().cast(), 32),
            "args" => args_sizes_get(&raw mut count, &raw mut size) + u32::try_from(count + size).unwrap_or(99),
            "fdstat" => fd_fdstat_get(number, out.as_mut_ptr()),
            "close" => fd_close(number),
            "prestat" => fd_prestat_get(number, out.as_mut_ptr()),
            "exit" => {
                proc_exit(number);
                0
            }
            _ => return None,
        }
    })
}
