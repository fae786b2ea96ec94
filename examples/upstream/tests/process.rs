//! The program as it is started: over a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

struct Upstream {
    process: Child,
    addresses: Vec<String>,
}

impl Upstream {
    fn start(names: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo-upstream"));
        for name in names {
            command.args(["--serve", &format!("{name}=127.0.0.1:0")]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let addresses = names
            .iter()
            .map(|name| {
                let line = lines.next().unwrap().unwrap();
                line.strip_prefix(name).unwrap().trim().to_owned()
            })
            .collect();
        Self { process, addresses }
    }

    /// Sends these bytes; gives the response to its end (the requests ask for the connection to be closed).
    fn exchange(&self, service: usize, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.addresses[service]).unwrap();
        stream.write_all(request).unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        String::from_utf8(response).unwrap()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn each_service_answers_under_its_name_with_a_true_content_length() {
    let upstream = Upstream::start(&["v1", "v2"]);
    let request = b"GET /items?x=1 HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    let response = upstream.exchange(0, request);
    let expected = "{\"service\":\"v1\",\"method\":\"GET\",\"path\":\"/items?x=1\",\"host\":\"shop.example\"}\n";
    assert_eq!(body(&response), expected);
    let length = format!("content-length: {}\r\n", expected.len());
    assert!(response.contains(&length), "{response}");
    assert!(upstream.exchange(1, request).contains("\"service\":\"v2\""));
}

#[test]
fn headers_come_back_when_they_are_asked_for_and_raw_bytes_are_escaped() {
    let upstream = Upstream::start(&["v1"]);
    let response = upstream.exchange(
        0,
        b"GET / HTTP/1.1\r\nHost: h\r\nx-echo-headers: 1\r\nx-raw: a\xffb\r\nx-two: 1\r\nx-two: 2\r\nConnection: close\r\n\r\n",
    );
    let json: serde_json::Value = serde_json::from_str(body(&response)).unwrap();
    let headers: Vec<_> = json["headers"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(
        headers,
        ["host: h", "x-echo-headers: 1", "x-raw: a\\xFFb", "x-two: 1", "x-two: 2", "connection: close"]
    );
}

#[test]
fn bodies_are_counted_whether_or_not_their_length_is_known_and_trailers_are_told() {
    let upstream = Upstream::start(&["v1"]);
    let mut request = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\nConnection: close\r\n\r\n".to_vec();
    request.resize(request.len() + 3_000_000, b'x');
    assert!(body(&upstream.exchange(0, &request)).ends_with("\"body_bytes\":3000000}\n"));

    let chunked =
        b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nConnection: close\r\n\r\n\
        5\r\nhello\r\n2\r\n!!\r\n0\r\nx-sum: 7\r\n\r\n";
    let response = upstream.exchange(0, chunked);
    assert!(body(&response).ends_with("\"body_bytes\":7,\"trailers\":[\"x-sum: 7\"]}\n"), "{response}");

    let empty = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(!upstream.exchange(0, empty).contains("body_bytes"));
}

#[test]
fn attempts_are_told_and_as_many_fail_as_the_query_says() {
    let upstream = Upstream::start(&["v1"]);
    let get = |attempt: &str| {
        let head = format!("GET /a?fail=1 HTTP/1.1\r\nHost: h\r\n{attempt}Connection: close\r\n\r\n");
        upstream.exchange(0, head.as_bytes())
    };
    assert!(get("").starts_with("HTTP/1.1 503 ") && !get("").contains("attempt"));
    assert!(get("x-envoy-attempt-count: 1\r\n").starts_with("HTTP/1.1 503 "));
    let second = get("x-envoy-attempt-count: 2\r\n");
    assert!(second.starts_with("HTTP/1.1 200 ") && second.contains("\"attempt\":2"), "{second}");
}

#[test]
fn an_answer_waits_as_long_as_the_query_says() {
    let upstream = Upstream::start(&["v1"]);
    let started = std::time::Instant::now();
    upstream.exchange(0, b"GET /a?delay_ms=50 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(started.elapsed() >= std::time::Duration::from_millis(50));
}

#[test]
fn a_request_that_is_no_http_is_refused_and_the_next_one_served() {
    let upstream = Upstream::start(&["v1"]);
    // hyper takes UTF-8 in a path, and nothing else beyond ASCII.
    let refused = upstream.exchange(0, b"GET /a\xff HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    let served = upstream.exchange(0, "GET /münchen HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".as_bytes());
    assert!(served.contains("\"path\":\"/münchen\""), "{served}");
}

#[test]
fn sigterm_ends_it_even_with_a_connection_open() {
    let mut upstream = Upstream::start(&["v1"]);
    let _open = TcpStream::connect(&upstream.addresses[0]).unwrap();
    let kill = format!("kill -TERM {}", upstream.process.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let status = upstream.process.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(0), None));
}
