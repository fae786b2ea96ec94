//! What went wrong in a guest, told so that one can find it.

use crate::abi::Status;
use std::collections::VecDeque;
use std::fmt;

/// A trap: the VM is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrapReport {
    /// The plugin in whose callback it happened.
    pub plugin: String,
    /// The callback.
    pub callback: &'static str,
    /// The stream in whose callback it happened.
    pub stream: Option<u64>,
    /// What the engine says.
    pub cause: String,
    /// The guest's functions, innermost first.
    pub backtrace: Vec<String>,
    /// The last host calls of the VM, oldest first.
    pub host_calls: Vec<String>,
}

impl fmt::Display for TrapReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {:?} trapped in {}: {}", self.plugin, self.callback, self.cause)?;
        for frame in &self.backtrace {
            write!(f, "\n  at {frame}")?;
        }
        write!(f, "\n  last host calls:")?;
        for call in &self.host_calls {
            write!(f, "\n    {call}")?;
        }
        Ok(())
    }
}

/// A host call that kills or corrupts Envoy. It is not carried out here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// The plugin that did it.
    pub plugin: String,
    /// The callback in which it did it.
    pub callback: &'static str,
    /// The stream in whose callback it did it.
    pub stream: Option<u64>,
    /// What it did and what Envoy would do.
    pub what: &'static str,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {:?} in {}: {}", self.plugin, self.callback, self.what)
    }
}

/// What a stream's callbacks have cost so far: the same run gives the same numbers on every machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Callbacks made, `proxy_on_context_create` and those at the end included.
    pub callbacks: u64,
    /// Fuel burnt, about one unit an instruction.
    pub fuel: u64,
    calls: Vec<(&'static str, u64)>,
}

impl Meter {
    /// Host calls by name, in name order.
    pub fn host_calls(&self) -> Vec<(&'static str, u64)> {
        let mut calls = self.calls.clone();
        calls.sort_unstable();
        calls
    }

    /// All host calls together.
    pub fn total_host_calls(&self) -> u64 {
        self.calls.iter().map(|(_, count)| count).sum()
    }

    pub(crate) fn count(&mut self, name: &'static str) {
        match self.calls.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => self.calls.push((name, 1)),
        }
    }
}

const KEPT: usize = 20;
const SHOWN_BYTES: usize = 40;

/// The last host calls of a VM.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    calls: VecDeque<Recorded>,
}

#[derive(Debug)]
struct Recorded {
    name: &'static str,
    numbers: [u64; 4],
    count: usize,
    text: Vec<u8>,
    result: Option<u32>,
}

impl Ring {
    pub(crate) fn enter(&mut self, name: &'static str, numbers: &[u64]) {
        let mut recorded = if self.calls.len() == KEPT { self.calls.pop_front() } else { None }.unwrap_or(Recorded {
            name,
            numbers: [0; 4],
            count: 0,
            text: Vec::new(),
            result: None,
        });
        recorded.name = name;
        recorded.count = numbers.len();
        recorded.text.clear();
        recorded.result = None;
        for (slot, number) in recorded.numbers.iter_mut().zip(numbers) {
            *slot = *number;
        }
        self.calls.push_back(recorded);
    }

    /// Adds a piece of guest memory that the current call names.
    pub(crate) fn note(&mut self, bytes: &[u8]) {
        if let Some(last) = self.calls.back_mut() {
            if !last.text.is_empty() {
                last.text.push(b' ');
            }
            last.text.push(b'"');
            last.text.extend_from_slice(bytes.get(..SHOWN_BYTES).unwrap_or(bytes));
            last.text.extend_from_slice(if bytes.len() > SHOWN_BYTES { b"\"..." } else { b"\"" });
        }
    }

    pub(crate) fn leave(&mut self, result: u32) {
        if let Some(last) = self.calls.back_mut() {
            last.result = Some(result);
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.calls.iter().map(Recorded::line).collect()
    }
}

impl Recorded {
    fn line(&self) -> String {
        let mut line = format!("{}(", self.name);
        for (i, number) in self.numbers.iter().take(self.count).enumerate() {
            line.push_str(&format!("{}{number}", if i == 0 { "" } else { ", " }));
        }
        if self.count > self.numbers.len() {
            line.push_str(", ..");
        }
        line.push(')');
        if !self.text.is_empty() {
            line.push_str(&format!(" {}", self.text.escape_ascii()).replace("\\\"", "\""));
        }
        match self.result {
            Some(result) => line.push_str(&format!(" -> {result}")),
            None => line.push_str(" -> (not returned)"),
        }
        line
    }
}

/// The number of a status, for `Ring::leave`.
pub(crate) fn number(result: &Result<(), Status>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(status) => *status as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_last_calls_with_short_arguments() {
        let mut ring = Ring::default();
        for n in 0..25 {
            ring.enter("proxy_log", &[n, 2, 3, 4, 5]);
        }
        ring.note(&[b'x'; 50]);
        ring.note(b"\xff");
        ring.leave(0);
        let lines = ring.lines();
        assert_eq!(lines.len(), 20);
        assert_eq!(lines[0], "proxy_log(5, 2, 3, 4, ..) -> (not returned)");
        let last = format!("proxy_log(24, 2, 3, 4, ..) \"{}\"... \"\\xff\" -> 0", "x".repeat(40));
        assert_eq!(lines[19], last);
    }
}
