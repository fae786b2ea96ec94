//! Envoy Gateway: Gateway, HTTPRoutes, Backends and policies.
//!
//! Its controller switches a Wasm filter off for the whole listener and on for each route, so a request has to meet a
//! route before the filter has decided: the last HTTPRoute takes all requests, and answers those that the filter lets
//! go on without a cluster.

use super::rows::{Row, rows};
use super::{Backend, Host, Manifests, label, metadata, namespace_and_name, of_table, tables, tls};
use crate::emit::bootstrap::{Place, router_config};
use crate::model::{Entry, Policy, Table};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const API: &str = "gateway.networking.k8s.io/v1";
const OWN: &str = "gateway.envoyproxy.io";
const OWN_API: &str = "gateway.envoyproxy.io/v1alpha1";
/// Most rules of an HTTPRoute.
const RULES: usize = 16;
/// What Envoy Gateway knows of Envoy's `retry_on`.
const TRIGGERS: [&str; 13] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

pub(super) fn write(host: &Host<'_>, made: &mut Manifests) {
    for entry in host.entries {
        let (namespace, name) = namespace_and_name(entry);
        let gateway = gateway(host, entry, made);
        made.documents.push(gateway);
        for (number, table) in tables(entry) {
            let names = listener_names(entry, number);
            let table_name = of_table(&name, number);
            let writer = Writer { host, entry, table, namespace: &namespace, gateway: &name, name: &table_name, names };
            writer.routes(made);
            writer.plugin(made);
        }
    }
}

/// A listener of the Gateway: its number among those of the entry makes the name.
fn section(entry: &Entry, number: usize) -> String {
    let port = entry.listeners.get(number).map(|listener| listener.port).unwrap_or_default();
    let before = entry.listeners.iter().take(number).filter(|other| other.port == port).count();
    if before == 0 { format!("port-{port}") } else { format!("port-{port}-{}", before + 1) }
}

fn listener_names(entry: &Entry, table: usize) -> Vec<String> {
    let of = entry.listeners.iter().enumerate().filter(|(_, listener)| listener.table == table);
    of.map(|(number, _)| section(entry, number)).collect()
}

fn gateway(host: &Host<'_>, entry: &Entry, made: &mut Manifests) -> Value {
    let (namespace, name) = namespace_and_name(entry);
    let mut listeners = Vec::new();
    for (number, listener) in entry.listeners.iter().enumerate() {
        let mut one = json!({"name": section(entry, number), "port": host.place.port(listener.port), "protocol": "HTTP",
            "allowedRoutes": {"namespaces": {"from": "Same"}}});
        let mut secrets: Vec<tls::Secret> = Vec::new();
        for chain in &listener.tls {
            for secret in tls::secrets(entry, listener, chain, made) {
                if !secrets.contains(&secret) {
                    secrets.push(secret);
                }
            }
        }
        for secret in secrets.iter().filter(|secret| secret.namespace != namespace) {
            made.documents.push(grant(&secret.namespace, (API, "Gateway"), &namespace, ("", "Secret"), &secret.name));
        }
        if let (Some(fields), false) = (one.as_object_mut(), secrets.is_empty()) {
            let of =
                |secret: &tls::Secret| json!({"kind": "Secret", "name": secret.name, "namespace": secret.namespace});
            let refs: Vec<Value> = secrets.iter().map(of).collect();
            fields.insert("protocol".to_owned(), json!("HTTPS"));
            fields.insert("tls".to_owned(), json!({"mode": "Terminate", "certificateRefs": refs}));
        }
        listeners.push(one);
    }
    json!({"apiVersion": API, "kind": "Gateway", "metadata": metadata(&namespace, &name),
        "spec": {"gatewayClassName": "eg", "listeners": listeners}})
}

/// Lets objects of a kind in `from` name another in `namespace`.
fn grant(namespace: &str, by: (&str, &str), from: &str, to: (&str, &str), name: &str) -> Value {
    let group = by.0.split('/').next().unwrap_or_default();
    json!({"apiVersion": API, "kind": "ReferenceGrant",
        "metadata": metadata(namespace, &label(&format!("{from}-{}-{name}", by.1.to_ascii_lowercase()))),
        "spec": {"from": [{"group": group, "kind": by.1, "namespace": from}],
            "to": [{"group": to.0, "kind": to.1, "name": name}]}})
}

/// Writes one table of an entry.
struct Writer<'w> {
    host: &'w Host<'w>,
    entry: &'w Entry,
    table: &'w Table,
    namespace: &'w str,
    gateway: &'w str,
    name: &'w str,
    names: Vec<String>,
}

impl Writer<'_> {
    fn routes(&self, made: &mut Manifests) {
        let mut by_policy: BTreeMap<&Policy, Vec<Value>> = BTreeMap::new();
        for row in rows(self.table) {
            if let Some(rule) = self.rule(&row, made) {
                by_policy.entry(row.policy).or_default().push(rule);
            }
        }
        let mut number = 0;
        for (policy, rules) in by_policy {
            let mut names = Vec::new();
            for rules in rules.chunks(RULES) {
                number += 1;
                let name = format!("{}-{number}", self.name);
                made.documents.push(self.route(&name, rules));
                names.push(name);
            }
            let traffic = self.traffic(policy, &names, &mut made.notes);
            made.documents.extend(traffic);
        }
        let name = format!("{}-rest", self.name);
        let answer = json!({"directResponse": {"statusCode": 404}});
        made.documents.push(json!({"apiVersion": OWN_API, "kind": "HTTPRouteFilter",
            "metadata": metadata(self.namespace, &name), "spec": answer}));
        let filter = json!({"type": "ExtensionRef",
            "extensionRef": {"group": OWN, "kind": "HTTPRouteFilter", "name": name}});
        let rest = json!({"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "filters": [filter]});
        made.documents.push(self.route(&name, &[rest]));
    }

    fn route(&self, name: &str, rules: &[Value]) -> Value {
        let parent = |section: &String| json!({"name": self.gateway, "sectionName": section});
        let parents: Vec<Value> = self.names.iter().map(parent).collect();
        json!({"apiVersion": API, "kind": "HTTPRoute", "metadata": metadata(self.namespace, name),
            "spec": {"parentRefs": parents, "rules": rules}})
    }

    fn rule(&self, row: &Row<'_>, made: &mut Manifests) -> Option<Value> {
        let backend = self.backend(&row.cluster, made)?;
        let header = |(name, value): (&str, &str)| json!({"type": "Exact", "name": name, "value": value});
        let headers: Vec<Value> = row.headers().into_iter().map(header).collect();
        let mut rule = Map::new();
        rule.insert("matches".to_owned(), json!([{"headers": headers}]));
        let mut filters = Vec::new();
        let mut edits = Map::new();
        let list = |edits: &[(String, String)]| -> Value {
            edits.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
        };
        if let Some(own) = row.edits {
            edits.insert("set".to_owned(), list(&own.set));
            edits.insert("add".to_owned(), list(&own.add));
        }
        edits.insert("remove".to_owned(), json!(row.remove()));
        edits.retain(|_, list| list.as_array().is_some_and(|list| !list.is_empty()));
        if !edits.is_empty() {
            filters.push(json!({"type": "RequestHeaderModifier", "requestHeaderModifier": edits}));
        }
        if let Some(mirror) = row.mirror.as_deref().and_then(|mirror| self.backend(mirror, made)) {
            filters.push(json!({"type": "RequestMirror", "requestMirror": {"backendRef": mirror}}));
        }
        if !filters.is_empty() {
            rule.insert("filters".to_owned(), json!(filters));
        }
        rule.insert("backendRefs".to_owned(), json!([backend]));
        rule.insert("timeouts".to_owned(), json!({"request": duration(row.timeout_ms())}));
        Some(Value::Object(rule))
    }

    /// A reference to a cluster, and what has to be there for it.
    fn backend(&self, name: &str, made: &mut Manifests) -> Option<Value> {
        let is_http2 = self.host.model.clusters.get(name).is_some_and(|cluster| cluster.http2);
        match self.host.backend(name, made)? {
            Backend::Service { namespace, name, port } => {
                if namespace != self.namespace {
                    let grant = grant(&namespace, (API, "HTTPRoute"), self.namespace, ("", "Service"), &name);
                    made.documents.push(grant);
                }
                if is_http2 {
                    made.notes.push(format!(
                        "port {port} of Service {namespace}/{name} needs `appProtocol: kubernetes.io/h2c`, \
                        else it gets HTTP/1.1"
                    ));
                }
                Some(json!({"name": name, "namespace": namespace, "port": port}))
            }
            Backend::Host { host, port } => {
                let name = label(name);
                let endpoint = match host.parse::<std::net::IpAddr>() {
                    Ok(_) => json!({"ip": {"address": host, "port": port}}),
                    Err(_) => json!({"fqdn": {"hostname": host.to_ascii_lowercase(), "port": port}}),
                };
                let mut spec = json!({"endpoints": [endpoint]});
                if let (Some(fields), true) = (spec.as_object_mut(), is_http2) {
                    fields.insert("appProtocols".to_owned(), json!(["gateway.envoyproxy.io/h2c"]));
                }
                made.documents.push(json!({"apiVersion": OWN_API, "kind": "Backend",
                    "metadata": metadata(self.namespace, &name), "spec": spec}));
                made.notes
                    .push("Backends have to be allowed in Envoy Gateway: `extensionApis.enableBackend`".to_owned());
                Some(json!({"group": OWN, "kind": "Backend", "name": name}))
            }
        }
    }

    /// Retries and silence, which HTTPRoutes cannot say.
    fn traffic(&self, policy: &Policy, routes: &[String], notes: &mut Vec<String>) -> Option<Value> {
        let mut spec = Map::new();
        if let Some(ms) = policy.idle_ms {
            spec.insert("timeout".to_owned(), json!({"http": {"streamIdleTimeout": duration(ms)}}));
        }
        if let Some(retry) = &policy.retry {
            let (known, unknown): (Vec<&String>, Vec<&String>) =
                retry.on.iter().partition(|trigger| TRIGGERS.contains(&trigger.as_str()));
            for trigger in unknown {
                notes.push(format!("{}: Envoy Gateway has no retries on {trigger}", self.entry.id));
            }
            let mut on = json!({"triggers": known});
            if let (Some(fields), false) = (on.as_object_mut(), retry.statuses.is_empty()) {
                fields.insert("httpStatusCodes".to_owned(), json!(retry.statuses));
            }
            let mut per_retry = Map::new();
            if let Some(ms) = retry.per_try_ms {
                per_retry.insert("timeout".to_owned(), json!(duration(ms)));
            }
            if let Some(ms) = retry.back_off_ms {
                per_retry.insert("backOff".to_owned(), json!({"baseInterval": duration(ms)}));
            }
            let mut made = json!({"numRetries": retry.times, "retryOn": on});
            if let (Some(fields), false) = (made.as_object_mut(), per_retry.is_empty()) {
                fields.insert("perRetry".to_owned(), Value::Object(per_retry));
            }
            spec.insert("retry".to_owned(), made);
        }
        let first = routes.first().filter(|_| !spec.is_empty())?;
        let target = |name: &String| json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name});
        spec.insert("targetRefs".to_owned(), routes.iter().map(target).collect());
        Some(json!({"apiVersion": OWN_API, "kind": "BackendTrafficPolicy", "metadata": metadata(self.namespace, first),
            "spec": spec}))
    }

    fn plugin(&self, made: &mut Manifests) {
        let group = "gateway.networking.k8s.io";
        let name = self.gateway;
        let target =
            |section: &String| json!({"group": group, "kind": "Gateway", "name": name, "sectionName": section});
        let targets: Vec<Value> = self.names.iter().map(target).collect();
        let mut image = json!({"url": self.host.image});
        if let (Some(fields), Some((url, sum))) = (image.as_object_mut(), self.host.image.split_once("@sha256:")) {
            fields.insert("url".to_owned(), json!(url));
            fields.insert("sha256".to_owned(), json!(sum));
        }
        let place = self.inner_ports(made);
        let plugin = json!({"name": "header-router", "rootID": self.entry.id, "failOpen": false,
            "code": {"type": "Image", "image": image}, "config": router_config(self.table, &place)});
        made.documents.push(json!({"apiVersion": OWN_API, "kind": "EnvoyExtensionPolicy",
            "metadata": metadata(self.namespace, self.name), "spec": {"targetRefs": targets, "wasm": [plugin]}}));
    }

    /// Envoy listens on 10000 more where the Gateway has a port below 1024, and the filter sees Envoy's.
    fn inner_ports(&self, made: &mut Manifests) -> Place {
        let mut place = self.host.place.clone();
        let ports: BTreeSet<u16> = self.entry.listeners.iter().map(|listener| listener.port).collect();
        for port in ports {
            let outer = self.host.place.port(port);
            if outer < 1024 {
                place.ports.insert(port, outer.saturating_add(10_000));
                if router_config(self.table, self.host.place).to_string().contains("\"ports\":") {
                    made.notes.push(format!(
                        "{}: rules for port {outer} ask for {}, where Envoy Gateway's Envoy listens",
                        self.entry.id,
                        outer + 10_000
                    ));
                }
            }
        }
        place
    }
}

/// A duration of the Gateway API: numbers of at most five digits.
fn duration(ms: u64) -> String {
    let (hours, rest) = (ms / 3_600_000, ms % 3_600_000);
    let parts = [(hours.min(99_999), "h"), (rest / 60_000, "m"), (rest % 60_000 / 1000, "s"), (rest % 1000, "ms")];
    let text: String =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}
