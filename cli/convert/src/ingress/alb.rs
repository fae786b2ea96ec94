//! Rules of the AWS load balancer controller: `actions.*` and `conditions.*`, and a flat order.

use super::annotations::ALB;
use super::paths::{Kind, Path};
use super::redirects::elsewhere;
use super::tables::backend;
use crate::convert::Converter;
use crate::model::{Source, Table};
use crate::parts::target_of;
use crate::parts::{answer_of, named};
use crate::parts::{rule, short};
use crate::report::Section;
use crate::services::{self, Port};
use crate::source::{Document, Field};
use filter_kit::header_edits::HeaderValueConfig;
use filter_kit::matching::{HostMatchConfig, PathMatchConfig, RequestMatchConfig, ValueMatchConfig};
use header_router::{DirectResponseConfig, RuleConfig, TargetConfig};
use serde_json::Value;
use std::cmp::Reverse;

/// All rules, in the load balancer's order: that of the Ingress' rules, and in each exact paths, longer prefixes, then the rest.
pub fn rules<'d>(converter: &mut Converter<'d>, ingresses: &[&'d Document], mains: &[Path<'d>], table: &mut Table) {
    for ingress in ingresses {
        let Some(field) = ingress.annotation(&format!("{ALB}ssl-redirect")) else { continue };
        let port = field.text().unwrap_or_default();
        let mut made = rule(&short(&format!("{}/{}/ssl-redirect", ingress.namespace, ingress.name)));
        made.r#match = Some(RequestMatchConfig { schemes: vec!["http".to_owned()], ..RequestMatchConfig::default() });
        let location = format!("https://${{host}}:{port}${{path}}");
        for rule in elsewhere(&made, 301, &location, &format!("{location}?${{query}}")) {
            converter.add_rule(&mut table.router.rules, rule, Source::of(&field), None);
        }
    }
    let mut ordered: Vec<(usize, &Path<'d>)> = mains.iter().enumerate().collect();
    let rule_of = |path: &Path<'_>| path.place.split('.').next().and_then(|number| number.parse::<usize>().ok());
    let first: Vec<usize> = mains
        .iter()
        .map(|path| {
            let same = |other: &Path<'_>| other.ingress.id() == path.ingress.id() && rule_of(other) == rule_of(path);
            mains.iter().position(same).unwrap_or_default()
        })
        .collect();
    ordered.sort_by_key(|(number, path)| {
        let kind = match path.kind {
            Kind::Exact => (0, Reverse(0)),
            Kind::Prefix => (1, Reverse(path.path.len())),
            Kind::Specific => (2, Reverse(0)),
        };
        (first.get(*number).copied(), kind)
    });
    for (_, path) in ordered {
        let mut made = rule(&short(&format!("{}/{}/{}", path.ingress.namespace, path.ingress.name, path.place)));
        let mut matched = RequestMatchConfig { hosts: hosts(&path.host), ..RequestMatchConfig::default() };
        matched.path = Some(match path.kind {
            Kind::Exact => PathMatchConfig::Exact(path.path.clone()),
            Kind::Prefix => PathMatchConfig::Prefix(path.path.clone()),
            Kind::Specific if path.path.contains(['*', '?']) => PathMatchConfig::Regex(wildcard(&path.path)),
            Kind::Specific => PathMatchConfig::Exact(path.path.clone()),
        });
        let service = path.backend.get("service");
        let name = service.as_ref().and_then(|service| service.text_of("name")).unwrap_or_default();
        let port = service.and_then(|service| service.get("port")?.text_of("name"));
        if let Some(field) = path.ingress.annotation(&format!("{ALB}conditions.{name}")) {
            conditions(converter, &field, &mut matched);
        }
        made.r#match = Some(matched);
        let is_action = port.as_deref() == Some("use-annotation");
        match path.ingress.annotation(&format!("{ALB}actions.{name}")).filter(|_| is_action) {
            Some(field) => {
                path.backend.mark();
                for rule in action(converter, path.ingress, &field, made) {
                    converter.add_rule(&mut table.router.rules, rule, Source::of(&path.field), None);
                }
                continue;
            }
            None if is_action => {
                path.backend.mark();
                let text = format!("no annotation actions.{name}: requests are answered with 503");
                converter.report.add(Section::NeedsADecision, &path.backend, text);
                made.targets = vec![answer_of(503)];
            }
            None => made.targets = vec![backend(converter, path.ingress, &path.backend)],
        }
        converter.add_rule(&mut table.router.rules, made, Source::of(&path.field), None);
    }
}

/// The action that a default backend names, if it names one.
pub fn default_action(
    converter: &mut Converter<'_>,
    ingress: &Document,
    default: &Field<'_>,
    made: &mut RuleConfig,
) -> bool {
    let service = default.get("service");
    let name = service.as_ref().and_then(|service| service.text_of("name")).unwrap_or_default();
    if service.and_then(|service| service.get("port")?.text_of("name")).as_deref() != Some("use-annotation") {
        return false;
    }
    default.mark();
    let Some(field) = ingress.annotation(&format!("{ALB}actions.{name}")) else { return false };
    if let Some(found) = action(converter, ingress, &field, made.clone()).pop() {
        *made = found;
    }
    true
}

/// A wildcard takes any number of labels.
fn hosts(host: &str) -> Vec<HostMatchConfig> {
    match host {
        "" => Vec::new(),
        wild if wild.starts_with("*.") => vec![HostMatchConfig::Wildcard(wild.to_owned())],
        exact => vec![HostMatchConfig::Exact(exact.to_owned())],
    }
}

/// `*` and `?` as a pattern.
fn wildcard(text: &str) -> String {
    let one = |c: char| match c {
        '*' => ".*".to_owned(),
        '?' => ".".to_owned(),
        other => regex_syntax::escape(&other.to_string()),
    };
    text.chars().map(one).collect()
}

fn parse(converter: &mut Converter<'_>, field: &Field<'_>) -> Option<Value> {
    match serde_json::from_str(&field.text()?) {
        Ok(value) => Some(value),
        Err(error) => {
            converter.mistakes.push(field.mistake(format!("expected JSON: {error}")));
            None
        }
    }
}

/// A field of JSON in either spelling.
fn get<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let mut upper = name.to_owned();
    if let Some(first) = upper.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    value.get(name).or_else(|| value.get(&upper))
}

fn text(value: &Value, name: &str) -> Option<String> {
    match get(value, name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The rules of an action.
fn action(
    converter: &mut Converter<'_>,
    ingress: &Document,
    field: &Field<'_>,
    mut made: RuleConfig,
) -> Vec<RuleConfig> {
    let Some(action) = parse(converter, field) else { return Vec::new() };
    let kind = text(&action, "type").unwrap_or_default().to_ascii_lowercase();
    if let ("redirect", Some(config)) = (kind.as_str(), get(&action, "redirectConfig")) {
        let given = |name: &str, otherwise: &str| {
            text(config, name).filter(|text| !text.is_empty()).unwrap_or_else(|| otherwise.to_owned())
        };
        let template = |text: String| {
            let text = text.replace('$', "$$").replace("/#{path}", "${path}").replace("#{path}", "${path}");
            let text = text.replace("#{host}", "${host}").replace("#{query}", "${query}");
            text.replace("#{protocol}", "${scheme}")
        };
        let protocol = match given("protocol", "#{protocol}").to_ascii_lowercase() {
            same if same == "#{protocol}" => "${scheme}".to_owned(),
            other => other,
        };
        let port = match given("port", "#{port}").as_str() {
            "#{port}" => String::new(),
            port => format!(":{port}"),
        };
        let (host, path) = (template(given("host", "#{host}")), template(given("path", "/#{path}")));
        // an empty query is one that is asked for
        let query = text(config, "query").unwrap_or_else(|| "#{query}".to_owned());
        let without = query.replace("#{query}", "");
        let without = without.trim_end_matches('&').to_owned();
        let joined = |query: String| if query.is_empty() { String::new() } else { format!("?{query}") };
        let status = given("statusCode", "HTTP_301").trim_start_matches("HTTP_").parse().unwrap_or(301);
        let location = |query: String| format!("{protocol}://{host}{port}{path}{}", joined(query));
        return elsewhere(&made, status, &location(template(without)), &location(template(query)));
    }
    if let ("fixed-response", Some(config)) = (kind.as_str(), get(&action, "fixedResponseConfig")) {
        let content = text(config, "contentType").unwrap_or_else(|| "text/plain".to_owned());
        made.direct_response = Some(DirectResponseConfig {
            status: text(config, "statusCode").and_then(|code| code.parse().ok()).unwrap_or(503),
            headers: vec![HeaderValueConfig {
                name: "content-type".to_owned(),
                value: crate::parts::literal(&content),
            }],
            body: text(config, "messageBody").unwrap_or_default(),
        });
        return vec![made];
    }
    let groups = get(&action, "forwardConfig").and_then(|config| get(config, "targetGroups")?.as_array().cloned());
    for group in groups.unwrap_or_default() {
        let weight =
            get(&group, "weight").and_then(Value::as_u64).and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1);
        let Some(service) = text(&group, "serviceName") else {
            let text = "a target group by ARN: its servers are not in the manifests; its share is answered with 503";
            converter.report.add(Section::NeedsADecision, field, text);
            made.targets.push(TargetConfig { weight, ..answer_of(503) });
            continue;
        };
        let port = match text(&group, "servicePort").map(|port| (port.parse(), port)) {
            Some((Ok(number), _)) => Port::Number(number),
            Some((Err(_), name)) => Port::Name(name),
            None => Port::Only,
        };
        match services::cluster(converter, &ingress.namespace, &service, &port, false, field) {
            Ok(cluster) => made.targets.push(TargetConfig { weight, ..target_of(cluster) }),
            Err(why) => {
                converter.report.add(
                    Section::NeedsADecision,
                    field,
                    format!("{}: its share is answered with 503", why.0),
                );
                made.targets.push(TargetConfig { weight, ..answer_of(503) });
            }
        }
    }
    if made.targets.iter().all(|target| target.weight == 0) {
        let text = format!("action of type {kind:?} has no target: requests are answered with 503");
        converter.report.add(Section::NeedsADecision, field, text);
        made.targets = vec![answer_of(503)];
    }
    vec![made]
}

fn conditions(converter: &mut Converter<'_>, field: &Field<'_>, matched: &mut RequestMatchConfig) {
    let Some(all) = parse(converter, field) else { return };
    for condition in all.as_array().into_iter().flatten() {
        let kind = text(condition, "field").unwrap_or_default();
        let config = |name: &str| get(condition, name).cloned().unwrap_or_default();
        let values = |config: &Value| -> Vec<String> {
            let all = get(config, "values").and_then(Value::as_array).cloned().unwrap_or_default();
            all.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        let pattern = |values: &[String]| values.iter().map(|value| wildcard(value)).collect::<Vec<_>>().join("|");
        match kind.as_str() {
            // one condition with the host of the rule
            "host-header" => {
                for host in values(&config("hostHeaderConfig")) {
                    let bare = host.strip_prefix("*.").unwrap_or(&host);
                    if bare.contains(['*', '?']) {
                        let text = format!("a host with wildcards inside, {host}, is not converted");
                        converter.report.add(Section::NotSupported, field, text);
                    } else {
                        matched.hosts.extend(hosts(&host.to_ascii_lowercase()));
                    }
                }
            }
            // one condition with the path of the rule
            "path-pattern" => {
                let own = match &matched.path {
                    Some(PathMatchConfig::Exact(path)) => regex_syntax::escape(path),
                    Some(PathMatchConfig::Prefix(path)) => {
                        format!("{}(?:/.*)?", regex_syntax::escape(path.trim_end_matches('/')))
                    }
                    Some(PathMatchConfig::Regex(pattern)) => pattern.clone(),
                    _ => String::new(),
                };
                let all = pattern(&values(&config("pathPatternConfig")));
                matched.path = Some(PathMatchConfig::Regex(format!("{own}|{all}")));
            }
            "http-header" => {
                let config = config("httpHeaderConfig");
                let name = text(&config, "httpHeaderName").unwrap_or_default();
                let value = ValueMatchConfig::Regex(format!("(?i)(?:{})", pattern(&values(&config))));
                matched.headers.push(named(&name, Some(value)));
            }
            "http-request-method" => matched.methods.extend(values(&config("httpRequestMethodConfig"))),
            "source-ip" => {
                let blocks = values(&config("sourceIPConfig")).into_iter().chain(values(&config("sourceIpConfig")));
                matched.source_addresses.extend(blocks);
            }
            // keys and values without case, of any of several parameters of one name
            "query-string" => {
                let config = config("queryStringConfig");
                let wanted = get(&config, "values").and_then(Value::as_array).cloned().unwrap_or_default();
                let one = |value: &Value| {
                    let inside = |text: String| wildcard(&text).replace(".*", "[^&]*");
                    let value_pattern = inside(text(value, "value").unwrap_or_default());
                    match text(value, "key").filter(|key| !key.is_empty()) {
                        Some(key) => format!("{}={value_pattern}", inside(key)),
                        None => format!("(?:[^&=]*=)?{value_pattern}"),
                    }
                };
                let any = wanted.iter().map(one).collect::<Vec<_>>().join("|");
                let value = ValueMatchConfig::Regex(format!("(?i)[^?]*\\?(?:.*&)?(?:{any})(?:&.*)?"));
                matched.headers.push(named(":path", Some(value)));
            }
            other => {
                converter.report.add(
                    Section::NotSupported,
                    field,
                    format!("a condition on {other:?} is not converted"),
                );
            }
        }
    }
}
