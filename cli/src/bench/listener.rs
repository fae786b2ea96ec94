//! What is measured: a listener of the measured Envoy and the request that it gets.

use bytes::Bytes;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A listener, and with what it is loaded.
#[derive(Debug, Clone, Default)]
pub struct Variant {
    /// Row name.
    pub name: String,
    /// Row of which the figure is a share too, such as Envoy's own way of doing the same.
    pub against: Option<String>,
    /// The HTTP filters before the router.
    pub filters: Vec<Value>,
    /// The fields of the virtual host that say where requests go: `routes` or `matcher`.
    pub table: Value,
    /// The request's path.
    pub path: String,
    /// One header of the request; all others are the same in every variant.
    pub header: (&'static str, String),
    /// How many values that header takes in turn, each with its number behind; 1 is the value as it stands.
    pub values: usize,
    /// The status that every answer has to have.
    pub status: u16,
    /// The body of a `POST`; without one, requests are `GET`s.
    pub body: Bytes,
    /// How many times fewer requests a round has than others; 0 and 1 are as many.
    pub fewer: usize,
}

/// What runs in one Envoy.
#[derive(Debug)]
pub struct Setup {
    /// The listeners.
    pub variants: Vec<Variant>,
    /// Clusters that filters call.
    pub clusters: Vec<Value>,
    /// Worker threads.
    pub workers: u32,
    /// So many requests a round, one after the other, for the time to the first bytes of their answers.
    pub first_bytes: usize,
}

/// One worker, so that all of the work is its work.
impl From<Vec<Variant>> for Setup {
    fn from(variants: Vec<Variant>) -> Self {
        Self { variants, clusters: Vec::new(), workers: 1, first_bytes: 0 }
    }
}

/// The modules in a folder.
#[derive(Debug)]
pub struct Modules(PathBuf);

/// Where the types of Envoy's filters are.
pub const TYPES: &str = "type.googleapis.com/envoy.extensions.filters";

impl Modules {
    /// Modules in this folder.
    pub fn new(dist: &Path) -> Self {
        Self(dist.to_owned())
    }

    /// A filter with this module and configuration. Filters with equal modules and configurations do not share a VM.
    pub fn filter(&self, module: &str, configuration: &Value) -> Result<Value, String> {
        let path = self.0.join(module);
        if !path.is_file() {
            return Err(format!("{} is missing: make build", path.display()));
        }
        Ok(json!({"name": "wasm", "typed_config": {
            "@type": format!("{TYPES}.http.wasm.v3.Wasm"),
            "config": {
                "name": module, "failure_policy": "FAIL_RELOAD",
                "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration.to_string()},
                "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": path}}}}}}))
    }
}

/// A Lua filter.
pub fn lua(code: &str) -> Value {
    json!({"name": "lua", "typed_config": {
        "@type": format!("{TYPES}.http.lua.v3.Lua"), "default_source_code": {"inline_string": code}}})
}

/// A route that answers 200.
pub fn answer(matched: &Value) -> Value {
    json!({"match": matched, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}})
}

impl Variant {
    /// The listener on this port.
    pub fn listener(&self, port: u16) -> Value {
        let filters = self.filters.iter().enumerate().map(|(index, filter)| {
            let mut filter = filter.clone();
            if let Some(vm) = filter.pointer_mut("/typed_config/config/vm_config")
                && let Some(fields) = vm.as_object_mut()
            {
                fields.insert("vm_id".to_owned(), json!(format!("{port}-{index}")));
            }
            filter
        });
        let router = json!({"name": "envoy.filters.http.router",
                            "typed_config": {"@type": format!("{TYPES}.http.router.v3.Router")}});
        let mut host = json!({"name": "all", "domains": ["*"]});
        if let (Some(host), Some(table)) = (host.as_object_mut(), self.table.as_object()) {
            host.extend(table.clone());
        }
        json!({
            "name": self.name,
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
                "@type": format!("{TYPES}.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "bench", "codec_type": "AUTO",
                "route_config": {"virtual_hosts": [host]},
                "http_filters": filters.chain([router]).collect::<Vec<_>>()}}]}]
        })
    }
}
