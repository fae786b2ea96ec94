//! Gateways and their listeners: a table for each port.

use super::{attach, route};
use crate::convert::Converter;
use crate::model::{Entry, Listener, Policy, Source, Table, TlsChain};
use crate::parts;
use crate::parts::{rule, short};
use crate::report::Section;
use crate::source::{Document, Field};
use filter_kit::matching::RequestMatchConfig;
use filter_kit::table::Order;
use header_router::ServiceConfig;
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// A table that ranks as the Gateway API does.
fn table() -> Table {
    parts::table(Order::Specificity, Default::default(), Policy::default())
}

/// A gateway.
pub fn convert<'d>(converter: &mut Converter<'d>, gateway: &'d Document) {
    let Some(spec) = gateway.root().get("spec") else { return };
    let report = &mut converter.report;
    if let Some(class) = spec.get("gatewayClassName") {
        class.mark();
        report.add(Section::Kept, &class, "class of the gateway: it is an Envoy of yours now");
    }
    for (name, section, text) in [
        ("addresses", Section::Changed, "addresses of the gateway: `--listen` says where Envoy listens"),
        (
            "infrastructure",
            Section::Changed,
            "labels and parameters of what a controller made: Envoy runs where you start it",
        ),
        ("allowedListeners", Section::NotSupported, "listeners of ListenerSets are not converted"),
        ("tls", Section::NotSupported, "certificates towards backends, and certificates of clients, are not converted"),
    ] {
        if let Some(field) = spec.get(name) {
            field.mark();
            report.add(section, &field, text);
        }
    }
    let mut by_port: BTreeMap<u16, Vec<Field<'d>>> = BTreeMap::new();
    for listener in spec.list("listeners") {
        for name in ["name", "hostname", "allowedRoutes"] {
            listener.get(name).iter().for_each(Field::mark);
        }
        let protocol = listener.text_of("protocol").unwrap_or_default();
        if !matches!(protocol.as_str(), "HTTP" | "HTTPS") {
            listener.mark();
            let text = format!("a listener of protocol {protocol}: only HTTP and HTTPS pass an HTTP gateway");
            converter.report.add(Section::NotSupported, &listener, text);
            continue;
        }
        match listener.number_of("port").and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0) {
            Some(port) => by_port.entry(port).or_default().push(listener),
            None => converter.mistakes.push(listener.mistake("expected a port from 1 to 65535")),
        }
    }
    let (mut listeners, mut tables) = (Vec::new(), Vec::new());
    for (port, fields) in by_port {
        let table = self::of_port(converter, gateway, port, &fields);
        let tls: Vec<TlsChain> = fields.iter().filter_map(|listener| tls(converter, gateway, listener)).collect();
        // never plain text where TLS was asked for
        let is_secure = fields.iter().any(|listener| scheme(listener) == "https");
        if is_secure && tls.is_empty() {
            let text = format!("no certificate for port {port}: nobody listens there until one is named");
            converter.report.object(Section::NeedsADecision, gateway, text);
            tables.push(table);
            continue;
        }
        listeners.push(Listener {
            name: format!("{}:{port}", gateway.id()),
            port,
            moved: None,
            table: tables.len(),
            http2: true,
            tls,
            access_log: Vec::new(),
            plain_too: false,
            manager: Map::new(),
        });
        tables.push(table);
    }
    let rules: usize = tables.iter().map(|table| table.router.rules.len()).sum();
    converter.report.object(Section::Kept, gateway, format!("gateway with {rules} rules"));
    converter.model.entries.push(Entry { id: gateway.id(), listeners, tables });
}

/// The table of a port. Of several listeners the one with the most specific host decides alone, so each has a table of its own then.
fn of_port<'d>(converter: &mut Converter<'d>, gateway: &'d Document, port: u16, listeners: &[Field<'d>]) -> Table {
    let mut made = table();
    if let [listener] = listeners {
        let scheme = scheme(listener);
        for (document, hosts) in attach::routes(converter, gateway, listener) {
            converter.used.insert(document.id());
            let at = route::At { port, scheme, service: "", hosts: &hosts };
            route::convert(converter, document, &at, &mut made);
        }
        return made;
    }
    for listener in listeners {
        let name = short(&listener.text_of("name").unwrap_or_default());
        let mut outer = rule(&name);
        if let Some(host) = listener.text_of("hostname") {
            let hosts = vec![attach::condition(&host.to_ascii_lowercase())];
            outer.r#match = Some(RequestMatchConfig { hosts, ..RequestMatchConfig::default() });
        }
        outer.service = Some(name.clone());
        let mut inner = table();
        for (document, hosts) in attach::routes(converter, gateway, listener) {
            converter.used.insert(document.id());
            let at = route::At { port, scheme: scheme(listener), service: &name, hosts: &hosts };
            route::convert(converter, document, &at, &mut inner);
        }
        made.policies.extend(inner.policies);
        made.edits.extend(inner.edits);
        made.router.services.push(ServiceConfig {
            name,
            host: String::new(),
            rules: inner.router.rules,
            no_rule_status: 404,
        });
        converter.add_rule(&mut made.router.rules, outer, Source::of(listener), None);
    }
    made
}

fn scheme(listener: &Field<'_>) -> &'static str {
    if listener.text_of("protocol").as_deref() == Some("HTTPS") { "https" } else { "http" }
}

/// The certificates of a listener.
fn tls(converter: &mut Converter<'_>, gateway: &Document, listener: &Field<'_>) -> Option<TlsChain> {
    let tls = listener.get("tls")?;
    tls.get("options").iter().for_each(|options| {
        options.mark();
        converter.report.add(Section::NotSupported, options, "options of a controller's TLS are not converted");
    });
    if tls.text_of("mode").as_deref() == Some("Passthrough") {
        tls.mark();
        converter.report.add(Section::NotSupported, &tls, "TLS that passes through is not seen by an HTTP gateway");
        return None;
    }
    let mut certificates = Vec::new();
    for reference in tls.list("certificateRefs") {
        reference.mark();
        let kind = reference.text_of("kind").unwrap_or_else(|| "Secret".to_owned());
        let name = reference.text_of("name").unwrap_or_default();
        let namespace = reference.text_of("namespace").unwrap_or_else(|| gateway.namespace.clone());
        if kind != "Secret" || !super::backends::granted(converter, gateway, "", &kind, &namespace, &name) {
            let text = format!(
                "certificate {kind} {namespace}/{name}: no ReferenceGrant allows it, or it is no Secret; left out"
            );
            converter.report.add(Section::NeedsADecision, &reference, text);
            continue;
        }
        let text = format!(
            "certificate: put `tls.crt` and `tls.key` of Secret {namespace}/{name} into `tls/{namespace}/{name}` where Envoy runs"
        );
        converter.report.add(Section::Kept, &reference, text);
        certificates.push(crate::parts::certificate(&namespace, &name));
    }
    if certificates.is_empty() {
        return None;
    }
    let names = listener.text_of("hostname").into_iter().collect();
    Some(TlsChain { names, socket: crate::parts::downstream_tls(&json!(certificates)) })
}
