//! `cargo xtask`: what the Makefile's targets do.

mod bench;
mod checks;
mod demo;
mod envoy;
mod failure;
mod process;
mod project;
mod python;
mod say;
#[cfg(test)]
mod scratch;
mod sdks;
mod stamp;
mod stop;
mod toolchain;
mod wasm;

use std::env;
use std::process::ExitCode;

use failure::{Failure, Outcome};
use project::Project;

const HELP: &str = "usage: cargo xtask COMMAND

  wasm    build every filter and test guest into dist/
  size    list the sizes of the files in dist/
  envoy   find or get an Envoy and print its path
  sdks    find or get the providers' SDKs and print the path of their Python
  run     start an example until Ctrl-C: [--gateway embedded|envoy] [--example products]
  test    run every check, or those named: fmt clippy wasm clippy-wasm envoy tests sdks validate e2e
  bench   measure the filters in Envoy; options go to `sluice bench`

docs/build.md tells how the tools are found and which variables matter.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::say(failure);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Outcome<()> {
    stop::listen()?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        ["wasm"] => wasm::build(&Project::find()?).map(|_| ()),
        ["test", names @ ..] => {
            let steps = checks::select(names)?;
            checks::run(&Project::find()?, &steps)
        }
        ["bench", options @ ..] => bench::run(&Project::find()?, options),
        ["envoy"] => {
            println!("{}", envoy::find(&Project::find()?)?.display());
            Ok(())
        }
        ["sdks"] => {
            println!("{}", sdks::get(&Project::find()?)?.display());
            Ok(())
        }
        ["run", options @ ..] => demo::run(&Project::find()?, &demo::Request::parse(options)?),
        ["size"] => wasm::sizes(&Project::find()?),
        _ => Err(Failure::new(format!("unknown command: {}\n{HELP}", words.join(" ")))),
    }
}
