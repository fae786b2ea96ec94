//! Counters, gauges and histograms, shared by all workers and kept over reloads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a metric is and holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Only grows.
    Counter(u64),
    /// Any value; below zero it wraps, as in Envoy.
    Gauge(u64),
    /// The recorded values in order, at most `HISTOGRAM_VALUES` of them, and how many there were.
    Histogram {
        /// The latest values.
        values: Vec<u64>,
        /// All values ever recorded.
        count: u64,
        /// The sum of all values ever recorded.
        sum: u64,
    },
}

/// How many values of a histogram are kept.
pub const HISTOGRAM_VALUES: usize = 10_000;

/// A metric's kind, with the ABI's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MetricKind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// All metrics of the process by the name that the guest gave (Envoy shows it as `wasmcustom.NAME`).
#[derive(Debug, Default)]
pub struct Metrics {
    inner: Mutex<BTreeMap<(Vec<u8>, MetricKind), Cell>>,
}

pub(crate) type Cell = Arc<Mutex<Metric>>;

impl Metrics {
    /// The counter's value.
    pub fn counter(&self, name: &str) -> Option<u64> {
        match &*lock(self.find(name, MetricKind::Counter)?.as_ref()) {
            Metric::Counter(value) => Some(*value),
            _ => None,
        }
    }

    /// The gauge's value.
    pub fn gauge(&self, name: &str) -> Option<u64> {
        match &*lock(self.find(name, MetricKind::Gauge)?.as_ref()) {
            Metric::Gauge(value) => Some(*value),
            _ => None,
        }
    }

    /// All metrics in name order. A name that is not UTF-8 is shown with replacement characters.
    pub fn snapshot(&self) -> Vec<(String, Metric)> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.iter().map(|((name, _), cell)| (String::from_utf8_lossy(name).into_owned(), lock(cell).clone())).collect()
    }

    pub(crate) fn define(&self, kind: MetricKind, name: &[u8]) -> Cell {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || {
            Arc::new(Mutex::new(match kind {
                MetricKind::Counter => Metric::Counter(0),
                MetricKind::Gauge => Metric::Gauge(0),
                MetricKind::Histogram => Metric::Histogram { values: Vec::new(), count: 0, sum: 0 },
            }))
        };
        inner.entry((name.to_vec(), kind)).or_insert_with(fresh).clone()
    }

    fn find(&self, name: &str, kind: MetricKind) -> Option<Cell> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.get(&(name.as_bytes().to_vec(), kind)).cloned()
    }
}

pub(crate) fn lock(cell: &Mutex<Metric>) -> MutexGuard<'_, Metric> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The metrics that one VM has defined: the number's low two bits are the kind.
#[derive(Debug, Default)]
pub(crate) struct MetricIds {
    counters: Vec<Cell>,
    gauges: Vec<Cell>,
    histograms: Vec<Cell>,
}

use crate::abi::Status;

impl MetricIds {
    pub(crate) fn define(&mut self, metrics: &Metrics, kind: u32, name: &[u8]) -> Result<u32, Status> {
        let (kind, list) = match kind {
            0 => (MetricKind::Counter, &mut self.counters),
            1 => (MetricKind::Gauge, &mut self.gauges),
            2 => (MetricKind::Histogram, &mut self.histograms),
            _ => return Err(Status::BadArgument),
        };
        list.push(metrics.define(kind, name));
        let index = u32::try_from(list.len()).map_err(|_| Status::InternalFailure)?;
        Ok(index * 4 + kind as u32)
    }

    pub(crate) fn increment(&self, id: u32, delta: i64) -> Result<(), Status> {
        if id & 3 > 1 {
            return Err(Status::BadArgument);
        }
        let cell = self.find(id).ok_or(Status::NotFound)?;
        match &mut *lock(cell) {
            Metric::Counter(value) if delta > 0 => *value = value.wrapping_add_signed(delta),
            Metric::Gauge(value) => *value = value.wrapping_add_signed(delta),
            _ => return Err(Status::BadArgument),
        }
        Ok(())
    }

    pub(crate) fn record(&self, id: u32, new: u64) -> Result<(), Status> {
        match &mut *lock(self.find(id).ok_or(Status::NotFound)?) {
            Metric::Counter(value) => *value = value.wrapping_add(new),
            Metric::Gauge(value) => *value = new,
            Metric::Histogram { values, count, sum } => {
                if values.len() == HISTOGRAM_VALUES {
                    values.remove(0);
                }
                values.push(new);
                *count += 1;
                *sum = sum.wrapping_add(new);
            }
        }
        Ok(())
    }

    pub(crate) fn get(&self, id: u32) -> Result<u64, Status> {
        if id & 3 > 1 {
            return Err(Status::BadArgument);
        }
        match &*lock(self.find(id).ok_or(Status::NotFound)?) {
            Metric::Counter(value) | Metric::Gauge(value) => Ok(*value),
            Metric::Histogram { .. } => Err(Status::BadArgument),
        }
    }

    fn find(&self, id: u32) -> Option<&Cell> {
        let list = match id & 3 {
            0 => &self.counters,
            1 => &self.gauges,
            2 => &self.histograms,
            _ => return None,
        };
        list.get(usize::try_from(id / 4).ok()?.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_answer_with_the_hosts_statuses() {
        let metrics = Metrics::default();
        let mut ids = MetricIds::default();
        assert_eq!(ids.define(&metrics, 3, b"x"), Err(Status::BadArgument));
        let counter = ids.define(&metrics, 0, b"c").unwrap();
        let again = ids.define(&metrics, 0, b"c").unwrap();
        assert_ne!(counter, again);
        for delta in [0, -1] {
            assert_eq!(ids.increment(counter, delta), Err(Status::BadArgument));
        }
        assert_eq!(ids.increment(counter, 2), Ok(()));
        assert_eq!(ids.record(again, 3), Ok(()), "recording on a counter adds");
        assert_eq!((ids.get(counter), metrics.counter("c")), (Ok(5), Some(5)));
        let gauge = ids.define(&metrics, 1, b"g").unwrap();
        assert_eq!(ids.increment(gauge, -1), Ok(()));
        assert_eq!(metrics.gauge("g"), Some(u64::MAX), "a gauge wraps below zero");
        let histogram = ids.define(&metrics, 2, b"h").unwrap();
        assert_eq!(ids.increment(histogram, 1), Err(Status::BadArgument));
        assert_eq!(ids.get(histogram), Err(Status::BadArgument));
        assert_eq!(ids.record(histogram, 9), Ok(()));
        assert_eq!(
            (ids.get(400), ids.record(400, 1), ids.record(403, 1)),
            (Err(Status::NotFound), Err(Status::NotFound), Err(Status::NotFound))
        );
        assert_eq!((ids.increment(400, 1), ids.increment(403, 1)), (Err(Status::NotFound), Err(Status::BadArgument)));
    }
}
