//! The body-upper test filter's entry points.
#![cfg(target_arch = "wasm32")]

filter_shell::main!(body_upper::BodyUpper, hold, response_head, response_body);
