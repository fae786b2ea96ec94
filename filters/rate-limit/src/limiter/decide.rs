//! The decision.

use super::background::question;
use super::step::Asking;
use super::{Decision, Limiter, Price, Sent, Step};
use crate::answer::Refusal;
use crate::claim::{Claim, Outcome};
use crate::config::OnError;
use crate::global::{self, Reading};
use crate::headers::Told;
use crate::limit::Limit;
use crate::policy::{Asked, Policy};
use crate::remote::Said;
use crate::reservation::{Held, Reservation};
use filter_kit::matching::Request;
use filter_kit::{self as kit, Contended, Env, Reply};
use std::rc::Rc;

impl Limiter {
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
                        Ok(fallen) => *outcome = Outcome { later: Some(now), ..fallen },
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
