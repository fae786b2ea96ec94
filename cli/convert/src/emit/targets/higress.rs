//! Higress: WasmPlugin, Ingresses and McpBridge.

use super::rows::{Row, rows};
use super::{Backend, Host, Manifests, label, metadata, namespace_and_name, of_table, tables, tls};
use crate::emit::bootstrap::router_config;
use crate::model::{Entry, Table};
use serde_json::{Map, Value, json};

/// Where Higress runs; its plugins and the McpBridge have to be there.
const NAMESPACE: &str = "higress-system";
/// Plugins with a larger number run first; 900 is that of Higress' own that route.
const PRIORITY: u32 = 900;

pub(super) fn write(host: &Host<'_>, made: &mut Manifests) {
    let mut registries: Vec<Value> = Vec::new();
    let mut ingresses = Vec::new();
    for entry in host.entries {
        notes(host, entry, made);
        for (number, table) in tables(entry) {
            // all entries meet in one namespace
            let (namespace, name) = namespace_and_name(entry);
            let name = of_table(&label(&format!("{namespace}-{name}")), number);
            made.documents.push(plugin(host, entry, table, &name));
            for (at, row) in rows(table).iter().enumerate() {
                let name = format!("{name}-{:04}", at + 1);
                ingresses.extend(ingress(host, entry, row, &name, &mut registries, made));
            }
        }
        certificates(entry, made);
    }
    let has_several = |table: &Table| rows(table).iter().any(|row| row.headers().len() > 1);
    if host.entries.iter().any(|entry| tables(entry).any(|(_, table)| has_several(table))) {
        let text = "Higress takes Ingresses of one path in the order of their creation, then of their names: \
            apply these together, and delete the old ones before others are applied";
        made.notes.push(text.to_owned());
    }
    if !registries.is_empty() {
        made.notes.push(format!(
            "McpBridge {NAMESPACE}/default: add these registries to those that are there, do not replace them"
        ));
        made.documents.push(json!({"apiVersion": "networking.higress.io/v1", "kind": "McpBridge",
            "metadata": metadata(NAMESPACE, "default"), "spec": {"registries": registries}}));
    }
    made.documents.extend(ingresses);
}

fn notes(host: &Host<'_>, entry: &Entry, made: &mut Manifests) {
    let id = &entry.id;
    for listener in &entry.listeners {
        let (port, usual) = (host.place.port(listener.port), if listener.tls.is_empty() { 80 } else { 443 });
        if port != usual {
            made.notes.push(format!("{id}: Higress listens on {usual}, not on {port} as listener {}", listener.name));
        }
    }
    if host.entries.len() > 1 || tables(entry).count() > 1 {
        made.notes.push(format!(
            "{id}: Higress has one table for all its ports; of several WasmPlugins, \
            each would decide in turn, so keep one for each installation"
        ));
    }
    for (_, table) in tables(entry) {
        if router_config(table, host.place).to_string().contains("\"ports\":") {
            made.notes
                .push(format!("{id}: rules ask for ports; they have to be those on which Higress' Envoy listens"));
        }
        let policies = std::iter::once(&table.policy).chain(table.policies.values());
        for policy in policies {
            if policy.idle_ms.is_some() {
                made.notes.push(format!("{id}: an Ingress of Higress has no idle timeout"));
            }
            let retry = policy.retry.as_ref();
            if retry.is_some_and(|retry| retry.back_off_ms.is_some()) {
                made.notes.push(format!("{id}: Higress has no pause between retries"));
            }
        }
    }
}

/// Ingresses with certificates need hosts, and ours have none.
fn certificates(entry: &Entry, made: &mut Manifests) {
    for listener in &entry.listeners {
        for chain in &listener.tls {
            for secret in tls::secrets(entry, listener, chain, made) {
                let names = if chain.names.is_empty() { "all names".to_owned() } else { chain.names.join(", ") };
                made.notes.push(format!(
                    "{}: give Higress the certificate of Secret {}/{} for {names}: an Ingress without hosts cannot",
                    entry.id, secret.namespace, secret.name
                ));
            }
        }
    }
}

fn plugin(host: &Host<'_>, entry: &Entry, table: &Table, name: &str) -> Value {
    json!({"apiVersion": "extensions.higress.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": metadata(NAMESPACE, &label(&format!("header-router-{name}"))),
        "spec": {"url": format!("oci://{}", host.image), "phase": "AUTHN", "priority": PRIORITY,
            "pluginName": entry.id, "failStrategy": "FAIL_CLOSE", "defaultConfig": router_config(table, host.place)}})
}

fn ingress(
    host: &Host<'_>,
    entry: &Entry,
    row: &Row<'_>,
    name: &str,
    registries: &mut Vec<Value>,
    made: &mut Manifests,
) -> Option<Value> {
    let mut annotations = Map::new();
    let mut annotate = |key: &str, value: String| {
        annotations.insert(format!("higress.io/{key}"), Value::String(value));
    };
    for (header, value) in row.headers() {
        annotate(&format!("exact-match-header-{header}"), value.to_owned());
    }
    let is_http2 = host.model.clusters.get(&row.cluster).is_some_and(|cluster| cluster.http2);
    if is_http2 {
        annotate("backend-protocol", "HTTP2".to_owned());
    }
    let (namespace, backend) = match host.backend(&row.cluster, made)? {
        Backend::Service { namespace, name, port } => {
            (namespace, json!({"service": {"name": name, "port": {"number": port}}}))
        }
        Backend::Host { host, port } => {
            let name = label(&row.cluster);
            // a static registry has the port in its addresses, and 80 as its own
            let (kind, domain, own) = match host.parse::<std::net::IpAddr>() {
                Ok(address) => ("static", std::net::SocketAddr::new(address, port).to_string(), 80),
                Err(_) => ("dns", host, port),
            };
            let registry = json!({"name": name, "type": kind, "domain": domain, "port": own});
            if !registries.contains(&registry) {
                registries.push(registry);
            }
            annotate("destination", format!("{name}.{kind}"));
            let bridge = json!({"apiGroup": "networking.higress.io", "kind": "McpBridge", "name": "default"});
            (NAMESPACE.to_owned(), json!({"resource": bridge}))
        }
    };
    if let Some(mirror) = &row.mirror {
        match host.backend(mirror, made) {
            Some(Backend::Service { namespace, name, port }) => {
                annotate("mirror-target-service", format!("{namespace}/{name}:{port}"));
            }
            _ => made.notes.push(format!("{}: copies to {mirror} are not written: it is no Service", entry.id)),
        }
    }
    let ms = row.timeout_ms();
    if ms > 0 {
        annotate("timeout", ms.div_ceil(1000).to_string());
        if !ms.is_multiple_of(1000) {
            made.notes.push(format!("{}: Higress counts whole seconds: {ms} ms became more", entry.id));
        }
    }
    retries(entry, row, &mut annotate, made);
    edits(entry, row, &mut annotate, made);
    let mut about = metadata(&namespace, name);
    if let Some(fields) = about.as_object_mut() {
        fields.insert("annotations".to_owned(), Value::Object(annotations));
    }
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    Some(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": about,
        "spec": {"ingressClassName": "higress", "rules": [{"http": {"paths": paths}}]}}))
}

fn retries(entry: &Entry, row: &Row<'_>, annotate: &mut impl FnMut(&str, String), made: &mut Manifests) {
    // without this, Higress tries again where Envoy's routes do not
    let Some(retry) = &row.policy.retry else { return annotate("proxy-next-upstream", "off".to_owned()) };
    let mut on: Vec<String> = retry.statuses.iter().map(|status| format!("http_{status}")).collect();
    for trigger in retry.on.iter().filter(|on| *on != "retriable-status-codes") {
        if trigger == "5xx" {
            on.push("error".to_owned());
        } else {
            made.notes.push(format!("{}: Higress has no retries on {trigger}", entry.id));
        }
    }
    if on.is_empty() {
        return annotate("proxy-next-upstream", "off".to_owned());
    }
    annotate("proxy-next-upstream", on.join(","));
    annotate("proxy-next-upstream-tries", retry.times.to_string());
    if let Some(ms) = retry.per_try_ms {
        annotate("proxy-next-upstream-timeout", ms.div_ceil(1000).to_string());
        if !ms.is_multiple_of(1000) {
            made.notes.push(format!("{}: Higress counts whole seconds: {ms} ms for a try became more", entry.id));
        }
    }
}

fn edits(entry: &Entry, row: &Row<'_>, annotate: &mut impl FnMut(&str, String), made: &mut Manifests) {
    for (kind, list) in row.edits.iter().flat_map(|edits| [("update", &edits.set), ("add", &edits.add)]) {
        let mut lines = Vec::new();
        for (at, (header, value)) in list.iter().enumerate() {
            if value.trim().is_empty() || list.iter().skip(at + 1).any(|(other, _)| other == header) {
                made.notes.push(format!("{}: Higress cannot write header {header} as {value:?}", entry.id));
            } else {
                lines.push(format!("{header} {}", value.replace('%', "%%")));
            }
        }
        if !lines.is_empty() {
            annotate(&format!("request-header-control-{kind}"), lines.join("\n"));
        }
    }
    let remove = row.remove();
    if !remove.is_empty() {
        annotate("request-header-control-remove", remove.join(","));
    }
}
