//! The asks test filter's entry points.
#![cfg(target_arch = "wasm32")]

filter_shell::main!(asks::Asks, hold, call, response_head);
