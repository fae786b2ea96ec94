//! The bootstrap of Envoy, which the embedded gateway serves too.

use super::policy::{self, POLICY_HEADER};
use super::{native, router};
use crate::convert::Style;
use crate::model::{BackendEdits, Cluster, Entry, Listener, Model, Policy, Table};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Where the output runs.
#[derive(Debug, Clone)]
pub struct Place {
    /// Address of the listeners.
    pub listen: IpAddr,
    /// Ports in place of those of the manifests.
    pub ports: BTreeMap<u16, u16>,
    /// Address of the admin pages.
    pub admin: SocketAddr,
    /// Folder of the `.wasm` files.
    pub wasm: String,
    /// Servers in place of those of clusters, by the cluster's name.
    pub endpoints: BTreeMap<String, SocketAddr>,
}

impl Place {
    /// The port that a listener of the manifests has.
    pub fn port(&self, port: u16) -> u16 {
        self.ports.get(&port).copied().unwrap_or(port)
    }
}

/// The bootstrap.
pub fn bootstrap(model: &Model, place: &Place, style: Style) -> Value {
    let listeners: Vec<Value> = model
        .entries
        .iter()
        .flat_map(|entry| entry.listeners.iter().map(move |listener| (entry, listener)))
        .filter_map(|(entry, listener)| {
            Some(self::listener(listener, entry.tables.get(listener.table)?, &entry.place(place), entry, style))
        })
        .collect();
    let clusters: Vec<Value> =
        model.clusters.iter().map(|(name, cluster)| self::cluster(name, cluster, place)).collect();
    json!({
        "admin": {"address": address(&place.admin.ip().to_string(), place.admin.port())},
        "stats_config": {"stats_tags": stats_tags()},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    })
}

fn address(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

/// How labels stand in the names of the filters' metrics.
fn stats_tags() -> Vec<Value> {
    let tags = [
        ("rule", r"^wasmcustom\.sluice_\w+(\.rule\.([^.]+))\."),
        ("target", r"^wasmcustom\.sluice_\w+\.rule\.[^.]+(\.target\.([^.]+))\."),
        (
            "outcome",
            r"^wasmcustom\.sluice_\w+(?:\.(?:rule|provider|target|model|operation)\.[^.]+)*(\.outcome\.([^.]+))\.",
        ),
        ("policy", r"^wasmcustom\.sluice_ratelimit(\.policy\.([^.]+))\."),
        ("result", r"^wasmcustom\.sluice_ratelimit\.policy\.[^.]+(\.result\.([^.]+))\."),
        ("filter", r"^wasmcustom\.sluice\w*(\.filter\.([^.]+))\."),
        ("where", r"^wasmcustom\.sluice\.filter\.[^.]+(\.where\.([^.]+))\."),
    ];
    tags.iter().map(|(name, regex)| json!({"tag_name": name, "regex": regex})).collect()
}

/// The configuration of the header-router with the ports that listeners have here, and policies of rules as a header.
pub fn router_config(table: &Table, place: &Place) -> Value {
    let mut config = table.router.clone();
    let numbers = policy::numbers(table);
    let ports = |matched: &mut filter_kit::matching::RequestMatchConfig| {
        matched.ports.iter_mut().for_each(|port| *port = place.port(*port));
    };
    let each = |rule: &mut header_router::RuleConfig, service: &str| {
        rule.r#match.iter_mut().for_each(ports);
        rule.matches.iter_mut().for_each(ports);
        if numbers.is_empty() || rule.targets.is_empty() {
            return;
        }
        let name = if service.is_empty() { rule.name.clone() } else { format!("{service}/{}", rule.name) };
        match table.policies.get(&name).and_then(|policy| numbers.get(policy)) {
            Some(number) => {
                let (name, value) = (POLICY_HEADER.to_owned(), number.clone());
                rule.request_headers.set.push(filter_kit::header_edits::HeaderValueConfig { name, value });
            }
            None => rule.request_headers.remove.push(POLICY_HEADER.to_owned()),
        }
    };
    config.rules.iter_mut().for_each(|rule| each(rule, ""));
    for service in &mut config.services {
        let name = service.name.clone();
        service.rules.iter_mut().for_each(|rule| each(rule, &name));
    }
    router::config(&config)
}

fn listener(listener: &Listener, table: &Table, place: &Place, entry: &Entry, style: Style) -> Value {
    let mut manager = Map::new();
    manager.insert(
        "@type".to_owned(),
        json!("type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
    );
    manager.insert("stat_prefix".to_owned(), json!(listener.name));
    manager.extend(listener.manager.clone());
    if !listener.access_log.is_empty() {
        manager.insert("access_log".to_owned(), json!(listener.access_log));
    }
    let native = match style {
        Style::Native => native::routes(table).ok(),
        Style::Filter => None,
    };
    let (routes, mut filters) = match native {
        Some(routes) => (routes, Vec::new()),
        None => filtered(table, place, entry),
    };
    manager.insert("route_config".to_owned(), routes);
    let router = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"});
    filters.push(json!({"name": "envoy.filters.http.router", "typed_config": router}));
    manager.insert("http_filters".to_owned(), json!(filters));
    let network = json!([{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]);
    let mut made = Map::new();
    made.insert("name".to_owned(), json!(listener.name));
    made.insert("address".to_owned(), address(&place.listen.to_string(), place.port(listener.port)));
    let mut chains = Vec::new();
    for tls in &listener.tls {
        let mut chain = Map::new();
        if listener.plain_too {
            chain.insert("filter_chain_match".to_owned(), json!({"transport_protocol": "tls"}));
        } else if !tls.names.is_empty() {
            chain.insert("filter_chain_match".to_owned(), json!({"server_names": tls.names}));
        }
        chain.insert("filters".to_owned(), network.clone());
        chain.insert("transport_socket".to_owned(), tls.socket.clone());
        chains.push(Value::Object(chain));
    }
    if chains.is_empty() || listener.plain_too {
        chains.push(json!({"filters": network}));
    }
    if chains.len() > 1 {
        let inspector =
            json!({"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"});
        made.insert(
            "listener_filters".to_owned(),
            json!([{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}]),
        );
    }
    made.insert("filter_chains".to_owned(), json!(chains));
    Value::Object(made)
}

fn route(matched: Value, policy: &Policy, table: &Table, by_header: bool) -> Value {
    let mut action = Map::new();
    action.insert("cluster_header".to_owned(), json!(header_router::CLUSTER_HEADER));
    policy::write(policy, &mut action);
    if has_mirror(table) {
        action.insert("request_mirror_policies".to_owned(), json!([{"cluster_header": header_router::MIRROR_HEADER}]));
    }
    let mut made = Map::new();
    made.insert("match".to_owned(), matched);
    made.insert("route".to_owned(), Value::Object(action));
    if by_header {
        made.insert("request_headers_to_remove".to_owned(), json!([POLICY_HEADER]));
    }
    if let Some(limit) = policy.body_limit {
        made.insert("request_body_buffer_limit".to_owned(), json!(limit));
    }
    Value::Object(made)
}

/// Routes by what the header-router has decided, and the filters that decide.
fn filtered(table: &Table, place: &Place, entry: &Entry) -> (Value, Vec<Value>) {
    let mut routes: Vec<Value> = table.edits.iter().map(|edits| edited(edits, table)).collect();
    let by_policy = policy::numbers(table);
    let by_policy = by_policy.iter().map(|(policy, number)| {
        let headers = json!([{"name": POLICY_HEADER, "string_match": {"exact": number}}]);
        route(json!({"prefix": "/", "headers": headers}), policy, table, true)
    });
    routes.extend(by_policy);
    routes.push(route(json!({"prefix": "/"}), &table.policy, table, false));
    let name = entry.id.clone();
    let table_of_routes = json!({"name": name, "virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}]});
    let mut filters = vec![wasm("header-router", &entry.id, router_config(table, place), place)];
    if let Some(limits) = &table.rate_limit {
        filters.push(wasm("rate-limit", &entry.id, limits.clone(), place));
    }
    (table_of_routes, filters)
}

/// The route of a rule and a target that has edits of its own.
fn edited(edits: &BackendEdits, table: &Table) -> Value {
    let exact = |name: &str, value: &str| json!({"name": name, "string_match": {"exact": value}});
    let headers =
        json!([exact(header_router::ROUTE_HEADER, &edits.rule), exact(header_router::CLUSTER_HEADER, &edits.cluster)]);
    let policy = table.policies.get(&edits.rule);
    let mut made =
        route(json!({"prefix": "/", "headers": headers}), policy.unwrap_or(&table.policy), table, policy.is_some());
    // Envoy takes what stands between two % for a command
    let header = |(name, value): &(String, String), action: &str| json!({"header": {"key": name, "value": value.replace('%', "%%")}, "append_action": action});
    let set = edits.set.iter().map(|edit| header(edit, "OVERWRITE_IF_EXISTS_OR_ADD"));
    let all: Vec<Value> = set.chain(edits.add.iter().map(|edit| header(edit, "APPEND_IF_EXISTS_OR_ADD"))).collect();
    if let Some(entries) = made.as_object_mut() {
        if !all.is_empty() {
            entries.insert("request_headers_to_add".to_owned(), json!(all));
        }
        if !edits.remove.is_empty() {
            let mut remove = edits.remove.clone();
            remove.extend(policy.map(|_| POLICY_HEADER.to_owned()));
            entries.insert("request_headers_to_remove".to_owned(), json!(remove));
        }
    }
    made
}

fn has_mirror(table: &Table) -> bool {
    let config = &table.router;
    let rules = config.rules.iter().chain(config.services.iter().flat_map(|service| &service.rules));
    rules.into_iter().any(|rule| rule.mirror.is_some())
}

/// A filter of ours.
pub fn wasm(filter: &str, entry: &str, configuration: Value, place: &Place) -> Value {
    json!({"name": filter, "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": filter,
            "root_id": entry,
            "failure_policy": "FAIL_RELOAD",
            "reload_config": {"backoff": {"base_interval": "0.1s", "max_interval": "1s"}},
            "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": configuration},
            "vm_config": {
                "vm_id": filter,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": format!("{}/{filter}.wasm", place.wasm)}},
            },
        },
    }})
}

fn cluster(name: &str, cluster: &Cluster, place: &Place) -> Value {
    let mut made = Map::new();
    made.insert("name".to_owned(), json!(name));
    made.insert("connect_timeout".to_owned(), json!("5s"));
    let own = place.endpoints.get(name);
    let (host, port) = match own {
        Some(address) => (address.ip().to_string(), address.port()),
        None => (cluster.host.clone(), cluster.port),
    };
    let kind = match (host.parse::<IpAddr>(), cluster.logical) {
        (Ok(_), _) => "STATIC",
        (Err(_), true) => "LOGICAL_DNS",
        (Err(_), false) => "STRICT_DNS",
    };
    let mut endpoints = json!([]);
    if host.is_empty() {
        made.insert("type".to_owned(), json!("STATIC"));
    } else {
        made.insert("type".to_owned(), json!(kind));
        endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": address(&host, port)}}]}]);
    }
    made.insert("load_assignment".to_owned(), json!({"cluster_name": name, "endpoints": endpoints}));
    if cluster.http2 {
        let options = json!({
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        });
        made.insert(
            "typed_extension_protocol_options".to_owned(),
            json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}),
        );
    }
    for (key, value) in &cluster.more {
        // a stand-in speaks plain text, and has no health to ask for
        let is_own =
            own.is_some() && matches!(key.as_str(), "transport_socket" | "health_checks" | "dns_lookup_family");
        if !is_own {
            made.insert(key.clone(), value.clone());
        }
    }
    Value::Object(made)
}
