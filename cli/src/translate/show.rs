//! Messages for people and for programs.

use super::exchange::Message;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Headers that only the gateway's routes read.
fn is_decision(name: &str) -> bool {
    name.starts_with("x-sluice-") && !matches!(name, "x-sluice-ai-dropped" | "x-sluice-ai-adapted")
}

/// What was changed, the first line, and the headers.
pub fn head(message: &Message, decisions: bool) -> String {
    let mut text = String::new();
    let widest = message.notes.iter().map(|note| note.what.len()).max().unwrap_or(0);
    for note in &message.notes {
        let word = if note.dropped { "dropped" } else { "adapted" };
        text.push_str(&format!("{word}  {:widest$}  {}\n", note.what, note.why));
    }
    match (message.header(":method"), message.header(":status")) {
        (Some(method), _) => text.push_str(&format!("{method} {}\n", message.header(":path").unwrap_or_default())),
        (None, Some(status)) if message.replied => text.push_str(&format!("{status}, answered by the filter\n")),
        (None, status) => text.push_str(&format!("{}\n", status.unwrap_or_default())),
    }
    for (name, value) in message.headers.iter().filter(|(name, _)| name == ":authority" || !name.starts_with(':')) {
        let name = if name == ":authority" { "host" } else { name };
        if decisions || !is_decision(name) {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    text.push('\n');
    text
}

/// Ends the last line, unless the body is a stream, whose bytes count.
pub fn ended(message: &Message, out: &mut impl Write) -> io::Result<()> {
    let is_stream = message.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    if is_stream || message.body.is_empty() || message.body.ends_with(b"\n") {
        return Ok(());
    }
    out.write_all(b"\n")
}

/// All of it.
pub fn json(message: &Message) -> Value {
    let mut object = Map::new();
    for name in ["method", "path", "status"] {
        if let Some(value) = message.header(&format!(":{name}")) {
            let value = value.parse::<u16>().map_or_else(|_| Value::from(value), Value::from);
            object.insert(name.to_owned(), value);
        }
    }
    let headers = message.headers.iter().filter(|(name, _)| !name.starts_with(':'));
    let headers: Map<String, Value> = headers.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    object.insert("headers".to_owned(), headers.into());
    let text = String::from_utf8_lossy(&message.body);
    let body = serde_json::from_slice(&message.body).unwrap_or_else(|_| Value::from(text.as_ref()));
    object.insert("body".to_owned(), body);
    let notes = message.notes.iter().map(|note| json!({"what": note.what, "why": note.why, "dropped": note.dropped}));
    object.insert("notes".to_owned(), notes.collect());
    object.insert("answered".to_owned(), message.replied.into());
    object.into()
}
