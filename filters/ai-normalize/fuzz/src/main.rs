//! `ai-fuzz`: builds the fuzz targets with coverage and runs them.

fn main() -> std::process::ExitCode {
    fuzz_engine::main("ai-fuzz", ai_fuzz::TARGETS)
}
