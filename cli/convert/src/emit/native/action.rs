//! What a rule does, as the action of Envoy's routes.

use super::headers::HeaderOps;
use super::matching::{Match, header, regex};
use super::rewrite::{PathChange, constant, prefix_change};
use super::{Reasons, Taken};
use crate::emit::policy;
use crate::model::{BackendEdits, Policy, Table};
use filter_kit::header_edits::HeaderEditsConfig;
use header_router::{DirectResponseConfig, MirrorConfig, RedirectConfig, TargetConfig};
use serde_json::{Map, Value, json};

/// The routes of a rule for what `taken` says, in their order.
pub(super) fn routes(taken: &Taken<'_>, table: &Table, host: Option<&str>, reasons: &mut Reasons<'_>) -> Vec<Value> {
    let rule = taken.rule();
    reasons.add_if(taken.steps().any(|step| !step.rule.tags.is_empty()), "fields for the access log (tags)");
    if let Some(redirect) = &rule.redirect {
        return redirects(redirect, taken, host, reasons);
    }
    if let Some(answer) = &rule.direct_response {
        return vec![direct_response(answer, taken, reasons)];
    }
    let targets: Vec<&TargetConfig> = rule.targets.iter().filter(|target| target.weight > 0).collect();
    reasons.add_if(rule.fallback.is_some(), "a fallback");
    reasons.add_if(rule.sticky.is_some() && targets.len() > 1, "a sticky split");
    if let ([only], None) = (targets.as_slice(), &rule.fallback)
        && let Some(status) = only.status
    {
        return vec![answered(&taken.name, &taken.matched, status)];
    }
    reasons.add_if(targets.iter().any(|target| target.status.is_some()), "a share of requests that is answered");

    let mut headers = HeaderOps::default();
    for step in taken.steps() {
        headers.edit("request", &step.rule.request_headers, reasons);
        headers.edit("response", &step.rule.response_headers, reasons);
    }
    let edits: Vec<&BackendEdits> = table.edits.iter().filter(|edits| edits.rule == taken.name).collect();
    let edits_of = |target: &TargetConfig| {
        let mut found = edits.iter().filter(|edits| Some(&edits.cluster) == target.cluster.as_ref());
        found.next().copied()
    };
    let mut action = Map::new();
    let host_of = |target: &TargetConfig, reasons: &mut Reasons<'_>| taken.host(target, reasons);
    match targets.as_slice() {
        [only] => {
            action.insert("cluster".to_owned(), json!(only.cluster));
            if let Some(host) = host_of(only, reasons) {
                action.insert("host_rewrite_literal".to_owned(), json!(host));
            }
            if let Some(edits) = edits_of(only) {
                headers.backend(edits, reasons);
            }
        }
        several => {
            let mut clusters = Vec::new();
            for target in several {
                let mut made = Map::new();
                made.insert("name".to_owned(), json!(target.cluster));
                made.insert("weight".to_owned(), json!(target.weight));
                if let Some(host) = host_of(target, reasons) {
                    made.insert("host_rewrite_literal".to_owned(), json!(host));
                }
                if let Some(edits) = edits_of(target) {
                    let mut own = HeaderOps::beside(&headers);
                    own.backend(edits, reasons);
                    own.write(&mut made);
                }
                clusters.push(Value::Object(made));
            }
            action.insert("weighted_clusters".to_owned(), json!({"clusters": clusters}));
        }
    }
    if let Some(mirror) = taken.steps().rev().find_map(|step| step.rule.mirror.as_ref()) {
        action.insert("request_mirror_policies".to_owned(), json!([mirrored(mirror)]));
    }
    let policy = table.policies.get(&taken.name).unwrap_or(&table.policy);
    policy::write(policy, &mut action);
    let mut route = named(&taken.name);
    headers.write(&mut route);
    if let Some(limit) = policy.body_limit {
        route.insert("request_body_buffer_limit".to_owned(), json!(limit));
    }
    let change = taken.path_change(reasons);
    with_path(taken, &change, &taken.matched, "route", &action, &route)
}

/// The last route of each virtual host: to a cluster.
pub(super) fn default_route(cluster: &str, policy: &Policy) -> Value {
    let mut action = Map::new();
    action.insert("cluster".to_owned(), json!(cluster));
    policy::write(policy, &mut action);
    let mut made = named("default");
    made.insert("match".to_owned(), json!({"prefix": "/"}));
    made.insert("route".to_owned(), Value::Object(action));
    if let Some(limit) = policy.body_limit {
        made.insert("request_body_buffer_limit".to_owned(), json!(limit));
    }
    Value::Object(made)
}

/// A route that is only a status.
pub(super) fn answered(name: &str, matched: &Match, status: u16) -> Value {
    json!({"name": name, "match": matched.json(), "direct_response": {"status": status}})
}

fn named(name: &str) -> Map<String, Value> {
    Map::from_iter([("name".to_owned(), json!(name))])
}

/// The route, and before it those for paths that are rewritten otherwise.
fn with_path(
    taken: &Taken<'_>,
    change: &PathChange,
    matched: &Match,
    kind: &str,
    action: &Map<String, Value>,
    rest: &Map<String, Value>,
) -> Vec<Value> {
    let route = |matched: &Match, rewrite: Option<&Value>| {
        let (mut made, mut action) = (rest.clone(), action.clone());
        if let Some(rewrite) = rewrite {
            action.insert("regex_rewrite".to_owned(), rewrite.clone());
        }
        made.insert("match".to_owned(), matched.json());
        made.insert(kind.to_owned(), Value::Object(action));
        Value::Object(made)
    };
    let mut routes = Vec::new();
    if let Some(path) = &change.refused {
        routes.push(answered(&taken.name, &matched.with(header(":path", regex(path))), 400));
    }
    if let Some((path, rewrite)) = &change.alone {
        routes.push(route(&matched.with(header(":path", regex(path))), Some(rewrite)));
    }
    routes.push(route(matched, change.regex_rewrite.as_ref()));
    routes
}

fn mirrored(mirror: &MirrorConfig) -> Value {
    let mut made = Map::from_iter([("cluster".to_owned(), json!(mirror.cluster))]);
    if mirror.share < 10_000 {
        let share = json!({"default_value": {"numerator": mirror.share, "denominator": "TEN_THOUSAND"}});
        made.insert("runtime_fraction".to_owned(), share);
    }
    Value::Object(made)
}

fn direct_response(answer: &DirectResponseConfig, taken: &Taken<'_>, reasons: &mut Reasons<'_>) -> Value {
    let mut made = named(&taken.name);
    made.insert("match".to_owned(), taken.matched.json());
    let mut action = Map::from_iter([("status".to_owned(), json!(answer.status))]);
    if !answer.body.is_empty() {
        action.insert("body".to_owned(), json!({"inline_string": answer.body}));
    }
    made.insert("direct_response".to_owned(), Value::Object(action));
    let (kind, others) =
        answer.headers.iter().cloned().partition(|header| header.name.eq_ignore_ascii_case("content-type"));
    let mut headers = HeaderOps::default();
    headers.edit("response", &HeaderEditsConfig { set: kind, add: others, remove: Vec::new() }, reasons);
    headers.write(&mut made);
    Value::Object(made)
}

fn redirects(
    redirect: &RedirectConfig,
    taken: &Taken<'_>,
    exact_host: Option<&str>,
    reasons: &mut Reasons<'_>,
) -> Vec<Value> {
    let mut action = Map::new();
    let code = match redirect.status {
        301 => "MOVED_PERMANENTLY",
        303 => "SEE_OTHER",
        307 => "TEMPORARY_REDIRECT",
        308 => "PERMANENT_REDIRECT",
        _ => "FOUND",
    };
    action.insert("response_code".to_owned(), json!(code));
    match redirect.scheme.as_deref() {
        Some("https") => action.insert("https_redirect".to_owned(), json!(true)),
        Some(scheme) => action.insert("scheme_redirect".to_owned(), json!(scheme)),
        None => None,
    };
    let mut put = |name: &str, value: &Option<String>| match value.as_deref().map(constant) {
        None => {}
        Some(Some(value)) => drop(action.insert(name.to_owned(), json!(value))),
        Some(None) => reasons.add("a redirect with values of the request"),
    };
    put("host_redirect", &redirect.host);
    put("path_redirect", &redirect.path);
    if redirect.strip_query {
        action.insert("strip_query".to_owned(), json!(true));
    }
    let default = match redirect.scheme.as_deref() {
        Some("https") => Some(443),
        Some(_) => Some(80),
        None => None,
    };
    let port = redirect.port.filter(|port| Some(*port) != default);
    let ambiguous = default.is_none() && matches!(port, Some(80 | 443));
    reasons.add_if(ambiguous, "a redirect to a port that is the default of one scheme");
    if let Some(port) = port {
        action.insert("port_redirect".to_owned(), json!(port));
    }
    let change = match &redirect.prefix {
        Some(prefix) => {
            reasons.add_if(taken.outer_changes_path(), "a redirect of a path that another rule has rewritten");
            prefix_change(prefix, taken.step.path.as_ref(), reasons)
        }
        None => PathChange::default(),
    };
    let rest = named(&taken.name);
    let mut routes = Vec::new();
    if let (Some(default), None, None) = (default, &redirect.host, port) {
        // Envoy keeps the port that the client named, which belongs to the old scheme
        let mut other = action.clone();
        match exact_host {
            Some(host) => other.insert("host_redirect".to_owned(), json!(host)),
            None => other.insert("port_redirect".to_owned(), json!(default)),
        };
        let matched = taken.matched.with(header(":authority", regex(r".+:[0-9]+")));
        routes.extend(with_path(taken, &change, &matched, "redirect", &other, &rest));
    }
    routes.extend(with_path(taken, &change, &taken.matched, "redirect", &action, &rest));
    routes
}
