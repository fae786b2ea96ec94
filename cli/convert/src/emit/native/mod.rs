//! A table as Envoy's own virtual hosts and routes, without the header-router.
//!
//! What cannot be said there with the same outcome is refused. Not part of the outcome: `x-sluice-route` and
//! `x-sluice-cluster` (the route's name is that of the rule), `x-envoy-original-path`, patterns for text beyond 8 KiB,
//! targets that are no path (`OPTIONS *`, `CONNECT`), and hosts that begin with a dot. A redirect to
//! the same place may spell it otherwise: with the default port of its scheme, or the host in lower case.
//!
//! `normalize_path` and `merge_slashes` are left to the listener's connection manager, which has to have them where the
//! table has.

mod action;
mod headers;
mod hosts;
mod matching;
mod rewrite;

use crate::model::Table;
use filter_kit::ConfigError;
use filter_kit::matching::{PathKind, PathMatch, PathMatchConfig, Repeated, RequestMatch, RequestMatchConfig};
use filter_kit::table::{Entry, Order, Table as Ranked};
use header_router::{Config, DefaultConfig, HeaderRouter, Mode, RuleConfig, ServiceConfig, TargetConfig};
use matching::{Match, takes_all};
use rewrite::{PathChange, constant, path_change, prefix_change};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Largest body of an answer that Envoy takes unless told otherwise.
const MAX_BODY: usize = 4096;

/// Why a table cannot be said, with the rule that it is about.
struct Reasons<'a> {
    rule: String,
    all: &'a mut Vec<String>,
}

impl Reasons<'_> {
    fn add(&mut self, why: &str) {
        let reason =
            if self.rule.is_empty() { format!("the table: {why}") } else { format!("rule {}: {why}", self.rule) };
        if !self.all.contains(&reason) {
            self.all.push(reason);
        }
    }

    fn add_if(&mut self, there: bool, why: &str) {
        if there {
            self.add(why);
        }
    }
}

/// A rule that takes requests, and what took them.
#[derive(Clone)]
struct Step<'a> {
    rule: &'a RuleConfig,
    path: Option<PathMatch>,
    /// In mode `app_mesh`: the prefix gives way to `/`, and the host to that of the service or target.
    to_root: bool,
    takes_host: bool,
}

/// One rule, or a rule and that of its service.
struct Taken<'a> {
    /// As in `x-sluice-route`.
    name: String,
    matched: Match,
    /// The rule that decides.
    step: Step<'a>,
    /// The rule that picked its service, and the service.
    outer: Option<(Step<'a>, &'a ServiceConfig)>,
}

/// A list of rules in its order.
struct Rules<'a> {
    rules: &'a [RuleConfig],
    ranked: Ranked,
}

/// The table as Envoy's `route_config`.
///
/// # Errors
/// Every reason why it cannot be said, one for a rule and a cause.
pub fn routes(table: &Table) -> Result<Value, Vec<String>> {
    let mut config = table.router.clone();
    let app_mesh = config.mode == Mode::AppMesh;
    if app_mesh {
        config.matching.repeated_headers = Repeated::Joined;
        let services = config.services.iter_mut().flat_map(|service| &mut service.rules);
        config.rules.iter_mut().chain(services).for_each(prefixes_as_text);
    }
    let mut all = Vec::new();
    let mut reasons = Reasons { rule: String::new(), all: &mut all };
    let decodes = config.matching.decode_unreserved && !config.matching.normalize_path;
    for (there, why) in [
        (table.rate_limit.is_some(), "rate limits, which look at what the header-router has decided"),
        (config.debug.is_some(), "a debug header"),
        (config.log_fields, "fields for the access log (log_fields)"),
        (decodes, "decoded paths (decode_unreserved)"),
        (config.default == DefaultConfig::Continue, "a default that leaves requests to other routes"),
    ] {
        reasons.add_if(there, why);
    }
    let checked = HeaderRouter::new(table.router.clone());
    let hosts = checked.and_then(|_| virtual_hosts(table, &config, &mut reasons)).unwrap_or_else(|error| {
        reasons.add(&format!("it is refused: {error}"));
        Vec::new()
    });
    if !all.is_empty() {
        return Err(all);
    }
    let mut made = Map::new();
    made.insert("ignore_port_in_host_matching".to_owned(), json!(true));
    let services = config.services.iter().flat_map(|service| &service.rules);
    let bodies = config.rules.iter().chain(services).filter_map(|rule| Some(rule.direct_response.as_ref()?.body.len()));
    if let Some(most) = bodies.max().filter(|most| *most > MAX_BODY) {
        made.insert("max_direct_response_body_size_bytes".to_owned(), json!(most));
    }
    made.insert("virtual_hosts".to_owned(), json!(hosts));
    Ok(Value::Object(made))
}

fn virtual_hosts(table: &Table, config: &Config, reasons: &mut Reasons<'_>) -> Result<Vec<Value>, ConfigError> {
    let rules = Rules::new(&config.rules, config).map_err(|error| error.within("rules"))?;
    let mut services = Vec::new();
    for service in &config.services {
        let rules = Rules::new(&service.rules, config).map_err(|error| error.within(&service.name))?;
        services.push((service, rules));
    }
    let mut made = Vec::new();
    for host in hosts::distinct(rules.ranked.entries()) {
        let mut routes: Vec<Value> = Vec::new();
        let mut seen = BTreeSet::new();
        for (entry, conditions) in hosts::reachable(&host, &rules.ranked, config.matching.most_specific_host_only) {
            // a rule with several hosts may stand here more than once
            if !seen.insert((entry.rule, entry.alternative, json!(conditions).to_string())) {
                continue;
            }
            if let Some(taken) = rules.taken(entry, config, conditions, "", reasons) {
                routes.extend(outcomes(taken, &services, config, table, host.exact().as_deref(), reasons));
            }
        }
        routes.extend(match &config.default {
            DefaultConfig::Continue => None,
            DefaultConfig::Target(target) => Some(action::default_route(&target.cluster, &table.policy)),
            DefaultConfig::Status(status) => Some(action::answered("default", &Match::default(), *status)),
        });
        made.push(json!({"name": host.name(), "domains": host.domains(), "routes": routes}));
    }
    Ok(made)
}

/// The routes of a rule, or those of its service's rules for what it takes.
fn outcomes<'a>(
    taken: Taken<'a>,
    services: &'a [(&'a ServiceConfig, Rules<'a>)],
    config: &Config,
    table: &Table,
    host: Option<&str>,
    reasons: &mut Reasons<'_>,
) -> Vec<Value> {
    let Some(name) = &taken.rule().service else {
        reasons.rule.clone_from(&taken.name);
        return action::routes(&taken, table, host, reasons);
    };
    let Some((service, rules)) = services.iter().find(|(service, _)| service.name == *name) else { return Vec::new() };
    let mut made = Vec::new();
    for entry in rules.ranked.entries() {
        let Some(inner) = rules.taken(entry, config, Vec::new(), &format!("{name}/"), reasons) else { continue };
        reasons.rule.clone_from(&inner.name);
        let both = taken.then(inner, service, entry, reasons);
        made.extend(action::routes(&both, table, host, reasons));
    }
    made.push(action::answered(&taken.name, &taken.matched, service.no_rule_status));
    made
}

/// In mode `app_mesh` a prefix is text.
fn prefixes_as_text(rule: &mut RuleConfig) {
    for matched in rule.r#match.iter_mut().chain(&mut rule.matches) {
        if let Some(PathMatchConfig::Prefix(text)) = &matched.path {
            matched.path = Some(PathMatchConfig::StringPrefix(text.clone()));
        }
    }
}

impl<'a> Rules<'a> {
    fn new(rules: &'a [RuleConfig], config: &Config) -> Result<Self, ConfigError> {
        let order = config.order.unwrap_or(match config.mode {
            Mode::Plain => Order::Specificity,
            Mode::AppMesh => Order::Length,
        });
        let mut conditions = Vec::new();
        for rule in rules {
            let compiled = filter_kit::rule::alternatives(rule.r#match.clone(), rule.matches.clone(), &config.matching);
            conditions.push((rule.priority, compiled.map_err(|error| error.within(&rule.name))?));
        }
        Ok(Self { rules, ranked: Ranked::new(conditions, order, config.matching.clone())? })
    }

    /// The rule of an entry, for requests to hosts that these conditions leave.
    fn taken(
        &self,
        entry: &Entry,
        config: &Config,
        conditions: Vec<Value>,
        service: &str,
        reasons: &mut Reasons<'_>,
    ) -> Option<Taken<'a>> {
        let rule = self.rules.get(entry.rule)?;
        let name = format!("{service}{}", rule.name);
        reasons.rule.clone_from(&name);
        let everything = RequestMatchConfig::default();
        let written = rule.matches.get(entry.alternative).or(rule.r#match.as_ref()).unwrap_or(&everything);
        let mut matched = Match::new(written, &entry.matched, &config.matching, reasons);
        matched.headers.splice(0..0, conditions);
        let is_text = |matched: &RequestMatch| {
            let path = matched.path.as_ref().filter(|_| matched.grpc.is_none());
            path.is_some_and(|path| matches!(path.kind, PathKind::StringPrefix(_)))
        };
        let answers = rule.redirect.is_some() || rule.direct_response.is_some();
        let of_gateway = config.mode == Mode::AppMesh && service.is_empty() && !answers;
        let rewrites = rule.rewrite.prefix.is_some() || rule.rewrite.path.is_some() || rule.rewrite.regex.is_some();
        let own = self.ranked.entries().iter().filter(|other| other.rule == entry.rule);
        let to_root =
            of_gateway && !rule.keep_prefix && !rewrites && own.into_iter().all(|other| is_text(&other.matched));
        let takes_host = of_gateway && !rule.keep_host && rule.rewrite.host.is_none();
        let path = entry.matched.path.clone().filter(|_| entry.matched.grpc.is_none());
        let step = Step { rule, path, to_root, takes_host };
        Some(Taken { name, matched, step, outer: None })
    }
}

impl Step<'_> {
    fn changes_path(&self) -> bool {
        let rewrite = &self.rule.rewrite;
        self.to_root || rewrite.prefix.is_some() || rewrite.path.is_some() || rewrite.regex.is_some()
    }

    fn path_change(&self, reasons: &mut Reasons<'_>) -> PathChange {
        let path = self.path.as_ref();
        if self.to_root { prefix_change("", path, reasons) } else { path_change(&self.rule.rewrite, path, reasons) }
    }
}

impl<'a> Taken<'a> {
    fn rule(&self) -> &'a RuleConfig {
        self.step.rule
    }

    /// The rules in the order in which they took the request.
    fn steps(&self) -> impl DoubleEndedIterator<Item = &Step<'a>> {
        self.outer.iter().map(|(step, _)| step).chain([&self.step])
    }

    /// A rule that picks a service, and one of that service.
    fn then(&self, inner: Self, service: &'a ServiceConfig, entry: &Entry, reasons: &mut Reasons<'_>) -> Self {
        let outer = &self.step;
        let moves = outer.changes_path();
        let moves_host = outer.takes_host || outer.rule.rewrite.host.is_some();
        let inner_path = entry.matched.path.as_ref();
        let sees = |names: &[&str]| entry.matched.headers.iter().any(|header| names.contains(&header.name.as_str()));
        for (there, why) in [
            (!entry.matched.hosts.is_empty(), "a condition on the host in a service"),
            (moves && sees(&[":path"]), "a condition on a path that another rule has rewritten"),
            (moves_host && sees(&[":authority", "host"]), "a condition on a host that another rule has rewritten"),
        ] {
            reasons.add_if(there, why);
        }
        let mut matched = self.matched.clone();
        if entry.matched.grpc.is_some() || !takes_all(inner_path) {
            let free = !moves && self.matched.path.is_empty();
            reasons.add_if(!free, "a path in a service, behind a rule that matches or rewrites the path");
            matched.path = inner.matched.path;
        }
        matched.headers.extend(inner.matched.headers);
        matched.query.extend(inner.matched.query);
        Self { name: inner.name, matched, step: inner.step, outer: Some((self.step.clone(), service)) }
    }

    /// Whether the rule that picked the service rewrites the path.
    fn outer_changes_path(&self) -> bool {
        self.outer.as_ref().is_some_and(|(step, _)| step.changes_path())
    }

    fn path_change(&self, reasons: &mut Reasons<'_>) -> PathChange {
        let mut changing = self.steps().filter(|step| step.changes_path());
        let change = changing.next().map(|step| step.path_change(reasons)).unwrap_or_default();
        reasons.add_if(changing.next().is_some(), "a rewrite of a path that another rule has rewritten");
        change
    }

    /// The host that requests to a target get, if not their own.
    fn host(&self, target: &TargetConfig, reasons: &mut Reasons<'_>) -> Option<String> {
        if let Some(host) = &target.host {
            return Some(host.clone());
        }
        let step = self.steps().rev().find(|step| step.takes_host || step.rule.rewrite.host.is_some())?;
        if step.takes_host {
            let named = |service: &ServiceConfig| {
                if service.host.is_empty() { service.name.clone() } else { service.host.clone() }
            };
            return self.outer.as_ref().map(|(_, service)| named(service)).or_else(|| target.cluster.clone());
        }
        let host = constant(step.rule.rewrite.host.as_deref()?);
        reasons.add_if(host.is_none(), "a host with values of the request");
        host
    }
}
