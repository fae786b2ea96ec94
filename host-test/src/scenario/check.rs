//! Comparing what was seen with what was expected.

use super::format::{Case, Header, Text, Upstream, expand};
use super::observe::{Message, Observation};
use std::fmt;

/// One field that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field, as in `upstream.path`.
    pub at: String,
    /// What stands in the file.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// The same, whole, where it is one value.
    pub value: Option<Vec<u8>>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n      expected {}\n      seen     {}", self.at, self.expected, self.seen)
    }
}

/// All differences.
pub fn compare(case: &Case, seen: &Observation) -> Vec<Difference> {
    let mut found = Found::default();
    found.received("upstream", case.upstream.as_ref(), seen.upstream.as_ref());
    found.received("mirror", case.mirror.as_ref(), seen.mirror.as_ref());
    let client = &case.client;
    if let Some(status) = client.status {
        found.compare("client.status", status.to_string().as_bytes(), seen.client.value(":status"));
    }
    found.message("client", &seen.client, &client.headers, &client.absent, &client.trailers);
    if let Some(body) = &client.body {
        found.compare("client.body", body.bytes(), Some(&seen.client.body));
    }
    found.compare("client.reset", client.reset.to_string().as_bytes(), Some(seen.reset.to_string().as_bytes()));
    if !client.reset {
        found.framing("client", &seen.client);
    }
    for (name, expected) in &case.counters {
        let grown = seen.counters.get(name).copied().unwrap_or(0);
        found.compare(&format!("counters.{name}"), expected.to_string().as_bytes(), Some(grown.to_string().as_bytes()));
    }
    for (name, expected) in &case.log {
        found.compare(&format!("log.{name}"), expected.as_bytes(), Some(seen.log_field(name)));
    }
    if let Some(expected) = case.service.as_ref().filter(|expected| **expected != seen.service) {
        let (at, expected, seen) = ("service".to_owned(), calls(expected), calls(&seen.service));
        found.0.push(Difference { at, expected, seen, value: None });
    }
    found.0
}

/// What every runner has to see alike, whether or not the case expects it.
pub fn common(case: &Case, seen: &Observation) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut field = |at: &str, value: Option<&[u8]>| fields.push((at.to_owned(), shown(value)));
    if let Some((cluster, message)) = &seen.upstream {
        let is_drawn = case.upstream.as_ref().is_some_and(|expected| !expected.any_of.is_empty());
        if !is_drawn {
            field("upstream.cluster", Some(cluster.as_bytes()));
        }
        for name in [":method", ":path", ":authority", "x-sluice-route", "x-sluice-cluster"] {
            if is_drawn && matches!(name, ":authority" | "x-sluice-cluster") {
                continue;
            }
            field(&format!("upstream {name}"), message.value(name));
        }
        let sent = expand(&case.request.headers);
        for (name, _) in sent.iter().filter(|(name, _)| !FRAMING.contains(&name.as_str())) {
            let values: Vec<&[u8]> = message.values(name).collect();
            field(&format!("upstream {name}"), Some(&values.join(&b" | "[..])));
        }
        field("upstream.body", Some(&message.body));
    }
    if let Some((cluster, message)) = &seen.mirror {
        field("mirror.cluster", Some(cluster.as_bytes()));
        for name in [":method", ":path", ":authority"] {
            field(&format!("mirror {name}"), message.value(name));
        }
        field("mirror.body", Some(&message.body));
    }
    field("client.status", seen.client.value(":status"));
    field("client.body", Some(&seen.client.body));
    for name in case.counters.keys() {
        field(&format!("counters.{name}"), Some(seen.counters.get(name).unwrap_or(&0).to_string().as_bytes()));
    }
    for name in case.log.keys() {
        field(&format!("log.{name}"), Some(seen.log_field(name)));
    }
    if case.service.is_some() {
        field("service", Some(calls(&seen.service).as_bytes()));
    }
    fields
}

/// Calls for people.
fn calls(calls: &[rate_limit_service::Call]) -> String {
    if calls.is_empty() {
        "no call".to_owned()
    } else {
        calls.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n               ")
    }
}

/// Headers that belong to a connection, not to a message.
const FRAMING: [&str; 4] = ["content-length", "transfer-encoding", "connection", "te"];

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn compare(&mut self, at: &str, expected: &[u8], seen: Option<&[u8]>) {
        if seen != Some(expected) {
            let value = seen.map(<[u8]>::to_vec);
            let (expected, seen) = (shown(Some(expected)), shown(seen));
            self.0.push(Difference { at: at.to_owned(), expected, seen, value });
        }
    }

    /// What a cluster got.
    fn received(&mut self, at: &str, expected: Option<&Upstream>, seen: Option<&(String, Message)>) {
        if let Some((_, message)) = seen {
            self.framing(at, message);
        }
        let Some(expected) = expected else { return };
        if let Some(expected) = &expected.cluster {
            let cluster = seen.map_or("none", |(cluster, _)| cluster);
            self.compare(&format!("{at}.cluster"), expected.as_bytes(), Some(cluster.as_bytes()));
        }
        if !expected.any_of.is_empty() && !seen.is_some_and(|(cluster, _)| expected.any_of.contains(cluster)) {
            let cluster = seen.map_or("none", |(cluster, _)| cluster);
            let expected = format!("one of {}", expected.any_of.join(", "));
            self.0.push(Difference { at: format!("{at}.any_of"), expected, seen: cluster.to_owned(), value: None });
        }
        let none = Message::default();
        let message = seen.map_or(&none, |(_, message)| message);
        let pseudo = [
            ("method", ":method", expected.method.as_ref().map(String::as_bytes)),
            ("path", ":path", expected.path.as_ref().map(Text::bytes)),
            ("authority", ":authority", expected.authority.as_ref().map(Text::bytes)),
        ];
        for (field, name, expected) in pseudo {
            if let Some(expected) = expected {
                self.compare(&format!("{at}.{field}"), expected, message.value(name));
            }
        }
        self.message(at, message, &expected.headers, &expected.absent, &expected.trailers);
        if let Some(body) = &expected.body {
            self.compare(&format!("{at}.body"), body.bytes(), Some(&message.body));
        }
    }

    fn message(&mut self, at: &str, message: &Message, headers: &[Header], absent: &[String], trailers: &[Header]) {
        self.fields(&format!("{at}.headers"), &expand(headers), &message.headers);
        self.fields(&format!("{at}.trailers"), &expand(trailers), &message.trailers);
        for name in absent {
            if let Some(value) = message.value(&name.to_ascii_lowercase()) {
                let (at, expected) = (format!("{at}.absent"), format!("no {name}"));
                self.0.push(Difference { at, expected, seen: shown(Some(value)), value: None });
            }
        }
    }

    /// For each name, the values in their order.
    fn fields(&mut self, at: &str, expected: &[(String, Vec<u8>)], seen: &[(String, Vec<u8>)]) {
        let values = |fields: &[(String, Vec<u8>)], name: &str| -> Vec<Vec<u8>> {
            fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
        };
        let mut names: Vec<&String> = expected.iter().map(|(name, _)| name).collect();
        names.dedup();
        for name in names {
            let (expected, seen) = (values(expected, name), values(seen, name));
            if expected != seen {
                let show = |values: &[Vec<u8>]| values.iter().map(|v| shown(Some(v))).collect::<Vec<_>>().join(", ");
                let seen = if seen.is_empty() { "nothing".to_owned() } else { show(&seen) };
                self.0.push(Difference { at: format!("{at}.{name}"), expected: show(&expected), seen, value: None });
            }
        }
    }

    fn framing(&mut self, at: &str, message: &Message) {
        if let Some(fault) = &message.framing {
            let (at, expected) = (format!("{at} framing"), "a body as long as its head says".to_owned());
            self.0.push(Difference { at, expected, seen: fault.clone(), value: None });
        }
    }
}

/// Bytes for people, shortened.
fn shown(bytes: Option<&[u8]>) -> String {
    const LONGEST: usize = 200;
    let Some(bytes) = bytes else { return "nothing".to_owned() };
    let start = bytes.get(..LONGEST).unwrap_or(bytes);
    let more = if start.len() < bytes.len() { format!(".. ({} bytes)", bytes.len()) } else { String::new() };
    format!("\"{}\"{more}", start.escape_ascii())
}
