//! The table at the end of a run of checks.

use std::time::Duration;

use crate::failure::Outcome;
use crate::say::seconds;

/// What came of each check.
#[derive(Default)]
pub struct Report(Vec<(&'static str, Duration, Outcome<()>)>);

impl Report {
    /// Adds a check.
    pub fn add(&mut self, name: &'static str, time: Duration, result: Outcome<()>) {
        self.0.push((name, time, result));
    }

    /// How many checks ran.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether any of them failed.
    pub fn failed(&self) -> bool {
        self.0.iter().any(|(_, _, result)| result.is_err())
    }

    /// A line for each check, how to go on after a failure, and a last line that counts.
    pub fn text(&self, skipped: &[&str]) -> String {
        let mut text = String::new();
        let mut passed = 0;
        for (name, time, result) in &self.0 {
            let word = if result.is_ok() { "ok" } else { "FAILED" };
            text.push_str(&format!("{word:<8}{name:<12}{:>12}\n", seconds(*time)));
            passed += usize::from(result.is_ok());
        }
        for name in skipped {
            text.push_str(&format!("not run {name}\n"));
        }
        for (name, _, result) in &self.0 {
            if let Err(why) = result {
                text.push_str(&format!("\n{name}: {why}\nIts output stands above; alone: cargo xtask test {name}\n"));
            }
        }
        text.push_str(&format!("\n{passed} passed, {} failed\n", self.0.len() - passed));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn the_last_line_counts_and_a_failure_tells_how_to_repeat_it() {
        let mut report = Report::default();
        report.add("fmt", Duration::from_millis(600), Ok(()));
        assert_eq!(report.text(&[]), "ok      fmt                0.6 s\n\n1 passed, 0 failed\n");
        report.add("clippy", Duration::from_secs(61), Err(Failure::new("cargo clippy failed")));
        let expected = "ok      fmt                0.6 s\nFAILED  clippy         1 min 1 s\nnot run tests\n\nclippy: cargo clippy failed\n\
            Its output stands above; alone: cargo xtask test clippy\n\n1 passed, 1 failed\n";
        assert_eq!(report.text(&["tests"]), expected);
        assert!(report.failed());
    }
}
