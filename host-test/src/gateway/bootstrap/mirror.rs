//! `request_mirror_policies` of a route: who else gets a copy of its requests.

use super::action::known_cluster;
use super::reader::At;
use super::{Cluster, ClusterChoice, InvalidBootstrap};

/// One policy.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Where the copy goes.
    pub cluster: ClusterChoice,
    /// The share of requests that are copied, of a million.
    pub per_million: u32,
    /// The host of the copy stays as it is.
    pub keep_host: bool,
}

const MILLION: u32 = 1_000_000;

impl Mirror {
    pub(super) fn read_all(at: Option<At>, clusters: &[Cluster]) -> Result<Vec<Self>, InvalidBootstrap> {
        let items = at.map_or(Ok(Vec::new()), At::list)?;
        items.into_iter().map(|item| Self::read(item, clusters)).collect()
    }

    fn read(at: At, clusters: &[Cluster]) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let per_million = fields.take("runtime_fraction").map_or(Ok(MILLION), read_share)?;
        let keep_host = fields.flag("disable_shadow_host_suffix_append", false)?;
        let (kind, choice) = fields.one_of(&["cluster", "cluster_header"])?;
        let cluster = match kind {
            "cluster" => ClusterChoice::Named(known_cluster(&choice, clusters)?),
            _ => ClusterChoice::FromHeader(choice.name()?.to_ascii_lowercase()),
        };
        fields.finish()?;
        Ok(Self { cluster, per_million, keep_host })
    }

    /// Whether a request with this random number is copied.
    pub(crate) fn takes(&self, random: u64) -> bool {
        random % u64::from(MILLION) < u64::from(self.per_million)
    }
}

/// `{default_value: {numerator: 1, denominator: HUNDRED}}`
fn read_share(at: At) -> Result<u32, InvalidBootstrap> {
    let mut fraction = at.fields()?;
    let mut value = fraction.need("default_value")?.fields()?;
    fraction.finish()?;
    let numerator = value.take("numerator").map_or(Ok(0), |at| at.number(u64::from(u32::MAX)))?;
    let one = match value.take("denominator") {
        None => 10_000,
        Some(at) => at.choice(&[("HUNDRED", 10_000), ("TEN_THOUSAND", 100), ("MILLION", 1)])?,
    };
    value.finish()?;
    Ok(u32::try_from(numerator.saturating_mul(one)).unwrap_or(u32::MAX).min(MILLION))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(text: &str) -> Result<Mirror, String> {
        let cluster = yaml::parse("{name: c, load_assignment: {cluster_name: c}}").unwrap();
        let cluster = Cluster::read(At::root(cluster), &[]).unwrap();
        Mirror::read(At::root(yaml::parse(text).unwrap()), &[cluster]).map_err(|error| error.to_string())
    }

    #[test]
    fn shares_are_counted_in_millionths() {
        for (fraction, expected) in [
            ("", MILLION),
            (", runtime_fraction: {default_value: {}}", 0),
            (", runtime_fraction: {default_value: {numerator: 25}}", 250_000),
            (", runtime_fraction: {default_value: {numerator: 25, denominator: TEN_THOUSAND}}", 2_500),
            (", runtime_fraction: {default_value: {numerator: 7, denominator: MILLION}}", 7),
            (", runtime_fraction: {default_value: {numerator: 400}}", MILLION),
        ] {
            let mirror = read(&format!("{{cluster: c{fraction}}}")).unwrap();
            assert_eq!(mirror.per_million, expected, "{fraction}");
            assert_eq!(mirror.takes(2_000_006), expected > 6, "{fraction}");
        }
    }

    #[test]
    fn what_is_not_served_is_refused() {
        for (text, expected) in [
            ("{}", "one of `cluster`, `cluster_header` is missing"),
            ("{cluster: d}", "unknown cluster `d`; did you mean `c`?"),
            ("{cluster: c, cluster_header: x}", "only one of them may be set"),
            ("{cluster: c, trace_sampled: true}", "not served by the embedded gateway"),
            ("{cluster: c, runtime_fraction: {default_value: {numerator: 1}, runtime_key: k}}", "not served"),
            ("{cluster: c, runtime_fraction: {}}", "`default_value` is missing"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
