//! One policy: whose limits, which limits, and what a request takes of them.

use crate::config::{CostConfig, MissingKey, OnFull, PolicyConfig, TableConfig};
use crate::key::{Key, Place, Secret, place};
use crate::limit::{Limit, Now, Verdict};
use crate::set::{self, Row, State};
use filter_kit::matching::{MatchingConfig, Request, RequestMatch};
use filter_kit::{ConfigError, CounterId, Env, MetricTable, head, rule};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A compiled policy.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    matched: Vec<RequestMatch>,
    key: Key,
    missing_key: MissingKey,
    /// Names in headers.
    pub(crate) limit_names: Vec<String>,
    limits: Vec<Limit>,
    tiers: BTreeMap<String, Vec<Limit>>,
    tier_header: Option<String>,
    tier_keys: BTreeMap<String, String>,
    cost: CostConfig,
    pub(crate) enforced: u32,
    rows: u64,
    on_full: OnFull,
    /// What rows are called in the store, but for their number.
    prefix: String,
    pub(crate) counts: Counts,
}

/// What is counted.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) allowed: CounterId,
    pub(crate) limited: CounterId,
    pub(crate) shadow_limited: CounterId,
    pub(crate) error: CounterId,
    pub(crate) missing_key: CounterId,
    pub(crate) evictions: CounterId,
    pub(crate) table_full: CounterId,
}

/// What a policy wants of a request: all that is needed to ask its limits.
#[derive(Debug)]
pub(crate) struct Claim<'t> {
    pub(crate) policy: &'t Policy,
    pub(crate) limits: &'t [Limit],
    row: String,
    fingerprint: u64,
    pub(crate) cost: u64,
    /// A refusal is carried out, and not only counted.
    pub(crate) is_enforced: bool,
}

/// What a policy says of a request before its limits are asked.
#[derive(Debug)]
pub(crate) enum Asked<'t> {
    /// It has no say.
    NoSay,
    /// The request lacks a part of the key and is refused for it.
    KeyMissing,
    /// Its limits have to be asked.
    Claim(Claim<'t>),
}

/// What the limits of a claim say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) verdicts: Vec<Verdict>,
    /// There was no place for the key.
    pub(crate) is_full: bool,
    /// Another key had to make room.
    pub(crate) evicted: bool,
}

impl Outcome {
    pub(crate) fn allowed(&self) -> bool {
        !self.is_full && self.verdicts.iter().all(|verdict| verdict.allowed)
    }
}

const MAX_LIMITS: usize = 8;
const MAX_TIERS: usize = 64;
const MAX_TIER_KEYS: usize = 10_000;
const MAX_ROWS: u32 = 65_536;
const METRIC_PREFIX: &str = "sluice_ratelimit";

impl Policy {
    pub(crate) fn new(
        config: PolicyConfig,
        table: &TableConfig,
        matching: &MatchingConfig,
        metrics: &mut MetricTable,
    ) -> Result<Self, ConfigError> {
        rule::check_name(&config.name)?;
        let matched = rule::alternatives(config.r#match, config.matches, matching)?;
        if matched.iter().any(RequestMatch::wants_body) {
            return Err(ConfigError::new("match.json_body", "expected conditions that the head can meet"));
        }
        let key = Key::new(config.key).map_err(|error| error.within("key"))?;
        if !(1..=MAX_LIMITS).contains(&config.limits.len()) {
            let why = format!("expected 1 to {MAX_LIMITS} limits, found {}", config.limits.len());
            return Err(ConfigError::new("limits", why));
        }
        let limits = config.limits.iter().enumerate();
        let limits: Vec<Limit> = limits
            .map(|(index, limit)| Limit::new(limit).map_err(|error| error.within(&format!("limits[{index}]"))))
            .collect::<Result<_, _>>()?;
        let several = config.limits.len() > 1;
        let named = config.limits.iter().enumerate().map(|(index, limit)| match &limit.name {
            Some(name) if !(1..=128).contains(&name.len()) || !name.bytes().all(|b| matches!(b, b' '..=b'~')) => {
                let why = format!("expected 1 to 128 visible ASCII characters, found {name:?}");
                Err(ConfigError::new(format!("limits[{index}].name"), why))
            }
            Some(name) => Ok(name.clone()),
            None if several => Ok(format!("{}-{}", config.name, index + 1)),
            None => Ok(config.name.clone()),
        });
        let limit_names = named.collect::<Result<Vec<_>, _>>()?;
        let tiers = tiers(&config.tiers, &limits).map_err(|error| error.within("tiers"))?;
        if let Some(name) = config.tier_header.as_deref().filter(|name| !head::is_header_name(name)) {
            return Err(ConfigError::new("tier_header", format!("expected a header name, found {name:?}")));
        }
        if config.tier_keys.len() > MAX_TIER_KEYS {
            let why = format!("expected at most {MAX_TIER_KEYS} keys, found {}", config.tier_keys.len());
            return Err(ConfigError::new("tier_keys", why));
        }
        // the keys may be secrets: they stand in no error
        if let Some(tier) = config.tier_keys.values().find(|tier| !tiers.contains_key(*tier)) {
            let known: Vec<&str> = tiers.keys().map(String::as_str).collect();
            let near = filter_kit::config::nearest(tier, &known);
            let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            return Err(ConfigError::new("tier_keys", format!("expected names of tiers, found {tier:?}{near}")));
        }
        match &config.cost {
            CostConfig::Constant(units) if !(1..=crate::bucket::MAX_UNITS).contains(units) => {
                let why = format!("expected 1 to {}, found {units}", crate::bucket::MAX_UNITS);
                return Err(ConfigError::new("cost.constant", why));
            }
            CostConfig::Header(header) if !head::is_header_name(&header.name) => {
                let why = format!("expected a header name, found {:?}", header.name);
                return Err(ConfigError::new("cost.header.name", why));
            }
            _ => {}
        }
        if config.enforced > 10_000 {
            return Err(ConfigError::new("enforced", format!("expected 0 to 10000, found {}", config.enforced)));
        }
        if !(1..=MAX_ROWS).contains(&table.rows) {
            return Err(ConfigError::new("", format!("expected 1 to {MAX_ROWS} rows, found {}", table.rows)));
        }
        let mut count = |result: &str| {
            metrics.counter(METRIC_PREFIX, &[("policy", &config.name), ("result", result)], "requests_total")
        };
        let (allowed, limited) = (count("allowed"), count("limited"));
        let (shadow_limited, error, missing_key) = (count("shadow_limited"), count("error"), count("missing_key"));
        let mut count = |what: &str| metrics.counter(METRIC_PREFIX, &[("policy", &config.name)], what);
        let (evictions, table_full) = (count("evictions_total"), count("table_full_total"));
        let counts = Counts { allowed, limited, shadow_limited, error, missing_key, evictions, table_full };
        Ok(Self {
            // the version of the layout, number and kinds of the limits: what would not be understood is not found
            prefix: format!("l1{}{:02x}{:08x}", limits.len(), kinds(&limits), fold(&config.name)),
            rows: if key.is_constant() { 1 } else { table.rows.into() },
            on_full: table.on_full,
            name: config.name,
            matched,
            key,
            missing_key: config.missing_key,
            limit_names,
            limits,
            tiers,
            tier_header: config.tier_header.map(|name| name.to_ascii_lowercase()),
            tier_keys: config.tier_keys,
            cost: config.cost,
            enforced: config.enforced,
            counts,
        })
    }

    /// What the store calls this policy.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Bytes of state, when all rows are in use.
    pub(crate) fn bytes(&self) -> u64 {
        self.rows * u64::try_from(set::row_size(self.limits.len())).unwrap_or(u64::MAX)
    }

    /// What it wants of a request.
    pub(crate) fn ask(&self, request: &Request<'_>, env: &dyn Env, secret: &Secret) -> Asked<'_> {
        if !self.matched.iter().any(|matched| matched.matches(request)) {
            return Asked::NoSay;
        }
        let parts = match (self.key.values(request, env), self.missing_key) {
            (Some(parts), _) => parts,
            (None, MissingKey::Skip) => return Asked::NoSay,
            (None, MissingKey::Deny) => return Asked::KeyMissing,
            // no key of all its parts hashes like this one
            (None, MissingKey::Shared) => Vec::new(),
        };
        let Place { row, fingerprint } = place(&parts, secret);
        let limits = self.tier(request, &parts).unwrap_or(&self.limits);
        let row = format!("{}{:04x}", self.prefix, row % self.rows);
        Asked::Claim(Claim { policy: self, limits, row, fingerprint, cost: self.cost(request), is_enforced: true })
    }

    fn tier(&self, request: &Request<'_>, parts: &[Cow<'_, [u8]>]) -> Option<&Vec<Limit>> {
        if self.tiers.is_empty() {
            return None;
        }
        if !self.tier_keys.is_empty() {
            let text = parts.join(&b'|');
            let tier = std::str::from_utf8(&text).ok().and_then(|text| self.tier_keys.get(text));
            if let Some(tier) = tier {
                return self.tiers.get(tier);
            }
        }
        let value = request.header(self.tier_header.as_deref()?)?;
        self.tiers.get(std::str::from_utf8(&value).ok()?)
    }

    fn cost(&self, request: &Request<'_>) -> u64 {
        match &self.cost {
            CostConfig::Constant(units) => *units,
            CostConfig::Header(header) => {
                let value = request.header(&header.name);
                let stated = value.and_then(|value| std::str::from_utf8(&value).ok()?.trim().parse().ok());
                stated.unwrap_or(header.otherwise).min(crate::bucket::MAX_UNITS)
            }
        }
    }
}

impl Claim<'_> {
    /// Name of the row in the store.
    pub(crate) fn row(&self) -> &str {
        &self.row
    }

    /// The key's hash, cut short.
    pub(crate) fn short_key(&self) -> String {
        format!("{:08x}", self.fingerprint >> 32)
    }

    /// Asks the limits, given the row, and takes of all of them or of none. The second value is the row afterwards, if it
    /// changes.
    pub(crate) fn take(&self, bytes: Option<&[u8]>, now: Now) -> (Outcome, Option<Vec<u8>>) {
        let mut row = Row::new(bytes, self.limits.len());
        let (way, states, evicted) = match self.entry(&row, now) {
            Some(found) => found,
            None => return (Outcome { verdicts: Vec::new(), is_full: true, evicted: false }, None),
        };
        let verdicts: Vec<Verdict> =
            self.limits.iter().zip(&states).map(|(limit, state)| limit.take(*state, now, self.cost)).collect();
        let outcome = Outcome { verdicts, is_full: false, evicted: false };
        if !outcome.allowed() {
            // what would have been left, had nothing been taken
            let looked = self.limits.iter().zip(&states).zip(&outcome.verdicts);
            let verdicts = looked.map(|((limit, state), verdict)| match verdict.allowed {
                true => Verdict { state: *state, ..limit.take(*state, now, 0) },
                false => *verdict,
            });
            return (Outcome { verdicts: verdicts.collect(), ..outcome }, None);
        }
        let states: Vec<State> = outcome.verdicts.iter().map(|verdict| verdict.state).collect();
        row.write(way, self.fingerprint, &states);
        (Outcome { evicted, ..outcome }, Some(row.into_bytes()))
    }

    /// Gives back what has been taken. The row afterwards, if the entry is still there.
    pub(crate) fn give_back(&self, bytes: Option<&[u8]>, now: Now) -> Option<Vec<u8>> {
        let mut row = Row::new(bytes, self.limits.len());
        let set::Place::Found(way) = row.find(self.fingerprint, |_| false) else { return None };
        let states = row.states(way);
        let states: Vec<State> =
            self.limits.iter().zip(states).map(|(limit, state)| limit.give_back(state, now, self.cost)).collect();
        row.write(way, self.fingerprint, &states);
        Some(row.into_bytes())
    }

    /// The way, its states, and whether another entry has to make room.
    fn entry(&self, row: &Row, now: Now) -> Option<(usize, Vec<State>, bool)> {
        let unused = || vec![(0, 0); self.limits.len()];
        let is_idle =
            |states: &[State]| self.policy.limits.iter().zip(states).all(|(limit, state)| limit.is_idle(*state, now));
        match row.find(self.fingerprint, is_idle) {
            set::Place::Found(way) => Some((way, row.states(way), false)),
            set::Place::Free(way) => Some((way, unused(), false)),
            set::Place::Full if self.policy.on_full == OnFull::Deny => None,
            set::Place::Full => {
                // whoever is soonest as good as new loses least
                let idle_after = |way: &usize| {
                    let states = row.states(*way);
                    self.policy.limits.iter().zip(states).map(|(limit, state)| limit.idle_after(state, now)).max()
                };
                (0..set::WAYS).min_by_key(idle_after).map(|way| (way, unused(), true))
            }
        }
    }
}

fn tiers(
    configs: &BTreeMap<String, Vec<crate::config::TierLimitConfig>>,
    limits: &[Limit],
) -> Result<BTreeMap<String, Vec<Limit>>, ConfigError> {
    if configs.len() > MAX_TIERS {
        return Err(ConfigError::new("", format!("expected at most {MAX_TIERS} tiers, found {}", configs.len())));
    }
    let tier = |(name, numbers): (&String, &Vec<crate::config::TierLimitConfig>)| {
        if numbers.len() != limits.len() {
            let why = format!("expected numbers for {} limits, found {}", limits.len(), numbers.len());
            return Err(ConfigError::new(name.clone(), why));
        }
        let each = limits.iter().zip(numbers).enumerate().map(|(index, (limit, numbers))| {
            let new = limit.with(numbers.units, numbers.burst);
            new.map_err(|error| error.within(&format!("{name}[{index}]")))
        });
        Ok((name.clone(), each.collect::<Result<Vec<_>, _>>()?))
    };
    configs.iter().map(tier).collect()
}

/// A bit for each limit: a bucket's state is a time on another clock than a window's.
fn kinds(limits: &[Limit]) -> u8 {
    let bit = |(index, limit): (usize, &Limit)| u8::from(matches!(limit, Limit::Window(_))) << index;
    limits.iter().take(MAX_LIMITS).enumerate().map(bit).sum()
}

/// A short form of a name for the keys of a store; policies whose names share one are refused together.
fn fold(name: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().fold(0x811c_9dc5, step)
}
