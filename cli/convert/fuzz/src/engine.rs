//! The instrumented program that `convert-fuzz` builds and runs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_engine::execute(convert_fuzz::TARGETS, bytes));
