//! Fuzz targets with coverage on stable Rust: what a target is, the command that runs targets, and the program that it builds for
//! them.

mod engine;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use engine::{Ended, Engine};

/// The environment variable that tells the built program which target is meant.
pub const TARGET_VARIABLE: &str = "FUZZ_TARGET";

/// What can be fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Executes one input.
    pub run: fn(&[u8]),
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes that a change may put in.
    pub dictionary: &'static [&'static [u8]],
}

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

/// The command of a package with targets: builds them with coverage and runs them.
pub fn main(package: &str, targets: &[Target]) -> ExitCode {
    match run(package, targets, &Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{package}: {why}");
            ExitCode::from(2)
        }
    }
}

/// Executes one input of the target that the environment names.
pub fn execute(targets: &[Target], bytes: &[u8]) {
    let name = std::env::var_os(TARGET_VARIABLE).unwrap_or_default();
    match targets.iter().find(|target| name == target.name) {
        Some(target) => (target.run)(bytes),
        None => std::process::abort(),
    }
}

/// Runs each target over its seeds, and over copies that are cut short or changed.
pub fn damage(targets: &[Target]) {
    for target in targets {
        let seeds = (target.seeds)();
        for seed in &seeds {
            (target.run)(seed);
            // where there are many seeds, some places of each
            for at in (0..seed.len()).step_by(1 + seeds.len() / 8) {
                (target.run)(seed.get(..at).unwrap_or_default());
                let mut changed = seed.clone();
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= 1 << (at % 8);
                }
                (target.run)(&changed);
            }
        }
    }
}

fn run(package: &str, all: &[Target], arguments: &Arguments) -> Result<bool, String> {
    let targets: Vec<&Target> =
        all.iter().filter(|target| [target.name, "all"].contains(&arguments.target.as_str())).collect();
    if targets.is_empty() {
        let known: Vec<&str> = all.iter().map(|target| target.name).collect();
        return Err(format!("there is no target `{}`; there are {} and all", arguments.target, known.join(", ")));
    }
    if let Some(path) = &arguments.replay {
        let input = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        targets.iter().for_each(|target| (target.run)(&input));
        println!("{} takes this input", arguments.target);
        return Ok(true);
    }
    let engine = Engine::build(package)?;
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
