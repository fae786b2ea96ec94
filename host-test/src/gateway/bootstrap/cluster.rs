//! Clusters: where requests go.

use std::net::IpAddr;
use std::time::Duration;

use super::InvalidBootstrap;
use super::listener::tls;
use super::reader::{At, Fields};

const TLS: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

/// A static or DNS cluster with round robin.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The name that routes use.
    pub name: String,
    /// How host names become addresses.
    pub discovery: Discovery,
    /// Which addresses DNS is asked for.
    pub lookup: LookupFamily,
    /// How long a connection may take to be established; Envoy's default is 5 s.
    pub connect_timeout: Duration,
    /// Pause between two DNS look-ups; Envoy's default is 5 s.
    pub dns_refresh: Duration,
    /// Its servers speak HTTP/2, without TLS and from the first byte.
    pub http2: bool,
    /// Its servers speak TLS. Requests to it are answered 503.
    pub tls: bool,
    /// The endpoints in the order of the file.
    pub endpoints: Vec<Endpoint>,
}

/// `type` of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// IP addresses in the file.
    Static,
    /// Host names; every address that DNS returns is an endpoint.
    StrictDns,
    /// One host name; the first address that DNS returns is the endpoint.
    LogicalDns,
}

/// `dns_lookup_family` of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupFamily {
    /// IPv6 if there is any, else IPv4 (Envoy's default).
    Auto,
    /// IPv4 alone.
    V4Only,
    /// IPv6 alone.
    V6Only,
    /// IPv4 if there is any, else IPv6.
    V4Preferred,
    /// Both.
    All,
}

/// One endpoint of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// IP address or host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Cluster {
    pub(super) fn read(at: At, others: &[Cluster]) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let name_at = fields.need("name")?;
        let name = name_at.name()?;
        if others.iter().any(|other| other.name == name) {
            return Err(name_at.fault(format!("a second cluster named `{name}`")));
        }
        let discovery = match fields.take("type") {
            None => Discovery::Static,
            Some(kind) => kind.choice(&[
                ("STATIC", Discovery::Static),
                ("STRICT_DNS", Discovery::StrictDns),
                ("LOGICAL_DNS", Discovery::LogicalDns),
            ])?,
        };
        let lookup = match fields.take("dns_lookup_family") {
            None => LookupFamily::Auto,
            Some(family) => family.choice(&[
                ("AUTO", LookupFamily::Auto),
                ("V4_ONLY", LookupFamily::V4Only),
                ("V6_ONLY", LookupFamily::V6Only),
                ("V4_PREFERRED", LookupFamily::V4Preferred),
                ("ALL", LookupFamily::All),
            ])?,
        };
        if let Some(policy) = fields.take("lb_policy") {
            let others = [("ROUND_ROBIN", false), ("LEAST_REQUEST", true), ("RANDOM", true)];
            if policy.choice(&others)? {
                policy.note("endpoints are taken in turn");
            }
        }
        note_what_is_not_imitated(&mut fields);
        let connect_timeout = match fields.take("connect_timeout") {
            None => Duration::from_secs(5),
            Some(at) => {
                let timeout = at.duration()?;
                if timeout.is_zero() {
                    return Err(at.fault("must be longer than 0s"));
                }
                timeout
            }
        };
        let dns_refresh = match fields.take("dns_refresh_rate") {
            None => Duration::from_secs(5),
            Some(at) => {
                let rate = at.duration()?;
                if rate < Duration::from_millis(1) {
                    return Err(at.fault("must be 0.001s or longer"));
                }
                rate
            }
        };
        let http2 = read_protocol(&mut fields)?;
        let tls =
            tls(fields.take("transport_socket"), TLS, "TLS to upstreams is not served: requests are answered 503")?;
        let mut endpoints = Vec::new();
        if let Some(assignment) = fields.take("load_assignment") {
            endpoints = read_assignment(assignment, discovery)?;
        }
        if discovery == Discovery::LogicalDns && endpoints.len() != 1 {
            return Err(fields.fault("LOGICAL_DNS needs exactly one endpoint"));
        }
        fields.finish()?;
        Ok(Self { name, discovery, lookup, connect_timeout, dns_refresh, http2, tls, endpoints })
    }
}

fn note_what_is_not_imitated(fields: &mut Fields) {
    for (name, what) in [
        ("health_checks", "endpoints count as healthy"),
        ("ignore_health_on_host_removal", "endpoints that DNS does not tell any more are gone at once"),
        ("outlier_detection", "endpoints that fail are not left out"),
        ("circuit_breakers", "connections, requests and retries are not limited"),
        ("common_lb_config", "endpoints are taken in turn"),
        ("least_request_lb_config", "endpoints are taken in turn"),
        ("respect_dns_ttl", "`dns_refresh_rate` alone says when DNS is asked again"),
        ("upstream_connection_options", "TCP keep-alive is not set"),
    ] {
        fields.note(name, what);
    }
}

/// Whether the cluster speaks HTTP/2, said in one of Envoy's two ways.
fn read_protocol(fields: &mut Fields) -> Result<bool, InvalidBootstrap> {
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    if let Some(old) = fields.take("http2_protocol_options") {
        if let Some(new) = fields.take("typed_extension_protocol_options") {
            return Err(new.fault("stands beside `http2_protocol_options`; only one of them may be set"));
        }
        note_own_options(old);
        return Ok(true);
    }
    let Some(extensions) = fields.take("typed_extension_protocol_options") else { return Ok(false) };
    let mut extensions = extensions.fields()?;
    let options = extensions.need(OPTIONS)?;
    extensions.finish()?;
    let (_, mut options) = super::any(options, &[OPTIONS])?;
    let (_, explicit) = options.one_of(&["explicit_http_config"])?;
    options.note("common_http_protocol_options", "idle connections are kept, and none is closed for its age or use");
    options.note("upstream_http_protocol_options", "there is no TLS to upstreams");
    options.finish()?;
    let mut explicit = explicit.fields()?;
    let (protocol, own) = explicit.one_of(&["http2_protocol_options", "http_protocol_options"])?;
    explicit.finish()?;
    note_own_options(own);
    Ok(protocol == "http2_protocol_options")
}

/// The options of a protocol; most often there are none.
fn note_own_options(at: At) {
    if !at.is_empty_map() {
        at.note("the protocol is spoken with the gateway's own settings");
    }
}

fn read_assignment(at: At, discovery: Discovery) -> Result<Vec<Endpoint>, InvalidBootstrap> {
    let mut assignment = at.fields()?;
    let mut found = Vec::new();
    assignment.need("cluster_name")?.name()?;
    if let Some(localities) = assignment.take("endpoints") {
        for locality in localities.list()? {
            let mut locality = locality.fields()?;
            if let Some(list) = locality.take("lb_endpoints") {
                for item in list.list()? {
                    let mut item = item.fields()?;
                    let mut endpoint = item.need("endpoint")?.fields()?;
                    let (host, port, place) = super::host_and_port(endpoint.need("address")?)?;
                    if discovery == Discovery::Static && host.parse::<IpAddr>().is_err() {
                        return Err(place.fault(format!(
                            "`{host}` is not an IP address; a host name needs `type: STRICT_DNS` or `LOGICAL_DNS`"
                        )));
                    }
                    endpoint.finish()?;
                    item.finish()?;
                    found.push(Endpoint { host, port });
                }
            }
            locality.finish()?;
        }
    }
    assignment.finish()?;
    Ok(found)
}
