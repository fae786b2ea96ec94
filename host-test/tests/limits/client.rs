//! A client of Envoy, byte by byte.

use crate::envoy::BOUND;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub struct Connection(BufReader<TcpStream>);

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    fields: Vec<(String, String)>,
    pub body: String,
}

impl Connection {
    /// `None` where nobody listens.
    pub fn open(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_nodelay(true).unwrap();
        Some(Self(BufReader::new(stream)))
    }

    pub fn send(&mut self, bytes: &str) {
        self.send_bytes(bytes.as_bytes());
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Sends a request without a body.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) {
        let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
    }

    /// Sends a request and reads the whole response; its status.
    pub fn ask(&mut self, path: &str, key: &str) -> u16 {
        self.ask_with(path, &[("x-key", key)]).status
    }

    pub fn ask_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.get(path, headers);
        self.response()
    }

    pub fn response(&mut self) -> Response {
        self.try_response().expect("a response")
    }

    /// A response, unless the connection ends before it does.
    pub fn try_response(&mut self) -> Option<Response> {
        let mut response = self.head()?;
        if response.field("transfer-encoding").is_some() {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).unwrap();
                let mut chunk = vec![0; size + 2];
                self.0.read_exact(&mut chunk).ok()?;
                if size == 0 {
                    return Some(response);
                }
                response.body.push_str(&String::from_utf8_lossy(&chunk[..size]));
            }
        }
        let length = response.field("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        response.body = String::from_utf8_lossy(&body).into_owned();
        Some(response)
    }

    /// The head of a response, whose body is left where it is.
    pub fn head(&mut self) -> Option<Response> {
        let status = self.line()?.split(' ').nth(1).unwrap().parse().unwrap();
        let mut fields = Vec::new();
        while let Some((name, value)) = self.line()?.split_once(": ") {
            fields.push((name.to_owned(), value.to_owned()));
        }
        Some(Response { status, fields, body: String::new() })
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    }
}

impl Response {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// Units left of the first limit that is told.
    pub fn left(&self) -> u64 {
        let told = self.field("ratelimit").unwrap_or_else(|| panic!("nothing is told of what is left: {self:?}"));
        let left = told.split(";r=").nth(1).unwrap();
        left.split([';', ',']).next().unwrap().parse().unwrap()
    }
}
