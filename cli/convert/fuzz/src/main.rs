//! `convert-fuzz`: builds the fuzz targets with coverage and runs them.

fn main() -> std::process::ExitCode {
    fuzz_engine::main("convert-fuzz", convert_fuzz::TARGETS)
}
