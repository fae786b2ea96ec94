//! Decides on requests: asks all policies, and takes of all of them or of none.

use crate::answer::{Answer, Refusal};
use crate::claim::{Claim, Outcome};
use crate::config::{Config, OnContention, OnError, Scope};
use crate::global::{self, Question, Reading};
use crate::headers::Told;
use crate::key::{Consumers, Secret};
use crate::limit::{Limit, Now};
use crate::policy::{Asked, Policy, World};
use crate::remote::Said;
use crate::reservation::{Held, Reservation};
use filter_kit::env::Step as Update;
use filter_kit::matching::{MatchingConfig, PathForm, Request};
use filter_kit::{self as kit, Callout, ConfigError, Contended, CounterId, Env, MetricTable, Reply};
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

/// How calls of the service end.
#[derive(Debug)]
struct CallCounts {
    ok: CounterId,
    over_limit: CounterId,
    error: CounterId,
}

/// A call that nobody waits for.
#[derive(Debug)]
struct Background {
    claim: Claim,
    what: Sent,
    units: u64,
}

/// What is sent in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// A lease is filled up.
    Refill,
    /// Usage is told.
    Report,
    /// A request has cost more than it had been counted for.
    Debt,
    /// It has cost less.
    Refund,
}

/// From a row to what the limits say, and the row afterwards if it changes.
type Take<'a> = dyn FnMut(Option<&[u8]>) -> (Outcome, Option<Vec<u8>>) + 'a;

/// What a request takes at first, to be settled later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Price {
    /// So many units; refused where so many never fit.
    Exact(u64),
    /// At most as many as fit.
    Estimate(u64),
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is decided.
    Done(Decision),
    /// The service has to be asked first.
    Ask(Callout, Box<Asking>),
}

/// A request that waits for the service.
#[derive(Debug)]
pub struct Asking {
    claims: Vec<Claim>,
    outcomes: Vec<Outcome>,
    now: Now,
    /// Claims that the service is asked about, and for how many units.
    asked: Vec<(usize, u64)>,
    /// What it has said so far.
    told: Vec<Told>,
    response_headers: Vec<(String, Vec<u8>)>,
    request_headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// A decision.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// The answer to a refused one.
    pub(crate) reply: Option<Reply>,
    /// What the limits said that clients are told of.
    pub(crate) told: Vec<Told>,
    /// Names of the limits that refused.
    pub(crate) violated: Vec<String>,
    /// Nanoseconds until the same request would pass; `None` if that cannot be said.
    pub(crate) wait: Option<u64>,
    /// What has to be corrected, or given back, later.
    pub(crate) reservation: Option<Reservation>,
    /// Headers that the service adds.
    pub(crate) response_headers: Vec<(String, Vec<u8>)>,
    /// The same for the request.
    pub(crate) request_headers: Vec<(String, Vec<u8>)>,
}

const MAX_POLICIES: usize = 64;
const MAX_ROWS: u32 = 65_536;
/// Most bytes of state that a configuration may ask for.
const MAX_STATE: u64 = 1 << 30;
/// What the store calls the secret.
const SECRET: &str = "l1secret";

impl Decision {
    fn refuse(reply: Reply) -> Self {
        Self { reply: Some(reply), ..Self::default() }
    }
}

impl From<Decision> for Step {
    fn from(decision: Decision) -> Self {
        Self::Done(decision)
    }
}

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

    /// Decides on a request, as far as that is possible here. `price` takes the place of what the policies say that it costs.
    pub(crate) fn begin(self: &Rc<Self>, request: &Request<'_>, price: Option<Price>, env: &dyn Env) -> Step {
        if self.log_fields
            && let Some(consumer) = self.consumers.as_ref().and_then(|consumers| consumers.of(request, env))
        {
            env.set_log_field("sluice_consumer", consumer.as_bytes());
        }
        let Ok(secret) = self.secret(env) else { return self.contended(&[], env).into() };
        let mut claims = Vec::new();
        for policy in &self.policies {
            match policy.ask(request, env, &secret) {
                Asked::NoSay => {}
                Asked::KeyMissing => {
                    env.count(policy.counts.missing_key, 1);
                    if is_enforced(policy, env) {
                        self.log(policy, "missing_key", env);
                        return Decision::refuse(self.answer.refusal(request, &Refusal::default())).into();
                    }
                }
                Asked::Claim(mut claim) => {
                    claim.is_enforced = is_enforced(policy, env);
                    if let Some(price) = price {
                        claim.set_price(price);
                    }
                    claims.push(claim);
                }
            }
        }
        if claims.is_empty() {
            return Decision::default().into();
        }
        let now = self.now(env);
        let asking = |claims, outcomes| Asking {
            claims,
            outcomes,
            now,
            asked: Vec::new(),
            told: Vec::new(),
            response_headers: Vec::new(),
            request_headers: Vec::new(),
            body: Vec::new(),
        };
        // with one policy, taking is asking; with several, nothing may be taken for a request that another will refuse
        if claims.len() > 1 {
            let looked = claims.iter().map(|claim| self.look(claim, now, env)).collect::<Result<Vec<_>, _>>();
            let Ok(outcomes) = looked else { return self.contended(&claims, env).into() };
            if outcomes.iter().any(|outcome| !outcome.allowed()) {
                let looked = asking(claims, outcomes);
                if let Some(decision) = self.refused(request, &looked, env) {
                    count_full(&looked, env);
                    return decision.into();
                }
                claims = looked.claims;
            }
        }
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(claims.len());
        for claim in &claims {
            match self.take(claim, env, &mut |row| claim.take(row, now)) {
                Ok(outcome) => outcomes.push(outcome),
                Err(Contended) => {
                    self.give_back(&claims, &outcomes, now, env);
                    return self.contended(&claims, env).into();
                }
            }
        }
        let mut asking = asking(claims, outcomes);
        count_full(&asking, env);
        if let Some(decision) = self.refused(request, &asking, env) {
            self.give_back(&asking.claims, &asking.outcomes, now, env);
            return decision.into();
        }
        let asked = asking.outcomes.iter().enumerate().filter_map(|(index, outcome)| Some((index, outcome.ask?)));
        asking.asked = asked.filter(|(index, _)| asking.outcomes.get(*index).is_some_and(Outcome::allowed)).collect();
        self.ask(asking, env)
    }

    /// Asks what there is to ask.
    fn ask(self: &Rc<Self>, asking: Asking, env: &dyn Env) -> Step {
        let questions = asking.asked.iter().filter_map(|(index, units)| {
            let claim = asking.claims.get(*index)?;
            question(claim, *units)
        });
        match global::callout(&questions.collect::<Vec<_>>(), false) {
            Some(callout) => Step::Ask(callout, Box::new(asking)),
            None => self.passed(asking, env).into(),
        }
    }

    /// The service has answered, or has not.
    pub(crate) fn go_on(
        self: &Rc<Self>,
        mut asking: Asking,
        answer: &kit::Answer,
        request: &Request<'_>,
        env: &dyn Env,
    ) -> Step {
        let now = self.now(env);
        let asked = std::mem::take(&mut asking.asked);
        let units: Vec<u64> = asked.iter().map(|(_, units)| *units).collect();
        let reading = self.read(answer, &units, env);
        let mut refused_by_error = None;
        for (at, (index, _)) in asked.into_iter().enumerate() {
            let (Some(claim), Some(outcome)) = (asking.claims.get(index), asking.outcomes.get_mut(index)) else {
                continue;
            };
            let said = reading.as_ref().and_then(|reading| reading.said.get(at).copied());
            let mut again = false;
            if !claim.is_strict() {
                // what cannot be written is a lease that is lost, and no request
                let _ = self.update(&claim.row, env, &mut |row| {
                    let new;
                    (again, new) = claim.answered(row, claim.cost, said, now);
                    new
                });
            }
            outcome.ask = again.then_some(claim.cost);
            match said {
                Some(_) if again => {
                    asking.asked.push((index, claim.cost));
                    continue;
                }
                Some(said) if said.granted => {
                    outcome.granted = true;
                    outcome.leased = !claim.is_strict();
                }
                Some(said) => outcome.closed = Some(said.reset.unwrap_or_else(|| claim.lasts())),
                None => match claim.policy.global.as_ref().map(|global| global.on_error) {
                    Some(OnError::Closed) if claim.is_enforced => refused_by_error = Some(index),
                    Some(OnError::Local) => match self.take(claim, env, &mut |row| claim.fall_back(row, now)) {
                        Ok(fallen) => *outcome = fallen,
                        Err(Contended) => outcome.failed = true,
                    },
                    _ => outcome.failed = true,
                },
            }
            let told = reading.as_ref().and_then(|reading| told_by_service(claim, reading, at, said?));
            asking.told.extend(told);
        }
        if let Some(Reading { response_headers, request_headers, body, .. }) = reading {
            asking.response_headers.extend(response_headers);
            asking.request_headers.extend(request_headers);
            asking.body = body;
        }
        if let Some(claim) = refused_by_error.and_then(|index| asking.claims.get(index)) {
            let status = claim.policy.global.as_ref().map_or(503, |global| global.error_status());
            env.count(claim.policy.counts.error, 1);
            self.log(&claim.policy, "error", env);
            self.give_back(&asking.claims, &asking.outcomes, asking.now, env);
            return Decision::refuse(Reply::status(status, "sluice_rate_limit_service_unavailable")).into();
        }
        if let Some(decision) = self.refused(request, &asking, env) {
            self.give_back(&asking.claims, &asking.outcomes, asking.now, env);
            return decision.into();
        }
        self.ask(asking, env)
    }

    /// Nobody objects.
    fn passed(self: &Rc<Self>, asking: Asking, env: &dyn Env) -> Decision {
        let Asking { claims, outcomes, now, mut told, response_headers, request_headers, .. } = asking;
        if let (Some(claim), Some(outcome)) = (claims.first(), outcomes.first()) {
            self.log(&claim.policy, if outcome.failed { "error" } else { "allowed" }, env);
        }
        let mut held = Vec::new();
        for (claim, outcome) in claims.into_iter().zip(outcomes) {
            let counts = &claim.policy.counts;
            let result = match (outcome.failed, outcome.allowed()) {
                (true, _) => counts.error,
                (false, true) => counts.allowed,
                (false, false) => counts.shadow_limited,
            };
            env.count(result, 1);
            env.count(counts.evictions, outcome.evicted.into());
            // a client is not told of limits that are only tried out
            if claim.policy.enforced > 0 {
                told.extend(tell(&claim, &outcome));
            }
            for (units, what) in [(outcome.refill, Sent::Refill), (outcome.report, Sent::Report)] {
                if let Some(units) = units {
                    self.send(&claim, what, units, env);
                }
            }
            held.extend(Held::new(claim, &outcome));
        }
        let reservation = (!held.is_empty()).then(|| Reservation::new(Rc::clone(self), held, now));
        Decision { told, reservation, response_headers, request_headers, ..Decision::default() }
    }

    /// The answer, if some policy that is enforced for this request refuses it.
    fn refused(&self, request: &Request<'_>, asking: &Asking, env: &dyn Env) -> Option<Decision> {
        let (claims, outcomes) = (&asking.claims, &asking.outcomes);
        let refusing = claims.iter().zip(outcomes).filter(|(_, outcome)| !outcome.allowed());
        let refusing: Vec<_> = refusing.filter(|(claim, _)| claim.is_enforced).collect();
        let (first, _) = refusing.first()?;
        let mut wait = Some(0);
        for (claim, outcome) in &refusing {
            env.count(claim.policy.counts.limited, 1);
            // the longest counts; one that never ends, or whose end depends on others, has no `retry-after`
            let waits = outcome.verdicts.iter().filter(|verdict| !verdict.allowed).map(|verdict| verdict.retry_after);
            let waits = waits.chain(outcome.is_full.then_some(None)).chain(outcome.closed.map(Some));
            wait = waits.fold(wait, |longest, wait| longest.zip(wait).map(|(a, b)| a.max(b)));
        }
        self.log(&first.policy, "limited", env);
        let local = claims.iter().zip(outcomes).filter(|(claim, _)| claim.policy.enforced > 0);
        let mut told: Vec<Told> = asking.told.clone();
        told.extend(local.flat_map(|(claim, outcome)| tell(claim, outcome)));
        let violated: Vec<String> = refusing
            .iter()
            .flat_map(|(claim, outcome)| {
                let names = claim.policy.limit_names.iter().zip(&outcome.verdicts);
                let violated = names.filter(|(_, verdict)| !verdict.allowed).map(|(name, _)| name.clone());
                let whole = (outcome.is_full || outcome.closed.is_some()).then(|| claim.policy.name.clone());
                violated.chain(whole).collect::<Vec<_>>()
            })
            .collect();
        let why =
            Refusal { told: &told, violated: &violated, wait, body: &asking.body, headers: &asking.response_headers };
        let reply = Some(self.answer.refusal(request, &why));
        Some(Decision { reply, told, violated, wait, ..Decision::default() })
    }

    /// The state could not be changed.
    fn contended(&self, claims: &[Claim], env: &dyn Env) -> Decision {
        claims.iter().for_each(|claim| env.count(claim.policy.counts.error, 1));
        if let Some(claim) = claims.first() {
            self.log(&claim.policy, "error", env);
        }
        match self.on_contention {
            OnContention::Allow => Decision::default(),
            OnContention::Deny => Decision::refuse(Reply::status(503, "sluice_rate_limit_contended")),
        }
    }

    /// What the limits would say.
    fn look(&self, claim: &Claim, now: Now, env: &dyn Env) -> Result<Outcome, Contended> {
        self.take(claim, env, &mut |row| (claim.take(row, now).0, None))
    }

    fn take(&self, claim: &Claim, env: &dyn Env, take: &mut Take<'_>) -> Result<Outcome, Contended> {
        if claim.policy.states() == 0 {
            return Ok(take(None).0);
        }
        let (mut outcome, mut tries) = (None, 0u64);
        let updated = self.update(&claim.row, env, &mut |row| {
            tries += 1;
            let (said, new) = take(row);
            outcome = Some(said);
            new
        });
        env.count(claim.policy.counts.cas_retries, tries.saturating_sub(1));
        updated?;
        outcome.ok_or(Contended)
    }

    /// The request is over before the service has answered: it never passed.
    pub(crate) fn abandon(&self, asking: &Asking, env: &dyn Env) {
        self.give_back(&asking.claims, &asking.outcomes, asking.now, env);
    }

    /// A change that fails here leaves a few units taken that need not be: never too many admitted.
    fn give_back(&self, claims: &[Claim], outcomes: &[Outcome], now: Now, env: &dyn Env) {
        for (claim, outcome) in claims.iter().zip(outcomes).filter(|(_, outcome)| outcome.allowed()) {
            // what a service has counted it keeps, but for what it is told to give back
            if outcome.granted && claim.is_strict() {
                self.send(claim, Sent::Refund, claim.cost, env);
            } else if claim.policy.states() > 0 && !(claim.is_strict() && outcome.verdicts.is_empty()) {
                let _ = self.update(&claim.row, env, &mut |row| claim.give_back(row, outcome, now));
            }
        }
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

    /// Tells the service something that nobody waits for.
    pub(crate) fn send(&self, claim: &Claim, what: Sent, units: u64, env: &dyn Env) {
        let refunds = claim.policy.global.as_ref().is_some_and(|global| global.refunds());
        if units == 0 || what == Sent::Refund && !refunds {
            return;
        }
        let questions: Vec<Question<'_>> = question(claim, units).into_iter().collect();
        let Some(callout) = global::callout(&questions, what == Sent::Refund) else { return };
        let tag = self.last_tag.get().wrapping_add(1) & (u64::MAX >> 8);
        self.last_tag.set(tag);
        let background = Background { claim: claim.clone(), what, units };
        if env.call(&callout, tag) {
            self.background.borrow_mut().insert(tag, background);
        } else {
            self.heard(&background, &kit::Answer::UNAVAILABLE, env);
        }
    }

    /// What nobody has waited for is answered.
    pub(crate) fn on_answer(&self, tag: u64, answer: &kit::Answer, env: &dyn Env) {
        let background = self.background.borrow_mut().remove(&tag);
        if let Some(background) = background {
            self.heard(&background, answer, env);
        }
    }

    fn heard(&self, Background { claim, what, units }: &Background, answer: &kit::Answer, env: &dyn Env) {
        let said = self.read(answer, &[*units], env).and_then(|reading| reading.said.first().copied());
        let now = self.now(env);
        // what cannot be written here is usage or a lease that is lost: fewer requests pass than might, or a little later
        let _ = match what {
            Sent::Refill => self.update(&claim.row, env, &mut |row| claim.answered(row, 0, said, now).1),
            Sent::Report => self.update(&claim.row, env, &mut |row| claim.reported(row, *units, said, now)),
            Sent::Debt | Sent::Refund => Ok(()),
        };
    }

    /// Reads an answer, and counts it.
    fn read(&self, answer: &kit::Answer, asked: &[u64], env: &dyn Env) -> Option<Reading> {
        let reading = global::read(answer, asked, env.wall());
        if let Some(calls) = &self.calls {
            let is_over = |said: &Said| !said.granted;
            let outcome = match &reading {
                None => calls.error,
                Some(reading) if reading.said.iter().any(is_over) => calls.over_limit,
                Some(_) => calls.ok,
            };
            env.count(outcome, 1);
        }
        if reading.is_none() && !self.complained.replace(true) {
            let why = match answer {
                kit::Answer::Message(_) => "its answer is not understood".to_owned(),
                kit::Answer::Failed(status) => format!("no answer, gRPC status {status}"),
            };
            let cluster = self.policies.iter().find_map(|policy| policy.global.as_ref()).map(|global| global.cluster());
            let cluster = cluster.unwrap_or_default();
            env.log_error(&format!(
                "rate limit service in cluster {cluster:?}: {why}; from now on such calls are only counted"
            ));
        }
        reading
    }

    fn log(&self, policy: &Policy, result: &str, env: &dyn Env) {
        if self.log_fields {
            env.set_log_field("sluice_limit_policy", policy.name.as_bytes());
            env.set_log_field("sluice_limit_result", result.as_bytes());
        }
    }
}

fn question(claim: &Claim, units: u64) -> Option<Question<'_>> {
    let global = claim.policy.global.as_ref()?;
    Some(Question { entries: &claim.entries, limits: &claim.limits, global, units })
}

/// Counts keys that found no place, once for each request.
fn count_full(asking: &Asking, env: &dyn Env) {
    for (claim, outcome) in asking.claims.iter().zip(&asking.outcomes) {
        env.count(claim.policy.counts.table_full, outcome.is_full.into());
    }
}

/// Whether a refusal would be carried out; drawn once for each request.
fn is_enforced(policy: &Policy, env: &dyn Env) -> bool {
    match policy.enforced {
        0 => false,
        10_000.. => true,
        share => (u128::from(env.random()) * 10_000) >> 64 < u128::from(share),
    }
}

fn tell(claim: &Claim, outcome: &Outcome) -> Vec<Told> {
    let all = claim.policy.limit_names.iter().zip(claim.limits.iter()).zip(&outcome.verdicts);
    let told = |((name, limit), verdict): ((&String, &Limit), &crate::limit::Verdict)| Told {
        name: name.clone(),
        units: limit.units(),
        seconds: limit.seconds(),
        quota_unit: limit.quota_unit(),
        remaining: verdict.remaining,
        reset: limit.quota_unit().is_none().then_some(verdict.reset),
    };
    all.map(told).collect()
}

/// The service's limit, if it has told enough of it.
fn told_by_service(claim: &Claim, reading: &Reading, at: usize, said: Said) -> Option<Told> {
    let (units, seconds) = reading.limits.get(at).copied().flatten()?;
    (claim.policy.enforced > 0).then(|| Told {
        name: claim.policy.name.clone(),
        units,
        seconds: Some(seconds),
        quota_unit: None,
        remaining: said.remaining.unwrap_or(0),
        reset: said.reset,
    })
}
