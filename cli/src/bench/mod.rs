//! `sluice bench`: what filters cost in a real Envoy, as ratios within one run.
//!
//! One Envoy with one worker thread and a listener for each variant, all in the same process. Rounds are interleaved and
//! their order rotates; a figure is the CPU time of the worker thread divided by the number of requests. Other jobs on
//! the machine can only add to it, so the 20th percentile over the rounds is quoted, and beside it the median of the
//! differences within each round.

mod envoy;
mod listener;
mod load;
mod rules;
mod stats;
mod variants;

use clap::{Args, ValueEnum};
use listener::{Modules, Variant};
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
    /// What is measured; both by default, each in an Envoy of its own.
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
}

/// Rounds before those that count.
const WARM_UP: usize = 2;

impl Bench {
    /// Measures and prints.
    ///
    /// # Errors
    /// If Envoy does not start or answers something else than 200.
    pub fn run(&self) -> Result<(), String> {
        let tables: &[Table] = if self.tables.is_empty() { &[Table::Filters, Table::Rules] } else { &self.tables };
        let modules = Modules::new(&self.dist);
        let mut all = serde_json::Map::new();
        for table in tables {
            let (name, variants) = match table {
                Table::Filters => ("filters", variants::all(&modules)?),
                Table::Rules => ("rules", rules::all(&modules)?),
            };
            let rows = stats::rows(&variants, &self.measure(&variants)?);
            if self.json {
                all.insert(name.to_owned(), stats::json(&rows));
            } else {
                println!("{}", stats::table(&rows, self.rounds, self.requests));
            }
        }
        if self.json {
            println!("{}", serde_json::Value::from(all));
        }
        Ok(())
    }

    /// Microseconds a request, for each variant and round.
    fn measure(&self, variants: &[Variant]) -> Result<Vec<Vec<f64>>, String> {
        let envoy = envoy::Envoy::start(&self.envoy, variants)?;
        let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); variants.len()];
        for round in 0..WARM_UP + self.rounds.max(1) {
            for step in 0..variants.len() {
                let index = (round + step) % variants.len();
                let (Some(variant), Some(port)) = (variants.get(index), envoy.ports().get(index)) else { continue };
                let before = envoy.worker_nanoseconds()?;
                load::run(*port, variant, self.requests).map_err(|error| format!("{}: {error}", variant.name))?;
                let spent = envoy.worker_nanoseconds()?.saturating_sub(before);
                if let Some(figures) = rounds.get_mut(index).filter(|_| round >= WARM_UP) {
                    figures.push(spent as f64 / self.requests as f64 / 1000.0);
                }
            }
            eprintln!("round {} of {}", round + 1, WARM_UP + self.rounds.max(1));
        }
        envoy.stop();
        Ok(rounds)
    }
}
