//! The filter: asks all policies, and takes of all of them or of none.

use crate::config::{AnswerConfig, Config, OnContention, ResponseHeaders, Scope};
use crate::headers::{self, Told};
use crate::key::Secret;
use crate::limit::Now;
use crate::policy::{Asked, Claim, Outcome, Policy};
use filter_kit::env::Step;
use filter_kit::header_edits::HeaderEdits;
use filter_kit::matching::{MatchingConfig, Request, World};
use filter_kit::template::Values;
use filter_kit::{ConfigError, Contended, Env, Filter, Flow, Head, MetricTable, Reply, Stream, config};
use serde_json::json;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// A configured rate-limit.
#[derive(Debug, Clone)]
pub struct RateLimit {
    limiter: Rc<Limiter>,
}

#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) matching: MatchingConfig,
    pub(crate) policies: Vec<Policy>,
    scope: Scope,
    on_contention: OnContention,
    pub(crate) answer: Answer,
    pub(crate) response_headers: ResponseHeaders,
    log_fields: bool,
    /// The store of `scope: worker`; it has at most as many rows as the table.
    own: RefCell<HashMap<String, Vec<u8>>>,
    secret: Cell<Option<Secret>>,
    metrics: MetricTable,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderEdits,
    body: Option<String>,
}

const MAX_POLICIES: usize = 64;
const MAX_BODY: usize = 64 * 1024;
/// Most bytes of state that a configuration may ask for.
const MAX_STATE: u64 = 1 << 30;
/// What the store calls the secret.
const SECRET: &str = "l1secret";

impl RateLimit {
    /// Checks and compiles a configuration.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        if config.policies.len() > MAX_POLICIES {
            let why = format!("expected at most {MAX_POLICIES} policies, found {}", config.policies.len());
            return Err(ConfigError::new("policies", why));
        }
        let mut metrics = MetricTable::default();
        let mut policies: Vec<Policy> = Vec::with_capacity(config.policies.len());
        for (index, policy) in config.policies.into_iter().enumerate() {
            let at = format!("policies[{index}]");
            let policy = Policy::new(policy, &config.table, &config.matching, &mut metrics);
            let policy = policy.map_err(|error| error.within(&at))?;
            let twin = policies.iter().position(|other| other.name == policy.name || other.prefix() == policy.prefix());
            if let Some(twin) = twin {
                let why = format!("expected a name unlike that of policies[{twin}], found {:?}", policy.name);
                return Err(ConfigError::new(format!("{at}.name"), why));
            }
            policies.push(policy);
        }
        let bytes: u64 = policies.iter().map(Policy::bytes).sum();
        if bytes > MAX_STATE {
            let why = format!("expected rows for at most {MAX_STATE} bytes in all, found {bytes}");
            return Err(ConfigError::new("table.rows", why));
        }
        let answer = Answer::new(config.answer).map_err(|error| error.within("answer"))?;
        metrics.check()?;
        Ok(Self {
            limiter: Rc::new(Limiter {
                matching: config.matching,
                policies,
                scope: config.table.scope,
                on_contention: config.table.on_contention,
                answer,
                response_headers: config.response_headers,
                log_fields: config.log_fields,
                own: RefCell::default(),
                secret: Cell::new(None),
                metrics,
            }),
        })
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Bytes of state when all rows are in use, without what a store needs for each of them.
    pub fn state_bytes(&self) -> u64 {
        self.limiter.policies.iter().map(Policy::bytes).sum()
    }
}

impl Answer {
    fn new(config: AnswerConfig) -> Result<Self, ConfigError> {
        if !(400..=599).contains(&config.status) {
            return Err(ConfigError::new("status", format!("expected 400 to 599, found {}", config.status)));
        }
        if config.body.as_ref().is_some_and(|body| body.len() > MAX_BODY) {
            return Err(ConfigError::new("body", format!("expected at most {MAX_BODY} bytes")));
        }
        let headers = HeaderEdits::of_answer(config.headers, None)?;
        Ok(Self { status: config.status, headers, body: config.body })
    }
}

impl Filter for RateLimit {
    type Stream = RateLimitStream;

    const NAME: &'static str = "rate-limit";

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(config::parse(json)?)
    }

    fn metrics(&self) -> &MetricTable {
        &self.limiter.metrics
    }

    fn stream(&self) -> RateLimitStream {
        RateLimitStream { limiter: Rc::clone(&self.limiter), headers: Vec::new() }
    }
}

/// One exchange.
#[derive(Debug)]
pub struct RateLimitStream {
    limiter: Rc<Limiter>,
    /// What the response tells.
    headers: Vec<(Cow<'static, str>, Vec<u8>)>,
}

impl Stream for RateLimitStream {
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        let limiter = Rc::clone(&self.limiter);
        let world = World::new(env, None);
        let target = limiter.matching.path_form().apply(head.path());
        let request = Request::new(head, &target, &limiter.matching, &world);
        match limiter.decide(&request, env) {
            Decision { reply: Some(reply), .. } => Flow::Reply(reply),
            Decision { told, .. } => {
                // upstreams see the path that the policies have seen
                if let Cow::Owned(normalized) = target
                    && head.set(":path", &normalized).is_err()
                {
                    return Flow::Reply(Reply::status(400, "sluice_rate_limit_invalid_path"));
                }
                self.headers = headers::headers(&told, limiter.response_headers, None);
                Flow::Continue
            }
        }
    }

    fn lasts(&self) -> bool {
        !self.headers.is_empty()
    }

    fn on_response_head(&mut self, head: &mut Head, _: &dyn Env) -> Flow {
        headers::write(&std::mem::take(&mut self.headers), head);
        Flow::Continue
    }
}

/// What becomes of a request.
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
}

impl Decision {
    fn refuse(reply: Reply) -> Self {
        Self { reply: Some(reply), ..Self::default() }
    }
}

impl Limiter {
    pub(crate) fn decide(&self, request: &Request<'_>, env: &dyn Env) -> Decision {
        let Ok(secret) = self.secret(env) else { return self.contended(&[], env) };
        let mut claims = Vec::new();
        for policy in &self.policies {
            match policy.ask(request, env, &secret) {
                Asked::NoSay => {}
                Asked::KeyMissing => {
                    env.count(policy.counts.missing_key, 1);
                    if is_enforced(policy, env) {
                        self.log(policy, "missing_key", env);
                        return Decision::refuse(self.refusal(request, &[], &[], None));
                    }
                }
                Asked::Claim(mut claim) => {
                    claim.is_enforced = is_enforced(policy, env);
                    claims.push(claim);
                }
            }
        }
        if claims.is_empty() {
            return Decision::default();
        }
        let now = Now { monotonic: env.monotonic(), wall: env.wall() };
        // with one policy, taking is asking; with several, nothing may be taken for a request that another will refuse
        if claims.len() > 1 {
            let looked = claims.iter().map(|claim| self.look(claim, now, env)).collect::<Result<Vec<_>, _>>();
            let Ok(outcomes) = looked else { return self.contended(&claims, env) };
            if let Some(decision) = self.refused(request, &claims, &outcomes, env) {
                count_full(&claims, &outcomes, env);
                return decision;
            }
        }
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(claims.len());
        for (index, claim) in claims.iter().enumerate() {
            match self.take(claim, now, env) {
                Ok(outcome) => outcomes.push(outcome),
                Err(Contended) => {
                    self.give_back(claims.get(..index).unwrap_or_default(), &outcomes, now, env);
                    return self.contended(&claims, env);
                }
            }
        }
        count_full(&claims, &outcomes, env);
        if let Some(decision) = self.refused(request, &claims, &outcomes, env) {
            self.give_back(&claims, &outcomes, now, env);
            return decision;
        }
        let mut told = Vec::new();
        for (claim, outcome) in claims.iter().zip(&outcomes) {
            let counts = &claim.policy.counts;
            env.count(if outcome.allowed() { counts.allowed } else { counts.shadow_limited }, 1);
            env.count(counts.evictions, outcome.evicted.into());
            // a client is not told of limits that are only tried out
            if claim.policy.enforced > 0 {
                told.extend(tell(claim, outcome));
            }
        }
        if let Some(claim) = claims.first() {
            self.log(claim.policy, "allowed", env);
        }
        Decision { told, ..Decision::default() }
    }

    /// The answer, if some policy that is enforced for this request refuses it.
    fn refused(
        &self,
        request: &Request<'_>,
        claims: &[Claim<'_>],
        outcomes: &[Outcome],
        env: &dyn Env,
    ) -> Option<Decision> {
        let refusing = claims.iter().zip(outcomes).filter(|(_, outcome)| !outcome.allowed());
        let refusing: Vec<_> = refusing.filter(|(claim, _)| claim.is_enforced).collect();
        let (first, _) = refusing.first()?;
        let mut wait = Some(0);
        for (claim, outcome) in &refusing {
            env.count(claim.policy.counts.limited, 1);
            // the longest counts; one that never ends, or whose end depends on other keys, has no `retry-after`
            let waits = outcome.verdicts.iter().filter(|verdict| !verdict.allowed).map(|verdict| verdict.retry_after);
            let waits = waits.chain(outcome.is_full.then_some(None));
            wait = waits.fold(wait, |longest, wait| longest.zip(wait).map(|(a, b)| a.max(b)));
        }
        self.log(first.policy, "limited", env);
        let told = claims.iter().zip(outcomes).filter(|(claim, _)| claim.policy.enforced > 0);
        let told: Vec<Told> = told.flat_map(|(claim, outcome)| tell(claim, outcome)).collect();
        let violated: Vec<String> = refusing
            .iter()
            .flat_map(|(claim, outcome)| {
                let names = claim.policy.limit_names.iter().zip(&outcome.verdicts);
                let violated = names.filter(|(_, verdict)| !verdict.allowed).map(|(name, _)| name.clone());
                let full = outcome.is_full.then(|| claim.policy.name.clone());
                violated.chain(full).collect::<Vec<_>>()
            })
            .collect();
        let reply = Some(self.refusal(request, &told, &violated, wait));
        Some(Decision { reply, told, violated, wait })
    }

    fn refusal(&self, request: &Request<'_>, told: &[Told], violated: &[String], wait: Option<u64>) -> Reply {
        let mut reply = Reply::status(self.answer.status, "sluice_rate_limited");
        // gRPC: RESOURCE_EXHAUSTED
        reply.grpc_status = Some(8);
        reply.headers = headers::headers(told, self.response_headers, wait.filter(|_| !violated.is_empty()));
        let values = Values { request, captures: None, rule: "", target: "" };
        let rendered = self.answer.headers.render(&values);
        reply.headers.extend(rendered.added().map(|(name, value)| (Cow::Owned(name.to_owned()), value.to_vec())));
        let kind = match &self.answer.body {
            Some(body) => {
                reply.body = body.clone().into_bytes();
                "text/plain"
            }
            None => {
                let problem = json!({
                    "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
                    "title": "Request cannot be satisfied as assigned quota has been exceeded",
                    "status": self.answer.status,
                    "violated-policies": violated,
                });
                reply.body = problem.to_string().into_bytes();
                "application/problem+json"
            }
        };
        if !reply.body.is_empty() && !reply.headers.iter().any(|(name, _)| name == "content-type") {
            reply.headers.push((Cow::Borrowed("content-type"), kind.as_bytes().to_vec()));
        }
        reply
    }

    /// The state could not be changed.
    fn contended(&self, claims: &[Claim<'_>], env: &dyn Env) -> Decision {
        claims.iter().for_each(|claim| env.count(claim.policy.counts.error, 1));
        if let Some(claim) = claims.first() {
            self.log(claim.policy, "error", env);
        }
        match self.on_contention {
            OnContention::Allow => Decision::default(),
            OnContention::Deny => Decision::refuse(Reply::status(503, "sluice_rate_limit_contended")),
        }
    }

    /// What the limits would say.
    fn look(&self, claim: &Claim<'_>, now: Now, env: &dyn Env) -> Result<Outcome, Contended> {
        let mut outcome = None;
        self.update(claim.row(), env, &mut |row| {
            outcome = Some(claim.take(row, now).0);
            None
        })?;
        outcome.ok_or(Contended)
    }

    fn take(&self, claim: &Claim<'_>, now: Now, env: &dyn Env) -> Result<Outcome, Contended> {
        let mut outcome = None;
        self.update(claim.row(), env, &mut |row| {
            let (said, new) = claim.take(row, now);
            outcome = Some(said);
            new
        })?;
        outcome.ok_or(Contended)
    }

    /// A change that fails here leaves a few units taken that need not be: never too many admitted.
    fn give_back(&self, claims: &[Claim<'_>], outcomes: &[Outcome], now: Now, env: &dyn Env) {
        for (claim, _) in claims.iter().zip(outcomes).filter(|(_, outcome)| outcome.allowed()) {
            let _ = self.update(claim.row(), env, &mut |row| claim.give_back(row, now));
        }
    }

    fn update(&self, row: &str, env: &dyn Env, step: &mut Step<'_>) -> Result<(), Contended> {
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

/// Counts keys that found no place, once for each request.
fn count_full(claims: &[Claim<'_>], outcomes: &[Outcome], env: &dyn Env) {
    for (claim, outcome) in claims.iter().zip(outcomes) {
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

fn tell(claim: &Claim<'_>, outcome: &Outcome) -> Vec<Told> {
    let all = claim.policy.limit_names.iter().zip(claim.limits).zip(&outcome.verdicts);
    all.map(|((name, limit), verdict)| Told { name: name.clone(), limit: *limit, verdict: *verdict }).collect()
}
