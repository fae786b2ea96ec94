//! The gateway's own log lines, the guests' and the access log.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::LogRecord;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for something.
    Debug,
    /// What happens.
    Info,
    /// What may be wrong.
    Warning,
    /// What is wrong.
    Error,
    /// What stopped a filter.
    Critical,
}

impl Level {
    /// Envoy's word for the level.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

type LineSink = Arc<dyn Fn(Level, &str) + Send + Sync>;
type AccessSink = Arc<dyn Fn(&str) + Send + Sync>;

/// Where log lines go.
#[derive(Clone)]
pub struct Log {
    lines: LineSink,
    access: AccessSink,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

impl Log {
    /// Lines from `least` on go to standard error as Envoy writes them, access records to standard output.
    pub fn standard(least: Level) -> Self {
        Self::new(
            move |level, text| {
                if level >= least {
                    let stamp = timestamp().replace('T', " ").replace('Z', "");
                    // A closed standard error must not stop the gateway.
                    let _ = writeln!(std::io::stderr().lock(), "[{stamp}][{}] {text}", level.name());
                }
            },
            |record| {
                let _ = std::io::stdout().lock().write_all(record.as_bytes());
            },
        )
    }

    /// Gives lines and access records to functions.
    pub fn new(
        lines: impl Fn(Level, &str) + Send + Sync + 'static,
        access: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self { lines: Arc::new(lines), access: Arc::new(access) }
    }

    pub(crate) fn line(&self, level: Level, text: &str) {
        (self.lines)(level, text);
    }

    pub(crate) fn access(&self, record: &str) {
        (self.access)(record);
    }

    /// A guest's line, worded as Envoy words it.
    pub(crate) fn guest(&self, record: &LogRecord) {
        let level = match record.level.name() {
            "trace" | "debug" => Level::Debug,
            "info" => Level::Info,
            "warn" | "warning" => Level::Warning,
            "error" => Level::Error,
            _ => Level::Critical,
        };
        let names = [&record.plugin, &record.root_id, &record.vm_id].map(String::as_str);
        let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).collect();
        self.line(level, &format!("wasm log {}: {}", names.join(" "), record.text));
    }
}

/// The time now as `2026-11-24T20:10:45.993Z`.
pub(crate) fn timestamp() -> String {
    format_time(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis())
}

fn format_time(millis: u128) -> String {
    let millis = u64::try_from(millis).unwrap_or(0);
    let (seconds, milli) = (millis / 1000, millis % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days from the first of March of year 0, in cycles of 400 years (146,097 days).
    let shifted = days + 719_468;
    let (cycle, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_cycle = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_envoy_writes_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_001, "2000-03-01T00:00:00.001Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(format_time(millis), text);
        }
    }
}
