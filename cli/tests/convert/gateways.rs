//! Gateways that a test starts, and servers behind them.

use super::corpus::Request;
use std::io::{Read, Write};

/// Free ports: held until the gateway starts, so that none is given out twice.
#[derive(Default)]
pub struct Ports(Vec<std::net::TcpListener>);

impl Ports {
    pub fn free(&mut self) -> u16 {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        self.0.push(held);
        port
    }
}

/// Ends with the test.
pub struct Gateway(pub std::process::Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks Envoy.
pub fn ask(port: u16, request: &Request) -> String {
    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let host = request.host.clone().unwrap_or_else(|| "client.test".to_owned());
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n", request.method, request.path);
    request.headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
    client.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer.replace('\r', "")
}

/// Answers one request with the name of the cluster, path and host.
pub fn named_answer(mut connection: std::net::TcpStream, name: &str) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(connection.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let body = format!("\ncluster {name}\npath {path}\nhost {host}\n");
    let _ = write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
}

/// Answers one request with its head.
pub fn answer(mut connection: std::net::TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(connection.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    let _ = write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", head.len());
    let _ = connection.write_all(&head);
}
