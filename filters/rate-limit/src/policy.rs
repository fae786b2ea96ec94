//! One policy: whose limits, which limits, and what a request takes of them.

use crate::claim::Claim;
use crate::config::{CostConfig, MissingKey, Mode, OnFull, PolicyConfig, ServiceConfig, SettleConfig, TableConfig};
use crate::global::Global;
use crate::key::{Consumers, Key, Place, Secret, place};
use crate::limit::Limit;
use crate::{remote, set};
use filter_kit::matching::{MatchingConfig, Request, RequestMatch};
use filter_kit::{ConfigError, CounterId, Env, MetricTable, head, rule};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A compiled policy.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    matched: Vec<RequestMatch>,
    /// Whether it takes everything.
    takes_all: bool,
    key: Key,
    missing_key: MissingKey,
    /// Names in headers.
    pub(crate) limit_names: Vec<String>,
    pub(crate) limits: Rc<[Limit]>,
    tiers: BTreeMap<String, Rc<[Limit]>>,
    pub(crate) global: Option<Global>,
    tier_header: Option<String>,
    tier_keys: BTreeMap<String, String>,
    cost: CostConfig,
    pub(crate) settle: Option<SettleConfig>,
    pub(crate) enforced: u32,
    rows: u64,
    pub(crate) on_full: OnFull,
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
    pub(crate) cas_retries: CounterId,
}

/// What a policy says of a request before its limits are asked.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It has no say.
    NoSay,
    /// The request lacks a part of the key and is refused for it.
    KeyMissing,
    /// Its limits have to be asked.
    Claim(Claim),
}

const MAX_LIMITS: usize = 8;
const MAX_TIERS: usize = 64;
const MAX_TIER_KEYS: usize = 10_000;
const METRIC_PREFIX: &str = "sluice_ratelimit";

/// What policies share.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) service: Option<ServiceConfig>,
    pub(crate) consumers: Option<Rc<Consumers>>,
}

impl Policy {
    pub(crate) fn new(
        config: PolicyConfig,
        table: &TableConfig,
        matching: &MatchingConfig,
        world: &World,
        metrics: &mut MetricTable,
    ) -> Result<Self, ConfigError> {
        rule::check_name(&config.name)?;
        let takes_all = config.r#match.is_none() && config.matches.is_empty();
        let matched = rule::alternatives(config.r#match, config.matches, matching)?;
        if matched.iter().any(RequestMatch::wants_body) {
            return Err(ConfigError::new("match.json_body", "expected conditions that the head can meet"));
        }
        let key = Key::new(config.key, world.consumers.clone()).map_err(|error| error.within("key"))?;
        let least = usize::from(config.global.is_none());
        if !(least..=MAX_LIMITS).contains(&config.limits.len()) {
            let why = format!("expected 1 to {MAX_LIMITS} limits, found {}", config.limits.len());
            return Err(ConfigError::new("limits", why));
        }
        let limits = config.limits.iter().enumerate();
        let limits: Vec<Limit> = limits
            .map(|(index, limit)| Limit::new(limit).map_err(|error| error.within(&format!("limits[{index}]"))))
            .collect::<Result<_, _>>()?;
        let global = config.global.map(|global| {
            let service = world.service.as_ref().ok_or_else(|| {
                ConfigError::new("", "expected \"service\" beside the policies, which says whom to ask")
            })?;
            Global::new(global, service, key.len(), &limits)
        });
        let global = global.transpose().map_err(|error| error.within("global"))?;
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
            CostConfig::BodyBytes(bytes) if !(1..=crate::bucket::MAX_UNITS).contains(&bytes.per) => {
                let why = format!("expected 1 to {}, found {}", crate::bucket::MAX_UNITS, bytes.per);
                return Err(ConfigError::new("cost.body_bytes.per", why));
            }
            CostConfig::BodyBytes(bytes) if bytes.otherwise > crate::bucket::MAX_UNITS => {
                let why = format!("expected at most {}, found {}", crate::bucket::MAX_UNITS, bytes.otherwise);
                return Err(ConfigError::new("cost.body_bytes.otherwise", why));
            }
            _ => {}
        }
        if let Some(settle) = &config.settle {
            if !head::is_header_name(&settle.header) {
                let why = format!("expected a header name, found {:?}", settle.header);
                return Err(ConfigError::new("settle.header", why));
            }
            if matches!(config.cost, CostConfig::BodyBytes(_)) {
                return Err(ConfigError::new("settle", "expected none: a cost by the size of the body settles itself"));
            }
        }
        if config.enforced > 10_000 {
            return Err(ConfigError::new("enforced", format!("expected 0 to 10000, found {}", config.enforced)));
        }
        let mut count = |result: &str| {
            metrics.counter(METRIC_PREFIX, &[("policy", &config.name), ("result", result)], "requests_total")
        };
        let (allowed, limited) = (count("allowed"), count("limited"));
        let (shadow_limited, error, missing_key) = (count("shadow_limited"), count("error"), count("missing_key"));
        let mut count = |what: &str| metrics.counter(METRIC_PREFIX, &[("policy", &config.name)], what);
        let (evictions, table_full) = (count("evictions_total"), count("table_full_total"));
        let cas_retries = count("cas_retries_total");
        let counts =
            Counts { allowed, limited, shadow_limited, error, missing_key, evictions, table_full, cas_retries };
        Ok(Self {
            // the version of the layout, kinds of the limits: what would not be understood is not found
            prefix: format!("l2{}{:08x}", kinds(&limits, global.as_ref()), fold(&config.name)),
            rows: match &global {
                // the service has it all
                Some(global) if global.mode == Mode::Strict && limits.is_empty() => 0,
                _ if key.is_constant() => 1,
                _ => table.rows.into(),
            },
            on_full: table.on_full,
            name: config.name,
            matched,
            takes_all,
            key,
            missing_key: config.missing_key,
            limit_names,
            limits: limits.into(),
            tiers,
            global,
            tier_header: config.tier_header.map(|name| name.to_ascii_lowercase()),
            tier_keys: config.tier_keys,
            cost: config.cost,
            settle: config.settle,
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
        self.rows * u64::try_from(set::row_size(self.states())).unwrap_or(u64::MAX)
    }

    /// States of an entry: one for each limit, and what is known of the service's limit.
    pub(crate) fn states(&self) -> usize {
        let keeps = self.global.as_ref().is_some_and(|global| global.mode != Mode::Strict);
        self.limits.len() + if keeps { remote::STATES } else { 0 }
    }

    /// Whether the cost is known only when the exchange is over.
    pub(crate) fn counts_bytes(&self) -> Option<u64> {
        match &self.cost {
            CostConfig::BodyBytes(bytes) => Some(bytes.per),
            CostConfig::Constant(_) | CostConfig::Header(_) => None,
        }
    }

    /// Whether what it wants depends on the request's head.
    pub(crate) fn reads_head(&self) -> bool {
        let constant = matches!(self.cost, CostConfig::Constant(_));
        !self.takes_all || self.key.reads_head() || self.tier_header.is_some() || !constant || self.global.is_some()
    }

    /// What it wants of a request.
    pub(crate) fn ask(self: &Rc<Self>, request: &Request<'_>, env: &dyn Env, secret: &Secret) -> Asked {
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
        let row = self.row_name(row % self.rows.max(1));
        let (cost, is_exact) = self.cost(request);
        Asked::Claim(Claim {
            limits: Rc::clone(limits),
            row,
            fingerprint,
            cost,
            is_exact,
            is_enforced: true,
            entries: self.global.as_ref().map(|global| global.entries(&self.key, &parts)).unwrap_or_default(),
            policy: Rc::clone(self),
        })
    }

    /// What the store calls a row: four digits behind the prefix, since there are at most 65,536.
    fn row_name(&self, row: u64) -> String {
        let mut name = String::with_capacity(self.prefix.len() + 4);
        name.push_str(&self.prefix);
        let digit = |shift: u32| char::from_digit(u32::try_from(row >> shift & 15).unwrap_or(0), 16);
        name.extend([12, 8, 4, 0].into_iter().filter_map(digit));
        name
    }

    fn tier(&self, request: &Request<'_>, parts: &[Cow<'_, [u8]>]) -> Option<&Rc<[Limit]>> {
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

    /// What a request takes at first, and whether that is what it costs.
    fn cost(&self, request: &Request<'_>) -> (u64, bool) {
        let number = |name: &str| {
            let value = request.header(name)?;
            std::str::from_utf8(&value).ok()?.trim().parse::<u64>().ok()
        };
        let (cost, is_exact) = match &self.cost {
            CostConfig::Constant(units) => (*units, true),
            CostConfig::Header(header) => (number(&header.name).unwrap_or(header.otherwise), true),
            CostConfig::BodyBytes(bytes) => match number("content-length") {
                Some(length) => (length.div_ceil(bytes.per.max(1)), true),
                None => (bytes.otherwise, false),
            },
        };
        (cost.min(crate::bucket::MAX_UNITS), is_exact && self.settle.is_none())
    }
}

fn tiers(
    configs: &BTreeMap<String, Vec<crate::config::TierLimitConfig>>,
    limits: &[Limit],
) -> Result<BTreeMap<String, Rc<[Limit]>>, ConfigError> {
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
        Ok((name.clone(), each.collect::<Result<Rc<[Limit]>, _>>()?))
    };
    configs.iter().map(tier).collect()
}

/// Number and kinds of limits, in five characters: a bucket's state is a time on another clock than a window's.
fn kinds(limits: &[Limit], global: Option<&Global>) -> String {
    let kind = |limit: &Limit| match limit {
        Limit::Bucket(_) => 1u16,
        Limit::Window(_) => 2,
        Limit::Concurrency(_) => 3,
    };
    let kinds = limits.iter().take(MAX_LIMITS).fold(0u16, |kinds, limit| kinds << 2 | kind(limit));
    let mode = global.map_or('n', |global| match global.mode {
        Mode::Strict => 's',
        Mode::Lease => 'l',
        Mode::Report => 'r',
    });
    format!("{kinds:04x}{mode}")
}

/// A short form of a name for the keys of a store; policies whose names share one are refused together.
fn fold(name: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().fold(0x811c_9dc5, step)
}
