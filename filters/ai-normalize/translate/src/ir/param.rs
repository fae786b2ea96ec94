//! Parameters of a request, and what providers make of them.

use crate::ir::{Format, Reasoning};
use span_json::{Text, Value};

/// Parameters beside the conversation. `None` is what a client does not say, or says `null` to; numbers are as the client wrote them.
#[derive(Debug, Clone, Default)]
pub struct Params<'a> {
    /// Most tokens of the answer, with what is thought.
    pub max_tokens: Option<&'a str>,
    /// How much chance.
    pub temperature: Option<&'a str>,
    /// How much of the likely.
    pub top_p: Option<&'a str>,
    /// How many of the likely.
    pub top_k: Option<&'a str>,
    /// How many answers.
    pub n: Option<&'a str>,
    /// For the same answer again.
    pub seed: Option<&'a str>,
    /// Against repetition.
    pub frequency_penalty: Option<&'a str>,
    /// Against old topics.
    pub presence_penalty: Option<&'a str>,
    /// Texts that end the answer.
    pub stop: Vec<Text<'a>>,
    /// Tell how likely tokens were.
    pub logprobs: Option<bool>,
    /// And of so many others.
    pub top_logprobs: Option<&'a str>,
    /// Likelihoods of tokens, by their number.
    pub logit_bias: Option<Value<'a>>,
    /// Who asks, to the provider.
    pub user: Option<Text<'a>>,
    /// Names and texts to keep with the request.
    pub metadata: Option<Value<'a>>,
    /// How fast, at what price.
    pub service_tier: Option<Text<'a>>,
    /// How much to think.
    pub reasoning: Option<Reasoning>,
    /// How much to say.
    pub verbosity: Option<Text<'a>>,
    /// The form of the answer.
    pub format: Option<Format<'a>>,
    /// Whether several tools may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// Kinds of output: `text`, `audio`, `image`.
    pub modalities: Option<Value<'a>>,
    /// What else the client says, by the name it says it under: parameters that have an equivalent at one provider only, and unknown
    /// ones. A provider takes what it knows ([`Params::other`]); what nobody takes is dropped and reported.
    pub others: Vec<(&'static str, Value<'a>)>,
    /// Names of members that nobody knows.
    pub unknown: Vec<Text<'a>>,
}

impl<'a> Params<'a> {
    /// What the client says under a name that only some providers know.
    pub fn other(&self, name: &str) -> Option<Value<'a>> {
        self.others.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

macro_rules! params {
    ($($param:ident $name:literal $given:expr;)*) => {
        /// A parameter that has a meaning across dialects.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Param { $($param),* }

        impl Param {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$param),*];

            /// OpenAI's name for it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$param => $name),* }
            }

            /// Whether a request says something to it.
            pub fn is_given(self, params: &Params<'_>) -> bool {
                match self { $(Self::$param => { let given: fn(&Params<'_>) -> bool = $given; given(params) }),* }
            }
        }
    };
}

params! {
    MaxTokens "max_tokens" |p| p.max_tokens.is_some();
    Temperature "temperature" |p| p.temperature.is_some();
    TopP "top_p" |p| p.top_p.is_some();
    TopK "top_k" |p| p.top_k.is_some();
    N "n" |p| p.n.is_some_and(|n| n != "1");
    Seed "seed" |p| p.seed.is_some();
    FrequencyPenalty "frequency_penalty" |p| p.frequency_penalty.is_some();
    PresencePenalty "presence_penalty" |p| p.presence_penalty.is_some();
    Stop "stop" |p| !p.stop.is_empty();
    Logprobs "logprobs" |p| p.logprobs == Some(true);
    TopLogprobs "top_logprobs" |p| p.top_logprobs.is_some();
    LogitBias "logit_bias" |p| p.logit_bias.is_some();
    User "user" |p| p.user.is_some();
    Metadata "metadata" |p| p.metadata.is_some();
    ServiceTier "service_tier" |p| p.service_tier.is_some();
    Reasoning "reasoning_effort" |p| p.reasoning.is_some();
    Verbosity "verbosity" |p| p.verbosity.is_some();
    JsonObject "response_format.json_object" |p| matches!(p.format, Some(Format::JsonObject));
    JsonSchema "response_format.json_schema" |p| matches!(p.format, Some(Format::JsonSchema(_)));
    ParallelToolCalls "parallel_tool_calls" |p| p.parallel_tool_calls.is_some();
    Modalities "modalities" |p| p.modalities.is_some_and(|value| value.raw() != r#"["text"]"#);
}

/// What a provider makes of a parameter. The text is for the table in the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It has the same, under this name.
    Mapped(&'static str),
    /// It has something near, in these words. What is lost on the way is reported where it is.
    Adapted(&'static str),
    /// It has nothing like it: dropped and reported, or refused if told so.
    None,
    /// It has nothing like it, and an answer without it would be a wrong one: always refused.
    Refused,
}
