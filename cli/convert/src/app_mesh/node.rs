//! VirtualNodes as clusters.

use super::{aws_name, tls};
use crate::convert::Converter;
use crate::model::Cluster;
use crate::parts::seconds;
use crate::report::Section;
use crate::source::{Document, Field};
use serde_json::{Map, Value, json};

/// The cluster of a node's listener; `None` if it has no such listener.
pub fn cluster<'d>(
    converter: &mut Converter<'d>,
    node: &'d Document,
    port: Option<u16>,
    from: &Field<'_>,
) -> Option<String> {
    converter.used.insert(node.id());
    let spec = node.root().get("spec")?;
    let listeners = spec.list("listeners");
    let port_of =
        |listener: &Field<'_>| listener.get("portMapping")?.number_of("port").and_then(|port| u16::try_from(port).ok());
    let several = listeners.len() > 1;
    let listener = match port {
        Some(port) => listeners.iter().find(|listener| port_of(listener) == Some(port)),
        None => listeners.first(),
    };
    let Some(listener) = listener else {
        let what = port.map_or("no listener".to_owned(), |port| format!("no listener on port {port}"));
        let text = format!("{} has {what}: requests to it are answered with 503", node.id());
        converter.report.add(Section::NeedsADecision, from, text);
        return None;
    };
    let port = port_of(listener)?;
    let name = if several {
        format!("{}/{}:{port}", node.namespace, node.name)
    } else {
        format!("{}/{}", node.namespace, node.name)
    };
    if several && from.get("port").is_none() {
        let text = format!("{} has several listeners and no port is named: the first, {port}", node.id());
        converter.report.add(Section::NeedsADecision, from, text);
    }
    if converter.model.clusters.contains_key(&name) {
        let other = converter.cluster_policies.get(&name);
        if converter.client_policy.is_some() && other != converter.client_policy.as_ref() {
            let text = format!("{name} has the TLS policy of another gateway; run the gateways apart to keep both");
            converter.report.add(Section::NeedsADecision, from, text);
        }
        return Some(name);
    }
    let mut made = Cluster { source: node.id(), port, ..Cluster::default() };
    made.http2 = listener.at("portMapping.protocol").and_then(|protocol| protocol.text()).as_deref() != Some("http");
    discovery(converter, node, &spec, &mut made);
    common(converter, node, &spec);
    for other in &listeners {
        sidecar(converter, other);
    }
    if let Some(check) = listener.get("healthCheck") {
        made.more.insert("health_checks".to_owned(), json!([health_check(&check, port)]));
    }
    if let Some(outlier) = listener.get("outlierDetection") {
        let milliseconds = |name: &str| outlier.get(name).and_then(|field| super::duration(&field));
        let mut detection = Map::new();
        if let Some(errors) = outlier.number_of("maxServerErrors") {
            detection.insert("consecutive_5xx".to_owned(), json!(errors));
        }
        for (from, to) in [("interval", "interval"), ("baseEjectionDuration", "base_ejection_time")] {
            if let Some(ms) = milliseconds(from) {
                detection.insert(to.to_owned(), json!(seconds(ms)));
            }
        }
        if let Some(percent) = outlier.number_of("maxEjectionPercent") {
            detection.insert("max_ejection_percent".to_owned(), json!(percent));
        }
        made.more.insert("outlier_detection".to_owned(), Value::Object(detection));
    }
    match listener.get("connectionPool") {
        Some(pool) => {
            made.more.insert("circuit_breakers".to_owned(), circuit_breakers(&pool));
        }
        None => {
            let text = "no connectionPool: circuit breakers at their maximum";
            converter.report.add(Section::AppliedDefaults, listener, text);
        }
    }
    if let Some(server) = listener.get("tls") {
        tls::of_node(converter, &server, port, &mut made);
    } else {
        tls::without(converter, port, &mut made);
    }
    if let Some(policy) = &converter.client_policy {
        converter.cluster_policies.insert(name.clone(), policy.clone());
    }
    converter.report.object(Section::Kept, node, "cluster");
    converter.model.clusters.insert(name.clone(), made);
    Some(name)
}

fn discovery(converter: &mut Converter<'_>, node: &Document, spec: &Field<'_>, made: &mut Cluster) {
    let discovery = spec.get("serviceDiscovery");
    if let Some(dns) = discovery.as_ref().and_then(|discovery| discovery.get("dns")) {
        made.host = dns.text_of("hostname").unwrap_or_default().trim_end_matches('.').to_owned();
        made.logical = dns.text_of("responseType").as_deref() != Some("ENDPOINTS");
        return;
    }
    if let Some(map) = discovery.as_ref().and_then(|discovery| discovery.get("awsCloudMap")) {
        let (service, namespace) = (map.text_of("serviceName"), map.text_of("namespaceName"));
        map.mark();
        made.host = format!("{}.{}", service.unwrap_or_default(), namespace.unwrap_or_default());
        let text = format!(
            "awsCloudMap: taken as the DNS name {}, which a private DNS namespace of Cloud Map answers; attributes do not count",
            made.host
        );
        converter.report.add(Section::NeedsADecision, &map, text);
        return;
    }
    let text = "no serviceDiscovery: a cluster without endpoints, requests are answered with 503";
    converter.report.object(Section::NeedsADecision, node, text);
}

/// What concerns the node's own proxy alone.
fn common(converter: &mut Converter<'_>, node: &Document, spec: &Field<'_>) {
    aws_name(node);
    for (name, text) in [
        ("backends", "what the node itself may call: of its own proxy, not of the gateway"),
        ("backendGroups", "what the node itself may call: of its own proxy, not of the gateway"),
        ("backendDefaults", "TLS towards what the node itself calls: of its own proxy, not of the gateway"),
        ("podSelector", "pods of the node: the gateway finds them by service discovery"),
        ("logging", "access log of the node's own proxy"),
    ] {
        if let Some(field) = spec.get(name) {
            field.mark();
            let section = if name == "podSelector" { Section::Kept } else { Section::Changed };
            converter.report.add(section, &field, text);
        }
    }
}

/// What each listener of a node says to the node's own proxy.
fn sidecar(converter: &mut Converter<'_>, listener: &Field<'_>) {
    listener.get("portMapping").iter().for_each(Field::mark);
    if let Some(timeout) = listener.get("timeout") {
        timeout.mark();
        let text = "time limits of the node's own proxy: set them in the routes that lead to it";
        converter.report.add(Section::Changed, &timeout, text);
    }
    for name in ["healthCheck", "outlierDetection", "connectionPool", "tls"] {
        listener.get(name).iter().for_each(Field::mark);
    }
}

fn health_check(check: &Field<'_>, port: u16) -> Value {
    check.mark();
    let number = |name: &str| check.number_of(name);
    let ms = |name: &str| seconds(number(name).and_then(|ms| u64::try_from(ms).ok()).unwrap_or(1000));
    let mut made = Map::new();
    made.insert("timeout".to_owned(), json!(ms("timeoutMillis")));
    made.insert("interval".to_owned(), json!(ms("intervalMillis")));
    made.insert("healthy_threshold".to_owned(), json!(number("healthyThreshold").unwrap_or(2)));
    made.insert("unhealthy_threshold".to_owned(), json!(number("unhealthyThreshold").unwrap_or(2)));
    if let Some(other) = number("port").filter(|other| *other != i64::from(port)) {
        made.insert("alt_port".to_owned(), json!(other));
    }
    let path = check.text_of("path").unwrap_or_else(|| "/".to_owned());
    let (key, value) = match check.text_of("protocol").as_deref() {
        Some("tcp") => ("tcp_health_check", json!({})),
        Some("grpc") => ("grpc_health_check", json!({})),
        Some("http2") => ("http_health_check", json!({"path": path, "codec_client_type": "HTTP2"})),
        _ => ("http_health_check", json!({"path": path})),
    };
    made.insert(key.to_owned(), value);
    Value::Object(made)
}

/// `connectionPool`
pub fn circuit_breakers(pool: &Field<'_>) -> Value {
    let mut limits = Map::new();
    for protocol in ["http", "http2", "grpc", "tcp"] {
        let Some(of) = pool.get(protocol) else { continue };
        for (from, to) in [
            ("maxConnections", "max_connections"),
            ("maxPendingRequests", "max_pending_requests"),
            ("maxRequests", "max_requests"),
        ] {
            if let Some(number) = of.number_of(from) {
                limits.insert(to.to_owned(), json!(number));
            }
        }
    }
    json!({"thresholds": [limits]})
}
