//! Decisions for people and programs instead of for clients: with everything in numbers.

use crate::filter::RateLimit;
use crate::headers;
use crate::limiter::{Decision, Price, Step};
use crate::reservation::Reservation;
use filter_kit::matching::{Request, World};
use filter_kit::{Answer, Callout, Env, Head};
use serde::Serialize;
use std::collections::BTreeMap;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Whether it passes.
    pub allowed: bool,
    /// The status of the answer to a refused one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Names of the limits that refused it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violated: Vec<String>,
    /// Milliseconds until it would pass, rounded up; absent for an allowed one, and where that cannot be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What is left of each limit that it counts against.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Left>,
    /// Headers that the client gets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// What is left of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Its name.
    pub name: String,
    /// Units left.
    pub remaining: u64,
    /// Milliseconds until there is more, rounded up; absent where that cannot be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_ms: Option<u64>,
}

const MILLISECOND: u64 = 1_000_000;

impl RateLimit {
    /// Decides on a request as the running filter does: takes what it takes, counts what it counts. `cost`, if it is known, stands in
    /// place of what the policies say, and can be settled. `ask` answers for the service. The reservation is there if something has
    /// to be settled, or ended, later.
    pub fn judge(
        &self,
        head: &Head,
        cost: Option<u64>,
        env: &dyn Env,
        ask: &mut dyn FnMut(&Callout) -> Answer,
    ) -> (Judgement, Option<Reservation>) {
        let limiter = self.limiter();
        let world = World::new(env, None);
        let target = limiter.matching.path_form().apply(head.path());
        let request = Request::new(head, &target, &limiter.matching, &world);
        let mut step = limiter.begin(&request, cost.map(Price::Exact), env);
        let decision = loop {
            match step {
                Step::Done(decision) => break decision,
                Step::Ask(callout, asking) => step = limiter.go_on(*asking, &ask(&callout), &request, env),
            }
        };
        let told = self.told(&decision);
        (told, decision.reservation)
    }

    fn told(&self, decision: &Decision) -> Judgement {
        let limiter = self.limiter();
        let left = decision.told.iter().map(|told| Left {
            name: told.name.clone(),
            remaining: told.remaining,
            reset_ms: told.reset.map(|reset| reset.div_ceil(MILLISECOND)),
        });
        let headers = match &decision.reply {
            Some(reply) => reply.headers.clone(),
            None => headers::headers(&decision.told, limiter.answer.told, None),
        };
        let shown = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Judgement {
            allowed: decision.reply.is_none(),
            status: decision.reply.as_ref().map(|reply| reply.status),
            violated: decision.violated.clone(),
            retry_after_ms: decision.reply.as_ref().and(decision.wait).map(|wait| wait.div_ceil(MILLISECOND)),
            limits: left.collect(),
            headers: headers.iter().map(|(name, value)| (name.to_string(), shown(value))).collect(),
        }
    }
}
