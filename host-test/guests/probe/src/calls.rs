//! One call of a script: its words become arguments, its answer becomes words.

use crate::raw::{self, Call, Given};
use std::cell::Cell;

thread_local! {
    /// The token of the last gRPC callout, which scripts call `last`.
    static LAST: Cell<u32> = const { Cell::new(0) };
}

/// Makes a call and tells its status and result.
pub fn make(call: &str, context: u32) -> String {
    let words: Vec<&str> = call.split(' ').collect();
    let word = |i: usize| words.get(i).map(|word| bytes(word)).unwrap_or_default();
    let number = |i: usize| words.get(i).and_then(|word| word.parse::<i64>().ok()).unwrap_or(0);
    let n = |i: usize| number(i) as u32;
    let size = |i: usize| if words.get(i) == Some(&"max") { usize::MAX } else { number(i) as usize };
    match words.first().copied().unwrap_or_default() {
        "log" => raw::log(n(1), &word(2)).to_string(),
        "log-nowhere" => raw::log_nowhere().to_string(),
        "level" => pair(raw::log_level()),
        "time" => (raw::time().0 + u32::from(raw::time().1 == 0)).to_string(),
        "tick" => raw::tick(n(1)).to_string(),
        "buf" => show(raw::buffer(n(1), size(2), size(3))),
        "buf-nowhere" => raw::buffer_nowhere(n(1)).to_string(),
        "buf-status" => {
            let (status, len, flags) = raw::buffer_status(n(1));
            format!("{status} {}", if status == 0 { format!("{len} {flags}") } else { String::new() })
        }
        "set-buf" => raw::set_buffer(n(1), size(2), size(3), &word(4)).to_string(),
        "pairs" => {
            let (status, pairs) = raw::pairs(n(1));
            format!("{status} {}", if pairs.is_some() { "some" } else { "null" })
        }
        "names" => names(raw::pairs(n(1)), &word(2)),
        "size" => {
            let (status, size) = raw::map_size(n(1));
            format!("{status} {}", if status == 0 { (size > 0).to_string() } else { String::new() })
        }
        "get" => show(raw::header(n(1), &word(2))),
        "get-nowhere" => raw::header_nowhere(n(1)).to_string(),
        "set-pairs" => raw::set_pairs(n(1), &word(2)).to_string(),
        "set-map" => raw::set_pairs(n(1), &encode(&words, 2)).to_string(),
        "add" => raw::add(n(1), &word(2), &word(3)).to_string(),
        "replace" => raw::replace(n(1), &word(2), &word(3)).to_string(),
        // Adds two values and tells whether they are joined or apart; whatever was there before goes.
        "twice" => {
            raw::remove(n(1), &word(2));
            raw::add(n(1), &word(2), b"1");
            raw::add(n(1), &word(2), b"2");
            let first = raw::header(n(1), &word(2));
            raw::remove(n(1), &word(2));
            show(first)
        }
        "remove" => raw::remove(n(1), &word(2)).to_string(),
        "prop" => show(raw::property(&path(&word(1)))),
        "has-prop" => {
            let (status, value) = raw::property(&path(&word(1)));
            format!("{status} {}", value.map_or(0, |value| value.len().min(9)))
        }
        "set-prop" => raw::set_property(&path(&word(1)), &word(2)).to_string(),
        "sd-get" => {
            let (answer, cas) = raw::shared(&word(1));
            format!("{} cas {}", show(answer), cas > 0)
        }
        "sd-set" => raw::set_shared(&word(1), &word(2), n(3)).to_string(),
        // With the number that the entry has now, plus something.
        "sd-swap" => {
            let (_, cas) = raw::shared(&word(1));
            raw::set_shared(&word(1), &word(2), cas.wrapping_add(n(3))).to_string()
        }
        "q-register" => raw::register_queue(&word(1)).0.to_string(),
        "q-resolve" => raw::resolve_queue(&word(1), &word(2)).0.to_string(),
        "q-put" => raw::enqueue(raw::resolve_queue(b"", &word(1)).1, &word(2)).to_string(),
        "q-take" => show(raw::dequeue(raw::resolve_queue(b"", &word(1)).1)),
        "m-define" => {
            let (status, id) = raw::define_metric(n(1), &word(2));
            format!("{status} {}", if status == 0 { (id & 3).to_string() } else { String::new() })
        }
        "m-increment" => raw::increment_metric(metric(&words), number(3)).to_string(),
        "m-record" => raw::record_metric(metric(&words), number(3) as u64).to_string(),
        "m-get" => {
            let (status, value) = raw::get_metric(metric(&words));
            format!("{status} {}", if status == 0 { value.to_string() } else { String::new() })
        }
        "continue" => raw::continue_stream(n(1)).to_string(),
        "close" => raw::close_stream(n(1)).to_string(),
        "reply" => raw::reply(n(1), b"probe", &word(2), &encode(&words, 3), -1).to_string(),
        "grpc-call" => raw::grpc_call(&Call::to(&word(1))).0.to_string(),
        "grpc-stream" => raw::grpc_stream(&word(1)).to_string(),
        "grpc-send" => raw::grpc_send(n(1)).to_string(),
        "grpc-cancel" => raw::grpc_cancel(token(&words)).to_string(),
        "grpc-close" => raw::grpc_close(token(&words)).to_string(),
        "status" => {
            let (code, answer) = raw::get_status();
            format!("{code} {}", show(answer))
        }
        "effective" => raw::set_effective_context(n(1)).to_string(),
        "effective-self" => raw::set_effective_context(context).to_string(),
        "done" => raw::done().to_string(),
        "foreign" => show(raw::foreign(&word(1), &word(2))),
        "trap" => std::process::abort(),
        other => match raw::wasi(other.strip_prefix("wasi-").unwrap_or_default(), n(1)) {
            Some(errno) => errno.to_string(),
            None => "unknown call".to_owned(),
        },
    }
}

/// `http CLUSTER TIMEOUT BODY name=value name=value`: tells the status, and the token when there is one.
pub fn http(call: &str) -> (String, Option<u32>) {
    let words: Vec<&str> = call.split(' ').collect();
    let word = |i: usize| words.get(i).map(|word| bytes(word)).unwrap_or_default();
    let timeout = words.get(2).and_then(|word| word.parse().ok()).unwrap_or(0);
    let (status, token) = raw::http_call(&word(1), &encode(&words, 4), &word(3), timeout);
    let kind = if status == 0 { format!(" low bits {}", token & 3) } else { format!(" token {token}") };
    (format!("{status}{kind}"), (status == 0).then_some(token))
}

/// `grpc SERVICE TIMEOUT METHOD MESSAGE name=value name=value`: tells the status, and the token when there is one.
pub fn grpc(call: &str) -> (String, Option<u32>) {
    let words: Vec<&str> = call.split(' ').collect();
    let word = |i: usize| words.get(i).map(|word| bytes(word)).unwrap_or_default();
    let (status, token) = raw::grpc_call(&Call {
        service: &word(1),
        name: b"probe.S",
        method: &word(3),
        metadata: &encode(&words, 5),
        request: &word(4),
        timeout: words.get(2).and_then(|word| word.parse().ok()).unwrap_or(0),
    });
    let kind = if status == 0 { format!(" low bits {}", token & 3) } else { format!(" token {token}") };
    if status == 0 {
        LAST.set(token);
    }
    (format!("{status}{kind}"), (status == 0).then_some(token))
}

/// A token as a number, or the last one.
fn token(words: &[&str]) -> u32 {
    match words.get(1) {
        Some(&"last") => LAST.get(),
        word => word.and_then(|word| word.parse().ok()).unwrap_or(0),
    }
}

/// A metric is named by kind and name; a kind above 2 is a raw number.
fn metric(words: &[&str]) -> u32 {
    let kind = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    if kind > 2 { kind } else { raw::define_metric(kind, words.get(2).unwrap_or(&"").as_bytes()).1 }
}

fn pair((status, value): (u32, u32)) -> String {
    format!("{status} {value}")
}

fn show((status, value): Given) -> String {
    match value {
        None => format!("{status} null"),
        Some(value) => format!("{status} \"{}\"", value.escape_ascii()),
    }
}

/// The values of all headers whose name begins with a prefix, in order.
fn names((status, pairs): Given, prefix: &[u8]) -> String {
    let mut line = status.to_string();
    let pairs = pairs.unwrap_or_default();
    let read = |at: usize| {
        let bytes = pairs.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        bytes.map_or(0, u32::from_le_bytes) as usize
    };
    let count = read(0);
    let mut at = 4 + 8 * count;
    for i in 0..count {
        let (name_len, value_len) = (read(4 + 8 * i), read(8 + 8 * i));
        let name = pairs.get(at..at + name_len).unwrap_or_default();
        let value = pairs.get(at + name_len + 1..at + name_len + 1 + value_len).unwrap_or_default();
        at += name_len + value_len + 2;
        if name.starts_with(prefix) {
            line.push_str(&format!(" {}={}", name.escape_ascii(), value.escape_ascii()));
        }
    }
    line
}

fn path(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| if *byte == b'.' { 0 } else { *byte }).collect()
}

/// The pair encoding of `name=value` words.
fn encode(words: &[&str], from: usize) -> Vec<u8> {
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = words
        .iter()
        .skip(from)
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (bytes(name), bytes(value)))
        .collect();
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in &pairs {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in &pairs {
        out.extend(name);
        out.push(0);
        out.extend(value);
        out.push(0);
    }
    out
}

/// A word with its `%20`s resolved; `*10x` is ten times `x`.
fn bytes(word: &str) -> Vec<u8> {
    if let Some(rest) = word.strip_prefix('*') {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (count, piece) = rest.split_at(digits);
        return piece.repeat(count.parse().unwrap_or(0)).into_bytes();
    }
    let raw = word.as_bytes();
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        let hex = raw.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if byte == b'%' => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}
