//! Conditions on gRPC calls.

use super::named::{NamedMatch, NamedMatchConfig};
use super::path::{PathKind, PathMatch};
use super::value::{ValueMatch, ValueMatchConfig};
use crate::{ConfigError, Head};
use serde::Deserialize;

/// A condition on a gRPC call: a request with content type `application/grpc`, with or without `+proto` and the like,
/// for a path `/package.Service/Method`. Metadata is headers, so it stands there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct GrpcMatchConfig {
    /// The full name of the service, `package.Service`.
    pub service: Option<ValueMatchConfig>,
    /// The name of the method.
    pub method: Option<ValueMatchConfig>,
    /// Each of these metadata entries; the same as `headers`.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub metadata: Vec<NamedMatchConfig>,
}

/// A compiled condition on a gRPC call.
#[derive(Debug, Clone)]
pub struct GrpcMatch {
    /// The condition on the service.
    pub service: Option<ValueMatch>,
    /// The condition on the method.
    pub method: Option<ValueMatch>,
}

impl GrpcMatch {
    /// Checks and compiles; metadata conditions go to `headers`.
    ///
    /// # Errors
    /// With a path relative to the configuration.
    pub fn new(config: GrpcMatchConfig, headers: &mut Vec<NamedMatch>) -> Result<Self, ConfigError> {
        let value = |config: Option<ValueMatchConfig>, at: &str| {
            let compiled = config.map(|config| ValueMatch::new(config, false)).transpose();
            compiled.map_err(|error| error.within(at))
        };
        headers.extend(super::compile("metadata", config.metadata, super::header)?);
        Ok(Self { service: value(config.service, "service")?, method: value(config.method, "method")? })
    }

    /// Whether a request fits.
    pub fn matches(&self, head: &Head, path: &[u8]) -> bool {
        let kind = head.get("content-type").and_then(|kind| kind.strip_prefix(b"application/grpc"));
        let grpc = kind.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')));
        let Some((service, method)) = split(path) else { return false };
        grpc && self.service.as_ref().is_none_or(|wanted| wanted.matches(service))
            && self.method.as_ref().is_none_or(|wanted| wanted.matches(method))
    }

    /// The condition on the path that follows from an exact service.
    pub fn path(&self) -> Option<PathMatch> {
        let service = self.service.as_ref()?.exact()?;
        let mut text = [b"/", service, b"/"].concat();
        let method = self.method.as_ref().and_then(ValueMatch::exact);
        text.extend_from_slice(method.unwrap_or_default());
        let kind = if method.is_some() { PathKind::Exact(text) } else { PathKind::StringPrefix(text) };
        Some(PathMatch { kind, ignore_case: false })
    }

    /// Whether this holds wherever `other` does. `false` where it is hard to say.
    pub fn covers(&self, other: &Self) -> bool {
        let covers = |this: &Option<ValueMatch>, other: &Option<ValueMatch>| match (this, other) {
            (None, _) => true,
            (Some(this), Some(other)) => this.covers(other),
            (Some(_), None) => false,
        };
        covers(&self.service, &other.service) && covers(&self.method, &other.method)
    }
}

/// `/package.Service/Method` in two.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let path = path.strip_prefix(b"/")?;
    let at = path.iter().position(|b| *b == b'/')?;
    let (service, method) = (path.get(..at)?, path.get(at + 1..)?);
    (!service.is_empty() && !method.is_empty() && !method.contains(&b'/')).then_some((service, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_methods_are_whole_names() {
        let config = r#"{"service": {"exact": "shop.Products"}, "method": {"prefix": "Get"}}"#;
        let grpc = GrpcMatch::new(crate::config::parse(config.as_bytes()).unwrap(), &mut Vec::new()).unwrap();
        for (path, kind, expected) in [
            ("/shop.Products/GetOne", "application/grpc", true),
            ("/shop.Products/Get", "application/grpc+proto", true),
            ("/shop.Products/Get", "application/grpc;a=b", true),
            ("/shop.Products2/Get", "application/grpc", false),
            ("/shop.Products/List", "application/grpc", false),
            ("/shop.Products/Get/x", "application/grpc", false),
            ("/shop.Products", "application/grpc", false),
            ("/shop.Products/Get", "application/grpc-web", false),
            ("/shop.Products/Get", "application/json", false),
        ] {
            let head = Head::from_fields([("content-type", kind)]);
            assert_eq!(grpc.matches(&head, path.as_bytes()), expected, "{path} {kind}");
        }
        assert!(matches!(grpc.path().unwrap().kind, PathKind::StringPrefix(text) if text == b"/shop.Products/"));
    }
}
