//! Access logs: where lines go and what they say.

use super::support::*;

const TYPES: &str = "type.googleapis.com/envoy.extensions.access_loggers";

#[test]
fn the_access_log_has_envoys_default_format() {
    let upstream = Upstream::echo("up");
    let setup = Setup {
        manager: concat!(
            "          access_log:\n          - name: stdout\n            typed_config: ",
            "{\"@type\": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog}\n"
        )
        .into(),
        ..Setup::to(&upstream)
    };
    let gateway = setup.start();
    gateway.get("/x", &[("x-request-id", "id-1"), ("user-agent", "test")]);
    eventually("a record", || !gateway.access.lock().unwrap().is_empty());
    let record = gateway.access.lock().unwrap()[0].clone();
    assert!(record.contains("\"GET /x HTTP/1.1\" 200 - 0 "), "{record}");
    let end = format!("\"-\" \"test\" \"id-1\" \"a.test\" \"{}\"\n", upstream.address);
    assert!(record.ends_with(&end), "{record}");
}

#[test]
fn json_lines_show_what_filters_left_and_what_was_answered() {
    let format = r#"{code: "%RESPONSE_CODE%", attempts: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", why: "%RESPONSE_CODE_DETAILS%", own: "%FILTER_STATE(wasm.own:PLAIN)%", route: "%ROUTE_NAME%", to: "%UPSTREAM_CLUSTER%", path: "%REQ(:PATH)%"}"#;
    let manager = format!(
        "          access_log:\n          - typed_config: {{\"@type\": {TYPES}.stream.v3.StdoutAccessLog, log_format: {{json_format: {format}}}}}\n"
    );
    let gateway = Setup { manager, ..Setup::default() }
        .route("name: main, match: {prefix: /}, route: {cluster: up, prefix_rewrite: /new/}")
        .cluster("up", &[Upstream::echo("up").address])
        .probe("a", "")
        .start();
    gateway.get("/x", &[("x-probe-a", "rh: set-prop own b\"c")]);
    gateway.get("/x", &[("x-probe-a", "rh: reply 418 abc")]);
    eventually("two records", || gateway.access.lock().unwrap().len() == 2);
    assert_eq!(
        gateway.access.lock().unwrap().concat(),
        concat!(
            r#"{"attempts":1,"code":200,"own":"b\"c","path":"/new/x","route":"main","to":"up","why":"via_upstream"}"#,
            "\n",
            r#"{"attempts":0,"code":418,"own":null,"path":"/x","route":"main","to":"up","why":"probe"}"#,
            "\n"
        )
    );
}

#[test]
fn lines_are_appended_to_a_file() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("access-lines.log");
    std::fs::write(&path, "before\n").unwrap();
    let manager = |path: &str| {
        format!(
            "          access_log:\n          - typed_config: {{\"@type\": {TYPES}.file.v3.FileAccessLog, path: '{path}', log_format: {{text_format_source: {{inline_string: \"%REQ(:METHOD)% %RESPONSE_CODE% %PROTOCOL%\\n\"}}}}}}\n"
        )
    };
    let upstream = Upstream::echo("up");
    let setup = Setup { manager: manager(path.to_str().unwrap()), ..Setup::to(&upstream) };
    let gateway = setup.start();
    gateway.get("/", &[]);
    gateway.get("/", &[]);
    let expected = "before\nGET 200 HTTP/1.1\nGET 200 HTTP/1.1\n";
    eventually("two lines", || std::fs::read_to_string(&path).unwrap() == expected);
    drop(gateway);
    // a file that cannot be opened is a fault of the configuration
    let setup = Setup { manager: manager("/nowhere/access.log"), ..Setup::to(&upstream) };
    let bootstrap = host_test::gateway::bootstrap::parse(&setup.yaml()).unwrap();
    let why = host_test::gateway::start(bootstrap, quiet()).unwrap_err();
    assert!(why.contains("/nowhere/access.log: cannot be opened"), "{why}");
}
