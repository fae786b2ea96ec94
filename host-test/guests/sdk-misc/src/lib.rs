//! A filter on the Rust SDK that does what the request header `x-do` says, to meet the host as SDK users do.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "the SDK's macro writes a function without")]

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType};
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { configuration: Vec::new() }));
}}

struct Root {
    configuration: Vec<u8>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        self.configuration = self.get_plugin_configuration().unwrap_or_default();
        match self.configuration.as_slice() {
            b"refuse" => {
                log_error("configuration: expected anything but \"refuse\"");
                return false;
            }
            b"tick" => self.set_tick_period(Duration::from_millis(100)),
            b"queue" => {
                self.register_shared_queue("work");
            }
            b"environment" => {
                let variables: Vec<String> = std::env::vars().map(|(key, value)| format!("{key}={value}")).collect();
                println!("{}", variables.join(" "));
            }
            _ => {}
        }
        true
    }

    fn on_tick(&mut self) {
        count("ticks", 1);
    }

    fn on_queue_ready(&mut self, queue: u32) {
        while let Ok(Some(item)) = self.dequeue_shared_queue(queue) {
            println!("took {} at {:?}", String::from_utf8_lossy(&item), std::time::Instant::now().elapsed().is_zero());
        }
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { action: Vec::new() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    action: Vec<u8>,
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _token: u32, headers: usize, size: usize, _trailers: usize) {
        let status = self.get_http_call_response_header_bytes(":status").unwrap_or_default();
        let body = self.get_http_call_response_body(0, size).unwrap_or_default();
        self.set_http_request_header_bytes("x-call-status", Some(&status));
        self.set_http_request_header_bytes("x-call-body", Some(&body));
        self.set_http_request_header("x-call-headers", Some(&headers.to_string()));
        self.resume_http_request();
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.action = self.get_http_request_header_bytes("x-do").unwrap_or_default();
        match self.action.as_slice() {
            b"panic" => explode(),
            b"loop" => spin(),
            b"memory" => eat_memory(),
            b"exit" => std::process::exit(3),
            b"string-getter" => {
                self.get_http_request_header("x-value");
            }
            b"reply" => {
                self.send_http_response(418, vec![("x-from", "filter")], Some(b"short and stout"));
                return Action::Pause;
            }
            b"close" => self.reset_http_request(),
            b"replace-all" => {
                let mut headers = self.get_http_request_headers_bytes();
                headers.push(("x-added".to_owned(), b"yes".to_vec()));
                let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
                self.set_http_request_headers_bytes(headers);
            }
            b"call" => {
                let headers = vec![(":method", "GET"), (":path", "/ask"), (":authority", "side")];
                if let Err(status) = self.dispatch_http_call("side", headers, None, vec![], Duration::from_millis(500))
                {
                    self.send_http_response(500, vec![], Some(format!("{status:?}").as_bytes()));
                }
                return Action::Pause;
            }
            b"metrics" => {
                count("requests", 2);
                if let Ok(id) = hostcalls::define_metric(MetricType::Gauge, "open") {
                    let _ = hostcalls::increment_metric(id, -1);
                }
            }
            b"shared" => {
                let (value, cas) = self.get_shared_data("n");
                let n = value.and_then(|value| value.first().copied()).unwrap_or(0) + 1;
                let stored = self.set_shared_data("n", Some(&[n]), cas);
                self.set_http_request_header("x-n", Some(&format!("{n} {stored:?}")));
            }
            b"enqueue" => {
                if let Some(queue) = self.resolve_shared_queue("", "work") {
                    let _ = self.enqueue_shared_queue(queue, Some(b"item"));
                }
            }
            b"property" => {
                let path = self.get_property(vec!["request", "path"]).unwrap_or_default();
                let route = self.get_property(vec!["xds", "route_name"]).unwrap_or_default();
                self.set_property(vec!["mine"], Some(b"state"));
                let mine = self.get_property(vec!["mine"]).unwrap_or_default();
                self.set_http_request_header_bytes("x-path", Some(&path));
                self.set_http_request_header_bytes("x-route", Some(&route));
                self.set_http_request_header_bytes("x-mine", Some(&mine));
            }
            b"wall" => {
                let now = self.get_current_time().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                self.set_http_request_header("x-now", Some(&now.as_secs().to_string()));
            }
            b"pause" => return Action::Pause,
            _ => {}
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.uppercase(size, end, b"upper-request", 0)
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.finish(b"upper-request", 0);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        match self.action.as_slice() {
            b"panic-in-response" => explode(),
            b"reply-in-response" => {
                self.send_http_response(502, vec![], Some(b"not good enough"));
                return Action::Pause;
            }
            b"upper-response" => self.set_http_response_header("content-length", None),
            _ => self.set_http_response_header("x-misc", Some("seen")),
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if self.action == b"panic-in-response-body" {
            explode();
        }
        self.uppercase(size, end, b"upper-response", 1)
    }

    fn on_log(&mut self) {
        match self.action.as_slice() {
            b"reply-in-log" => self.send_http_response(500, vec![], None),
            b"log" => println!("status {:?}", self.get_http_response_header_bytes(":status")),
            _ => {}
        }
    }
}

impl Stream {
    fn uppercase(&mut self, size: usize, end: bool, action: &[u8], direction: u32) -> Action {
        if self.action != action {
            return Action::Continue;
        }
        if !end {
            return Action::Pause;
        }
        let _ = size;
        self.finish(action, direction);
        Action::Continue
    }

    fn finish(&mut self, action: &[u8], direction: u32) {
        if self.action != action {
            return;
        }
        if direction == 0 {
            let body = self.get_http_request_body(0, usize::MAX).unwrap_or_default();
            self.set_http_request_body(0, usize::MAX, &body.to_ascii_uppercase());
        } else {
            let body = self.get_http_response_body(0, usize::MAX).unwrap_or_default();
            self.set_http_response_body(0, usize::MAX, &body.to_ascii_uppercase());
        }
    }
}

fn count(name: &str, by: i64) {
    if let Ok(id) = hostcalls::define_metric(MetricType::Counter, name) {
        let _ = hostcalls::increment_metric(id, by);
    }
}

fn log_error(text: &str) {
    let _ = hostcalls::log(LogLevel::Error, text);
}

#[inline(never)]
#[allow(clippy::panic)]
fn explode() {
    panic!("asked to");
}

#[inline(never)]
fn spin() {
    let mut n = 1_u64;
    while std::hint::black_box(n) != 0 {
        n = n.wrapping_mul(3);
    }
}

#[inline(never)]
fn eat_memory() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1_u8; 64 << 20]));
    }
}
