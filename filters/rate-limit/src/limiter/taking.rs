//! Taking of one policy after the other, and giving back.

use super::step::Asking;
use super::{Decision, Limiter, Sent};
use crate::claim::{Claim, Outcome};
use crate::config::OnContention;
use crate::limit::Now;
use filter_kit::{Contended, Env, Reply};

/// From a row to what the limits say, and the row afterwards if it changes.
type Take<'a> = dyn FnMut(Option<&[u8]>) -> (Outcome, Option<Vec<u8>>) + 'a;

impl Limiter {
    /// The state could not be changed.
    pub(super) fn contended(&self, claims: &[Claim], env: &dyn Env) -> Decision {
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
    pub(super) fn look(&self, claim: &Claim, now: Now, env: &dyn Env) -> Result<Outcome, Contended> {
        self.take(claim, env, &mut |row| (claim.take(row, now).0, None))
    }

    pub(super) fn take(&self, claim: &Claim, env: &dyn Env, take: &mut Take<'_>) -> Result<Outcome, Contended> {
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
    pub(super) fn give_back(&self, claims: &[Claim], outcomes: &[Outcome], now: Now, env: &dyn Env) {
        for (claim, outcome) in claims.iter().zip(outcomes).filter(|(_, outcome)| outcome.allowed()) {
            // what a service has counted it keeps, but for what it is told to give back
            if outcome.granted && claim.is_strict() {
                self.send(claim, Sent::Refund, claim.cost, env);
            } else if claim.policy.states() > 0 && !(claim.is_strict() && outcome.verdicts.is_empty()) {
                let taken = outcome.later.unwrap_or(now);
                let _ = self.update(&claim.row, env, &mut |row| claim.give_back(row, outcome, taken));
            }
        }
    }
}
