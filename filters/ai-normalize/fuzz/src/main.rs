//! `ai-fuzz`: builds the fuzz targets with coverage and runs them.

mod engine_run;

use std::path::PathBuf;
use std::process::ExitCode;

use ai_fuzz::{TARGETS, Target};
use clap::Parser;
use engine_run::{Ended, Engine};

/// Runs fuzz targets; exits with 1 if an input failed.
#[derive(Parser)]
struct Arguments {
    /// A target, or `all`.
    target: String,
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Makes the choices of a run repeatable; 0 for others each time.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Executes this one input instead.
    #[arg(long)]
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("ai-fuzz: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let targets: Vec<&Target> =
        TARGETS.iter().filter(|target| [target.name, "all"].contains(&arguments.target.as_str())).collect();
    if targets.is_empty() {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        return Err(format!("there is no target `{}`; there are {} and all", arguments.target, known.join(", ")));
    }
    if let Some(path) = &arguments.replay {
        let input = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        targets.iter().for_each(|target| (target.run)(&input));
        println!("{} takes this input", arguments.target);
        return Ok(true);
    }
    let engine = Engine::build()?;
    let mut fine = true;
    for target in targets {
        let Ended { executions, kept, failure } = engine.run(target, arguments.seconds, arguments.seed)?;
        println!("{}: {executions} executions, {kept} inputs in the corpus", target.name);
        if let Some((path, input)) = failure {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{}: FAILED, input in {}: {hex}", target.name, path.display());
            fine = false;
        }
    }
    Ok(fine)
}
