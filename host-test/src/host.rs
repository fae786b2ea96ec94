//! What all workers of a process share.

use crate::abi::LogLevel;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::shared::{SharedData, SharedQueues};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

/// One line that a guest logged, or that the host says about a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// How grave it is.
    pub level: LogLevel,
    /// The plugin's name; empty when the VM speaks before a plugin is set up.
    pub plugin: String,
    /// The plugin's root id.
    pub root_id: String,
    /// The VM's id.
    pub vm_id: String,
    /// The stream in whose callback it was logged.
    pub stream: Option<u64>,
    /// The text; what is not UTF-8 is replaced.
    pub text: String,
}

/// Takes log lines as they come.
pub type LogSink = Box<dyn Fn(&LogRecord) + Send + Sync>;

/// The process: shared data, queues, metrics, log, clock, randomness, the names of the clusters.
pub struct Host {
    clock: Clock,
    shared: SharedData,
    pub(crate) queues: SharedQueues,
    metrics: Metrics,
    sink: Option<LogSink>,
    kept: Mutex<Vec<LogRecord>>,
    level: AtomicU32,
    random: AtomicU64,
    /// Whether each one has a host to ask.
    clusters: RwLock<BTreeMap<String, bool>>,
    fuel: AtomicU64,
    workers: AtomicU64,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// The fuel of one callback when nothing else is set: several seconds of computing.
pub const DEFAULT_FUEL: u64 = 10_000_000_000;

impl Host {
    /// A host that keeps its log lines for `take_log`. The seed decides what guests get as random bytes.
    pub fn new(clock: Clock, seed: u64) -> Self {
        Self {
            clock,
            shared: SharedData::default(),
            queues: SharedQueues::default(),
            metrics: Metrics::default(),
            sink: None,
            kept: Mutex::new(Vec::new()),
            level: AtomicU32::new(LogLevel::Info as u32),
            random: AtomicU64::new(seed),
            clusters: RwLock::new(BTreeMap::new()),
            fuel: AtomicU64::new(DEFAULT_FUEL),
            workers: AtomicU64::new(0),
        }
    }

    /// Gives log lines to `sink` instead of keeping them.
    #[must_use]
    pub fn with_log_sink(mut self, sink: LogSink) -> Self {
        self.sink = Some(sink);
        self
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The key-value pairs that guests share.
    pub fn shared_data(&self) -> &SharedData {
        &self.shared
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Sets the least level that is logged.
    pub fn set_log_level(&self, level: LogLevel) {
        self.level.store(level as u32, Ordering::Relaxed);
    }

    /// Takes the kept log lines.
    pub fn take_log(&self) -> Vec<LogRecord> {
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Names the clusters that guests may call. A callout to any other fails at once.
    pub fn set_clusters(&self, names: impl IntoIterator<Item = String>) {
        let clusters = names.into_iter().map(|name| (name, true)).collect();
        *self.clusters.write().unwrap_or_else(PoisonError::into_inner) = clusters;
    }

    /// Says whether a cluster has a host to ask; without one a gRPC callout to it fails at once. A cluster that is
    /// not known stays so.
    pub fn set_cluster_hosts(&self, name: &str, has_hosts: bool) {
        if let Some(cluster) = self.clusters.write().unwrap_or_else(PoisonError::into_inner).get_mut(name) {
            *cluster = has_hosts;
        }
    }

    /// Sets how much fuel (about one unit an instruction) a callback may burn before it is stopped with a trap.
    pub fn set_fuel_per_callback(&self, fuel: u64) {
        self.fuel.store(fuel, Ordering::Relaxed);
    }

    pub(crate) fn fuel_per_callback(&self) -> u64 {
        self.fuel.load(Ordering::Relaxed)
    }

    pub(crate) fn has_cluster(&self, name: &[u8]) -> bool {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        std::str::from_utf8(name).is_ok_and(|name| clusters.contains_key(name))
    }

    pub(crate) fn cluster_has_hosts(&self, name: &[u8]) -> bool {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        std::str::from_utf8(name).is_ok_and(|name| clusters.get(name).is_some_and(|has_hosts| *has_hosts))
    }

    pub(crate) fn log_level(&self) -> u32 {
        self.level.load(Ordering::Relaxed)
    }

    pub(crate) fn log(&self, record: LogRecord) {
        if (record.level as u32) < self.log_level() {
            return;
        }
        match &self.sink {
            Some(sink) => sink(&record),
            None => self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(record),
        }
    }

    pub(crate) fn next_worker(&self) -> u64 {
        self.workers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The next 64 random bits (splitmix64: one counter, mixed).
    pub(crate) fn random(&self) -> u64 {
        let mut z = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
