//! Calls of the service, and those of them that nobody waits for.

use super::Limiter;
use crate::claim::Claim;
use crate::global::{self, Question, Reading};
use crate::remote::Said;
use filter_kit::{self as kit, CounterId, Env};

/// How calls of the service end.
#[derive(Debug)]
pub(super) struct CallCounts {
    pub(super) ok: CounterId,
    pub(super) over_limit: CounterId,
    pub(super) error: CounterId,
}

/// A call that nobody waits for.
#[derive(Debug)]
pub(super) struct Background {
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

impl Limiter {
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
    pub(super) fn read(&self, answer: &kit::Answer, asked: &[u64], env: &dyn Env) -> Option<Reading> {
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
}

pub(super) fn question(claim: &Claim, units: u64) -> Option<Question<'_>> {
    let global = claim.policy.global.as_ref()?;
    Some(Question { entries: &claim.entries, limits: &claim.limits, global, units })
}
