//! Which limit a descriptor has.

use crate::config::{Config, Descriptor, RateLimit};
use rate_limit_protocol as protocol;

/// A limit that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Limit {
    /// There is none.
    None,
    /// Any number of hits.
    Unlimited,
    /// So many hits in each unit.
    Counted {
        /// The hits.
        requests_per_unit: u32,
        /// The unit.
        unit: protocol::Unit,
        /// What it is called.
        name: String,
        /// It does not refuse.
        shadow: bool,
    },
}

/// Finds the limit of a descriptor. One of the request takes the place of what is configured, but only where there is such a domain.
pub(crate) fn find(config: &Config, domain: &str, descriptor: &protocol::Descriptor) -> Limit {
    let Some(domain) = config.domains.iter().find(|known| known.domain == domain) else { return Limit::None };
    if let Some(limit) = &descriptor.limit {
        return match limit.unit() {
            protocol::Unit::Unknown => Limit::None,
            unit => {
                let requests_per_unit = limit.requests_per_unit;
                Limit::Counted { requests_per_unit, unit, name: String::new(), shadow: false }
            }
        };
    }
    let mut siblings = domain.descriptors.as_slice();
    let mut last = None;
    for entry in &descriptor.entries {
        last = step(siblings, entry);
        siblings = last.map(|node| node.descriptors.as_slice()).unwrap_or_default();
    }
    let Some(Descriptor { rate_limit: Some(limit), shadow_mode, .. }) = last else { return Limit::None };
    let RateLimit { requests_per_unit, unit, unlimited, name } = limit;
    if *unlimited {
        return Limit::Unlimited;
    }
    let (requests_per_unit, unit) = (*requests_per_unit, (*unit).into());
    Limit::Counted { requests_per_unit, unit, name: name.clone(), shadow: *shadow_mode }
}

/// The node of an entry: the one with its value, else the one for any.
fn step<'a>(siblings: &'a [Descriptor], entry: &protocol::Entry) -> Option<&'a Descriptor> {
    let of_key = || siblings.iter().filter(|node| node.key == entry.key);
    let exact = of_key().find(|node| node.value.as_ref() == Some(&entry.value));
    exact.or_else(|| of_key().find(|node| node.value.is_none()))
}
