//! Listeners and their HTTP connection manager.

use std::net::SocketAddr;
use std::time::Duration;

use super::reader::At;
use super::{AccessLog, Cluster, InvalidBootstrap, PathOptions, RouteTable, WasmFilter, any, socket_address, typed};

const MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
const TLS: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const INSPECTOR: &str = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";

/// One static listener.
#[derive(Debug)]
pub struct Listener {
    /// Its name; the address when the file gives none.
    pub name: String,
    /// Where it listens; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Most bytes that filters may hold back of one body; Envoy's default is 1 MiB.
    pub buffer_limit: usize,
    /// What is done with the requests.
    pub http: HttpConnectionManager,
}

/// What becomes of the port of a request's host before filters see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StripPort {
    /// It stays.
    #[default]
    Never,
    /// It goes.
    Any,
    /// It goes if it is the listener's own.
    Matching,
}

/// The HTTP connection manager of a listener.
#[derive(Debug)]
pub struct HttpConnectionManager {
    /// Names the counters: `http.<stat_prefix>.downstream_rq_total`.
    pub stat_prefix: String,
    /// The route table.
    pub routes: RouteTable,
    /// The wasm filters in request order.
    pub filters: Vec<WasmFilter>,
    /// Where and how requests are logged.
    pub access_log: Vec<AccessLog>,
    /// Value of the `server` response header.
    pub server_name: String,
    /// What is done to paths before the filters run.
    pub paths: PathOptions,
    /// Whether the client is the peer of the connection, or one before it by the hops below, whatever it says.
    pub use_remote_address: bool,
    /// How many entries at the end of `x-forwarded-for` come from proxies that are believed.
    pub xff_num_trusted_hops: usize,
    /// Whether a client's request id stays, also where its address is believed.
    pub preserve_external_request_id: bool,
    /// What becomes of the port of a request's host.
    pub strip_port: StripPort,
    /// How clients come: `http`, or `https` where Envoy would serve TLS.
    pub scheme: &'static str,
    /// Whether requests without `x-request-id` get one.
    pub generate_request_id: bool,
    /// How long a stream may be silent before it ends with 504; zero means for ever. Envoy's default is 5 minutes.
    pub stream_idle_timeout: Duration,
    /// Largest request head in KiB; Envoy's default is 60.
    pub max_request_headers_kb: usize,
    /// Whether the router leaves `x-envoy-upstream-service-time` and the like out.
    pub suppress_envoy_headers: bool,
}

impl Listener {
    pub(super) fn read(at: At, clusters: &[Cluster], others: &[Listener]) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let given_name = fields.take("name").map(|name| name.text()).transpose()?;
        let address_at = fields.need("address")?;
        let twice = address_at.fault("a second listener on the same address");
        let address = socket_address(address_at)?;
        if address.port() != 0 && others.iter().any(|other| other.address == address) {
            return Err(twice);
        }
        let buffer_limit = match fields.take("per_connection_buffer_limit_bytes") {
            None => 1024 * 1024,
            Some(limit) => usize::try_from(limit.number(u64::from(u32::MAX))?).unwrap_or(usize::MAX),
        };
        let mut chain = chain(fields.need("filter_chains")?)?.fields()?;
        if let Some(name) = chain.take("name") {
            name.text()?;
        }
        let one = "exactly one network filter, the HTTP connection manager, is served";
        let mut filter = only(chain.need("filters")?, one)?.fields()?;
        if let Some(name) = filter.take("name") {
            name.text()?;
        }
        let (_, manager) = typed(&mut filter, &[MANAGER])?;
        let mut http = HttpConnectionManager::read(manager, clusters)?;
        filter.finish()?;
        if tls(chain.take("transport_socket"), TLS, "TLS is not served: plain HTTP on this port, scheme https")? {
            http.scheme = "https";
        }
        if let Some(condition) = chain.take("filter_chain_match") {
            let mut condition = condition.fields()?;
            condition.note("server_names", "every server name is served");
            condition.note("transport_protocol", "plain HTTP on this port");
            condition.finish()?;
        }
        for inspector in fields.take("listener_filters").map_or(Ok(Vec::new()), At::list)? {
            let mut inspector = inspector.fields()?;
            inspector.need("name")?.name()?;
            typed(&mut inspector, &[INSPECTOR])?;
            inspector.note_all("there is no TLS to look into");
            inspector.finish()?;
        }
        chain.finish()?;
        fields.finish()?;
        Ok(Self { name: given_name.unwrap_or_else(|| address.to_string()), address, buffer_limit, http })
    }
}

/// Whether connections have TLS, which is noted; its settings do not matter.
pub(super) fn tls(socket: Option<At>, kind: &str, what: &'static str) -> Result<bool, InvalidBootstrap> {
    let Some(socket) = socket else { return Ok(false) };
    let mut socket = socket.fields()?;
    socket.need("name")?.name()?;
    typed(&mut socket, &[kind])?;
    socket.note_all(what);
    socket.finish()?;
    Ok(true)
}

/// The first filter chain. Others differ in certificates and the connections that they are for, which is noted; never in filters.
fn chain(at: At) -> Result<At, InvalidBootstrap> {
    let none = at.fault("a filter chain is needed");
    let mut chains = at.list()?.into_iter();
    let first = chains.next().ok_or(none)?;
    let filters = first.json_of("filters");
    for other in chains {
        if other.json_of("filters") != filters {
            return Err(other
                .fault("other filters than those of the first filter chain; chains with the same filters are served"));
        }
        other.note("the first filter chain serves every connection");
    }
    Ok(first)
}

/// The one item of a list.
fn only(at: At, why: &str) -> Result<At, InvalidBootstrap> {
    let fault = at.fault(why);
    let mut list = at.list()?;
    match (list.pop(), list.is_empty()) {
        (Some(item), true) => Ok(item),
        _ => Err(fault),
    }
}

/// What stands for fields that the file leaves out, without routes and filters, and without ids for requests.
impl Default for HttpConnectionManager {
    fn default() -> Self {
        Self {
            stat_prefix: String::new(),
            routes: RouteTable::default(),
            filters: Vec::new(),
            access_log: Vec::new(),
            server_name: "envoy".to_owned(),
            paths: PathOptions::default(),
            use_remote_address: false,
            xff_num_trusted_hops: 0,
            preserve_external_request_id: false,
            strip_port: StripPort::Never,
            scheme: "http",
            generate_request_id: false,
            stream_idle_timeout: Duration::from_secs(300),
            max_request_headers_kb: 60,
            suppress_envoy_headers: false,
        }
    }
}

impl HttpConnectionManager {
    fn read(mut fields: super::Fields, clusters: &[Cluster]) -> Result<Self, InvalidBootstrap> {
        let stat_prefix = fields.need("stat_prefix")?.name()?;
        if let Some(codec) = fields.take("codec_type")
            && codec.choice(&[("AUTO", false), ("HTTP1", false), ("HTTP2", true)])?
        {
            codec.note("HTTP/1.1 is served");
        }
        note_what_is_not_imitated(&mut fields);
        if let Some(action) = fields.take("path_with_escaped_slashes_action") {
            action.choice(&[("KEEP_UNCHANGED", ()), ("IMPLEMENTATION_SPECIFIC_DEFAULT", ())])?;
        }
        let use_remote_address = fields.flag("use_remote_address", false)?;
        let xff_num_trusted_hops = match fields.take("xff_num_trusted_hops") {
            None => 0,
            Some(hops) => usize::try_from(hops.number(u64::from(u32::MAX))?).unwrap_or(0),
        };
        let preserve_external_request_id = fields.flag("preserve_external_request_id", false)?;
        let strip_port = StripPort::take(&mut fields)?;
        let server_name = match fields.take("server_name") {
            None => "envoy".to_owned(),
            Some(name) => name.name()?,
        };
        let generate_request_id = fields.flag("generate_request_id", true)?;
        let paths = PathOptions {
            normalize: fields.flag("normalize_path", false)?,
            merge_slashes: fields.flag("merge_slashes", false)?,
        };
        let stream_idle_timeout = match fields.take("stream_idle_timeout") {
            None => Duration::from_secs(300),
            Some(timeout) => timeout.duration()?,
        };
        let max_request_headers_kb = match fields.take("max_request_headers_kb") {
            None => 60,
            Some(limit) => match limit.number(8192)? {
                // The parser's buffer is that large at least.
                0..8 => return Err(limit.not_served("a limit below 8 KiB")),
                number => usize::try_from(number).unwrap_or(60),
            },
        };
        let access_log = AccessLog::read_all(fields.take("access_log"))?;
        let routes = RouteTable::read(fields.need("route_config")?, clusters)?;
        let filters_at = fields.need("http_filters")?;
        let router_missing = filters_at.fault("the last filter must be envoy.filters.http.router");
        let mut filters = Vec::new();
        let mut router: Option<bool> = None;
        for item in filters_at.list()? {
            if router.is_some() {
                return Err(item.fault("stands behind the router; envoy.filters.http.router must be the last filter"));
            }
            let mut item = item.fields()?;
            let name = item.need("name")?.name()?;
            let config = item.need("typed_config")?;
            let (kind, mut message) = any(config, &[WASM, ROUTER])?;
            if kind == ROUTER {
                router = Some(message.flag("suppress_envoy_headers", false)?);
                message.finish()?;
            } else {
                filters.push(WasmFilter::read(message, &name)?);
            }
            item.finish()?;
        }
        let Some(suppress_envoy_headers) = router else { return Err(router_missing) };
        fields.finish()?;
        Ok(Self {
            stat_prefix,
            routes,
            filters,
            access_log,
            server_name,
            paths,
            use_remote_address,
            xff_num_trusted_hops,
            preserve_external_request_id,
            strip_port,
            scheme: "http",
            generate_request_id,
            stream_idle_timeout,
            max_request_headers_kb,
            suppress_envoy_headers,
        })
    }
}

fn note_what_is_not_imitated(fields: &mut super::Fields) {
    for (name, what) in [
        ("common_http_protocol_options", "connections without a request stay open for an hour"),
        ("http2_protocol_options", "HTTP/1.1 is served"),
        ("request_timeout", "`stream_idle_timeout` alone ends requests that do not come to their end"),
        ("upgrade_configs", "upgrades are answered 403"),
    ] {
        fields.note(name, what);
    }
}

impl StripPort {
    fn take(fields: &mut super::Fields) -> Result<Self, InvalidBootstrap> {
        let matching = fields.flag("strip_matching_host_port", false)?;
        let any = fields.take("strip_any_host_port");
        match any.as_ref().map_or(Ok(false), |any| any.flag())? {
            true if matching => Err(fields.fault("`strip_any_host_port` stands beside `strip_matching_host_port`")),
            true => Ok(Self::Any),
            false if matching => Ok(Self::Matching),
            false => Ok(Self::Never),
        }
    }
}
