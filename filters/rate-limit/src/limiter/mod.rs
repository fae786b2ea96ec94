//! Decides on requests: asks all policies, and takes of all of them or of none.

mod background;
mod decide;
mod step;
mod taking;

pub(crate) use background::Sent;
pub use step::Asking;
pub(crate) use step::{Decision, Price, Step};

use crate::answer::Answer;
use crate::config::{Config, OnContention, Scope};
use crate::global;
use crate::key::{Consumers, Secret};
use crate::limit::{Limit, Now};
use crate::policy::{Policy, World};
use background::{Background, CallCounts};
use filter_kit::env::Step as Update;
use filter_kit::matching::{MatchingConfig, PathForm};
use filter_kit::{ConfigError, Contended, Env, MetricTable};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) matching: MatchingConfig,
    pub(crate) policies: Vec<Rc<Policy>>,
    scope: Scope,
    on_contention: OnContention,
    pub(crate) answer: Answer,
    /// Whether a decision depends on the request's head.
    pub(crate) reads_head: bool,
    /// Whether a decision depends on the time since 1970.
    reads_wall: bool,
    consumers: Option<Rc<Consumers>>,
    log_fields: bool,
    /// The store of `scope: worker`; it has at most as many rows as the table.
    own: RefCell<HashMap<String, Vec<u8>>>,
    secret: Cell<Option<Secret>>,
    pub(crate) metrics: MetricTable,
    calls: Option<CallCounts>,
    /// Calls that nobody waits for, by their tags. The host bounds their number.
    background: RefCell<HashMap<u64, Background>>,
    last_tag: Cell<u64>,
    /// The log has a line about the service that does not answer.
    complained: Cell<bool>,
}

const MAX_POLICIES: usize = 64;
const MAX_ROWS: u32 = 65_536;
/// Most bytes of state that a configuration may ask for.
const MAX_STATE: u64 = 1 << 30;
/// What the store calls the secret.
const SECRET: &str = "l1secret";

impl Limiter {
    pub(crate) fn new(config: Config) -> Result<Self, ConfigError> {
        if config.policies.len() > MAX_POLICIES {
            let why = format!("expected at most {MAX_POLICIES} policies, found {}", config.policies.len());
            return Err(ConfigError::new("policies", why));
        }
        if !(1..=MAX_ROWS).contains(&config.table.rows) {
            let why = format!("expected 1 to {MAX_ROWS}, found {}", config.table.rows);
            return Err(ConfigError::new("table.rows", why));
        }
        if let Some(service) = &config.service {
            global::check(service).map_err(|error| error.within("service"))?;
        }
        let consumers = config.consumers.map(Consumers::new).transpose();
        let consumers = consumers.map_err(|error| error.within("consumers"))?.map(Rc::new);
        let world = World { service: config.service, consumers: consumers.clone() };
        let mut metrics = MetricTable::default();
        let mut policies: Vec<Rc<Policy>> = Vec::with_capacity(config.policies.len());
        for (index, policy) in config.policies.into_iter().enumerate() {
            let at = format!("policies[{index}]");
            let policy = Policy::new(policy, &config.table, &config.matching, &world, &mut metrics);
            let policy = policy.map_err(|error| error.within(&at))?;
            let twin = policies.iter().position(|other| other.name == policy.name || other.prefix() == policy.prefix());
            if let Some(twin) = twin {
                let why = format!("expected a name unlike that of policies[{twin}], found {:?}", policy.name);
                return Err(ConfigError::new(format!("{at}.name"), why));
            }
            policies.push(Rc::new(policy));
        }
        let bytes: u64 = policies.iter().map(|policy| policy.bytes()).sum();
        if bytes > MAX_STATE {
            let why = format!("expected rows for at most {MAX_STATE} bytes in all, found {bytes}");
            return Err(ConfigError::new("table.rows", why));
        }
        let calls = world.service.is_some().then(|| {
            let mut count =
                |outcome| metrics.counter("sluice_ratelimit", &[("outcome", outcome)], "service_calls_total");
            CallCounts { ok: count("ok"), over_limit: count("over_limit"), error: count("error") }
        });
        let answer = Answer::new(config.answer, config.response_headers).map_err(|error| error.within("answer"))?;
        metrics.check()?;
        let reads_head = config.matching.path_form() != PathForm::default()
            || consumers.is_some()
            || answer.reads_head()
            || policies.iter().any(|policy| policy.reads_head());
        let limits = policies.iter().flat_map(|policy| policy.limits.iter());
        Ok(Self {
            reads_head,
            reads_wall: limits.into_iter().any(|limit| matches!(limit, Limit::Window(_))),
            matching: config.matching,
            policies,
            scope: config.table.scope,
            on_contention: config.table.on_contention,
            answer,
            consumers,
            log_fields: config.log_fields,
            own: RefCell::default(),
            secret: Cell::new(None),
            metrics,
            calls,
            background: RefCell::default(),
            last_tag: Cell::new(0),
            complained: Cell::new(false),
        })
    }

    /// The clocks, each read at most once for a request: each is a host call.
    pub(crate) fn now(&self, env: &dyn Env) -> Now {
        Now { monotonic: env.monotonic(), wall: if self.reads_wall { env.wall() } else { 0 } }
    }

    pub(crate) fn update(&self, row: &str, env: &dyn Env, step: &mut Update<'_>) -> Result<(), Contended> {
        if self.scope == Scope::Process {
            return env.update(row, step);
        }
        let mut own = self.own.borrow_mut();
        if let Some(new) = step(own.get(row).map(Vec::as_slice)) {
            own.insert(row.to_owned(), new);
        }
        Ok(())
    }

    /// The secret that all workers hash keys with: whoever is first makes it.
    fn secret(&self, env: &dyn Env) -> Result<Secret, Contended> {
        if let Some(secret) = self.secret.get() {
            return Ok(secret);
        }
        let mut new = [0; 16];
        for (place, byte) in new.iter_mut().zip([env.random().to_le_bytes(), env.random().to_le_bytes()].concat()) {
            *place = byte;
        }
        let mut secret = new;
        self.update(SECRET, env, &mut |found| {
            let found = found.and_then(|found| <Secret>::try_from(found).ok());
            secret = found.unwrap_or(new);
            found.is_none().then(|| new.to_vec())
        })?;
        self.secret.set(Some(secret));
        Ok(secret)
    }

    fn log(&self, policy: &Policy, result: &str, env: &dyn Env) {
        if self.log_fields {
            env.set_log_field("sluice_limit_policy", policy.name.as_bytes());
            env.set_log_field("sluice_limit_result", result.as_bytes());
        }
    }
}
