//! The body-upper test filter's entry points.
#![cfg(target_arch = "wasm32")]

filter_shell::main!(body_upper::BodyUpper, request_body, response_head, response_body);
