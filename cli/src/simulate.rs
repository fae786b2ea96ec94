//! `sluice simulate`: what a rate-limit configuration would have done to recorded requests.

use crate::config_file::{self, Known};
use crate::output::{print, written};
use crate::requests::Lines;
use clap::Args;
use filter_kit::env::Store;
use filter_kit::{Answer, Filter, FixedEnv};
use rate_limit::{Judgement, RateLimit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

/// Options of `sluice simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// A rate-limit configuration, or an Envoy bootstrap with one plugin of it; YAML or JSON.
    #[arg(short, long)]
    config: PathBuf,
    /// Requests, one JSON object a line, in the order of their times: `{"t_ms": 0, "path": "/", ..}`, or Envoy's access log
    /// with `start_time`; `-` is standard input.
    timeline: PathBuf,
    /// Print only the summary.
    #[arg(long)]
    summary: bool,
}

/// A line of output.
#[derive(Serialize)]
struct Told<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    t_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'a Judgement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

const MILLISECOND: u64 = 1_000_000;
/// Columns of the chart.
const COLUMNS: usize = 60;

impl Simulate {
    /// Replays and prints.
    ///
    /// # Errors
    /// For files that cannot be read; after the last line, if some could not be.
    pub fn run(&self) -> Result<(), String> {
        let filter = self.filter()?;
        let mut lines = Lines::open(&self.timeline)?;
        let store = Store::default();
        let (mut seen, mut wrong) = (Seen::default(), 0);
        let mut out = io::BufWriter::new(io::stdout().lock());
        let mut last = 0;
        while let Some((line, request)) = lines.next()? {
            let request = request.and_then(|request| match request.at {
                Some(at) if at >= last => Ok((at, request)),
                Some(at) => Err(format!(
                    "expected times in order, found {} ms after {} ms",
                    at / MILLISECOND,
                    last / MILLISECOND
                )),
                None => Err("missing field \"t_ms\", or \"start_time\" as in 2026-01-31T00:00:00Z".to_owned()),
            });
            let told = match &request {
                Err(error) => {
                    wrong += 1;
                    Told { line, t_ms: None, decision: None, error: Some(error.clone()) }
                }
                Ok((at, request)) => {
                    last = *at;
                    let mut env =
                        FixedEnv::new(line.wrapping_mul(0x9e37_79b9_7f4a_7c15)).with_store(Store::clone(&store));
                    env = match request.source_address {
                        Some(address) => env.with_source_address(address),
                        None => env,
                    };
                    // one clock for both: a process that has run since the beginning
                    env.set_clocks(at + 1, at + 1);
                    let (judgement, _) = filter.judge(&request.head, &env, &mut |_| Answer::UNAVAILABLE);
                    let is_kept = if self.summary {
                        Ok(true)
                    } else {
                        let told = Told { line, t_ms: Some(at / MILLISECOND), decision: Some(&judgement), error: None };
                        written(writeln!(out, "{}", serde_json::to_string(&told).map_err(|error| error.to_string())?))
                    };
                    seen.add(*at, &judgement);
                    if !is_kept? {
                        return Ok(());
                    }
                    continue;
                }
            };
            if !self.summary
                && !written(writeln!(out, "{}", serde_json::to_string(&told).map_err(|error| error.to_string())?))?
            {
                return Ok(());
            }
        }
        if !written(out.flush())? {
            return Ok(());
        }
        drop(out);
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

/// What has been decided.
#[derive(Debug, Default)]
struct Seen {
    /// Time and outcome of each request.
    requests: Vec<(u64, bool)>,
    violated: BTreeMap<String, u64>,
}

impl Seen {
    fn add(&mut self, at: u64, judgement: &Judgement) {
        self.requests.push((at, judgement.allowed));
        for name in &judgement.violated {
            *self.violated.entry(name.clone()).or_default() += 1;
        }
    }

    fn summary(&self, wrong: u64) -> String {
        let total = self.requests.len();
        let allowed = self.requests.iter().filter(|(_, allowed)| *allowed).count();
        let mut text = format!("{total} requests, {allowed} allowed, {} refused", total - allowed);
        if wrong > 0 {
            let _ = write!(text, ", {wrong} lines not read");
        }
        text.push('\n');
        for (name, count) in &self.violated {
            let _ = writeln!(text, "  {count} times over {name}");
        }
        let (Some((first, _)), Some((last, _))) = (self.requests.first(), self.requests.last()) else { return text };
        let stretch = (last - first) / u64::try_from(COLUMNS).unwrap_or(1) + 1;
        let mut columns = [[0u64; 2]; COLUMNS];
        for (at, allowed) in &self.requests {
            let column = usize::try_from((at - first) / stretch).unwrap_or(COLUMNS - 1);
            if let Some(count) =
                columns.get_mut(column.min(COLUMNS - 1)).and_then(|both| both.get_mut(usize::from(!allowed)))
            {
                *count += 1;
            }
        }
        let most = columns.iter().flatten().copied().max().unwrap_or(0);
        for (label, which) in [("allowed", 0), ("refused", 1)] {
            let bars: String = columns.iter().map(|both| bar(both.get(which).copied().unwrap_or(0), most)).collect();
            let _ = writeln!(text, "{}", format!("{label}  {bars}").trim_end());
        }
        let _ = writeln!(text, "a column is {} ms, a full one {most} requests", stretch.div_ceil(MILLISECOND));
        text
    }
}

fn bar(count: u64, most: u64) -> char {
    const BARS: [char; 9] =
        [' ', '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];
    let level = (count * 8).div_ceil(most.max(1));
    BARS.get(usize::try_from(level).unwrap_or(8)).copied().unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_shows_when_requests_were_refused() {
        let mut seen = Seen::default();
        let judgement = |allowed: bool| Judgement {
            allowed,
            status: None,
            violated: if allowed { Vec::new() } else { vec!["demo".to_owned()] },
            retry_after_ms: None,
            limits: Vec::new(),
            headers: BTreeMap::new(),
        };
        for number in 0..120 {
            seen.add(number * 10 * MILLISECOND, &judgement(number < 60));
        }
        let summary = seen.summary(0);
        let lines: Vec<&str> = summary.lines().collect();
        assert_eq!(lines[0], "120 requests, 60 allowed, 60 refused");
        assert_eq!(lines[1], "  60 times over demo");
        assert_eq!(lines[2].trim_end().chars().filter(|c| *c != ' ').count(), "allowed".len() + 30);
        assert!(lines[3].starts_with("refused        "), "{}", lines[3]);
        assert_eq!(Seen::default().summary(2), "0 requests, 0 allowed, 0 refused, 2 lines not read\n");
    }
}
