//! What a request asks, whatever its dialect: what the answer is made from.

use crate::call::Call;
use crate::media::Media;
use crate::wishes::Wishes;
use serde_json::Value;

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What its arguments are to be like.
    pub schema: Value,
}

/// Which tool the model may or must call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Choice {
    /// As the model likes.
    #[default]
    Auto,
    /// No tool.
    None,
    /// Some tool.
    Any,
    /// This one.
    Named(String),
}

/// What the text of the answer is to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Format {
    /// Prose.
    #[default]
    Text,
    /// Some JSON object.
    Json,
    /// JSON that fits this schema.
    Schema(Value),
}

/// A request, understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prompt {
    /// The model that was asked for.
    pub model: String,
    /// System texts, in order.
    pub system: Vec<String>,
    /// The last text of the user, without wishes.
    pub user: String,
    /// What came with it.
    pub media: Vec<Media>,
    /// The results at the end of the conversation; none if it ends otherwise.
    pub results: Vec<String>,
    /// How many tool calls there were before.
    pub calls_before: usize,
    /// The tools on offer.
    pub tools: Vec<Tool>,
    /// Which of them.
    pub choice: Choice,
    /// Whether several calls at once are not wanted.
    pub one_call: bool,
    /// What the answer is to be like.
    pub format: Format,
    /// Whether the model is to think first.
    pub thinks: bool,
    /// Whether the answer is to be a stream.
    pub stream: bool,
    /// Wishes of the header and of the text.
    pub wishes: Wishes,
}

impl Prompt {
    /// Takes the wishes out of the user's text, and adds them to those of the header.
    #[must_use]
    pub fn with_wishes(mut self, call: &Call) -> Self {
        (self.wishes, self.user) = call.wishes.clone().with_text(&self.user);
        self.thinks |= self.wishes.reasoning || self.wishes.redacted;
        self
    }
}
