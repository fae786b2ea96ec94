//! Why a request goes where it goes.

use crate::decide::{Decision, Step, Steps};
use crate::filter::HeaderRouter;
use crate::router::{Default, Router, Rules};
use crate::rule::Action;
use filter_kit::matching::{Request, Unmet, World};
use filter_kit::{Env, Head};
use serde::Serialize;

/// What becomes of a request, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `routed`, `redirected`, `answered`, `rejected` (no rule, and a status), `default` (no rule, and it goes on),
    /// `refused` (its path cannot be rewritten) or `needs_body`.
    pub outcome: &'static str,
    /// Name of the rule that decided, as in `x-sluice-route`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The status of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Where a redirect leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Path and query that the upstream sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Host that the upstream sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The cluster that gets a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Edits of the request's headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<String>,
    /// Edits of the response's headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<String>,
    /// Fields for the access log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The shares of the deciding rule's targets, if there is a choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<Share>,
    /// Each table that was asked, and what its rules said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

/// A target's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The cluster, or a status.
    pub target: String,
    /// Parts per 10,000.
    pub share: u64,
}

/// A table that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// `rules`, or the name of a service.
    pub table: String,
    /// The path that its rules saw.
    pub path: String,
    /// The host that its rules saw.
    pub host: String,
    /// Rules that could have taken the request by host and path, in the order in which they are tried; the first ones
    /// only, if they are many.
    pub candidates: Vec<Candidate>,
    /// How many other rules there are.
    pub others: usize,
}

/// What a rule said of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its name.
    pub rule: String,
    /// Its priority.
    pub priority: u16,
    /// Whether it took the request.
    pub found: Found,
    /// Its conditions, for the one that took the request; what put it behind, or the condition that failed.
    pub why: String,
}

/// Whether a rule took a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It did.
    Matched,
    /// It would have, but another came first.
    Behind,
    /// A condition failed.
    Failed,
}

/// Most candidates of a table.
const MAX_CANDIDATES: usize = 100;
/// Longest decision header in bytes.
const MAX_TOLD: usize = 4096;

impl HeaderRouter {
    /// Says what becomes of a request and, if `candidates` are wanted, what each rule said of it. `body` is there or not;
    /// without it, a request that depends on it comes out as `needs_body`.
    pub fn explain(&self, head: &Head, body: Option<&[u8]>, env: &dyn Env, candidates: bool) -> Explanation {
        let target = self.router.matching().path_form().apply(head.path());
        let world = World::new(env, body);
        let request = Request::new(head, &target, self.router.matching(), &world);
        let decision = self.router.decide(&request, env);
        let mut explanation = summary(&request, &decision);
        if candidates {
            explanation.stages = self.router.stages(&request, &decision);
        }
        explanation
    }
}

impl Router {
    /// The decision as the value of a response header: JSON, with as many candidates as fit.
    pub(crate) fn told(&self, request: &Request<'_>, decision: &Decision<'_>) -> Vec<u8> {
        let mut explanation = summary(request, decision);
        explanation.stages = self.stages(request, decision);
        loop {
            let text = serde_json::to_string(&explanation).unwrap_or_default();
            if text.len() <= MAX_TOLD {
                return text.into_bytes();
            }
            // the least interesting ones are the last
            let longest = explanation.stages.iter_mut().max_by_key(|stage| stage.candidates.len());
            match longest.filter(|stage| !stage.candidates.is_empty()) {
                Some(stage) => {
                    stage.candidates.truncate(stage.candidates.len() / 2);
                }
                None => {
                    let short = Explanation {
                        outcome: explanation.outcome,
                        rule: explanation.rule,
                        target: explanation.target,
                        status: explanation.status,
                        ..Explanation::default()
                    };
                    return serde_json::to_string(&short).unwrap_or_default().into_bytes();
                }
            }
        }
    }

    fn stages(&self, request: &Request<'_>, decision: &Decision<'_>) -> Vec<Stage> {
        let steps = decision.steps();
        let mut stages = vec![stage("rules", &self.rules, request, steps.map(|steps| steps.first))];
        if let Some(Steps { first, second: Some((service, second)) }) = steps {
            let rewritten = first.rewritten(request, service);
            let target = rewritten.target.as_deref().unwrap_or(request.target);
            let authority = rewritten.authority.as_deref().unwrap_or(request.authority);
            let inner = request.rewritten(target, authority);
            stages.push(stage(&service.name, &service.rules, &inner, *second));
        }
        stages
    }
}

fn summary(request: &Request<'_>, decision: &Decision<'_>) -> Explanation {
    let steps = decision.steps();
    let mut explanation = Explanation { rule: steps.map(|steps| steps.rule().name.clone()), ..Explanation::default() };
    if let Some(Action::Targets(targets)) = steps.map(|steps| &steps.rule().action) {
        let shares = targets
            .shares()
            .filter_map(|(number, share)| Some(Share { target: targets.targets.get(number)?.label(), share }));
        explanation.split = shares.collect();
        if explanation.split.len() < 2 {
            explanation.split.clear();
        }
    }
    match decision {
        Decision::NeedsBody => explanation.outcome = "needs_body",
        Decision::Refused { .. } => {
            explanation.outcome = "refused";
            explanation.status = Some(400);
        }
        Decision::Default(Default::Continue) => explanation.outcome = "default",
        Decision::Default(Default::Cluster(cluster)) => {
            explanation.outcome = "default";
            explanation.target = Some(cluster.clone());
        }
        Decision::Default(Default::Status(status)) => {
            explanation.outcome = "rejected";
            explanation.status = Some(*status);
        }
        Decision::Answer { reply, tags, .. } => {
            let location = reply.headers.iter().find(|(name, _)| name == "location");
            explanation.location = location.map(|(_, value)| lossy(value));
            let rejected = steps.is_some_and(|steps| matches!(steps.second, Some((_, None))));
            explanation.outcome = match (rejected, &explanation.location) {
                (true, _) => "rejected",
                (_, Some(_)) => "redirected",
                _ => "answered",
            };
            explanation.status = Some(reply.status);
            explanation.tags = shown(tags);
        }
        Decision::Route { route, tags, .. } => {
            explanation.outcome = "routed";
            explanation.target = Some(route.cluster.to_owned());
            explanation.path = Some(lossy(route.rewritten.target.as_deref().unwrap_or(request.target)));
            explanation.host = Some(lossy(route.rewritten.authority.as_deref().unwrap_or(request.authority)));
            explanation.mirror = route.mirror.map(String::from);
            explanation.request_headers = route.request_headers.iter().flat_map(|edits| edits.describe()).collect();
            explanation.response_headers = route.response_headers.iter().flat_map(|edits| edits.describe()).collect();
            explanation.tags = shown(tags);
        }
    }
    explanation
}

/// What the rules of a table say, one after the other; of several entries of a rule the best one speaks.
fn stage(table: &str, rules: &Rules, request: &Request<'_>, taken: Option<Step<'_>>) -> Stage {
    let mut candidates: Vec<(usize, Candidate)> = Vec::new();
    let reach = rules.table.reach(request);
    for entry in rules.table.entries() {
        let Some(rule) = rules.rules.get(entry.rule) else { continue };
        let is_taken = taken.is_some_and(|step| std::ptr::eq(step.entry, entry));
        let unmet = if reach.holds(entry) { entry.unmet(request) } else { Some(Unmet::Hosts) };
        let (found, why) = match unmet {
            _ if is_taken => (Found::Matched, all_conditions(&entry.matched.describe())),
            Some(Unmet::Hosts | Unmet::Path) => continue,
            Some(unmet) => (Found::Failed, entry.matched.explain(unmet, request)),
            None => {
                let ahead = taken.map(|step| step.entry.rank.ahead_of(&entry.rank));
                (Found::Behind, ahead.unwrap_or("depends on the body").to_owned())
            }
        };
        let candidate = Candidate { rule: rule.name.clone(), priority: entry.rank.priority(), found, why };
        match candidates.iter_mut().find(|(number, _)| *number == entry.rule) {
            None => candidates.push((entry.rule, candidate)),
            Some((_, before)) if before.found == Found::Failed && found != Found::Failed => *before = candidate,
            Some(_) => {}
        }
    }
    let others = rules.rules.len().saturating_sub(candidates.len());
    let mut candidates: Vec<_> = candidates.into_iter().map(|(_, candidate)| candidate).collect();
    if candidates.len() > MAX_CANDIDATES {
        let at = candidates.iter().position(|candidate| candidate.found == Found::Matched);
        if let Some(matched) = at.filter(|at| *at >= MAX_CANDIDATES) {
            candidates.swap(MAX_CANDIDATES - 1, matched);
        }
    }
    let others = others + candidates.len().saturating_sub(MAX_CANDIDATES);
    candidates.truncate(MAX_CANDIDATES);
    Stage { table: table.to_owned(), path: lossy(request.target), host: lossy(request.authority), candidates, others }
}

fn all_conditions(conditions: &[String]) -> String {
    if conditions.is_empty() { "takes every request".to_owned() } else { conditions.join(", ") }
}

fn shown(tags: &[(String, Vec<u8>)]) -> Vec<String> {
    tags.iter().map(|(name, value)| format!("{name}={}", lossy(value))).collect()
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
