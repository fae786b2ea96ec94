//! Envoy's default access log line.

use std::net::SocketAddr;
use std::time::Instant;

use super::log::timestamp;
use crate::HeaderMap;

/// What is known about one request for the access log and the service time.
#[derive(Debug)]
pub(crate) struct AccessRecord {
    start_time: String,
    start: Instant,
    request_sent: Option<Instant>,
    method: String,
    path: String,
    forwarded_for: String,
    user_agent: String,
    request_id: String,
    authority: String,
    status: u16,
    flag: &'static str,
    received: usize,
    sent: usize,
    service_time: String,
    upstream: Option<SocketAddr>,
}

impl AccessRecord {
    pub(crate) fn new(request: &HeaderMap) -> Self {
        let mut record = Self {
            start_time: timestamp(),
            start: Instant::now(),
            request_sent: None,
            method: String::new(),
            path: String::new(),
            forwarded_for: String::new(),
            user_agent: String::new(),
            request_id: String::new(),
            authority: String::new(),
            status: 0,
            flag: "-",
            received: 0,
            sent: 0,
            service_time: "-".to_owned(),
            upstream: None,
        };
        record.request_left_filters(request);
        record
    }

    /// The request as the filters left it: that is what the line shows.
    pub(crate) fn request_left_filters(&mut self, request: &HeaderMap) {
        self.method = shown(request, ":method");
        self.path = match request.get(b"x-envoy-original-path") {
            Some(_) => shown(request, "x-envoy-original-path"),
            None => shown(request, ":path"),
        };
        self.forwarded_for = shown(request, "x-forwarded-for");
        self.user_agent = shown(request, "user-agent");
        self.request_id = shown(request, "x-request-id");
        self.authority = shown(request, ":authority");
    }

    /// The first flag stands: it is the cause.
    pub(crate) fn flag(&mut self, flag: &'static str) {
        if self.flag == "-" {
            self.flag = flag;
        }
    }

    pub(crate) fn upstream(&mut self, address: SocketAddr) {
        self.upstream = Some(address);
    }

    pub(crate) fn request_sent(&mut self) {
        self.request_sent = Some(Instant::now());
    }

    /// Milliseconds since the request was complete, or else since it began.
    pub(crate) fn service_time(&self) -> u128 {
        self.request_sent.unwrap_or(self.start).elapsed().as_millis()
    }

    pub(crate) fn answered(&mut self, status: u16, response: &HeaderMap) {
        self.status = status;
        self.service_time = shown(response, "x-envoy-upstream-service-time");
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.received += bytes;
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// The line, with its end.
    pub(crate) fn line(&self) -> String {
        let upstream = self.upstream.map_or("-".to_owned(), |address| address.to_string());
        format!(
            "[{}] \"{} {} HTTP/1.1\" {} {} {} {} {} {} \"{}\" \"{}\" \"{}\" \"{}\" \"{upstream}\"\n",
            self.start_time,
            self.method,
            self.path,
            self.status,
            self.flag,
            self.received,
            self.sent,
            self.start.elapsed().as_millis(),
            self.service_time,
            self.forwarded_for,
            self.user_agent,
            self.request_id,
            self.authority,
        )
    }
}

/// A header as text; `-` when it is not there. Bytes that would break the line are replaced.
fn shown(headers: &HeaderMap, name: &str) -> String {
    match headers.get(name.as_bytes()) {
        None => "-".to_owned(),
        Some(value) => String::from_utf8_lossy(value)
            .chars()
            .map(|letter| if letter.is_control() || letter == '"' { '_' } else { letter })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_envoys_default_one() {
        let request: HeaderMap =
            [(":method", "GET"), (":path", "/x?a=\"b"), (":authority", "h.test"), ("x-request-id", "id-1")]
                .into_iter()
                .collect();
        let mut record = AccessRecord::new(&request);
        record.upstream("127.0.0.1:18981".parse().unwrap());
        record.sent(3);
        record.flag("UF");
        record.flag("DC");
        record.answered(200, &[("x-envoy-upstream-service-time", "7")].into_iter().collect());
        let line = record.line();
        let (start, rest) = line.split_once("] ").unwrap();
        assert_eq!(start.len(), "[2026-11-24T20:10:45.993Z".len(), "{line}");
        let rest: Vec<_> = rest.split(' ').enumerate().filter(|(index, _)| *index != 7).map(|(_, part)| part).collect();
        assert_eq!(
            rest.join(" "),
            "\"GET /x?a=_b HTTP/1.1\" 200 UF 0 3 7 \"-\" \"-\" \"id-1\" \"h.test\" \"127.0.0.1:18981\"\n"
        );
    }
}
