//! From rounds to a table.

use super::listener::Variant;
use super::rules::{SIZES, router_name};
use super::variants::{BASE, EMPTY};
use serde_json::{Value, json};
use std::fmt::Write;

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    name: String,
    /// 20th percentile in microseconds of CPU time a request.
    p20: f64,
    /// Median over the rounds of the difference to the base.
    difference: f64,
    /// `p20` against the base's, and against the empty filter's.
    to_base: f64,
    to_empty: f64,
    /// The same against the row that the variant names.
    to_other: Option<f64>,
}

/// Reduces the rounds of each variant.
pub fn rows(variants: &[Variant], rounds: &[Vec<f64>]) -> Vec<Row> {
    let of =
        |name: &str| variants.iter().zip(rounds).find(|(variant, _)| variant.name == name).map(|(_, r)| r.as_slice());
    let (base, empty) = (of(BASE).unwrap_or_default(), of(EMPTY).unwrap_or_default());
    let row = |(variant, figures): (&Variant, &Vec<f64>)| {
        let p20 = quantile(figures, 0.2);
        let differences: Vec<f64> = figures.iter().zip(base).map(|(figure, base)| figure - base).collect();
        Row {
            name: variant.name.clone(),
            p20,
            difference: quantile(&differences, 0.5),
            to_base: p20 / quantile(base, 0.2),
            to_empty: p20 / quantile(empty, 0.2),
            to_other: variant.against.as_deref().and_then(of).map(|other| p20 / quantile(other, 0.2)),
        }
    };
    variants.iter().zip(rounds).map(row).collect()
}

/// The figure below which that share of them lies.
pub fn quantile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// What one row costs, in what another one costs.
pub fn ratio(rows: &[Row], name: &str, other: &str) -> Option<f64> {
    let of = |name: &str| rows.iter().find(|row| row.name == name).map(|row| row.p20);
    Some(of(name)? / of(other)?)
}

/// For people; Markdown. `other` is what the rows that variants name have in common.
pub fn table(rows: &[Row], other: &str, rounds: usize, requests: usize) -> String {
    let others = rows.iter().any(|row| row.to_other.is_some());
    let (title, line) = if others { (format!(" ratio to {other} |"), "---|") } else { (String::new(), "") };
    let mut text = format!(
        "CPU time of Envoy's worker thread a request, {rounds} interleaved rounds of {requests} requests\n\n\
         | variant | us, p20 | over no filter | ratio to no filter | ratio to the empty filter |{title}\n|---|---|---|---|---|{line}\n"
    );
    for row in rows {
        let _ = write!(
            text,
            "| {} | {:.1} | {:+.1} | {:.2} | {:.2} |",
            row.name, row.p20, row.difference, row.to_base, row.to_empty
        );
        let _ = match row.to_other {
            Some(ratio) => writeln!(text, " {ratio:.2} |"),
            None => writeln!(text, "{}", if others { " |" } else { "" }),
        };
    }
    if let Some(growth) = growth(rows) {
        let _ =
            writeln!(text, "\nheader-router with the most rules takes {growth:.3} of what it takes with the fewest.");
    }
    text
}

/// What the largest number of rules costs, in what the smallest costs.
fn growth(rows: &[Row]) -> Option<f64> {
    ratio(rows, &router_name(*SIZES.last()?), &router_name(*SIZES.first()?))
}

/// For programs.
pub fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({"variant": row.name, "us_p20": row.p20, "us_over_base": row.difference,
               "ratio_to_base": row.to_base, "ratio_to_empty": row.to_empty, "ratio_to_other": row.to_other})
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_quote_the_percentile_and_paired_differences() {
        let variants = [BASE, EMPTY].map(|name| Variant {
            name: name.to_owned(),
            against: (name == EMPTY).then(|| BASE.to_owned()),
            filters: Vec::new(),
            table: Value::Null,
            path: String::new(),
            header: ("x", String::new()),
            values: 1,
            status: 200,
            ..Variant::default()
        });
        let rounds = vec![vec![10.0, 11.0, 12.0, 13.0, 90.0], vec![12.0, 13.0, 14.0, 15.0, 92.0]];
        let rows = rows(&variants, &rounds);
        assert_eq!((rows[0].p20, rows[1].p20), (11.0, 13.0));
        assert_eq!((rows[0].difference, rows[1].difference), (0.0, 2.0));
        assert!((rows[1].to_base - 13.0 / 11.0).abs() < 1e-9 && (rows[0].to_empty - 11.0 / 13.0).abs() < 1e-9);
        assert_eq!((rows[0].to_other, rows[1].to_other), (None, Some(13.0 / 11.0)));
        let text = table(&rows, "it", 5, 100);
        assert!(text.contains("| no filter | 11.0 | +0.0 | 1.00 | 0.85 | |\n"), "{text}");
        assert!(text.contains("| empty filter of the SDK | 13.0 | +2.0 | 1.18 | 1.00 | 1.18 |\n"), "{text}");
    }
}
