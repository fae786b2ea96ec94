//! How one filter of a chain is set up.

use crate::module::Module;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What happens after a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Every further request is answered 503. Envoy's default.
    FailClosed,
    /// Further requests go past the filter.
    FailOpen,
    /// The next request after the wait gets a new VM; until then requests are answered 503.
    FailReload {
        /// The least time between two loads of the VM.
        base: Duration,
        /// The longest time between two loads of the VM.
        max: Duration,
    },
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self::FailReload { base: Duration::from_secs(1), max: Duration::from_secs(10) }
    }
}

/// One filter of a chain, as Envoy's `PluginConfig`.
#[derive(Clone, Debug)]
pub struct PluginConfig {
    /// The name for logs and statistics.
    pub name: String,
    /// Picks the root context among those that the module offers.
    pub root_id: String,
    /// The namespace of shared data; VMs with the same id, configuration and code are shared.
    pub vm_id: String,
    /// The plugin's configuration.
    pub configuration: Vec<u8>,
    /// The VM's configuration.
    pub vm_configuration: Vec<u8>,
    /// The only environment variables that the guest sees.
    pub environment: BTreeMap<String, String>,
    /// What happens after a trap.
    pub failure_policy: FailurePolicy,
    /// Pause in a header callback holds back the headers only; body callbacks run.
    pub allow_on_headers_stop_iteration: bool,
    /// The code.
    pub module: Arc<Module>,
}

impl PluginConfig {
    /// A plugin with Envoy's defaults and the failure policy that our configurations set.
    pub fn new(name: impl Into<String>, module: Arc<Module>) -> Self {
        Self {
            name: name.into(),
            root_id: String::new(),
            vm_id: String::new(),
            configuration: Vec::new(),
            vm_configuration: Vec::new(),
            environment: BTreeMap::new(),
            failure_policy: FailurePolicy::default(),
            allow_on_headers_stop_iteration: false,
            module,
        }
    }
}
