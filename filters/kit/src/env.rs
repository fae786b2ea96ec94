//! The world as a filter may see it.

use crate::metrics::CounterId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// What a filter may ask of its surroundings. Two implementations ship: the shell's, on host calls, and [`FixedEnv`].
pub trait Env {
    /// A uniformly distributed number, for weighted choices. Not for secrets.
    fn random(&self) -> u64;
    /// Adds to a counter of the filter's [`crate::MetricTable`]. A step of zero is ignored.
    fn count(&self, counter: CounterId, step: u64);
}

/// An environment without a host: numbers are given, counts are kept.
#[derive(Debug, Default)]
pub struct FixedEnv {
    random: Cell<u64>,
    counts: RefCell<BTreeMap<CounterId, u64>>,
}

impl FixedEnv {
    /// Every draw yields `random`.
    pub fn new(random: u64) -> Self {
        Self { random: Cell::new(random), counts: RefCell::default() }
    }

    /// Changes what the next draws yield.
    pub fn set_random(&self, random: u64) {
        self.random.set(random);
    }

    /// The sum of all steps of one counter.
    pub fn counted(&self, counter: CounterId) -> u64 {
        self.counts.borrow().get(&counter).copied().unwrap_or(0)
    }
}

impl Env for FixedEnv {
    fn random(&self) -> u64 {
        self.random.get()
    }

    fn count(&self, counter: CounterId, step: u64) {
        if step > 0 {
            *self.counts.borrow_mut().entry(counter).or_default() += step;
        }
    }
}
