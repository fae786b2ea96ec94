//! A model as Kubernetes manifests for gateways that run the header-router as a plugin.
//!
//! The filter writes [`ROUTE_HEADER`] and [`CLUSTER_HEADER`]; Envoy then picks the route again, and the routes written
//! here match those headers exactly.

mod envoy_gateway;
mod higress;
mod istio;
mod rows;
mod tls;

use super::bootstrap::Place;
use crate::model::{Cluster, Entry, Model, Table};
use rows::rows;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Whose manifests are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Envoy Gateway.
    EnvoyGateway,
    /// Istio's ingress gateway.
    Istio,
    /// Higress.
    Higress,
}

/// What [`manifests`] makes.
#[derive(Debug, Default)]
pub struct Manifests {
    /// Kubernetes objects, in the order to apply them.
    pub documents: Vec<Value>,
    /// What the host cannot do, and what has to be there.
    pub notes: Vec<String>,
}

/// The objects for all entries that have listeners. `image` names the OCI image of the header-router, without a scheme.
pub fn manifests(target: Target, model: &Model, place: &Place, image: &str) -> Manifests {
    let mut made = Manifests::default();
    let entries: Vec<&Entry> = model.entries.iter().filter(|entry| !entry.listeners.is_empty()).collect();
    for entry in &entries {
        common_notes(entry, &mut made);
    }
    let host = Host { target, model, place, image, entries: &entries };
    match target {
        Target::EnvoyGateway => envoy_gateway::write(&host, &mut made),
        Target::Istio => istio::write(&host, &mut made),
        Target::Higress => higress::write(&host, &mut made),
    }
    cluster_notes(&host, &mut made);
    let mut seen = BTreeSet::new();
    made.notes.retain(|note| seen.insert(note.clone()));
    let mut seen = BTreeSet::new();
    made.documents.retain(|document| seen.insert(document.to_string()));
    made
}

/// What the writers share.
struct Host<'m> {
    target: Target,
    model: &'m Model,
    place: &'m Place,
    image: &'m str,
    entries: &'m [&'m Entry],
}

impl Host<'_> {
    /// A cluster that requests can go to; a note for one without an address.
    fn backend(&self, name: &str, made: &mut Manifests) -> Option<Backend> {
        let cluster = self.model.clusters.get(name);
        let found = cluster.and_then(|cluster| Backend::of(name, cluster));
        if let (Some(cluster), Some(Backend::Service { namespace, name: service, port })) = (cluster, &found)
            && !cluster.source.starts_with("Service/")
        {
            made.notes.push(format!(
                "cluster {name}: Service {namespace}/{service} is taken to have port {port}, as {} says",
                cluster.source
            ));
        }
        if found.is_none() {
            made.notes.push(format!("cluster {name}: no address, so it has no route"));
        }
        found
    }
}

/// Where the host finds a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Backend {
    /// A Service of the cluster.
    Service { namespace: String, name: String, port: u16 },
    /// Any other host.
    Host { host: String, port: u16 },
}

impl Backend {
    fn of(name: &str, cluster: &Cluster) -> Option<Self> {
        if let Some((namespace, service)) = cluster.source.strip_prefix("Service/").and_then(|at| at.split_once('/')) {
            // the cluster of a headless Service has the port of its pods, and its name the port of the Service
            let asked = name.strip_prefix(&format!("{namespace}/{service}:"));
            let port = asked.and_then(|rest| rest.split('/').next()?.parse().ok()).unwrap_or(cluster.port);
            return Some(Self::Service { namespace: namespace.to_owned(), name: service.to_owned(), port });
        }
        let port = cluster.port;
        let inside = cluster.host.strip_suffix(".svc.cluster.local").and_then(|host| host.split_once('.'));
        match inside.filter(|(_, namespace)| !namespace.contains('.')) {
            Some((service, namespace)) => {
                Some(Self::Service { namespace: namespace.to_owned(), name: service.to_owned(), port })
            }
            None if cluster.host.is_empty() => None,
            None => Some(Self::Host { host: cluster.host.clone(), port }),
        }
    }
}

/// Namespace and name of an entry: `VirtualGateway/default/shop`.
fn namespace_and_name(entry: &Entry) -> (String, String) {
    let parts: Vec<&str> = entry.id.split('/').collect();
    match parts.as_slice() {
        [_, namespace, name] => ((*namespace).to_owned(), label(name)),
        [_, name] => ("default".to_owned(), label(name)),
        _ => ("default".to_owned(), label(&entry.id)),
    }
}

/// A name as Kubernetes takes it: small letters, digits and `-`, at most 63. What is changed has a hash.
fn label(name: &str) -> String {
    use sha2::Digest;
    let good = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let clean: String = name.chars().map(good).collect();
    let clean = clean.trim_matches('-');
    if clean == name && clean.len() <= 50 && clean.starts_with(|c: char| c.is_ascii_lowercase()) {
        return clean.to_owned();
    }
    let hash = sha2::Sha256::digest(name.as_bytes());
    let hash: String = hash.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    let cut: String = clean.chars().take(40).collect();
    format!("x-{cut}-{hash}")
}

/// The name of a thing of a table: the entry's, with a number for all tables but the first.
fn of_table(name: &str, table: usize) -> String {
    if table == 0 { name.to_owned() } else { format!("{name}-table-{}", table + 1) }
}

fn metadata(namespace: &str, name: &str) -> Value {
    json!({"namespace": namespace, "name": name})
}

/// Tables with listeners, and their numbers.
fn tables(entry: &Entry) -> impl Iterator<Item = (usize, &Table)> {
    let used = |number: usize| entry.listeners.iter().any(move |listener| listener.table == number);
    entry.tables.iter().enumerate().filter(move |(number, _)| used(*number))
}

/// What none of the hosts gets.
fn common_notes(entry: &Entry, made: &mut Manifests) {
    let id = &entry.id;
    for (_, table) in tables(entry) {
        if table.rate_limit.is_some() {
            made.notes
                .push(format!("{id}: rate limits are not written; they need the rate-limit filter as a second plugin"));
        }
        let policies = std::iter::once(&table.policy).chain(table.policies.values());
        for limit in policies.filter_map(|policy| policy.body_limit) {
            made.notes
                .push(format!("{id}: the host's routes have no limit of {limit} bytes for a body that is held back"));
        }
    }
    for listener in &entry.listeners {
        let name = &listener.name;
        if listener.plain_too {
            made.notes.push(format!("{id}: listener {name} takes plain text beside TLS; here it takes TLS alone"));
        }
        if !listener.access_log.is_empty() {
            made.notes.push(format!("{id}: the access log of listener {name} is not written; the host has its own"));
        }
        for (field, value) in &listener.manager {
            made.notes.push(format!("{id}: {field}: {value} of listener {name} is not written; the host's own holds"));
        }
    }
}

/// Fields of clusters that no manifest carries.
fn cluster_notes(host: &Host<'_>, made: &mut Manifests) {
    let mut used = BTreeSet::new();
    for table in host.entries.iter().flat_map(|entry| tables(entry)) {
        used.extend(rows(table.1).into_iter().flat_map(|row| row.mirror.into_iter().chain([row.cluster])));
    }
    let mut fields: std::collections::BTreeMap<&str, Vec<&str>> = Default::default();
    for name in &used {
        for field in host.model.clusters.get(name).iter().flat_map(|cluster| cluster.more.keys()) {
            fields.entry(field).or_default().push(name);
        }
    }
    for (field, names) in fields {
        if field == "transport_socket" {
            made.notes.push(format!(
                "TLS towards clusters {} is not written: {}",
                names.join(", "),
                match host.target {
                    Target::EnvoyGateway => "a BackendTLSPolicy says it",
                    Target::Istio => "a DestinationRule says it",
                    Target::Higress => "the annotations backend-protocol and proxy-ssl-* say it",
                }
            ));
            continue;
        }
        made.notes.push(format!("{field} is not written for clusters {}", names.join(", ")));
    }
}
