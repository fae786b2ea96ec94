//! The ABI's functions, one to one. The only file with unsafe code: pointers into this module's memory go out, and
//! memory that the host filled comes in.
#![allow(unsafe_code)]

use std::ptr::null_mut;

/// What a host call returned, if it was not 0. Any number is possible; 1 is "not found", 2 "bad argument",
/// 8 "compare-and-swap mismatch".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

/// Header maps, as numbered by the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Map {
    RequestHead = 0,
    ResponseHead = 2,
}

/// Byte buffers, as numbered by the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    GrpcMessage = 5,
    PluginConfiguration = 7,
}

/// Kinds of metrics, as numbered by the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Metric {
    Counter = 0,
    Gauge = 1,
}

/// Log levels, as numbered by the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Level {
    Error = 4,
}

/// Clocks, as numbered by WASI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Clock {
    Wall = 0,
    Monotonic = 1,
}

/// Streams, as numbered by the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum StreamSide {
    Request = 0,
    Response = 1,
}

mod abi {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
        pub fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
        pub fn proxy_replace_header_map_value(
            map: u32,
            k: *const u8,
            k_size: usize,
            v: *const u8,
            v_size: usize,
        ) -> u32;
        pub fn proxy_add_header_map_value(map: u32, k: *const u8, k_size: usize, v: *const u8, v_size: usize) -> u32;
        pub fn proxy_remove_header_map_value(map: u32, k: *const u8, k_size: usize) -> u32;
        pub fn proxy_get_buffer_bytes(buffer: u32, at: usize, max: usize, data: *mut *mut u8, size: *mut usize) -> u32;
        pub fn proxy_set_buffer_bytes(buffer: u32, at: usize, size: usize, data: *const u8, data_size: usize) -> u32;
        pub fn proxy_get_shared_data(
            key: *const u8,
            size: usize,
            data: *mut *mut u8,
            data_size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub fn proxy_set_shared_data(key: *const u8, size: usize, data: *const u8, data_size: usize, cas: u32) -> u32;
        pub fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
        pub fn proxy_increment_metric(id: u32, step: i64) -> u32;
        pub fn proxy_record_metric(id: u32, value: u64) -> u32;
        pub fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
        pub fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, size: usize) -> u32;
        pub fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub fn proxy_set_effective_context(context: u32) -> u32;
        pub fn proxy_close_stream(side: u32) -> u32;
        pub fn proxy_continue_stream(side: u32) -> u32;
        #[allow(clippy::too_many_arguments, reason = "the ABI's signature")]
        pub fn proxy_grpc_call(
            cluster: *const u8,
            cluster_size: usize,
            service: *const u8,
            service_size: usize,
            method: *const u8,
            method_size: usize,
            metadata: *const u8,
            metadata_size: usize,
            message: *const u8,
            message_size: usize,
            timeout: u32,
            token: *mut u32,
        ) -> u32;
        #[allow(clippy::too_many_arguments, reason = "the ABI's signature")]
        pub fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub fn random_get(buffer: *mut u8, size: usize) -> u16;
        pub fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u16;
    }
}

fn done(status: u32) -> Result<(), Status> {
    if status == 0 { Ok(()) } else { Err(Status(status)) }
}

/// Memory for the host to fill; it comes back through [`taken`], or is lost if the host never tells where it put it.
pub fn take_memory(size: usize) -> *mut u8 {
    let mut memory = std::mem::ManuallyDrop::new(Vec::<u8>::with_capacity(size));
    memory.as_mut_ptr()
}

/// Bytes that the host wrote into memory from [`take_memory`].
fn taken(data: *mut u8, size: usize) -> Vec<u8> {
    if data.is_null() || size == 0 {
        return Vec::new();
    }
    // SAFETY: a host returns what it got from the allocator export, `take_memory`, asked for this very size, and filled
    unsafe { Vec::from_raw_parts(data, size, size) }
}

pub(crate) fn log(level: Level, text: &str) {
    // SAFETY: the host reads `text` during the call
    unsafe { abi::proxy_log(level as u32, text.as_ptr(), text.len()) };
}

/// The whole map in the ABI's encoding; empty for a map that is not there.
pub(crate) fn map_bytes(map: Map) -> Result<Vec<u8>, Status> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: the host writes one pointer and one size
    done(unsafe { abi::proxy_get_header_map_pairs(map as u32, &raw mut data, &raw mut size) })?;
    Ok(taken(data, size))
}

pub(crate) fn set_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), Status> {
    let (k, v) = (name.as_ptr(), value.as_ptr());
    // SAFETY: the host reads both slices during the call
    done(unsafe { abi::proxy_replace_header_map_value(map as u32, k, name.len(), v, value.len()) })
}

pub(crate) fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), Status> {
    let (k, v) = (name.as_ptr(), value.as_ptr());
    // SAFETY: the host reads both slices during the call
    done(unsafe { abi::proxy_add_header_map_value(map as u32, k, name.len(), v, value.len()) })
}

pub(crate) fn remove_header(map: Map, name: &[u8]) -> Result<(), Status> {
    // SAFETY: the host reads the slice during the call
    done(unsafe { abi::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// The first `max` bytes of a buffer.
pub(crate) fn buffer_bytes(buffer: Buffer, max: usize) -> Result<Vec<u8>, Status> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: the host writes one pointer and one size
    done(unsafe { abi::proxy_get_buffer_bytes(buffer as u32, 0, max, &raw mut data, &raw mut size) })?;
    Ok(taken(data, size))
}

/// Puts `bytes` in place of the whole buffer.
pub(crate) fn replace_buffer(buffer: Buffer, bytes: &[u8]) -> Result<(), Status> {
    // SAFETY: the host reads the slice during the call
    done(unsafe { abi::proxy_set_buffer_bytes(buffer as u32, 0, usize::MAX, bytes.as_ptr(), bytes.len()) })
}

pub(crate) fn define_metric(kind: Metric, name: &str) -> Result<u32, Status> {
    let mut id = 0;
    // SAFETY: the host reads the name and writes one number
    done(unsafe { abi::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

pub(crate) fn increment(id: u32, step: i64) -> Result<(), Status> {
    // SAFETY: numbers only
    done(unsafe { abi::proxy_increment_metric(id, step) })
}

pub(crate) fn record(id: u32, value: u64) -> Result<(), Status> {
    // SAFETY: numbers only
    done(unsafe { abi::proxy_record_metric(id, value) })
}

/// An attribute; the parts of its path are separated by NUL.
pub(crate) fn property(path: &str) -> Result<Vec<u8>, Status> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: the host reads the path and writes one pointer and one size
    done(unsafe { abi::proxy_get_property(path.as_ptr(), path.len(), &raw mut data, &raw mut size) })?;
    Ok(taken(data, size))
}

pub(crate) fn set_property(path: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: the host reads both slices during the call
    done(unsafe { abi::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// How often the root is ticked from now on; 0 is never.
pub(crate) fn set_tick_period(milliseconds: u32) -> Result<(), Status> {
    // SAFETY: numbers only
    done(unsafe { abi::proxy_set_tick_period_milliseconds(milliseconds) })
}

/// The exchange that further host calls of this callback are about.
pub(crate) fn select(context: u32) -> Result<(), Status> {
    // SAFETY: numbers only
    done(unsafe { abi::proxy_set_effective_context(context) })
}

pub(crate) fn reset(side: StreamSide) -> Result<(), Status> {
    // SAFETY: numbers only
    done(unsafe { abi::proxy_close_stream(side as u32) })
}

/// The request that was paused goes on. Its head cannot be read or changed any more.
pub(crate) fn resume() -> Result<(), Status> {
    // SAFETY: numbers only
    done(unsafe { abi::proxy_continue_stream(StreamSide::Request as u32) })
}

/// Sends a message to a gRPC service, which `target` tells as Envoy's `GrpcService` message, without metadata; returns the number by which the answer will be known.
pub(crate) fn grpc_call(
    target: &[u8],
    service: &str,
    method: &str,
    message: &[u8],
    timeout: u32,
) -> Result<u32, Status> {
    let mut token = 0;
    // SAFETY: the host reads the slices during the call, and writes one number
    done(unsafe {
        abi::proxy_grpc_call(
            target.as_ptr(),
            target.len(),
            service.as_ptr(),
            service.len(),
            method.as_ptr(),
            method.len(),
            null_mut(),
            0,
            message.as_ptr(),
            message.len(),
            timeout,
            &raw mut token,
        )
    })?;
    Ok(token)
}

/// Answers the client. `headers` are in the ABI's map encoding; gRPC status -1 leaves it to the host.
pub(crate) fn reply(status: u16, details: &str, body: &[u8], headers: &[u8], grpc: i32) -> Result<(), Status> {
    // SAFETY: the host reads the slices during the call
    done(unsafe {
        abi::proxy_send_local_response(
            status.into(),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc,
        )
    })
}

/// A value that all workers share, and the number of its last change. Status 1 if there is none.
pub(crate) fn shared_data(key: &str) -> Result<(Vec<u8>, u32), Status> {
    let (mut data, mut size, mut cas) = (null_mut(), 0, 0);
    // SAFETY: the host reads the key and writes a pointer, a size and a number
    done(unsafe { abi::proxy_get_shared_data(key.as_ptr(), key.len(), &raw mut data, &raw mut size, &raw mut cas) })?;
    Ok((taken(data, size), cas))
}

/// Puts a value in place of the one whose last change has this number. Status 8 if it has changed since.
pub(crate) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<(), Status> {
    // SAFETY: the host reads both slices during the call
    done(unsafe { abi::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) })
}

/// Nanoseconds of a clock, or zero if the host has none.
pub(crate) fn clock(clock: Clock) -> u64 {
    let mut time = 0;
    // SAFETY: the host writes one number
    let status = unsafe { abi::clock_time_get(clock as u32, 1, &raw mut time) };
    if status == 0 { time } else { 0 }
}

/// Eight bytes from the host's random source, or zero if it has none.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the host writes eight bytes
    let status = unsafe { abi::random_get(bytes.as_mut_ptr(), bytes.len()) };
    if status == 0 { u64::from_le_bytes(bytes) } else { 0 }
}
