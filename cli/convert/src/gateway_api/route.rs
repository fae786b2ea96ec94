//! HTTPRoutes and GRPCRoutes as rules.

use super::{backends, cors, filters};
use crate::convert::Converter;
use crate::model::{BackendEdits, Policy, Retry, Source, Table};
use crate::parts;
use crate::parts::{rule, short};
use crate::report::Section;
use crate::source::{Document, Field};
use filter_kit::matching::{
    GrpcMatchConfig, HostMatchConfig, NamedMatchConfig, PathMatchConfig, RequestMatchConfig, ValueMatchConfig,
};
use header_router::{RuleConfig, TargetConfig};

/// Where a route is attached.
pub struct At<'a> {
    /// The listener's port.
    pub port: u16,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The service that stands for the listener; empty if the port has only one.
    pub service: &'a str,
    /// The hosts there; any if empty.
    pub hosts: &'a [HostMatchConfig],
}

/// The rules of a route.
pub fn convert<'d>(converter: &mut Converter<'d>, document: &'d Document, at: &At<'_>, table: &mut Table) {
    let Some(spec) = document.root().get("spec") else { return };
    let is_grpc = document.kind == "GRPCRoute";
    for (number, of) in spec.list("rules").iter().enumerate() {
        let last = of.text_of("name").unwrap_or_else(|| number.to_string());
        let kind = if is_grpc { "grpc/" } else { "" };
        let mut made = rule(&short(&format!("{kind}{}/{}/{last}", document.namespace, document.name)));
        let mut alternatives: Vec<RequestMatchConfig> =
            of.list("matches").iter().map(|matched| conditions(converter, matched, is_grpc)).collect();
        if alternatives.is_empty() {
            let path = (!is_grpc).then(|| PathMatchConfig::Prefix("/".to_owned()));
            let grpc = is_grpc.then(GrpcMatchConfig::default);
            alternatives.push(RequestMatchConfig { path, grpc, ..RequestMatchConfig::default() });
        }
        for matched in &mut alternatives {
            matched.hosts = at.hosts.to_vec();
        }
        filters::apply(converter, document, &of.list("filters"), at, &mut made);
        let full = if at.service.is_empty() { made.name.clone() } else { format!("{}/{}", at.service, made.name) };
        if made.redirect.is_none() {
            targets(converter, document, of, at, &full, &mut made, table);
        } else {
            of.get("backendRefs").iter().for_each(Field::mark);
        }
        if made.redirect.is_some() {
            // a redirect has no upstream
            made.targets.clear();
            made.rewrite = Default::default();
            made.request_headers = Default::default();
            made.response_headers = Default::default();
            made.mirror = None;
        }
        let policy = policy(converter, of).filter(|policy| *policy != table.policy);
        if let [_] = alternatives.as_slice() {
            made.r#match = alternatives.pop();
        } else {
            made.matches = alternatives;
        }
        for rule in cors::rules(of, made) {
            if let Some(policy) = policy.as_ref().filter(|_| !rule.targets.is_empty()) {
                let service = if at.service.is_empty() { String::new() } else { format!("{}/", at.service) };
                table.policies.insert(format!("{service}{}", rule.name), policy.clone());
            }
            converter.add_rule(&mut table.router.rules, rule, Source::of(of), Some(at.service));
        }
    }
    converter.report.object(Section::Kept, document, "rules of a gateway");
}

fn conditions(converter: &mut Converter<'_>, of: &Field<'_>, is_grpc: bool) -> RequestMatchConfig {
    of.mark();
    let mut matched = RequestMatchConfig { headers: named(converter, of, "headers"), ..RequestMatchConfig::default() };
    if is_grpc {
        let method = of.get("method");
        let is_regex =
            method.as_ref().and_then(|method| method.text_of("type")).as_deref() == Some("RegularExpression");
        let value = |name: &str| {
            let text = method.as_ref()?.text_of(name)?;
            Some(if is_regex { ValueMatchConfig::Regex(text) } else { ValueMatchConfig::Exact(text) })
        };
        matched.grpc =
            Some(GrpcMatchConfig { service: value("service"), method: value("method"), metadata: Vec::new() });
        return matched;
    }
    matched.methods.extend(of.text_of("method"));
    matched.query_parameters = named(converter, of, "queryParams");
    let path = of.get("path");
    let value = path.as_ref().and_then(|path| path.text_of("value")).unwrap_or_else(|| "/".to_owned());
    matched.path = Some(match path.as_ref().and_then(|path| path.text_of("type")).as_deref() {
        Some("Exact") => PathMatchConfig::Exact(value),
        Some("RegularExpression") => PathMatchConfig::Regex(value),
        _ => PathMatchConfig::Prefix(value),
    });
    matched
}

/// Of several conditions on one name the first counts.
fn named(converter: &mut Converter<'_>, of: &Field<'_>, list: &str) -> Vec<NamedMatchConfig> {
    let mut all: Vec<NamedMatchConfig> = Vec::new();
    for item in of.list(list) {
        let name = item.text_of("name").unwrap_or_default();
        let same = |other: &NamedMatchConfig| {
            other.name == name || list == "headers" && other.name.eq_ignore_ascii_case(&name)
        };
        if all.iter().any(same) {
            let text = "a second condition on the same name does not count";
            converter.report.add(Section::Kept, &item, text);
            continue;
        }
        let value = item.text_of("value").unwrap_or_default();
        let is_regex = item.text_of("type").as_deref() == Some("RegularExpression");
        let value = if is_regex { ValueMatchConfig::Regex(value) } else { ValueMatchConfig::Exact(value) };
        all.push(parts::named(&name, Some(value)));
    }
    all
}

fn targets(
    converter: &mut Converter<'_>,
    document: &Document,
    of: &Field<'_>,
    at: &At<'_>,
    full: &str,
    made: &mut RuleConfig,
    table: &mut Table,
) {
    let is_grpc = document.kind == "GRPCRoute";
    let references = of.list("backendRefs");
    let only = references.iter().filter(|reference| reference.number_of("weight") != Some(0)).count() == 1;
    for reference in &references {
        let weight = reference.number_of("weight").and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1);
        let (cluster, status) = match backends::cluster(converter, document, reference, is_grpc) {
            Ok(cluster) => (Some(cluster), None),
            Err(why) => {
                let text = format!("{}: its share is answered with 500", why.0);
                converter.report.add(Section::NeedsADecision, reference, text);
                (None, Some(500))
            }
        };
        let mut target = TargetConfig { cluster, status, weight, host: None };
        let own = reference.list("filters");
        if weight == 0 {
            reference.get("filters").iter().for_each(Field::mark);
            made.targets.push(target);
            continue;
        }
        // what is done for the only backend that gets anything is done for the rule
        if only {
            filters::apply(converter, document, &own, at, made);
            made.targets.push(target);
            continue;
        }
        for filter in own {
            let modifier = filter.get("requestHeaderModifier");
            let Some((modifier, cluster)) = modifier.zip(target.cluster.clone()) else {
                filter.mark();
                let kind = filter.text_of("type").unwrap_or_default();
                let rewrite = filter.get("urlRewrite").filter(|rewrite| rewrite.get("path").is_none());
                match rewrite.and_then(|rewrite| rewrite.text_of("hostname")) {
                    Some(host) => target.host = Some(host),
                    None => {
                        let text = format!("filter {kind} of one of several backends is not converted");
                        converter.report.add(Section::NotSupported, &filter, text);
                    }
                }
                continue;
            };
            filter.mark();
            let mut edits = Default::default();
            filters::edits(&modifier, &mut edits, None);
            let plain = |edits: Vec<filter_kit::header_edits::HeaderValueConfig>| {
                edits.into_iter().map(|edit| (edit.name, edit.value.replace("$$", "$"))).collect()
            };
            table.edits.push(BackendEdits {
                rule: full.to_owned(),
                cluster,
                set: plain(edits.set),
                add: plain(edits.add),
                remove: edits.remove,
            });
        }
        made.targets.push(target);
    }
    if made.targets.iter().all(|target| target.weight == 0) {
        if references.is_empty() {
            let text = "no backendRefs: requests are answered with 500";
            converter.report.add(Section::Kept, of, text);
        }
        made.targets = vec![parts::answer_of(500)];
    }
    if made.targets.iter().all(|target| target.cluster.is_none()) {
        // nothing gets there whose path could be rewritten
        made.rewrite = Default::default();
    }
}

/// `timeouts`
fn policy(converter: &mut Converter<'_>, of: &Field<'_>) -> Option<Policy> {
    let timeouts = of.get("timeouts")?;
    let mut policy = Policy::default();
    if let Some(request) = timeouts.get("request") {
        policy.timeout_ms = duration(converter, &request);
    }
    if let Some(backend) = timeouts.get("backendRequest") {
        let per_try = duration(converter, &backend);
        match policy.timeout_ms {
            None => policy.timeout_ms = per_try,
            Some(_) => policy.retry = Some(Retry { per_try_ms: per_try.filter(|ms| *ms > 0), ..Retry::default() }),
        }
    }
    Some(policy)
}

/// A duration of the Gateway API, as in `1h2m3s4ms`, in milliseconds.
fn duration(converter: &mut Converter<'_>, field: &Field<'_>) -> Option<u64> {
    let text = field.text()?;
    let (mut total, mut rest) = (0u64, text.as_str());
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at_checked(digits)?;
        let unit = if after.starts_with("ms") {
            ("ms", 1)
        } else if after.starts_with('h') {
            ("h", 3_600_000)
        } else if after.starts_with('m') {
            ("m", 60_000)
        } else {
            ("s", 1000)
        };
        let number = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit.1));
        let (Some(number), Some(after)) = (number, after.strip_prefix(unit.0)) else {
            converter.mistakes.push(field.mistake(format!("expected a duration as in 1m30s or 500ms, found {text:?}")));
            return None;
        };
        total = total.saturating_add(number);
        rest = after;
    }
    Some(total)
}
