//! Runs a configured list of filters in one module: the host crosses into the VM once for all of them.
//!
//! The outcomes are those of the same filters as separate modules: each sees the head as the one before it left it, a
//! reply ends the list, and responses run through it backwards.

mod any;
mod stream;

use any::AnyFilter;
use filter_kit::{Answer, ConfigError, Env, Filter, MetricTable, config};
use serde::Deserialize;
use std::rc::Rc;
use stream::{Place, Shifted};

pub use stream::SuiteStream;

/// Configuration of the suite.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// 1 to 16 filters in the order of the request, each as `{"header_router": {..}}`; one may stand twice.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 16)))]
    pub filters: Vec<FilterConfig>,
}

/// A filter and its own configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum FilterConfig {
    /// See `ai-normalize`.
    AiNormalize(ai_normalize::Config),
    /// See `header-router`.
    HeaderRouter(header_router::Config),
    /// See `prefix-rewrite`.
    PrefixRewrite(prefix_rewrite::Config),
    /// See `rate-limit`.
    RateLimit(rate_limit::Config),
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

    const NAME: &'static str = "suite";

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(config::parse(json)?)
    }

    fn metrics(&self) -> &MetricTable {
        &self.metrics
    }

    fn holds(&self) -> bool {
        self.filters.iter().any(|member| member.filter.holds())
    }

    fn on_answer(&self, tag: u64, answer: Answer, env: &dyn Env) {
        let (index, tag) = stream::untag(tag);
        if let Some(Member { filter, offset }) = self.filters.get(index) {
            filter.on_answer(tag, answer, &Shifted { env, place: Place { index, offset: *offset } });
        }
    }

    fn stream(&self) -> SuiteStream {
        SuiteStream::new(self.filters.iter().map(|member| (member.filter.stream(), member.offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_kit::{CounterId, FixedEnv, Flow, Head, Stream};

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
                r#"filters[0].prefix_rewrite.rules[0].rewrite: expected "prefix", "path", "regex" or "host", found none of them"#,
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
