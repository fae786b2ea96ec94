//! The part of Envoy's bootstrap that the embedded gateway serves, read from the same file that Envoy gets.
//!
//! [`read`] turns the file into plain types of our own. Whatever the gateway does not serve is an error that names the
//! path, the line and the column; nothing is silently ignored.

mod access_log;
mod action;
mod cluster;
mod condition;
mod header_edits;
mod listener;
mod mirror;
mod notes;
mod protobuf_struct;
mod reader;
mod redirect;
mod retry;
mod rewrite;
mod route;
mod stats;
mod wasm;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

pub use super::normalize::PathOptions;
pub use crate::yaml::Position;
pub use access_log::{AccessLog, Field, Json, LogFormat, Part, Sink};
pub use action::{Action, ClusterChoice, Proxy, Split, WeightedCluster};
pub use cluster::{Cluster, Discovery, Endpoint, LookupFamily};
pub use condition::{HeaderCondition, HeaderTest, QueryCondition, QueryTest, TextTest};
pub use listener::{HttpConnectionManager, Listener, StripPort};
pub use mirror::Mirror;
pub use notes::Note;
pub use redirect::{PathRedirect, Redirect};
pub use retry::{BackOff, RetryOn, RetryPolicy};
pub use rewrite::{HostRewrite, PathRewrite, RegexRewrite};
pub use route::{Domain, PathTest, Route, RouteTable, VirtualHost};
pub use stats::{StatsTags, TagRule};
pub use wasm::{Reload, WasmFilter, WhenFailed};

use crate::yaml;
use reader::{At, Fields};

/// What stands behind the path of everything that is valid Envoy configuration but beyond this gateway.
pub(crate) const NOT_SERVED: &str = "not served by the embedded gateway";

/// A bootstrap as far as the embedded gateway serves it.
#[derive(Debug)]
pub struct Bootstrap {
    /// `node.id`
    pub node_id: String,
    /// `node.cluster`
    pub node_cluster: String,
    /// The address of the admin server.
    pub admin: Option<SocketAddr>,
    /// How stat names become labels.
    pub stats_tags: StatsTags,
    /// The static listeners.
    pub listeners: Vec<Listener>,
    /// The static and DNS clusters.
    pub clusters: Vec<Cluster>,
    /// What is read and not imitated.
    pub notes: Vec<Note>,
}

/// Why a bootstrap cannot be served: the first fault in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidBootstrap {
    /// The file, when it came from one.
    pub file: Option<PathBuf>,
    /// Line and column; 0 where the fault has no place.
    pub position: Position,
    /// The path of the value, e.g. `static_resources.clusters[0].transport_socket`.
    pub at: String,
    /// What is wrong with it.
    pub why: String,
}

impl InvalidBootstrap {
    pub(crate) fn new(position: Position, at: String, why: String) -> Self {
        Self { file: None, position, at, why }
    }

    /// The same error about the file `file`.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }
}

impl fmt::Display for InvalidBootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
        }
        if self.position.line > 0 {
            write!(f, "{}:{}:", self.position.line, self.position.column)?;
        }
        if self.file.is_some() || self.position.line > 0 {
            write!(f, " ")?;
        }
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        write!(f, "{}", self.why)?;
        if self.why.contains(NOT_SERVED) {
            match &self.file {
                Some(file) => write!(f, "; run this file on Envoy: envoy -c {}", file.display())?,
                None => write!(f, "; run it on Envoy")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for InvalidBootstrap {}

impl From<yaml::InvalidYaml> for InvalidBootstrap {
    fn from(fault: yaml::InvalidYaml) -> Self {
        Self::new(fault.position, String::new(), fault.why)
    }
}

/// Reads the bootstrap in `file`.
pub fn read(file: &Path) -> Result<Bootstrap, InvalidBootstrap> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        InvalidBootstrap::new(Position::default(), String::new(), format!("cannot be read: {error}")).in_file(file)
    })?;
    parse(&text).map_err(|error| error.in_file(file))
}

/// Reads a bootstrap from its text (YAML or JSON).
pub fn parse(text: &str) -> Result<Bootstrap, InvalidBootstrap> {
    let root = At::root(yaml::parse(text)?);
    let notes = root.notes();
    let mut root = root.fields()?;
    let (mut node_id, mut node_cluster) = (String::new(), String::new());
    if let Some(node) = root.take("node") {
        let mut node = node.fields()?;
        if let Some(id) = node.take("id") {
            node_id = id.text()?;
        }
        if let Some(cluster) = node.take("cluster") {
            node_cluster = cluster.text()?;
        }
        node.finish()?;
    }
    let admin = match root.take("admin") {
        None => None,
        Some(admin) => {
            let mut admin = admin.fields()?;
            let address = admin.take("address").map(socket_address).transpose()?;
            admin.note("access_log", "requests to the admin port are not logged");
            admin.finish()?;
            address
        }
    };
    let stats_tags = match root.take("stats_config") {
        None => StatsTags::default(),
        Some(config) => StatsTags::read(config)?,
    };
    let (mut listeners, mut clusters) = (Vec::new(), Vec::new());
    let mut resources = root.need("static_resources")?.fields()?;
    if let Some(list) = resources.take("clusters") {
        for item in list.list()? {
            clusters.push(Cluster::read(item, &clusters)?);
        }
    }
    if let Some(list) = resources.take("listeners") {
        for item in list.list()? {
            listeners.push(Listener::read(item, &clusters, &listeners)?);
        }
    }
    resources.finish()?;
    root.note("overload_manager", "neither memory nor connections are limited");
    read_runtime(&mut root)?;
    root.finish()?;
    Ok(Bootstrap { node_id, node_cluster, admin, stats_tags, listeners, clusters, notes: notes.take() })
}

/// Layers of runtime values. Nothing in the gateway asks for one.
fn read_runtime(root: &mut Fields) -> Result<(), InvalidBootstrap> {
    let Some(runtime) = root.take("layered_runtime") else { return Ok(()) };
    let mut runtime = runtime.fields()?;
    for layer in runtime.take("layers").map_or(Ok(Vec::new()), At::list)? {
        let mut layer = layer.fields()?;
        layer.need("name")?.name()?;
        layer.note("static_layer", "runtime values have no effect");
        layer.note("admin_layer", "runtime values have no effect");
        layer.finish()?;
    }
    runtime.finish()
}

/// `address: {socket_address: {address: 127.0.0.1, port_value: 80}}` with an IP address.
fn socket_address(at: At) -> Result<SocketAddr, InvalidBootstrap> {
    let (host, port, place) = host_and_port(at)?;
    match host.parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, port)),
        Err(_) => Err(place.fault(format!("`{host}` is not an IP address"))),
    }
}

/// Host and port of a `socket_address`, and the place of the host for error messages.
fn host_and_port(at: At) -> Result<(String, u16, At), InvalidBootstrap> {
    let mut address = at.fields()?;
    let (_, socket) = address.one_of(&["socket_address"])?;
    address.finish()?;
    let mut socket = socket.fields()?;
    if let Some(protocol) = socket.take("protocol") {
        protocol.choice(&[("TCP", ())])?;
    }
    let host = socket.need("address")?;
    let port = socket.need("port_value")?.number(65_535)?;
    socket.finish()?;
    Ok((host.name()?, u16::try_from(port).unwrap_or(u16::MAX), host))
}

/// The message behind `typed_config`, with its `@type` taken and compared with the last part of `types`.
fn typed<'t>(fields: &mut Fields, types: &[&'t str]) -> Result<(&'t str, Fields), InvalidBootstrap> {
    let config = fields.need("typed_config")?;
    any(config, types)
}

/// A `google.protobuf.Any` in JSON form: `@type` and the fields of the message.
fn any<'t>(config: At, types: &[&'t str]) -> Result<(&'t str, Fields), InvalidBootstrap> {
    let mut message = config.fields()?;
    let at = message.need("@type")?;
    let url = at.text()?;
    let name = url.rsplit_once('/').map_or(url.as_str(), |(_, name)| name);
    match types.iter().find(|known| **known == name) {
        Some(known) => Ok((known, message)),
        None => Err(at.not_served(&format!("`{name}`"))),
    }
}

#[cfg(test)]
mod tests;
