//! The filters that a suite can hold.

use crate::FilterConfig;
use ai_normalize::{AiNormalize, AiStream};
use filter_kit::{Answer, Body, Chunk, ConfigError, Env, Filter, Flow, Head, MetricTable, Reply, Stream};
use header_router::{HeaderRouter, HeaderRouterStream};
use prefix_rewrite::{PrefixRewrite, PrefixRewriteStream};
use rate_limit::{RateLimit, RateLimitStream};

#[derive(Debug)]
pub(crate) enum AnyFilter {
    AiNormalize(AiNormalize),
    HeaderRouter(HeaderRouter),
    PrefixRewrite(PrefixRewrite),
    RateLimit(RateLimit),
}

/// The stream of one of them.
#[derive(Debug)]
pub enum AnyStream {
    /// See `ai-normalize`.
    AiNormalize(AiStream),
    /// See `header-router`.
    HeaderRouter(HeaderRouterStream),
    /// See `prefix-rewrite`.
    PrefixRewrite(PrefixRewriteStream),
    /// See `rate-limit`.
    RateLimit(RateLimitStream),
}

impl AnyFilter {
    pub(crate) fn new(config: FilterConfig) -> Result<Self, ConfigError> {
        match config {
            FilterConfig::AiNormalize(config) => {
                AiNormalize::new(config).map(Self::AiNormalize).map_err(|error| error.within("ai_normalize"))
            }
            FilterConfig::HeaderRouter(config) => {
                HeaderRouter::new(config).map(Self::HeaderRouter).map_err(|error| error.within("header_router"))
            }
            FilterConfig::PrefixRewrite(config) => {
                PrefixRewrite::new(config).map(Self::PrefixRewrite).map_err(|error| error.within("prefix_rewrite"))
            }
            FilterConfig::RateLimit(config) => {
                RateLimit::new(config).map(Self::RateLimit).map_err(|error| error.within("rate_limit"))
            }
        }
    }

    pub(crate) fn metrics(&self) -> &MetricTable {
        match self {
            Self::AiNormalize(filter) => filter.metrics(),
            Self::HeaderRouter(filter) => filter.metrics(),
            Self::PrefixRewrite(filter) => filter.metrics(),
            Self::RateLimit(filter) => filter.metrics(),
        }
    }

    pub(crate) fn holds(&self) -> bool {
        match self {
            Self::AiNormalize(filter) => filter.holds(),
            Self::HeaderRouter(filter) => filter.holds(),
            Self::PrefixRewrite(filter) => filter.holds(),
            Self::RateLimit(filter) => filter.holds(),
        }
    }

    pub(crate) fn on_answer(&self, tag: u64, answer: Answer, env: &dyn Env) {
        match self {
            Self::AiNormalize(filter) => filter.on_answer(tag, answer, env),
            Self::HeaderRouter(filter) => filter.on_answer(tag, answer, env),
            Self::PrefixRewrite(filter) => filter.on_answer(tag, answer, env),
            Self::RateLimit(filter) => filter.on_answer(tag, answer, env),
        }
    }

    pub(crate) fn stream(&self) -> AnyStream {
        match self {
            Self::AiNormalize(filter) => AnyStream::AiNormalize(filter.stream()),
            Self::HeaderRouter(filter) => AnyStream::HeaderRouter(filter.stream()),
            Self::PrefixRewrite(filter) => AnyStream::PrefixRewrite(filter.stream()),
            Self::RateLimit(filter) => AnyStream::RateLimit(filter.stream()),
        }
    }
}

impl AnyStream {
    fn inner(&mut self) -> &mut dyn Stream {
        match self {
            Self::AiNormalize(stream) => stream,
            Self::HeaderRouter(stream) => stream,
            Self::PrefixRewrite(stream) => stream,
            Self::RateLimit(stream) => stream,
        }
    }
}

impl Stream for AnyStream {
    fn lasts(&self) -> bool {
        match self {
            Self::AiNormalize(stream) => stream.lasts(),
            Self::HeaderRouter(stream) => stream.lasts(),
            Self::PrefixRewrite(stream) => stream.lasts(),
            Self::RateLimit(stream) => stream.lasts(),
        }
    }

    fn reads_response_head(&self) -> bool {
        match self {
            Self::AiNormalize(stream) => stream.reads_response_head(),
            Self::HeaderRouter(stream) => stream.reads_response_head(),
            Self::PrefixRewrite(stream) => stream.reads_response_head(),
            Self::RateLimit(stream) => stream.reads_response_head(),
        }
    }

    fn on_held_request(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        self.inner().on_held_request(head, body, env)
    }

    fn on_answer(&mut self, head: &mut Head, body: Option<&mut Body>, answer: Answer, env: &dyn Env) -> Flow {
        self.inner().on_answer(head, body, answer, env)
    }

    fn on_end(&mut self, env: &dyn Env) {
        self.inner().on_end(env);
    }

    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        self.inner().on_request_head(head, env)
    }

    fn on_request_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        self.inner().on_request_body(body, env)
    }

    fn on_response_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        self.inner().on_response_head(head, env)
    }

    fn on_response_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        self.inner().on_response_body(body, env)
    }

    fn on_request_too_large(&mut self, env: &dyn Env) -> Reply {
        self.inner().on_request_too_large(env)
    }

    fn on_held_response(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        self.inner().on_held_response(head, body, env)
    }

    fn on_response_too_large(&mut self, env: &dyn Env) -> Reply {
        self.inner().on_response_too_large(env)
    }

    fn on_response_chunk(&mut self, chunk: &mut Chunk, env: &dyn Env) -> Flow {
        self.inner().on_response_chunk(chunk, env)
    }
}
