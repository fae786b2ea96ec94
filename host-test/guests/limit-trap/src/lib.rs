//! The rate-limit filter, but for requests with `x-trap`: those kill the VM, `before` the limits are asked or `after` that.
#![cfg(target_arch = "wasm32")]

use filter_kit::{Answer, Body, ConfigError, Env, Filter, Flow, Head, MetricTable, Stream};
use rate_limit::RateLimit;

/// The filter.
#[derive(Debug)]
pub struct LimitTrap(RateLimit);

/// One exchange.
#[derive(Debug)]
pub struct LimitTrapStream(<RateLimit as Filter>::Stream);

impl Filter for LimitTrap {
    type Stream = LimitTrapStream;

    const NAME: &'static str = RateLimit::NAME;

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        RateLimit::from_config(json).map(Self)
    }

    fn metrics(&self) -> &MetricTable {
        self.0.metrics()
    }

    fn on_answer(&self, tag: u64, answer: Answer, env: &dyn Env) {
        self.0.on_answer(tag, answer, env);
    }

    fn stream(&self) -> LimitTrapStream {
        LimitTrapStream(self.0.stream())
    }
}

impl Stream for LimitTrapStream {
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        let trap = |when: &str| head.get("x-trap").is_some_and(|value| *value == *when.as_bytes());
        let (before, after) = (trap("before"), trap("after"));
        if before {
            core::arch::wasm32::unreachable();
        }
        let flow = self.0.on_request_head(head, env);
        if after {
            core::arch::wasm32::unreachable();
        }
        flow
    }

    fn on_answer(&mut self, head: &mut Head, body: Option<&mut Body>, answer: Answer, env: &dyn Env) -> Flow {
        self.0.on_answer(head, body, answer, env)
    }

    fn lasts(&self) -> bool {
        self.0.lasts()
    }

    fn on_response_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        self.0.on_response_head(head, env)
    }

    fn on_end(&mut self, env: &dyn Env) {
        self.0.on_end(env);
    }
}

filter_shell::main!(LimitTrap, request_body, call, response_head);
