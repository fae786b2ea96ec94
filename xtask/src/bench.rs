//! `cargo xtask bench`: builds what `sluice bench` measures, and runs it.

use crate::failure::Outcome;
use crate::project::Project;
use crate::{envoy, process, wasm};

/// Measures with these options of `sluice bench`.
pub fn run(project: &Project, options: &[&str]) -> Outcome<()> {
    wasm::build(project)?;
    let envoy = envoy::find(project)?;
    process::run(project.cargo().args(["build", "-p", "sluice"]))?;
    let mut sluice = project.command(project.programs.join("sluice"));
    process::run(sluice.arg("bench").args(options).env(envoy::VARIABLE, envoy))
}
