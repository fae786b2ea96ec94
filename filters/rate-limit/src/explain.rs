//! Which limits a request would take from.

use crate::claim::Claim;
use crate::filter::RateLimit;
use crate::policy::Asked;
use filter_kit::matching::{Request, World};
use filter_kit::{Env, Head};
use serde::Serialize;

/// What the policies want of a request. What is left of their limits only a running filter knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `counted`, `unchanged` if no policy takes the request, or `rejected` if it lacks a part of a key that it must have.
    pub outcome: &'static str,
    /// The status of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The policies that take it.
    pub policies: Vec<Wanted>,
}

/// What one policy wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// Its name.
    pub policy: String,
    /// Whether refusals are carried out, never, or for a share in parts per 10,000.
    pub enforced: u32,
    /// Short form of the key, not the key itself; the same for the same key in one run only.
    pub key: String,
    /// What the request takes at first.
    pub cost: u64,
    /// Whether that is corrected later, by the response or by the size of the body.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_settled: bool,
    /// The policy's own limits.
    pub limits: Vec<WantedLimit>,
    /// The service that is asked, and how, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// What a request takes of one limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WantedLimit {
    /// Its name and numbers, in words.
    pub limit: String,
    /// Units, or a place among those in flight.
    pub takes: u64,
}

impl RateLimit {
    /// Says which limits a request would take from. Takes nothing.
    pub fn explain(&self, head: &Head, env: &dyn Env) -> Explanation {
        let limiter = self.limiter();
        let world = World::new(env, None);
        let target = limiter.matching.path_form().apply(head.path());
        let request = Request::new(head, &target, &limiter.matching, &world);
        // keys are shown as a hash that nobody can turn round
        let mut secret = [0; 16];
        secret.iter_mut().zip(env.random().to_le_bytes()).for_each(|(place, byte)| *place = byte);
        let mut explanation = Explanation { outcome: "unchanged", ..Explanation::default() };
        for policy in &limiter.policies {
            match policy.ask(&request, env, &secret) {
                Asked::NoSay => {}
                Asked::KeyMissing if policy.enforced == 0 => {}
                Asked::KeyMissing => {
                    explanation.outcome = "rejected";
                    explanation.status = Some(limiter.answer.status);
                    return explanation;
                }
                Asked::Claim(claim) => {
                    explanation.outcome = "counted";
                    explanation.policies.push(wanted(&claim));
                }
            }
        }
        explanation
    }
}

fn wanted(claim: &Claim) -> Wanted {
    let named = claim.policy.limit_names.iter().zip(claim.limits.iter());
    Wanted {
        policy: claim.policy.name.clone(),
        enforced: claim.policy.enforced,
        key: claim.short_key(),
        cost: claim.cost,
        service: claim.policy.global.as_ref().map(|global| global.describe()),
        is_settled: !claim.is_exact,
        limits: named
            .map(|(name, limit)| WantedLimit {
                limit: format!("{name}: {limit}"),
                takes: if limit.capacity().is_some() { claim.cost } else { 1 },
            })
            .collect(),
    }
}
