//! `sluice simulate`: what a rate-limit configuration would have done to recorded requests.

mod chart;
mod run;
mod service;

use crate::config_file::{self, Known};
use crate::output::{print, written};
use crate::requests::{Entry, Lines};
use chart::Seen;
use clap::Args;
use filter_kit::Filter;
use rate_limit::{Judgement, RateLimit};
use run::Run;
use serde::Serialize;
use service::Service;
use std::io::{self, Write};
use std::path::PathBuf;

/// Options of `sluice simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// A rate-limit configuration, or an Envoy bootstrap with one plugin of it; YAML or JSON.
    #[arg(short, long)]
    config: PathBuf,
    /// Requests, one JSON object a line, in the order of their times: `{"t_ms": 0, "path": "/", ..}`, or Envoy's access log
    /// with `start_time`; settlements, as in `{"t_ms": 5, "settles": "ID", "cost": 7}`; `-` is standard input.
    timeline: PathBuf,
    /// Limits of the rate limit service, YAML: domains with descriptors, as envoyproxy/ratelimit has them. Without it, nobody answers.
    #[arg(long)]
    service: Option<PathBuf>,
    /// Print only the summary.
    #[arg(long)]
    summary: bool,
}

/// A line of output.
#[derive(Default, Serialize)]
struct Told<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    t_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'a Judgement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<Settled<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A request's real cost.
#[derive(Serialize)]
struct Settled<'a> {
    id: &'a str,
    cost: u64,
}

const MILLISECOND: u64 = 1_000_000;

impl Simulate {
    /// Replays and prints.
    ///
    /// # Errors
    /// For files that cannot be read; after the last line, if some could not be.
    pub fn run(&self) -> Result<(), String> {
        let service = self.service.as_deref().map(Service::open).transpose()?;
        let mut run = Run::new(self.filter()?, service);
        let mut lines = Lines::open(&self.timeline)?;
        let (mut seen, mut wrong) = (Seen::default(), 0);
        let mut out = io::BufWriter::new(io::stdout().lock());
        while let Some((line, entry)) = lines.next_entry()? {
            let judgement;
            let told = match &entry {
                Err(error) => Told { line, error: Some(error.clone()), ..Told::default() },
                Ok(Entry::Request(request)) => match run.request(line, request) {
                    Err(error) => Told { line, error: Some(error), ..Told::default() },
                    Ok((at, judged)) => {
                        judgement = judged;
                        seen.add(at, &judgement);
                        Told { line, t_ms: Some(at / MILLISECOND), decision: Some(&judgement), ..Told::default() }
                    }
                },
                Ok(Entry::Settlement(settlement)) => match run.settle(line, settlement) {
                    Err(error) => Told { line, error: Some(error), ..Told::default() },
                    Ok(()) => {
                        seen.settle();
                        let settled = Settled { id: &settlement.id, cost: settlement.cost };
                        let t_ms = Some(settlement.at / MILLISECOND);
                        Told { line, t_ms, settled: Some(settled), ..Told::default() }
                    }
                },
            };
            wrong += u64::from(told.error.is_some());
            if !self.summary && !written(writeln!(out, "{}", json(&told)?))? {
                return Ok(());
            }
        }
        if !written(out.flush())? {
            return Ok(());
        }
        drop(out);
        (0..run.calls()).for_each(|_| seen.call());
        let summary = seen.summary(wrong);
        if self.summary {
            print(&summary)?;
        } else {
            eprint!("{summary}");
        }
        if wrong > 0 { Err(format!("{wrong} lines could not be read")) } else { Ok(()) }
    }

    fn filter(&self) -> Result<RateLimit, String> {
        let text = config_file::read(&self.config)?;
        let told = |finding: config_file::Finding| finding.in_file(&self.config);
        let root = config_file::parse(&text).map_err(told)?;
        let plugins = config_file::plugins(&root, Some(Known::RateLimit)).map_err(told)?;
        match plugins.as_slice() {
            [plugin] => RateLimit::from_config(&plugin.json()).map_err(|error| told(plugin.finding(&error))),
            several => Err(format!("{}: expected one rate-limit, found {}", self.config.display(), several.len())),
        }
    }
}

fn json(told: &Told<'_>) -> Result<String, String> {
    serde_json::to_string(told).map_err(|error| error.to_string())
}
