//! The prefix-rewrite filter's entry points.
#![cfg(target_arch = "wasm32")]

filter_shell::main!(prefix_rewrite::PrefixRewrite, hold);
