//! The `sluice` command.

mod bench;
mod config_file;
mod convert;
mod diff;
mod explain;
mod output;
mod request;
mod requests;
mod schema;
mod serve;
mod simulate;
mod test;
mod translate;
mod validate;

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
    /// Make a gateway's configuration of manifests: App Mesh, Ingress or Gateway API.
    Convert(convert::Convert),
    /// Check filter configurations, by themselves or in an Envoy bootstrap.
    Validate(validate::Validate),
    /// Say what differs between two configurations, and which recorded requests that changes.
    Diff(diff::Diff),
    /// Say what becomes of a request, and why.
    Explain(explain::Explain),
    /// Print the JSON Schema of a filter's configuration.
    Schema(schema::Schema),
    /// Replay requests through a rate-limit configuration, at the times when they came.
    Simulate(simulate::Simulate),
    /// Say what ai-normalize makes of a request, an answer, a stream or an error.
    Translate(translate::Translate),
    /// Run scenario files in the pure filters, in our host and in Envoy.
    Test(test::Test),
    /// Measure what the filters cost in Envoy.
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(serve) => serve.run(),
        // 0 and 1 as `convert` has them, 2 for mistakes
        Command::Convert(convert) => {
            return convert.run().unwrap_or_else(|why| {
                eprintln!("sluice: {why}");
                ExitCode::from(2)
            });
        }
        Command::Validate(validate) => validate.run(),
        // 0, 1 and 2 as `diff` has them
        Command::Diff(diff) => {
            return diff.run().unwrap_or_else(|why| {
                eprintln!("sluice: {why}");
                ExitCode::from(2)
            });
        }
        Command::Explain(explain) => explain.run(),
        Command::Schema(schema) => schema.run(),
        Command::Simulate(simulate) => simulate.run(),
        Command::Translate(translate) => translate.run(),
        Command::Test(test) => test.run(),
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
