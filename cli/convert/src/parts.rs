//! Pieces that every dialect makes.

use crate::model::{Policy, Table};
use filter_kit::matching::{MatchingConfig, NamedMatchConfig, ValueMatchConfig};
use filter_kit::table::Order;
use header_router::{Config, DefaultConfig, Mode, RuleConfig, TargetConfig};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A table without rules, which answers 404.
pub fn table(order: Order, matching: MatchingConfig, policy: Policy) -> Table {
    let router = Config {
        mode: Mode::Plain,
        order: Some(order),
        matching,
        rules: Vec::new(),
        services: Vec::new(),
        default: DefaultConfig::Status(404),
        max_body_bytes: 64 * 1024,
        log_fields: false,
        debug: None,
    };
    Table { router, rate_limit: None, policy, policies: BTreeMap::new(), edits: Vec::new() }
}

/// A rule that says nothing yet.
pub fn rule(name: &str) -> RuleConfig {
    RuleConfig {
        name: name.to_owned(),
        priority: 1000,
        r#match: None,
        matches: Vec::new(),
        targets: Vec::new(),
        fallback: None,
        sticky: None,
        service: None,
        redirect: None,
        direct_response: None,
        rewrite: Default::default(),
        keep_prefix: false,
        keep_host: false,
        request_headers: Default::default(),
        response_headers: Default::default(),
        mirror: None,
        tags: BTreeMap::new(),
    }
}

/// A name for a rule or service: letters, digits and `-_.:/`, at most 128. Longer ones are cut, with a hash of the whole.
pub fn short(name: &str) -> String {
    use sha2::Digest;
    use std::fmt::Write;
    let good = |c: char| if c.is_ascii_alphanumeric() || "-_.:/".contains(c) { c } else { '_' };
    let clean: String = name.chars().map(good).collect();
    if clean.len() <= 100 && clean == name {
        return clean;
    }
    let mut hash = String::new();
    for byte in sha2::Sha256::digest(name.as_bytes()).iter().take(6) {
        let _ = write!(hash, "{byte:02x}");
    }
    let cut: String = clean.chars().take(87).collect();
    format!("{cut}-{hash}")
}

/// Text that stands for itself in a template.
pub fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// A cluster with weight 1.
pub fn target_of(cluster: String) -> TargetConfig {
    TargetConfig { cluster: Some(cluster), status: None, weight: 1, host: None }
}

/// An answer in place of a cluster.
pub fn answer_of(status: u16) -> TargetConfig {
    TargetConfig { cluster: None, status: Some(status), weight: 1, host: None }
}

/// A condition on a header, parameter or cookie; without a value, it has to be there.
pub fn named(name: &str, value: Option<ValueMatchConfig>) -> NamedMatchConfig {
    NamedMatchConfig {
        name: name.to_owned(),
        r#match: value,
        invert: false,
        ignore_case: false,
        treat_missing_as_empty: false,
    }
}

/// A duration as Envoy writes it.
pub fn seconds(ms: u64) -> String {
    match ms % 1000 {
        0 => format!("{}s", ms / 1000),
        rest => format!("{}.{rest:03}s", ms / 1000).replace("00s", "s").replace("0s", "s"),
    }
}

/// A certificate from the files of a Secret, for Envoy.
pub fn certificate(namespace: &str, name: &str) -> Value {
    let file = |file: &str| json!({"filename": format!("tls/{namespace}/{name}/{file}")});
    json!({"certificate_chain": file("tls.crt"), "private_key": file("tls.key")})
}

/// TLS of a listener with these certificates.
pub fn downstream_tls(certificates: &Value) -> Value {
    json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": certificates},
    }})
}

/// TLS towards a cluster: the name that it is asked for, and Envoy's `common_tls_context`.
pub fn upstream_tls(name: &str, context: Option<Value>) -> Value {
    let mut config = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": name,
    });
    if let (Some(context), Some(config)) = (context, config.as_object_mut()) {
        config.insert("common_tls_context".to_owned(), context);
    }
    json!({"name": "envoy.transport_sockets.tls", "typed_config": config})
}
