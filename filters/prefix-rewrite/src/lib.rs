//! Rewrites path prefixes, whole paths and hosts; the query is never touched.
//!
//! For those who route in Envoy itself. Placed before Envoy's router it changes what Envoy's route table sees;
//! `header-router` decides first and rewrites after.

use filter_kit::matching::{Request, RequestMatch, RequestMatchConfig};
use filter_kit::rewrite::{Rewrite, RewriteConfig};
use filter_kit::rule::{Named, lowest_priority};
use filter_kit::{ConfigError, CounterId, Env, Filter, Flow, Head, MetricTable, Reply, Stream, config, rule};
use serde::Deserialize;
use std::rc::Rc;

/// Configuration of the prefix-rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// Up to 10,000 rules. The one with the lowest priority number that matches rewrites; among equals, the first. A
    /// request that none takes goes on as it is.
    pub rules: Vec<RuleConfig>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct RuleConfig {
    /// Unique name of up to 128 letters, digits and `-_.:/`; a metric label.
    pub name: String,
    /// 0 to 1000, lower first.
    #[serde(default = "lowest_priority")]
    pub priority: u16,
    /// Conditions; without any, the rule takes every request.
    #[serde(default)]
    pub r#match: RequestMatchConfig,
    /// What becomes of path and host.
    pub rewrite: RewriteConfig,
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
    table: Rc<Table>,
}

#[derive(Debug)]
struct Table {
    /// In the order in which they are tried.
    rules: Vec<Rule>,
    internal_errors: CounterId,
    metrics: MetricTable,
}

#[derive(Debug)]
struct Rule {
    matched: RequestMatch,
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
        let rules = rule::compile(config.rules, |rule| Rule::new(rule, &mut metrics))?;
        let internal_errors = metrics.counter(METRIC_PREFIX, &[("where", "rewrite")], "internal_errors_total");
        metrics.check()?;
        Ok(Self { table: Rc::new(Table { rules, internal_errors, metrics }) })
    }
}

impl Rule {
    fn new(config: RuleConfig, metrics: &mut MetricTable) -> Result<Self, ConfigError> {
        let matched = RequestMatch::new(config.r#match).map_err(|error| error.within("match"))?;
        let rewrite = Rewrite::new(config.rewrite, &matched).map_err(|error| error.within("rewrite"))?;
        if rewrite.is_empty() {
            return Err(ConfigError::new("rewrite", "expected \"prefix\", \"path\" or \"host\", found none of them"));
        }
        let mut count = |kind| metrics.counter(METRIC_PREFIX, &[("rule", &config.name), ("kind", kind)], "total");
        Ok(Self { matched, rewrite, paths: count("path"), hosts: count("host") })
    }
}

impl Filter for PrefixRewrite {
    type Stream = PrefixRewriteStream;

    const NAME: &'static str = "prefix-rewrite";

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(config::parse(json)?)
    }

    fn metrics(&self) -> &MetricTable {
        &self.table.metrics
    }

    fn stream(&self) -> PrefixRewriteStream {
        PrefixRewriteStream { table: Rc::clone(&self.table) }
    }
}

/// One exchange.
#[derive(Debug)]
pub struct PrefixRewriteStream {
    table: Rc<Table>,
}

impl Stream for PrefixRewriteStream {
    fn lasts(&self) -> bool {
        false
    }

    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        let request = Request::new(head);
        let rule = self.table.rules.iter().find(|rule| rule.matched.matches(&request));
        let Some(rule) = rule else {
            return Flow::Continue;
        };
        match rule.rewrite.apply(head, &rule.matched) {
            Ok(done) => {
                env.count(rule.paths, done.path.into());
                env.count(rule.hosts, done.host.into());
                Flow::Continue
            }
            // the client's path holds what must not be written again, and must not go on unrewritten either
            Err(_) => {
                env.count(self.table.internal_errors, 1);
                Flow::Reply(Reply::status(400, "sluice_rewrite_invalid_path"))
            }
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
                "sluice_rewrite.where.rewrite.internal_errors_total 0",
            ]
        );
    }

    #[test]
    fn a_rule_that_rewrites_nothing_is_refused() {
        let error = PrefixRewrite::from_config(br#"{"rules": [{"name": "a", "rewrite": {}}]}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rules[0].rewrite: expected \"prefix\", \"path\" or \"host\", found none of them"
        );
    }
}
