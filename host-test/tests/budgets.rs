//! What each scenario's case costs in host calls and instructions. Timings cannot gate a shared machine; these can:
//! they are the same everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use host_test::scenario::{Cost, Runner, Runners, Scenario};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Instructions may differ by this share in a hundred before the test fails: another release of the compiler makes
/// other code. Host calls may not differ at all.
const FUEL_MARGIN: u64 = 5;

fn measured() -> BTreeMap<String, Cost> {
    let mut files = Vec::new();
    for filter in ["ai-normalize", "header-router", "prefix-rewrite", "rate-limit", "suite"] {
        let entries = std::fs::read_dir(root().join("filters").join(filter).join("scenarios")).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    let scenarios: Vec<Scenario> = files.iter().map(|file| Scenario::read(file).unwrap()).collect();
    let dist = std::env::var_os("SLUICE_DIST").map_or_else(|| root().join("dist"), PathBuf::from);
    Runners { runners: vec![Runner::Host], dist, envoy: None }.run(&scenarios).unwrap().costs
}

/// A line for each case: fuel, then host calls.
fn text(costs: &BTreeMap<String, Cost>) -> String {
    let mut text = String::from("# file: case | fuel | host calls. BLESS=1 cargo test -p host-test --test budgets\n");
    for (case, cost) in costs {
        let calls = cost.host_calls.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>();
        writeln!(text, "{case} | {} | {}", cost.fuel, calls.join(", ")).unwrap();
    }
    text
}

#[test]
fn host_calls_are_exactly_as_recorded_and_fuel_nearly() {
    let file = root().join("host-test/tests/budgets.txt");
    let now = text(&measured());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &now).unwrap();
        return;
    }
    let recorded = std::fs::read_to_string(&file).unwrap();
    let split = |line: &str| -> (String, u64, String) {
        let parts: Vec<&str> = line.split(" | ").collect();
        (parts[0].to_owned(), parts[1].parse().unwrap(), parts[2].to_owned())
    };
    let lines = |text: &str| -> BTreeMap<String, (u64, String)> {
        text.lines().skip(1).map(split).map(|(case, fuel, calls)| (case, (fuel, calls))).collect()
    };
    let (recorded, now) = (lines(&recorded), lines(&now));
    assert!(now.len() >= 80, "only {} cases measured", now.len());
    let mut wrong = String::new();
    for (case, (fuel, calls)) in &now {
        match recorded.get(case) {
            None => writeln!(wrong, "{case}: not recorded").unwrap(),
            Some((_, old)) if old != calls => writeln!(wrong, "{case}\n  recorded {old}\n  now      {calls}").unwrap(),
            Some((old, _)) if fuel.abs_diff(*old) * 100 > old * FUEL_MARGIN => {
                writeln!(wrong, "{case}: fuel {old} recorded, {fuel} now").unwrap();
            }
            Some(_) => {}
        }
    }
    for case in recorded.keys().filter(|case| !now.contains_key(*case)) {
        writeln!(wrong, "{case}: recorded, but there is no such case").unwrap();
    }
    assert!(wrong.is_empty(), "BLESS=1 records what is meant to be so:\n{wrong}");
}
