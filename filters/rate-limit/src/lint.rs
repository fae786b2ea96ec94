//! What a configuration says that is allowed, and probably not meant.

use crate::config::{Config, CostConfig, LimitConfig, Mode, PolicyConfig, WindowConfig};
use crate::filter::RateLimit;
use filter_kit::ConfigError;
use filter_kit::lint::Remark;

/// Remarks on a configuration, with their paths.
///
/// # Errors
/// If it is refused anyway.
pub fn lint(config: &Config) -> Result<Vec<Remark>, ConfigError> {
    RateLimit::new(config.clone())?;
    let mut remarks = Vec::new();
    if config.service.is_some() && config.policies.iter().all(|policy| policy.global.is_none()) {
        remarks.push(Remark::new("service", "no policy has `global`: nobody asks this service"));
    }
    for (index, policy) in config.policies.iter().enumerate() {
        let at = format!("policies[{index}]");
        remarks.extend(on_policy(policy).into_iter().map(|remark| remark.within(&at)));
    }
    Ok(remarks)
}

/// The cluster that a configuration needs, and where it says so.
pub fn cluster(config: &Config) -> Option<(String, &str)> {
    config.service.as_ref().map(|service| ("service.cluster".to_owned(), service.cluster.as_str()))
}

fn on_policy(policy: &PolicyConfig) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if policy.tier_header.is_none() {
        let unused = policy.tiers.keys().filter(|tier| !policy.tier_keys.values().any(|used| used == *tier));
        remarks.extend(unused.map(|tier| {
            Remark::new(format!("tiers.{tier}"), "no request is in this tier: no key is, and there is no `tier_header`")
        }));
    }
    if policy.tiers.is_empty() && policy.tier_header.is_some() {
        remarks.push(Remark::new("tier_header", "there are no `tiers` that it could name"));
    }
    for (index, limit) in policy.limits.iter().enumerate() {
        let at = format!("limits[{index}]");
        let capacity = if limit.burst > 0 { limit.burst } else { limit.units };
        if let (CostConfig::Constant(cost), 0) = (&policy.cost, limit.concurrent)
            && *cost > capacity
        {
            let why = format!("no request ever passes: each costs {cost}, and {capacity} is all there ever is");
            remarks.push(Remark::new(at.clone(), why));
        }
        if is_long(limit) {
            let why = "a bucket of a day or more lets its whole `burst` pass at once, and begins full whenever Envoy is started; \
                       a budget is meant by `window`";
            remarks.push(Remark::new(format!("{at}.per_ms"), why));
        }
    }
    if let (Some(global), [limit]) = (&policy.global, policy.limits.as_slice())
        && global.send_limit
        && global.mode == Mode::Lease
        && global.lease.clone().unwrap_or_default().units > limit.units
    {
        let why = format!("a lease is more than the whole limit of {}: it will only be granted in parts", limit.units);
        remarks.push(Remark::new("global.lease.units", why));
    }
    remarks
}

fn is_long(limit: &LimitConfig) -> bool {
    const DAY_MS: u64 = 86_400_000;
    limit.per_ms >= DAY_MS && !matches!(limit.window, Some(WindowConfig::Day(_) | WindowConfig::Month(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remarks(policies: &str, rest: &str) -> Vec<String> {
        let json = format!(r#"{{"policies": [{policies}] {rest}}}"#);
        let remarks = lint(&filter_kit::config::parse(json.as_bytes()).unwrap()).unwrap();
        remarks.into_iter().map(|remark| format!("{}: {}", remark.at, remark.why)).collect()
    }

    #[test]
    fn what_has_no_effect_or_too_much_is_told() {
        let service = r#", "service": {"cluster": "c", "domain": "d"}"#;
        for (policies, rest, expected) in [
            (r#"{"name": "a", "limits": [{"units": 1, "per_ms": 1}]}"#, "", &[][..]),
            (
                r#"{"name": "a", "limits": [{"units": 1, "per_ms": 1}]}"#,
                service,
                &["service: no policy has `global`: nobody asks this service"],
            ),
            (
                r#"{"name": "a", "limits": [{"units": 1, "per_ms": 1}], "tiers": {"x": [{"units": 1}]}}"#,
                "",
                &["policies[0].tiers.x: no request is in this tier: no key is, and there is no `tier_header`"],
            ),
            (
                r#"{"name": "a", "limits": [{"units": 1, "per_ms": 1}], "tier_header": "x-plan"}"#,
                "",
                &["policies[0].tier_header: there are no `tiers` that it could name"],
            ),
            (
                r#"{"name": "a", "cost": {"constant": 5}, "limits": [{"units": 4, "per_ms": 1}, {"concurrent": 1}]}"#,
                "",
                &["policies[0].limits[0]: no request ever passes: each costs 5, and 4 is all there ever is"],
            ),
            (
                r#"{"name": "a", "key": ["host"], "limits": [{"units": 4, "per_ms": 1000}],
                    "global": {"descriptor": ["h"], "mode": "lease", "send_limit": true}}"#,
                service,
                &[
                    "policies[0].global.lease.units: a lease is more than the whole limit of 4: it will only be granted in parts",
                ],
            ),
        ] {
            assert_eq!(remarks(policies, rest), expected, "{policies}");
        }
        let day = r#"{"name": "a", "limits": [{"units": 4, "per_ms": 86400000}]}"#;
        assert!(remarks(day, "")[0].starts_with("policies[0].limits[0].per_ms: a bucket of a day or more"));
    }
}
