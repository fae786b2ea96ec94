//! The suite filter's entry points.
#![cfg(target_arch = "wasm32")]

filter_shell::main!(suite::Suite, hold, call, response_head, response_body);
