//! Providers that speak like OpenAI, one entry each.

use super::quirks::{Quirks, ThinkingSwitch, ToolIds};
use crate::capability::{Capabilities, StructuredOutput, Thinking};

/// One provider.
#[derive(Debug)]
pub struct Entry {
    /// What configurations call it.
    pub name: &'static str,
    /// Path of chat completions.
    pub chat: &'static str,
    /// Path of embeddings, if it has them.
    pub embeddings: Option<&'static str>,
    /// Path of responses, if it has them.
    pub responses: Option<&'static str>,
    /// Variables in these paths.
    pub variables: &'static [&'static str],
    /// Members that it refuses.
    pub drop: &'static [&'static str],
    /// Members that it names otherwise.
    pub rename: &'static [(&'static str, &'static str)],
    /// Its name for the most tokens of an answer.
    pub max_tokens: Option<&'static str>,
    /// It knows the role `developer`.
    pub developer_role: bool,
    /// Its word for a tool that has to be called.
    pub required: Option<&'static str>,
    /// Ids of tool calls.
    pub tool_ids: ToolIds,
    /// It takes `stream_options`.
    pub stream_options: bool,
    /// It takes names in messages.
    pub names: bool,
    /// How it is told to think.
    pub thinking: Thinking,
    /// By which switch.
    pub switch: ThinkingSwitch,
    /// It takes schemas of answers.
    pub json_schema: bool,
    /// It wants back what was thought on turns that called tools.
    pub replays_reasoning: bool,
    /// It takes `top_k`.
    pub top_k: bool,
    /// It wants the parameters of each tool, be they none.
    pub tool_parameters: bool,
    /// It refuses messages of the model that say nothing and call nothing.
    pub fill_empty: bool,
    /// Its models look at images.
    pub images: bool,
}

const OPENAI: Entry = Entry {
    name: "openai",
    chat: "/v1/chat/completions",
    embeddings: Some("/v1/embeddings"),
    responses: Some("/v1/responses"),
    variables: &[],
    drop: &[],
    rename: &[],
    max_tokens: None,
    developer_role: true,
    required: None,
    tool_ids: ToolIds::Any,
    stream_options: true,
    names: true,
    thinking: Thinking::Effort,
    switch: ThinkingSwitch::Thinking,
    json_schema: true,
    replays_reasoning: false,
    top_k: false,
    tool_parameters: false,
    fill_empty: false,
    images: true,
};

/// What servers have in common that are not OpenAI's.
const OTHERS: Entry = Entry {
    name: "compatible",
    responses: None,
    max_tokens: Some("max_tokens"),
    developer_role: false,
    top_k: true,
    ..OPENAI
};

/// All of them.
pub static ENTRIES: [Entry; 12] = [
    OPENAI,
    Entry {
        name: "azure",
        chat: "/openai/deployments/{model}/chat/completions?api-version={api_version}",
        embeddings: Some("/openai/deployments/{model}/embeddings?api-version={api_version}"),
        // of the API without versions; the deployment stands in the body
        responses: Some("/openai/v1/responses"),
        variables: &["api_version"],
        ..OPENAI
    },
    Entry {
        name: "mistral",
        rename: &[("seed", "random_seed"), ("dimensions", "output_dimension")],
        drop: &["logit_bias", "user", "store", "stream_options", "safety_identifier", "verbosity", "prompt_cache_key"],
        required: Some("any"),
        tool_ids: ToolIds::Nine,
        tool_parameters: true,
        fill_empty: true,
        stream_options: false,
        names: false,
        ..OTHERS
    },
    Entry {
        name: "deepseek",
        chat: "/chat/completions",
        embeddings: None,
        images: false,
        thinking: Thinking::Switch,
        json_schema: false,
        replays_reasoning: true,
        top_k: false,
        drop: &["logit_bias", "seed", "n", "user", "store", "parallel_tool_calls", "verbosity"],
        ..OTHERS
    },
    Entry {
        name: "groq",
        chat: "/openai/v1/chat/completions",
        embeddings: Some("/openai/v1/embeddings"),
        drop: &["logprobs", "top_logprobs", "logit_bias", "verbosity"],
        max_tokens: Some("max_completion_tokens"),
        names: false,
        top_k: false,
        ..OTHERS
    },
    Entry { name: "xai", responses: Some("/v1/responses"), top_k: false, ..OTHERS },
    Entry {
        name: "qwen",
        chat: "/compatible-mode/v1/chat/completions",
        embeddings: Some("/compatible-mode/v1/embeddings"),
        thinking: Thinking::Switch,
        switch: ThinkingSwitch::EnableThinking,
        ..OTHERS
    },
    Entry { name: "openrouter", chat: "/api/v1/chat/completions", embeddings: Some("/api/v1/embeddings"), ..OTHERS },
    Entry { name: "together", ..OTHERS },
    Entry { name: "ollama", drop: &["logit_bias", "user", "n"], ..OTHERS },
    Entry { name: "vllm", thinking: Thinking::Switch, switch: ThinkingSwitch::ChatTemplate, ..OTHERS },
    OTHERS,
];

impl Entry {
    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities {
            thinking: self.thinking,
            structured_output: if self.json_schema { StructuredOutput::Native } else { StructuredOutput::JsonObject },
            strict_tools: true,
            images: self.images,
            replays_reasoning: self.replays_reasoning,
            ..Capabilities::default()
        }
    }

    pub(super) fn quirks(&self) -> Quirks {
        let owned = |text: &&str| (*text).to_owned();
        Quirks {
            rename: self.rename.iter().map(|(from, to)| (owned(from), owned(to))).collect(),
            drop: self.drop.iter().map(owned).collect(),
            max_tokens: self.max_tokens.as_ref().map(owned),
            developer_role: self.developer_role,
            tool_choice_required: self.required.as_ref().map(owned),
            tool_ids: self.tool_ids,
            stream_options: self.stream_options,
            names: self.names,
            thinking_switch: self.switch,
            tool_parameters: self.tool_parameters,
            fill_empty: self.fill_empty,
        }
    }
}
