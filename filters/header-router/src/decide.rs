//! The decision: from a request to what becomes of it. Nothing is changed here.

use crate::router::{Default, Router, Rules, Service};
use crate::rule::{Action, Rule};
use crate::target::{To, WHOLE};
use filter_kit::head::is_header_value;
use filter_kit::header_edits::RenderedEdits;
use filter_kit::matching::Request;
use filter_kit::pattern::Captures;
use filter_kit::rewrite::Rewritten;
use filter_kit::table::{Entry, Found};
use filter_kit::template::{Encoding, Values};
use filter_kit::{Env, Reply};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Decision<'t> {
    /// That is up to the body, which is not there yet.
    NeedsBody,
    /// No rule takes it.
    Default(&'t Default),
    /// A rule takes it, and it cannot go on.
    Answer { steps: Steps<'t>, reply: Reply, chosen: Option<usize>, tags: Tags, dropped: u64 },
    /// A rule takes it, and it goes to a cluster.
    Route { steps: Steps<'t>, route: Route<'t>, chosen: usize, tags: Tags, dropped: u64 },
    /// A rule takes it, and its path or host cannot be rewritten.
    Refused { steps: Steps<'t> },
}

/// The rules that took a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps<'t> {
    pub(crate) first: Step<'t>,
    /// The service that the first rule picked, and its rule, if it had one.
    pub(crate) second: Option<(&'t Service, Option<Step<'t>>)>,
}

/// A rule, and the entry of the table that took the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'t> {
    pub(crate) rule: &'t Rule,
    pub(crate) entry: &'t Entry,
}

/// Log fields and their values.
pub(crate) type Tags = Vec<(String, Vec<u8>)>;

/// How a request goes on.
#[derive(Debug)]
pub(crate) struct Route<'t> {
    pub(crate) cluster: &'t str,
    pub(crate) rewritten: Rewritten,
    pub(crate) request_headers: Vec<RenderedEdits>,
    pub(crate) response_headers: Vec<RenderedEdits>,
    pub(crate) mirror: Option<&'t str>,
}

impl<'t> Decision<'t> {
    /// The rules that took the request, if any did.
    pub(crate) fn steps(&self) -> Option<&Steps<'t>> {
        match self {
            Self::NeedsBody | Self::Default(_) => None,
            Self::Answer { steps, .. } | Self::Route { steps, .. } | Self::Refused { steps } => Some(steps),
        }
    }

    /// Number of the target that was chosen, if there were any.
    pub(crate) fn chosen(&self) -> Option<usize> {
        match self {
            Self::Answer { chosen, .. } => *chosen,
            Self::Route { chosen, .. } => Some(*chosen),
            Self::NeedsBody | Self::Default(_) | Self::Refused { .. } => None,
        }
    }
}

impl<'t> Steps<'t> {
    /// The rule that decided.
    pub(crate) fn rule(&self) -> &'t Rule {
        self.second.and_then(|(_, step)| step).unwrap_or(self.first).rule
    }
}

impl Router {
    /// Decides. The request's target is in the form that the options ask for.
    pub(crate) fn decide(&self, request: &Request<'_>, env: &dyn Env) -> Decision<'_> {
        let first = match self.rules.find(request) {
            Ok(Some(step)) => step,
            Ok(None) => return Decision::Default(&self.default),
            Err(NeedsBody) => return Decision::NeedsBody,
        };
        let Action::Service(number) = first.rule.action else {
            return finish(Steps { first, second: None }, request, env, None);
        };
        let Some(service) = self.services.get(number) else { return Decision::Default(&self.default) };
        let captures = first.captures(request);
        let values = first.values(request, captures.as_ref(), "");
        let Some(rewritten) = first.rewritten_for(service, &values) else {
            return Decision::Refused { steps: Steps { first, second: None } };
        };
        let target = rewritten.target.as_deref().unwrap_or(request.target);
        let authority = rewritten.authority.as_deref().unwrap_or(request.authority);
        let inner = request.rewritten(target, authority);
        let second = match service.rules.find(&inner) {
            Ok(second) => second,
            Err(NeedsBody) => return Decision::NeedsBody,
        };
        let steps = Steps { first, second: Some((service, second)) };
        if second.is_none() {
            let reply = Reply::status(service.no_rule_status, "sluice_router_no_rule");
            return Decision::Answer { steps, reply, chosen: None, tags: Vec::new(), dropped: 0 };
        }
        finish(steps, &inner, env, Some(Outer { request, values, rewritten: &rewritten }))
    }
}

/// What the first of two rules makes of a request.
#[derive(Clone, Copy)]
struct Outer<'a> {
    request: &'a Request<'a>,
    values: Values<'a>,
    rewritten: &'a Rewritten,
}

/// Carries out the rule that decides. `request` is what it saw.
fn finish<'t>(steps: Steps<'t>, request: &Request<'_>, env: &dyn Env, outer: Option<Outer<'_>>) -> Decision<'t> {
    let step = steps.second.and_then(|(_, step)| step).unwrap_or(steps.first);
    let Step { rule, entry } = step;
    let captures = step.captures(request);
    let plain = step.values(request, captures.as_ref(), "");
    let mut dropped = 0;
    let mut tags = |values: &Values<'_>| {
        let mut tags = Vec::new();
        let of_first = outer.map(|outer| (steps.first.rule, outer.values));
        for (rule, values) in of_first.into_iter().chain([(rule, *values)]) {
            for (name, template) in &rule.tags {
                let mut value = Vec::new();
                match template.render(&values, Encoding::Raw, &mut value) {
                    // nothing to tell: the log shows that the field is absent
                    Ok(()) if value.is_empty() => {}
                    Ok(()) if is_header_value(&value) => tags.push((name.clone(), value)),
                    _ => dropped += 1,
                }
            }
        }
        tags
    };
    match &rule.action {
        Action::Redirect(redirect) => {
            match redirect.reply(&plain, &entry.matched, outer.map_or(request, |outer| outer.request)) {
                Ok(reply) => Decision::Answer { steps, reply, chosen: None, tags: tags(&plain), dropped },
                Err(_) => Decision::Refused { steps },
            }
        }
        Action::Answer(answer) => {
            let (reply, lost) = answer.reply(&plain);
            let tags = tags(&plain);
            Decision::Answer { steps, reply, chosen: None, tags, dropped: dropped + lost }
        }
        // the rules of a service cannot pick another; the configuration has been checked
        Action::Service(_) => Decision::Refused { steps },
        Action::Targets(targets) => {
            let number = targets.choose(request, || env.random());
            let Some(target) = targets.targets.get(number) else { return Decision::Refused { steps } };
            let values = step.values(request, captures.as_ref(), target.cluster());
            let cluster = match &target.to {
                To::Cluster(cluster) => cluster,
                To::Status(status) => {
                    let reply = Reply::status(*status, "sluice_router_no_backend");
                    return Decision::Answer { steps, reply, chosen: Some(number), tags: tags(&values), dropped };
                }
            };
            let Ok(mut rewritten) = rule.rewrite.rewritten(&values, &entry.matched) else {
                return Decision::Refused { steps };
            };
            let given = target.host.as_deref().or(rule.takes_host.then_some(cluster.as_bytes()));
            if let Some(host) = given {
                rewritten.authority = (request.authority != host).then(|| host.to_vec());
            }
            if let Some(outer) = &outer {
                let net = |new: Option<Vec<u8>>, before: &Option<Vec<u8>>| new.or_else(|| before.clone());
                rewritten.target = net(rewritten.target, &outer.rewritten.target);
                rewritten.authority = net(rewritten.authority, &outer.rewritten.authority);
                rewritten.target = rewritten.target.filter(|target| target != outer.request.target);
                rewritten.authority = rewritten.authority.filter(|host| host != outer.request.authority);
            }
            let tags = tags(&values);
            let (mut request_headers, mut response_headers) = (Vec::new(), Vec::new());
            let of_first = outer.map(|outer| (steps.first.rule, outer.values));
            for (rule, values) in of_first.into_iter().chain([(rule, values)]) {
                for (edits, into) in
                    [(&rule.request_headers, &mut request_headers), (&rule.response_headers, &mut response_headers)]
                {
                    if !edits.is_empty() {
                        let rendered = edits.render(&values);
                        dropped += rendered.dropped;
                        into.push(rendered);
                    }
                }
            }
            let mirror = rule.mirror.as_ref().or(steps.first.rule.mirror.as_ref());
            let drawn =
                |share: u32| share >= WHOLE || (u128::from(env.random()) * u128::from(WHOLE)) >> 64 < u128::from(share);
            let mirror = mirror.filter(|mirror| drawn(mirror.share)).map(|mirror| mirror.cluster.as_str());
            let route = Route { cluster, rewritten, request_headers, response_headers, mirror };
            Decision::Route { steps, route, chosen: number, tags, dropped }
        }
    }
}

/// A decision is up to the body.
struct NeedsBody;

impl Rules {
    fn find(&self, request: &Request<'_>) -> Result<Option<Step<'_>>, NeedsBody> {
        match self.table.find(request) {
            Found::NeedsBody => Err(NeedsBody),
            Found::Nothing => Ok(None),
            Found::Entry(entry) => Ok(self.rules.get(entry.rule).map(|rule| Step { rule, entry })),
        }
    }
}

impl Step<'_> {
    /// What the rule makes of a request that goes on to a service.
    pub(crate) fn rewritten(&self, request: &Request<'_>, service: &Service) -> Rewritten {
        let captures = self.captures(request);
        self.rewritten_for(service, &self.values(request, captures.as_ref(), "")).unwrap_or_default()
    }

    fn rewritten_for(&self, service: &Service, values: &Values<'_>) -> Option<Rewritten> {
        let mut rewritten = self.rule.rewrite.rewritten(values, &self.entry.matched).ok()?;
        if self.rule.takes_host {
            rewritten.authority = (values.request.authority != service.host).then(|| service.host.clone());
        }
        Some(rewritten)
    }

    /// The groups of the pattern that took the path, if anything asks for them.
    fn captures(&self, request: &Request<'_>) -> Option<Captures> {
        if self.rule.uses_captures { self.entry.matched.path.as_ref()?.captures(request.path) } else { None }
    }

    fn values<'a>(&'a self, request: &'a Request<'a>, captures: Option<&'a Captures>, target: &'a str) -> Values<'a> {
        let captures = captures.map(|captures| (captures, request.path));
        Values { request, captures, rule: &self.rule.name, target }
    }
}
