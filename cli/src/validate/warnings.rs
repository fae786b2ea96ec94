//! What is allowed, and probably not meant.

use crate::config_file::{Finding, Known, Plugin};
use ai_normalize::AiNormalize;
use filter_kit::lint::Remark;
use filter_kit::{ConfigError, Filter, config};
use header_router::HeaderRouter;
use host_test::yaml::{Node, Value};
use prefix_rewrite::PrefixRewrite;
use suite::{FilterConfig, Suite};

/// What a file says beside the configurations of our filters.
#[derive(Debug, Default)]
pub struct Bootstrap {
    /// Names of all clusters; nothing if there may be others.
    clusters: Option<Vec<String>>,
}

impl Bootstrap {
    /// Looks a file over.
    pub fn new(root: &Node) -> Self {
        let clusters = match root.get("static_resources.clusters").map(|clusters| &clusters.value) {
            Some(Value::List(clusters)) if root.get("dynamic_resources").is_none() => clusters,
            _ => return Self::default(),
        };
        let name = |cluster: &Node| match cluster.get("name").map(|name| &name.value) {
            Some(Value::Text(name)) => Some(name.clone()),
            _ => None,
        };
        Self { clusters: Some(clusters.iter().filter_map(name).collect()) }
    }

    fn unknown(&self, config: &header_router::Config) -> Vec<Remark> {
        self.unknown_of(header_router::clusters(config))
    }

    /// Remarks about clusters that are none, each with its place.
    fn unknown_of(&self, clusters: Vec<(String, &str)>) -> Vec<Remark> {
        let Some(known) = &self.clusters else { return Vec::new() };
        let unknown = clusters.into_iter();
        unknown.filter_map(|(at, name)| Some(Remark::new(at, unknown_cluster(known, name)?))).collect()
    }

    /// A rate limit service whose cluster is none: nothing would be limited, and no filter can know before a request comes.
    pub fn mistakes(&self, plugin: &Plugin<'_>) -> Vec<Finding> {
        let (Some(known), json) = (&self.clusters, plugin.json()) else { return Vec::new() };
        let of = |config: &rate_limit::Config| {
            let (at, name) = rate_limit::cluster(config)?;
            Some(Remark::new(at, unknown_cluster(known, name)?))
        };
        let remarks: Vec<Remark> = match plugin.filter {
            Known::RateLimit => config::parse(&json).ok().as_ref().and_then(of).into_iter().collect(),
            Known::Suite => {
                let suite: Option<suite::Config> = config::parse(&json).ok();
                let filters = suite.iter().flat_map(|suite| &suite.filters).enumerate();
                let found = filters.filter_map(|(number, filter)| match filter {
                    FilterConfig::RateLimit(config) => {
                        of(config).map(|remark| remark.within(&format!("filters[{number}].rate_limit")))
                    }
                    FilterConfig::AiNormalize(_) | FilterConfig::HeaderRouter(_) | FilterConfig::PrefixRewrite(_) => {
                        None
                    }
                });
                found.collect()
            }
            Known::AiNormalize | Known::HeaderRouter | Known::PrefixRewrite => Vec::new(),
        };
        remarks.into_iter().map(|remark| finding(plugin, remark)).collect()
    }

    /// Warnings about a configuration that its filter takes.
    pub fn warnings(&self, plugin: &Plugin<'_>) -> Vec<Finding> {
        let Ok(remarks) = self.remarks(plugin) else { return Vec::new() };
        let mut findings: Vec<_> = remarks.into_iter().map(|remark| finding(plugin, remark)).collect();
        findings.sort_by_key(|finding| (finding.position.line, finding.position.column));
        findings
    }

    fn remarks(&self, plugin: &Plugin<'_>) -> Result<Vec<Remark>, ConfigError> {
        let json = plugin.json();
        let router = |config: &header_router::Config| {
            let mut remarks = header_router::lint(config)?;
            remarks.extend(self.unknown(config));
            Ok::<_, ConfigError>(remarks)
        };
        match plugin.filter {
            Known::AiNormalize => Ok(self.unknown_of(ai_normalize::clusters(&config::parse(&json)?))),
            Known::HeaderRouter => router(&config::parse(&json)?),
            Known::PrefixRewrite => prefix_rewrite::lint(&config::parse(&json)?),
            Known::RateLimit => rate_limit::lint(&config::parse(&json)?),
            Known::Suite => {
                let suite: suite::Config = config::parse(&json)?;
                let mut all = Vec::new();
                for (number, filter) in suite.filters.iter().enumerate() {
                    let (name, remarks) = match filter {
                        FilterConfig::AiNormalize(config) => {
                            ("ai_normalize", self.unknown_of(ai_normalize::clusters(config)))
                        }
                        FilterConfig::HeaderRouter(config) => ("header_router", router(config)?),
                        FilterConfig::PrefixRewrite(config) => ("prefix_rewrite", prefix_rewrite::lint(config)?),
                        FilterConfig::RateLimit(config) => ("rate_limit", rate_limit::lint(config)?),
                    };
                    let at = format!("filters[{number}].{name}");
                    all.extend(remarks.into_iter().map(|remark| remark.within(&at)));
                }
                Ok(all)
            }
        }
    }
}

fn finding(plugin: &Plugin<'_>, remark: Remark) -> Finding {
    Finding {
        position: plugin.locate(&remark.at),
        why: if remark.at.is_empty() { remark.why } else { format!("{}: {}", remark.at, remark.why) },
    }
}

/// That no cluster has this name, if none has.
fn unknown_cluster(known: &[String], name: &str) -> Option<String> {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    if names.contains(&name) {
        return None;
    }
    let near = config::nearest(name, &names).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    Some(format!("no cluster of the bootstrap has the name {name:?}{near}"))
}

/// A plugin whose rules look at bodies, and whose host will not wait for them.
pub fn not_held(plugin: &Plugin<'_>) -> Option<Finding> {
    const FLAG: &str = "allow_on_headers_stop_iteration";
    let node = plugin.plugin?;
    if matches!(node.get(FLAG).map(|flag| &flag.value), Some(Value::Bool(true))) {
        return None;
    }
    let json = plugin.json();
    let holds = match plugin.filter {
        Known::AiNormalize => AiNormalize::from_config(&json).is_ok_and(|filter| filter.holds()),
        Known::HeaderRouter => HeaderRouter::from_config(&json).is_ok_and(|filter| filter.holds()),
        Known::PrefixRewrite => PrefixRewrite::from_config(&json).is_ok_and(|filter| filter.holds()),
        // its policies look at heads only
        Known::RateLimit => false,
        Known::Suite => Suite::from_config(&json).is_ok_and(|filter| filter.holds()),
    };
    let what =
        if plugin.filter == Known::AiNormalize { "\"hold: true\" needs" } else { "rules with \"json_body\" need" };
    let why = format!("{what} \"{FLAG}: true\" here: without it, Envoy does not wait for bodies");
    holds.then(|| Finding { position: node.locate(FLAG), why })
}
