//! What came in.

use rate_limit_protocol::{Descriptor, Request};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// A call as a test looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Call {
    /// The domain.
    pub domain: String,
    /// Each descriptor's entries as `key=value`, a limit of the request's own behind them as `limit 9/hour`.
    pub descriptors: Vec<Vec<String>>,
    /// What it takes from each of them.
    #[serde(default)]
    pub hits: Hits,
}

/// Hits of a call: one number for all descriptors, or one for each. Negative ones are given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hits {
    /// The same for all.
    All(i64),
    /// For each, in order.
    Each(Vec<i64>),
}

impl Default for Hits {
    fn default() -> Self {
        Self::All(1)
    }
}

impl Call {
    pub(crate) fn new(request: &Request) -> Self {
        let Request { domain, descriptors, hits_addend } = request;
        let each: Vec<i64> = descriptors.iter().map(|one| signed(one, *hits_addend)).collect();
        let hits = match each.split_first() {
            Some((first, rest)) if rest.iter().all(|other| other == first) => Hits::All(*first),
            _ => Hits::Each(each),
        };
        Self { domain: domain.clone(), descriptors: descriptors.iter().map(entries).collect(), hits }
    }
}

/// Hits of a descriptor without its sign.
pub(crate) fn hits(descriptor: &Descriptor, of_request: u32) -> u64 {
    descriptor.hits_addend.unwrap_or_else(|| u64::from(of_request.max(1)))
}

fn signed(descriptor: &Descriptor, of_request: u32) -> i64 {
    let hits = i64::try_from(hits(descriptor, of_request)).unwrap_or(i64::MAX);
    if descriptor.is_negative_hits { -hits } else { hits }
}

fn entries(descriptor: &Descriptor) -> Vec<String> {
    let limit = descriptor.limit.as_ref();
    let limit = limit.map(|limit| {
        let unit = format!("{:?}", limit.unit()).to_ascii_lowercase();
        format!("limit {}/{unit}", limit.requests_per_unit)
    });
    descriptor.entries.iter().map(|entry| format!("{}={}", entry.key, entry.value)).chain(limit).collect()
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.domain)?;
        for descriptor in &self.descriptors {
            write!(f, " [{}]", descriptor.join(", "))?;
        }
        match &self.hits {
            Hits::All(hits) => write!(f, " hits {hits}"),
            Hits::Each(each) => write!(f, " hits {each:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for Hits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Hits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a list of one for each descriptor")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Hits, E> {
                Ok(Hits::All(number))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Hits, E> {
                i64::try_from(number).map(Hits::All).map_err(|_| E::custom("expected a number below 2^63"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Hits, A::Error> {
                let mut each = Vec::new();
                while let Some(number) = numbers.next_element()? {
                    each.push(number);
                }
                Ok(Hits::Each(each))
            }
        }
        deserializer.deserialize_any(Numbers)
    }
}
