//! What an admitted request still owes when it has been let through: a cost that is known only later, a place among those in flight.

use crate::claim::{Claim, Outcome};
use crate::config::{MissingCost, SettleConfig};
use crate::limit::{Limit, Now};
use crate::limiter::{Limiter, Sent};
use crate::set::State;
use filter_kit::{Env, Head};
use std::rc::Rc;

/// What one request has taken in advance.
///
/// [`Reservation::settle`] corrects it by the real cost: what was too little is a debt that later requests wait for, what was too much is
/// given back. [`Reservation::end`] has to run when the exchange is over.
#[derive(Debug)]
pub struct Reservation {
    limiter: Rc<Limiter>,
    held: Vec<Held>,
    taken: Now,
}

/// What it has taken of one policy.
#[derive(Debug)]
pub(crate) struct Held {
    claim: Claim,
    /// States of the policy's limits right after it took.
    admitted: Vec<State>,
    /// Nothing is to be corrected any more.
    settled: bool,
    /// It is in flight.
    flies: bool,
    /// When it took, if that was not with the others.
    later: Option<Now>,
}

impl Held {
    /// If there is anything to do later.
    pub(crate) fn new(claim: Claim, outcome: &Outcome) -> Option<Self> {
        // a refusal that is not carried out has taken nothing, nor has a service that did not answer
        if !outcome.allowed() || outcome.failed {
            return None;
        }
        let admitted: Vec<State> = outcome.verdicts.iter().map(|verdict| verdict.state).collect();
        let flies = !admitted.is_empty() && claim.limits.iter().any(|limit| matches!(limit, Limit::Concurrency(_)));
        let settled = claim.is_exact;
        (flies || !settled).then_some(Self { claim, admitted, settled, flies, later: outcome.later })
    }
}

impl Reservation {
    pub(crate) fn new(limiter: Rc<Limiter>, held: Vec<Held>, taken: Now) -> Self {
        Self { limiter, held, taken }
    }

    /// The request has cost `actual` units. Later calls change nothing.
    pub fn settle(&mut self, actual: u64, env: &dyn Env) {
        self.each(env, |_| Some(actual));
    }

    /// Settles with those policies that look for the cost in a response header, and takes out the header if they say so.
    pub(crate) fn settle_by_response(&mut self, head: &mut Head, env: &dyn Env) {
        let failed = head.get(":status").is_some_and(|status| matches!(status.first(), Some(b'4'..=b'9')));
        let (mut gone, seen) = (Vec::new(), &*head);
        self.each(env, |claim| {
            let settle = claim.policy.settle.as_ref()?;
            let stated =
                seen.get(&settle.header).and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
            if settle.remove {
                gone.push(settle.header.clone());
            }
            Some(stated.unwrap_or_else(|| otherwise(settle, claim, failed)))
        });
        gone.iter().for_each(|name| head.remove(name));
    }

    /// The exchange is over.
    pub fn end(mut self, env: &dyn Env) {
        let mut size = None;
        self.each(env, |claim| match (claim.policy.counts_bytes(), &claim.policy.settle) {
            (Some(per), _) => {
                let size = size.get_or_insert_with(|| env.property(&["request", "size"])).as_deref();
                let size: Option<[u8; 8]> = size.and_then(|size| size.try_into().ok());
                size.map(|size| u64::from_le_bytes(size).div_ceil(per.max(1)))
            }
            (None, Some(settle)) => Some(otherwise(settle, claim, true)),
            (None, None) => None,
        });
        let now = self.limiter.now(env);
        for held in self.held.iter().filter(|held| held.flies) {
            // what cannot be written ends with the lease
            let _ = self.limiter.update(&held.claim.row, env, &mut |row| {
                held.claim.release(row, held.later.unwrap_or(self.taken), now)
            });
        }
    }

    /// Settles with each policy that is not settled, if its cost is told.
    fn each(&mut self, env: &dyn Env, mut actual: impl FnMut(&Claim) -> Option<u64>) {
        let now = self.limiter.now(env);
        for held in self.held.iter_mut().filter(|held| !held.settled) {
            let Some(actual) = actual(&held.claim) else { continue };
            held.settled = true;
            correct(&self.limiter, held, actual.min(crate::bucket::MAX_UNITS), now, env);
        }
    }
}

/// The cost where the response states none.
fn otherwise(settle: &SettleConfig, claim: &Claim, failed: bool) -> u64 {
    match settle.missing {
        MissingCost::Refund => 0,
        MissingCost::RefundOnError if failed => 0,
        MissingCost::Keep | MissingCost::RefundOnError => claim.cost,
    }
}

fn correct(limiter: &Limiter, held: &Held, actual: u64, now: Now, env: &dyn Env) {
    let claim = &held.claim;
    let (Ok(actual), Ok(cost)) = (i64::try_from(actual), i64::try_from(claim.cost)) else { return };
    let more = actual - cost;
    if more == 0 {
        return;
    }
    // with a service, and none of the policy's own limits asked in its place, the difference is the service's business
    let asked_service = claim.policy.global.is_some() && held.admitted.is_empty();
    if asked_service && claim.is_strict() {
        let what = if more > 0 { Sent::Debt } else { Sent::Refund };
        return limiter.send(claim, what, more.unsigned_abs(), env);
    }
    let mut report = None;
    // what cannot be written is a debt forgotten, or a refund not given
    let _ = limiter.update(&claim.row, env, &mut |row| claim.settle(row, &held.admitted, more, now, &mut report));
    let what = if claim.reports() { Sent::Report } else { Sent::Debt };
    if let Some(units) = report {
        limiter.send(claim, what, units, env);
    }
}
