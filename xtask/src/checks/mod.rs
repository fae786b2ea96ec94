//! `cargo xtask test`: every check, one after the other, up to the first that fails.

mod report;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use crate::failure::{During, Failure, Outcome};
use crate::project::Project;
use crate::say::say;
use crate::{envoy, process, sdks, wasm};

use report::Report;

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The code is formatted.
    Fmt,
    /// clippy on what is compiled for this machine.
    Clippy,
    /// The modules are built.
    Wasm,
    /// clippy on what exists only in the modules.
    ClippyWasm,
    /// There is an Envoy.
    Envoy,
    /// Unit and integration tests, those in Envoy among them.
    Tests,
    /// The providers' own SDKs talk to the mocks, and through the gateways.
    Sdks,
    /// Only the tests that run in Envoy.
    E2e,
    /// Envoy accepts every bundled bootstrap.
    Validate,
}

/// Every check, in the order that finds mistakes soonest.
const ALL: [Step; 8] =
    [Step::Fmt, Step::Clippy, Step::Wasm, Step::ClippyWasm, Step::Envoy, Step::Tests, Step::Sdks, Step::Validate];

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Fmt => "fmt",
            Step::Clippy => "clippy",
            Step::Wasm => "wasm",
            Step::ClippyWasm => "clippy-wasm",
            Step::Envoy => "envoy",
            Step::Tests => "tests",
            Step::Sdks => "sdks",
            Step::E2e => "e2e",
            Step::Validate => "validate",
        }
    }

    /// What has to be done before, when it is asked for alone.
    fn needs(self) -> &'static [Step] {
        match self {
            Step::Tests | Step::Sdks | Step::E2e | Step::Validate => &[Step::Wasm, Step::Envoy],
            _ => &[],
        }
    }
}

/// The checks of these names with what they need, or all when none is named.
pub fn select(names: &[&str]) -> Outcome<Vec<Step>> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let known = ALL.into_iter().chain([Step::E2e]);
    let mut steps: Vec<Step> = Vec::new();
    for name in names {
        let step = known.clone().find(|step| step.name() == *name).ok_or_else(|| {
            let names: Vec<_> = known.clone().map(Step::name).collect();
            Failure::new(format!("no check `{name}`; there is: {}", names.join(", ")))
        })?;
        for step in step.needs().iter().chain([&step]) {
            if !steps.contains(step) {
                steps.push(*step);
            }
        }
    }
    Ok(steps)
}

/// Runs the checks and prints what came of them.
pub fn run(project: &Project, steps: &[Step]) -> Outcome<()> {
    let mut report = Report::default();
    let mut envoy = None;
    for step in steps {
        say(format_args!("== {}", step.name()));
        let started = Instant::now();
        let result = check(project, *step, &mut envoy);
        let failed = result.is_err();
        report.add(step.name(), started.elapsed(), result);
        if failed {
            break;
        }
    }
    let skipped: Vec<_> = steps.iter().skip(report.len()).map(|step| step.name()).collect();
    print!("\n{}", report.text(&skipped));
    if report.failed() { Err(Failure::new("a check failed")) } else { Ok(()) }
}

fn check(project: &Project, step: Step, envoy: &mut Option<PathBuf>) -> Outcome<()> {
    let mut cargo = project.cargo();
    if let Some(envoy) = envoy {
        cargo.env(envoy::VARIABLE, envoy);
    }
    match step {
        Step::Fmt => process::run(cargo.args(["fmt", "--all", "--check"])),
        Step::Clippy => process::run(cargo.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        Step::Wasm => wasm::build(project).map(|_| ()),
        Step::ClippyWasm => wasm::lint(project),
        Step::Envoy => {
            *envoy = Some(envoy::find(project)?);
            Ok(())
        }
        Step::Tests => process::run(cargo.args(["test", "--workspace", "--no-fail-fast"])),
        Step::Sdks => {
            cargo.env(sdks::VARIABLE, sdks::get(project)?);
            // They are ignored by `cargo test`, which has no SDKs. One after the other, so that what they print can be read.
            cargo.args(["test", "--package", "sluice", "--test", "sdks", "--"]);
            process::run(cargo.args(["--ignored", "--nocapture", "--test-threads=1"]))
        }
        // Tests that run in Envoy carry its name.
        Step::E2e => process::run(cargo.args(["test", "--workspace", "--no-fail-fast", "--", "envoy"])),
        Step::Validate => validate(project, envoy.as_ref().ok_or_else(|| Failure::new("no Envoy was looked for"))?),
    }
}

/// Has Envoy check every bundled bootstrap; it also loads the modules and gives them their configuration.
fn validate(project: &Project, envoy: &PathBuf) -> Outcome<()> {
    let folder = project.root.join("envoy-configs");
    let entries = fs::read_dir(&folder).during(|| "envoy-configs")?.flatten();
    let mut files: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::new("no bootstrap in envoy-configs"));
    }
    for file in files {
        let file = project.relative(&file).to_string();
        let mut command = project.command(envoy);
        command.args(["--mode", "validate", "-l", "warning", "-c", &file]);
        process::run(&mut command).during(|| file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_bring_what_they_need_once_and_in_order() {
        assert_eq!(select(&[]).unwrap(), ALL);
        assert_eq!(select(&["fmt"]).unwrap(), [Step::Fmt]);
        let expected = [Step::Wasm, Step::Envoy, Step::E2e, Step::Validate];
        assert_eq!(select(&["e2e", "validate"]).unwrap(), expected);
        let text = select(&["fmt", "lint"]).unwrap_err().to_string();
        assert_eq!(
            text,
            "no check `lint`; there is: fmt, clippy, wasm, clippy-wasm, envoy, tests, sdks, validate, e2e"
        );
    }
}
