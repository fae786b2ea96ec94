//! A worker's VMs and the plugins' places in them.

use crate::clock::nanos;
use crate::host::{Host, LogRecord};
use crate::plugin::{FailurePolicy, PluginConfig};
use crate::stream::SharedVm;
use crate::vm::Vm;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Why a worker cannot start, and what the guest said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    /// The plugin.
    pub plugin: String,
    /// What failed.
    pub why: String,
    /// The lines that the guest logged at error level or above while it started.
    pub logs: Vec<LogRecord>,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {:?}: {}", self.plugin, self.why)?;
        for record in &self.logs {
            write!(f, "\n  {}: {}", record.level.name(), record.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for StartError {}

/// One plugin of the chain: the VM it lives in and its root context there.
pub(crate) struct Slot {
    pub(crate) plugin: Rc<PluginConfig>,
    pub(crate) vm: SharedVm,
    pub(crate) root: u32,
    loaded: u64,
}

pub(crate) struct Fleet {
    host: Arc<Host>,
    worker: u64,
    pub(crate) vms: Vec<SharedVm>,
    pub(crate) slots: Vec<Slot>,
    started: u64,
    pub(crate) reloads: u64,
}

impl Fleet {
    pub(crate) fn start(host: &Arc<Host>, worker: u64, chain: &[PluginConfig]) -> Result<Self, StartError> {
        let mut fleet =
            Self { host: Arc::clone(host), worker, vms: Vec::new(), slots: Vec::new(), started: 0, reloads: 0 };
        for plugin in chain {
            let slot = fleet.place(Rc::new(plugin.clone()))?;
            fleet.slots.push(slot);
        }
        Ok(fleet)
    }

    /// Finds or starts the plugin's VM and sets the plugin up in it.
    fn place(&mut self, plugin: Rc<PluginConfig>) -> Result<Slot, StartError> {
        let fail = |why: String, logs: Vec<LogRecord>| StartError { plugin: plugin.name.clone(), why, logs };
        let shared = self.vms.iter().find(|vm| is_home(&vm.borrow(), &plugin)).cloned();
        let vm = match shared {
            Some(vm) => vm,
            None => {
                self.started += 1;
                let vm =
                    Vm::start(&self.host, self.worker, self.started, &plugin).map_err(|why| fail(why, Vec::new()))?;
                let vm = Rc::new(RefCell::new(vm));
                self.vms.push(Rc::clone(&vm));
                vm
            }
        };
        let mut guard = vm.borrow_mut();
        let root = guard.add_context(0, Rc::clone(&plugin), None);
        guard.state().captured.replace(Some(Vec::new()));
        let why = set_up(&mut guard, root, &plugin);
        let logs = guard.state().captured.take().unwrap_or_default();
        drop(guard);
        match why {
            Ok(()) => Ok(Slot { plugin, vm, root, loaded: self.host.clock().monotonic() }),
            Err(why) => Err(fail(why, logs)),
        }
    }

    /// Gives plugins whose VM is dead a new one, where their policy and the wait allow it.
    pub(crate) fn reload(&mut self) {
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get(index) else { return };
            let FailurePolicy::FailReload { base, max } = slot.plugin.failure_policy else { continue };
            if !slot.vm.borrow().failed {
                continue;
            }
            let now = self.host.clock().monotonic();
            if now.saturating_sub(slot.loaded) < self.wait(base, max) {
                continue;
            }
            let plugin = Rc::clone(&slot.plugin);
            let fresh = self.place(plugin);
            let Some(slot) = self.slots.get_mut(index) else { return };
            slot.loaded = now;
            // A plugin that does not start again keeps its dead VM, and the next request tries anew.
            if let Ok(fresh) = fresh {
                *slot = fresh;
                self.reloads += 1;
            }
        }
    }

    /// Between the base and one and a half times the base, at most the longest wait.
    fn wait(&self, base: Duration, max: Duration) -> u64 {
        let base = nanos(base).max(1);
        let jitter = self.host.random() % (base / 2).max(1);
        base.saturating_add(jitter).min(nanos(max).max(base))
    }

    /// Forgets dead VMs that no plugin and no stream uses.
    pub(crate) fn sweep(&mut self) {
        self.vms.retain(|vm| Rc::strong_count(vm) > 1);
    }
}

/// A living VM with the same id, configuration, environment and code.
fn is_home(vm: &Vm, plugin: &PluginConfig) -> bool {
    let state = vm.peek();
    !vm.failed
        && state.vm_id == plugin.vm_id
        && state.vm_configuration == plugin.vm_configuration
        && state.code == plugin.module.digest
        && state.environment.iter().map(|(key, value)| (key, value)).eq(&plugin.environment)
}

fn set_up(vm: &mut Vm, root: u32, plugin: &PluginConfig) -> Result<(), String> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    vm.call(root, |callbacks| &callbacks.context_create, (root, 0));
    let started = vm.call(root, |callbacks| &callbacks.vm_start, (root, size(&plugin.vm_configuration)));
    check(vm, started, "proxy_on_vm_start")?;
    if let Some(context) = vm.context(root) {
        context.configuring = true;
    }
    let configured = vm.call(root, |callbacks| &callbacks.configure, (root, size(&plugin.configuration)));
    if let Some(context) = vm.context(root) {
        context.configuring = false;
    }
    check(vm, configured, "proxy_on_configure")
}

fn check(vm: &Vm, answer: Option<u32>, callback: &str) -> Result<(), String> {
    if vm.failed {
        let trap = vm.peek().traps.last().map(|trap| trap.cause.as_str()).unwrap_or_default();
        return Err(format!("the module trapped before or in {callback}: {trap}"));
    }
    if answer == Some(0) { Err(format!("{callback} refused the configuration")) } else { Ok(()) }
}
