//! Requests in a file, one JSON object a line: written by hand, or Envoy's access log.

use crate::request::{Parts, Request, named_header, shown};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Longest line in bytes.
pub const MAX_LINE: usize = 1024 * 1024;

/// Lines of a file, one after the other.
pub struct Lines {
    source: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
}

/// A line's number, and its request or what is wrong with it.
pub type Numbered = (u64, Result<Request, String>);

/// A line's number, and what stands in it or is wrong with it.
pub type NumberedEntry = (u64, Result<Entry, String>);

/// What a line of a timeline may be.
#[derive(Debug)]
pub enum Entry {
    Request(Box<Request>),
    Settlement(Settlement),
}

/// What an earlier request has really cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// When that became known, in nanoseconds.
    pub at: u64,
    /// The request's `id`.
    pub id: String,
    /// Units.
    pub cost: u64,
}

impl Lines {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// With the file's name.
    pub fn open(file: &Path) -> Result<Self, String> {
        let source: Box<dyn BufRead> = if file == Path::new("-") {
            Box::new(BufReader::with_capacity(1 << 16, io::stdin()))
        } else {
            let opened = File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
            if opened.metadata().is_ok_and(|metadata| metadata.is_dir()) {
                return Err(format!("{}: is a directory", file.display()));
            }
            Box::new(BufReader::with_capacity(1 << 16, opened))
        };
        Ok(Self { source, line: Vec::new(), number: 0 })
    }

    /// The next request.
    ///
    /// # Errors
    /// If the file cannot be read on.
    pub fn next(&mut self) -> Result<Option<Numbered>, String> {
        let entry = self.next_entry()?;
        Ok(entry.map(|(line, entry)| {
            let request = entry.and_then(|entry| match entry {
                Entry::Request(request) => Ok(*request),
                Entry::Settlement(_) => Err("expected a request, found a settlement".to_owned()),
            });
            (line, request)
        }))
    }

    /// The next line that is not blank.
    ///
    /// # Errors
    /// If the file cannot be read on.
    pub fn next_entry(&mut self) -> Result<Option<NumberedEntry>, String> {
        loop {
            let whole = match self.read() {
                Ok(None) => return Ok(None),
                Ok(Some(whole)) => whole,
                Err(error) => return Err(format!("line {}: {error}", self.number + 1)),
            };
            self.number += 1;
            if !whole {
                return Ok(Some((self.number, Err(format!("expected a line of at most {MAX_LINE} bytes")))));
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some((self.number, read(&self.line))));
            }
        }
    }

    /// Reads a line, and whether it was short enough to keep.
    fn read(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        let (mut any, mut whole) = (false, true);
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                return Ok(any.then_some(whole));
            }
            any = true;
            let end = memchr(buffer);
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            whole &= self.line.len() + part.len() <= MAX_LINE;
            if whole {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.source.consume(taken);
            if end.is_some() {
                return Ok(Some(whole));
            }
        }
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

/// Fields that only an access log has; a line with one of them may have any others beside it.
const LOG_MARKS: [&str; 20] = [
    "bytes_received",
    "bytes_sent",
    "downstream_local_address",
    "downstream_remote_address",
    "duration",
    "protocol",
    "request_id",
    "requested_server_name",
    "response_code",
    "response_code_details",
    "response_flags",
    "route_name",
    "start_time",
    "status",
    "time",
    "timestamp",
    "upstream_cluster",
    "upstream_host",
    "user_agent",
    "x_forwarded_for",
];
/// Where an access log may have the path as the client sent it, best first.
const LOG_PATHS: [&str; 7] = [
    "x-envoy-original-path",
    "x_envoy_original_path",
    "x-envoy-origin-path",
    "x_envoy_origin_path",
    "sluice_original_path",
    "original_path",
    "path",
];
/// Request headers that access logs spell with underscores.
const LOG_HEADERS: [(&str, &str); 6] = [
    ("user_agent", "user-agent"),
    ("referer", "referer"),
    ("x_forwarded_for", "x-forwarded-for"),
    ("x_forwarded_proto", "x-forwarded-proto"),
    ("request_id", "x-request-id"),
    ("content_type", "content-type"),
];

fn read(line: &[u8]) -> Result<Entry, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        let text = error.to_string();
        let text = text.replace(" at line 1 column ", " at column ");
        format!("not valid JSON: {text}")
    })?;
    let Value::Object(fields) = value else {
        return Err(format!("expected an object, found {}", shown(line.trim_ascii())));
    };
    if fields.contains_key("settles") {
        return settlement(fields).map(Entry::Settlement);
    }
    let mark =
        |name: &String| LOG_MARKS.contains(&name.as_str()) || name != "path" && LOG_PATHS.contains(&name.as_str());
    let is_log = fields.keys().any(mark);
    let parts = if is_log { logged(fields) } else { plain(fields) };
    parts?.request().map(|request| Entry::Request(Box::new(request)))
}

fn settlement(fields: Map<String, Value>) -> Result<Settlement, String> {
    const KNOWN: [&str; 3] = ["t_ms", "settles", "cost"];
    let (mut at, mut id, mut cost) = (None, String::new(), None);
    for (name, value) in fields {
        match name.as_str() {
            "t_ms" => at = Some(milliseconds(&name, &value)?),
            "settles" => id = text(&name, value)?,
            "cost" => cost = Some(units(&name, &value)?),
            _ => return Err(unknown(&name, &KNOWN)),
        }
    }
    let missing = |name: &str| format!("missing field \"{name}\"");
    Ok(Settlement { at: at.ok_or_else(|| missing("t_ms"))?, id, cost: cost.ok_or_else(|| missing("cost"))? })
}

fn unknown(name: &str, known: &[&str]) -> String {
    let near = filter_kit::config::nearest(name, known);
    let near = near.map_or_else(
        || format!("expected one of \"{}\"", known.join("\", \"")),
        |near| format!("did you mean \"{near}\"?"),
    );
    format!("{name}: unknown field; {near}")
}

/// A line written for us.
fn plain(fields: Map<String, Value>) -> Result<Parts, String> {
    const KNOWN: [&str; 14] = [
        "method",
        "url",
        "path",
        "host",
        "authority",
        "scheme",
        "headers",
        "body",
        "source_address",
        "port",
        "t_ms",
        "id",
        "cost",
        "duration_ms",
    ];
    let mut parts = Parts { method: b"GET".to_vec(), ..Parts::default() };
    let (mut url, mut authority) = (None, None);
    for (name, value) in fields {
        match name.as_str() {
            "method" => parts.method = text(&name, value)?.into_bytes(),
            "url" | "path" => {
                let text = text(&name, value)?;
                if name == "path" && !text.starts_with('/') && text != "*" {
                    return Err(format!("path: expected a path that starts with \"/\", found {text:?}"));
                }
                if url.replace(text).is_some() {
                    return Err("expected either \"url\" or \"path\", found both".to_owned());
                }
            }
            "host" | "authority" => {
                if authority.replace(text(&name, value)?).is_some() {
                    return Err("expected either \"host\" or \"authority\", found both".to_owned());
                }
            }
            "scheme" => parts.scheme = Some(text(&name, value)?),
            "headers" => parts.headers = headers(value)?,
            "body" => parts.body = Some(text(&name, value)?.into_bytes()),
            "source_address" => parts.source_address = Some(address(&text(&name, value)?)?.0),
            "port" => parts.port = Some(port(&value)?),
            "t_ms" => parts.at = Some(milliseconds(&name, &value)?),
            "id" => parts.replay.id = Some(text(&name, value)?),
            "cost" => parts.replay.cost = Some(units(&name, &value)?),
            "duration_ms" => parts.replay.duration = Some(milliseconds(&name, &value)?),
            _ => return Err(unknown(&name, &KNOWN)),
        }
    }
    parts.url = url.ok_or("missing field \"url\" or \"path\"")?.into_bytes();
    parts.authority = authority.map(String::into_bytes);
    Ok(parts)
}

/// A line of an access log. What is not known there is `-` or `null`.
fn logged(mut fields: Map<String, Value>) -> Result<Parts, String> {
    fields.retain(|_, value| !value.is_null() && *value != "-");
    let mut take = |names: &[&str]| {
        let found = names.iter().find_map(|name| Some((*name, fields.remove(*name)?)));
        found.map(|(name, value)| text(name, value)).transpose()
    };
    let path = take(&LOG_PATHS)?.ok_or("missing field \"path\"")?;
    let mut parts = Parts {
        method: take(&["method", ":method"])?.unwrap_or_else(|| "GET".to_owned()).into_bytes(),
        url: path.into_bytes(),
        authority: take(&["authority", ":authority", "host"])?.map(String::into_bytes),
        scheme: take(&["scheme", ":scheme"])?.map(|scheme| scheme.to_ascii_lowercase()),
        ..Parts::default()
    };
    if let Some(address_and_port) = take(&["downstream_remote_address", "source_address"])? {
        parts.source_address = Some(address(&address_and_port)?.0);
    }
    if let Some(address_and_port) = take(&["downstream_local_address"])? {
        parts.port = address(&address_and_port)?.1;
    }
    if let Some(time) = take(&["start_time", "time", "timestamp"])? {
        parts.at = instant(&time);
    }
    // Envoy's access logs tell it in milliseconds
    parts.replay.duration = take(&["duration"])?.and_then(|text| text.parse::<u64>().ok()?.checked_mul(1_000_000));
    parts.replay.size = take(&["bytes_received"])?.and_then(|text| text.parse().ok());
    for (name, header) in LOG_HEADERS {
        if let Some(value) = take(&[name])? {
            parts.headers.push(named_header(header, value.as_bytes())?);
        }
    }
    if let Some(value) = fields.remove("headers") {
        parts.headers.extend(headers(value)?);
    }
    // names of headers have hyphens, names of other fields have none
    for (name, value) in fields {
        if name.contains('-') && !LOG_PATHS.contains(&name.as_str()) {
            parts.headers.push(named_header(&name, text(&name, value)?.as_bytes())?);
        }
    }
    Ok(parts)
}

fn headers(value: Value) -> Result<Vec<(String, Vec<u8>)>, String> {
    let expected = "expected headers as an object, or as a list of \"name: value\"";
    let mut headers = Vec::new();
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let values = if let Value::Array(values) = value { values } else { vec![value] };
                for value in values {
                    let value = text(&format!("headers.{name}"), value)?;
                    headers.push(named_header(&name, value.as_bytes())?);
                }
            }
        }
        Value::Array(lines) => {
            for line in lines {
                headers.push(crate::request::header(text("headers", line)?.as_bytes())?);
            }
        }
        other => return Err(format!("headers: {expected}, found {}", shown(other.to_string().as_bytes()))),
    }
    Ok(headers)
}

/// Text, or a number as text.
fn text(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("{name}: expected a string, found {}", shown(other.to_string().as_bytes()))),
    }
}

fn port(value: &Value) -> Result<u16, String> {
    let port = value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    port.ok_or_else(|| format!("port: expected 1 to 65535, found {}", shown(value.to_string().as_bytes())))
}

/// A whole number of units.
fn units(name: &str, value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .ok_or_else(|| format!("{name}: expected a whole number, found {}", shown(value.to_string().as_bytes())))
}

/// Nanoseconds from milliseconds, which may have a fraction.
fn milliseconds(name: &str, value: &Value) -> Result<u64, String> {
    let whole = value.as_u64().and_then(|ms| ms.checked_mul(1_000_000));
    let number = whole.or_else(|| value.as_f64().filter(|ms| (0.0..1e13).contains(ms)).map(|ms| (ms * 1e6) as u64));
    number.ok_or_else(|| format!("{name}: expected milliseconds, found {}", shown(value.to_string().as_bytes())))
}

/// Nanoseconds since 1970 of a time as access logs write it; nothing for other forms.
fn instant(text: &str) -> Option<u64> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    time.unix_timestamp_nanos().try_into().ok()
}

/// An address, with or without a port.
fn address(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address, None));
    }
    match text.parse::<SocketAddr>() {
        Ok(both) => Ok((both.ip(), Some(both.port()))),
        Err(_) => Err(format!("expected an IP address, found {}", shown(text.as_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method, scheme, authority, path, then headers, body, address and port.
    fn told(line: &str) -> Result<String, String> {
        let Entry::Request(request) = read(line.as_bytes())? else { return Err("a settlement".to_owned()) };
        let fields: Vec<_> = request
            .head
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value);
                if name.starts_with(b":") {
                    value.into_owned()
                } else {
                    format!("{}={value}", String::from_utf8_lossy(name))
                }
            })
            .collect();
        let body = request.body.map(|body| format!("body {}", String::from_utf8_lossy(&body)));
        let rest = [body, request.source_address.map(|a| a.to_string()), request.port.map(|p| p.to_string())];
        Ok(fields.into_iter().chain(rest.into_iter().flatten()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lines_written_for_us() {
        for (line, expected) in [
            (r#"{"path": "/a?b"}"#, "GET http localhost /a?b"),
            (r#"{"method": "POST", "url": "https://h/a", "body": "x"}"#, "POST https h /a body x 443"),
            (
                r#"{"url": "/a", "host": "h", "scheme": "https", "port": 1, "source_address": "::1"}"#,
                "GET https h /a ::1 1",
            ),
            (r#"{"url": "/", "headers": {"A": "1", "b": ["2", "3"], "c": 4}}"#, "GET http localhost / a=1 b=2 b=3 c=4"),
            (r#"{"url": "/", "headers": ["A: 1", "a:2"]}"#, "GET http localhost / a=1 a=2"),
        ] {
            assert_eq!(told(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn lines_of_an_access_log() {
        for (line, expected) in [
            (
                r#"{"start_time":"2026-01-01T00:00:00Z","method":"GET","path":"/a","authority":"h:1","response_code":200,
                    "user_agent":"curl","x_forwarded_for":null,"request_id":"-","downstream_remote_address":"10.0.0.1:5",
                    "downstream_local_address":"[::1]:8443","whatever":{"a":1}}"#,
                "GET http h:1 /a user-agent=curl 10.0.0.1 8443",
            ),
            (
                r#"{"method":"GET","path":"/b","x-envoy-original-path":"/a","x-user-type":"beta"}"#,
                "GET http localhost /a x-user-type=beta",
            ),
            (r#"{"path":"/b","x-envoy-origin-path":"/c","duration":1}"#, "GET http localhost /c"),
            (r#"{"path":"/b","sluice_original_path":"-","duration":1}"#, "GET http localhost /b"),
        ] {
            assert_eq!(told(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn bad_lines_say_why() {
        for (line, words) in [
            ("x", "not valid JSON: expected value at column 1"),
            ("[]", "expected an object"),
            ("{}", "missing field \"url\" or \"path\""),
            (r#"{"duration": 1}"#, "missing field \"path\""),
            (r#"{"url": "/", "hedaers": {}}"#, "hedaers: unknown field; did you mean \"headers\"?"),
            (
                r#"{"url": "/", "source-address": ""}"#,
                "source-address: unknown field; did you mean \"source_address\"?",
            ),
            (r#"{"url": "/", "path": "/"}"#, "found both"),
            (r#"{"url": "/", "host": "a", "authority": "b"}"#, "found both"),
            (r#"{"path": "http://h/"}"#, "path: expected a path"),
            (r#"{"url": 7}"#, "expected a path that starts with"),
            (r#"{"url": {}}"#, "url: expected a string"),
            (r#"{"url": "/", "port": 0}"#, "port: expected 1 to 65535, found \"0\""),
            (r#"{"url": "/", "source_address": "here"}"#, "expected an IP address"),
            (r#"{"url": "/", "headers": 1}"#, "headers: expected headers as an object"),
            (r#"{"url": "/", "headers": {"a b": ""}}"#, "expected a header name"),
            (r#"{"url": "/", "headers": {"a": "\n"}}"#, "without control characters"),
            (r#"{"url": "/", "headers": ["a"]}"#, "expected a header like"),
            (r#"{"url": "/", "scheme": "ftp"}"#, "expected the scheme"),
            (r#"{"url": "/", "method": "get"}"#, "did you mean \"GET\"?"),
        ] {
            let error = told(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
        assert!(read(b"{\"url\": \"/\xff\"}").is_err());
        for (line, expected) in [
            (r#"{"settles": "a", "t_ms": 1, "cost": 2}"#, "a settlement"),
            (r#"{"settles": "a", "t_ms": 1}"#, "missing field \"cost\""),
            (r#"{"settles": "a", "cost": 1}"#, "missing field \"t_ms\""),
            (r#"{"settles": "a", "t_ms": 1, "cost": -2}"#, "cost: expected a whole number, found \"-2\""),
            (r#"{"settles": "a", "t_ms": 1, "cots": 2}"#, "cots: unknown field; did you mean \"cost\"?"),
            (r#"{"path": "/", "duration_ms": "x"}"#, r#"duration_ms: expected milliseconds, found "\"x\"""#),
        ] {
            assert_eq!(told(line).unwrap_err(), expected, "{line}");
        }
    }

    #[test]
    fn a_long_line_is_told_and_passed_over() {
        let source = format!("{{\"url\": \"/a\"}}\n{}\n\n{{\"url\": \"/b\"}}", "x".repeat(MAX_LINE + 1));
        let mut lines = Lines { source: Box::new(io::Cursor::new(source)), line: Vec::new(), number: 0 };
        let mut seen = Vec::new();
        while let Some((number, request)) = lines.next().unwrap() {
            seen.push((number, request.map(|request| request.head.path().to_vec())));
        }
        let long = Err(format!("expected a line of at most {MAX_LINE} bytes"));
        assert_eq!(seen, [(1, Ok(b"/a".to_vec())), (2, long), (4, Ok(b"/b".to_vec()))]);
    }
}
