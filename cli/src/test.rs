//! `sluice test`: runs scenario files.

use clap::{Args, ValueEnum};
use host_test::scenario::{self, Runner, Runners, Scenario};
use std::path::PathBuf;

/// Options of `sluice test`.
#[derive(Debug, Args)]
pub struct Test {
    /// Scenario files (docs/scenarios.md).
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Who runs them; several times for several. All by default, Envoy only if `--envoy` names one.
    #[arg(long = "runner", value_enum)]
    runners: Vec<Kind>,
    /// The Envoy to run them in.
    #[arg(long, env = "ENVOY")]
    envoy: Option<PathBuf>,
    /// Folder with the .wasm files of our filters.
    #[arg(long, env = "SLUICE_DIST", default_value = "dist")]
    dist: PathBuf,
    /// A module to use for every filter in the files.
    #[arg(long)]
    wasm: Option<PathBuf>,
    /// Write what was seen into the files, in place of the expectations that differ.
    #[arg(long)]
    bless: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The pure filters, without a host.
    Core,
    /// The .wasm files in our host.
    Host,
    /// The .wasm files in a real Envoy.
    Envoy,
}

impl Test {
    /// Runs the files and prints what came of them.
    ///
    /// # Errors
    /// If a file cannot be read, or anything is not as expected.
    pub fn run(&self) -> Result<(), String> {
        let mut scenarios = Vec::new();
        for file in &self.files {
            let mut scenario = Scenario::read(file).map_err(|error| error.to_string())?;
            if let Some(module) = &self.wasm {
                scenario.file.filters.iter_mut().for_each(|filter| filter.filter = module.display().to_string());
            }
            scenarios.push(scenario);
        }
        let runners = Runners { runners: self.runners(), dist: self.dist.clone(), envoy: self.envoy.clone() };
        let report = runners.run(&scenarios)?;
        print!("{}", report.text);
        if self.bless {
            println!("{} expectations rewritten", scenario::bless(&report, &scenarios)?);
        }
        println!("{} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped);
        if report.failed == 0 { Ok(()) } else { Err("scenarios failed".to_owned()) }
    }

    fn runners(&self) -> Vec<Runner> {
        if self.runners.is_empty() {
            let envoy = self.envoy.as_ref().map(|_| Runner::Envoy);
            return [Runner::Core, Runner::Host].into_iter().chain(envoy).collect();
        }
        let one = |kind: &Kind| match kind {
            Kind::Core => Runner::Core,
            Kind::Host => Runner::Host,
            Kind::Envoy => Runner::Envoy,
        };
        self.runners.iter().map(one).collect()
    }
}
