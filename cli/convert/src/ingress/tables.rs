//! The table of a class.

use super::annotations::{self, flag, nginx};
use super::paths::{self, Kind, Path};
use super::{alb, canary, defaults, guards, limits, listeners, redirects, rewrites};
use crate::convert::Converter;
use crate::model::{Entry, Policy, Retry, Source, Table};
use crate::parts::{self, rule, short, target_of};
use crate::report::Section;
use crate::services::{self, Port};
use crate::source::{Document, Field};
use filter_kit::matching::MatchingConfig;
use filter_kit::table::Order;
use header_router::TargetConfig;
use serde_json::json;
use std::collections::BTreeSet;

/// A class as an entry.
pub fn convert<'d>(converter: &mut Converter<'d>, class: &str, ingresses: &[&'d Document], is_alb: bool) {
    let mut table = table(is_alb);
    for ingress in ingresses {
        annotations::account(converter, ingress, is_alb);
    }
    let is_canary = |ingress: &Document| flag(ingress, "canary") == Some(true);
    let mut mains = Vec::new();
    let mut canaries = Vec::new();
    for ingress in ingresses {
        let found = paths::of(converter, ingress);
        if is_canary(ingress) && !is_alb { canaries.extend(found) } else { mains.extend(found) }
    }
    let mains = if is_alb { mains } else { paths::merge(converter, mains) };
    if is_alb {
        alb::rules(converter, ingresses, &mains, &mut table);
    } else {
        nginx_rules(converter, ingresses, &mains, canaries, &mut table);
    }
    defaults::default_backends(converter, ingresses, &mains, is_alb, &mut table);
    let listeners = listeners::listeners(converter, class, ingresses);
    for ingress in ingresses {
        ingress.root().get("spec").iter().for_each(|spec| {
            spec.get("ingressClassName").iter().for_each(Field::mark);
            spec.get("rules").iter().filter(|rules| rules.items().is_empty()).for_each(Field::mark);
        });
        converter.report.object(Section::Kept, ingress, format!("rules of class {class}"));
    }
    let id = format!("IngressClass/{class}");
    converter.model.entries.push(Entry { id, listeners, tables: vec![table] });
}

fn table(is_alb: bool) -> Table {
    let matching = MatchingConfig {
        normalize_path: !is_alb,
        merge_slashes: !is_alb,
        decode_unreserved: !is_alb,
        most_specific_host_only: !is_alb,
        ..MatchingConfig::default()
    };
    let nginx = Policy {
        timeout_ms: Some(0),
        idle_ms: Some(60_000),
        retry: Some(Retry { on: vec!["connect-failure".to_owned()], times: 2, ..Retry::default() }),
        body_limit: None,
    };
    let policy =
        if is_alb { Policy { timeout_ms: Some(0), idle_ms: Some(60_000), ..Policy::default() } } else { nginx };
    parts::table(if is_alb { Order::File } else { Order::Length }, matching, policy)
}

fn nginx_rules<'d>(
    converter: &mut Converter<'d>,
    ingresses: &[&'d Document],
    mains: &[Path<'d>],
    mut canaries: Vec<Path<'d>>,
    table: &mut Table,
) {
    let regex_hosts = paths::regex_hosts(converter, mains);
    let secure = redirects::secure_hosts(ingresses);
    let own_hosts: BTreeSet<String> = mains.iter().map(|path| path.host.clone()).collect();
    if let Some(first) = mains.first() {
        let text = "no proxy timeouts: 60 s of silence, no limit for the whole; two more tries when a connection fails";
        converter.report.object(Section::AppliedDefaults, first.ingress, text);
        let text = "surprise: nginx normalizes a path before it looks for rules (`//`, `/./`, `/../`, escapes) and sends it on as it came; \
                    Envoy normalizes it, and sends that on";
        converter.report.object(Section::Changed, first.ingress, text);
        let text = "nginx refuses bodies beyond 1 MiB unless `proxy-body-size` says otherwise; here only what it says is refused";
        converter.report.object(Section::Changed, first.ingress, text);
    }
    let mut limits = Vec::new();
    let mut app_roots: BTreeSet<(String, String)> = BTreeSet::new();
    for path in mains {
        let is_regex = regex_hosts.contains(&path.host);
        if is_regex && path.kind == Kind::Prefix {
            let text = format!(
                "surprise: Prefix {} is text under a pattern, without an end at a segment: `{}x` fits too",
                path.path, path.path
            );
            converter.report.add(Section::AppliedDefaults, &path.field, text);
        }
        let name = short(&format!("{}/{}/{}", path.ingress.namespace, path.ingress.name, path.place));
        let mut base = rule(&name);
        base.r#match = Some(paths::conditions(path, is_regex, &own_hosts));
        let main = backend(converter, path.ingress, &path.backend);
        rewrites::rewrite(converter, path, is_regex, &mut base);
        let at = canaries.iter().position(|other| other.host == path.host && other.path == path.path);
        let mut made = match at.map(|at| canaries.remove(at)) {
            Some(other) => {
                let target = backend(converter, other.ingress, &other.backend);
                converter.used.insert(other.ingress.id());
                canary::rules(&base, &main, other.ingress, &target)
            }
            None => {
                base.targets = vec![main];
                vec![base.clone()]
            }
        };
        redirects::redirects(converter, path, &secure, &base, &mut made, &mut app_roots);
        guards::guards(converter, path, &mut made);
        limits::exempt(path.ingress, &mut made);
        let source = Source::of(&path.field);
        let policy = limits::policy(path.ingress, &table.policy);
        for rule in made {
            if !rule.targets.is_empty() {
                if policy != table.policy {
                    table.policies.insert(rule.name.clone(), policy.clone());
                }
                if !rule.name.ends_with(limits::EXEMPT) {
                    limits.push((rule.name.clone(), path.ingress));
                }
            }
            converter.add_rule(&mut table.router.rules, rule, source.clone(), None);
        }
    }
    redirects::trailing_slashes(converter, mains, &regex_hosts, table);
    redirects::whole_hosts(converter, mains, &secure, table);
    for left in canaries {
        let text =
            "a canary without a rule of the same host and path to stand in for, or a second one: it serves nothing";
        converter.report.add(Section::NeedsADecision, &left.field, text);
        left.field.mark();
        left.backend.mark();
    }
    table.rate_limit = limits::rate_limit(converter, &limits);
}

/// The target of a backend.
pub fn backend(converter: &mut Converter<'_>, ingress: &Document, backend: &Field<'_>) -> TargetConfig {
    backend.mark();
    let none = parts::answer_of(503);
    let Some(service) = backend.get("service") else {
        converter.report.add(
            Section::NotSupported,
            backend,
            "a backend that is no Service: requests are answered with 503",
        );
        return none;
    };
    let port = service.get("port");
    let number = port.as_ref().and_then(|port| port.number_of("number")).and_then(|port| u16::try_from(port).ok());
    let port = match (number, port.and_then(|port| port.text_of("name"))) {
        (Some(number), _) => Port::Number(number),
        (None, Some(name)) => Port::Name(name),
        (None, None) => Port::Only,
    };
    let name = service.text_of("name").unwrap_or_default();
    let protocol = nginx(ingress, "backend-protocol").unwrap_or_default().to_ascii_uppercase();
    let is_http2 = matches!(protocol.as_str(), "GRPC" | "GRPCS");
    match services::cluster(converter, &ingress.namespace, &name, &port, is_http2, backend) {
        Ok(cluster) => {
            if !matches!(protocol.as_str(), "" | "HTTP" | "HTTPS" | "GRPC" | "GRPCS") {
                let text = format!("backend-protocol {protocol}: requests are sent as HTTP");
                converter.report.add(Section::NotSupported, backend, text);
            }
            let seconds =
                nginx(ingress, "proxy-connect-timeout").and_then(|text| text.trim_end_matches('s').parse::<u64>().ok());
            if let (Some(seconds), Some(made)) = (seconds, converter.model.clusters.get_mut(&cluster)) {
                made.more.insert("connect_timeout".to_owned(), json!(format!("{seconds}s")));
            }
            if matches!(protocol.as_str(), "HTTPS" | "GRPCS")
                && let Some(made) = converter.model.clusters.get_mut(&cluster)
            {
                let socket = parts::upstream_tls(&made.host, None);
                made.more.insert("transport_socket".to_owned(), socket);
            }
            target_of(cluster)
        }
        Err(why) => {
            let text = format!("{}: requests are answered with 503", why.0);
            converter.report.add(Section::NeedsADecision, backend, text);
            none
        }
    }
}
