//! The `sluice serve` command as a process: what it says, its signals, its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn bootstrap(text: &str) -> String {
    format!(
        r#"
static_resources:
  listeners:
  - name: main
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - {{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: {text}}}}}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"#
    )
}

struct Serving {
    child: Child,
    errors: BufReader<ChildStderr>,
    address: String,
}

impl Serving {
    fn start(file: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["serve", "--concurrency", "1", "--watch-interval-ms", "0"])
            .arg(file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("sluice: listener main on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, errors, address }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn get(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sigterm_and_sigint_end_it_with_exit_code_0() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("g.yaml");
    std::fs::write(&file, bootstrap("hello")).unwrap();
    for signal in ["TERM", "INT"] {
        let mut serving = Serving::start(&file);
        assert!(serving.get().ends_with("hello"));
        serving.signal(signal);
        assert_eq!(serving.wait().code(), Some(0), "{signal}");
        assert!(TcpStream::connect(&serving.address).is_err(), "{signal}");
    }
}

#[test]
fn sighup_reads_the_file_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("g.yaml");
    std::fs::write(&file, bootstrap("first")).unwrap();
    let mut serving = Serving::start(&file);
    std::fs::write(&file, bootstrap("second")).unwrap();
    serving.signal("HUP");
    let mut line = String::new();
    serving.errors.read_line(&mut line).unwrap();
    assert!(line.contains("configuration 2 is serving"), "{line}");
    assert!(serving.get().ends_with("second"));
    std::fs::write(&file, "static_resources: {secrets: []}\n").unwrap();
    serving.signal("HUP");
    line.clear();
    serving.errors.read_line(&mut line).unwrap();
    let place = format!("{}:1:20: static_resources.secrets: not served by the embedded gateway", file.display());
    assert!(line.contains("new configuration rejected, configuration 2 goes on") && line.contains(&place), "{line}");
    assert!(serving.get().ends_with("second"));
    serving.signal("TERM");
    assert_eq!(serving.wait().code(), Some(0));
}

#[test]
fn a_file_that_cannot_be_served_is_refused_with_place_and_advice() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("g.yaml");
    for (content, words) in [
        (
            Some("dynamic_resources: {}\nstatic_resources: {}\n"),
            ":1:1: dynamic_resources: not served by the embedded gateway; run this file on Envoy: envoy -c ",
        ),
        (
            Some("static_resources: {listeners: 7}\n"),
            ":1:31: static_resources.listeners: expected a list, found a number",
        ),
        (None, "cannot be read"),
    ] {
        match content {
            Some(content) => std::fs::write(&file, content).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let output = Command::new(env!("CARGO_BIN_EXE_sluice")).arg("serve").arg(&file).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.starts_with(&format!("sluice: {}:", file.display())) && errors.contains(words), "{errors}");
    }
}
