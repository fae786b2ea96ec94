//! Rewrites path prefixes, whole paths and hosts; the query is never touched.
//!
//! For those who route in Envoy itself. Placed before Envoy's router it changes what Envoy's route table sees; as an upstream
//! HTTP filter of a cluster it rewrites behind the decision. `header-router` decides first and rewrites after.

use filter_kit::matching::{MatchingConfig, Request, RequestMatch, RequestMatchConfig, World};
use filter_kit::rewrite::{Rewrite, RewriteConfig, Rewritten, rewrite};
use filter_kit::rule::{Named, lowest_priority};
use filter_kit::table::{Entry, Found, Order, Table};
use filter_kit::{
    Body, ConfigError, CounterId, Env, Filter, Flow, Head, InvalidHeader, MetricTable, Reply, Stream, config, rule,
};
use serde::Deserialize;
use std::borrow::Cow;
use std::rc::Rc;

mod explain;
mod lint;

pub use explain::Explanation;
pub use lint::lint;

/// Configuration of the prefix-rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// How rules of one priority are ordered.
    #[serde(default)]
    pub order: Order,
    /// How requests are looked at.
    #[serde(default)]
    pub matching: MatchingConfig,
    /// Up to 10,000 rules. The first in the order that takes a request rewrites it. A request that none takes goes on as
    /// it is.
    #[cfg_attr(feature = "schema", schemars(length(max = 10_000)))]
    pub rules: Vec<RuleConfig>,
    /// Largest body in bytes that is waited for where rules look at it; a longer one is answered with 413.
    #[serde(default = "default_max_body_bytes")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 16_777_216)))]
    pub max_body_bytes: usize,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct RuleConfig {
    /// Unique name of up to 128 letters, digits and `-_.:/`; a metric label.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_.:/-]+$")))]
    pub name: String,
    /// 0 to 1000, lower first.
    #[serde(default = "lowest_priority")]
    #[cfg_attr(feature = "schema", schemars(range(max = 1000)))]
    pub priority: u16,
    /// Conditions; without any, the rule takes every request.
    pub r#match: Option<RequestMatchConfig>,
    /// In place of `match`: up to 64 alternatives of which one suffices. Each has its own place in the order.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub matches: Vec<RequestMatchConfig>,
    /// What becomes of path and host.
    pub rewrite: RewriteConfig,
}

fn default_max_body_bytes() -> usize {
    64 * 1024
}

impl Named for RuleConfig {
    fn name(&self) -> &str {
        &self.name
    }

    fn priority(&self) -> u16 {
        self.priority
    }
}

/// A configured prefix-rewrite.
#[derive(Debug, Clone)]
pub struct PrefixRewrite {
    compiled: Rc<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    table: Table,
    rules: Vec<Rule>,
    max_body_bytes: usize,
    internal_errors: CounterId,
    metrics: MetricTable,
}

#[derive(Debug)]
struct Rule {
    name: String,
    rewrite: Rewrite,
    paths: CounterId,
    hosts: CounterId,
}

const METRIC_PREFIX: &str = "sluice_rewrite";

impl PrefixRewrite {
    /// Checks and compiles a configuration.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let mut metrics = MetricTable::default();
        let Config { order, matching, rules, max_body_bytes } = config;
        rule::check_body_limit(max_body_bytes)?;
        let compiled = rule::compile(rules, |rule| Rule::new(rule, &matching, &mut metrics))?;
        let (mut rules, mut conditions) = (Vec::new(), Vec::new());
        for (priority, (rule, alternatives)) in compiled {
            rules.push(rule);
            conditions.push((priority, alternatives));
        }
        let table = Table::new(conditions, order, matching).map_err(|error| error.within("rules"))?;
        let labels = [("filter", "prefix-rewrite"), ("where", "rewrite")];
        let internal_errors = metrics.counter("sluice", &labels, "internal_errors_total");
        metrics.check()?;
        Ok(Self { compiled: Rc::new(Compiled { table, rules, max_body_bytes, internal_errors, metrics }) })
    }
}

impl Rule {
    fn new(
        config: RuleConfig,
        matching: &MatchingConfig,
        metrics: &mut MetricTable,
    ) -> Result<(Self, Vec<RequestMatch>), ConfigError> {
        let alternatives = rule::alternatives(config.r#match, config.matches, matching)?;
        let rewrite = Rewrite::new(config.rewrite, &alternatives).map_err(|error| error.within("rewrite"))?;
        if rewrite.is_empty() {
            let why = "expected \"prefix\", \"path\", \"regex\" or \"host\", found none of them";
            return Err(ConfigError::new("rewrite", why));
        }
        let mut count = |kind| metrics.counter(METRIC_PREFIX, &[("rule", &config.name), ("kind", kind)], "total");
        let (paths, hosts) = (count("path"), count("host"));
        Ok((Self { name: config.name, rewrite, paths, hosts }, alternatives))
    }
}

impl Filter for PrefixRewrite {
    type Stream = PrefixRewriteStream;

    const NAME: &'static str = "prefix-rewrite";

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(config::parse(json)?)
    }

    fn metrics(&self) -> &MetricTable {
        &self.compiled.metrics
    }

    fn holds(&self) -> bool {
        self.compiled.table.wants_body()
    }

    fn stream(&self) -> PrefixRewriteStream {
        PrefixRewriteStream { compiled: Rc::clone(&self.compiled) }
    }
}

/// One exchange.
#[derive(Debug)]
pub struct PrefixRewriteStream {
    compiled: Rc<Compiled>,
}

impl Stream for PrefixRewriteStream {
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        let body = (self.compiled.table.wants_body() && head.is_upgrade()).then_some(&[][..]);
        self.compiled.act(head, body, env)
    }

    fn on_held_request(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        self.compiled.act(head, Some(body.bytes()), env)
    }

    fn lasts(&self) -> bool {
        false
    }
}

impl Compiled {
    fn act(&self, head: &mut Head, body: Option<&[u8]>, env: &dyn Env) -> Flow {
        let world = World::new(env, body);
        let target = self.table.options().path_form().apply(head.path());
        let request = Request::new(head, &target, self.table.options(), &world);
        let (rule, rewritten) = match self.table.find(&request) {
            Found::NeedsBody => return Flow::Hold { limit: self.max_body_bytes },
            Found::Nothing => (None, Ok(Rewritten::default())),
            // an upstream filter has rewritten the head in the first attempt
            Found::Entry(_) if env.upstream_attempt().is_some_and(|attempt| attempt > 1) => return Flow::Continue,
            Found::Entry(entry) => self.rewritten(entry, &request),
        };
        let changed = match target {
            Cow::Owned(normalized) => Some(normalized),
            Cow::Borrowed(_) => None,
        };
        let written = rewritten.and_then(|rewritten| {
            if let Some(normalized) = &changed {
                head.set(":path", normalized)?;
            }
            rewritten.write(head).map(|()| rewritten)
        });
        match written {
            Ok(done) => {
                if let Some(rule) = rule {
                    env.count(rule.paths, done.target.is_some().into());
                    env.count(rule.hosts, done.authority.is_some().into());
                }
                Flow::Continue
            }
            // the client's path holds what must not be written again, and must not go on unrewritten either
            Err(_) => {
                env.count(self.internal_errors, 1);
                Flow::Reply(Reply::status(400, "sluice_rewrite_invalid_path"))
            }
        }
    }

    fn rewritten(&self, entry: &Entry, request: &Request<'_>) -> (Option<&Rule>, Result<Rewritten, InvalidHeader>) {
        match self.rules.get(entry.rule) {
            None => (None, Ok(Rewritten::default())),
            Some(rule) => (Some(rule), rewrite(&rule.rewrite, &rule.name, &entry.matched, request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_kit::FixedEnv;

    #[test]
    fn the_lowest_priority_number_that_matches_rewrites() {
        let filter = PrefixRewrite::from_config(
            br#"{"rules": [
                {"name": "rest", "match": {"path": {"prefix": "/api"}}, "rewrite": {"prefix": "/rest"}},
                {"name": "v1", "priority": 1, "match": {"path": {"prefix": "/api/v1"}},
                 "rewrite": {"prefix": "/", "host": "one"}}
            ]}"#,
        )
        .unwrap();
        let env = FixedEnv::default();
        for (path, expected, host) in [
            ("/api/v1/users?next=/api/v1", "/users?next=/api/v1", "one"),
            ("/api/v10/users", "/rest/v10/users", "h"),
            ("/other?/api", "/other?/api", "h"),
        ] {
            let mut head = Head::from_fields([(":path", path), (":authority", "h")]);
            assert_eq!(filter.stream().on_request_head(&mut head, &env), Flow::Continue);
            assert_eq!((head.path(), head.authority()), (expected.as_bytes(), host.as_bytes()));
        }
        let names = (0u32..).zip(filter.metrics().names());
        let counted: Vec<_> = names.map(|(id, name)| format!("{name} {}", env.counted(CounterId(id)))).collect();
        assert_eq!(
            counted,
            [
                "sluice_rewrite.rule.rest.kind.path.total 1",
                "sluice_rewrite.rule.rest.kind.host.total 0",
                "sluice_rewrite.rule.v1.kind.path.total 1",
                "sluice_rewrite.rule.v1.kind.host.total 1",
                "sluice.filter.prefix-rewrite.where.rewrite.internal_errors_total 0",
            ]
        );
    }

    #[test]
    fn a_second_attempt_of_an_upstream_filter_is_not_rewritten_again() {
        let json = br#"{"rules": [{"name": "a", "match": {"path": {"prefix": "/a"}}, "rewrite": {"prefix": "/a/a"}}]}"#;
        let filter = PrefixRewrite::from_config(json).unwrap();
        let mut head = Head::from_fields([(":path", "/a/x")]);
        for attempt in 1..=3 {
            let env = FixedEnv::default().with_upstream_attempt(attempt);
            assert_eq!(filter.stream().on_request_head(&mut head, &env), Flow::Continue);
            assert_eq!(head.path(), b"/a/a/x");
        }
    }

    #[test]
    fn a_rule_that_rewrites_nothing_is_refused() {
        let error = PrefixRewrite::from_config(br#"{"rules": [{"name": "a", "rewrite": {}}]}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rules[0].rewrite: expected \"prefix\", \"path\", \"regex\" or \"host\", found none of them"
        );
    }
}
