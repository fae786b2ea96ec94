//! Redirects: of a whole path, to https, of the root, to or from `www`, and of a path without its last slash.

use super::annotations::{flag, nginx};
use super::paths::{self, Path};
use super::rewrites::template;
use crate::convert::Converter;
use crate::model::{Source, Table};
use crate::parts::{literal, named, rule, short};
use crate::report::Section;
use crate::source::{Document, Field};
use filter_kit::header_edits::HeaderValueConfig;
use filter_kit::matching::{HostMatchConfig, PathMatchConfig, RequestMatchConfig, ValueMatchConfig};
use header_router::{DirectResponseConfig, RedirectConfig, RuleConfig};
use std::collections::BTreeSet;

/// Hosts that a `tls` section names.
pub fn secure_hosts(ingresses: &[&Document]) -> BTreeSet<String> {
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
pub fn redirects(
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
    matched.headers.push(named(":path", Some(ValueMatchConfig::Regex("[^?]*".to_owned()))));
    bare.r#match = Some(matched);
    vec![bare, plain]
}

fn redirect(status: u16) -> RedirectConfig {
    RedirectConfig { scheme: None, host: None, port: None, path: None, prefix: None, strip_query: false, status }
}

fn to(scheme: &str, host: Option<String>, status: u16) -> RedirectConfig {
    RedirectConfig { scheme: Some(scheme.to_owned()), host, ..redirect(status) }
}

/// Hosts with TLS: what no rule takes is redirected to https too.
pub fn whole_hosts<'d>(
    converter: &mut Converter<'d>,
    mains: &[Path<'d>],
    secure: &BTreeSet<String>,
    table: &mut Table,
) {
    for host in secure {
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
}

/// nginx redirects a path without the slash with which a location ends.
pub fn trailing_slashes(
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
