//! The header-router filter's entry points.
#![cfg(target_arch = "wasm32")]

filter_shell::main!(header_router::HeaderRouter, hold, response_head);
