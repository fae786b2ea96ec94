//! Listeners and their HTTP connection manager.

use std::net::SocketAddr;
use std::time::Duration;

use super::reader::At;
use super::{AccessLog, Cluster, InvalidBootstrap, PathOptions, RouteTable, WasmFilter, any, socket_address, typed};

const MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
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
        let mut chain = only(fields.need("filter_chains")?, "exactly one filter chain is served")?.fields()?;
        if let Some(name) = chain.take("name") {
            name.text()?;
        }
        let one = "exactly one network filter, the HTTP connection manager, is served";
        let mut filter = only(chain.need("filters")?, one)?.fields()?;
        if let Some(name) = filter.take("name") {
            name.text()?;
        }
        let (_, manager) = typed(&mut filter, &[MANAGER])?;
        let http = HttpConnectionManager::read(manager, clusters)?;
        filter.finish()?;
        chain.finish()?;
        fields.finish()?;
        Ok(Self { name: given_name.unwrap_or_else(|| address.to_string()), address, buffer_limit, http })
    }
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

impl HttpConnectionManager {
    fn read(mut fields: super::Fields, clusters: &[Cluster]) -> Result<Self, InvalidBootstrap> {
        let stat_prefix = fields.need("stat_prefix")?.name()?;
        if let Some(codec) = fields.take("codec_type") {
            codec.choice(&[("AUTO", ()), ("HTTP1", ())])?;
        }
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
            generate_request_id,
            stream_idle_timeout,
            max_request_headers_kb,
            suppress_envoy_headers,
        })
    }
}
