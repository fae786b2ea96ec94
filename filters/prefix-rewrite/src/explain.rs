//! Why a request is rewritten as it is.

use crate::{Compiled, PrefixRewrite};
use filter_kit::explain::{Detail, Stage};
use filter_kit::matching::{Request, World};
use filter_kit::rewrite::Rewritten;
use filter_kit::table::{Entry, Found};
use filter_kit::{Env, Head};
use serde::Serialize;

/// What becomes of a request, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `rewritten` (a rule took it), `unchanged` (no rule did), `refused` (its path cannot be rewritten), `too_large` (its
    /// body, for a filter that looks at it) or `needs_body`.
    pub outcome: &'static str,
    /// Name of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The status of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Path and query as they go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Host as it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What the rules said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

impl PrefixRewrite {
    /// Says what becomes of a request, and what each rule said of it. `body` is there or not; without it, a request that
    /// depends on it comes out as `needs_body`.
    pub fn explain(&self, head: &Head, body: Option<&[u8]>, env: &dyn Env, detail: Detail) -> Explanation {
        let explanation = self.compiled.explain(head, None, env, detail);
        match body {
            Some(body) if explanation.outcome == "needs_body" => {
                if body.len() > self.compiled.max_body_bytes {
                    return Explanation { outcome: "too_large", status: Some(413), ..explanation };
                }
                self.compiled.explain(head, Some(body), env, detail)
            }
            _ => explanation,
        }
    }
}

impl Compiled {
    fn explain(&self, head: &Head, body: Option<&[u8]>, env: &dyn Env, detail: Detail) -> Explanation {
        let world = World::new(env, body);
        let target = self.table.options().path_form().apply(head.path());
        let request = Request::new(head, &target, self.table.options(), &world);
        let lossy = |text: &[u8]| Some(String::from_utf8_lossy(text).into_owned());
        let changed = |explanation, rewritten: Rewritten| {
            let mut probe = Head::default();
            let normalized = request.target != head.path();
            if normalized && probe.set(":path", request.target).is_err() || rewritten.write(&mut probe).is_err() {
                return refused(explanation);
            }
            let path = rewritten.target.as_deref().unwrap_or(request.target);
            let host = rewritten.authority.as_deref().unwrap_or(request.authority);
            Explanation { path: lossy(path), host: lossy(host), ..explanation }
        };
        let mut taken: Option<&Entry> = None;
        let mut explanation = match self.table.find(&request) {
            Found::NeedsBody => Explanation { outcome: "needs_body", ..Explanation::default() },
            Found::Nothing => {
                changed(Explanation { outcome: "unchanged", ..Explanation::default() }, Rewritten::default())
            }
            Found::Entry(entry) => {
                taken = Some(entry);
                let (rule, rewritten) = self.rewritten(entry, &request);
                let rule = rule.map(|rule| rule.name.clone());
                let explanation = Explanation { outcome: "rewritten", rule, ..Explanation::default() };
                match rewritten {
                    Ok(rewritten) => changed(explanation, rewritten),
                    Err(_) => refused(explanation),
                }
            }
        };
        if detail != Detail::Outcome {
            let names: Vec<&str> = self.rules.iter().map(|rule| rule.name.as_str()).collect();
            explanation.stages.push(Stage::new("rules", &self.table, &names, &request, taken, detail));
        }
        explanation
    }
}

fn refused(explanation: Explanation) -> Explanation {
    Explanation { outcome: "refused", status: Some(400), ..explanation }
}
