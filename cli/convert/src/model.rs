//! What manifests come to, whatever their dialect: entry points with listeners and tables of rules, and clusters.

use header_router::Config;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// All of it.
#[derive(Debug, Default)]
pub struct Model {
    /// Where requests come in.
    pub entries: Vec<Entry>,
    /// Where they go, by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Where each rule comes from, by the name that `x-sluice-route` has.
    pub sources: BTreeMap<String, Source>,
}

/// A gateway, a virtual service or a class.
#[derive(Debug)]
pub struct Entry {
    /// As `--entry` names it: `VirtualGateway/default/shop`.
    pub id: String,
    /// Its listeners; none for an entry that only `sluice explain` asks.
    pub listeners: Vec<Listener>,
    /// What its listeners do.
    pub tables: Vec<Table>,
}

impl Entry {
    /// A place with the ports that this entry's listeners have had to take.
    pub fn place(&self, place: &crate::emit::Place) -> crate::emit::Place {
        let mut own = place.clone();
        for listener in &self.listeners {
            if let Some(moved) = listener.moved {
                own.ports.insert(listener.port, place.port(moved));
            }
        }
        own
    }
}

/// A listener.
#[derive(Debug)]
pub struct Listener {
    /// Its name, unique in the set.
    pub name: String,
    /// The port that the manifests have.
    pub port: u16,
    /// The port that it has here, since another gateway has its own.
    pub moved: Option<u16>,
    /// Which of the tables.
    pub table: usize,
    /// Clients speak HTTP/2 without TLS too.
    pub http2: bool,
    /// `transport_socket` of Envoy's filter chains; one for each of several names, the first for all others.
    pub tls: Vec<TlsChain>,
    /// Beside TLS, plain text is taken too.
    pub plain_too: bool,
    /// Envoy's `access_log`.
    pub access_log: Vec<Value>,
    /// More fields of Envoy's connection manager.
    pub manager: Map<String, Value>,
}

/// A certificate and the names that it is for.
#[derive(Debug, Clone)]
pub struct TlsChain {
    /// `server_names`; empty for all others.
    pub names: Vec<String>,
    /// Envoy's `transport_socket`.
    pub socket: Value,
}

/// Rules, and what else a listener does to requests.
#[derive(Debug)]
pub struct Table {
    /// Configuration of the header-router.
    pub router: Config,
    /// Configuration of the rate-limit filter behind it.
    pub rate_limit: Option<Value>,
    /// What holds for rules that say nothing.
    pub policy: Policy,
    /// What holds for others, by the rule's name (`service/rule` in services).
    pub policies: BTreeMap<String, Policy>,
    /// Edits for single targets of a rule, which Envoy's routes make.
    pub edits: Vec<BackendEdits>,
}

/// What Envoy's route does for a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Policy {
    /// Milliseconds for the whole answer; 0 for ever. Envoy's default is 15 s.
    pub timeout_ms: Option<u64>,
    /// Milliseconds of silence; 0 for ever.
    pub idle_ms: Option<u64>,
    /// Retries.
    pub retry: Option<Retry>,
    /// Largest body that may be held back.
    pub body_limit: Option<u64>,
}

/// Retries of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Retry {
    /// Envoy's `retry_on`.
    pub on: Vec<String>,
    /// Statuses for `retriable-status-codes`.
    pub statuses: Vec<u16>,
    /// How often.
    pub times: u64,
    /// Milliseconds for each try.
    pub per_try_ms: Option<u64>,
    /// Milliseconds between tries.
    pub back_off_ms: Option<u64>,
}

/// Where requests go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cluster {
    /// The object that it stands for, as in `VirtualNode/default/shop-v1`.
    pub source: String,
    /// Host name or IP address; nothing for a cluster without endpoints.
    pub host: String,
    /// The port.
    pub port: u16,
    /// One address at a time (a load balancer's) in place of all of them.
    pub logical: bool,
    /// HTTP/2 from the first byte.
    pub http2: bool,
    /// More fields of Envoy's cluster.
    pub more: Map<String, Value>,
}

/// Where a rule comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// `GatewayRoute/default/products`
    pub object: String,
    /// The field in it, as in `spec.rules[0]`.
    pub field: String,
    /// The file.
    pub file: String,
    /// The line.
    pub line: usize,
}

impl Source {
    /// Of a field.
    pub fn of(field: &crate::source::Field<'_>) -> Self {
        Self {
            object: field.document.id(),
            field: field.path.clone(),
            file: field.document.file.to_string(),
            line: field.position().line,
        }
    }
}

/// Edits of a request's headers that depend on the cluster that a rule has chosen.
#[derive(Debug, Clone)]
pub struct BackendEdits {
    /// The rule, as in `x-sluice-route`.
    pub rule: String,
    /// The cluster.
    pub cluster: String,
    /// Names and values that replace what is there.
    pub set: Vec<(String, String)>,
    /// Names and values that stand beside what is there.
    pub add: Vec<(String, String)>,
    /// Names that go.
    pub remove: Vec<String>,
}
