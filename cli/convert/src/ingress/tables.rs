//! The table of a class.

use super::annotations::{self, flag, nginx};
use super::paths::{self, Kind, Path};
use super::{alb, canary};
use crate::app_mesh::target_of;
use crate::convert::Converter;
use crate::model::{Entry, Listener, Policy, Retry, Source, Table, TlsChain, literal, rule, short};
use crate::report::Section;
use crate::services::{self, Port};
use crate::source::{Document, Field};
use filter_kit::header_edits::HeaderValueConfig;
use filter_kit::matching::{
    HostMatchConfig, MatchingConfig, NamedMatchConfig, PathMatchConfig, RangeConfig, RequestMatchConfig,
    ValueMatchConfig,
};
use filter_kit::table::Order;
use header_router::{Config, DefaultConfig, DirectResponseConfig, Mode, RedirectConfig, RuleConfig, TargetConfig};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

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
    default_backends(converter, ingresses, &mains, is_alb, &mut table);
    let listeners = listeners(converter, class, ingresses);
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
    Table {
        router: Config {
            mode: Mode::Plain,
            order: Some(if is_alb { Order::File } else { Order::Length }),
            matching,
            rules: Vec::new(),
            services: Vec::new(),
            default: DefaultConfig::Status(404),
            max_body_bytes: 64 * 1024,
            log_fields: false,
            debug: None,
        },
        rate_limit: None,
        policy: if is_alb { Policy { timeout_ms: Some(0), idle_ms: Some(60_000), ..Policy::default() } } else { nginx },
        policies: BTreeMap::new(),
        edits: Vec::new(),
    }
}

fn nginx_rules<'d>(
    converter: &mut Converter<'d>,
    ingresses: &[&'d Document],
    mains: &[Path<'d>],
    mut canaries: Vec<Path<'d>>,
    table: &mut Table,
) {
    let regex_hosts = paths::regex_hosts(converter, mains);
    let secure = secure_hosts(ingresses);
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
        rewrite(converter, path, is_regex, &mut base);
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
        redirects(converter, path, &secure, &base, &mut made, &mut app_roots);
        guards(converter, path, &mut made);
        exempt(path.ingress, &mut made);
        let source = Source::of(&path.field);
        let policy = policy(path.ingress, &table.policy);
        for rule in made {
            if !rule.targets.is_empty() {
                if policy != table.policy {
                    table.policies.insert(rule.name.clone(), policy.clone());
                }
                if !rule.name.ends_with(EXEMPT) {
                    limits.push((rule.name.clone(), path.ingress));
                }
            }
            converter.add_rule(&mut table.router.rules, rule, source.clone(), None);
        }
    }
    trailing_slashes(converter, mains, &regex_hosts, table);
    for host in &secure {
        let on_host = |path: &&Path<'d>| path.host == *host && flag(path.ingress, "ssl-redirect") != Some(false);
        if let Some(path) = mains.iter().find(on_host) {
            let mut made = rule(&short(&format!("{}/{}/https-{host}", path.ingress.namespace, path.ingress.name)));
            let matched = RequestMatchConfig { hosts: paths::host(host), ..RequestMatchConfig::default() };
            made.r#match = Some(RequestMatchConfig { schemes: vec!["http".to_owned()], ..matched });
            made.redirect = Some(to("https", None, 308));
            converter.add_rule(&mut table.router.rules, made, Source::of(&path.field), None);
            let text = "nginx leaves out a slash at the end of a path in its redirect to https, unless `preserve-trailing-slash`; here it stays";
            converter.report.add(Section::Changed, &path.field, text);
        }
    }
    for left in canaries {
        let text =
            "a canary without a rule of the same host and path to stand in for, or a second one: it serves nothing";
        converter.report.add(Section::NeedsADecision, &left.field, text);
        left.field.mark();
        left.backend.mark();
    }
    table.rate_limit = rate_limit(converter, &limits);
}

/// The target of a backend.
pub fn backend(converter: &mut Converter<'_>, ingress: &Document, backend: &Field<'_>) -> TargetConfig {
    backend.mark();
    let none = TargetConfig { cluster: None, status: Some(503), weight: 1, host: None };
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
                let socket = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": made.host}});
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

fn rewrite(converter: &mut Converter<'_>, path: &Path<'_>, is_regex: bool, base: &mut RuleConfig) {
    if let Some(target) = nginx(path.ingress, "rewrite-target").filter(|_| paths::rewrites(path)) {
        let groups = if is_regex {
            regex_lite::Regex::new(&path.path).map_or(0, |pattern| pattern.captures_len() - 1)
        } else {
            0
        };
        match template(&target, groups) {
            Ok(template) => {
                base.rewrite.path = Some(if template.starts_with('/') { template } else { format!("/{template}") })
            }
            Err(variable) => {
                let text = format!("rewrite-target with nginx's variable {variable}: the path stays");
                converter.report.add(Section::NotSupported, &path.field, text);
            }
        }
    }
    base.rewrite.host =
        nginx(path.ingress, "upstream-vhost").filter(|host| !host.is_empty()).map(|host| literal(&host));
    if let Some(prefix) =
        nginx(path.ingress, "x-forwarded-prefix").filter(|prefix| !prefix.is_empty() && paths::rewrites(path))
    {
        let value = template(&prefix, 0).unwrap_or_else(|_| literal(&prefix));
        base.request_headers.set.push(HeaderValueConfig { name: "x-forwarded-prefix".to_owned(), value });
    }
}

/// nginx's `$1` and variables as a template; groups that are not there are empty, as in nginx.
fn template(text: &str, groups: usize) -> Result<String, String> {
    let (mut made, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        made.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let end = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len();
        let (name, left) = braced.unwrap_or_else(|| {
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            after.split_at(if digits > 0 { 1 } else { end })
        });
        rest = left;
        match (name, name.parse::<usize>()) {
            (_, Ok(group)) if group <= groups => made.push_str(&format!("${{{group}}}")),
            (_, Ok(_)) => {}
            ("host" | "http_host", _) => made.push_str("${host}"),
            ("scheme", _) => made.push_str("${scheme}"),
            ("uri", _) => made.push_str("${path}"),
            ("args" | "query_string", _) => made.push_str("${query}"),
            ("remote_addr", _) => made.push_str("${source_address}"),
            ("", _) => made.push_str("$$"),
            (other, _) => return Err(format!("${other}")),
        }
    }
    made.push_str(rest);
    Ok(made)
}

/// Hosts that a `tls` section names.
fn secure_hosts(ingresses: &[&Document]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for ingress in ingresses {
        for tls in ingress.root().get("spec").map(|spec| spec.list("tls")).unwrap_or_default() {
            for host in tls.list("hosts").iter().filter_map(Field::text) {
                all.insert(host.to_ascii_lowercase());
            }
        }
    }
    all
}

/// Redirects that stand before a path's own rules.
fn redirects(
    converter: &mut Converter<'_>,
    path: &Path<'_>,
    secure: &BTreeSet<String>,
    base: &RuleConfig,
    made: &mut Vec<RuleConfig>,
    app_roots: &mut BTreeSet<(String, String)>,
) {
    let ingress = path.ingress;
    let status = |name: &str, otherwise: u16| {
        let code = nginx(ingress, name).and_then(|code| code.parse().ok());
        code.filter(|code| (300..=308).contains(code)).unwrap_or(otherwise)
    };
    let mut whole = |url: String, status: u16| {
        let mut plain = rule(&base.name);
        plain.r#match.clone_from(&base.r#match);
        let with_query = template(&url.replace("$request_uri", "$uri?$args"), 0).unwrap_or_else(|_| literal(&url));
        let without = template(&url.replace("$request_uri", "$uri"), 0).unwrap_or_else(|_| literal(&url));
        *made = elsewhere(&plain, status, &without, &with_query);
    };
    if let Some(url) = nginx(ingress, "temporal-redirect") {
        whole(url, status("temporal-redirect-code", 302));
    } else if let Some(url) = nginx(ingress, "permanent-redirect") {
        whole(url, status("permanent-redirect-code", 301));
    }
    let by_tls = secure.contains(&path.host) && flag(ingress, "ssl-redirect") != Some(false);
    if by_tls || flag(ingress, "force-ssl-redirect") == Some(true) {
        let mut secured = rule(&short(&format!("{}/https", base.name)));
        secured.priority = base.priority - 1;
        let mut matched = base.r#match.clone().unwrap_or_default();
        matched.schemes.push("http".to_owned());
        secured.r#match = Some(matched);
        secured.redirect = Some(to("https", None, 308));
        made.insert(0, secured);
        if by_tls && flag(ingress, "ssl-redirect").is_none() {
            converter.report.add(
                Section::AppliedDefaults,
                &path.field,
                "a host with TLS: http is redirected to https (308)",
            );
        }
    }
    if let Some(root) = nginx(ingress, "app-root").filter(|_| app_roots.insert((ingress.id(), path.host.clone()))) {
        let mut at_root = rule(&short(&format!("{}/{}/app-root-{}", ingress.namespace, ingress.name, path.place)));
        at_root.priority = 100;
        let hosts = base.r#match.as_ref().map(|matched| matched.hosts.clone()).unwrap_or_default();
        let path = Some(PathMatchConfig::Exact("/".to_owned()));
        at_root.r#match = Some(RequestMatchConfig { hosts, path, ..RequestMatchConfig::default() });
        at_root.redirect = Some(RedirectConfig { path: Some(literal(&root)), strip_query: true, ..redirect(302) });
        made.insert(0, at_root);
    }
    if flag(ingress, "from-to-www-redirect") == Some(true)
        && app_roots.insert((ingress.id(), format!("www {}", path.host)))
    {
        let other = match path.host.strip_prefix("www.") {
            Some(bare) => bare.to_owned(),
            None => format!("www.{}", path.host),
        };
        if !path.host.is_empty() && !path.host.starts_with('*') {
            let mut www = rule(&short(&format!("{}/{}/www-{}", ingress.namespace, ingress.name, path.place)));
            www.r#match = Some(RequestMatchConfig {
                hosts: vec![HostMatchConfig::Exact(other)],
                ..RequestMatchConfig::default()
            });
            let scheme = if by_tls { Some("https".to_owned()) } else { None };
            www.redirect = Some(RedirectConfig { scheme, host: Some(literal(&path.host)), ..redirect(308) });
            made.push(www);
        }
    }
}

/// Rules that answer with a `location`: one for requests without a query and, if that makes a difference, one for those with.
pub fn elsewhere(base: &RuleConfig, status: u16, without: &str, with_query: &str) -> Vec<RuleConfig> {
    let answer = |location: &str| {
        let headers = vec![HeaderValueConfig { name: "location".to_owned(), value: location.to_owned() }];
        Some(DirectResponseConfig { status, headers, body: String::new() })
    };
    let mut plain = base.clone();
    plain.direct_response = answer(with_query);
    if without == with_query {
        return vec![plain];
    }
    let mut bare = base.clone();
    bare.name = short(&format!("{}/no-query", base.name));
    bare.direct_response = answer(without);
    let mut matched = bare.r#match.take().unwrap_or_default();
    matched.headers.push(named(":path", ValueMatchConfig::Regex("[^?]*".to_owned())));
    bare.r#match = Some(matched);
    vec![bare, plain]
}

/// A condition on a header.
pub fn named(name: &str, value: ValueMatchConfig) -> NamedMatchConfig {
    NamedMatchConfig {
        name: name.to_owned(),
        r#match: Some(value),
        invert: false,
        ignore_case: false,
        treat_missing_as_empty: false,
    }
}

fn redirect(status: u16) -> RedirectConfig {
    RedirectConfig { scheme: None, host: None, port: None, path: None, prefix: None, strip_query: false, status }
}

fn to(scheme: &str, host: Option<String>, status: u16) -> RedirectConfig {
    RedirectConfig { scheme: Some(scheme.to_owned()), host, ..redirect(status) }
}

/// Rules that refuse: by address, and by the length of bodies.
fn guards(converter: &mut Converter<'_>, path: &Path<'_>, made: &mut Vec<RuleConfig>) {
    let ingress = path.ingress;
    let blocks = |name: &str| {
        let text = nginx(ingress, name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|block| !block.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let Some(plain) = made.iter().rev().find(|rule| !rule.targets.is_empty()).cloned() else { return };
    let refusal = |suffix: &str, status: u16, priority: u16| {
        let mut refused = rule(&short(&format!("{}/{suffix}", plain.name)));
        refused.priority = priority;
        refused.r#match.clone_from(&plain.r#match);
        refused.direct_response = Some(DirectResponseConfig { status, headers: Vec::new(), body: String::new() });
        refused
    };
    let allowed: Vec<String> =
        blocks("allowlist-source-range").into_iter().chain(blocks("whitelist-source-range")).collect();
    if !allowed.is_empty() {
        for rule in made.iter_mut().filter(|rule| !rule.targets.is_empty()) {
            if let Some(matched) = &mut rule.r#match {
                matched.source_addresses.clone_from(&allowed);
            }
        }
        made.push(refusal("not-allowed", 403, plain.priority));
    }
    let denied = blocks("denylist-source-range");
    if !denied.is_empty() {
        let mut refused = refusal("denied", 403, plain.priority.saturating_sub(2));
        if let Some(matched) = &mut refused.r#match {
            matched.source_addresses = denied;
        }
        made.insert(0, refused);
    }
    if let Some(limit) = nginx(ingress, "proxy-body-size").and_then(|size| bytes(&size)).filter(|limit| *limit > 0) {
        let mut refused = refusal("too-large", 413, plain.priority.saturating_sub(2));
        if let Some(matched) = &mut refused.r#match {
            let range = RangeConfig { start: limit + 1, end: i64::MAX };
            matched.headers.push(named("content-length", ValueMatchConfig::Range(range)));
        }
        made.insert(0, refused);
        let text = "proxy-body-size: by the length that a request states; a body of unknown length is not cut off";
        converter.report.add(Section::Changed, &path.field, text);
    }
}

/// `8m` in bytes.
fn bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match lower.get(digits.len()..)? {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    digits.trim().parse::<i64>().ok()?.checked_mul(factor)
}

fn policy(ingress: &Document, default: &Policy) -> Policy {
    let mut policy = default.clone();
    let number = |name: &str| nginx(ingress, name).and_then(|text| text.trim_end_matches('s').parse::<u64>().ok());
    if let Some(seconds) = number("proxy-read-timeout").max(number("proxy-send-timeout")) {
        policy.idle_ms = Some(seconds.saturating_mul(1000));
    }
    if let Some(events) = nginx(ingress, "proxy-next-upstream") {
        let mut on = BTreeSet::new();
        let mut statuses = BTreeSet::new();
        for event in events.split_whitespace() {
            match event {
                "error" => drop(on.insert("connect-failure".to_owned())),
                "timeout" => drop(on.insert("reset".to_owned())),
                "off" => on.clear(),
                other => {
                    if let Some(status) = other.strip_prefix("http_").and_then(|status| status.parse().ok()) {
                        statuses.insert(status);
                        on.insert("retriable-status-codes".to_owned());
                    }
                }
            }
        }
        policy.retry = (!on.is_empty()).then(|| Retry {
            on: on.into_iter().collect(),
            statuses: statuses.into_iter().collect(),
            times: 2,
            ..Retry::default()
        });
    }
    if let (Some(tries), Some(retry)) = (number("proxy-next-upstream-tries"), &mut policy.retry) {
        retry.times = tries.saturating_sub(1);
    }
    policy.retry = policy.retry.filter(|retry| retry.times > 0);
    policy
}

/// nginx redirects a path without the slash with which a location ends.
fn trailing_slashes(
    converter: &mut Converter<'_>,
    mains: &[Path<'_>],
    regex_hosts: &BTreeSet<String>,
    table: &mut Table,
) {
    let mut seen = BTreeSet::new();
    for path in mains {
        let bare = path.path.trim_end_matches('/');
        if bare.is_empty() || bare == path.path || regex_hosts.contains(&path.host) {
            continue;
        }
        let has_own = mains.iter().any(|other| other.host == path.host && other.path == bare);
        if has_own || !seen.insert((path.host.clone(), bare.to_owned())) {
            continue;
        }
        let mut made = rule(&short(&format!("{}/{}/{}/slash", path.ingress.namespace, path.ingress.name, path.place)));
        let hosts = paths::host(&path.host);
        made.r#match = Some(RequestMatchConfig {
            hosts,
            path: Some(PathMatchConfig::Exact(bare.to_owned())),
            ..RequestMatchConfig::default()
        });
        made.redirect =
            Some(RedirectConfig { host: Some("${host}".to_owned()), path: Some(literal(&path.path)), ..redirect(301) });
        let text = format!("surprise: nginx redirects {bare} to {} (301)", path.path);
        converter.report.add(Section::AppliedDefaults, &path.field, text);
        converter.add_rule(&mut table.router.rules, made, Source::of(&path.field), None);
    }
}

/// Addresses that limits do not count for have rules of their own, which no limit names.
fn exempt(ingress: &Document, made: &mut Vec<RuleConfig>) {
    let blocks = nginx(ingress, "limit-allowlist").or_else(|| nginx(ingress, "limit-whitelist")).unwrap_or_default();
    let blocks: Vec<String> =
        blocks.split(',').map(str::trim).filter(|block| !block.is_empty()).map(str::to_owned).collect();
    if blocks.is_empty() {
        return;
    }
    let mut all = Vec::new();
    for rule in made.drain(..) {
        if !rule.targets.is_empty() {
            let mut free = rule.clone();
            free.name = short(&format!("{}{EXEMPT}", rule.name));
            let mut matched = free.r#match.take().unwrap_or_default();
            matched.source_addresses.clone_from(&blocks);
            free.r#match = Some(matched);
            all.push(free);
        }
        all.push(rule);
    }
    *made = all;
}

/// End of the names of such rules.
const EXEMPT: &str = "/unlimited";

fn rate_limit(converter: &mut Converter<'_>, rules: &[(String, &Document)]) -> Option<Value> {
    let mut policies = Vec::new();
    for (name, ingress) in rules {
        let number =
            |name: &str| nginx(ingress, name).and_then(|text| text.parse::<u64>().ok()).filter(|number| *number > 0);
        let burst = number("limit-burst-multiplier").unwrap_or(5);
        let mut limits = Vec::new();
        for (annotation, per_ms) in [("limit-rps", 1000u64), ("limit-rpm", 60_000)] {
            if let Some(units) = number(annotation) {
                limits.push(
                    json!({"name": annotation, "units": units, "per_ms": per_ms, "burst": units.saturating_mul(burst)}),
                );
            }
        }
        if let Some(most) = number("limit-connections") {
            limits.push(json!({"name": "limit-connections", "concurrent": most.min(65_535)}));
        }
        if limits.is_empty() {
            continue;
        }
        let matched = json!({"headers": [{"name": header_router::ROUTE_HEADER, "match": {"exact": name}}]});
        policies.push(json!({"name": name, "match": matched, "key": [{"source_address": {}}], "limits": limits}));
        let text = "limits answer with 429, where nginx answers with 503, and count over all workers";
        converter.report.object(Section::Changed, ingress, text);
    }
    (!policies.is_empty()).then(|| json!({"policies": policies}))
}

fn default_backends<'d>(
    converter: &mut Converter<'d>,
    ingresses: &[&'d Document],
    mains: &[Path<'d>],
    is_alb: bool,
    table: &mut Table,
) {
    let mut catch_all: Option<String> = None;
    for ingress in ingresses {
        let Some(default) = ingress.root().get("spec").and_then(|spec| spec.get("defaultBackend")) else { continue };
        let rules = ingress.root().get("spec").map(|spec| spec.list("rules")).unwrap_or_default();
        let mut hosts: Vec<String> =
            rules.iter().map(|rule| rule.text_of("host").unwrap_or_default().to_ascii_lowercase()).collect();
        hosts.sort();
        hosts.dedup();
        if hosts.is_empty() || is_alb {
            hosts = vec![String::new()];
        }
        let mut base = rule(&short(&format!("{}/{}/default", ingress.namespace, ingress.name)));
        if !(is_alb && alb::default_action(converter, ingress, &default, &mut base)) {
            base.targets = vec![backend(converter, ingress, &default)];
        }
        for (number, host) in hosts.into_iter().enumerate() {
            let first = mains.iter().find(|path| path.host == host).map(|path| path.ingress.id());
            let is_first = is_alb || first.as_ref().is_none_or(|first| *first == ingress.id());
            let is_taken = mains.iter().any(|path| path.host == host && path.path == "/" && path.kind != Kind::Exact);
            if host.is_empty() && catch_all.as_ref().is_some_and(|other| *other != ingress.id())
                || !is_first
                || is_taken
            {
                let text = "another, older Ingress or a rule for `/` takes what no rule takes: this default does not count there";
                converter.report.add(Section::Changed, &default, text);
                continue;
            }
            if host.is_empty() {
                catch_all = Some(ingress.id());
            }
            let mut made = base.clone();
            made.name = short(&format!("{}-{number}", base.name));
            if !host.is_empty() {
                made.r#match = Some(RequestMatchConfig { hosts: paths::host(&host), ..RequestMatchConfig::default() });
            }
            converter.add_rule(&mut table.router.rules, made, Source::of(&default), None);
        }
    }
}

fn listeners(converter: &mut Converter<'_>, class: &str, ingresses: &[&Document]) -> Vec<Listener> {
    let mut chains: Vec<TlsChain> = Vec::new();
    for ingress in ingresses {
        for tls in ingress.root().get("spec").map(|spec| spec.list("tls")).unwrap_or_default() {
            tls.mark();
            let names: Vec<String> = tls.list("hosts").iter().filter_map(Field::text).collect();
            let Some(secret) = tls.text_of("secretName").filter(|name| !name.is_empty()) else {
                let text = "TLS without a secret: the controller's default certificate is not known; add one";
                converter.report.add(Section::NeedsADecision, &tls, text);
                continue;
            };
            let namespace = &ingress.namespace;
            let text = format!(
                "certificate: put `tls.crt` and `tls.key` of Secret {namespace}/{secret} into `tls/{namespace}/{secret}` where Envoy runs"
            );
            converter.report.add(Section::Kept, &tls, text);
            let names: Vec<String> =
                names.into_iter().filter(|name| !chains.iter().any(|chain| chain.names.contains(name))).collect();
            if !names.is_empty() || chains.is_empty() {
                let socket = crate::model::downstream_tls(&json!([crate::model::certificate(namespace, &secret)]));
                chains.push(TlsChain { names, socket });
            }
        }
    }
    let mut manager = Map::new();
    manager.insert("normalize_path".to_owned(), json!(true));
    manager.insert("merge_slashes".to_owned(), json!(true));
    let one = |port: u16, tls: Vec<TlsChain>| Listener {
        name: format!("IngressClass/{class}:{port}"),
        port,
        moved: None,
        table: 0,
        http2: true,
        tls,
        plain_too: false,
        access_log: Vec::new(),
        manager: manager.clone(),
    };
    let mut all = vec![one(80, Vec::new())];
    if !chains.is_empty() {
        all.push(one(443, chains));
    }
    all
}
