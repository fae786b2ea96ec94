//! gRPC callouts from `proxy_on_configure`, in a real Envoy: what a filter can find out there about a cluster, and how it
//! brings Envoy down.

use crate::support::guest_path;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What an Envoy said that started with this script, and how it ended.
struct Run {
    ended: Option<ExitStatus>,
    log: String,
}

impl Run {
    /// How many of the probe's lines end so.
    fn count(&self, end: &str) -> usize {
        self.log.lines().filter(|line| line.contains("PROBE|root-a|") && line.ends_with(end)).count()
    }
}

pub fn check(binary: &Path) {
    // The main thread has a VM for trial and another one, the worker its own.
    let run =
        start(binary, "cfg: grpc rpc 100 M x | gclose: status", false, |log| log.matches("|gclose|end").count() == 2);
    assert_eq!((run.ended, run.count("grpc rpc 100 M x -> 0 low bits 1")), (None, 3), "{}", run.log);
    assert_eq!(run.count("|gclose|status 14 effective 0"), 2, "the trial's VM is gone: {}", run.log);

    let run = start(binary, "cfg: grpc rpc 100 M x; grpc-cancel last; grpc-cancel last", false, |_| false);
    assert_eq!((run.ended, run.count("grpc-cancel last -> 0"), run.count("grpc-cancel last -> 1")), (None, 3, 3));
    assert!(!run.log.contains("gclose"), "{}", run.log);

    let unknown = "cfg: grpc nowhere 100 M x; grpc %0a%09%0a%07nowhere 100 M x";
    let run = start(binary, unknown, false, |_| false);
    assert_eq!((run.ended, run.count("-> 4 token 77777"), run.count("-> 10 token 77777")), (None, 3, 3), "{}", run.log);

    // In validation no cluster is known, whether it is in the file or not.
    let run = start(binary, "cfg: grpc rpc 100 M x; grpc %0a%05%0a%03rpc 100 M x", true, |_| false);
    assert!(run.ended.is_some_and(|status| status.success()), "{}", run.log);
    assert_eq!((run.count("-> 4 token 77777"), run.count("-> 10 token 77777")), (2, 2), "{}", run.log);

    // Names that are messages without a target.
    for name in ["users", "inventory", "h1", ""] {
        let run = start(binary, &format!("cfg: grpc {name} 100 M x"), false, |_| false);
        assert!(run.ended.is_some_and(|status| status.signal() == Some(6)), "{name}: {}", run.log);
        assert!(run.log.contains("panic: unset oneof"), "{name}: {}", run.log);
    }
}

/// Runs Envoy until it ends, or until it serves and `is_enough` says so, or a second has passed then.
fn start(binary: &Path, script: &str, validate: bool, is_enough: impl Fn(&str) -> bool) -> Run {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("conformance-configure");
    fs::create_dir_all(&dir).unwrap();
    let (config, log) = (dir.join("envoy.yaml"), dir.join("envoy.log"));
    fs::write(&config, bootstrap(script)).unwrap();
    let mut process = Command::new(binary)
        .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "info", "-c"])
        .arg(&config)
        .args(if validate { &["--mode", "validate"][..] } else { &[] })
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut deadline = Instant::now() + Duration::from_secs(20);
    let mut serves = false;
    loop {
        let ended = process.try_wait().unwrap();
        let text = String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
        if !serves && text.contains("starting main dispatch loop") {
            serves = true;
            deadline = Instant::now() + Duration::from_secs(1);
        }
        if ended.is_some() || is_enough(&text) || Instant::now() > deadline {
            if ended.is_none() {
                let _ = process.kill();
                let _ = process.wait();
            }
            return Run { ended, log: text };
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn bootstrap(script: &str) -> String {
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (listener, dead) = (port(), port());
    format!(
        r#"
static_resources:
  listeners:
  - name: all
    address: {{socket_address: {{address: 127.0.0.1, port_value: {listener}}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: all
          route_config: {{virtual_hosts: []}}
          http_filters:
          - name: probe
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: probe
                root_id: a
                configuration: {{"@type": type.googleapis.com/google.protobuf.StringValue, value: "{script}"}}
                vm_config: {{vm_id: v, runtime: envoy.wasm.runtime.v8, code: {{local: {{filename: "{}"}}}}}}
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: rpc
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: rpc
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {dead}}}}}}}}}]}}]
"#,
        guest_path("probe").display()
    )
}
