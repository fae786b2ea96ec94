//! What Envoy needs for keys: after few, and after a hundred times as many.

use super::envoy::Envoy;
use super::listener::{Modules, Setup, Variant, answer};
use super::load;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Keys after which Envoy's memory is looked at, in order.
const KEYS: [usize; 3] = [10_000, 100_000, 1_000_000];

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    name: String,
    /// Resident memory in KiB: before the first key, and after each number of them.
    resident: Vec<u64>,
}

/// Sends requests with so many keys, to an Envoy without a filter too: it shows what the load itself leaves behind.
pub fn measure(binary: &Path, modules: &Modules) -> Result<Vec<Row>, String> {
    let policy = json!({"name": "key", "key": [{"header": "x-key"}], "limits": [{"units": 1000, "per_ms": 1000}]});
    let filter = modules.filter("rate-limit.wasm", &json!({"policies": [policy]}))?;
    let mut rows = Vec::new();
    for (name, filters) in [("no filter", vec![]), ("rate-limit, 4096 rows", vec![filter])] {
        let setup = Setup::from(vec![variant(name, filters)]);
        let envoy = Envoy::start(binary, &setup)?;
        let (Some(variant), Some(port)) = (setup.variants.first(), envoy.ports().first()) else { continue };
        // what the first requests need for ever is not what keys need
        let warm = Variant { values: 1, ..variant.clone() };
        load::run(*port, &warm, 1000).map_err(|error| format!("{name}: {error}"))?;
        let mut resident = vec![envoy.resident()?];
        for keys in KEYS {
            let many = Variant { values: keys, ..variant.clone() };
            load::run(*port, &many, keys).map_err(|error| format!("{name}: {error}"))?;
            resident.push(envoy.resident()?);
            eprintln!("{name}: {keys} keys");
        }
        envoy.stop();
        rows.push(Row { name: name.to_owned(), resident });
    }
    Ok(rows)
}

fn variant(name: &str, filters: Vec<Value>) -> Variant {
    Variant {
        name: name.to_owned(),
        against: None,
        filters,
        table: json!({"routes": [answer(&json!({"prefix": "/"}))]}),
        path: "/".to_owned(),
        header: ("x-key", "key-".to_owned()),
        values: 1,
        status: 200,
        ..Variant::default()
    }
}

/// For people; Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut text = "Envoy's resident memory in MiB, after so many keys\n\n| variant | 1 |".to_owned();
    for keys in KEYS {
        let _ = write!(text, " {keys} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(KEYS.len() + 1));
    for row in rows {
        let _ = write!(text, "| {} |", row.name);
        for resident in &row.resident {
            let _ = write!(text, " {:.1} |", *resident as f64 / 1024.0);
        }
        text.push('\n');
    }
    text
}

/// For programs.
pub fn json(rows: &[Row]) -> Value {
    let keys: Vec<usize> = std::iter::once(1).chain(KEYS).collect();
    rows.iter().map(|row| json!({"variant": row.name, "keys": keys, "resident_kib": row.resident})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_column_for_each_number_of_keys() {
        let text = table(&[Row { name: "x".to_owned(), resident: vec![1024, 2048, 2560, 3072] }]);
        assert!(
            text.ends_with(
                "| variant | 1 | 10000 | 100000 | 1000000 |\n|---|---|---|---|---|\n| x | 1.0 | 2.0 | 2.5 | 3.0 |\n"
            ),
            "{text}"
        );
    }
}
