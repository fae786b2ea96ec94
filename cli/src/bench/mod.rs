//! `sluice bench`: what filters cost in a real Envoy, as ratios within one run.
//!
//! One Envoy with one worker thread and a listener for each variant, all in the same process. Rounds are interleaved and
//! their order rotates; a figure is the CPU time of the worker thread divided by the number of requests. Other jobs on
//! the machine can only add to it, so the 20th percentile over the rounds is quoted, and beside it the median of the
//! differences within each round.

mod envoy;
mod load;
mod stats;
mod variants;

use clap::Args;
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
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Rounds before those that count.
const WARM_UP: usize = 2;

impl Bench {
    /// Measures and prints.
    ///
    /// # Errors
    /// If Envoy does not start or answers something else than 200.
    pub fn run(&self) -> Result<(), String> {
        let variants = variants::all(&self.dist)?;
        let envoy = envoy::Envoy::start(&self.envoy, &variants)?;
        let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); variants.len()];
        for round in 0..WARM_UP + self.rounds.max(1) {
            for step in 0..variants.len() {
                let index = (round + step) % variants.len();
                let (Some(port), Some(figures)) = (envoy.ports().get(index), rounds.get_mut(index)) else { continue };
                let before = envoy.worker_nanoseconds()?;
                load::run(*port, self.requests)?;
                let spent = envoy.worker_nanoseconds()?.saturating_sub(before);
                if round >= WARM_UP {
                    figures.push(spent as f64 / self.requests as f64 / 1000.0);
                }
            }
            eprintln!("round {} of {}", round + 1, WARM_UP + self.rounds.max(1));
        }
        envoy.stop();
        let rows = stats::rows(&variants, &rounds);
        print!("{}", if self.json { stats::json(&rows) } else { stats::table(&rows, self.rounds, self.requests) });
        Ok(())
    }
}
