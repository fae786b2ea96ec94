//! The `sluice` command.

mod bench;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Proxy-wasm filters for Envoy: serve them, test them, measure them.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve an Envoy bootstrap with the embedded gateway.
    Serve(serve::Serve),
    /// Measure what the filters cost in Envoy.
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Bench(bench) => bench.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sluice: {why}");
            ExitCode::FAILURE
        }
    }
}
