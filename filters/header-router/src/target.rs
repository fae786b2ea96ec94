//! Choosing among weighted targets.

use crate::config::{FallbackConfig, StickyConfig, TargetConfig};
use filter_kit::matching::Request;
use filter_kit::{ConfigError, head};
use std::borrow::Cow;

/// The targets of one rule.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    /// Number of a target, and the sum of the weights up to and with it; weight 0 is left out.
    steps: Vec<(usize, u64)>,
    total: u64,
    /// Every target, also those of weight 0.
    pub(crate) targets: Vec<Target>,
    sticky: Option<StickyConfig>,
}

/// One target.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) to: To,
    pub(crate) host: Option<Vec<u8>>,
}

/// Where a target's requests go.
#[derive(Debug, Clone)]
pub(crate) enum To {
    Cluster(String),
    Status(u16),
}

/// Parts of a whole where weights are absolute.
pub(crate) const WHOLE: u32 = 10_000;
const MAX_TARGETS: usize = 64;
const MAX_WEIGHT: u32 = 1_000_000;

impl Targets {
    /// Checks and compiles; errors have paths from the rule on.
    pub(crate) fn new(
        configs: Vec<TargetConfig>,
        fallback: Option<FallbackConfig>,
        sticky: Option<StickyConfig>,
    ) -> Result<Self, ConfigError> {
        let at = |path: String| move |error: ConfigError| error.within(&path);
        if configs.is_empty() || configs.len() > MAX_TARGETS {
            let why = format!("expected 1 to {MAX_TARGETS} targets, found {}", configs.len());
            return Err(ConfigError::new("targets", why));
        }
        if let Some(StickyConfig::Header(name)) = &sticky
            && !head::is_header_name(name)
        {
            return Err(ConfigError::new("sticky.header", format!("expected a header name, found {name:?}")));
        }
        if let Some(StickyConfig::Cookie(name) | StickyConfig::QueryParameter(name)) = &sticky
            && !(1..=256).contains(&name.len())
        {
            let at = if matches!(sticky, Some(StickyConfig::Cookie(_))) { "cookie" } else { "query_parameter" };
            let why = format!("expected a name of 1 to 256 bytes, found {name:?}");
            return Err(ConfigError::new(format!("sticky.{at}"), why));
        }
        let mut targets = Self { steps: Vec::new(), total: 0, targets: Vec::new(), sticky };
        for (index, config) in configs.into_iter().enumerate() {
            let weight = config.weight;
            let target = Target::new(config).map_err(at(format!("targets[{index}]")))?;
            targets.add(target, weight);
        }
        match fallback {
            None if targets.total == 0 => {
                return Err(ConfigError::new("targets", "expected a sum of weights above 0, found 0"));
            }
            None => {}
            Some(FallbackConfig { cluster, host }) => {
                let whole = u64::from(WHOLE);
                if targets.total > whole {
                    let why = format!("expected weights of at most {WHOLE} in all beside \"fallback\"");
                    return Err(ConfigError::new("targets", format!("{why}, found {}", targets.total)));
                }
                let to = To::Cluster(checked_cluster(cluster).map_err(at("fallback.cluster".into()))?);
                let host = host.map(checked_host).transpose().map_err(at("fallback.host".into()))?;
                let rest = u32::try_from(whole - targets.total).unwrap_or(0);
                targets.add(Target { to, host }, rest);
            }
        }
        Ok(targets)
    }

    fn add(&mut self, target: Target, weight: u32) {
        if weight > 0 {
            self.total += u64::from(weight);
            self.steps.push((self.targets.len(), self.total));
        }
        self.targets.push(target);
    }

    /// The chosen target. What is drawn or hashed is a place in the whole; each target has one stretch of it, in the order
    /// of the list, so that moving weight between neighbours moves no request but those of the stretch that changed hands.
    pub(crate) fn choose(&self, request: &Request<'_>, random: impl FnOnce() -> u64) -> usize {
        match self.steps.as_slice() {
            [(only, _)] => *only,
            steps => {
                let place = self.sticky.as_ref().and_then(|sticky| key(sticky, request));
                let place = place.map_or_else(random, |key| hash(&key));
                // scales to 0..total; the bias is below total / 2^64
                let place = (u128::from(place) * u128::from(self.total)) >> 64;
                steps.iter().find(|(_, end)| place < u128::from(*end)).map_or(0, |(index, _)| *index)
            }
        }
    }

    /// What ties a request to its target, in words; nothing if it is drawn.
    pub(crate) fn chosen_by(&self, request: &Request<'_>) -> Option<String> {
        let sticky = self.sticky.as_ref()?;
        key(sticky, request)?;
        Some(match sticky {
            StickyConfig::Header(name) => format!("header {name}"),
            StickyConfig::Cookie(name) => format!("cookie {name}"),
            StickyConfig::QueryParameter(name) => format!("query parameter {name}"),
            StickyConfig::SourceAddress => "source address".to_owned(),
        })
    }

    /// Number and share of each target that can be chosen, in parts per 10,000, rounded down.
    pub(crate) fn shares(&self) -> impl Iterator<Item = (usize, u64)> {
        let starts = std::iter::once(0).chain(self.steps.iter().map(|(_, end)| *end));
        let weights = self.steps.iter().zip(starts).map(|((index, end), start)| (*index, end - start));
        weights.map(|(index, weight)| (index, weight * u64::from(WHOLE) / self.total.max(1)))
    }
}

impl Target {
    fn new(config: TargetConfig) -> Result<Self, ConfigError> {
        let to = match (config.cluster, config.status) {
            (Some(cluster), None) => To::Cluster(checked_cluster(cluster).map_err(|error| error.within("cluster"))?),
            (None, Some(status)) if (400..=599).contains(&status) => To::Status(status),
            (None, Some(status)) => {
                return Err(ConfigError::new("status", format!("expected 400 to 599, found {status}")));
            }
            _ => return Err(ConfigError::new("", "expected either \"cluster\" or \"status\"")),
        };
        if config.weight > MAX_WEIGHT {
            let why = format!("expected a weight from 0 to {MAX_WEIGHT}, found {}", config.weight);
            return Err(ConfigError::new("weight", why));
        }
        let host = config.host.map(checked_host).transpose().map_err(|error| error.within("host"))?;
        Ok(Self { to, host })
    }

    /// The cluster, or nothing for an answer.
    pub(crate) fn cluster(&self) -> &str {
        match &self.to {
            To::Cluster(cluster) => cluster,
            To::Status(_) => "",
        }
    }
}

/// What a client is known by; nothing if the request does not say.
fn key<'a>(sticky: &StickyConfig, request: &Request<'a>) -> Option<Cow<'a, [u8]>> {
    let key = match sticky {
        StickyConfig::Header(name) => request.header(name),
        StickyConfig::Cookie(name) => request.cookie(name).map(Cow::Borrowed),
        StickyConfig::QueryParameter(name) => request.query_parameter(name),
        StickyConfig::SourceAddress => {
            let address = request.world.source_address()?;
            Some(Cow::Owned(address.to_string().into_bytes()))
        }
    };
    key.filter(|key| !key.is_empty())
}

/// FNV-1a (Fowler, Noll, Vo) with the finalizer of SplitMix64, so that keys that differ in their last byte spread. Part of
/// what users rely on: another function would move them all.
fn hash(key: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, fold);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A cluster name has to be a header value that reads the same on the other side.
pub(crate) fn checked_cluster(cluster: String) -> Result<String, ConfigError> {
    if (1..=255).contains(&cluster.len()) && cluster.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(cluster);
    }
    Err(ConfigError::new("", format!("expected 1 to 255 visible ASCII characters without blanks, found {cluster:?}")))
}

/// A host as it can stand in a request.
pub(crate) fn checked_host(host: String) -> Result<Vec<u8>, ConfigError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if (1..=255).contains(&host.len()) && host.bytes().all(good) {
        return Ok(host.into_bytes());
    }
    Err(ConfigError::new("", format!("expected a host, with a port if needed, found {host:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_kit::matching::{MatchingConfig, World};
    use filter_kit::{FixedEnv, Head};
    use proptest::prelude::*;

    fn targets(weights: &[u32]) -> Result<Targets, ConfigError> {
        sticky(weights, false, None)
    }

    fn sticky(weights: &[u32], fallback: bool, by: Option<StickyConfig>) -> Result<Targets, ConfigError> {
        let one = |(number, weight): (usize, &u32)| TargetConfig {
            cluster: Some(format!("c{number}")),
            status: None,
            weight: *weight,
            host: None,
        };
        let fallback = fallback.then(|| FallbackConfig { cluster: "rest".into(), host: None });
        Targets::new(weights.iter().enumerate().map(one).collect(), fallback, by)
    }

    fn choose(targets: &Targets, user: &str, draw: u64) -> usize {
        let head = Head::from_fields([("x-user", user), ("cookie", &format!("u={user}"))]);
        let env = FixedEnv::default().with_source_address("10.0.0.1".parse().unwrap());
        let (world, options) = (World::new(&env, None), MatchingConfig::default());
        let path = format!("/?u={user}");
        targets.choose(&Request::new(&head, path.as_bytes(), &options, &world), || draw)
    }

    #[test]
    fn shares_follow_the_weights_and_zero_is_never_chosen() {
        let targets = targets(&[0, 9000, 0, 1000, 0]).unwrap();
        let mut counts = [0; 5];
        for draw in 0..10_000u64 {
            counts[choose(&targets, "", u64::MAX / 20_000 * (2 * draw + 1))] += 1;
        }
        assert_eq!(counts, [0, 9000, 0, 1000, 0]);
        assert_eq!((choose(&targets, "", 0), choose(&targets, "", u64::MAX)), (1, 3));
        assert_eq!(targets.shares().collect::<Vec<_>>(), [(1, 9000), (3, 1000)]);
    }

    #[test]
    fn a_fallback_takes_what_the_parts_leave() {
        let canary = sticky(&[500], true, None).unwrap();
        assert_eq!(canary.shares().collect::<Vec<_>>(), [(0, 500), (1, 9500)]);
        let all = sticky(&[10_000], true, None).unwrap();
        assert_eq!(all.shares().collect::<Vec<_>>(), [(0, 10_000)]);
        let none = sticky(&[0], true, None).unwrap();
        assert_eq!(none.shares().collect::<Vec<_>>(), [(1, 10_000)]);
        let error = sticky(&[10_001], true, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "targets: expected weights of at most 10000 in all beside \"fallback\", found 10001"
        );
    }

    #[test]
    fn a_client_stays_with_its_target_by_header_cookie_query_and_address() {
        for by in [
            StickyConfig::Header("x-user".into()),
            StickyConfig::Cookie("u".into()),
            StickyConfig::QueryParameter("u".into()),
            StickyConfig::SourceAddress,
        ] {
            let targets = sticky(&[5000, 5000], false, Some(by)).unwrap();
            let first = choose(&targets, "anna", 0);
            assert!((0..100).all(|draw| choose(&targets, "anna", draw << 57) == first));
        }
        let by_header = sticky(&[5000, 5000], false, Some(StickyConfig::Header("x-user".into()))).unwrap();
        assert_eq!((choose(&by_header, "", 0), choose(&by_header, "", u64::MAX)), (0, 1), "no key: drawn anew");
    }

    #[test]
    fn hashed_clients_spread_by_weight() {
        let targets = sticky(&[9000, 1000], false, Some(StickyConfig::Header("x-user".into()))).unwrap();
        let second = (0..20_000).filter(|user| choose(&targets, &format!("user-{user}"), 0) == 1).count();
        // 2000 expected, standard deviation 42
        assert!((1800..2200).contains(&second), "{second}");
        assert_eq!(hash(b"anna"), 0x8ed227c0ee63f504, "clients must not move with a new version");
    }

    proptest! {
        #[test]
        fn a_step_moves_only_the_clients_of_the_share_that_moved(
            first in 0u32..=10_000, step in 0u32..=10_000, users in proptest::collection::vec("[a-z0-9]{1,8}", 1..50),
        ) {
            let second = (first + step).min(10_000);
            let by = || Some(StickyConfig::Header("x-user".into()));
            let (before, after) = (sticky(&[first], true, by()).unwrap(), sticky(&[second], true, by()).unwrap());
            for user in users {
                let place = (u128::from(hash(user.as_bytes())) * 10_000) >> 64;
                let moved = (u128::from(first)..u128::from(second)).contains(&place);
                prop_assert_eq!(choose(&before, &user, 0) != choose(&after, &user, 0), moved);
            }
        }
    }

    #[test]
    fn targets_that_cannot_be_chosen_are_refused() {
        assert_eq!(targets(&[]).unwrap_err().to_string(), "targets: expected 1 to 64 targets, found 0");
        assert_eq!(targets(&[0, 0]).unwrap_err().to_string(), "targets: expected a sum of weights above 0, found 0");
        assert_eq!(targets(&[1, 1_000_001]).unwrap_err().at, "targets[1].weight");
        for bad in ["", "a b", "a\r\n", "\u{e4}"] {
            assert!(checked_cluster(bad.into()).is_err(), "{bad:?}");
        }
    }
}
