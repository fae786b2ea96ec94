//! `sluice simulate` as its users run it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

const CONFIG: &str = "policies:\n- name: demo\n  key: [{header: x-api-key}]\n  limits: [{units: 2, per_ms: 60000}]\n";

fn simulate(config: &str, timeline: &str, options: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("limits.yaml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.arg("simulate").arg("-c").arg(&file).arg("-").args(options);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // a mistake in the configuration ends it before it reads
    child.stdin.take().unwrap().write_all(timeline.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn decisions_follow_the_times_of_the_lines() {
    let line = |ms: u64| format!("{{\"t_ms\": {ms}, \"path\": \"/\", \"headers\": {{\"x-api-key\": \"a\"}}}}\n");
    let timeline: String = [0, 1, 2, 29_999, 30_000, 30_000].map(line).concat();
    let output = simulate(CONFIG, &timeline, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let decisions: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let allowed: Vec<bool> = decisions.iter().map(|told| told["decision"]["allowed"].as_bool().unwrap()).collect();
    assert_eq!(allowed, [true, true, false, false, true, false]);
    assert_eq!(decisions[2]["decision"]["retry_after_ms"], 29_998);
    assert_eq!(decisions[3]["decision"]["retry_after_ms"], 1);
    assert_eq!(decisions[3]["decision"]["violated"][0], "demo");
    assert!(text(&output.stderr).starts_with("6 requests, 3 allowed, 3 refused\n  3 times over demo\n"));
}

#[test]
fn access_logs_have_times_of_their_own() {
    let line = |time: &str| format!("{{\"start_time\": \"{time}\", \"path\": \"/\", \"x-api-key\": \"a\"}}\n");
    let timeline: String =
        ["2026-01-31T23:59:59.5Z", "2026-01-31T23:59:59.75Z", "2026-02-01T00:00:00Z", "2026-02-01T01:00:30+01:00"]
            .map(line)
            .concat();
    let output = simulate(CONFIG, &timeline, &["--summary"]);
    assert!(text(&output.stdout).starts_with("4 requests, 3 allowed, 1 refused\n"), "{}", text(&output.stdout));
}

#[test]
fn lines_that_cannot_be_replayed_are_told_and_the_others_are() {
    let output = simulate(
        CONFIG,
        "{\"t_ms\": 5, \"path\": \"/\"}\njunk\n{\"path\": \"/\"}\n{\"t_ms\": 4, \"path\": \"/\"}\n",
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<String> = text(&output.stdout).lines().map(String::from).collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].contains("\"allowed\":true"), "{}", lines[0]);
    assert!(lines[1].contains("not valid JSON"), "{}", lines[1]);
    assert!(lines[2].contains("missing field \\\"t_ms\\\""), "{}", lines[2]);
    assert!(lines[3].contains("expected times in order"), "{}", lines[3]);
}

#[test]
fn a_bad_configuration_is_told_with_its_place() {
    let output = simulate("policies:\n- name: demo\n  limits: [{units: 0, per_ms: 1}]\n", "", &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("limits.yaml:3:13 policies[0].limits[0].units: expected 1 to"), "{told}");
}
