//! What the tests of the host share: finding the guests, and streams driven by hand.
#![allow(dead_code)]

pub mod grpc;

use host_test::{Attributes, Clock, Effect, FailurePolicy, HeaderMap, Host, Module, PluginConfig, StreamId, Worker};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub fn dist() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist");
    std::env::var_os("SLUICE_DIST").map_or_else(|| PathBuf::from(default), PathBuf::from)
}

pub fn guest_path(name: &str) -> PathBuf {
    dist().join("guests").join(format!("{name}.wasm"))
}

fn load(name: &str) -> Arc<Module> {
    let path = guest_path(name);
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask wasm` builds the test guests", path.display()));
    Arc::new(Module::load(&bytes).unwrap())
}

pub fn misc() -> Arc<Module> {
    static MODULE: LazyLock<Arc<Module>> = LazyLock::new(|| load("sdk-misc"));
    Arc::clone(&MODULE)
}

pub fn empty() -> Arc<Module> {
    static MODULE: LazyLock<Arc<Module>> = LazyLock::new(|| load("sdk-empty"));
    Arc::clone(&MODULE)
}

pub fn probe() -> Arc<Module> {
    static MODULE: LazyLock<Arc<Module>> = LazyLock::new(|| load("probe"));
    Arc::clone(&MODULE)
}

pub fn host() -> Arc<Host> {
    Arc::new(Host::new(Clock::settable(1_700_000_000_000_000_000), 1))
}

pub fn plugin(name: &str, module: Arc<Module>) -> PluginConfig {
    let mut plugin = PluginConfig::new(name, module);
    plugin.failure_policy = FailurePolicy::FailReload { base: Duration::from_secs(1), max: Duration::from_secs(1) };
    plugin
}

pub fn headers(entries: &[(&str, &str)]) -> HeaderMap {
    entries.iter().copied().collect()
}

/// Request headers of a plain request and more.
pub fn get(more: &[(&str, &str)]) -> HeaderMap {
    let base = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/p?q=1")];
    base.iter().chain(more).copied().collect()
}

pub fn text(map: &HeaderMap) -> Vec<String> {
    map.iter().map(|(n, v)| format!("{}: {}", String::from_utf8_lossy(n), String::from_utf8_lossy(v))).collect()
}

/// Effects as lines that read well in a failed assertion.
pub fn lines(effects: &[Effect]) -> Vec<String> {
    let end = |end: &bool| if *end { " end" } else { "" };
    effects
        .iter()
        .map(|effect| match effect {
            Effect::RequestHeaders(map, e) => format!("request [{}]{}", text(map).join(", "), end(e)),
            Effect::RequestData(data, e) => format!("request data {:?}{}", String::from_utf8_lossy(data), end(e)),
            Effect::RequestTrailers(map) => format!("request trailers [{}]", text(map).join(", ")),
            Effect::ResponseHeaders(map, e) => format!("response [{}]{}", text(map).join(", "), end(e)),
            Effect::ResponseData(data, e) => format!("response data {:?}{}", String::from_utf8_lossy(data), end(e)),
            Effect::ResponseTrailers(map) => format!("response trailers [{}]", text(map).join(", ")),
            Effect::Reset(reason) => format!("reset {reason:?}"),
        })
        .collect()
}

/// A worker with one host.
pub struct Bench {
    pub host: Arc<Host>,
    pub worker: Worker,
}

impl Bench {
    pub fn new(chain: &[PluginConfig]) -> Self {
        let host = host();
        Self { worker: Worker::start(Arc::clone(&host), chain).unwrap(), host }
    }

    pub fn open(&mut self) -> StreamId {
        self.worker.open(Attributes::default())
    }

    /// A bodyless request that asks the guest to do something; the stream stays open.
    pub fn ask(&mut self, action: &str) -> (StreamId, Vec<String>) {
        let id = self.open();
        let effects = self.worker.request_headers(id, get(&[("x-do", action)]), true);
        (id, lines(&effects))
    }

    pub fn log(&self) -> Vec<String> {
        self.host.take_log().into_iter().map(|record| format!("{}: {}", record.level.name(), record.text)).collect()
    }
}
