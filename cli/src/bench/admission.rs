//! How many requests pass a limit that two workers share.

use super::envoy::Envoy;
use super::limits::local_with;
use super::listener::{Modules, Setup, Variant, answer};
use super::load::{self, Met};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Units a second, and at once.
const RATE: u64 = 1000;
const BURST: u64 = 100;
/// How long requests come.
const STRETCH: Duration = Duration::from_secs(5);
const WORKERS: u32 = 2;

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    name: String,
    met: Met,
}

impl Row {
    /// What a bucket that forgets nothing lets pass.
    fn allowed(&self) -> f64 {
        BURST as f64 + RATE as f64 * self.met.elapsed.as_secs_f64()
    }
}

/// Loads one key behind each limit, one after the other.
pub fn measure(binary: &Path, modules: &Modules) -> Result<Vec<Row>, String> {
    let variants = variants(modules)?;
    let setup = Setup { workers: WORKERS, ..Setup::from(variants) };
    let envoy = Envoy::start(binary, &setup)?;
    let mut rows = Vec::new();
    for (variant, port) in setup.variants.iter().zip(envoy.ports()) {
        let met = load::press(*port, variant, STRETCH).map_err(|error| format!("{}: {error}", variant.name))?;
        rows.push(Row { name: variant.name.clone(), met });
    }
    envoy.stop();
    Ok(rows)
}

fn variants(modules: &Modules) -> Result<Vec<Variant>, String> {
    let ours = |scope: &str| {
        let policy = json!({"name": "key", "key": [{"header": "x-key"}],
                            "limits": [{"units": RATE, "per_ms": 1000, "burst": BURST}]});
        modules.filter("rate-limit.wasm", &json!({"policies": [policy], "table": {"scope": scope}}))
    };
    let variant = |name: &str, filter: Value| Variant {
        name: name.to_owned(),
        against: None,
        filters: vec![filter],
        table: json!({"routes": [answer(&json!({"prefix": "/"}))]}),
        path: "/".to_owned(),
        header: ("x-key", "hot".to_owned()),
        values: 1,
        status: 200,
        ..Variant::default()
    };
    // 50 ms is the shortest interval that it takes
    let bucket = json!({"max_tokens": BURST, "tokens_per_fill": RATE / 20, "fill_interval": "0.05s"});
    Ok(vec![
        variant("Envoy's local_ratelimit", local_with(&bucket)),
        variant("rate-limit, `scope: process`", ours("process")?),
        variant("rate-limit, `scope: worker`", ours("worker")?),
    ])
}

/// For people; Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "Requests that pass {RATE} a second, burst {BURST}, with one key on {WORKERS} workers\n\n\
         | limit | seconds | sent | allowed at most | admitted |\n|---|---|---|---|---|\n"
    );
    for row in rows {
        let Met { admitted, refused, elapsed } = &row.met;
        let (seconds, sent) = (elapsed.as_secs_f64(), admitted + refused);
        let _ = writeln!(text, "| {} | {seconds:.3} | {sent} | {:.1} | {admitted} |", row.name, row.allowed());
    }
    text
}

/// For programs.
pub fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({"limit": row.name, "seconds": row.met.elapsed.as_secs_f64(), "sent": row.met.admitted + row.met.refused,
               "allowed": row.allowed(), "admitted": row.met.admitted})
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_the_burst_and_what_comes_meanwhile() {
        let met = Met { admitted: 5100, refused: 900, elapsed: Duration::from_secs(5) };
        let row = Row { name: "x".to_owned(), met };
        assert!(table(&[row]).contains("| x | 5.000 | 6000 | 5100.0 | 5100 |\n"));
    }
}
