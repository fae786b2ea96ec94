//! The filter, as its driver sees it.

use crate::config::Config;
use crate::headers;
use crate::limiter::{Asking, Decision, Limiter, Price, Step};
use crate::reservation::Reservation;
use filter_kit::matching::{Request, World};
use filter_kit::{Answer, Body, Callout, ConfigError, Env, Filter, Flow, Head, MetricTable, Reply, Stream, config};
use std::borrow::Cow;
use std::rc::Rc;

/// A configured rate-limit.
#[derive(Debug, Clone)]
pub struct RateLimit {
    limiter: Rc<Limiter>,
}

impl RateLimit {
    /// Checks and compiles a configuration.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Limiter::new(config).map(|limiter| Self { limiter: Rc::new(limiter) })
    }

    pub(crate) fn limiter(&self) -> &Rc<Limiter> {
        &self.limiter
    }

    /// Bytes of state when all rows are in use, without what a store needs for each of them.
    pub fn state_bytes(&self) -> u64 {
        self.limiter.policies.iter().map(|policy| policy.bytes()).sum()
    }
}

impl Filter for RateLimit {
    type Stream = RateLimitStream;

    const NAME: &'static str = "rate-limit";

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(config::parse(json)?)
    }

    fn metrics(&self) -> &MetricTable {
        &self.limiter.metrics
    }

    fn on_answer(&self, tag: u64, answer: Answer, env: &dyn Env) {
        self.limiter.on_answer(tag, &answer, env);
    }

    fn stream(&self) -> RateLimitStream {
        RateLimitStream { limiter: Rc::clone(&self.limiter), asking: None, headers: Vec::new(), reservation: None }
    }
}

/// One exchange.
#[derive(Debug)]
pub struct RateLimitStream {
    limiter: Rc<Limiter>,
    /// While the service is asked.
    asking: Option<Box<Asking>>,
    /// What the response tells.
    headers: Vec<(Cow<'static, str>, Vec<u8>)>,
    /// What is corrected, or given back, later.
    reservation: Option<Reservation>,
}

/// What becomes of a request that another filter asks about.
#[derive(Debug)]
pub enum Reserved {
    /// It passes.
    Passed(Passed),
    /// It is answered with this.
    Refused(Reply),
    /// A service has to be asked first: its answer goes to [`RateLimit::resume`]. If the exchange ends before it comes, there is
    /// [`RateLimit::abandon`].
    Ask(Callout, Box<Asking>),
}

/// A request that passes.
#[derive(Debug, Default)]
pub struct Passed {
    /// What is to be settled, or ended, later.
    pub reservation: Option<Reservation>,
    /// Headers that tell the client what is left, and those of the service.
    pub response_headers: Vec<(Cow<'static, str>, Vec<u8>)>,
    /// Headers of the service for the request.
    pub request_headers: Vec<(String, Vec<u8>)>,
}

impl RateLimit {
    /// Takes an estimate of what a request will cost, in place of what the policies say: the base of limits whose unit is known only from
    /// the response, such as tokens of a language model. An estimate that never fits is cut down to what does, since the request could
    /// never pass otherwise. [`Reservation::settle`] corrects it, [`Reservation::end`] has to follow.
    pub fn reserve(&self, head: &Head, estimate: u64, env: &dyn Env) -> Reserved {
        let world = World::new(env, None);
        let target = self.limiter.matching.path_form().apply(head.path());
        let request = Request::new(head, &target, &self.limiter.matching, &world);
        self.limiter.reserved(self.limiter.begin(&request, Some(Price::Estimate(estimate)), env))
    }

    /// Goes on when the service has answered.
    pub fn resume(&self, head: &Head, asking: Asking, answer: &Answer, env: &dyn Env) -> Reserved {
        let world = World::new(env, None);
        let target = self.limiter.matching.path_form().apply(head.path());
        let request = Request::new(head, &target, &self.limiter.matching, &world);
        self.limiter.reserved(self.limiter.go_on(asking, answer, &request, env))
    }

    /// Gives back what a request has taken that ended while the service was asked.
    pub fn abandon(&self, asking: &Asking, env: &dyn Env) {
        self.limiter.abandon(asking, env);
    }
}

impl Limiter {
    fn reserved(&self, step: Step) -> Reserved {
        match step {
            Step::Ask(callout, asking) => Reserved::Ask(callout, asking),
            Step::Done(Decision { reply: Some(reply), .. }) => Reserved::Refused(reply),
            Step::Done(Decision { told, reservation, response_headers: added, request_headers, .. }) => {
                let mut response_headers = headers::headers(&told, self.answer.told, None);
                response_headers.extend(added.into_iter().map(|(name, value)| (Cow::Owned(name), value)));
                Reserved::Passed(Passed { reservation, response_headers, request_headers })
            }
        }
    }
}

impl RateLimitStream {
    fn carry_out(&mut self, reserved: Reserved, head: &mut Head) -> Flow {
        match reserved {
            Reserved::Ask(callout, asking) => {
                self.asking = Some(asking);
                Flow::Call(callout)
            }
            Reserved::Refused(reply) => Flow::Reply(reply),
            Reserved::Passed(Passed { reservation, response_headers, request_headers }) => {
                self.headers = response_headers;
                self.reservation = reservation;
                for (name, value) in request_headers {
                    // what is no header stays out
                    let _ = head.set(&name, &value);
                }
                Flow::Continue
            }
        }
    }
}

impl Stream for RateLimitStream {
    fn reads_head(&self) -> bool {
        self.limiter.reads_head
    }

    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        let limiter = Rc::clone(&self.limiter);
        let world = World::new(env, None);
        let target = limiter.matching.path_form().apply(head.path());
        let request = Request::new(head, &target, &limiter.matching, &world);
        let reserved = limiter.reserved(limiter.begin(&request, None, env));
        // upstreams see the path that the policies have seen
        if let (false, Cow::Owned(normalized)) = (matches!(reserved, Reserved::Refused(_)), target)
            && head.set(":path", &normalized).is_err()
        {
            return Flow::Reply(Reply::status(400, "sluice_rate_limit_invalid_path"));
        }
        self.carry_out(reserved, head)
    }

    fn on_answer(&mut self, head: &mut Head, _: Option<&mut Body>, answer: Answer, env: &dyn Env) -> Flow {
        let Some(asking) = self.asking.take() else { return Flow::Continue };
        let limiter = Rc::clone(&self.limiter);
        let world = World::new(env, None);
        let target = head.path().to_vec();
        let request = Request::new(head, &target, &limiter.matching, &world);
        let reserved = limiter.reserved(limiter.go_on(*asking, &answer, &request, env));
        self.carry_out(reserved, head)
    }

    fn lasts(&self) -> bool {
        !self.headers.is_empty() || self.reservation.is_some() || self.asking.is_some()
    }

    fn reads_response_head(&self) -> bool {
        self.reservation.is_some() || headers::reads(&self.headers)
    }

    fn on_response_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        headers::write(&std::mem::take(&mut self.headers), head);
        if let Some(reservation) = &mut self.reservation {
            reservation.settle_by_response(head, env);
        }
        Flow::Continue
    }

    fn on_end(&mut self, env: &dyn Env) {
        if let Some(asking) = self.asking.take() {
            self.limiter.abandon(&asking, env);
        }
        if let Some(reservation) = self.reservation.take() {
            reservation.end(env);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_where_something_depends_on_them() {
        let limits = r#""limits": [{"units": 1, "per_ms": 1000}]"#;
        let reads = |policy: &str, rest: &str| {
            let config = format!(r#"{{"policies": [{{"name": "a", {limits}{policy}}}]{rest}}}"#);
            RateLimit::from_config(config.as_bytes()).unwrap().stream().reads_head()
        };
        for policy in ["", r#", "key": [{"constant": "x"}, {"source_address": {}}, {"property": ["a"]}]"#] {
            assert!(!reads(policy, ""), "{policy}");
        }
        for policy in [
            r#", "match": {}"#,
            r#", "matches": [{"path": {"exact": "/"}}]"#,
            r#", "key": ["path"]"#,
            r#", "key": [{"source_address": {"trusted_hops": 1}}]"#,
            r#", "tiers": {"t": [{"units": 2}]}, "tier_header": "x-t""#,
            r#", "cost": {"header": {"name": "x-cost"}}"#,
            r#", "cost": {"body_bytes": {}}"#,
        ] {
            assert!(reads(policy, ""), "{policy}");
        }
        for rest in [
            r#", "matching": {"merge_slashes": true}"#,
            r#", "consumers": {"credential": {"header": "x"}, "names": {"a": "b"}}, "log_fields": true"#,
            r#", "answer": {"headers": [{"name": "x-path", "value": "${path}"}]}"#,
        ] {
            assert!(reads("", rest), "{rest}");
        }
    }
}
