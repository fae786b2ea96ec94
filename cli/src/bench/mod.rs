//! `sluice bench`: what filters cost in a real Envoy, as ratios within one run.
//!
//! One Envoy with one worker thread and a listener for each variant, all in the same process. Rounds are interleaved and
//! their order rotates; a figure is the CPU time of the worker thread divided by the number of requests. Other jobs on
//! the machine can only add to it, so the 20th percentile over the rounds is quoted, and beside it the median of the
//! differences within each round.

mod admission;
mod ai;
mod ai_upstream;
mod envoy;
mod limits;
mod listener;
mod load;
mod memory;
mod rules;
mod stats;
mod upstream;
mod variants;

use clap::{Args, ValueEnum};
use listener::{Modules, Setup};
use serde_json::Value;
use std::path::PathBuf;

/// Options of `sluice bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Envoy to measure.
    #[arg(long, env = "ENVOY", default_value = "envoy")]
    envoy: PathBuf,
    /// Folder with the .wasm files.
    #[arg(long, env = "SLUICE_DIST", default_value = "dist")]
    dist: PathBuf,
    /// Interleaved rounds that count; a warm-up of two more goes before.
    #[arg(long, default_value_t = 21)]
    rounds: usize,
    /// Requests a variant and round.
    #[arg(long, default_value_t = 6000)]
    requests: usize,
    /// What is measured; everything by default, each table in an Envoy of its own.
    #[arg(long = "table", value_enum)]
    tables: Vec<Table>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Table {
    /// Each filter with two rules.
    Filters,
    /// 10 to 10,000 rules, beside what Envoy has for the same.
    Rules,
    /// Limits that pass, refuse, and ask a service, beside what Envoy has for the same.
    Limits,
    /// How many requests pass a limit on two workers.
    Admission,
    /// Envoy's memory after few keys and after many.
    Memory,
    /// AI requests of three sizes and streams, beside what Envoy has for the same.
    Ai,
}

impl Table {
    const ALL: [Self; 6] = [Self::Filters, Self::Rules, Self::Limits, Self::Admission, Self::Memory, Self::Ai];
}

/// What a table says, for people and for programs.
struct Report {
    name: &'static str,
    text: String,
    json: Value,
}

/// Figures of each variant.
type Rounds = Vec<Vec<f64>>;

/// Requests of each variant before the rounds.
const FIRST: usize = 400;
/// Rounds before those that count.
const WARM_UP: usize = 2;

impl Bench {
    /// Measures and prints.
    ///
    /// # Errors
    /// If Envoy does not start or answers something else than it should.
    pub fn run(&self) -> Result<(), String> {
        let tables: &[Table] = if self.tables.is_empty() { &Table::ALL } else { &self.tables };
        let modules = Modules::new(&self.dist);
        let mut all = serde_json::Map::new();
        for table in tables {
            let Report { name, text, json } = self.report(*table, &modules)?;
            if self.json {
                all.insert(name.to_owned(), json);
            } else {
                println!("{text}");
            }
        }
        if self.json {
            println!("{}", Value::from(all));
        }
        Ok(())
    }

    fn report(&self, table: Table, modules: &Modules) -> Result<Report, String> {
        match table {
            Table::Filters => self.costs("filters", "", variants::all(modules)?.into()).map(|(report, _)| report),
            Table::Rules => {
                self.costs("rules", "Envoy's route list", rules::all(modules)?.into()).map(|(report, _)| report)
            }
            Table::Limits => {
                let service = limits::service()?;
                let setup = limits::all(modules, service.address.port(), upstream::start()?.port())?;
                let (mut report, rows) = self.costs("limits", "Envoy's own", setup)?;
                limits::check_calls(&service.calls())?;
                report.text.push_str(&format!("\n{}", limits::aims(&rows)));
                Ok(report)
            }
            Table::Ai => {
                let setup = ai::all(modules, ai_upstream::start()?.port())?;
                let (rounds, first) = self.measure(&setup)?;
                let rows = ai::rows(&setup.variants, &rounds, &first);
                Ok(Report { name: "ai", text: ai::table(&rows, self.rounds), json: ai::json(&rows) })
            }
            Table::Admission => {
                let rows = admission::measure(&self.envoy, modules)?;
                Ok(Report { name: "admission", text: admission::table(&rows), json: admission::json(&rows) })
            }
            Table::Memory => {
                let rows = memory::measure(&self.envoy, modules)?;
                Ok(Report { name: "memory", text: memory::table(&rows), json: memory::json(&rows) })
            }
        }
    }

    /// A table of CPU times; `other` is what the rows that variants name have in common.
    fn costs(&self, name: &'static str, other: &str, setup: Setup) -> Result<(Report, Vec<stats::Row>), String> {
        let rows = stats::rows(&setup.variants, &self.measure(&setup)?.0);
        let text = stats::table(&rows, other, self.rounds, self.requests);
        Ok((Report { name, text, json: stats::json(&rows) }, rows))
    }

    /// Microseconds a request, for each variant and round; and to the first bytes of answers, for variants of a table of streams.
    fn measure(&self, setup: &Setup) -> Result<(Rounds, Rounds), String> {
        let envoy = envoy::Envoy::start(&self.envoy, setup)?;
        let variants = &setup.variants;
        for (variant, port) in variants.iter().zip(envoy.ports()) {
            // the units that a limit has left at first; then as many requests as every row needs to do what it does, all of them right
            // away: what they ask a service is looked at
            load::prime(*port, variant)?;
            load::run(*port, variant, FIRST / variant.fewer.max(1))
                .map_err(|error| format!("{}: {error}", variant.name))?;
        }
        let (mut rounds, mut first) = (vec![Vec::new(); variants.len()], vec![Vec::new(); variants.len()]);
        for round in 0..WARM_UP + self.rounds.max(1) {
            for step in 0..variants.len() {
                let index = (round + step) % variants.len();
                let (Some(variant), Some(port)) = (variants.get(index), envoy.ports().get(index)) else { continue };
                let requests = (self.requests / variant.fewer.max(1)).max(load::AT_ONCE);
                let before = envoy.worker_nanoseconds()?;
                load::run(*port, variant, requests).map_err(|error| format!("{}: {error}", variant.name))?;
                let spent = envoy.worker_nanoseconds()?.saturating_sub(before);
                if let Some(figures) = rounds.get_mut(index).filter(|_| round >= WARM_UP) {
                    figures.push(spent as f64 / requests as f64 / 1000.0);
                }
                if setup.first_bytes > 0 {
                    let times = load::first_bytes(*port, variant, setup.first_bytes)?;
                    if let Some(figures) = first.get_mut(index).filter(|_| round >= WARM_UP) {
                        figures.extend(times);
                    }
                }
            }
            eprintln!("round {} of {}", round + 1, WARM_UP + self.rounds.max(1));
        }
        envoy.stop();
        Ok((rounds, first))
    }
}
