//! What came of all requests, in short.

use super::MILLISECOND;
use rate_limit::Judgement;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Columns of the chart.
const COLUMNS: usize = 60;

/// What has been decided.
#[derive(Debug, Default)]
pub struct Seen {
    /// Time and outcome of each request.
    requests: Vec<(u64, bool)>,
    violated: BTreeMap<String, u64>,
    settled: u64,
    calls: u64,
}

impl Seen {
    /// One more.
    pub fn add(&mut self, at: u64, judgement: &Judgement) {
        self.requests.push((at, judgement.allowed));
        for name in &judgement.violated {
            *self.violated.entry(name.clone()).or_default() += 1;
        }
    }

    /// A settlement.
    pub fn settle(&mut self) {
        self.settled += 1;
    }

    /// A call of the service.
    pub fn call(&mut self) {
        self.calls += 1;
    }

    /// A few lines and a chart.
    pub fn summary(&self, wrong: u64) -> String {
        let total = self.requests.len();
        let allowed = self.requests.iter().filter(|(_, allowed)| *allowed).count();
        let mut text = format!("{total} requests, {allowed} allowed, {} refused", total - allowed);
        for (count, what) in
            [(self.settled, "settled"), (self.calls, "calls of the service"), (wrong, "lines not read")]
        {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
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
