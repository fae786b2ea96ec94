//! The WASI calls, with the error numbers that Envoy answers.

use super::call::{Call, Guard};
use crate::abi::LogLevel;
use crate::vm::VmState;
use wasmtime::{Caller, Linker};

const SUCCESS: u32 = 0;
const BAD_DESCRIPTOR: u32 = 8;
const FAULT: u32 = 21;
const NO_ENTRY: u32 = 44;
const NO_SYSTEM_CALL: u32 = 52;
const NOT_SUPPORTED: u32 = 58;

macro_rules! wasi_calls {
    ($linker:ident; $($name:literal = $function:expr, ($($arg:ident: $ty:ty),*);)*) => {
        for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
            $($linker.func_wrap(module, $name, |caller: Caller<'_, VmState>, $($arg: $ty),*| -> wasmtime::Result<u32> {
                #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, trivial_numeric_casts)]
                let mut call = Call::enter(caller, $name, &[$($arg as u64),*], Guard::Always)?;
                let function: fn(&mut Call<'_>, $($ty),*) -> Result<u32, u32> = $function;
                let number = function(&mut call, $($arg),*).unwrap_or_else(|number| number);
                Ok(call.leave_with(number))
            })?;)*
        }
    };
}

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    wasi_calls! { linker;
        "fd_write" = fd_write, (fd: u32, vectors: u32, count: u32, written: u32);
        "environ_sizes_get" = environ_sizes_get, (count: u32, size: u32);
        "environ_get" = environ_get, (array: u32, buffer: u32);
        "args_sizes_get" = args_sizes_get, (count: u32, size: u32);
        "args_get" = |_, _, _| Ok(SUCCESS), (array: u32, buffer: u32);
        "clock_time_get" = clock_time_get, (id: u32, precision: u64, out: u32);
        "random_get" = random_get, (buffer: u32, len: u32);
        "fd_fdstat_get" = fd_fdstat_get, (fd: u32, out: u32);
        "fd_fdstat_set_flags" = |_, _, _| Err(NO_SYSTEM_CALL), (fd: u32, flags: u32);
        "fd_read" = |_, _, _, _, _| Err(NO_SYSTEM_CALL), (fd: u32, vectors: u32, count: u32, read: u32);
        "fd_seek" = |call, _, _, _, _| harmless(call, "fd_seek"), (fd: u32, offset: i64, whence: u32, out: u32);
        "fd_close" = |call, _| harmless(call, "fd_close"), (fd: u32);
        "fd_prestat_get" = |_, _, _| Err(BAD_DESCRIPTOR), (fd: u32, out: u32);
        "fd_prestat_dir_name" = |_, _, _, _| Err(BAD_DESCRIPTOR), (fd: u32, path: u32, len: u32);
        "path_open" = |_, _, _, _, _, _, _, _, _, _| Err(NO_ENTRY),
            (fd: u32, lookup: u32, path: u32, len: u32, flags: u32, base: u64, inheriting: u64, fdflags: u32, out: u32);
        "path_create_directory" = |_, _, _, _| Err(NO_SYSTEM_CALL), (fd: u32, path: u32, len: u32);
        "path_remove_directory" = |_, _, _, _| Err(NO_SYSTEM_CALL), (fd: u32, path: u32, len: u32);
        "path_link" = |_, _, _, _, _, _, _, _| Err(NO_SYSTEM_CALL),
            (fd: u32, flags: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32);
        "path_filestat_get" = |_, _, _, _, _, _| Err(NO_SYSTEM_CALL), (fd: u32, flags: u32, path: u32, len: u32, out: u32);
        "path_rename" = |_, _, _, _, _, _, _| Err(NO_SYSTEM_CALL), (fd: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32);
        "path_unlink_file" = |_, _, _, _| Err(NO_SYSTEM_CALL), (fd: u32, path: u32, len: u32);
        "fd_filestat_get" = |_, _, _| Err(NO_SYSTEM_CALL), (fd: u32, out: u32);
        "fd_readdir" = |_, _, _, _, _, _| Err(NO_SYSTEM_CALL), (fd: u32, buffer: u32, len: u32, cookie: u64, out: u32);
        "sched_yield" = |_| Err(NO_SYSTEM_CALL), ();
        "poll_oneoff" = |_, _, _, _, _| Err(NO_SYSTEM_CALL), (input: u32, output: u32, count: u32, out: u32);
    }
    for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
        linker.func_wrap(module, "proc_exit", |caller: Caller<'_, VmState>, code: u32| -> wasmtime::Result<()> {
            // Envoy only logs; the guest then meets the `unreachable` behind the call.
            let mut call = Call::enter(caller, "proc_exit", &[u64::from(code)], Guard::Always)?;
            let _ = harmless(&mut call, "proc_exit");
            Ok(())
        })?;
    }
    Ok(())
}

fn harmless(call: &mut Call<'_>, name: &str) -> Result<u32, u32> {
    call.peek().log(LogLevel::Error, format!("wasi_unstable {name}"));
    Ok(SUCCESS)
}

fn fault<T>(_: T) -> u32 {
    FAULT
}

fn fd_write(call: &mut Call<'_>, fd: u32, vectors: u32, count: u32, written: u32) -> Result<u32, u32> {
    let level = match fd {
        1 => LogLevel::Info,
        2 => LogLevel::Error,
        _ => return Err(BAD_DESCRIPTOR),
    };
    let mut text = Vec::new();
    for i in 0..count {
        let at = i.checked_mul(8).and_then(|offset| vectors.checked_add(offset)).ok_or(FAULT)?;
        let vector: [u8; 8] = call.bytes(at, 8).map_err(fault)?.try_into().map_err(fault)?;
        let [a, b, c, d, e, f, g, h] = vector;
        let (ptr, len) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        text.extend_from_slice(call.bytes(ptr, len).map_err(fault)?);
    }
    let total = u32::try_from(text.len()).map_err(fault)?;
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    if total > 0 {
        call.peek().log(level, String::from_utf8_lossy(&text).into_owned());
    }
    call.write_u32(written, total).map_err(fault)?;
    Ok(SUCCESS)
}

fn environ_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> Result<u32, u32> {
    let environment = &call.peek().environment;
    let number = environment.len();
    let bytes: usize = environment.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    call.write_u32(count, u32::try_from(number).map_err(fault)?).map_err(fault)?;
    call.write_u32(size, u32::try_from(bytes).map_err(fault)?).map_err(fault)?;
    Ok(SUCCESS)
}

fn environ_get(call: &mut Call<'_>, array: u32, buffer: u32) -> Result<u32, u32> {
    let lines: Vec<Vec<u8>> =
        call.peek().environment.iter().map(|(key, value)| format!("{key}={value}\0").into_bytes()).collect();
    let (mut slot, mut at) = (array, buffer);
    for line in lines {
        call.write_u32(slot, at).map_err(fault)?;
        call.write(at, &line).map_err(fault)?;
        slot = slot.checked_add(4).ok_or(FAULT)?;
        at = u32::try_from(line.len()).ok().and_then(|len| at.checked_add(len)).ok_or(FAULT)?;
    }
    Ok(SUCCESS)
}

fn args_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> Result<u32, u32> {
    call.write_u32(count, 0).map_err(fault)?;
    call.write_u32(size, 0).map_err(fault)?;
    Ok(SUCCESS)
}

fn clock_time_get(call: &mut Call<'_>, id: u32, _precision: u64, out: u32) -> Result<u32, u32> {
    let clock = call.peek().host.clock();
    let now = match id {
        0 => clock.wall(),
        1 => clock.monotonic(),
        _ => return Err(NOT_SUPPORTED),
    };
    call.write_u64(out, now).map_err(fault)?;
    Ok(SUCCESS)
}

fn random_get(call: &mut Call<'_>, buffer: u32, len: u32) -> Result<u32, u32> {
    call.bytes(buffer, len).map_err(fault)?;
    let host = std::sync::Arc::clone(&call.peek().host);
    let len = usize::try_from(len).map_err(fault)?;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        bytes.extend_from_slice(&host.random().to_le_bytes());
    }
    bytes.truncate(len);
    call.write(buffer, &bytes).map_err(fault)?;
    Ok(SUCCESS)
}

fn fd_fdstat_get(call: &mut Call<'_>, fd: u32, out: u32) -> Result<u32, u32> {
    if fd != 1 && fd != 2 {
        return Err(BAD_DESCRIPTOR);
    }
    // 24 bytes, of which only "may be written to" is set.
    let mut stat = [0_u8; 24];
    if let Some(rights) = stat.get_mut(8..16) {
        rights.copy_from_slice(&64_u64.to_le_bytes());
    }
    call.write(out, &stat).map_err(fault)?;
    Ok(SUCCESS)
}
