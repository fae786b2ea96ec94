//! A request as the command line and recorded lines describe it.

use filter_kit::env::Step;
use filter_kit::head::{is_header_name, is_header_value};
use filter_kit::{Callout, Contended, CounterId, Env, Head, config};
use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

/// A request, and what a filter may know beside it.
#[derive(Debug, Clone)]
pub struct Request {
    pub head: Head,
    /// The body; nothing if it is not known.
    pub body: Option<Vec<u8>>,
    pub source_address: Option<IpAddr>,
    /// The port that the connection came to.
    pub port: Option<u16>,
    /// When it came, in nanoseconds since 1970 or since any other beginning.
    pub at: Option<u64>,
    pub replay: Replay,
}

/// What only a replay looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replay {
    /// What a later line settles it by.
    pub id: Option<String>,
    /// Units that it takes at first.
    pub cost: Option<u64>,
    /// Nanoseconds that it was in flight.
    pub duration: Option<u64>,
    /// Bytes of its body.
    pub size: Option<u64>,
}

/// The parts of a request before they are checked.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    pub method: Vec<u8>,
    /// An absolute URL or a path.
    pub url: Vec<u8>,
    /// Overrides what the URL says.
    pub scheme: Option<String>,
    /// Overrides what the URL says.
    pub authority: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Option<Vec<u8>>,
    pub source_address: Option<IpAddr>,
    /// Overrides what the URL says.
    pub port: Option<u16>,
    /// When it came.
    pub at: Option<u64>,
    pub replay: Replay,
}

/// Methods of the IANA registry that are in use, to tell a slip from a method of somebody's own.
const METHODS: [&str; 12] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "MKCOL", "REPORT"];
/// Longest URL in bytes; hosts take less.
const MAX_URL: usize = 64 * 1024;

impl Parts {
    /// Checks them and puts the request together.
    ///
    /// # Errors
    /// In words, for what no client could send.
    pub fn request(self) -> Result<Request, String> {
        check_method(&self.method)?;
        let url = Url::parse(&self.url)?;
        let scheme = self.scheme.unwrap_or_else(|| url.scheme.to_owned());
        if !matches!(scheme.as_str(), "http" | "https") {
            return Err(format!("expected the scheme \"http\" or \"https\", found {scheme:?}"));
        }
        let named = self.headers.iter().position(|(name, _)| name == "host");
        let mut headers = self.headers;
        let host = named.map(|at| headers.remove(at).1);
        let authority = self.authority.or(host);
        let authority = authority.as_deref().unwrap_or(url.authority);
        check_authority(authority)?;
        let pseudo: [(&[u8], &[u8]); 4] = [
            (b":method", &self.method),
            (b":scheme", scheme.as_bytes()),
            (b":authority", authority),
            (b":path", &url.path),
        ];
        let fields = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
        Ok(Request {
            head: Head::from_fields(pseudo.into_iter().chain(fields)),
            body: self.body,
            source_address: self.source_address,
            port: self.port.or(url.port),
            replay: self.replay,
            at: self.at,
        })
    }
}

/// A header as in `name: value`.
///
/// # Errors
/// In words.
pub fn header(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let Some((name, value)) = line.iter().position(|b| *b == b':').and_then(|at| line.split_at_checked(at)) else {
        return Err(format!("expected a header like \"name: value\", found {}", shown(line)));
    };
    let name = std::str::from_utf8(name).map_err(|_| format!("expected a header name, found {}", shown(name)))?;
    named_header(name, value.get(1..).unwrap_or_default().trim_ascii())
}

/// A header by name and value.
///
/// # Errors
/// In words.
pub fn named_header(name: &str, value: &[u8]) -> Result<(String, Vec<u8>), String> {
    if !is_header_name(name) || name.starts_with(':') {
        return Err(format!("expected a header name, found {name:?}"));
    }
    if !is_header_value(value) {
        return Err(format!("expected the value of {name} without control characters, found {}", shown(value)));
    }
    Ok((name.to_ascii_lowercase(), value.to_vec()))
}

fn check_method(method: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(method).ok().filter(|text| is_header_name(text) && !text.starts_with(':'));
    let Some(text) = text else { return Err(format!("expected an HTTP method such as GET, found {}", shown(method))) };
    if METHODS.contains(&text) {
        return Ok(());
    }
    match config::nearest(&text.to_ascii_uppercase(), &METHODS) {
        Some(near) => Err(format!("unknown method {text:?}; did you mean \"{near}\"?")),
        None => Ok(()),
    }
}

fn check_authority(authority: &[u8]) -> Result<(), String> {
    let good = authority.iter().all(|b| *b > 0x20 && *b != 0x7f && !b"/?#@".contains(b));
    if !authority.is_empty() && good { Ok(()) } else { Err(format!("expected a host, found {}", shown(authority))) }
}

struct Url<'a> {
    scheme: &'static str,
    authority: &'a [u8],
    path: Vec<u8>,
    port: Option<u16>,
}

impl<'a> Url<'a> {
    fn parse(url: &'a [u8]) -> Result<Self, String> {
        if url.len() > MAX_URL {
            return Err(format!("expected a URL of at most {MAX_URL} bytes, found {}", url.len()));
        }
        if let Some(bad) = url.iter().find(|b| **b <= 0x20 || **b == 0x7f) {
            let why = "expected a URL without blanks and control characters (a blank is %20)";
            return Err(format!("{why}, found {:?} in {}", char::from(*bad), shown(url)));
        }
        // a fragment is not sent
        let url = url.split(|b| *b == b'#').next().unwrap_or_default();
        let absolute = [("http", &b"http://"[..], 80), ("https", b"https://", 443)];
        let found = absolute.into_iter().find_map(|(scheme, start, port)| {
            let (begin, rest) = url.split_at_checked(start.len())?;
            begin.eq_ignore_ascii_case(start).then_some((scheme, rest, port))
        });
        let Some((scheme, rest, default)) = found else {
            if url.starts_with(b"/") || url == b"*" {
                return Ok(Self { scheme: "http", authority: b"localhost", path: url.to_vec(), port: None });
            }
            let why = "expected a path that starts with \"/\" or a URL that starts with \"http://\" or \"https://\"";
            return Err(format!("{why}, found {}", shown(url)));
        };
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        check_authority(authority)?;
        let host = filter_kit::matching::strip_port(authority);
        let port = match authority.get(host.len() + 1..) {
            None if !host.contains(&b':') || host.starts_with(b"[") && host.ends_with(b"]") => Some(default),
            None => None,
            Some(port) => std::str::from_utf8(port).ok().and_then(|port| port.parse().ok()).filter(|port| *port > 0),
        };
        if host.is_empty() || port.is_none() {
            return Err(format!("expected a host and a port from 1 to 65535, found {}", shown(authority)));
        }
        let slash: &[u8] = if target.starts_with(b"/") { b"" } else { b"/" };
        Ok(Self { scheme, authority, path: [slash, target].concat(), port })
    }
}

/// Bytes for a message, cut where they get long.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let start = bytes.get(..MOST).unwrap_or(bytes);
    let more = if start.len() < bytes.len() { "..." } else { "" };
    match std::str::from_utf8(start) {
        Ok(text) => format!("{text:?}{more}"),
        Err(_) => format!("\"{}\"{more}", start.escape_ascii()),
    }
}

/// What filters ask of their surroundings. The same draws come again after [`Surroundings::rewind`].
#[derive(Debug)]
pub struct Surroundings {
    seed: u64,
    drawn: Cell<u64>,
    source_address: Option<IpAddr>,
    port: Option<u16>,
}

impl Surroundings {
    /// For a request, with draws that follow from `seed`.
    pub fn new(request: &Request, seed: u64) -> Self {
        let (source_address, port) = (request.source_address, request.port);
        Self { seed, drawn: Cell::new(0), source_address, port }
    }

    /// Goes back to a number of draws.
    pub fn rewind(&self, drawn: u64) {
        self.drawn.set(drawn);
    }
}

/// A seed that nobody foresees.
pub fn any_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Env for Surroundings {
    fn random(&self) -> u64 {
        self.drawn.set(self.drawn.get() + 1);
        // SplitMix64
        let mixed = self.seed.wrapping_add(self.drawn.get().wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn count(&self, _: CounterId, _: u64) {}

    fn source_address(&self) -> Option<IpAddr> {
        self.source_address
    }

    fn destination_port(&self) -> Option<u16> {
        self.port
    }

    fn upstream_attempt(&self) -> Option<u64> {
        None
    }

    fn property(&self, _: &[&str]) -> Option<Vec<u8>> {
        None
    }

    /// Whatever it is, a request is the same with it.
    fn variable(&self, _: &str) -> Option<String> {
        Some("(hidden)".to_owned())
    }

    fn monotonic(&self) -> u64 {
        0
    }

    fn wall(&self) -> u64 {
        0
    }

    /// Nothing has been stored, and nothing is.
    fn update(&self, _: &str, step: &mut Step<'_>) -> Result<(), Contended> {
        step(None);
        Ok(())
    }

    /// Nobody is asked.
    fn call(&self, _: &Callout, _: u64) -> bool {
        false
    }

    fn set_log_field(&self, _: &str, _: &[u8]) {}

    fn log_error(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, url: &str) -> Result<String, String> {
        let parts = Parts { method: method.into(), url: url.into(), ..Parts::default() };
        let request = parts.request()?;
        let text = |name| String::from_utf8_lossy(request.head.get(name).unwrap()).into_owned();
        let port = request.port.map_or("-".to_owned(), |port| port.to_string());
        Ok(format!("{} {} {} {port}", text(":scheme"), text(":authority"), text(":path")))
    }

    #[test]
    fn urls_are_taken_apart() {
        for (url, expected) in [
            ("/a?b=c", "http localhost /a?b=c -"),
            ("/a#b", "http localhost /a -"),
            ("*", "http localhost * -"),
            ("http://h", "http h / 80"),
            ("HTTPS://H.test:8443?x#y", "https H.test:8443 /?x 8443"),
            ("https://[::1]:8443/a//b", "https [::1]:8443 /a//b 8443"),
            ("https://[::1]/", "https [::1] / 443"),
            ("/%zz/\u{e4}", "http localhost /%zz/\u{e4} -"),
        ] {
            assert_eq!(request("GET", url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for (method, url, words) in [
            ("GET", "", "expected a path that starts with"),
            ("GET", "example.com/a", "expected a path that starts with"),
            ("GET", "ftp://h/", "expected a path that starts with"),
            ("GET", "http://", "expected a host"),
            ("GET", "http:///a", "expected a host"),
            ("GET", "http://u@h/", "expected a host"),
            ("GET", "http://h:0/", "a port from 1 to 65535"),
            ("GET", "http://h:99999/", "a port from 1 to 65535"),
            ("GET", "http://h:x/", "a port from 1 to 65535"),
            ("GET", "http://:80/", "a port from 1 to 65535"),
            ("GET", "/a b", "without blanks"),
            ("GET", "/a\r\nx: y", "without blanks"),
            ("get", "/", "unknown method \"get\"; did you mean \"GET\"?"),
            ("PSOT", "/", "did you mean \"POST\"?"),
            ("", "/", "expected an HTTP method"),
            ("G T", "/", "expected an HTTP method"),
            (":a", "/", "expected an HTTP method"),
        ] {
            let error = request(method, url).unwrap_err();
            assert!(error.contains(words), "{method:?} {url:?}: {error}");
        }
        assert!(request("PURGE", "/").is_ok(), "a method of one's own");
        let long = request("GET", &format!("/{}", "a".repeat(MAX_URL))).unwrap_err();
        assert!(long.len() < 500, "{long}");
    }

    #[test]
    fn headers_are_bytes() {
        assert_eq!(header(b"X-A:  b: c \t").unwrap(), ("x-a".to_owned(), b"b: c".to_vec()));
        assert_eq!(header(b"x:").unwrap(), ("x".to_owned(), Vec::new()));
        assert_eq!(header(b"x: \xff\xfe").unwrap().1, b"\xff\xfe");
        for bad in [&b"x"[..], b"", b": y", b":path: /", b"x y: z", b"\xff: z", b"x: a\nb"] {
            assert!(header(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_host_header_is_the_authority() {
        let headers = vec![header(b"Host: other:81").unwrap()];
        let parts = Parts { method: b"GET".into(), url: b"http://h/".into(), headers, ..Parts::default() };
        let request = parts.request().unwrap();
        assert_eq!((request.head.authority(), request.head.get("host")), (&b"other:81"[..], None));
    }
}
