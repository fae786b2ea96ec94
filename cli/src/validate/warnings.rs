//! What is allowed, and probably not meant.

use crate::config_file::{Finding, Known, Plugin};
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
        let Some(known) = &self.clusters else { return Vec::new() };
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let unknown = header_router::clusters(config).into_iter().filter(|(_, name)| !names.contains(name));
        let told = |(at, name): (String, &str)| {
            let near =
                config::nearest(name, &names).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            Remark::new(at, format!("no cluster of the bootstrap has the name {name:?}{near}"))
        };
        unknown.map(told).collect()
    }

    /// Warnings about a configuration that its filter takes.
    pub fn warnings(&self, plugin: &Plugin<'_>) -> Vec<Finding> {
        let Ok(remarks) = self.remarks(plugin) else { return Vec::new() };
        let finding = |remark: Remark| Finding {
            position: plugin.locate(&remark.at),
            why: if remark.at.is_empty() { remark.why } else { format!("{}: {}", remark.at, remark.why) },
        };
        let mut findings: Vec<_> = remarks.into_iter().map(finding).collect();
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
            Known::HeaderRouter => router(&config::parse(&json)?),
            Known::PrefixRewrite => prefix_rewrite::lint(&config::parse(&json)?),
            Known::RateLimit => Ok(Vec::new()),
            Known::Suite => {
                let suite: suite::Config = config::parse(&json)?;
                let mut all = Vec::new();
                for (number, filter) in suite.filters.iter().enumerate() {
                    let (name, remarks) = match filter {
                        FilterConfig::HeaderRouter(config) => ("header_router", router(config)?),
                        FilterConfig::PrefixRewrite(config) => ("prefix_rewrite", prefix_rewrite::lint(config)?),
                        FilterConfig::RateLimit(_) => continue,
                    };
                    let at = format!("filters[{number}].{name}");
                    all.extend(remarks.into_iter().map(|remark| remark.within(&at)));
                }
                Ok(all)
            }
        }
    }
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
        Known::HeaderRouter => HeaderRouter::from_config(&json).is_ok_and(|filter| filter.holds()),
        Known::PrefixRewrite => PrefixRewrite::from_config(&json).is_ok_and(|filter| filter.holds()),
        // its policies look at heads only
        Known::RateLimit => false,
        Known::Suite => Suite::from_config(&json).is_ok_and(|filter| filter.holds()),
    };
    let why =
        format!("rules with \"json_body\" need \"{FLAG}: true\" here: without it, Envoy does not wait for bodies");
    holds.then(|| Finding { position: node.locate(FLAG), why })
}
