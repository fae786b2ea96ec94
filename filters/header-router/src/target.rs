//! Choosing among weighted targets.

use crate::config::TargetConfig;
use filter_kit::{ConfigError, Env};

/// The targets of one rule.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    /// Cluster and the sum of the weights up to and with it; weight 0 is left out.
    steps: Vec<(usize, u64)>,
    total: u64,
    /// Every cluster, also those of weight 0.
    pub(crate) clusters: Vec<String>,
}

const MAX_TARGETS: usize = 64;
const MAX_WEIGHT: u32 = 1_000_000;

impl Targets {
    pub(crate) fn new(configs: Vec<TargetConfig>) -> Result<Self, ConfigError> {
        if configs.is_empty() || configs.len() > MAX_TARGETS {
            return Err(ConfigError::new("", format!("expected 1 to {MAX_TARGETS} targets, found {}", configs.len())));
        }
        let mut targets = Self { steps: Vec::new(), total: 0, clusters: Vec::new() };
        for (index, TargetConfig { cluster, weight }) in configs.into_iter().enumerate() {
            let cluster = checked_cluster(cluster).map_err(|error| error.within(&format!("[{index}].cluster")))?;
            if weight > MAX_WEIGHT {
                let why = format!("expected a weight from 0 to {MAX_WEIGHT}, found {weight}");
                return Err(ConfigError::new(format!("[{index}].weight"), why));
            }
            if weight > 0 {
                targets.total += u64::from(weight);
                targets.steps.push((index, targets.total));
            }
            targets.clusters.push(cluster);
        }
        if targets.total == 0 {
            return Err(ConfigError::new("", "expected a sum of weights above 0, found 0"));
        }
        Ok(targets)
    }

    /// Index of the chosen cluster. A random number is drawn only where there is a choice.
    pub(crate) fn choose(&self, env: &dyn Env) -> usize {
        match self.steps.as_slice() {
            [(only, _)] => *only,
            steps => {
                // scales the draw to 0..total; the bias is below total / 2^64
                let draw = (u128::from(env.random()) * u128::from(self.total)) >> 64;
                steps.iter().find(|(_, end)| draw < u128::from(*end)).map_or(0, |(index, _)| *index)
            }
        }
    }
}

/// A cluster name has to be a header value that reads the same on the other side.
pub(crate) fn checked_cluster(cluster: String) -> Result<String, ConfigError> {
    if (1..=255).contains(&cluster.len()) && cluster.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(cluster);
    }
    Err(ConfigError::new("", format!("expected 1 to 255 visible ASCII characters without blanks, found {cluster:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_kit::FixedEnv;

    fn targets(weights: &[u32]) -> Result<Targets, ConfigError> {
        Targets::new(weights.iter().map(|weight| TargetConfig { cluster: "c".into(), weight: *weight }).collect())
    }

    #[test]
    fn shares_follow_the_weights_and_zero_is_never_chosen() {
        let targets = targets(&[0, 9000, 0, 1000, 0]).unwrap();
        let env = FixedEnv::default();
        let mut counts = [0; 5];
        for draw in 0..10_000u64 {
            env.set_random(u64::MAX / 20_000 * (2 * draw + 1));
            counts[targets.choose(&env)] += 1;
        }
        assert_eq!(counts, [0, 9000, 0, 1000, 0]);
        for (draw, expected) in [(0, 1), (u64::MAX, 3)] {
            env.set_random(draw);
            assert_eq!(targets.choose(&env), expected);
        }
    }

    #[test]
    fn targets_that_cannot_be_chosen_are_refused() {
        assert_eq!(targets(&[]).unwrap_err().to_string(), "expected 1 to 64 targets, found 0");
        assert_eq!(targets(&[0, 0]).unwrap_err().to_string(), "expected a sum of weights above 0, found 0");
        assert_eq!(targets(&[1, 1_000_001]).unwrap_err().at, "[1].weight");
        for bad in ["", "a b", "a\r\n", "\u{e4}"] {
            assert!(checked_cluster(bad.into()).is_err(), "{bad:?}");
        }
    }
}
