//! The instrumented program that `ai-fuzz` builds and runs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_engine::execute(ai_fuzz::TARGETS, bytes));
