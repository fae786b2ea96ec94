//! Scenarios that pin each rule and its neighbours, as `sluice test` runs them.

use super::bootstrap::{Place, router_config};
use super::sample::{Sample, neighbours, sample};
use crate::model::Table;
use filter_kit::explain::Detail;
use filter_kit::{FixedEnv, Head};
use header_router::{Explanation, HeaderRouter, RuleConfig};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// More rules than this get one request each, without neighbours.
const MANY: usize = 500;

/// What requests to a table are expected to do.
#[derive(Debug)]
pub struct Scenarios {
    /// A scenario file.
    pub file: Value,
    /// Rules that no request was found for, and why.
    pub unpinned: Vec<(String, &'static str)>,
}

/// The scenarios of a table; an error if the header-router refuses it as a whole.
///
/// # Errors
/// What the header-router says.
pub fn scenarios(name: &str, table: &Table, place: &Place) -> Result<Scenarios, String> {
    let config = router_config(table, place);
    let text = serde_json::to_vec(&config).map_err(|error| error.to_string())?;
    let router = <HeaderRouter as filter_kit::Filter>::from_config(&text).map_err(|error| error.to_string())?;
    let parsed: header_router::Config = filter_kit::config::parse(&text).map_err(|error| error.to_string())?;
    let total = parsed.rules.len() + parsed.services.iter().map(|service| service.rules.len()).sum::<usize>();
    let (mut cases, mut unpinned, mut reached) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut names = BTreeSet::new();
    let mut pin =
        |rule: &RuleConfig, full: &str, prefix: Option<&RuleConfig>, unpinned: &mut Vec<(String, &'static str)>| {
            let alternatives: Vec<_> = match (&rule.r#match, rule.matches.as_slice()) {
                (Some(one), []) => vec![one.clone()],
                (_, []) => vec![Default::default()],
                (_, several) => several.to_vec(),
            };
            for (number, matched) in alternatives.iter().enumerate() {
                let Some(mut request) = sample(matched) else {
                    unpinned.push((full.to_owned(), "no request was found that its patterns take"));
                    continue;
                };
                if let Some(outer) = prefix {
                    match through(outer, &request) {
                        Some(outer) => request = outer,
                        None => continue,
                    }
                }
                let mut all = vec![request.clone()];
                if total <= MANY && prefix.is_none() {
                    all.extend(neighbours(matched, &request));
                }
                for (place, request) in all.into_iter().enumerate() {
                    let told = ask(&router, &request);
                    let service = rule.service.as_ref().map(|service| format!("{service}/"));
                    let took = told.rule.as_deref().is_some_and(|found| {
                        found == full || service.as_ref().is_some_and(|service| found.starts_with(service.as_str()))
                    });
                    if took {
                        reached.insert(full.to_owned());
                    } else if place == 0 && told.rule.is_some() {
                        unpinned.push((
                            full.to_owned(),
                            "the request that was found for it goes to another rule, which comes first",
                        ));
                    }
                    let alternative = if alternatives.len() > 1 { format!(", match {number}") } else { String::new() };
                    let name = format!("{full}{alternative}: {}", request.what);
                    // a split that may end in an answer pins nothing
                    let may_end = told
                        .split
                        .iter()
                        .any(|share| share.share > 0 && share.share < 10_000 && share.target.parse::<u16>().is_ok());
                    if !may_end && names.insert(name.clone()) {
                        cases.push(case(&name, &request, &told));
                    }
                }
            }
        };
    for rule in &parsed.rules {
        pin(rule, &rule.name, None, &mut unpinned);
    }
    for service in &parsed.services {
        let outer = parsed.rules.iter().find(|rule| rule.service.as_deref() == Some(&service.name));
        for rule in &service.rules {
            if let Some(outer) = outer {
                pin(rule, &format!("{}/{}", service.name, rule.name), Some(outer), &mut unpinned);
            }
        }
    }
    unpinned.retain(|(rule, _)| !reached.contains(rule));
    unpinned.sort();
    unpinned.dedup();
    let mut clusters: Vec<String> =
        header_router::clusters(&parsed).into_iter().map(|(_, cluster)| cluster.to_owned()).collect();
    clusters.sort();
    clusters.dedup();
    if clusters.is_empty() {
        clusters.push("none-of-them".to_owned());
    }
    let file = json!({
        "name": name, "clusters": clusters, "filters": [{"filter": "header-router", "config": config}], "cases": cases,
    });
    Ok(Scenarios { file, unpinned })
}

/// A request of a service's rule as the rule before it has to see it.
fn through(outer: &RuleConfig, inner: &Sample) -> Option<Sample> {
    let matched = outer.r#match.clone().or_else(|| outer.matches.first().cloned()).unwrap_or_default();
    let mut made = sample(&matched)?;
    made.headers.extend(inner.headers.clone());
    if inner.method != "GET" || matched.methods.is_empty() {
        made.method.clone_from(&inner.method);
    }
    made.port = made.port.or(inner.port);
    let prefix = match &matched.path {
        Some(
            filter_kit::matching::PathMatchConfig::StringPrefix(prefix)
            | filter_kit::matching::PathMatchConfig::Prefix(prefix),
        ) => prefix,
        None => {
            made.path.clone_from(&inner.path);
            return Some(made);
        }
        _ => return Some(made),
    };
    if outer.rewrite.prefix.as_deref() == Some("/") {
        made.path = format!("{}{}", prefix.trim_end_matches('/'), inner.path);
    } else if inner.path.starts_with(prefix.as_str()) {
        made.path.clone_from(&inner.path);
    }
    Some(made)
}

fn ask(router: &HeaderRouter, request: &Sample) -> Explanation {
    let scheme =
        request.headers.iter().find(|(name, _)| name == "x-forwarded-proto").map_or("http", |(_, value)| value);
    let pseudo = [
        (":method", request.method.as_str()),
        (":scheme", scheme),
        (":authority", request.host.as_str()),
        (":path", request.path.as_str()),
    ];
    let fields = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let head =
        Head::from_fields(pseudo.into_iter().chain(fields).map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let mut env = FixedEnv::new(0);
    if let Some(port) = request.port {
        env = env.with_destination_port(port);
    }
    if let Some(source) = request.source {
        env = env.with_source_address(source);
    }
    router.explain(&head, None, &env, Detail::Outcome)
}

fn case(name: &str, request: &Sample, told: &Explanation) -> Value {
    let mut asked = Map::new();
    asked.insert("path".to_owned(), json!(request.path));
    if request.method != "GET" {
        asked.insert("method".to_owned(), json!(request.method));
    }
    if request.host != super::sample::HOST {
        asked.insert("authority".to_owned(), json!(request.host));
    }
    if !request.headers.is_empty() {
        let lines: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        asked.insert("headers".to_owned(), json!(lines));
    }
    if let Some(port) = request.port {
        asked.insert("port".to_owned(), json!(port));
    }
    if let Some(source) = request.source {
        asked.insert("source".to_owned(), json!(source.to_string()));
    }
    let (mut upstream, mut client) = (Map::new(), Map::new());
    let is_grpc = request.headers.iter().any(|(name, _)| name == "content-type");
    match told.outcome {
        "routed" => {
            let drawn: Vec<_> = told.split.iter().filter(|share| share.share > 0).map(|share| &share.target).collect();
            if drawn.len() > 1 {
                upstream.insert("any_of".to_owned(), json!(drawn));
            } else if let Some(target) = &told.target {
                upstream.insert("cluster".to_owned(), json!(target));
            }
            upstream.insert("path".to_owned(), json!(told.path.as_ref().unwrap_or(&request.path)));
            if drawn.len() < 2 {
                upstream.insert("authority".to_owned(), json!(told.host.as_ref().unwrap_or(&request.host)));
            }
            if let Some(rule) = &told.rule {
                upstream.insert("headers".to_owned(), json!([format!("x-sluice-route: {rule}")]));
            }
        }
        _ => {
            upstream.insert("cluster".to_owned(), json!("none"));
            // gRPC clients get their status in another place
            if let Some(status) = told.status.filter(|_| !is_grpc) {
                client.insert("status".to_owned(), json!(status));
            }
            if let Some(location) = &told.location {
                client.insert("headers".to_owned(), json!([format!("location: {location}")]));
            }
        }
    }
    let mut made = Map::new();
    made.insert("name".to_owned(), json!(name));
    made.insert("request".to_owned(), Value::Object(asked));
    for (key, value) in [("upstream", upstream), ("client", client)] {
        if !value.is_empty() {
            made.insert(key.to_owned(), Value::Object(value));
        }
    }
    Value::Object(made)
}
