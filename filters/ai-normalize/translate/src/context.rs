//! What an answer has to be written with.

use serde::Deserialize;

/// What is kept of a request until its answer is there.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Letters and digits that no other request has; ids are made of it where a provider gives none.
    pub unique: String,
    /// Seconds since 1970, for answers whose provider does not say.
    pub created: u64,
    /// The model as the client named it.
    pub asked_model: String,
    /// The model as the provider was told.
    pub sent_model: String,
    /// Which of both the client is told.
    pub model_name: ModelName,
    /// The client asked for a stream.
    pub stream: bool,
    /// The client asked for what it cost, as part of the stream.
    pub want_usage: bool,
    /// Members of the request that the answer repeats, as JSON without braces.
    pub echo: String,
    /// What the request's translation has left to know.
    pub hints: Hints,
}

/// Which model an answer says it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ModelName {
    /// The one that the provider names, or was told.
    #[default]
    Upstream,
    /// The one that the client asked for.
    Requested,
}

impl Context {
    /// The name of the model to tell, where the provider says `upstream`.
    pub fn model(&self, upstream: Option<&str>) -> String {
        match (self.model_name, upstream) {
            (ModelName::Requested, _) => self.asked_model.clone(),
            (ModelName::Upstream, Some(name)) if !name.is_empty() => name.to_owned(),
            (ModelName::Upstream, _) => self.sent_model.clone(),
        }
    }

    /// An id made for this answer; `place` tells those of one answer apart.
    pub fn id(&self, prefix: &str, place: u32) -> String {
        match place {
            0 => format!("{prefix}{}", self.unique),
            place => format!("{prefix}{}{place}", self.unique),
        }
    }
}

/// What a request's translation has left to know of its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// The answer is to be the arguments of this tool, which the client knows nothing of.
    pub answer_tool: Option<String>,
    /// Names of tools that the provider got under another name: (its name, the client's).
    pub renamed_tools: Vec<(String, String)>,
    /// Whatever else a dialect has to know, in its own words.
    pub notes: Vec<&'static str>,
}

impl Hints {
    /// The client's name of a tool.
    pub fn tool_name<'n>(&'n self, sent: &'n str) -> &'n str {
        self.renamed_tools.iter().find(|(known, _)| known == sent).map_or(sent, |(_, asked)| asked)
    }
}
