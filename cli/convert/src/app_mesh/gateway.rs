//! VirtualGateways and GatewayRoutes.

use super::{aws_name, conditions, service, tls};
use crate::convert::Converter;
use crate::model::{Entry, Listener, Source, Table};
use crate::objects::{labels, namespace_labels, selects};
use crate::parts::{self};
use crate::parts::{rule, short};
use crate::report::Section;
use crate::source::{Document, Field};
use filter_kit::matching::{MatchingConfig, PathMatchConfig, Repeated};
use filter_kit::rewrite::RegexRewriteConfig;
use filter_kit::table::Order;
use header_router::RuleConfig;
use serde_json::{Map, Value, json};

/// A gateway and the routes that are bound to it.
pub fn convert<'d>(converter: &mut Converter<'d>, gateway: &'d Document) {
    aws_name(gateway);
    let Some(spec) = gateway.root().get("spec") else { return };
    let defaults = spec.at("backendDefaults.clientPolicy.tls");
    if let Some(policy) = &defaults {
        converter.client_policy = Some(tls::upstream(converter, policy));
    }
    for selector in ["namespaceSelector", "gatewayRouteSelector"] {
        spec.get(selector).iter().for_each(Field::mark);
    }
    let mut table = table();
    for route in converter.objects.all("GatewayRoute").to_vec() {
        if bound(converter, gateway, route) {
            converter.used.insert(route.id());
            gateway_route(converter, route, &mut table);
        }
    }
    let listeners = listeners(converter, gateway, &spec);
    if let Some(selector) = spec.get("podSelector") {
        selector.mark();
        converter.report.add(Section::Kept, &selector, "pods of the gateway: Envoy runs wherever you start it");
    }
    converter.client_policy = None;
    let text = format!("gateway with {} rules", table.router.rules.len());
    converter.report.object(Section::Kept, gateway, text);
    converter.model.entries.push(Entry { id: gateway.id(), listeners, tables: vec![table] });
}

/// Routes that no gateway has taken.
pub fn unbound(converter: &mut Converter<'_>) {
    for route in converter.objects.all("GatewayRoute").to_vec() {
        if converter.used.contains(&route.id()) {
            continue;
        }
        route.root().get("spec").iter().for_each(Field::mark);
        let text = "no VirtualGateway takes it: look at `namespaceSelector` and `gatewayRouteSelector`, or add the VirtualGateway";
        converter.report.object(Section::NeedsADecision, route, text);
    }
}

/// A table with App Mesh's ways of matching, written out.
pub fn table() -> Table {
    let matching = MatchingConfig { repeated_headers: Repeated::Joined, ..MatchingConfig::default() };
    parts::table(Order::Length, matching, service::default_policy())
}

/// Whether a gateway takes a route: by name where the route says so, else by selectors.
fn bound(converter: &mut Converter<'_>, gateway: &Document, route: &Document) -> bool {
    let Some(spec) = route.root().get("spec") else { return false };
    if let Some(reference) = spec.get("virtualGatewayRef") {
        reference.mark();
        let namespace = reference.text_of("namespace").unwrap_or_else(|| gateway.namespace.clone());
        return reference.text_of("name").as_deref() == Some(&gateway.name) && namespace == gateway.namespace;
    }
    let Some(of) = gateway.root().get("spec") else { return false };
    let by_labels = of.get("gatewayRouteSelector").and_then(|selector| selects(&selector, Some(&labels(route))));
    if by_labels == Some(false) {
        return false;
    }
    let Some(selector) = of.get("namespaceSelector") else { return false };
    let labels = namespace_labels(&converter.objects, &route.namespace);
    selects(&selector, labels.as_ref()).unwrap_or_else(|| {
        let text =
            format!("labels of namespace {} are not known: taken as if they fit; add the Namespace", route.namespace);
        converter.report.add(Section::NeedsADecision, &selector, text);
        true
    })
}

fn gateway_route<'d>(converter: &mut Converter<'d>, document: &'d Document, table: &mut Table) {
    aws_name(document);
    let Some(spec) = document.root().get("spec") else { return };
    let kinds = ["httpRoute", "http2Route", "grpcRoute"];
    let mut routes = kinds.iter().filter_map(|kind| Some((*kind, spec.get(kind)?)));
    let (Some((kind, route)), None) = (routes.next(), routes.next()) else {
        converter
            .mistakes
            .push(spec.mistake("expected exactly one of \"httpRoute\", \"http2Route\" and \"grpcRoute\""));
        return;
    };
    let is_grpc = kind == "grpcRoute";
    let matched = conditions::conditions(converter, &route, is_grpc);
    if matched.hosts.is_empty() && matched.path.is_none() && !(is_grpc && route.at("match.serviceName").is_some()) {
        let what = if is_grpc { "\"serviceName\" or \"hostname\"" } else { "\"prefix\", \"path\" or \"hostname\"" };
        let place = route.get("match").unwrap_or_else(|| route.clone());
        converter.mistakes.push(place.mistake(format!("expected at least one of {what}")));
        return;
    }
    let mut made = rule(&short(&format!("{}/{}", document.namespace, document.name)));
    priority(converter, &spec, &mut made);
    let Some(target) = route.at("action.target") else { return };
    let Some(found) = service::resolve(converter, document, &target) else { return };
    rewrite(converter, &spec, &route, &matched.path, &found.host, &mut made);
    match found.goes {
        service::Goes::Service(name, service) => {
            made.service = Some(name.clone());
            if let Some((config, policies)) = service
                && table.router.services.iter().all(|other| other.name != name)
            {
                table.router.services.push(config);
                table.policies.extend(policies);
            }
        }
        service::Goes::Cluster(cluster) => made.targets.push(parts::target_of(cluster)),
        service::Goes::Nowhere => {
            made.targets.push(parts::answer_of(503));
        }
    }
    if matched != Default::default() {
        made.r#match = Some(matched);
    }
    let source = Source::of(&route);
    converter.report.object(Section::Kept, document, "rule of the gateway");
    converter.add_rule(&mut table.router.rules, made, source, None);
}

/// `priority`, 1000 if absent.
pub fn priority(converter: &mut Converter<'_>, spec: &Field<'_>, rule: &mut RuleConfig) {
    match spec.get("priority") {
        None => {
            converter.report.add(Section::AppliedDefaults, spec, "no priority: 1000, the last");
        }
        Some(field) => {
            match field.number().and_then(|number| u16::try_from(number).ok()).filter(|number| *number <= 1000) {
                Some(number) => rule.priority = number,
                None => converter.mistakes.push(field.mistake("expected a number from 0 to 1000")),
            }
        }
    }
}

fn rewrite(
    converter: &mut Converter<'_>,
    spec: &Field<'_>,
    route: &Field<'_>,
    path: &Option<PathMatchConfig>,
    host: &str,
    rule: &mut RuleConfig,
) {
    let places = [route.at("action.rewrite"), route.get("rewrite"), spec.get("rewrite")];
    let given = places.into_iter().flatten().next();
    let of = |name: &str| given.as_ref().and_then(|given| given.get(name));
    let is_prefix = matches!(path, Some(PathMatchConfig::StringPrefix(_)));
    let (prefix, whole) = (of("prefix"), of("path"));
    if let (Some(_), Some(whole)) = (&prefix, &whole) {
        converter.mistakes.push(whole.mistake("expected one of \"prefix\" and \"path\", found both"));
    }
    if let Some(prefix) = &prefix {
        prefix.mark();
        match (prefix.text_of("defaultPrefix").as_deref(), prefix.text_of("value")) {
            (Some("DISABLED"), None) => {}
            (Some("ENABLED"), None) if is_prefix => rule.rewrite.prefix = Some("/".to_owned()),
            (None, Some(value)) if is_prefix => {
                if !(value.starts_with('/') && value.ends_with('/')) {
                    let why = format!("expected a value that starts and ends with \"/\", found {value:?}");
                    converter.mistakes.push(prefix.mistake(why));
                }
                // the bare prefix becomes the value with its slash, which `rewrite.prefix` would leave out
                if let Some(PathMatchConfig::StringPrefix(prefix)) = path {
                    let pattern = format!("^{}/?", regex_syntax::escape(prefix.trim_end_matches('/')));
                    let substitution = crate::parts::literal(&value);
                    rule.rewrite.regex = Some(RegexRewriteConfig { pattern, substitution });
                }
            }
            (Some(_), Some(_)) => {
                converter.mistakes.push(prefix.mistake("expected one of \"defaultPrefix\" and \"value\""))
            }
            _ if !is_prefix => converter.mistakes.push(prefix.mistake("expected a match by \"prefix\"")),
            _ => converter.mistakes.push(prefix.mistake("expected \"defaultPrefix\" or \"value\"")),
        }
    } else if let Some(whole) = &whole {
        whole.mark();
        rule.rewrite.path = whole.text_of("exact").map(|path| crate::parts::literal(&path));
    } else if let Some(PathMatchConfig::StringPrefix(prefix)) = path
        && prefix != "/"
    {
        rule.rewrite.prefix = Some("/".to_owned());
        let place = route.at("match.prefix").unwrap_or_else(|| route.clone());
        converter.report.add(Section::AppliedDefaults, &place, "the prefix becomes `/` (`defaultPrefix` is ENABLED)");
    }
    let hostname = of("hostname");
    hostname.iter().for_each(Field::mark);
    match hostname.as_ref().and_then(|hostname| hostname.text_of("defaultTargetHostname")).as_deref() {
        Some("DISABLED") => {}
        given => {
            rule.rewrite.host = (!host.is_empty()).then(|| crate::parts::literal(host));
            if given.is_none() {
                let place = route.at("action.target").unwrap_or_else(|| route.clone());
                let text = "the host becomes that of the virtual service (`defaultTargetHostname` is ENABLED)";
                converter.report.add(Section::AppliedDefaults, &place, text);
            }
        }
    }
    if let Some(given) = given.filter(|_| prefix.is_none() && whole.is_none() && hostname.is_none()) {
        converter.mistakes.push(given.mistake("expected \"prefix\", \"path\" or \"hostname\""));
    }
}

fn listeners(converter: &mut Converter<'_>, gateway: &Document, spec: &Field<'_>) -> Vec<Listener> {
    let mut all = Vec::new();
    let access_log = access_log(converter, spec);
    for listener in spec.list("listeners") {
        let Some(mapping) = listener.get("portMapping") else { continue };
        let port = mapping.number_of("port").and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        let Some(port) = port else {
            converter.mistakes.push(mapping.mistake("expected a port from 1 to 65535"));
            continue;
        };
        let protocol = mapping.text_of("protocol").unwrap_or_default();
        if let Some(check) = listener.get("healthCheck") {
            check.mark();
            let text = "health check of the gateway itself: App Mesh made it; let the load balancer in front ask `GET /ready` of the admin port";
            converter.report.add(Section::Changed, &check, text);
        }
        if let Some(pool) = listener.get("connectionPool") {
            let breakers = super::node::circuit_breakers(&pool);
            converter.gateway_limits = Some(breakers);
            let text = "limits of the gateway's connections: circuit breakers of each cluster that has none of its own";
            converter.report.add(Section::Changed, &pool, text);
        }
        let tls = listener.get("tls").map(|tls| tls::downstream(converter, &tls)).transpose();
        let Ok(tls) = tls.map(Option::flatten) else { continue };
        let mut manager = Map::new();
        manager.insert("normalize_path".to_owned(), json!(true));
        manager.insert("merge_slashes".to_owned(), json!(true));
        all.push(Listener {
            name: format!("{}:{port}", gateway.id()),
            port,
            moved: None,
            table: 0,
            http2: protocol != "http",
            tls: tls.into_iter().collect(),
            access_log: access_log.clone(),
            plain_too: listener.at("tls.mode").and_then(|mode| mode.text()).as_deref() == Some("PERMISSIVE"),
            manager,
        });
    }
    if !all.is_empty() {
        let text = "paths are normalized (`normalize_path`, `merge_slashes`) before routes look at them";
        converter.report.object(Section::AppliedDefaults, gateway, text);
    }
    all
}

/// `logging.accessLog`
fn access_log(converter: &mut Converter<'_>, spec: &Field<'_>) -> Vec<Value> {
    let Some(file) = spec.at("logging.accessLog.file") else { return Vec::new() };
    let path = file.text_of("path").unwrap_or_default();
    let mut config = Map::new();
    let name = match path.as_str() {
        "/dev/stdout" => "StdoutAccessLog",
        "/dev/stderr" => "StderrAccessLog",
        _ => "FileAccessLog",
    };
    let package = if name == "FileAccessLog" { "file" } else { "stream" };
    config.insert(
        "@type".to_owned(),
        json!(format!("type.googleapis.com/envoy.extensions.access_loggers.{package}.v3.{name}")),
    );
    if name == "FileAccessLog" {
        config.insert("path".to_owned(), json!(path));
    }
    if let Some(format) = file.get("format") {
        if let Some(text) = format.text_of("text") {
            config.insert("log_format".to_owned(), json!({"text_format_source": {"inline_string": text}}));
        }
        let fields: Map<String, Value> = format
            .list("json")
            .iter()
            .filter_map(|entry| Some((entry.text_of("key")?, json!(entry.text_of("value")?))))
            .collect();
        if !fields.is_empty() {
            config.insert("log_format".to_owned(), json!({"json_format": fields}));
        }
    }
    converter.report.add(Section::Kept, &file, format!("access log to {path}"));
    let logger = match name {
        "StdoutAccessLog" => "envoy.access_loggers.stdout",
        "StderrAccessLog" => "envoy.access_loggers.stderr",
        _ => "envoy.access_loggers.file",
    };
    vec![json!({"name": logger, "typed_config": config})]
}
