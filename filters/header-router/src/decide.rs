//! The decision.

use crate::config::{Config, DefaultConfig, RuleConfig};
use crate::target::{Targets, checked_cluster};
use crate::{CLUSTER_HEADER, ROUTE_HEADER};
use filter_kit::matching::{Request, RequestMatch};
use filter_kit::rewrite::Rewrite;
use filter_kit::{ConfigError, CounterId, Env, Filter, Flow, Head, MetricTable, Reply, Stream, config, rule};
use std::rc::Rc;

/// A configured header-router.
#[derive(Debug, Clone)]
pub struct HeaderRouter {
    table: Rc<Table>,
}

#[derive(Debug)]
struct Table {
    /// In the order in which they are tried.
    rules: Vec<Rule>,
    default: Default,
    default_count: CounterId,
    internal_errors: CounterId,
    metrics: MetricTable,
}

#[derive(Debug)]
struct Rule {
    name: String,
    matched: RequestMatch,
    targets: Targets,
    /// One for each target.
    counts: Vec<CounterId>,
    rewrite: Rewrite,
}

#[derive(Debug)]
enum Default {
    Continue,
    Cluster(String),
    Status(u16),
}

const METRIC_PREFIX: &str = "sluice_router";

impl HeaderRouter {
    /// Checks and compiles a configuration.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let mut metrics = MetricTable::default();
        let rules = rule::compile(config.rules, |rule| Rule::new(rule, &mut metrics))?;
        let (default, target, outcome) = match config.default {
            DefaultConfig::Continue => (Default::Continue, String::new(), "default"),
            DefaultConfig::Target(target) => {
                let cluster =
                    checked_cluster(target.cluster).map_err(|error| error.within("default.target.cluster"))?;
                (Default::Cluster(cluster.clone()), cluster, "default")
            }
            DefaultConfig::Status(status) if (400..=599).contains(&status) => {
                (Default::Status(status), String::new(), "rejected")
            }
            DefaultConfig::Status(status) => {
                let why = format!("expected a status from 400 to 599, found {status}");
                return Err(ConfigError::new("default.status", why));
            }
        };
        let default_count = count(&mut metrics, "", &target, outcome);
        let internal_errors = metrics.counter(METRIC_PREFIX, &[("where", "rewrite")], "internal_errors_total");
        metrics.check()?;
        Ok(Self { table: Rc::new(Table { rules, default, default_count, internal_errors, metrics }) })
    }
}

impl Rule {
    fn new(config: RuleConfig, metrics: &mut MetricTable) -> Result<Self, ConfigError> {
        let matched = RequestMatch::new(config.r#match).map_err(|error| error.within("match"))?;
        let targets = Targets::new(config.targets).map_err(|error| error.within("targets"))?;
        let rewrite = Rewrite::new(config.rewrite, &matched).map_err(|error| error.within("rewrite"))?;
        let counts = targets.clusters.iter().map(|cluster| count(metrics, &config.name, cluster, "matched")).collect();
        Ok(Self { name: config.name, matched, targets, counts, rewrite })
    }
}

fn count(metrics: &mut MetricTable, rule: &str, target: &str, outcome: &str) -> CounterId {
    let labels = [("rule", rule), ("target", target), ("outcome", outcome)];
    metrics.counter(METRIC_PREFIX, &labels, "decisions_total")
}

impl Filter for HeaderRouter {
    type Stream = HeaderRouterStream;

    const NAME: &'static str = "header-router";

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(config::parse(json)?)
    }

    fn metrics(&self) -> &MetricTable {
        &self.table.metrics
    }

    fn stream(&self) -> HeaderRouterStream {
        HeaderRouterStream { table: Rc::clone(&self.table) }
    }
}

/// One exchange.
#[derive(Debug)]
pub struct HeaderRouterStream {
    table: Rc<Table>,
}

impl Stream for HeaderRouterStream {
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        head.remove(ROUTE_HEADER);
        head.remove(CLUSTER_HEADER);
        let request = Request::new(head);
        let chosen = self.table.rules.iter().find(|rule| rule.matched.matches(&request));
        let Some(rule) = chosen else {
            return self.table.default(head, env);
        };
        let target = rule.targets.choose(env);
        if let Some(count) = rule.counts.get(target) {
            env.count(*count, 1);
        }
        let cluster = rule.targets.clusters.get(target).map_or("", String::as_str);
        let written = head
            .set(ROUTE_HEADER, rule.name.as_bytes())
            .and_then(|()| head.set(CLUSTER_HEADER, cluster.as_bytes()))
            .and_then(|()| rule.rewrite.apply(head, &rule.matched));
        match written {
            Ok(_) => Flow::Continue,
            // the client's path holds what must not be written again, and must not go on unrewritten either
            Err(_) => {
                env.count(self.table.internal_errors, 1);
                Flow::Reply(Reply::status(400, "sluice_router_invalid_path"))
            }
        }
    }
}

impl Table {
    fn default(&self, head: &mut Head, env: &dyn Env) -> Flow {
        env.count(self.default_count, 1);
        match &self.default {
            Default::Continue => Flow::Continue,
            Default::Cluster(cluster) => match head.set(CLUSTER_HEADER, cluster.as_bytes()) {
                Ok(()) => Flow::Continue,
                Err(_) => Flow::Reply(Reply::status(500, "sluice_router_invalid_cluster")),
            },
            Default::Status(status) => Flow::Reply(Reply::status(*status, "sluice_router_no_rule")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_kit::FixedEnv;

    fn router(json: &str) -> HeaderRouter {
        HeaderRouter::from_config(json.as_bytes()).unwrap()
    }

    const PRODUCTS: &str = r#"{
        "rules": [
            {"name": "default", "match": {"path": {"prefix": "/products"}},
             "targets": [{"cluster": "v1"}], "rewrite": {"prefix": "/"}},
            {"name": "beta", "priority": 100,
             "match": {"path": {"prefix": "/products"},
                       "headers": [{"name": "X-User-Type", "match": {"exact": "beta-tester"}}]},
             "targets": [{"cluster": "v2"}], "rewrite": {"prefix": "/"}}
        ],
        "default": {"status": 404}
    }"#;

    /// `rule cluster path`, or the status of the reply.
    fn decide(router: &HeaderRouter, fields: &[(&str, &str)]) -> String {
        let mut head = Head::from_fields(fields.iter().copied());
        match router.stream().on_request_head(&mut head, &FixedEnv::default()) {
            Flow::Reply(reply) => reply.status.to_string(),
            _ => {
                let text = |name| String::from_utf8_lossy(head.get(name).unwrap_or(b"-")).into_owned();
                format!("{} {} {}", text(ROUTE_HEADER), text(CLUSTER_HEADER), text(":path"))
            }
        }
    }

    #[test]
    fn the_lowest_priority_number_that_matches_decides() {
        let router = router(PRODUCTS);
        for (fields, expected) in [
            (&[(":path", "/products/items?a=1")][..], "default v1 /items?a=1"),
            (&[(":path", "/products/items"), ("x-user-type", "beta-tester")], "beta v2 /items"),
            (&[(":path", "/products"), ("x-user-type", "a"), ("x-user-type", "beta-tester")], "beta v2 /"),
            (&[(":path", "/productsx")], "404"),
            (&[(":path", "*")], "404"),
            (&[], "404"),
        ] {
            assert_eq!(decide(&router, fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn what_a_client_says_about_the_decision_is_removed() {
        let router = router(r#"{"rules": [], "default": "continue"}"#);
        let forged = [(":path", "/"), (CLUSTER_HEADER, "admin"), (ROUTE_HEADER, "x"), (CLUSTER_HEADER, "y")];
        assert_eq!(decide(&router, &forged), "- - /");
    }

    #[test]
    fn the_default_can_be_a_target() {
        let router = router(r#"{"rules": [], "default": {"target": {"cluster": "c"}}}"#);
        assert_eq!(decide(&router, &[(":path", "/")]), "- c /");
    }

    #[test]
    fn decisions_are_counted_by_rule_target_and_outcome() {
        let router = router(PRODUCTS);
        let env = FixedEnv::default();
        for (path, user) in [("/products", "a"), ("/products", "beta-tester"), ("/", "a"), ("/products/x", "a")] {
            let mut head = Head::from_fields([(":path", path), ("x-user-type", user)]);
            router.stream().on_request_head(&mut head, &env);
        }
        let counted: Vec<_> = (0u32..)
            .zip(router.metrics().names())
            .map(|(id, name)| format!("{name} {}", env.counted(CounterId(id))))
            .collect();
        assert_eq!(
            counted,
            [
                "sluice_router.rule.default.target.v1.outcome.matched.decisions_total 2",
                "sluice_router.rule.beta.target.v2.outcome.matched.decisions_total 1",
                "sluice_router.rule.-.target.-.outcome.rejected.decisions_total 1",
                "sluice_router.where.rewrite.internal_errors_total 0",
            ]
        );
    }

    #[test]
    fn mistakes_are_refused_with_their_place() {
        for (json, expected) in [
            (r#"{"rules": []}"#, r#"missing field "default""#),
            (
                r#"{"rules": [{"name": "a", "targets": [{"cluster": "c"}]}, {"name": "a", "targets": [{"cluster": "c"}]}],
                "default": "continue"}"#,
                r#"rules[1].name: expected a unique name, found "a" as in rules[0]"#,
            ),
            (
                r#"{"rules": [{"name": "a", "targets": [{"cluster": "c", "weight": 0}]}], "default": "continue"}"#,
                "rules[0].targets: expected a sum of weights above 0, found 0",
            ),
            (
                r#"{"rules": [{"name": "a", "priority": 1001, "targets": [{"cluster": "c"}]}], "default": "continue"}"#,
                "rules[0].priority: expected 0 to 1000, found 1001",
            ),
            (
                r#"{"rules": [{"name": "a", "match": {"headers": [{"name": "x", "match": {"regex": "("}}]},
                "targets": [{"cluster": "c"}]}], "default": "continue"}"#,
                "rules[0].match.headers[0].match.regex: found open group without closing ')'",
            ),
            (
                r#"{"rules": [{"name": "a", "match": {"path": {"prefix": "x"}}, "targets": [{"cluster": "c"}]}],
                "default": "continue"}"#,
                r#"rules[0].match.path.prefix: expected a path that starts with "/", without query or blanks, found "x""#,
            ),
            (
                r#"{"rules": [], "default": {"status": 200}}"#,
                "default.status: expected a status from 400 to 599, found 200",
            ),
            (r#"{"rules": [], "default": "contine"}"#, r#"default: unknown value "contine"; did you mean "continue"?"#),
        ] {
            assert_eq!(HeaderRouter::from_config(json.as_bytes()).unwrap_err().to_string(), expected, "{json}");
        }
    }
}
