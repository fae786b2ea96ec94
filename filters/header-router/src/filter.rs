//! The filter: carries decisions out.

use crate::config::Config;
use crate::decide::{Decision, Route, Steps, Tags};
use crate::router::{Default, Router};
use crate::{CLUSTER_HEADER, DECISION_HEADER, MIRROR_HEADER, ROUTE_HEADER};
use filter_kit::header_edits::RenderedEdits;
use filter_kit::matching::{Request, World};
use filter_kit::{Body, ConfigError, Env, Filter, Flow, Head, InvalidHeader, MetricTable, Reply, Stream, config};
use std::borrow::Cow;
use std::rc::Rc;

/// Request headers that only the filter writes.
pub(crate) const OURS: [&str; 3] = [ROUTE_HEADER, CLUSTER_HEADER, MIRROR_HEADER];

/// A configured header-router.
#[derive(Debug, Clone)]
pub struct HeaderRouter {
    pub(crate) router: Rc<Router>,
}

impl HeaderRouter {
    /// Checks and compiles a configuration.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { router: Rc::new(Router::new(config)?) })
    }
}

impl Filter for HeaderRouter {
    type Stream = HeaderRouterStream;

    const NAME: &'static str = "header-router";

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(config::parse(json)?)
    }

    fn metrics(&self) -> &MetricTable {
        &self.router.metrics
    }

    fn holds(&self) -> bool {
        self.router.wants_body()
    }

    fn stream(&self) -> HeaderRouterStream {
        HeaderRouterStream { router: Rc::clone(&self.router), response: None }
    }
}

/// One exchange.
#[derive(Debug)]
pub struct HeaderRouterStream {
    router: Rc<Router>,
    response: Option<Box<Later>>,
}

/// What is left to do once the response is there.
#[derive(Debug, std::default::Default)]
struct Later {
    edits: Vec<RenderedEdits>,
    decision: Option<Vec<u8>>,
}

impl Stream for HeaderRouterStream {
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        // what a client says about decisions is not one
        OURS.iter().for_each(|name| head.remove(name));
        let body = (self.router.wants_body() && head.is_upgrade()).then_some(&[][..]);
        self.act(head, body, env)
    }

    fn on_held_request(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        self.act(head, Some(body.bytes()), env)
    }

    fn lasts(&self) -> bool {
        self.response.is_some()
    }

    fn on_response_head(&mut self, head: &mut Head, _: &dyn Env) -> Flow {
        if let Some(later) = self.response.take() {
            later.edits.iter().for_each(|edits| edits.write(head));
            if let Some(decision) = later.decision {
                // it has been checked
                let _ = head.set(DECISION_HEADER, &decision);
            }
        }
        Flow::Continue
    }
}

impl HeaderRouterStream {
    fn act(&mut self, head: &mut Head, body: Option<&[u8]>, env: &dyn Env) -> Flow {
        let router = Rc::clone(&self.router);
        let world = World::new(env, body);
        let target = router.matching().path_form().apply(head.path());
        let request = Request::new(head, &target, router.matching(), &world);
        let decision = router.decide(&request, env);
        if matches!(decision, Decision::NeedsBody) {
            return Flow::Hold { limit: router.max_body_bytes };
        }
        let told = router.is_trusted(head).then(|| in_ascii(&router.told(&request, &decision)));
        let changed = match &target {
            Cow::Owned(normalized) => Some(normalized.clone()),
            Cow::Borrowed(_) => None,
        };
        let original = router.log_fields.then(|| head.path().to_vec());
        if let Some(debug) = &router.debug {
            head.remove(&debug.header);
        }
        if changed.is_some_and(|normalized| head.set(":path", &normalized).is_err()) {
            return router.refuse(told, env);
        }
        match decision {
            Decision::NeedsBody => Flow::Continue,
            Decision::Refused { .. } => router.refuse(told, env),
            Decision::Default(default) => {
                env.count(router.default_count, 1);
                self.later(Vec::new(), &told);
                router.default(default, told, head)
            }
            Decision::Answer { steps, mut reply, chosen, tags, dropped } => {
                router.note(&steps, chosen, "", &tags, dropped, env);
                reply.headers.extend(told.map(|told| (Cow::Borrowed(DECISION_HEADER), told)));
                Flow::Reply(reply)
            }
            Decision::Route { steps, route, chosen, tags, dropped } => {
                router.note(&steps, Some(chosen), route.cluster, &tags, dropped, env);
                if write(head, &steps, &route).is_err() {
                    return router.refuse(told, env);
                }
                if let Some(original) = original.filter(|original| original != head.path()) {
                    env.set_log_field("sluice_original_path", &original);
                }
                self.later(route.response_headers, &told);
                Flow::Continue
            }
        }
    }

    fn later(&mut self, edits: Vec<RenderedEdits>, told: &Option<Vec<u8>>) {
        if !edits.is_empty() || told.is_some() {
            self.response = Some(Box::new(Later { edits, decision: told.clone() }));
        }
    }
}

fn write(head: &mut Head, steps: &Steps<'_>, route: &Route<'_>) -> Result<(), InvalidHeader> {
    route.request_headers.iter().for_each(|edits| edits.write(head));
    route.rewritten.write(head)?;
    head.set(ROUTE_HEADER, steps.rule().name.as_bytes())?;
    head.set(CLUSTER_HEADER, route.cluster.as_bytes())?;
    if let Some(mirror) = route.mirror {
        head.set(MIRROR_HEADER, mirror.as_bytes())?;
    }
    Ok(())
}

/// JSON with escapes for what is not visible ASCII: every codec takes it as a header.
fn in_ascii(json: &[u8]) -> Vec<u8> {
    let mut ascii = Vec::with_capacity(json.len());
    for char in String::from_utf8_lossy(json).chars() {
        if matches!(char, ' '..='~') {
            ascii.extend(char.to_string().into_bytes());
        } else {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                ascii.extend(format!("\\u{unit:04x}").into_bytes());
            }
        }
    }
    ascii
}

impl Router {
    /// Counts and logs a decision of a rule.
    fn note(&self, steps: &Steps<'_>, chosen: Option<usize>, target: &str, tags: &Tags, dropped: u64, env: &dyn Env) {
        if let Some(count) = steps.rule().counts.get(chosen.unwrap_or(0)) {
            env.count(*count, 1);
        }
        env.count(self.errors.header, dropped);
        if self.log_fields {
            env.set_log_field("sluice_rule", steps.rule().name.as_bytes());
            if !target.is_empty() {
                env.set_log_field("sluice_target", target.as_bytes());
            }
        }
        for (name, value) in tags {
            env.set_log_field(name, value);
        }
    }

    /// What a client sent cannot be written again, and must not go on unrewritten either.
    fn refuse(&self, told: Option<Vec<u8>>, env: &dyn Env) -> Flow {
        env.count(self.errors.rewrite, 1);
        let mut reply = Reply::status(400, "sluice_router_invalid_path");
        reply.headers.extend(told.map(|told| (Cow::Borrowed(DECISION_HEADER), told)));
        Flow::Reply(reply)
    }

    fn default(&self, default: &Default, told: Option<Vec<u8>>, head: &mut Head) -> Flow {
        let mut reply = match default {
            Default::Continue => return Flow::Continue,
            Default::Cluster(cluster) => match head.set(CLUSTER_HEADER, cluster.as_bytes()) {
                Ok(()) => return Flow::Continue,
                Err(_) => Reply::status(500, "sluice_router_invalid_cluster"),
            },
            Default::Status(status) => Reply::status(*status, "sluice_router_no_rule"),
        };
        reply.headers.extend(told.map(|told| (Cow::Borrowed(DECISION_HEADER), told)));
        Flow::Reply(reply)
    }

    /// Whether a request carries the secret that lets it see decisions. Takes the same time for every wrong one.
    fn is_trusted(&self, head: &Head) -> bool {
        let Some(debug) = &self.debug else { return false };
        let Some(given) = head.get(&debug.header) else { return false };
        let wanted = debug.secret.as_bytes();
        let differing = wanted.iter().zip(given).fold(0, |differing, (a, b)| differing | (a ^ b));
        given.len() == wanted.len() && differing == 0
    }
}
