//! What is allowed in a configuration, and probably not meant.

use crate::config::{Config, DefaultConfig, RuleConfig};
use crate::filter::{HeaderRouter, OURS};
use crate::router::Rules;
use filter_kit::explain::Detail;
use filter_kit::lint::{self, Remark};
use filter_kit::matching::HostMatch;
use filter_kit::table::Entry;
use filter_kit::{ConfigError, FixedEnv, Head};

/// Redirects that are followed.
const MAX_HOPS: usize = 8;

/// Remarks on a configuration.
///
/// # Errors
/// If the filter does not take it.
pub fn lint(config: &Config) -> Result<Vec<Remark>, ConfigError> {
    let filter = HeaderRouter::new(config.clone())?;
    let router = &filter.router;
    let mut remarks = of_rules(&config.rules, &router.rules);
    remarks.extend(redirects(&filter));
    for (number, (service, compiled)) in config.services.iter().zip(&router.services).enumerate() {
        let at = format!("services[{number}]");
        remarks.extend(of_rules(&service.rules, &compiled.rules).into_iter().map(|remark| remark.within(&at)));
        let used = config.rules.iter().any(|rule| rule.service.as_ref() == Some(&service.name));
        if !used {
            remarks.push(Remark::new(at, format!("no rule picks the service {:?}", service.name)));
        }
    }
    Ok(remarks)
}

/// Every cluster that a configuration names, and where.
pub fn clusters(config: &Config) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    let services = config.services.iter().enumerate();
    let services = services.map(|(number, service)| (format!("services[{number}].rules"), service.rules.as_slice()));
    for (outer, rules) in std::iter::once(("rules".to_owned(), config.rules.as_slice())).chain(services) {
        for (number, rule) in rules.iter().enumerate() {
            let at = format!("{outer}[{number}]");
            for (target, config) in rule.targets.iter().enumerate() {
                found.extend(config.cluster.as_deref().map(|name| (format!("{at}.targets[{target}].cluster"), name)));
            }
            let fallback = rule.fallback.as_ref();
            found.extend(fallback.map(|fallback| (format!("{at}.fallback.cluster"), fallback.cluster.as_str())));
            found.extend(rule.mirror.as_ref().map(|mirror| (format!("{at}.mirror.cluster"), mirror.cluster.as_str())));
        }
    }
    if let DefaultConfig::Target(target) = &config.default {
        found.push(("default.target.cluster".to_owned(), &target.cluster));
    }
    found
}

fn of_rules(configs: &[RuleConfig], compiled: &Rules) -> Vec<Remark> {
    let names: Vec<&str> = compiled.rules.iter().map(|rule| rule.name.as_str()).collect();
    let mut remarks = lint::table(&compiled.table, &names);
    for (number, rule) in configs.iter().enumerate() {
        let mut found = lint::conditions(rule.r#match.as_ref(), &rule.matches);
        found.extend(own_headers(rule));
        found.extend(weights(rule));
        remarks.extend(found.into_iter().map(|remark| remark.within(&format!("rules[{number}]"))));
    }
    remarks
}

/// Conditions on headers that the filter takes away first.
fn own_headers(rule: &RuleConfig) -> Vec<Remark> {
    let one = rule.r#match.iter().map(|config| ("match".to_owned(), config));
    let several = rule.matches.iter().enumerate().map(|(at, config)| (format!("matches[{at}]"), config));
    let mut remarks = Vec::new();
    for (at, config) in one.chain(several) {
        for (number, header) in config.headers.iter().enumerate() {
            if OURS.contains(&header.name.to_ascii_lowercase().as_str()) {
                let why =
                    format!("{} is never there: what a client sends under this name is removed first", header.name);
                remarks.push(Remark::new(format!("{at}.headers[{number}].name"), why));
            }
        }
    }
    remarks
}

fn weights(rule: &RuleConfig) -> Option<Remark> {
    if rule.targets.len() < 2 || rule.fallback.is_some() {
        return None;
    }
    let weights = rule.targets.iter().map(|target| u64::from(target.weight));
    let sum: u64 = weights.clone().sum();
    // 1 and 1, or 3 and 1, are shares of their sum; 90 and 9 look like a slip
    let largest = weights.max().unwrap_or(0);
    [(10_000, 500), (100, 5)]
        .into_iter()
        .find(|(whole, near)| sum.abs_diff(*whole) <= *near && largest * 2 >= *whole)
        .and_then(|(whole, _)| {
            let why = format!("the weights add up to {sum}; {whole} looks meant (they are shares of their sum)");
            (sum != whole).then(|| Remark::new("targets", why))
        })
}

/// Redirects that lead to requests which their rule takes again.
fn redirects(filter: &HeaderRouter) -> Vec<Remark> {
    let rules = &filter.router.rules;
    let mut remarks = Vec::new();
    let mut told = vec![false; rules.rules.len()];
    for entry in rules.table.entries() {
        let Some(rule) =
            rules.rules.get(entry.rule).filter(|rule| matches!(rule.action, crate::rule::Action::Redirect(_)))
        else {
            continue;
        };
        if told.get(entry.rule) == Some(&false)
            && let Some(location) = circle(filter, &rule.name, entry)
        {
            if let Some(told) = told.get_mut(entry.rule) {
                *told = true;
            }
            let why = format!("leads to {location}, which leads back to it");
            remarks.push(Remark::new(format!("rules[{}].redirect", entry.rule), why));
        }
    }
    remarks
}

/// Where a redirect leads at first, if it leads round in a circle on one host. Another scheme or host may be another
/// listener's.
fn circle(filter: &HeaderRouter, rule: &str, entry: &Entry) -> Option<String> {
    let matched = &entry.matched;
    let first = |list: &[Vec<u8>], default: &str| {
        list.first().map_or_else(|| default.to_owned(), |text| String::from_utf8_lossy(text).into_owned())
    };
    let (method, scheme) = (first(&matched.methods, "GET"), first(&matched.schemes, "http"));
    let host = match &entry.host {
        None => "host.test".to_owned(),
        Some(HostMatch::Exact(host)) => String::from_utf8_lossy(host).into_owned(),
        Some(HostMatch::Suffix(text, _)) => format!("host{}", String::from_utf8_lossy(text)),
    };
    let mut path = match &matched.path {
        None => "/".to_owned(),
        Some(path) => match path.text()? {
            b"" => "/".to_owned(),
            text => String::from_utf8_lossy(text).into_owned(),
        },
    };
    let mut start = None;
    for hop in 0..MAX_HOPS {
        let fields = [(":method", &method), (":scheme", &scheme), (":authority", &host), (":path", &path)];
        let told = filter.explain(&Head::from_fields(fields), Some(b""), &FixedEnv::default(), Detail::Outcome);
        let is_it = told.rule.as_deref() == Some(rule);
        if hop > 0 && is_it {
            return start;
        }
        let location = told.location.filter(|_| is_it || hop > 0)?;
        path = location.strip_prefix(&format!("{scheme}://{host}"))?.to_owned();
        if !path.starts_with('/') {
            return None;
        }
        start.get_or_insert(location);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remarks(rules: &str) -> Vec<String> {
        let json = format!(r#"{{"rules": [{rules}], "default": "continue"}}"#);
        let config: Config = filter_kit::config::parse(json.as_bytes()).unwrap();
        lint(&config).unwrap().into_iter().map(|Remark { at, why }| format!("{at}: {why}")).collect()
    }

    #[test]
    fn weights_that_look_like_slips() {
        for (weights, expected) in [
            (&[1, 1][..], None),
            (&[9000, 1000], None),
            (&[90, 10], None),
            (&[3, 1], None),
            (&[50, 30], None),
            // a rollout before its first step
            (&[100, 0], None),
            (
                &[9000, 999],
                Some("rules[0].targets: the weights add up to 9999; 10000 looks meant (they are shares of their sum)"),
            ),
            (
                &[90, 9],
                Some("rules[0].targets: the weights add up to 99; 100 looks meant (they are shares of their sum)"),
            ),
        ] {
            let targets: Vec<_> =
                weights.iter().map(|weight| format!(r#"{{"cluster": "c", "weight": {weight}}}"#)).collect();
            let found = remarks(&format!(r#"{{"name": "a", "targets": [{}]}}"#, targets.join(",")));
            assert_eq!(found.first().map(String::as_str), expected, "{weights:?}");
        }
        let with_fallback = r#"{"name": "a", "targets": [{"cluster": "c", "weight": 9999}, {"cluster": "d", "weight": 0}], "fallback": {"cluster": "e"}}"#;
        assert!(remarks(with_fallback).is_empty());
    }

    #[test]
    fn redirects_that_lead_in_circles() {
        let rule = |name: &str, from: &str, to: &str| {
            format!(r#"{{"name": "{name}", "match": {{"path": {from}}}, "redirect": {to}}}"#)
        };
        let prefix = |path: &str| format!(r#"{{"prefix": "{path}"}}"#);
        for (rules, expected) in [
            (rule("a", &prefix("/a"), &prefix("/b")), None),
            (
                rule("a", &prefix("/a"), &prefix("/a/b")),
                Some("rules[0].redirect: leads to http://host.test/a/b, which leads back to it"),
            ),
            (
                rule("a", &prefix("/a"), r#"{"path": "/a"}"#),
                Some("rules[0].redirect: leads to http://host.test/a, which leads back to it"),
            ),
            (rule("a", r#"{"exact": "/a"}"#, r#"{"path": "/a/"}"#), None),
            (rule("a", &prefix("/"), r#"{"scheme": "https"}"#), None),
            (rule("a", &prefix("/"), r#"{"host": "other.test"}"#), None),
            (
                rule("a", &prefix("/"), r#"{"host": "host.test"}"#),
                Some("rules[0].redirect: leads to http://host.test/, which leads back to it"),
            ),
            (
                [rule("a", &prefix("/a"), &prefix("/b")), rule("b", &prefix("/b"), &prefix("/a"))].join(","),
                Some("rules[0].redirect: leads to http://host.test/b, which leads back to it"),
            ),
        ] {
            assert_eq!(remarks(&rules).first().map(String::as_str), expected, "{rules}");
        }
    }

    #[test]
    fn headers_that_are_not_there() {
        let rule = |name: &str| {
            format!(
                r#"{{"name": "a", "match": {{"headers": [{{"name": "{name}"}}]}}, "targets": [{{"cluster": "c"}}]}}"#
            )
        };
        assert!(remarks(&rule("x-user"))[..].is_empty());
        assert!(
            remarks(&rule("Connection"))[0]
                .starts_with("rules[0].match.headers[0].name: a proxy does not pass connection on")
        );
        assert!(remarks(&rule("x-sluice-cluster"))[0].contains("x-sluice-cluster is never there"));
    }

    #[test]
    fn services_have_remarks_of_their_own() {
        let json = r#"{"rules": [{"name": "a", "service": "s"}], "default": {"target": {"cluster": "d"}}, "services": [
            {"name": "s", "rules": [
                {"name": "x", "targets": [{"cluster": "c"}], "mirror": {"cluster": "m"}},
                {"name": "y", "targets": [{"cluster": "c"}], "fallback": {"cluster": "f"}}]},
            {"name": "t", "rules": []}]}"#;
        let config: Config = filter_kit::config::parse(json.as_bytes()).unwrap();
        let found: Vec<_> =
            lint(&config).unwrap().into_iter().map(|Remark { at, why }| format!("{at}: {why}")).collect();
        assert_eq!(
            found,
            [
                "services[0].rules[1]: never takes a request: \"s/x\" (rules[0]) comes first and takes all of them",
                "services[1]: no rule picks the service \"t\""
            ]
        );
        let found: Vec<_> = clusters(&config).into_iter().map(|(at, name)| format!("{at} {name}")).collect();
        assert_eq!(
            found,
            [
                "services[0].rules[0].targets[0].cluster c",
                "services[0].rules[0].mirror.cluster m",
                "services[0].rules[1].targets[0].cluster c",
                "services[0].rules[1].fallback.cluster f",
                "default.target.cluster d"
            ]
        );
    }
}
