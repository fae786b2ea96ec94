//! Where a request goes behind the downstream filters: by the decision header, or by the file's own route list.

use super::format::{File, Text};
use super::observe::Message;
use crate::HeaderMap;
use crate::gateway::bootstrap::{
    Action, ClusterChoice, Domain, HeaderCondition, HeaderTest, PathTest, Proxy, Route, RouteTable, TextTest,
    VirtualHost,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The header that names the cluster, unless the file has routes of its own.
const DECISION: &str = "x-sluice-cluster";
/// The header that names the cluster that gets a copy of the request.
const MIRROR: &str = "x-sluice-mirror";

/// A route of the file; the first that matches is taken.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct RouteUse {
    /// The path with its query starts with this.
    pub prefix: Option<String>,
    /// The path without its query is this.
    pub path: Option<String>,
    /// A condition on a header.
    pub header: Option<HeaderUse>,
    /// Where the request goes.
    pub cluster: Option<String>,
    /// The header that names where it goes.
    pub cluster_header: Option<String>,
}

/// A condition on a header.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct HeaderUse {
    /// The name.
    pub name: String,
    /// The whole value.
    #[serde(default)]
    pub exact: Option<Text>,
    /// Whether the header is there.
    #[serde(default)]
    pub present: Option<bool>,
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To this cluster.
    Cluster(String),
    /// Nowhere; the client gets this status.
    Answer(u16),
}

impl RouteUse {
    /// What is wrong with it, and at which field.
    pub fn fault(&self, clusters: &[String]) -> Option<(&'static str, String)> {
        if self.prefix.is_some() && self.path.is_some() {
            return Some((".path", "expected either \"prefix\" or \"path\", found both".to_owned()));
        }
        if let Some(header) = &self.header
            && header.exact.is_some() == header.present.is_some()
        {
            return Some((".header", "expected either \"exact\" or \"present\"".to_owned()));
        }
        if let Some(Text::Bytes(_)) = self.header.as_ref().and_then(|header| header.exact.as_ref()) {
            return Some((".header.exact", "expected text".to_owned()));
        }
        match (&self.cluster, &self.cluster_header) {
            (Some(cluster), None) if !clusters.contains(cluster) => {
                Some((".cluster", format!("expected one of the clusters, found {cluster:?}")))
            }
            (Some(_), None) | (None, Some(_)) => None,
            _ => Some(("", "expected either \"cluster\" or \"cluster_header\"".to_owned())),
        }
    }

    fn route(&self) -> Route {
        let path = match (&self.prefix, &self.path) {
            (_, Some(path)) => PathTest::Exact(path.clone()),
            (prefix, None) => PathTest::Prefix(prefix.clone().unwrap_or_else(|| "/".to_owned())),
        };
        let condition = |header: &HeaderUse| HeaderCondition {
            name: header.name.to_ascii_lowercase(),
            test: match (&header.exact, header.present) {
                (Some(text), _) => HeaderTest::Text(TextTest::Exact(plain(text)), false),
                (None, present) => HeaderTest::Present(present.unwrap_or(true)),
            },
            invert: false,
            missing_as_empty: false,
        };
        let cluster = match (&self.cluster, &self.cluster_header) {
            (Some(cluster), _) => ClusterChoice::Named(cluster.clone()),
            (None, header) => ClusterChoice::FromHeader(header.clone().unwrap_or_default().to_ascii_lowercase()),
        };
        let headers = self.header.iter().map(condition).collect();
        Route { headers, ..Route::new(path, Action::Proxy(Proxy::to(cluster))) }
    }

    fn envoy(&self) -> Value {
        let path = match (&self.prefix, &self.path) {
            (_, Some(path)) => ("path", path.as_str()),
            (prefix, None) => ("prefix", prefix.as_deref().unwrap_or("/")),
        };
        let condition = |header: &HeaderUse| match &header.exact {
            Some(text) => json!({"name": header.name, "string_match": {"exact": plain(text)}}),
            None => json!({"name": header.name, "present_match": header.present.unwrap_or(true)}),
        };
        let headers: Vec<Value> = self.header.iter().map(condition).collect();
        let cluster = match (&self.cluster, &self.cluster_header) {
            (Some(cluster), _) => ("cluster", cluster.as_str()),
            (None, header) => ("cluster_header", header.as_deref().unwrap_or_default()),
        };
        json!({
            "match": {path.0: path.1, "headers": headers},
            "route": {cluster.0: cluster.1, "request_mirror_policies": [{"cluster_header": MIRROR}]}})
    }
}

/// What `RouteUse::fault` has let through is text.
fn plain(text: &Text) -> String {
    String::from_utf8_lossy(text.bytes()).into_owned()
}

/// The file's routes; without any, by the decision header, then to the fallback.
fn routes(file: &File) -> Vec<RouteUse> {
    if !file.routes.is_empty() {
        return file.routes.clone();
    }
    let present = HeaderUse { name: DECISION.to_owned(), exact: None, present: Some(true) };
    let decided = RouteUse { header: Some(present), cluster_header: Some(DECISION.to_owned()), ..RouteUse::default() };
    let fallback = file.fallback.iter().map(|name| RouteUse { cluster: Some(name.clone()), ..RouteUse::default() });
    std::iter::once(decided).chain(fallback).collect()
}

/// The routes as Envoy takes them.
pub fn envoy_routes(file: &File) -> Vec<Value> {
    routes(file).iter().map(RouteUse::envoy).collect()
}

/// Where a request with this head goes.
pub fn destination(file: &File, headers: &[(String, Vec<u8>)]) -> Destination {
    let mut headers: HeaderMap = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    // what a lenient codec lets through; Envoy's table has no route for it
    if file.routes.is_empty() && headers.get(b":path") == Some(b"*") {
        headers.replace(":path", "/");
    }
    let routes = routes(file).iter().map(RouteUse::route).collect();
    let host = VirtualHost { name: "all".to_owned(), domains: vec![Domain::Any], routes, ..VirtualHost::default() };
    let table = RouteTable { hosts: vec![host], ..RouteTable::default() };
    let named = |name: &[u8]| match file.clusters.iter().find(|cluster| cluster.as_bytes() == name) {
        Some(cluster) => Destination::Cluster(cluster.clone()),
        None => Destination::Answer(503),
    };
    match table.find(&headers).map(|(_, route)| &route.action) {
        Some(Action::Proxy(Proxy { cluster: ClusterChoice::Named(name), .. })) => named(name.as_bytes()),
        Some(Action::Proxy(Proxy { cluster: ClusterChoice::FromHeader(name), .. })) => {
            named(headers.get(name.as_bytes()).unwrap_or_default())
        }
        _ => Destination::Answer(404),
    }
}

/// The copy that Envoy's router sends beside this request, and where to: as it stands before the upstream filters, with
/// a mark in its host.
pub fn mirror(file: &File, message: &Message) -> Option<(String, Message)> {
    let cluster = mirror_cluster(file, message)?;
    let mut copy = message.clone();
    for (name, value) in &mut copy.headers {
        if name == ":authority" {
            *value = crate::gateway::shadow_host(value);
        }
    }
    Some((cluster, copy))
}

/// The cluster that gets a copy of the request, if it names one that exists.
pub fn mirror_cluster(file: &File, message: &Message) -> Option<String> {
    let name = message.value(MIRROR)?;
    file.clusters.iter().find(|cluster| cluster.as_bytes() == name).cloned()
}
