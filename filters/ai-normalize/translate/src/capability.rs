//! What a model can do. Data with defaults for each provider; nothing looks at the names of models.

use serde::Deserialize;

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Thinking {
    /// It cannot be told.
    #[default]
    None,
    /// By most tokens: Anthropic's `thinking.budget_tokens`, Gemini's `thinkingBudget`.
    Budget,
    /// By a word: Gemini's `thinkingLevel`, Anthropic's `output_config.effort` beside `thinking: {type: adaptive}`, OpenAI's
    /// `reasoning_effort`.
    Effort,
    /// On or off: Qwen's `enable_thinking`, DeepSeek's `thinking.type`, vLLM's `chat_template_kwargs`.
    Switch,
}

/// How a model is held to a JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// By a parameter of its own.
    #[default]
    Native,
    /// By a tool that it has to call; its arguments become the text of the answer.
    Tool,
    /// It gives JSON, and is told the schema in the system text.
    JsonObject,
    /// It is told in the system text to give JSON, and the schema.
    Instruction,
}

/// Most tokens to think with, for providers that count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// For `minimal`.
    pub minimal: u64,
    /// For `low`.
    pub low: u64,
    /// For `medium`.
    pub medium: u64,
    /// For `high`.
    pub high: u64,
    /// For `xhigh`.
    pub xhigh: u64,
    /// For `max`.
    pub max: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { minimal: 1024, low: 1024, medium: 2048, high: 4096, xhigh: 16_384, max: 32_768 }
    }
}

impl Budgets {
    /// The budget for an effort.
    pub fn of(&self, effort: crate::ir::Effort) -> u64 {
        use crate::ir::Effort;
        match effort {
            Effort::Minimal => self.minimal,
            Effort::Low => self.low,
            Effort::Medium => self.medium,
            Effort::High => self.high,
            Effort::XHigh => self.xhigh,
            Effort::Max => self.max,
        }
    }

    /// The least effort whose budget is not below `tokens`; the highest if there is none.
    pub fn effort(&self, tokens: u64) -> crate::ir::Effort {
        use crate::ir::Effort;
        // `minimal` and `low` may have one budget; a budget was asked for, so it is at least `low`
        let steps = [Effort::Low, Effort::Medium, Effort::High, Effort::XHigh];
        steps.into_iter().find(|effort| self.of(*effort) >= tokens).unwrap_or(Effort::Max)
    }
}

macro_rules! capabilities {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)*) => {
        /// What a model can do.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Capabilities { $($(#[$doc])* pub $field: $type,)* }

        impl Default for Capabilities {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }

        /// Where a model differs from what its provider's models can do.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(default, deny_unknown_fields)]
        pub struct CapabilityChanges { $($(#[$doc])* pub $field: Option<$type>,)* }

        impl Capabilities {
            /// With what differs.
            #[must_use]
            pub fn with(mut self, changes: &CapabilityChanges) -> Self {
                $(if let Some(value) = &changes.$field { self.$field = value.clone(); })*
                self
            }
        }
    };
}

capabilities! {
    /// Most tokens of an answer where the client does not say and the provider has to know.
    default_max_tokens: u64 = 4096,
    /// How it is told to think.
    thinking: Thinking = Thinking::None,
    /// It cannot be told not to think.
    always_thinks: bool = false,
    /// Budgets for words of effort.
    budgets: Budgets = Budgets::default(),
    /// How it is held to a JSON Schema.
    structured_output: StructuredOutput = StructuredOutput::Native,
    /// It takes the whole of JSON Schema, not a part of it (Gemini's `parametersJsonSchema` and `responseJsonSchema`).
    json_schema: bool = false,
    /// It takes `strict` with tools.
    strict_tools: bool = false,
    /// It takes `temperature`, `top_p` and `top_k`.
    sampling: bool = true,
    /// It takes `temperature` and `top_p` together.
    temperature_with_top_p: bool = true,
    /// It looks at images.
    images: bool = true,
    /// It fetches images itself from `https` addresses.
    image_urls: bool = true,
    /// It listens.
    audio: bool = true,
    /// It reads files.
    files: bool = true,
    /// It calls tools.
    tools: bool = true,
    /// It wants back what it thought on turns that called tools (DeepSeek's and Kimi's `reasoning_content`).
    replays_reasoning: bool = false,
    /// Its calls carry signatures that it wants back, and an agreed one where they are lost (Gemini 3).
    call_signatures: bool = false,
    /// A relay before it says that an answer ends with every piece; only the last one is to be believed.
    finish_in_every_chunk: bool = false,
}
