//! What becomes of a request, without a host.

use crate::filter::{AiNormalize, AiStream};
use filter_kit::{Body, Env, Filter, Flow, Head, Stream};
use serde::Serialize;

/// What becomes of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `routed`, `unchanged`, `answered`, or `needs_body`.
    pub outcome: &'static str,
    /// Status of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Text of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The model of the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Path in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Host in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What the provider does not get, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
}

impl AiNormalize {
    /// Runs a request through the filter. Keys are whatever `env` has for them; none is told.
    pub fn explain(&self, head: &Head, body: Option<&[u8]>, env: &dyn Env) -> Explanation {
        let mut head = head.clone();
        let mut stream: AiStream = self.stream();
        let mut flow = stream.on_request_head(&mut head, env);
        if matches!(flow, Flow::Hold { .. } | Flow::Buffer { .. }) {
            let Some(body) = body else {
                return Explanation { outcome: "needs_body", ..Explanation::default() };
            };
            let mut body = Body::new(body.to_vec());
            flow = match flow {
                Flow::Hold { limit } | Flow::Buffer { limit } if body.bytes().len() > limit => {
                    Flow::Reply(stream.on_request_too_large(env))
                }
                Flow::Hold { .. } => stream.on_held_request(&mut head, &mut body, env),
                _ => stream.on_request_body(&mut body, env),
            };
        }
        if let Flow::Reply(reply) = flow {
            return Explanation {
                outcome: "answered",
                status: Some(reply.status),
                answer: Some(String::from_utf8_lossy(&reply.body).into_owned()),
                ..Explanation::default()
            };
        }
        let text = |name: &str| head.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        if !stream.lasts() {
            return Explanation {
                outcome: "unchanged",
                path: text(":path"),
                host: text(":authority"),
                ..Explanation::default()
            };
        }
        let lost = stream.notes().iter().map(|note| {
            let what = if note.dropped { "dropped" } else { "adapted" };
            format!("{} {what}: {}", note.what, note.why)
        });
        Explanation {
            outcome: "routed",
            rule: text("x-sluice-route"),
            target: text("x-sluice-cluster"),
            provider: text("x-sluice-ai-provider"),
            path: text(":path"),
            host: text(":authority"),
            lost: lost.collect(),
            ..Explanation::default()
        }
    }
}

/// The clusters of a configuration, each with its place.
pub fn clusters(config: &crate::Config) -> Vec<(String, &str)> {
    let providers = config.providers.iter().enumerate();
    providers.map(|(place, provider)| (format!("providers[{place}].cluster"), provider.cluster.as_str())).collect()
}
