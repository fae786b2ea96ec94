//! Certificates and what they are checked against.

use crate::convert::Converter;
use crate::model::{Cluster, TlsChain};
use crate::parts::upstream_tls;
use crate::report::Section;
use crate::source::Field;
use serde_json::{Map, Value, json};

/// TLS towards virtual nodes, as a gateway's `clientPolicy` asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientPolicy {
    /// Envoy's `common_tls_context`; `None` if somebody has to say where its files are.
    pub context: Option<Value>,
    /// The ports that it is for; all if empty.
    pub ports: Vec<u16>,
    /// Without TLS no connection.
    pub enforce: bool,
}

const DOWNSTREAM: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";

/// Reads a client policy.
pub fn upstream(converter: &mut Converter<'_>, policy: &Field<'_>) -> ClientPolicy {
    let context = context(converter, policy);
    let ports =
        policy.list("ports").iter().filter_map(Field::number).filter_map(|port| u16::try_from(port).ok()).collect();
    let enforce = policy.flag_of("enforce").unwrap_or(true);
    if !enforce {
        let text = "`enforce: false`: TLS is used where the node asks for it, as before";
        converter.report.add(Section::Kept, policy, text);
    }
    ClientPolicy { context, ports, enforce }
}

/// TLS of a gateway's listener; an error if it is left out, since nobody knows where its certificates are.
pub fn downstream(converter: &mut Converter<'_>, tls: &Field<'_>) -> Result<Option<TlsChain>, ()> {
    match tls.text_of("mode").as_deref() {
        Some("DISABLED") => {
            tls.mark();
            return Ok(None);
        }
        Some("PERMISSIVE") => {
            converter.report.add(Section::Kept, tls, "PERMISSIVE: TLS and plain text on one port");
        }
        _ => {}
    }
    let context = context(converter, tls).ok_or(())?;
    let mut config = Map::new();
    config.insert("@type".to_owned(), json!(DOWNSTREAM));
    if tls.get("validation").is_some() {
        config.insert("require_client_certificate".to_owned(), json!(true));
    }
    config.insert("common_tls_context".to_owned(), context);
    let socket = json!({"name": "envoy.transport_sockets.tls", "typed_config": config});
    Ok(Some(TlsChain { names: Vec::new(), socket }))
}

/// TLS of a node: with the gateway's client policy.
pub fn of_node(converter: &mut Converter<'_>, tls: &Field<'_>, port: u16, cluster: &mut Cluster) {
    let mode = tls.text_of("mode").unwrap_or_default();
    tls.mark();
    if mode == "DISABLED" {
        return without(converter, port, cluster);
    }
    let policy =
        converter.client_policy.clone().filter(|policy| policy.ports.is_empty() || policy.ports.contains(&port));
    let context = match policy {
        Some(policy) => return set(cluster, policy.context),
        None => {
            let text = format!(
                "mode {mode}, and the gateway has no client policy: TLS without a check of the node's certificate, as before"
            );
            converter.report.add(Section::AppliedDefaults, tls, text);
            json!({})
        }
    };
    set(cluster, Some(context));
}

/// TLS to a node that says nothing of it.
pub fn without(converter: &mut Converter<'_>, port: u16, cluster: &mut Cluster) {
    let policy =
        converter.client_policy.clone().filter(|policy| policy.ports.is_empty() || policy.ports.contains(&port));
    if let Some(policy) = policy.filter(|policy| policy.enforce) {
        set(cluster, policy.context);
    }
}

/// Without a context nothing is sent: plain text, or TLS without a check, would be less than was asked for.
fn set(cluster: &mut Cluster, context: Option<Value>) {
    let Some(context) = context else {
        cluster.host.clear();
        return;
    };
    let socket = upstream_tls(&cluster.host, Some(context));
    cluster.more.insert("transport_socket".to_owned(), socket);
}

/// `certificate` and `validation` as Envoy's `common_tls_context`; `None` if somebody has to say where they are.
fn context(converter: &mut Converter<'_>, of: &Field<'_>) -> Option<Value> {
    let mut context = Map::new();
    if let Some(certificate) = of.get("certificate") {
        certificate.mark();
        let Some(file) = certificate.get("file") else {
            let what = certificate.entries().first().map(|(name, _)| name.clone()).unwrap_or_default();
            let text = format!(
                "certificate from {what}: export it to files and name them under `file`; until then the listener or cluster is left out"
            );
            converter.report.add(Section::NeedsADecision, &certificate, text);
            return None;
        };
        let path = |name: &str| json!({"filename": file.text_of(name).unwrap_or_default()});
        context.insert(
            "tls_certificates".to_owned(),
            json!([{"certificate_chain": path("certificateChain"), "private_key": path("privateKey")}]),
        );
        converter.report.add(Section::Kept, &file, "certificate files: put them where Envoy runs");
    }
    if let Some(validation) = of.get("validation") {
        let names: Vec<String> = validation
            .at("subjectAlternativeNames.match")
            .map(|of| of.list("exact").iter().filter_map(Field::text).collect())
            .unwrap_or_default();
        let trust = validation.get("trust");
        validation.mark();
        let Some(file) = trust.as_ref().and_then(|trust| trust.get("file")) else {
            let what =
                trust.and_then(|trust| trust.entries().first().map(|(name, _)| name.clone())).unwrap_or_default();
            let text = format!(
                "trust from {what}: export the authority's certificates to a file and name it under `file`; until then the listener or cluster is left out"
            );
            converter.report.add(Section::NeedsADecision, &validation, text);
            return None;
        };
        let mut made = Map::new();
        made.insert("trusted_ca".to_owned(), json!({"filename": file.text_of("certificateChain").unwrap_or_default()}));
        if !names.is_empty() {
            let one = |name: &String| json!({"san_type": "DNS", "matcher": {"exact": name}});
            made.insert("match_typed_subject_alt_names".to_owned(), names.iter().map(one).collect());
        }
        context.insert("validation_context".to_owned(), Value::Object(made));
    }
    Some(Value::Object(context))
}
