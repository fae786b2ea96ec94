//! The program as it is started.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

#[test]
fn it_tells_where_it_listens_and_ends_when_told_to() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_mock-providers"))
        .args(["--listen", "openai=127.0.0.1:0", "--listen=anthropic=[::1]:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let openai = lines.next().unwrap().unwrap();
    assert!(lines.next().unwrap().unwrap().starts_with("anthropic on [::1]:"));
    let mut stream = TcpStream::connect(openai.strip_prefix("openai on ").unwrap()).unwrap();
    stream
        .write_all(b"GET /v1/models HTTP/1.1\r\nhost: h\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    let kill = format!("kill -TERM {}", process.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn mistakes_are_named() {
    for (argument, expected) in [
        ("bard=127.0.0.1:0", "unknown provider bard"),
        ("openai", "expected KIND=IP:PORT"),
        ("openai=localhost:1", "is no IP:PORT"),
        ("openai=0.0.0.0:0", "expected an address of the loopback"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_mock-providers")).args(["--listen", argument]).output().unwrap();
        assert!(!output.status.success());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(expected), "{told}");
    }
}
