//! The rate-limit filter's entry points.
#![cfg(target_arch = "wasm32")]

filter_shell::main!(rate_limit::RateLimit, response_head);
