//! What is known about a request for its access logs.

mod format;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

use super::bootstrap::{AccessLog, Sink};
use super::log::{Log, timestamp};
use crate::{Attributes, HeaderMap};

/// The access logs of one listener, opened.
#[derive(Debug, Default)]
pub(crate) struct AccessLogs(Vec<(AccessLog, Option<File>)>);

impl AccessLogs {
    /// Opens the files to append to them.
    pub(crate) fn open(logs: &[AccessLog]) -> Result<Self, String> {
        let open = |log: &AccessLog| {
            let file = match &log.sink {
                Sink::Stdout => None,
                Sink::File(path) => {
                    let file = OpenOptions::new().append(true).create(true).open(path);
                    Some(file.map_err(|error| format!("{}: cannot be opened: {error}", path.display()))?)
                }
            };
            Ok((log.clone(), file))
        };
        Ok(Self(logs.iter().map(open).collect::<Result<_, String>>()?))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the lines of a request.
    pub(crate) fn write(&self, record: &AccessRecord, log: &Log) {
        for (format, file) in &self.0 {
            let line = record.line(format);
            match file {
                None => log.access(&line),
                // A full disk must not stop the gateway.
                Some(file) => drop({ file }.write_all(line.as_bytes())),
            }
        }
    }
}

/// What is known about one request for the access log and the service time.
#[derive(Debug)]
pub(crate) struct AccessRecord {
    start_time: String,
    start: Instant,
    request_sent: Option<Instant>,
    /// The request as the filters and the route left it.
    pub(crate) request: HeaderMap,
    response: HeaderMap,
    status: u16,
    flags: Vec<&'static str>,
    received: usize,
    sent: usize,
    upstream: Option<SocketAddr>,
    /// How often an upstream was asked.
    pub(crate) attempts: u32,
    /// The names of the route and of its cluster.
    pub(crate) route: Option<(String, String)>,
    /// Why the response is what it is.
    pub(crate) details: Option<String>,
    /// What filters have left, by its full name.
    pub(crate) filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    client: String,
    local: String,
    connection: u64,
}

impl AccessRecord {
    pub(crate) fn new(request: &HeaderMap, attributes: &Attributes) -> Self {
        Self {
            start_time: timestamp(),
            start: Instant::now(),
            request_sent: None,
            request: request.clone(),
            response: HeaderMap::new(),
            status: 0,
            flags: Vec::new(),
            received: 0,
            sent: 0,
            upstream: None,
            attempts: 0,
            route: None,
            details: None,
            filter_state: BTreeMap::new(),
            client: attributes.source_address.clone(),
            local: attributes.destination_address.clone(),
            connection: attributes.connection_id,
        }
    }

    /// The first flag stands: it is the cause.
    pub(crate) fn flag(&mut self, flag: &'static str) {
        if self.flags.is_empty() || self.flags == [RETRIES_EXHAUSTED] {
            self.flags.push(flag);
        }
    }

    /// The request would have been tried again; other flags follow.
    pub(crate) fn retries_exhausted(&mut self) {
        if self.flags.is_empty() {
            self.flags.push(RETRIES_EXHAUSTED);
        }
    }

    pub(crate) fn upstream(&mut self, address: SocketAddr) {
        self.upstream = Some(address);
    }

    pub(crate) fn request_sent(&mut self) {
        self.request_sent = Some(Instant::now());
    }

    /// Time since the request was complete, or else since it began.
    pub(crate) fn service_time(&self) -> std::time::Duration {
        self.request_sent.unwrap_or(self.start).elapsed()
    }

    /// Time since the request was complete; none before.
    pub(crate) fn since_sent(&self) -> std::time::Duration {
        self.request_sent.map_or(std::time::Duration::ZERO, |sent| sent.elapsed())
    }

    pub(crate) fn answered(&mut self, status: u16, response: &HeaderMap) {
        self.status = status;
        self.response = response.clone();
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.received += bytes;
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
    }
}

/// The upstream failed for the last time that it may.
const RETRIES_EXHAUSTED: &str = "URX";
