//! Runs a configured list of filters in one module: the host crosses into the VM once for all of them.
//!
//! The outcomes are those of the same filters as separate modules: each sees the head as the one before it left it, a
//! reply ends the list, and responses run through it backwards.

mod any;

use any::{AnyFilter, AnyStream};
use filter_kit::{Body, ConfigError, CounterId, Env, Filter, Flow, Head, MetricTable, Reply, Stream, config};
use serde::Deserialize;
use std::rc::Rc;

/// Configuration of the suite.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// 1 to 16 filters in the order of the request, each as `{"header_router": {..}}`; one may stand twice.
    pub filters: Vec<FilterConfig>,
}

/// A filter and its own configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum FilterConfig {
    /// See `header-router`.
    HeaderRouter(header_router::Config),
    /// See `prefix-rewrite`.
    PrefixRewrite(prefix_rewrite::Config),
}

/// A configured suite.
#[derive(Debug, Clone)]
pub struct Suite {
    filters: Rc<[Member]>,
    metrics: Rc<MetricTable>,
}

#[derive(Debug)]
struct Member {
    filter: AnyFilter,
    /// Added to the filter's counter ids.
    offset: u32,
}

const MAX_FILTERS: usize = 16;

impl Suite {
    /// Checks and compiles a configuration.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        if config.filters.is_empty() || config.filters.len() > MAX_FILTERS {
            let why = format!("expected 1 to {MAX_FILTERS} filters, found {}", config.filters.len());
            return Err(ConfigError::new("filters", why));
        }
        let mut metrics = MetricTable::default();
        let filters = config.filters.into_iter().enumerate().map(|(index, config)| {
            let filter = AnyFilter::new(config).map_err(|error| error.within(&format!("filters[{index}]")))?;
            let offset = metrics.append(filter.metrics());
            Ok(Member { filter, offset })
        });
        let filters = filters.collect::<Result<_, _>>()?;
        metrics.check().map_err(|error| ConfigError::new("filters", error.why))?;
        Ok(Self { filters, metrics: Rc::new(metrics) })
    }
}

impl Filter for Suite {
    type Stream = SuiteStream;

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(config::parse(json)?)
    }

    fn metrics(&self) -> &MetricTable {
        &self.metrics
    }

    fn stream(&self) -> SuiteStream {
        let streams = self.filters.iter().map(|member| Running {
            stream: member.filter.stream(),
            offset: member.offset,
            request_body: None,
            response_body: None,
        });
        SuiteStream { filters: streams.collect() }
    }
}

/// One exchange.
#[derive(Debug)]
pub struct SuiteStream {
    filters: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    stream: AnyStream,
    offset: u32,
    /// Limits of the bodies that the filter asked for.
    request_body: Option<usize>,
    response_body: Option<usize>,
}

/// The suite's counters, seen by one of its filters.
struct Shifted<'a> {
    env: &'a dyn Env,
    offset: u32,
}

impl Env for Shifted<'_> {
    fn random(&self) -> u64 {
        self.env.random()
    }

    fn count(&self, counter: CounterId, step: u64) {
        self.env.count(CounterId(counter.0.saturating_add(self.offset)), step);
    }
}

impl Stream for SuiteStream {
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        heads(self.filters.iter_mut(), env, |running, env| {
            let flow = running.stream.on_request_head(head, env);
            running.request_body = wanted(&flow);
            flow
        })
    }

    fn on_request_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        let wanting = self.filters.iter_mut().filter_map(|running| Some((running.request_body?, running)));
        bodies(wanting, body, env, |running, body, env| running.stream.on_request_body(body, env))
    }

    fn on_response_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        heads(self.filters.iter_mut().rev(), env, |running, env| {
            let flow = running.stream.on_response_head(head, env);
            running.response_body = wanted(&flow);
            flow
        })
    }

    fn on_response_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        let wanting = self.filters.iter_mut().rev().filter_map(|running| Some((running.response_body?, running)));
        bodies(wanting, body, env, |running, body, env| running.stream.on_response_body(body, env))
    }
}

fn wanted(flow: &Flow) -> Option<usize> {
    match flow {
        Flow::Buffer { limit } => Some(*limit),
        _ => None,
    }
}

/// Runs a head callback over filters; a body is buffered up to the largest limit that was asked for.
fn heads<'a>(
    filters: impl Iterator<Item = &'a mut Running>,
    env: &dyn Env,
    mut call: impl FnMut(&mut Running, &dyn Env) -> Flow,
) -> Flow {
    let mut whole = Flow::Continue;
    for running in filters {
        let env = Shifted { env, offset: running.offset };
        match (call(running, &env), &whole) {
            (Flow::Continue, _) => {}
            (Flow::Buffer { limit }, Flow::Buffer { limit: other }) => {
                whole = Flow::Buffer { limit: limit.max(*other) }
            }
            (flow @ Flow::Buffer { .. }, _) => whole = flow,
            (reply, _) => return reply,
        }
    }
    whole
}

/// Runs a body callback over the filters that asked for the body, each under its own limit.
fn bodies<'a>(
    filters: impl Iterator<Item = (usize, &'a mut Running)>,
    body: &mut Body,
    env: &dyn Env,
    mut call: impl FnMut(&mut Running, &mut Body, &dyn Env) -> Flow,
) -> Flow {
    for (limit, running) in filters {
        if body.bytes().len() > limit {
            return Flow::Reply(Reply::too_large());
        }
        let env = Shifted { env, offset: running.offset };
        if let reply @ Flow::Reply(_) = call(running, body, &env) {
            return reply;
        }
    }
    Flow::Continue
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_kit::FixedEnv;

    const CONFIG: &str = r#"{"filters": [
        {"header_router": {
            "rules": [{"name": "a", "match": {"path": {"prefix": "/a"}}, "targets": [{"cluster": "c"}]}],
            "default": {"status": 404}}},
        {"prefix_rewrite": {"rules": [
            {"name": "a", "match": {"headers": [{"name": "x-sluice-cluster", "match": {"exact": "c"}}],
                       "path": {"prefix": "/a"}}, "rewrite": {"prefix": "/"}}]}}
    ]}"#;

    #[test]
    fn each_filter_sees_what_the_one_before_it_did() {
        let suite = Suite::from_config(CONFIG.as_bytes()).unwrap();
        let env = FixedEnv::default();
        let mut head = Head::from_fields([(":path", "/a/b")]);
        assert_eq!(suite.stream().on_request_head(&mut head, &env), Flow::Continue);
        assert_eq!(head.path(), b"/b");
        let mut head = Head::from_fields([(":path", "/b")]);
        assert!(matches!(suite.stream().on_request_head(&mut head, &env), Flow::Reply(reply) if reply.status == 404));
        let counted = (0u32..).zip(suite.metrics().names());
        let counted: Vec<_> =
            counted.filter(|(id, _)| env.counted(CounterId(*id)) == 1).map(|(_, name)| name).collect();
        assert_eq!(
            counted,
            [
                "sluice_router.rule.a.target.c.outcome.matched.decisions_total",
                "sluice_router.rule.-.target.-.outcome.rejected.decisions_total",
                "sluice_rewrite.rule.a.kind.path.total",
            ]
        );
    }

    #[test]
    fn the_counters_of_all_filters_together_are_bounded() {
        let rule = |n: usize| format!(r#"{{"name": "r{n}", "rewrite": {{"path": "/"}}}}"#);
        let rules = (0..10_000).map(rule).collect::<Vec<_>>().join(",");
        let filters = |count| vec![format!(r#"{{"prefix_rewrite": {{"rules": [{rules}]}}}}"#); count].join(",");
        let suite = |count| Suite::from_config(format!(r#"{{"filters": [{}]}}"#, filters(count)).as_bytes());
        assert!(suite(2).is_ok());
        let why = "filters: expected rules and targets with at most 50000 counters, found 60003";
        assert_eq!(suite(3).unwrap_err().to_string(), why);
    }

    #[test]
    fn errors_name_the_filter() {
        for (json, expected) in [
            (r#"{"filters": []}"#, "filters: expected 1 to 16 filters, found 0"),
            (
                r#"{"filters": [{"prefix_rewrite": {"rules": [{"name": "a", "rewrite": {}}]}}]}"#,
                r#"filters[0].prefix_rewrite.rules[0].rewrite: expected "prefix", "path" or "host", found none of them"#,
            ),
            (
                r#"{"filters": [{"prefix_rewrite": {"rulez": []}}]}"#,
                r#"filters[0].prefix_rewrite.rulez: unknown field; did you mean "rules"?"#,
            ),
            (
                r#"{"filters": [{"header_routr": {}}]}"#,
                r#"filters[0].header_routr: unknown field; did you mean "header_router"?"#,
            ),
        ] {
            assert_eq!(Suite::from_config(json.as_bytes()).unwrap_err().to_string(), expected, "{json}");
        }
    }
}
