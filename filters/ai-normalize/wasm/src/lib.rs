//! The ai-normalize filter's entry points.
#![cfg(target_arch = "wasm32")]

filter_shell::main!(ai_normalize::AiNormalize, hold, response_head, response_body);
