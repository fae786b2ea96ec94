//! Why a request goes where it goes.

use crate::decide::{Decision, Step, Steps};
use crate::filter::{HeaderRouter, OURS};
use crate::router::{Default, Router, Rules};
use crate::rule::Action;
use filter_kit::explain::{Detail, Stage};
use filter_kit::matching::{Request, World};
use filter_kit::{Env, Head};
use serde::Serialize;
use std::borrow::Cow;

/// What becomes of a request, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `routed`, `redirected`, `answered`, `rejected` (no rule, and a status), `default` (no rule, and it goes on),
    /// `refused` (its path cannot be rewritten), `too_large` (its body, for a filter that looks at it) or `needs_body`.
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
    /// What chose among them: `drawn`, or as in `header x-user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen_by: Option<String>,
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
    /// Whether it is the one.
    pub chosen: bool,
}

/// Longest decision header in bytes.
const MAX_TOLD: usize = 4096;

impl HeaderRouter {
    /// Says what becomes of a request, and what each rule said of it. `body` is there or not; without it, a request that
    /// depends on it comes out as `needs_body`.
    pub fn explain(&self, head: &Head, body: Option<&[u8]>, env: &dyn Env, detail: Detail) -> Explanation {
        let router = &self.router;
        let mut head = Cow::Borrowed(head);
        if OURS.iter().any(|name| head.get(name).is_some()) {
            OURS.iter().for_each(|name| head.to_mut().remove(name));
        }
        let target = router.matching().path_form().apply(head.path());
        let told = |body| {
            let world = World::new(env, body);
            let request = Request::new(&head, &target, router.matching(), &world);
            let decision = router.decide(&request, env);
            let mut explanation = router.summary(&request, &decision);
            if detail != Detail::Outcome {
                explanation.stages = router.stages(&request, &decision, detail);
            }
            explanation
        };
        if body.is_some_and(|body| body.len() > router.max_body_bytes) {
            // the body counts only if somebody asks for it
            let explanation = told(None);
            return match explanation.outcome {
                "needs_body" => Explanation { outcome: "too_large", status: Some(413), ..explanation },
                _ => explanation,
            };
        }
        told(body)
    }
}

impl Router {
    /// The decision as the value of a response header: JSON, with as many candidates as fit.
    pub(crate) fn told(&self, request: &Request<'_>, decision: &Decision<'_>) -> Vec<u8> {
        let mut explanation = self.summary(request, decision);
        explanation.stages = self.stages(request, decision, Detail::Candidates);
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

    fn stages(&self, request: &Request<'_>, decision: &Decision<'_>, detail: Detail) -> Vec<Stage> {
        let steps = decision.steps();
        let mut stages = vec![stage("rules", &self.rules, request, steps.map(|steps| steps.first), detail)];
        if let Some(Steps { first, second: Some((service, second)) }) = steps {
            let rewritten = first.rewritten(request, service);
            let target = rewritten.target.as_deref().unwrap_or(request.target);
            let authority = rewritten.authority.as_deref().unwrap_or(request.authority);
            let inner = request.rewritten(target, authority);
            stages.push(stage(&service.name, &service.rules, &inner, *second, detail));
        }
        stages
    }

    fn summary(&self, request: &Request<'_>, decision: &Decision<'_>) -> Explanation {
        let mut explanation = summary(request, decision);
        if !can_be_written(request, decision) {
            let Explanation { rule, .. } = explanation;
            return Explanation { outcome: "refused", rule, status: Some(400), ..Explanation::default() };
        }
        let (Some(steps), Some(chosen)) = (decision.steps(), decision.chosen()) else { return explanation };
        let Action::Targets(targets) = &steps.rule().action else { return explanation };
        let share = |(number, share): (usize, u64)| {
            Some(Share { target: targets.targets.get(number)?.label(), share, chosen: number == chosen })
        };
        explanation.split = targets.shares().filter_map(share).collect();
        if explanation.split.len() < 2 {
            explanation.split.clear();
            return explanation;
        }
        let rewritten = steps.second.map(|(service, _)| steps.first.rewritten(request, service)).unwrap_or_default();
        let target = rewritten.target.as_deref().unwrap_or(request.target);
        let authority = rewritten.authority.as_deref().unwrap_or(request.authority);
        let by = targets.chosen_by(&request.rewritten(target, authority));
        explanation.chosen_by = Some(by.unwrap_or_else(|| "drawn".to_owned()));
        explanation
    }
}

/// Whether a head can hold what becomes of path and host.
fn can_be_written(request: &Request<'_>, decision: &Decision<'_>) -> bool {
    let mut head = Head::default();
    let normalized = request.target != request.head.path();
    let written = match decision {
        Decision::NeedsBody => return true,
        _ if normalized && head.set(":path", request.target).is_err() => return false,
        Decision::Route { route, .. } => route.rewritten.write(&mut head),
        _ => Ok(()),
    };
    written.is_ok()
}

fn stage(table: &str, rules: &Rules, request: &Request<'_>, taken: Option<Step<'_>>, detail: Detail) -> Stage {
    let names: Vec<&str> = rules.rules.iter().map(|rule| rule.name.as_str()).collect();
    Stage::new(table, &rules.table, &names, request, taken.map(|step| step.entry), detail)
}

fn summary(request: &Request<'_>, decision: &Decision<'_>) -> Explanation {
    let steps = decision.steps();
    let mut explanation = Explanation { rule: steps.map(|steps| steps.rule().name.clone()), ..Explanation::default() };
    match decision {
        Decision::NeedsBody => explanation.outcome = "needs_body",
        Decision::Refused { .. } => {
            explanation.outcome = "refused";
            explanation.status = Some(400);
        }
        Decision::Default(Default::Status(status)) => {
            explanation.outcome = "rejected";
            explanation.status = Some(*status);
        }
        Decision::Default(default) => {
            explanation.outcome = "default";
            if let Default::Cluster(cluster) = default {
                explanation.target = Some(cluster.clone());
            }
            explanation.path = Some(lossy(request.target));
            explanation.host = Some(lossy(request.authority));
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

fn shown(tags: &[(String, Vec<u8>)]) -> Vec<String> {
    tags.iter().map(|(name, value)| format!("{name}={}", lossy(value))).collect()
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
