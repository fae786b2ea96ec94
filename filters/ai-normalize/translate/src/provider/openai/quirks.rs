//! How providers that speak like OpenAI differ from it.

use crate::ids::Grammar;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a provider wants otherwise than OpenAI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Members of the request under another name.
    pub rename: BTreeMap<String, String>,
    /// Members of the request that it refuses: dropped and reported.
    pub drop: Vec<String>,
    /// What it calls the most tokens of an answer: `max_tokens` or `max_completion_tokens`; without it, what the client calls them.
    pub max_tokens: Option<String>,
    /// It knows the role `developer`; otherwise that becomes `system`.
    pub developer_role: bool,
    /// Its word for `tool_choice: required`.
    pub tool_choice_required: Option<String>,
    /// What ids of tool calls may be.
    pub tool_ids: ToolIds,
    /// It takes `stream_options`. Without them it tells what a stream costs by itself.
    pub stream_options: bool,
    /// It takes names of participants in messages.
    pub names: bool,
    /// It refuses messages of the model that say nothing and call nothing.
    pub fill_empty: bool,
    /// It wants the parameters of each tool, be they none.
    pub tool_parameters: bool,
    /// How it is told to think, where it is by a switch.
    pub thinking_switch: ThinkingSwitch,
}

/// What ids of tool calls may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ToolIds {
    /// Anything.
    #[default]
    Any,
    /// Exactly nine letters and digits.
    Nine,
}

impl ToolIds {
    pub(super) fn grammar(self) -> Option<Grammar> {
        match self {
            Self::Any => None,
            Self::Nine => Some(Grammar::Nine),
        }
    }
}

/// Members that switch thinking on and off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ThinkingSwitch {
    /// `thinking: {type: enabled}` or `disabled`, as DeepSeek.
    #[default]
    Thinking,
    /// `enable_thinking: true`, as Qwen.
    EnableThinking,
    /// `chat_template_kwargs: {enable_thinking: true}`, as vLLM.
    ChatTemplate,
}
