//! Counters and gauges under Envoy's names, kept for the life of the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// All stats of the gateway by name.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    cells: Mutex<BTreeMap<String, (Kind, Arc<AtomicU64>)>>,
}

/// What a stat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A counter that only grows.
#[derive(Clone, Debug)]
pub(crate) struct Counter(Arc<AtomicU64>);

/// A value that goes up and down.
#[derive(Clone, Debug)]
pub(crate) struct Gauge(Arc<AtomicU64>);

/// Holds a gauge one up until dropped.
#[derive(Debug)]
pub(crate) struct Held(Gauge);

impl Stats {
    /// The counter `name`, made when it is new.
    pub(crate) fn counter(&self, name: impl Into<String>) -> Counter {
        Counter(self.cell(name.into(), Kind::Counter))
    }

    /// The gauge `name`, made when it is new.
    pub(crate) fn gauge(&self, name: impl Into<String>) -> Gauge {
        Gauge(self.cell(name.into(), Kind::Gauge))
    }

    fn cell(&self, name: String, kind: Kind) -> Arc<AtomicU64> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.entry(name).or_insert_with(|| (kind, Arc::default())).1.clone()
    }

    /// All stats in the order of their names.
    pub(crate) fn snapshot(&self) -> Vec<(String, Kind, u64)> {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.iter().map(|(name, (kind, cell))| (name.clone(), *kind, cell.load(Ordering::Relaxed))).collect()
    }
}

impl Counter {
    /// One more.
    pub(crate) fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Gauge {
    /// The new value.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// One up until the result is dropped.
    pub(crate) fn hold(&self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `http.<stat_prefix>.*` of one connection manager, and `listener.<address>.*` of its listener.
#[derive(Debug)]
pub(crate) struct HttpStats {
    pub(crate) cx_total: Counter,
    pub(crate) cx_active: Gauge,
    pub(crate) cx_protocol_error: Counter,
    pub(crate) listener_cx_total: Counter,
    pub(crate) listener_cx_active: Gauge,
    pub(crate) rq_total: Counter,
    pub(crate) rq_active: Gauge,
    pub(crate) rq_completed: Counter,
    rq_classes: [Counter; 5],
    pub(crate) rq_rx_reset: Counter,
    pub(crate) rq_tx_reset: Counter,
    pub(crate) rq_too_large: Counter,
    pub(crate) rq_idle_timeout: Counter,
    pub(crate) rs_too_large: Counter,
    pub(crate) router_rq_total: Counter,
    pub(crate) direct_response: Counter,
    pub(crate) no_route: Counter,
    pub(crate) no_cluster: Counter,
}

impl HttpStats {
    pub(crate) fn new(stats: &Stats, prefix: &str, address: &str) -> Self {
        let http = |name: &str| stats.counter(format!("http.{prefix}.{name}"));
        let listener = format!("listener.{}", address.replace(':', "_"));
        Self {
            cx_total: http("downstream_cx_total"),
            cx_active: stats.gauge(format!("http.{prefix}.downstream_cx_active")),
            cx_protocol_error: http("downstream_cx_protocol_error"),
            listener_cx_total: stats.counter(format!("{listener}.downstream_cx_total")),
            listener_cx_active: stats.gauge(format!("{listener}.downstream_cx_active")),
            rq_total: http("downstream_rq_total"),
            rq_active: stats.gauge(format!("http.{prefix}.downstream_rq_active")),
            rq_completed: http("downstream_rq_completed"),
            rq_classes: [1, 2, 3, 4, 5].map(|class| http(&format!("downstream_rq_{class}xx"))),
            rq_rx_reset: http("downstream_rq_rx_reset"),
            rq_tx_reset: http("downstream_rq_tx_reset"),
            rq_too_large: http("downstream_rq_too_large"),
            rq_idle_timeout: http("downstream_rq_idle_timeout"),
            rs_too_large: http("rs_too_large"),
            router_rq_total: http("rq_total"),
            direct_response: http("rq_direct_response"),
            no_route: http("no_route"),
            no_cluster: http("no_cluster"),
        }
    }

    /// A response with this status went to the client.
    pub(crate) fn answered(&self, status: u16) {
        self.rq_completed.inc();
        if let Some(counter) = usize::from(status / 100).checked_sub(1).and_then(|class| self.rq_classes.get(class)) {
            counter.inc();
        }
    }
}

/// `cluster.<name>.*`
#[derive(Debug)]
pub(crate) struct ClusterStats {
    stats: Arc<Stats>,
    prefix: String,
    pub(crate) cx_total: Counter,
    pub(crate) cx_active: Gauge,
    pub(crate) cx_connect_fail: Counter,
    pub(crate) cx_connect_timeout: Counter,
    pub(crate) cx_none_healthy: Counter,
    pub(crate) cx_protocol_error: Counter,
    pub(crate) rq_total: Counter,
    pub(crate) rq_active: Gauge,
    rq_completed: Counter,
    rq_classes: [Counter; 5],
    pub(crate) rq_timeout: Counter,
    pub(crate) rq_per_try_timeout: Counter,
    pub(crate) rq_retry: Counter,
    pub(crate) rq_retry_success: Counter,
    pub(crate) rq_retry_limit_exceeded: Counter,
    pub(crate) retry_abandoned: Counter,
    pub(crate) rq_rx_reset: Counter,
    pub(crate) rq_tx_reset: Counter,
    pub(crate) membership: Gauge,
    pub(crate) update_attempt: Counter,
    pub(crate) update_success: Counter,
    pub(crate) update_failure: Counter,
}

impl ClusterStats {
    pub(crate) fn new(stats: &Arc<Stats>, cluster: &str) -> Self {
        let prefix = format!("cluster.{}", cluster.replace(':', "_"));
        let counter = |name: &str| stats.counter(format!("{prefix}.{name}"));
        Self {
            stats: stats.clone(),
            cx_total: counter("upstream_cx_total"),
            cx_active: stats.gauge(format!("{prefix}.upstream_cx_active")),
            cx_connect_fail: counter("upstream_cx_connect_fail"),
            cx_connect_timeout: counter("upstream_cx_connect_timeout"),
            cx_none_healthy: counter("upstream_cx_none_healthy"),
            cx_protocol_error: counter("upstream_cx_protocol_error"),
            rq_total: counter("upstream_rq_total"),
            rq_active: stats.gauge(format!("{prefix}.upstream_rq_active")),
            rq_completed: counter("upstream_rq_completed"),
            rq_classes: [1, 2, 3, 4, 5].map(|class| counter(&format!("upstream_rq_{class}xx"))),
            rq_timeout: counter("upstream_rq_timeout"),
            rq_per_try_timeout: counter("upstream_rq_per_try_timeout"),
            rq_retry: counter("upstream_rq_retry"),
            rq_retry_success: counter("upstream_rq_retry_success"),
            rq_retry_limit_exceeded: counter("upstream_rq_retry_limit_exceeded"),
            retry_abandoned: counter("retry_or_shadow_abandoned"),
            rq_rx_reset: counter("upstream_rq_rx_reset"),
            rq_tx_reset: counter("upstream_rq_tx_reset"),
            membership: stats.gauge(format!("{prefix}.membership_total")),
            update_attempt: counter("update_attempt"),
            update_success: counter("update_success"),
            update_failure: counter("update_failure"),
            prefix,
        }
    }

    /// The cluster, or the router in its place, answered with this status.
    pub(crate) fn answered(&self, status: u16) {
        self.rq_completed.inc();
        if let Some(counter) = usize::from(status / 100).checked_sub(1).and_then(|class| self.rq_classes.get(class)) {
            counter.inc();
        }
        if (100..600).contains(&status) {
            self.stats.counter(format!("{}.upstream_rq_{status}", self.prefix)).inc();
        }
    }

    /// The cluster answered with this status, and is asked again.
    pub(crate) fn retried(&self, status: u16) {
        let class = format!("{}xx", status / 100);
        for name in ["completed", &class, &status.to_string()] {
            self.stats.counter(format!("{}.retry.upstream_rq_{name}", self.prefix)).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_stat_whoever_asks() {
        let stats = Stats::default();
        stats.counter("a").inc();
        stats.counter("a").inc();
        let held = stats.gauge("b").hold();
        assert_eq!(stats.snapshot(), [("a".into(), Kind::Counter, 2), ("b".into(), Kind::Gauge, 1)]);
        drop(held);
        assert_eq!(stats.snapshot()[1].2, 0);
    }

    #[test]
    fn statuses_are_counted_by_class_and_code() {
        let stats = Arc::new(Stats::default());
        let cluster = ClusterStats::new(&stats, "a:b");
        for status in [204, 503, 999, 0] {
            cluster.answered(status);
        }
        let snapshot = stats.snapshot();
        let value = |name: &str| snapshot.iter().find(|(known, ..)| known == name).map(|(.., value)| *value);
        assert_eq!(value("cluster.a_b.upstream_rq_completed"), Some(4));
        assert_eq!(value("cluster.a_b.upstream_rq_2xx"), Some(1));
        assert_eq!(value("cluster.a_b.upstream_rq_503"), Some(1));
        assert_eq!(value("cluster.a_b.upstream_rq_999"), None);
    }
}
