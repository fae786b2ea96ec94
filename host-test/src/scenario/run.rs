//! Running files, and telling what came of them.

use super::check::{Difference, common, compare};
use super::envoy::Envoys;
use super::format::{Case, FilterUse, Refusal, Scenario};
use super::native;
use super::observe::{Cost, Observation, Seen};
use super::refusals;
use super::wasm::{self, Modules};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

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
        for scenario in scenarios {
            check_needs(scenario)?;
        }
        let (send, outcomes) = mpsc::channel();
        // Envoy works beside the others
        std::thread::scope(|scope| {
            let binary = self.envoy.as_deref().filter(|_| self.runners.contains(&Runner::Envoy));
            let envoy = binary.map(|binary| scope.spawn(move || in_envoy(binary, &self.dist, scenarios, &send)));
            let mut modules = Modules::new(&self.dist);
            let mut report = self.cases(scenarios, &mut modules, &outcomes);
            let lines = envoy.map(|envoy| envoy.join().unwrap_or_else(|_| Err("the runner broke off".to_owned())));
            let mut lines = lines.transpose()?.unwrap_or_default().into_iter();
            for scenario in scenarios {
                for refusal in &scenario.file.refusals {
                    let lines = lines.next();
                    for runner in &self.runners {
                        report.refusal(scenario, refusal, *runner, lines.as_ref(), &mut modules);
                    }
                }
            }
            Ok(report)
        })
    }

    /// Every case; what Envoy makes of them comes through the channel, in their order.
    fn cases(&self, scenarios: &[Scenario], modules: &mut Modules, envoy: &mpsc::Receiver<Seen>) -> Report {
        let mut report = Report::default();
        for scenario in scenarios {
            for (number, case) in scenario.file.cases.iter().enumerate() {
                let mut seen = Vec::new();
                for runner in &self.runners {
                    let outcome = match (lacks(*runner, scenario, case), runner) {
                        (Some(why), _) => Seen::Skipped(why),
                        (None, Runner::Core) => ran(scenario, native::run(&scenario.file, case)),
                        (None, Runner::Host) => host(modules, scenario, case),
                        (None, Runner::Envoy) => {
                            let none = || Seen::Skipped("no Envoy; set ENVOY to its path".to_owned());
                            envoy.recv().unwrap_or_else(|_| none())
                        }
                    };
                    report.case(scenario, number, case, *runner, &outcome);
                    if let Seen::Ran(observation, _) = outcome {
                        seen.push((*runner, observation));
                    }
                }
                report.agree(scenario, case, &seen);
            }
        }
        report
    }
}

/// Sends what Envoy makes of every case that it can run; then the lines by which it refuses configurations.
fn in_envoy(
    binary: &Path,
    dist: &Path,
    scenarios: &[Scenario],
    outcomes: &mpsc::Sender<Seen>,
) -> Result<Vec<Option<Vec<String>>>, String> {
    let modules = Modules::new(dist);
    let envoys = Envoys::start(binary, &modules, scenarios)?;
    for (index, scenario) in scenarios.iter().enumerate() {
        for case in scenario.file.cases.iter().filter(|case| lacks(Runner::Envoy, scenario, case).is_none()) {
            // nobody listens any more when the others broke off
            if outcomes.send(ran(scenario, envoys.run(index, scenario, case))).is_err() {
                return Ok(Vec::new());
            }
        }
    }
    let refusals: Vec<FilterUse> =
        scenarios.iter().flat_map(|scenario| &scenario.file.refusals).map(Refusal::filter).collect();
    refusals::lines(binary, &modules, &refusals, scenarios.iter().flat_map(|scenario| &scenario.file.filters))
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

fn ran(scenario: &Scenario, outcome: Result<Observation, String>) -> Seen {
    match outcome {
        Ok(observation) => Seen::Ran(Box::new(scenario.file.without_varying(observation)), None),
        Err(why) => Seen::Failed(why),
    }
}

/// Every way in which bodies can arrive has to look the same from outside.
fn host(modules: &mut Modules, scenario: &Scenario, case: &Case) -> Seen {
    let mut first: Option<(Observation, Cost)> = None;
    for plan in wasm::plans(&scenario.file, case) {
        let outcome = wasm::run(modules, &scenario.file, case, &plan);
        let outcome = outcome.map(|(observation, cost)| (scenario.file.without_varying(observation), cost));
        match (outcome, &first) {
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
