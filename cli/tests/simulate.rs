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

fn decisions(output: &Output) -> Vec<serde_json::Value> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn allowed(decisions: &[serde_json::Value]) -> Vec<Option<bool>> {
    decisions.iter().map(|told| told["decision"]["allowed"].as_bool()).collect()
}

#[test]
fn settlements_are_debts_that_later_requests_wait_for_and_refunds() {
    let config = "policies:\n- name: tokens\n  limits: [{units: 100, per_ms: 100000}]\n";
    let timeline = r#"{"t_ms": 0, "path": "/", "cost": 40, "id": "a"}
{"t_ms": 0, "path": "/", "cost": 40, "id": "b"}
{"t_ms": 0, "path": "/", "cost": 40}
{"t_ms": 1000, "settles": "a", "cost": 10}
{"t_ms": 1000, "path": "/", "cost": 40}
{"t_ms": 2000, "settles": "b", "cost": 140}
{"t_ms": 2000, "path": "/", "cost": 1}
{"t_ms": 91000, "path": "/", "cost": 1}
"#;
    let output = simulate(config, timeline, &[]);
    let told = decisions(&output);
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(allowed(&told), [yes, yes, no, None, yes, None, no, yes]);
    assert_eq!(told[2]["decision"]["retry_after_ms"], 20_000);
    assert_eq!(told[3]["settled"], serde_json::json!({"id": "a", "cost": 10}));
    // 100 units less than nothing, but for the two seconds and the refund: the next unit is 89 seconds away
    assert_eq!(told[6]["decision"]["retry_after_ms"], 89_000);
    let summary = text(&output.stderr);
    assert!(summary.starts_with("6 requests, 4 allowed, 2 refused, 2 settled\n"), "{summary}");
    let output = simulate(config, "{\"t_ms\": 0, \"settles\": \"x\", \"cost\": 1}\n", &[]);
    assert!(text(&output.stdout).contains("no admitted request has the id"), "{}", text(&output.stdout));
}

#[test]
fn requests_in_flight_end_when_they_ended() {
    let config = "policies:\n- name: flights\n  limits: [{concurrent: 1}]\n";
    let line = |at: u64, duration: u64| format!("{{\"t_ms\": {at}, \"path\": \"/\", \"duration_ms\": {duration}}}\n");
    let timeline = [line(0, 50), line(49, 1), line(50, 10), line(59, 0), line(60, 0), line(60, 0)].concat();
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(allowed(&decisions(&simulate(config, &timeline, &[]))), [yes, no, yes, no, yes, yes]);
}

#[test]
fn a_service_can_be_simulated_too() {
    let config = "service: {cluster: rls, domain: shop}\npolicies:\n- name: tenant\n  key: [{header: x-tenant}]\n  \
                  global: {descriptor: [tenant], mode: lease, lease: {units: 4}, on_error: closed}\n";
    let folder = tempfile::tempdir().unwrap();
    let service = folder.path().join("service.yaml");
    let limits =
        "domains: [{domain: shop, descriptors: [{key: tenant, rate_limit: {unit: hour, requests_per_unit: 6}}]}]";
    std::fs::write(&service, limits).unwrap();
    let timeline = "{\"t_ms\": 0, \"path\": \"/\", \"headers\": {\"x-tenant\": \"a\"}}\n".repeat(8);
    let output = simulate(config, &timeline, &["--service", service.to_str().unwrap()]);
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(allowed(&decisions(&output)), [yes, yes, yes, yes, yes, yes, no, no]);
    assert!(text(&output.stderr).contains("calls of the service"), "{}", text(&output.stderr));
    let told = decisions(&simulate(config, &timeline, &[]));
    assert!(told.iter().all(|told| told["decision"]["status"] == 503), "nobody answers");
    std::fs::write(&service, "domains: [{domian: shop}]").unwrap();
    let output = simulate(config, &timeline, &["--service", service.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("service.yaml:1:"), "{}", text(&output.stderr));
}

#[test]
fn a_bad_configuration_is_told_with_its_place() {
    let output = simulate("policies:\n- name: demo\n  limits: [{units: 0, per_ms: 1}]\n", "", &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("limits.yaml:3:13 policies[0].limits[0].units: expected 1 to"), "{told}");
}
