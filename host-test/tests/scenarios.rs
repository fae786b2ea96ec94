//! All scenario files in all three runners.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use host_test::scenario::{Report, Runner, Runners, Scenario, bless};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn runners() -> Runners {
    let envoy = std::env::var_os("ENVOY").map(PathBuf::from);
    if envoy.is_none() {
        eprintln!("SKIPPED in Envoy: the variable ENVOY names none");
    }
    let mut runners = vec![Runner::Core, Runner::Host];
    runners.extend(envoy.is_some().then_some(Runner::Envoy));
    let dist = std::env::var_os("SLUICE_DIST").map_or_else(|| root().join("dist"), PathBuf::from);
    Runners { runners, dist, envoy }
}

/// Every `scenarios/*.yaml` of a filter or guest.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for parent in ["filters", "host-test/guests"] {
        for package in std::fs::read_dir(root().join(parent)).unwrap() {
            let Ok(entries) = std::fs::read_dir(package.unwrap().path().join("scenarios")) else { continue };
            files.extend(
                entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "yaml")),
            );
        }
    }
    files.sort();
    files
}

fn read(files: &[PathBuf]) -> Vec<Scenario> {
    files.iter().map(|file| Scenario::read(file).unwrap_or_else(|error| panic!("{error}"))).collect()
}

#[test]
fn scenarios_hold_in_core_host_and_envoy() {
    let scenarios = read(&files());
    assert!(scenarios.len() >= 5, "only {} scenario files found", scenarios.len());
    let report = runners().run(&scenarios).unwrap();
    if std::env::var_os("BLESS").is_some() {
        eprintln!("{} expectations rewritten", bless(&report, &scenarios).unwrap());
    }
    eprintln!("{}{} passed, {} failed, {} skipped", report.text, report.passed, report.failed, report.skipped);
    assert_eq!(report.failed, 0, "\n{}", report.text);
}

fn run_text(text: &str, name: &str) -> (Vec<Scenario>, Report) {
    let folder = std::env::temp_dir().join(format!("sluice-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("broken.yaml");
    std::fs::write(&file, text).unwrap();
    let scenarios = read(&[file]);
    let report = runners().run(&scenarios).unwrap();
    (scenarios, report)
}

const BROKEN: &str = "name: broken on purpose
clusters: [a]
filters:
- filter: header-router
  config: {rules: [{name: r, match: {path: {prefix: /a}}, targets: [{cluster: a}], rewrite: {prefix: /}}], default: {status: 404}}
cases:
- name: wrong in every field
  request: {path: /a/b}
  upstream: {cluster: b, path: /c, headers: [\"x-sluice-route: q\"], absent: [x-sluice-cluster], body: x}
  client: {status: 201, body: z}
  counters: {nothing: 1}
refusals:
- {filter: header-router, config: {rules: [], default: continue}, error: nothing is wrong}
";

#[test]
fn a_broken_scenario_fails_in_every_runner_with_a_readable_difference_envoy_too() {
    let (_, report) = run_text(BROKEN, "broken");
    let runners = runners().runners;
    assert_eq!((report.passed, report.failed), (0, 2 * runners.len()), "{}", report.text);
    for runner in runners {
        let name = runner.name();
        assert!(report.text.contains(&format!("broken.yaml: wrong in every field [{name}]")), "{}", report.text);
        assert!(report.text.contains(&format!("broken.yaml: refusal [{name}]")), "{}", report.text);
    }
    for lines in [
        "    upstream.cluster\n      expected \"b\"\n      seen     \"a\"\n",
        "    upstream.path\n      expected \"/c\"\n      seen     \"/b\"\n",
        "    upstream.headers.x-sluice-route\n      expected \"q\"\n      seen     \"r\"\n",
        "    upstream.absent\n      expected no x-sluice-cluster\n      seen     \"a\"\n",
        "    upstream.body\n      expected \"x\"\n      seen     \"\"\n",
        "    client.status\n      expected \"201\"\n      seen     \"200\"\n",
        "    client.body\n      expected \"z\"\n      seen     \"upstream\"\n",
        "    counters.nothing\n      expected \"1\"\n      seen     \"0\"\n",
        "      expected configuration refused: nothing is wrong\n      seen     the configuration was taken\n",
    ] {
        assert!(report.text.contains(lines), "{lines}\nis not in\n{}", report.text);
    }
}

const SERVICE: &str = "name: a service that is asked otherwise
fallback: upstream
filters: [{filter: asks, config: {domain: d, timeout_ms: 1000}}]
rate_limit_service: {}
cases:
- name: another call
  request: {headers: [\"x-user: a\"]}
  service: [{domain: d, descriptors: [[user=b], [user=c]], hits: [1, 0]}]
- {name: no call, request: {headers: [\"x-user: a\"]}, service: []}
";

#[test]
fn calls_of_the_service_that_differ_are_told_in_every_runner() {
    let (_, report) = run_text(SERVICE, "service");
    let runners = runners().runners.len();
    assert_eq!((report.passed, report.failed), (0, 2 * runners), "{}", report.text);
    for lines in [
        "    service\n      expected d [user=b] [user=c] hits [1, 0]\n      seen     d [user=a] hits 1\n",
        "    service\n      expected no call\n      seen     d [user=a] hits 1\n",
    ] {
        assert_eq!(report.text.matches(lines).count(), runners, "{lines}\nis not in\n{}", report.text);
    }
}

#[test]
fn a_client_that_is_to_leave_needs_something_to_wait_for() {
    let case =
        "name: x\nfallback: upstream\nfilters: [{filter: asks, config: {domain: d, timeout_ms: 9, order: background}}]
rate_limit_service: {}\ncases: [{name: nothing, request: {leaves: service}}]\n";
    let mut runners = runners();
    // Envoy would be waited for as long as for anything
    runners.runners.retain(|runner| *runner != Runner::Envoy);
    let file = std::env::temp_dir().join(format!("sluice-leaves-{}.yaml", std::process::id()));
    std::fs::write(&file, case).unwrap();
    let report = runners.run(&read(&[file])).unwrap();
    assert_eq!(report.failed, 2, "{}", report.text);
    assert_eq!(report.text.matches("and nothing was").count(), 2, "{}", report.text);
}

#[test]
fn blessing_writes_what_was_seen() {
    let (scenarios, report) = run_text(BROKEN, "bless");
    assert!(bless(&report, &scenarios).unwrap() >= 5);
    let text = std::fs::read_to_string(&scenarios[0].path).unwrap();
    assert!(text.contains("upstream: {cluster: \"a\", path: \"/b\", headers:"), "{text}");
    assert!(text.contains("client: {status: 200, body: \"upstream\"}"), "{text}");
}

#[test]
fn mistakes_in_a_scenario_name_their_place() {
    let file = std::env::temp_dir().join(format!("sluice-mistake-{}.yaml", std::process::id()));
    for (case, expected) in [
        ("reqest: {path: /}", "4:3: cases[0].reqest: unknown field; did you mean \"request\"?"),
        (
            "request: {path: y}",
            "4:13: cases[0].request.path: expected text, {hex: ..} or {repeat: .., times: ..}, found boolean `true`",
        ),
        (
            "request: {path: {hex: 0g}}",
            "4:13: cases[0].request.path: expected text, {hex: ..} or {repeat: .., times: ..}, found map",
        ),
        (
            "request: {headers: [x]}",
            "4:23: cases[0].request.headers[0]: expected \"name: value\" or {name: .., value: ..}, found string \"x\"",
        ),
    ] {
        std::fs::write(&file, format!("name: a\ncases:\n- name: b\n  {case}\n")).unwrap();
        let error = Scenario::read(&file).unwrap_err().to_string();
        assert!(error.ends_with(&format!(".yaml:{expected}")), "{error}");
    }
    for (line, expected) in [
        ("routes: [{cluster: b}]", "2:11: routes[0].cluster: expected one of the clusters, found \"b\""),
        ("routes: [{prefix: /}]", "2:10: routes[0]: expected either \"cluster\" or \"cluster_header\""),
        (
            "routes: [{cluster: upstream, cluster_header: x}]",
            "2:10: routes[0]: expected either \"cluster\" or \"cluster_header\"",
        ),
        (
            "routes: [{prefix: /, path: /, cluster: upstream}]",
            "2:22: routes[0].path: expected either \"prefix\" or \"path\", found both",
        ),
        (
            "routes: [{header: {name: a}, cluster: upstream}]",
            "2:11: routes[0].header: expected either \"exact\" or \"present\"",
        ),
        (
            "rate_limit_service: {faults: [{fault: {error: {code: 17}}}]}",
            "2:48: rate_limit_service.faults[0].fault.error.code: expected a gRPC status from 1 to 16",
        ),
        (
            "{fallback: upstream, routes: [{cluster: upstream}]}",
            "2:2: fallback: expected either \"routes\" or \"fallback\", found both",
        ),
        (
            "filters: [{filter: a, position: upsteam}]",
            "2:23: filters[0].position: unknown value \"upsteam\"; did you mean \"upstream\"?",
        ),
    ] {
        let text = match line.strip_prefix('{') {
            Some(fields) => format!("{{name: a,\n {fields}\n"),
            None => format!("name: a\n{line}\n"),
        };
        std::fs::write(&file, text).unwrap();
        let error = Scenario::read(&file).unwrap_err().to_string();
        assert!(error.ends_with(&format!(".yaml:{expected}")), "{error}");
    }
}
