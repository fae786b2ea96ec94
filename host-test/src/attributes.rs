//! What the host knows about a stream beside its headers: addresses, protocol, names, the route.

use crate::headers::HeaderMap;
use crate::value::Value;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Picks a route for request headers. Called anew after every change of a request header that a filter makes.
pub type RouteResolver = Rc<dyn Fn(&HeaderMap) -> Option<RouteInfo>>;

/// The route that the request would take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteInfo {
    /// `xds.route_name`
    pub name: String,
    /// `xds.cluster_name`; empty when the route has no cluster of its own
    pub cluster: String,
    /// `xds.virtual_host_name`
    pub virtual_host: String,
    /// `xds.route_metadata.filter_metadata`
    pub metadata: BTreeMap<String, Value>,
    /// `xds.virtual_host_metadata.filter_metadata`
    pub virtual_host_metadata: BTreeMap<String, Value>,
    /// `xds.cluster_metadata.filter_metadata`
    pub cluster_metadata: BTreeMap<String, Value>,
}

/// What is known when a stream begins.
#[derive(Clone)]
pub struct Attributes {
    /// `source.address`, with the port: `127.0.0.1:40000`
    pub source_address: String,
    /// `destination.address`, with the port
    pub destination_address: String,
    /// `request.protocol`: `HTTP/1.1`, `HTTP/2`
    pub protocol: String,
    /// `connection.id`
    pub connection_id: u64,
    /// `connection.mtls`
    pub mtls: bool,
    /// `connection.requested_server_name`; empty without TLS
    pub requested_server_name: String,
    /// `xds.node.id` and `xds.node.cluster`
    pub node: (String, String),
    /// `xds.listener_direction`: 0 unspecified, 1 inbound, 2 outbound
    pub listener_direction: i64,
    /// `xds.filter_chain_name`
    pub filter_chain_name: String,
    /// `xds.listener_metadata.filter_metadata`
    pub listener_metadata: BTreeMap<String, Value>,
    /// `metadata.filter_metadata`: dynamic metadata that other filters left
    pub dynamic_metadata: BTreeMap<String, Value>,
    /// `xds.route_name` and its kin
    pub route: Option<RouteResolver>,
    /// How many bytes a stream may hold back in one direction.
    pub buffer_limit: usize,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            source_address: "127.0.0.1:40000".to_owned(),
            destination_address: "127.0.0.1:10000".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            connection_id: 0,
            mtls: false,
            requested_server_name: String::new(),
            node: (String::new(), String::new()),
            listener_direction: 0,
            filter_chain_name: String::new(),
            listener_metadata: BTreeMap::new(),
            dynamic_metadata: BTreeMap::new(),
            route: None,
            buffer_limit: 1024 * 1024,
        }
    }
}

impl std::fmt::Debug for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attributes")
            .field("source_address", &self.source_address)
            .field("destination_address", &self.destination_address)
            .field("protocol", &self.protocol)
            .field("connection_id", &self.connection_id)
            .finish_non_exhaustive()
    }
}
