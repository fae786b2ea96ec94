//! Matches of GatewayRoutes and Routes.

use crate::convert::Converter;
use crate::report::Section;
use crate::source::{Field, Mistake};
use filter_kit::matching::{
    GrpcMatchConfig, HostMatchConfig, NamedMatchConfig, PathMatchConfig, RangeConfig, RequestMatchConfig,
    ValueMatchConfig,
};

/// What a `match` says.
///
/// Mistakes are what the admission webhook of App Mesh refuses, or should.
pub fn conditions(converter: &mut Converter<'_>, route: &Field<'_>, is_grpc: bool) -> RequestMatchConfig {
    for list in ["headers", "queryParameters", "metadata"] {
        for item in route.get("match").map(|of| of.list(list)).unwrap_or_default() {
            if let Some(present) = item.at("match.present") {
                let text = "`present` is no operator of the CRD; taken as present or absent";
                converter.report.add(Section::Changed, &present, text);
            }
        }
    }
    let mistakes = &mut converter.mistakes;
    let mut matched = RequestMatchConfig::default();
    let Some(of) = route.get("match") else { return matched };
    if let Some(host) = of.get("hostname") {
        host.mark();
        match (host.text_of("exact"), host.text_of("suffix")) {
            (Some(exact), None) => matched.hosts.push(HostMatchConfig::Exact(exact)),
            (None, Some(suffix)) => matched.hosts.push(HostMatchConfig::Suffix(suffix)),
            _ => mistakes.push(host.mistake("expected exactly one of \"exact\" and \"suffix\"")),
        }
    }
    if let Some(port) = of.get("port") {
        match port.number().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0) {
            Some(port) => matched.ports.push(port),
            None => mistakes.push(port.mistake("expected a port from 1 to 65535")),
        }
    }
    matched.methods.extend(of.text_of("method"));
    matched.schemes.extend(of.text_of("scheme"));
    if is_grpc {
        matched.grpc = Some(GrpcMatchConfig {
            service: of.text_of("serviceName").map(ValueMatchConfig::Exact),
            method: of.text_of("methodName").map(ValueMatchConfig::Exact),
            metadata: named(&of, "metadata", mistakes),
        });
        if of.get("methodName").is_some() && of.get("serviceName").is_none() {
            mistakes.push(of.mistake("expected \"serviceName\" beside \"methodName\""));
        }
        return matched;
    }
    matched.path = path(&of, mistakes);
    matched.headers = named(&of, "headers", mistakes);
    matched.query_parameters = named(&of, "queryParameters", mistakes);
    matched
}

fn path(of: &Field<'_>, mistakes: &mut Vec<Mistake>) -> Option<PathMatchConfig> {
    let prefix = of.get("prefix");
    let Some(path) = of.get("path") else {
        let prefix = prefix?;
        let text = prefix.text()?;
        if !text.starts_with('/') {
            mistakes.push(
                prefix.mistake(format!("expected a prefix that starts with \"/\", found {text:?}: no path has it")),
            );
            return None;
        }
        return Some(PathMatchConfig::StringPrefix(text));
    };
    if prefix.is_some() {
        mistakes.push(path.mistake("expected one of \"prefix\" and \"path\", found both"));
    }
    if !path.is_map() {
        return path.text().map(PathMatchConfig::Exact);
    }
    match (path.text_of("exact"), path.text_of("regex")) {
        (Some(exact), None) => Some(PathMatchConfig::Exact(exact)),
        (None, Some(regex)) => Some(PathMatchConfig::Regex(regex)),
        _ => {
            mistakes.push(path.mistake("expected exactly one of \"exact\" and \"regex\""));
            None
        }
    }
}

/// Conditions on headers, query parameters or metadata.
fn named(of: &Field<'_>, list: &str, mistakes: &mut Vec<Mistake>) -> Vec<NamedMatchConfig> {
    let mut all = Vec::new();
    for item in of.list(list) {
        let name = item.text_of("name").unwrap_or_default();
        let mut value = None;
        if let Some(operators) = item.get("match") {
            operators.mark();
            let mut found = Vec::new();
            for (operator, field) in operators.entries() {
                found.extend(match operator.as_str() {
                    "exact" => field.text().map(ValueMatchConfig::Exact),
                    "prefix" => field.text().map(ValueMatchConfig::Prefix),
                    "suffix" => field.text().map(ValueMatchConfig::Suffix),
                    "regex" => field.text().map(ValueMatchConfig::Regex),
                    "present" => Some(ValueMatchConfig::Present(operators.flag_of("present").unwrap_or(true))),
                    "range" => {
                        let (start, end) = (field.number_of("start").unwrap_or(0), field.number_of("end").unwrap_or(0));
                        if start >= end {
                            let why = format!("expected \"start\" to be less than \"end\", found {start} and {end}");
                            mistakes.push(field.mistake(why));
                        }
                        Some(ValueMatchConfig::Range(RangeConfig { start, end }))
                    }
                    _ => None,
                });
            }
            if found.len() != 1 {
                let what = if found.is_empty() { "none" } else { "several" };
                let why = format!("expected exactly one operator, found {what}; leave \"match\" out for \"present\"");
                mistakes.push(operators.mistake(why));
            }
            value = found.pop();
        }
        let invert = item.flag_of("invert").unwrap_or(false);
        all.push(NamedMatchConfig { name, r#match: value, invert, ignore_case: false, treat_missing_as_empty: false });
    }
    all
}
