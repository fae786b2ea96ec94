//! What the host knows about a stream beside its headers: addresses, protocol, names, the route.

use crate::header_edits::HeaderEdits;
use crate::headers::HeaderMap;
use crate::stream_data::Direction;
use crate::value::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::rc::Rc;
use std::sync::Arc;

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
    /// What the route does to responses, those of filters and of the gateway included.
    pub response_edits: Arc<[HeaderEdits]>,
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
    /// The same for its request, where the route says otherwise.
    pub request_buffer_limit: Option<usize>,
    /// The chain stands behind the route decision (Envoy's upstream HTTP filters): no filter of it sees a reply that
    /// one of them makes, and they have no log phase.
    pub behind_routing: bool,
}

impl Attributes {
    /// How many bytes may be held back in a direction.
    pub(crate) fn limit(&self, direction: Direction) -> usize {
        match direction {
            Direction::Request => self.request_buffer_limit.unwrap_or(self.buffer_limit),
            Direction::Response => self.buffer_limit,
        }
    }
}

/// `source.address` as Envoy has it while `use_remote_address` is false: the last entry of `x-forwarded-for` if that is
/// an IP address, with port 0, else the address of the connection.
pub fn source_address(headers: &HeaderMap, connection: &str) -> String {
    source_address_behind(headers, 0, connection)
}

/// The same behind a number of proxies that are believed (`xff_num_trusted_hops`): their entries count from the end.
pub fn source_address_behind(headers: &HeaderMap, hops: usize, connection: &str) -> String {
    let lists = headers.get_all(b"x-forwarded-for").filter(|list| !list.is_empty());
    let entries: Vec<&[u8]> = lists.flat_map(|list| list.split(|byte| *byte == b',')).collect();
    let believed = entries.len().checked_sub(hops + 1).and_then(|at| entries.get(at));
    let text = believed.and_then(|entry| std::str::from_utf8(entry.trim_ascii()).ok()).unwrap_or_default();
    if let Ok(address) = text.parse::<IpAddr>() {
        return SocketAddr::new(address, 0).to_string();
    }
    // with a zone, as in fe80::1%2
    match format!("[{text}]:0").parse::<SocketAddrV6>() {
        Ok(address) => address.to_string(),
        Err(_) => connection.to_owned(),
    }
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
            request_buffer_limit: None,
            behind_routing: false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_forwarded_address_if_it_is_one() {
        const CONNECTION: &str = "127.0.0.1:4";
        for (values, expected) in [
            (&["1.2.3.4"][..], "1.2.3.4:0"),
            (&["1.2.3.4, 5.6.7.8"], "5.6.7.8:0"),
            (&["1.2.3.4,5.6.7.8 "], "5.6.7.8:0"),
            (&["junk, 1.2.3.4"], "1.2.3.4:0"),
            (&["1.2.3.4", "9.9.9.9"], "9.9.9.9:0"),
            (&["9.9.9.9", ""], "9.9.9.9:0"),
            (&["2001:DB8::1"], "[2001:db8::1]:0"),
            (&["::ffff:1.2.3.4"], "[::ffff:1.2.3.4]:0"),
            (&["fe80::1%1"], "[fe80::1%1]:0"),
            (&[""], CONNECTION),
            (&["1.2.3.4,"], CONNECTION),
            (&["1.2.3.4, junk"], CONNECTION),
            (&["[2001:db8::1]"], CONNECTION),
            (&["[2001:db8::1]:99"], CONNECTION),
            (&["1.2.3.4:80"], CONNECTION),
            (&["1.2.3"], CONNECTION),
            (&["001.2.3.4"], CONNECTION),
            (&["1.2.3.4 5"], CONNECTION),
        ] {
            let headers: HeaderMap = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
            assert_eq!(source_address(&headers, CONNECTION), expected, "{values:?}");
        }
        assert_eq!(source_address(&HeaderMap::new(), CONNECTION), CONNECTION);
    }
}
