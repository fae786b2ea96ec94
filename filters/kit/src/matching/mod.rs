//! Request conditions, shared by the filters: configuration types and what they compile to.

mod address;
mod condition;
mod grpc;
mod host;
mod json_body;
mod named;
mod normalize;
mod path;
mod query;
mod relate;
mod request;
mod value;

pub use address::Cidr;
pub use condition::{RequestMatch, RequestMatchConfig, Unmet};
pub use grpc::{GrpcMatch, GrpcMatchConfig};
pub use host::{Before, HostMatch, HostMatchConfig, host_of, strip_port};
pub use json_body::{BodyMatch, BodyMatchConfig};
pub use named::{NamedMatch, NamedMatchConfig, Repeated, joined};
pub use normalize::PathForm;
pub use path::{PathKind, PathMatch, PathMatchConfig};
pub use query::{cookie_values, decoded_query_values, form_decode, query_values};
pub use request::{Request, World};
pub use value::{RangeConfig, ValueMatch, ValueMatchConfig};

pub(crate) use normalize::is_dots;

use crate::{ConfigError, head};
use serde::Deserialize;

/// How requests are looked at, for all rules of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct MatchingConfig {
    /// Resolves `.` and `..` in paths first, also written as `%2e`; a backslash becomes a slash. Like the two after it, this changes what goes on to the
    /// upstream as well: rules and upstreams never see different paths.
    pub normalize_path: bool,
    /// Makes one slash of several in paths first.
    pub merge_slashes: bool,
    /// Decodes escaped letters, digits, `-`, `.`, `_` and `~` in paths first; other escapes stay, `%2F` among them.
    pub decode_unreserved: bool,
    /// Compares paths without case (ASCII letters). What goes on keeps its case.
    pub ignore_path_case: bool,
    /// What several headers of one name are together.
    pub repeated_headers: Repeated,
    /// What several query parameters of one name are together. The default is `first`, as for Envoy.
    pub repeated_query_parameters: Repeated,
    /// Decodes `%XX` and `+` in names and values of query parameters before they are compared.
    pub decode_query_parameters: bool,
    /// Only rules of the most specific host that some rule has for a request may take it (Envoy's virtual hosts,
    /// Ingress). Otherwise rules of less specific hosts and of none come after them (Gateway API).
    pub most_specific_host_only: bool,
}

impl Default for MatchingConfig {
    fn default() -> Self {
        Self {
            normalize_path: false,
            merge_slashes: false,
            decode_unreserved: false,
            ignore_path_case: false,
            repeated_headers: Repeated::Each,
            repeated_query_parameters: Repeated::First,
            decode_query_parameters: false,
            most_specific_host_only: false,
        }
    }
}

impl MatchingConfig {
    /// What paths go through.
    pub fn path_form(&self) -> PathForm {
        PathForm { dots: self.normalize_path, slashes: self.merge_slashes, unreserved: self.decode_unreserved }
    }
}

/// Splits a request target at its first `?`.
pub fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|b| *b == b'?') {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
        None => (target, None),
    }
}

/// Compiles a condition on a header.
pub(crate) fn header(config: NamedMatchConfig) -> Result<NamedMatch, ConfigError> {
    if head::is_header_name(&config.name) {
        NamedMatch::new(NamedMatchConfig { name: config.name.to_ascii_lowercase(), ..config })
    } else {
        Err(ConfigError::new("name", format!("expected a header name, found {:?}", config.name)))
    }
}

pub(crate) fn compile<C, T>(
    at: &str,
    configs: Vec<C>,
    one: impl Fn(C) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    let numbered = configs.into_iter().enumerate();
    numbered.map(|(index, config)| one(config).map_err(|error| error.within(&format!("{at}[{index}]")))).collect()
}
