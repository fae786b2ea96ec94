//! One state of the configuration: bootstrap, compiled modules, clusters. A reload builds the next one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::access::AccessLogs;
use super::bootstrap::{Action, Bootstrap, ClusterChoice, Split, WasmFilter, WhenFailed};
use super::clusters::ClusterState;
use super::stats::{HttpStats, Stats};
use crate::{FailurePolicy, Host, Module, PluginConfig, RouteInfo, RouteResolver, Worker};

/// A configuration that serves or may serve.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Counts from 1.
    pub(crate) number: u64,
    pub(crate) bootstrap: Bootstrap,
    /// The filter chain of each listener.
    pub(crate) chains: Vec<Vec<PluginConfig>>,
    pub(crate) clusters: Vec<Arc<ClusterState>>,
    pub(crate) http_stats: Vec<Arc<HttpStats>>,
    /// The access logs of each listener.
    pub(crate) access_logs: Vec<AccessLogs>,
    pub(crate) stats: Arc<Stats>,
}

/// Compiled modules by file, so that a reload compiles only what changed.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    compiled: HashMap<PathBuf, (Vec<u8>, Arc<Module>)>,
}

impl Modules {
    fn load(&mut self, file: &Path) -> Result<Arc<Module>, String> {
        let bytes = std::fs::read(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
        if let Some((known, module)) = self.compiled.get(file)
            && *known == bytes
        {
            return Ok(module.clone());
        }
        let module = Module::load(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
        let module = Arc::new(module);
        self.compiled.insert(file.to_owned(), (bytes, module.clone()));
        Ok(module)
    }

    fn keep_only(&mut self, bootstrap: &Bootstrap) {
        let files = bootstrap.code_files();
        self.compiled.retain(|file, _| files.contains(file));
    }
}

impl Bootstrap {
    /// The `.wasm` files that the listeners name.
    pub fn code_files(&self) -> Vec<PathBuf> {
        self.listeners.iter().flat_map(|listener| &listener.http.filters).map(|filter| filter.code.clone()).collect()
    }
}

impl Generation {
    /// Compiles the modules and starts every chain once, as Envoy does before it takes a configuration.
    pub(crate) fn build(
        bootstrap: Bootstrap,
        number: u64,
        modules: &mut Modules,
        host: &Arc<Host>,
        stats: &Arc<Stats>,
    ) -> Result<Self, String> {
        let mut chains = Vec::new();
        for listener in &bootstrap.listeners {
            let mut chain = Vec::new();
            for filter in &listener.http.filters {
                chain.push(plugin(filter, modules.load(&filter.code)?));
            }
            Worker::start(host.clone(), &chain).map_err(|error| error.to_string())?;
            chains.push(chain);
        }
        modules.keep_only(&bootstrap);
        let clusters =
            bootstrap.clusters.iter().map(|cluster| Arc::new(ClusterState::new(cluster.clone(), stats))).collect();
        let http_stats = bootstrap
            .listeners
            .iter()
            .map(|listener| Arc::new(HttpStats::new(stats, &listener.http.stat_prefix, &listener.address.to_string())))
            .collect();
        let access_logs = bootstrap.listeners.iter().map(|listener| AccessLogs::open(&listener.http.access_log));
        let access_logs = access_logs.collect::<Result<_, _>>()?;
        Ok(Self { number, bootstrap, chains, clusters, http_stats, access_logs, stats: stats.clone() })
    }
}

fn plugin(filter: &WasmFilter, module: Arc<Module>) -> PluginConfig {
    let mut plugin = PluginConfig::new(filter.name.clone(), module);
    plugin.root_id.clone_from(&filter.root_id);
    plugin.vm_id.clone_from(&filter.vm_id);
    plugin.configuration.clone_from(&filter.configuration);
    plugin.vm_configuration.clone_from(&filter.vm_configuration);
    plugin.environment.clone_from(&filter.environment);
    plugin.allow_on_headers_stop_iteration = filter.allow_on_headers_stop_iteration;
    plugin.failure_policy = match filter.when_failed {
        WhenFailed::FailClosed => FailurePolicy::FailClosed,
        WhenFailed::FailOpen => FailurePolicy::FailOpen,
        WhenFailed::FailReload(reload) => FailurePolicy::FailReload { base: reload.base, max: reload.max },
    };
    plugin
}

/// What filters can ask about the route of a request.
pub(crate) fn route_resolver(generation: &Arc<Generation>, listener: usize) -> RouteResolver {
    let generation = generation.clone();
    Rc::new(move |request| {
        let table = &generation.bootstrap.listeners.get(listener)?.http.routes;
        let (host, route) = table.find(request)?;
        let cluster = match &route.action {
            Action::Proxy(proxy) => match &proxy.cluster {
                ClusterChoice::Named(name) => name.clone(),
                ClusterChoice::FromHeader(header) => request
                    .get(header.as_bytes())
                    .map(|name| String::from_utf8_lossy(name).into_owned())
                    .unwrap_or_default(),
                // The router draws when the request leaves.
                ClusterChoice::Weighted(_) => String::new(),
            },
            Action::Redirect(_) | Action::Respond { .. } => String::new(),
        };
        Some(RouteInfo {
            name: route.name.clone(),
            cluster,
            virtual_host: host.name.clone(),
            response_edits: route.response_edits.clone(),
            ..RouteInfo::default()
        })
    })
}

impl Split {
    /// The cluster for a random number.
    pub(crate) fn pick(&self, random: u64) -> &str {
        let mut rest = random.checked_rem(self.total).unwrap_or(0);
        for part in &self.parts {
            match rest.checked_sub(u64::from(part.weight)) {
                Some(further) => rest = further,
                None => return &part.cluster,
            }
        }
        ""
    }
}

/// A random number; good enough for shares, not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::super::bootstrap::WeightedCluster;
    use super::*;

    #[test]
    fn shares_follow_the_weights() {
        let part = |cluster: &str, weight| WeightedCluster { cluster: cluster.into(), weight };
        let split = Split { parts: vec![part("a", 1), part("zero", 0), part("b", 3)], total: 4 };
        let picked: Vec<_> = (0..8).map(|random| split.pick(random)).collect();
        assert_eq!(picked, ["a", "b", "b", "b", "a", "b", "b", "b"]);
    }
}
