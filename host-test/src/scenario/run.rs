//! Running files, and telling what came of them.

use super::check::{Difference, common, compare};
use super::envoy::Envoys;
use super::format::{Case, Refusal, Scenario};
use super::native;
use super::observe::{Cost, Observation, Seen};
use super::refusals;
use super::wasm::{self, Modules};
use crate::yaml::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Who runs a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runner {
    /// The pure filters, without a host.
    Core,
    /// The `.wasm` files in this crate's host.
    Host,
    /// The `.wasm` files in a real Envoy.
    Envoy,
}

impl Runner {
    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Host => "host",
            Self::Envoy => "envoy",
        }
    }
}

/// Which runners there are, and what they need.
#[derive(Debug, Clone)]
pub struct Runners {
    /// Those that run, in this order.
    pub runners: Vec<Runner>,
    /// The folder with the `.wasm` files.
    pub dist: PathBuf,
    /// The Envoy for [`Runner::Envoy`].
    pub envoy: Option<PathBuf>,
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// A line for each failure and each skipped case, for people.
    pub text: String,
    /// Cases and refusals that were as expected, once for each runner.
    pub passed: usize,
    /// Those that were not.
    pub failed: usize,
    /// Those that a runner could not run.
    pub skipped: usize,
    /// What each case cost in this crate's host, by `file: case`.
    pub costs: BTreeMap<String, Cost>,
    /// What `bless` can write into the files.
    pub differences: Vec<(PathBuf, String, Difference)>,
}

/// Capabilities that a case may need, and the runners that have them.
const CAPABILITIES: [(&str, &[Runner]); 3] = [
    // requests that Envoy's HTTP/1 codec answers with 400 get to the filters, as they may on other hosts
    ("lenient_codec", &[Runner::Core, Runner::Host]),
    // what an HTTP codec does before and behind the filters
    ("codec", &[Runner::Envoy]),
    // the host's own answers, such as those of its body limits
    ("host", &[Runner::Host, Runner::Envoy]),
];

impl Runners {
    /// Runs files.
    ///
    /// # Errors
    /// If a runner cannot work at all.
    pub fn run(&self, scenarios: &[Scenario]) -> Result<Report, String> {
        let mut report = Report::default();
        let mut modules = Modules::new(&self.dist);
        for scenario in scenarios {
            check_needs(scenario)?;
        }
        let envoy = match (&self.envoy, self.runners.contains(&Runner::Envoy)) {
            (Some(binary), true) => Some((binary, Envoys::start(binary, &modules, scenarios)?)),
            _ => None,
        };
        let mut refused = match &envoy {
            Some((binary, _)) => {
                let refusals = scenarios.iter().flat_map(|scenario| &scenario.file.refusals);
                let good = scenarios.iter().flat_map(|scenario| &scenario.file.filters);
                refusals::lines(binary, &modules, &refusals.map(Refusal::filter).collect::<Vec<_>>(), good)?.into_iter()
            }
            None => Vec::new().into_iter(),
        };
        for (index, scenario) in scenarios.iter().enumerate() {
            for (number, case) in scenario.file.cases.iter().enumerate() {
                let mut seen = Vec::new();
                for runner in &self.runners {
                    let outcome = match (lacks(*runner, scenario, case), runner, &envoy) {
                        (Some(why), _, _) => Seen::Skipped(why),
                        (_, Runner::Core, _) => ran(native::run(&scenario.file, case)),
                        (_, Runner::Host, _) => host(&mut modules, scenario, case),
                        (_, Runner::Envoy, Some((_, envoy))) => ran(envoy.run(index, scenario, case)),
                        (_, Runner::Envoy, None) => Seen::Skipped("no Envoy; set ENVOY to its path".to_owned()),
                    };
                    report.case(scenario, number, case, *runner, &outcome);
                    if let Seen::Ran(observation, _) = outcome {
                        seen.push((*runner, observation));
                    }
                }
                report.agree(scenario, case, &seen);
            }
            for refusal in &scenario.file.refusals {
                let lines = refused.next();
                for runner in &self.runners {
                    report.refusal(scenario, refusal, *runner, lines.as_ref(), &mut modules);
                }
            }
        }
        Ok(report)
    }
}

fn check_needs(scenario: &Scenario) -> Result<(), String> {
    let needs = scenario.file.needs.iter().chain(scenario.file.cases.iter().flat_map(|case| &case.needs));
    let known: Vec<&str> = CAPABILITIES.iter().map(|(name, _)| *name).collect();
    match needs.into_iter().find(|need| !known.contains(&need.as_str())) {
        Some(need) => {
            Err(format!("{}: unknown capability {need:?}; there are {}", scenario.path.display(), known.join(", ")))
        }
        None => Ok(()),
    }
}

/// Why a runner cannot run a case.
fn lacks(runner: Runner, scenario: &Scenario, case: &Case) -> Option<String> {
    let mut needs = scenario.file.needs.iter().chain(&case.needs);
    let has = |need: &str| CAPABILITIES.iter().any(|(name, runners)| *name == need && runners.contains(&runner));
    if let Some(need) = needs.find(|need| !has(need)) {
        return Some(format!("needs {need}"));
    }
    (runner == Runner::Core && !native::can_run(&scenario.file.filters)).then(|| "a filter is only a module".to_owned())
}

fn ran(outcome: Result<Observation, String>) -> Seen {
    match outcome {
        Ok(observation) => Seen::Ran(Box::new(observation), None),
        Err(why) => Seen::Failed(why),
    }
}

/// Every way in which bodies can arrive has to look the same from outside.
fn host(modules: &mut Modules, scenario: &Scenario, case: &Case) -> Seen {
    let mut first: Option<(Observation, Cost)> = None;
    for plan in wasm::plans(case) {
        match (wasm::run(modules, &scenario.file, case, &plan), &first) {
            (Err(why), _) => return Seen::Failed(format!("body {}: {why}", plan.name)),
            (Ok(outcome), None) => first = Some(outcome),
            (Ok((observation, _)), Some((whole, _))) if observation != *whole => {
                return Seen::Failed(format!("body {}: {observation:?}\n      body whole: {whole:?}", plan.name));
            }
            _ => {}
        }
    }
    match first {
        Some((observation, cost)) => Seen::Ran(Box::new(observation), Some(cost)),
        None => Seen::Failed("no way to send the body".to_owned()),
    }
}

impl Report {
    fn case(&mut self, scenario: &Scenario, number: usize, case: &Case, runner: Runner, outcome: &Seen) {
        let title = format!("{}: {} [{}]", scenario.path.display(), case.name, runner.name());
        match outcome {
            Seen::Skipped(why) => {
                self.skipped += 1;
                let _ = writeln!(self.text, "skipped {title}: {why}");
            }
            Seen::Failed(why) => {
                self.failed += 1;
                let _ = writeln!(self.text, "FAILED  {title}\n    {why}");
            }
            Seen::Ran(observation, cost) => {
                if let Some(cost) = cost {
                    self.costs.insert(format!("{}: {}", file_name(&scenario.path), case.name), cost.clone());
                }
                let differences = compare(case, observation);
                if differences.is_empty() {
                    self.passed += 1;
                    return;
                }
                self.failed += 1;
                let _ = writeln!(self.text, "FAILED  {title}");
                for difference in differences {
                    let _ = writeln!(self.text, "    {difference}");
                    let at = format!("cases[{number}].{}", difference.at);
                    self.differences.push((scenario.path.clone(), at, difference));
                }
            }
        }
    }

    /// Runners that saw different things, even where the case does not look.
    fn agree(&mut self, scenario: &Scenario, case: &Case, seen: &[(Runner, Box<Observation>)]) {
        let Some(((first, one), others)) = seen.split_first() else { return };
        let one = common(case, one);
        for (second, other) in others {
            let other = common(case, other);
            if let Some((a, b)) = one.iter().zip(&other).find(|(a, b)| a != b) {
                self.failed += 1;
                let (path, name, at) = (scenario.path.display(), &case.name, &a.0);
                let (first, second) = (first.name(), second.name());
                let _ = writeln!(
                    self.text,
                    "FAILED  {path}: {name} [{first} and {second} differ]\n    {at}\n      {first:6} {}\n      {second:6} {} {}",
                    a.1, b.0, b.1
                );
            }
        }
    }

    fn refusal(
        &mut self,
        scenario: &Scenario,
        refusal: &Refusal,
        runner: Runner,
        envoy: Option<&Option<Vec<String>>>,
        modules: &mut Modules,
    ) {
        let filter = refusal.filter();
        let logged = format!("configuration refused: {}", refusal.error);
        let lines = match (runner, envoy) {
            (Runner::Core, _) => {
                Ok(native::refusal(&filter).map(|error| vec![format!("configuration refused: {error}")]))
            }
            (Runner::Host, _) => wasm::refusal(modules, &filter),
            (Runner::Envoy, Some(lines)) => Ok(lines.clone()),
            (Runner::Envoy, None) => {
                self.skipped += 1;
                let _ = writeln!(self.text, "skipped {}: {} [envoy]: no Envoy", scenario.path.display(), refusal.error);
                return;
            }
        };
        let seen = match lines {
            Ok(Some(lines)) if lines.iter().any(|line| line.ends_with(&logged)) => {
                self.passed += 1;
                return;
            }
            Ok(Some(lines)) => lines.join("\n               "),
            Ok(None) => "the configuration was taken".to_owned(),
            Err(why) => why,
        };
        self.failed += 1;
        let (path, runner) = (scenario.path.display(), runner.name());
        let _ =
            writeln!(self.text, "FAILED  {path}: refusal [{runner}]\n      expected {logged}\n      seen     {seen}");
    }
}

fn file_name(path: &Path) -> String {
    let mut parts = path.components().rev().filter_map(|part| part.as_os_str().to_str());
    let (file, _, filter) = (parts.next(), parts.next(), parts.next());
    format!("{}/{}", filter.unwrap_or_default(), file.unwrap_or_default())
}

/// Writes what was seen in place of the expectations that differ, where the expectation is one scalar; the number of
/// places. The rest of the file stays as it is.
///
/// # Errors
/// If a file cannot be read or written.
pub fn bless(report: &Report, scenarios: &[Scenario]) -> Result<usize, String> {
    let mut blessed = 0;
    for scenario in scenarios {
        let mut text: Vec<char> = scenario.text.chars().collect();
        let mut places: Vec<(std::ops::Range<usize>, &str)> = Vec::new();
        for (path, at, difference) in &report.differences {
            let scalar = scenario.root.get(at).filter(|node| matches!(node.value, Value::Text(_) | Value::Int(_)));
            if let Some(node) = scalar.filter(|_| *path == scenario.path && difference.seen != "nothing") {
                let number = matches!(node.value, Value::Int(_));
                let seen = if number { difference.seen.trim_matches('"') } else { &difference.seen };
                places.push((node.chars.clone(), seen));
            }
        }
        places.sort_by_key(|(chars, _)| std::cmp::Reverse(chars.start));
        places.dedup_by_key(|(chars, _)| chars.start);
        blessed += places.len();
        for (chars, seen) in &places {
            text.splice(chars.clone(), seen.chars());
        }
        if !places.is_empty() {
            let text: String = text.into_iter().collect();
            std::fs::write(&scenario.path, text).map_err(|error| format!("{}: {error}", scenario.path.display()))?;
        }
    }
    Ok(blessed)
}
