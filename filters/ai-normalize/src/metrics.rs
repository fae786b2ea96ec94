//! What is counted.

use ai_translate::Operation;
use ai_translate::ir::Usage;
use filter_kit::{CounterId, Env, MetricTable};
use std::collections::BTreeMap;

const PREFIX: &str = "sluice_ai";

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// With an answer.
    Ok,
    /// The provider answered with an error.
    ProviderError,
    /// The provider's answer, or its stream, could not be read to its end.
    Broken,
    /// Somebody left before the answer was whole.
    Aborted,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Ok, Self::ProviderError, Self::Broken, Self::Aborted];

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ProviderError => "provider_error",
            Self::Broken => "broken",
            Self::Aborted => "aborted",
        }
    }
}

/// Counters of a model.
#[derive(Debug)]
pub(crate) struct ModelCounters {
    requests: BTreeMap<(&'static str, Outcome), CounterId>,
    tokens: [CounterId; 4],
}

impl ModelCounters {
    pub(crate) fn new(provider: &str, model: &str, metrics: &mut MetricTable) -> Self {
        let mut requests = BTreeMap::new();
        for operation in [Operation::Chat, Operation::Embeddings, Operation::CountTokens] {
            for outcome in Outcome::ALL {
                let labels = [
                    ("provider", provider),
                    ("model", model),
                    ("operation", operation.name()),
                    ("outcome", outcome.name()),
                ];
                requests.insert((operation.name(), outcome), metrics.counter(PREFIX, &labels, "requests_total"));
            }
        }
        let tokens = ["input", "output", "cached", "reasoning"].map(|kind| {
            metrics.counter(PREFIX, &[("provider", provider), ("model", model), ("type", kind)], "tokens_total")
        });
        Self { requests, tokens }
    }

    pub(crate) fn request(&self, operation: Operation, outcome: Outcome, env: &dyn Env) {
        if let Some(counter) = self.requests.get(&(operation.name(), outcome)) {
            env.count(*counter, 1);
        }
    }

    pub(crate) fn usage(&self, usage: &Usage, env: &dyn Env) {
        let counts = [usage.input, usage.output, usage.cached, usage.reasoning];
        for (counter, count) in self.tokens.iter().zip(counts) {
            env.count(*counter, count);
        }
    }
}

/// Counters of a provider.
#[derive(Debug)]
pub(crate) struct ProviderCounters {
    dropped: CounterId,
    adapted: CounterId,
}

impl ProviderCounters {
    pub(crate) fn new(provider: &str, metrics: &mut MetricTable) -> Self {
        let mut counter = |what| metrics.counter(PREFIX, &[("provider", provider)], what);
        Self { dropped: counter("dropped_parameters_total"), adapted: counter("adapted_parameters_total") }
    }

    pub(crate) fn changed(&self, dropped: usize, adapted: usize, env: &dyn Env) {
        env.count(self.dropped, u64::try_from(dropped).unwrap_or(0));
        env.count(self.adapted, u64::try_from(adapted).unwrap_or(0));
    }
}

/// Counters of requests that got to no provider.
#[derive(Debug)]
pub(crate) struct RefusedCounters {
    counters: BTreeMap<&'static str, CounterId>,
}

/// Why requests are refused before a model is found.
pub(crate) const REASONS: [&str; 7] =
    ["invalid", "unknown_model", "too_large", "overloaded", "missing_key", "media_type", "internal"];

impl RefusedCounters {
    pub(crate) fn new(metrics: &mut MetricTable) -> Self {
        let counter = |reason| (reason, metrics.counter(PREFIX, &[("reason", reason)], "refused_total"));
        Self { counters: REASONS.map(counter).into_iter().collect() }
    }

    pub(crate) fn count(&self, reason: &str, env: &dyn Env) {
        if let Some(counter) = self.counters.get(reason) {
            env.count(*counter, 1);
        }
    }
}
