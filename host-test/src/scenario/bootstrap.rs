//! What Envoy is configured with in the `envoy` runner.

use super::access_log::AccessLog;
use super::connection;
use super::format::{FilterUse, Position, Scenario};
use super::routing::envoy_routes;
use super::wasm::{Modules, configuration};
use serde_json::{Value, json};

const TYPES: &str = "type.googleapis.com/envoy.extensions";

/// Filters in a row, and what they have in common.
pub struct Filters<'a> {
    list: Vec<&'a FilterUse>,
    environment: Value,
    modules: &'a Modules,
}

impl<'a> Filters<'a> {
    /// Those of scenarios that stand there; the environment is that of the first.
    pub fn of(scenarios: &[&'a Scenario], position: Position, modules: &'a Modules) -> Self {
        let list = scenarios.iter().flat_map(|scenario| scenario.file.filters_at(position)).collect();
        let environment = scenarios.first().map_or_else(|| json!({}), |scenario| json!(scenario.file.environment));
        Self { list, environment, modules }
    }

    fn wasm(&self, name: &str) -> impl Iterator<Item = Value> {
        self.list.iter().enumerate().map(move |(index, filter)| {
            let name = format!("{name}-{index}");
            let configuration = String::from_utf8_lossy(&configuration(&filter.config)).into_owned();
            json!({"name": name, "typed_config": {"@type": format!("{TYPES}.filters.http.wasm.v3.Wasm"), "config": {
                "name": name, "failure_policy": "FAIL_RELOAD", "allow_on_headers_stop_iteration": filter.hold,
                "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
                "vm_config": {"vm_id": name, "runtime": "envoy.wasm.runtime.v8",
                              "environment_variables": {"key_values": self.environment},
                              "code": {"local": {"filename": self.modules.path(&filter.filter)}}}}}})
        })
    }
}

/// An address on this machine.
pub fn socket(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

/// A cluster with one server, and filters behind the route decision.
pub fn cluster(name: &str, port: u16, filters: &Filters<'_>) -> Value {
    let codec = json!({"name": "envoy.filters.http.upstream_codec",
                       "typed_config": {"@type": format!("{TYPES}.filters.http.upstream_codec.v3.UpstreamCodec")}});
    let behind: Vec<Value> = filters.wasm(&format!("behind-{name}")).chain([codec]).collect();
    let options = json!({
        "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}}, "http_filters": behind});
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "2s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(port)}}]}]}})
}

/// The cluster of the rate limit service.
pub fn service_cluster(name: &str, port: u16) -> Value {
    let options = json!({
        "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": {"http2_protocol_options": {}}});
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "2s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(port)}}]}]}})
}

/// The listener of a scenario.
pub fn listener(scenario: &Scenario, port: u16, modules: &Modules, log: Option<&AccessLog>) -> Value {
    let filters = Filters::of(&[scenario], Position::Downstream, modules);
    let (access_log, around) = (log.map(AccessLog::config), connection::listener_filters(&scenario.file.cases));
    let routes = envoy_routes(&scenario.file);
    listener_of(&filters, &routes, port, &port.to_string(), [access_log, around])
}

/// A listener of this name that must be refused because of its filter. All of them share their VMs.
pub fn refused(filter: &FilterUse, modules: &Modules, name: &str) -> Value {
    const FILTER: &str = "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config/vm_config/vm_id";
    let filters = Filters { list: vec![filter], environment: json!({}), modules };
    let mut listener = listener_of(&filters, &[], 0, name, [None, None]);
    if let Some(vm) = listener.pointer_mut(FILTER) {
        *vm = json!("refused");
    }
    listener
}

fn listener_of(
    filters: &Filters<'_>,
    routes: &[Value],
    port: u16,
    name: &str,
    [access_log, around]: [Option<Value>; 2],
) -> Value {
    let router = json!({"name": "envoy.filters.http.router", "typed_config": {"@type": format!("{TYPES}.filters.http.router.v3.Router")}});
    json!({
        "name": name, "address": socket(port), "listener_filters": around.into_iter().collect::<Vec<_>>(),
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "scenario", "access_log": access_log.into_iter().collect::<Vec<_>>(), "max_request_headers_kb": 1024,
            "common_http_protocol_options": {"max_headers_count": 2000},
            "http_protocol_options": {"enable_trailers": true},
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
            "http_filters": filters.wasm(name).chain([router]).collect::<Vec<_>>()}}]}]})
}
