//! Writing what was seen into the files.

use super::format::Scenario;
use super::run::Report;
use crate::yaml::Value;

/// Writes what was seen in place of the expectations that differ, where the expectation is one scalar; the number of
/// places. The rest of the file stays as it is.
///
/// # Errors
/// If a file cannot be read or written.
pub fn bless(report: &Report, scenarios: &[Scenario]) -> Result<usize, String> {
    let mut blessed = 0;
    for scenario in scenarios {
        let mut text: Vec<char> = scenario.text.chars().collect();
        let mut places: Vec<(std::ops::Range<usize>, String)> = Vec::new();
        for (path, at, difference) in &report.differences {
            let scalar = scenario.root.get(at).filter(|node| matches!(node.value, Value::Text(_) | Value::Int(_)));
            let (Some(node), Some(value)) = (scalar.filter(|_| *path == scenario.path), &difference.value) else {
                continue;
            };
            // what JSON takes for a text, YAML does too
            let seen = match (std::str::from_utf8(value), &node.value) {
                (Ok(number), Value::Int(_)) => number.to_owned(),
                (Ok(text), _) => serde_json::Value::from(text).to_string(),
                (Err(_), _) => {
                    let digits: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("{{hex: \"{}\"}}", digits.join(" "))
                }
            };
            places.push((node.chars.clone(), seen));
        }
        places.sort_by_key(|(chars, _)| std::cmp::Reverse(chars.start));
        places.dedup_by_key(|(chars, _)| chars.start);
        blessed += places.len();
        for (chars, seen) in &places {
            text.splice(chars.clone(), seen.chars());
        }
        if !places.is_empty() {
            let text: String = text.into_iter().collect();
            std::fs::write(&scenario.path, text).map_err(|error| format!("{}: {error}", scenario.path.display()))?;
        }
    }
    Ok(blessed)
}
