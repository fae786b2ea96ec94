//! The providers there are.

use std::fmt;
use std::str::FromStr;

/// A provider to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// api.openai.com
    OpenAi,
    /// api.anthropic.com
    Anthropic,
    /// generativelanguage.googleapis.com
    Gemini,
    /// aiplatform.googleapis.com
    Vertex,
    /// bedrock-runtime.REGION.amazonaws.com
    Bedrock,
    /// api.cohere.com
    Cohere,
    /// api.mistral.ai
    Mistral,
    /// RESOURCE.openai.azure.com
    Azure,
    /// api.deepseek.com
    DeepSeek,
    /// api.groq.com
    Groq,
    /// A self-hosted server with the interface of OpenAI, such as vLLM or Ollama.
    Compatible,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::Gemini,
        Self::Vertex,
        Self::Bedrock,
        Self::Cohere,
        Self::Mistral,
        Self::Azure,
        Self::DeepSeek,
        Self::Groq,
        Self::Compatible,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Vertex => "vertex",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
            Self::Mistral => "mistral",
            Self::Azure => "azure",
            Self::DeepSeek => "deepseek",
            Self::Groq => "groq",
            Self::Compatible => "compatible",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("unknown provider {name}; there are {}", known()))
    }
}
