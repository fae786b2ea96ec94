//! Istio: Gateway, VirtualService, ServiceEntries and WasmPlugin.

use super::rows::{Row, rows};
use super::{Backend, Host, Manifests, label, metadata, namespace_and_name, of_table, tables, tls};
use crate::emit::bootstrap::router_config;
use crate::model::{Entry, Table};
use crate::parts::seconds;
use serde_json::{Map, Value, json};

const API: &str = "networking.istio.io/v1";
/// Where the gateway's pods run; a plugin and Secrets of certificates have to be there.
const NAMESPACE: &str = "istio-system";

pub(super) fn write(host: &Host<'_>, made: &mut Manifests) {
    made.notes.push(format!(
        "the gateway's pods are taken to run in namespace {NAMESPACE}; \
        WasmPlugin objects and Secrets of certificates have to be in theirs"
    ));
    for entry in host.entries {
        let (namespace, name) = namespace_and_name(entry);
        let pods = match host.entries {
            [_] => "ingressgateway".to_owned(),
            _ => name.clone(),
        };
        if host.entries.len() > 1 {
            made.notes.push(format!("{}: needs gateway pods of its own with the label istio={pods}", entry.id));
        }
        let selector = json!({"istio": pods});
        let servers = servers(host, entry, made);
        made.documents.push(json!({"apiVersion": API, "kind": "Gateway", "metadata": metadata(&namespace, &name),
            "spec": {"selector": selector, "servers": servers}}));
        let has_several = tables(entry).count() > 1;
        let mut routes = Vec::new();
        for (number, table) in tables(entry) {
            let ports: Vec<u16> = entry
                .listeners
                .iter()
                .filter(|listener| listener.table == number)
                .map(|listener| host.place.port(listener.port))
                .collect();
            let only = if has_several { ports } else { Vec::new() };
            for row in rows(table) {
                routes.extend(route(host, entry, &row, &only, &namespace, made));
            }
            made.documents.push(plugin(
                host,
                entry,
                table,
                &of_table(&format!("{namespace}-{name}"), number),
                &selector,
                &only,
            ));
            let policies = std::iter::once(&table.policy).chain(table.policies.values());
            if policies.clone().any(|policy| policy.idle_ms.is_some()) {
                made.notes.push(format!("{}: a VirtualService has no idle timeout", entry.id));
            }
        }
        made.documents
            .push(json!({"apiVersion": API, "kind": "VirtualService", "metadata": metadata(&namespace, &name),
            "spec": {"hosts": ["*"], "gateways": [format!("{namespace}/{name}")], "http": routes}}));
        if router_config_has_ports(host, entry) {
            made.notes.push(format!(
                "{}: rules ask for ports; \
                the gateway's Envoy listens on the targetPort of its Service, often 8080 for 80 and 8443 for 443",
                entry.id
            ));
        }
    }
}

fn router_config_has_ports(host: &Host<'_>, entry: &Entry) -> bool {
    tables(entry).any(|(_, table)| router_config(table, host.place).to_string().contains("\"ports\":"))
}

fn servers(host: &Host<'_>, entry: &Entry, made: &mut Manifests) -> Vec<Value> {
    let mut servers = Vec::new();
    for listener in &entry.listeners {
        let number = host.place.port(listener.port);
        let mut add = |protocol: &str, hosts: Value, tls: Option<Value>| {
            let name = format!("{}-{number}-{}", protocol.to_ascii_lowercase(), servers.len() + 1);
            let mut server = json!({"port": {"number": number, "name": name, "protocol": protocol}, "hosts": hosts});
            if let (Some(fields), Some(tls)) = (server.as_object_mut(), tls) {
                fields.insert("tls".to_owned(), tls);
            }
            servers.push(server);
        };
        if listener.tls.is_empty() {
            add(if listener.http2 { "HTTP2" } else { "HTTP" }, json!(["*"]), None);
        }
        for chain in &listener.tls {
            let secrets = tls::secrets(entry, listener, chain, made);
            let hosts = if chain.names.is_empty() { json!(["*"]) } else { json!(chain.names) };
            if secrets.len() > 1 {
                made.notes
                    .push(format!("{}: listener {} has one certificate here, the first", entry.id, listener.name));
            }
            for secret in secrets.iter().take(1) {
                if secret.namespace != NAMESPACE {
                    made.notes
                        .push(format!("copy Secret {}/{} to namespace {NAMESPACE}", secret.namespace, secret.name));
                }
                let tls = json!({"mode": "SIMPLE", "credentialName": secret.name});
                add("HTTPS", hosts.clone(), Some(tls));
            }
        }
    }
    servers
}

fn route(
    host: &Host<'_>,
    entry: &Entry,
    row: &Row<'_>,
    ports: &[u16],
    namespace: &str,
    made: &mut Manifests,
) -> Option<Value> {
    let destination = destination(host, &row.cluster, namespace, made)?;
    let headers: Map<String, Value> =
        row.headers().into_iter().map(|(name, value)| (name.to_owned(), json!({"exact": value}))).collect();
    let mut matches: Vec<Value> = ports.iter().map(|port| json!({"headers": headers, "port": port})).collect();
    if matches.is_empty() {
        matches.push(json!({"headers": headers}));
    }
    let mut made_route = Map::new();
    made_route.insert("match".to_owned(), json!(matches));
    made_route.insert("route".to_owned(), json!([{"destination": destination}]));
    if let Some(mirror) = row.mirror.as_deref().and_then(|mirror| self::destination(host, mirror, namespace, made)) {
        made_route.insert("mirrors".to_owned(), json!([{"destination": mirror, "percentage": {"value": 100}}]));
    }
    if row.timeout_ms() > 0 {
        made_route.insert("timeout".to_owned(), json!(seconds(row.timeout_ms())));
    }
    // without this, Istio tries twice again
    let mut retries = json!({"attempts": 0});
    if let Some(retry) = &row.policy.retry {
        // statuses stand beside the conditions
        let statuses = retry.statuses.iter().map(ToString::to_string);
        let on: Vec<String> =
            retry.on.iter().filter(|on| *on != "retriable-status-codes").cloned().chain(statuses).collect();
        retries = json!({"attempts": retry.times, "retryOn": on.join(",")});
        if let (Some(fields), Some(ms)) = (retries.as_object_mut(), retry.per_try_ms) {
            fields.insert("perTryTimeout".to_owned(), json!(seconds(ms)));
        }
        if let (Some(fields), Some(ms)) = (retries.as_object_mut(), retry.back_off_ms) {
            fields.insert("backoff".to_owned(), json!(seconds(ms)));
        }
    }
    made_route.insert("retries".to_owned(), retries);
    let mut edits = Map::new();
    for (name, list) in row.edits.iter().flat_map(|edits| [("set", &edits.set), ("add", &edits.add)]) {
        let mut values: Map<String, Value> = Map::new();
        for (header, value) in list {
            if values.insert(header.clone(), json!(value.replace('%', "%%"))).is_some() {
                made.notes.push(format!("{}: header {header} is added once, with the last value", entry.id));
            }
        }
        if !values.is_empty() {
            edits.insert(name.to_owned(), Value::Object(values));
        }
    }
    let remove = row.remove();
    if !remove.is_empty() {
        edits.insert("remove".to_owned(), json!(remove));
    }
    if !edits.is_empty() {
        made_route.insert("headers".to_owned(), json!({"request": edits}));
    }
    Some(Value::Object(made_route))
}

/// Host and port of a cluster, and what has to be there for it.
fn destination(host: &Host<'_>, name: &str, from: &str, made: &mut Manifests) -> Option<Value> {
    let is_http2 = host.model.clusters.get(name).is_some_and(|cluster| cluster.http2);
    match host.backend(name, made)? {
        Backend::Service { namespace, name, port } => {
            if is_http2 {
                made.notes.push(format!(
                    "port {port} of Service {namespace}/{name} needs `appProtocol: kubernetes.io/h2c`, \
                        else it gets HTTP/1.1"
                ));
            }
            Some(json!({"host": format!("{name}.{namespace}.svc.cluster.local"), "port": {"number": port}}))
        }
        Backend::Host { host, port } => {
            let protocol = if is_http2 { "HTTP2" } else { "HTTP" };
            let port_name = format!("{}-{port}", protocol.to_ascii_lowercase());
            let ports = json!([{"number": port, "name": port_name, "protocol": protocol}]);
            let is_address = host.parse::<std::net::IpAddr>().is_ok();
            // an address has no name of its own
            let called =
                if is_address { format!("{}.sluice.internal", label(name)) } else { host.to_ascii_lowercase() };
            let mut spec = json!({"hosts": [called], "ports": ports, "location": "MESH_EXTERNAL",
                "resolution": if is_address { "STATIC" } else { "DNS" }});
            if let (Some(fields), true) = (spec.as_object_mut(), is_address) {
                fields.insert("endpoints".to_owned(), json!([{"address": host}]));
            }
            made.documents.push(json!({"apiVersion": API, "kind": "ServiceEntry",
                "metadata": metadata(from, &label(&format!("{called}-{port}"))), "spec": spec}));
            Some(json!({"host": called, "port": {"number": port}}))
        }
    }
}

fn plugin(host: &Host<'_>, entry: &Entry, table: &Table, name: &str, selector: &Value, ports: &[u16]) -> Value {
    let mut spec = json!({"selector": {"matchLabels": selector}, "url": format!("oci://{}", host.image),
        "phase": "AUTHN", "pluginName": entry.id, "failStrategy": "FAIL_CLOSE",
        "pluginConfig": router_config(table, host.place)});
    if let (Some(fields), false) = (spec.as_object_mut(), ports.is_empty()) {
        let ports: Vec<Value> = ports.iter().map(|port| json!({"number": port})).collect();
        fields.insert("match".to_owned(), json!([{"mode": "SERVER", "ports": ports}]));
    }
    json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": metadata(NAMESPACE, &label(&format!("header-router-{name}"))), "spec": spec})
}
