//! JSON values as YAML that Envoy, Kubernetes and people read alike.

use serde_json::{Map, Value};
use std::fmt::Write;

/// Keys that come first, in this order; the others follow by name.
const FIRST: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "@type",
    "tag_name",
    "name",
    "namespace",
    "labels",
    "annotations",
    "spec",
    "filter",
    "priority",
    "match",
    "matches",
    "hosts",
    "domains",
    "ports",
    "methods",
    "schemes",
    "method",
    "path",
    "prefix",
    "ignore_path_case",
    "authority",
    "headers",
    "query_parameters",
    "cookies",
    "source_addresses",
    "grpc",
    "service",
    "targets",
    "cluster",
    "weight",
    "fallback",
    "sticky",
    "redirect",
    "direct_response",
    "status",
    "rewrite",
    "request_headers",
    "response_headers",
    "mirror",
    "set",
    "add",
    "remove",
    "value",
    "pattern",
    "type",
    "address",
    "connect_timeout",
    "stat_prefix",
    "normalize_path",
    "merge_slashes",
    "access_log",
    "timeout",
    "idle_timeout",
    "retry_on",
    "num_retries",
    "root_id",
    "failure_policy",
    "reload_config",
    "vm_id",
    "runtime",
    "code",
    "mode",
    "order",
    "matching",
    "rules",
    "services",
    "default",
    "admin",
    "stats_config",
    "static_resources",
    "listeners",
    "filter_chains",
    "filters",
    "transport_socket",
    "route_config",
    "http_filters",
    "typed_config",
    "config",
    "configuration",
    "clusters",
    "cases",
    "request",
    "upstream",
    "client",
];
/// Longest line that is written in braces.
const WIDTH: usize = 110;

/// A document.
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(entries) if !entries.is_empty() => map(&mut text, entries, 0),
        Value::Array(items) if !items.is_empty() => list(&mut text, items, 0),
        other => {
            flow(&mut text, other);
            text.push('\n');
        }
    }
    text
}

fn map(text: &mut String, entries: &Map<String, Value>, indent: usize) {
    for (number, (key, value)) in ordered(entries).into_iter().enumerate() {
        // the first entry of a list's item stands behind its dash
        if number > 0 || text.ends_with('\n') || text.is_empty() {
            text.extend(std::iter::repeat_n(' ', indent));
        }
        scalar(text, key);
        text.push(':');
        below(text, value, indent, key.chars().count() + 2);
    }
}

fn list(text: &mut String, items: &[Value], indent: usize) {
    for item in items {
        text.extend(std::iter::repeat_n(' ', indent));
        text.push_str("- ");
        match item {
            Value::Object(entries) if !fits(item, indent + 2) => map(text, entries, indent + 2),
            _ => {
                flow(text, item);
                text.push('\n');
            }
        }
    }
}

fn below(text: &mut String, value: &Value, indent: usize, used: usize) {
    match value {
        Value::Object(entries) if !fits(value, indent + used) => {
            text.push('\n');
            map(text, entries, indent + 2);
        }
        Value::Array(items) if !fits(value, indent + used) => {
            text.push('\n');
            list(text, items, indent);
        }
        _ => {
            text.push(' ');
            flow(text, value);
            text.push('\n');
        }
    }
}

/// Whether a value goes on one line.
fn fits(value: &Value, used: usize) -> bool {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    /// A bound from below, so that large values are not written twice at each level.
    fn least(value: &Value, left: &mut usize) -> bool {
        let cost = match value {
            Value::String(text) => text.len(),
            _ => 1,
        };
        match left.checked_sub(cost) {
            Some(rest) => *left = rest,
            None => return false,
        }
        match value {
            Value::Object(entries) => entries.iter().all(|(key, value)| {
                *left = left.saturating_sub(key.len() + 2);
                *left > 0 && least(value, left)
            }),
            Value::Array(items) => items.iter().all(|item| least(item, left)),
            _ => true,
        }
    }
    let is_empty = match value {
        Value::Object(entries) => entries.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if is_empty {
        return true;
    }
    let mut left = WIDTH;
    if depth_at_most(value, 4) && depth(value) <= 4 && least(value, &mut left) {
        let mut line = String::new();
        flow(&mut line, value);
        return used + line.chars().count() <= WIDTH;
    }
    false
}

fn depth_at_most(value: &Value, most: usize) -> bool {
    match value {
        Value::Object(entries) => most > 0 && entries.values().all(|value| depth_at_most(value, most - 1)),
        Value::Array(items) => most > 0 && items.iter().all(|value| depth_at_most(value, most - 1)),
        _ => true,
    }
}

fn flow(text: &mut String, value: &Value) {
    match value {
        Value::Object(entries) => {
            text.push('{');
            for (number, (key, value)) in ordered(entries).into_iter().enumerate() {
                if number > 0 {
                    text.push_str(", ");
                }
                scalar(text, key);
                text.push_str(": ");
                flow(text, value);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    text.push_str(", ");
                }
                flow(text, item);
            }
            text.push(']');
        }
        Value::String(content) => scalar(text, content),
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

fn ordered(entries: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = entries.iter().collect();
    let place = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    all.sort_by(|(a, _), (b, _)| (place(a), *a).cmp(&(place(b), *b)));
    all
}

/// A text: as it is where no reader can take it for something else, else in double quotes.
fn scalar(text: &mut String, content: &str) {
    const WORDS: [&str; 9] = ["y", "yes", "n", "no", "true", "false", "on", "off", "null"];
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
    let begins = content.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'/');
    if begins && content.bytes().all(plain) && !WORDS.contains(&content.to_ascii_lowercase().as_str()) {
        text.push_str(content);
    } else {
        text.push_str(&Value::String(content.to_owned()).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_reads_the_same() {
        let long = "x".repeat(200);
        let value = json!({
            "name": "a: b", "match": {"path": {"prefix": "/"}, "headers": [{"name": "x", "match": {"exact": "yes"}}]},
            "empty": {}, "none": [], "list": [[1, 2], {"a": [{"b": {"c": {"d": {"e": 1}}}}]}], "long": long, "no": "n", "zero": "010",
            "quote": "\"\\\n\u{e4}", "star": "*.x", "dash": "-", "true": true, "deep": {"list": [{"x": long, "y": [long]}]},
        });
        let text = text(&value);
        assert_eq!(placed_yaml::parse(&text).unwrap().value.to_json(), value, "{text}");
        assert!(text.starts_with("name: \"a: b\"\nmatch: {path: {prefix: /}, headers:"), "{text}");
    }
}
