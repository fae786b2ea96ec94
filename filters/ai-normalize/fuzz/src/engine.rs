//! The instrumented program that `ai-fuzz` builds and runs; it takes libFuzzer's options, and a target's name from the environment.
#![no_main]

use std::sync::OnceLock;

use ai_fuzz::{TARGETS, Target};

static TARGET: OnceLock<Option<&Target>> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var_os("AI_FUZZ_TARGET").unwrap_or_default();
        TARGETS.iter().find(|target| target.name == name)
    });
    match target {
        Some(target) => (target.run)(bytes),
        None => std::process::abort(),
    }
});
