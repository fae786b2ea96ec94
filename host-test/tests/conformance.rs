//! The same table of host calls in our host and in a real Envoy. `table.txt` holds for every case what Envoy 1.40 does;
//! our host must do the same, and so must the Envoy that the environment variable `ENVOY` names. `BLESS=1` with `ENVOY`
//! writes the table anew from what Envoy does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "conformance/configure.rs"]
mod configure;
#[path = "conformance/envoy.rs"]
mod envoy;
#[path = "conformance/ours.rs"]
mod ours;
mod support;
#[path = "conformance/table.rs"]
mod table;

use std::io::Write;

#[test]
fn our_host_does_what_the_table_says() {
    let table = table::read();
    assert!(table.len() > 30, "the table has {} cases", table.len());
    let (mut seen, misuse) = ours::run(&table);
    for ((case, seen), misuse) in table.iter().zip(&mut seen).zip(misuse) {
        assert_eq!(misuse > 0, case.refused_here, "case {}: {misuse} reports of misuse", case.name);
        if case.refused_here {
            seen.clone_from(&case.expected);
        }
    }
    compare("our host", &table, &seen);
}

/// The binary that `ENVOY` names.
fn envoy(test: &str) -> Option<std::path::PathBuf> {
    let binary = std::env::var_os("ENVOY").map(Into::into);
    if binary.is_none() {
        // Past the test runner's capture: a skipped check must be seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: ENVOY does not name an Envoy binary");
    }
    binary
}

#[test]
fn grpc_callouts_at_configure_time_in_envoy() {
    if let Some(binary) = envoy("grpc_callouts_at_configure_time_in_envoy") {
        configure::check(&binary);
    }
}

#[test]
fn envoy_does_what_the_table_says() {
    let Some(binary) = envoy("envoy_does_what_the_table_says") else { return };
    let table = table::read();
    let seen = envoy::run(&table, &binary);
    if std::env::var_os("BLESS").is_some() {
        table::write(&table, &seen);
        return;
    }
    compare("Envoy", &table, &seen);
}

fn compare(who: &str, table: &[table::Case], seen: &[Vec<String>]) {
    let mut wrong = Vec::new();
    for (case, seen) in table.iter().zip(seen) {
        if case.expected != *seen {
            let diff = table::diff(&case.expected, seen);
            wrong.push(format!("case {} (line {}): - the table, + {who}\n{diff}", case.name, case.line));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases differ\n\n{}", wrong.len(), table.len(), wrong.join("\n\n"));
}
