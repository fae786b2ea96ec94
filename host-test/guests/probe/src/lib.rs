//! A filter without SDK that makes the host calls its script names and logs each raw status and result. Tests run the
//! same scripts in our host and in Envoy and compare the lines.
//!
//! A script is `phase: call; call | phase: call`, in the request header `x-probe-ROOT_ID` or in the plugin's
//! configuration. Words are separated by spaces; `%20` stands for any byte in a word.
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, missing_docs, reason = "the bare ABI is what this guest is about")]
#![allow(clippy::missing_safety_doc)]

mod calls;
mod raw;
mod script;

use script::Script;
use std::cell::RefCell;
use std::collections::HashMap;

unsafe extern "C" {
    fn __wasm_call_ctors();
}

#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    unsafe { __wasm_call_ctors() };
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut block = std::mem::ManuallyDrop::new(Vec::<u8>::with_capacity(size));
    block.as_mut_ptr()
}

#[derive(Default)]
struct State {
    /// By root context.
    root_ids: HashMap<u32, String>,
    /// By context; roots have theirs from the configuration.
    scripts: HashMap<u32, Script>,
    /// Who waits for a callout, and with which script: the context may be gone by then.
    callouts: HashMap<u32, (u32, Script)>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Runs the script of a context for a phase. The answer is what the callback returns.
fn run(context: u32, phase: &str) -> u32 {
    let script = STATE.with_borrow(|state| state.scripts.get(&context).cloned());
    script.map_or(0, |script| run_script(context, &script, phase))
}

fn run_script(context: u32, script: &Script, phase: &str) -> u32 {
    let mut answer = 0;
    for call in script.calls(phase) {
        if let Some(number) = call.strip_prefix("return ") {
            answer = number.parse().unwrap_or(0);
            continue;
        }
        if call.starts_with("http ") || call.starts_with("grpc ") {
            let (line, token) = if call.starts_with("http ") { calls::http(&call) } else { calls::grpc(&call) };
            if let Some(token) = token {
                STATE.with_borrow_mut(|state| state.callouts.insert(token, (context, script.clone())));
            }
            report(&script.case, phase, &call, &line);
            continue;
        }
        let line = calls::make(&call, context);
        report(&script.case, phase, &call, &line);
    }
    answer
}

fn report(case: &str, phase: &str, call: &str, line: &str) {
    raw::log(2, format!("PROBE|{case}|{phase}|{call} -> {line}").as_bytes());
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    if parent == 0 {
        let root_id = raw::property(b"plugin_root_id").1.unwrap_or_default();
        let root_id = String::from_utf8_lossy(&root_id).into_owned();
        STATE.with_borrow_mut(|state| state.root_ids.insert(context, root_id));
        return;
    }
    let root_id = STATE.with_borrow(|state| state.root_ids.get(&parent).cloned()).unwrap_or_default();
    STATE.with_borrow_mut(|state| state.scripts.insert(context, Script { root_id, ..Script::default() }));
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_vm_start(context: u32, size: u32) -> u32 {
    root_phase(context, "vm", raw::buffer(6, 0, size as usize).1)
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(context: u32, size: u32) -> u32 {
    root_phase(context, "cfg", raw::buffer(7, 0, size as usize).1)
}

fn root_phase(context: u32, phase: &str, text: Option<Vec<u8>>) -> u32 {
    let root_id = STATE.with_borrow(|state| state.root_ids.get(&context).cloned()).unwrap_or_default();
    let case = format!("root-{root_id}");
    let script = Script::new(root_id, case, &text.unwrap_or_default());
    STATE.with_borrow_mut(|state| state.scripts.insert(context, script));
    run(context, phase);
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_tick(context: u32) {
    run(context, "tick");
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_queue_ready(context: u32, _queue: u32) {
    run(context, "queue");
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_headers(context: u32, _count: u32, end: u32) -> u32 {
    let root_id = STATE.with_borrow(|state| state.scripts.get(&context).map(|script| script.root_id.clone()));
    let root_id = root_id.unwrap_or_default();
    let header = |name: String| raw::header(0, name.as_bytes()).1.unwrap_or_default();
    let case = String::from_utf8_lossy(&header("x-case".to_owned())).into_owned();
    let script = Script::new(root_id.clone(), format!("{case}-{root_id}"), &header(format!("x-probe-{root_id}")));
    STATE.with_borrow_mut(|state| state.scripts.insert(context, script));
    note(context, "rh", &format!("end {end}"));
    run(context, "rh")
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_body(context: u32, size: u32, end: u32) -> u32 {
    body(context, "rb", size, end)
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_trailers(context: u32, count: u32) -> u32 {
    note(context, "rt", &format!("count {count}"));
    run(context, "rt")
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_headers(context: u32, _count: u32, end: u32) -> u32 {
    note(context, "ph", &format!("end {end}"));
    run(context, "ph")
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_body(context: u32, size: u32, end: u32) -> u32 {
    body(context, "pb", size, end)
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_trailers(context: u32, count: u32) -> u32 {
    note(context, "pt", &format!("count {count}"));
    run(context, "pt")
}

/// `rb` runs at every call but the last, `rbe` at the one that ends the body.
fn body(context: u32, phase: &str, size: u32, end: u32) -> u32 {
    note(context, phase, &format!("size {size} end {end}"));
    if end == 0 { run(context, phase) } else { run(context, &format!("{phase}e")) }
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_http_call_response(_root: u32, token: u32, headers: u32, size: u32, trailers: u32) {
    answered(token, "call", &format!("headers {headers} size {size} trailers {trailers}"));
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_grpc_receive(_root: u32, token: u32, size: u32) {
    answered(token, "grpc", &format!("size {size}"));
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_grpc_close(_root: u32, token: u32, status: u32) {
    answered(token, "gclose", &format!("status {status}"));
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_grpc_receive_initial_metadata(_root: u32, _token: u32, count: u32) {
    raw::log(2, format!("PROBE|metadata|initial {count}").as_bytes());
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_grpc_receive_trailing_metadata(_root: u32, _token: u32, count: u32) {
    raw::log(2, format!("PROBE|metadata|trailing {count}").as_bytes());
}

/// Goes on where a callout was made, also when that context is gone.
fn answered(token: u32, phase: &str, how: &str) {
    let Some((context, script)) = STATE.with_borrow_mut(|state| state.callouts.remove(&token)) else {
        let (status, message) = raw::get_status();
        let message = message.1.unwrap_or_default();
        let text = format!("{how} to nobody: {status} \"{}\"", message.escape_ascii());
        raw::log(2, format!("PROBE|answer|{phase}|{text}").as_bytes());
        return;
    };
    let status = raw::set_effective_context(context);
    report_note(&script.case, phase, &format!("{how} effective {status}"));
    run_script(context, &script, phase);
    if phase != "call" {
        report_note(&script.case, phase, "end");
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_log(context: u32) {
    run(context, "log");
    note(context, "log", "end");
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_done(context: u32) -> u32 {
    run(context, "done");
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_delete(context: u32) {
    run(context, "delete");
    note(context, "delete", "end");
    STATE.with_borrow_mut(|state| state.scripts.remove(&context));
}

/// Tells how a callback was made.
fn note(context: u32, phase: &str, text: &str) {
    let case = STATE.with_borrow(|state| state.scripts.get(&context).map(|script| script.case.clone()));
    let case = case.filter(|case| !case.is_empty()).unwrap_or_else(|| "without-case".to_owned());
    report_note(&case, phase, text);
}

fn report_note(case: &str, phase: &str, text: &str) {
    raw::log(2, format!("PROBE|{case}|{phase}|{text}").as_bytes());
}
