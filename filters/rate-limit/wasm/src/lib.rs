//! The rate-limit filter's entry points.
#![cfg(target_arch = "wasm32")]

filter_shell::main!(rate_limit::RateLimit, request_body, call, response_head);
