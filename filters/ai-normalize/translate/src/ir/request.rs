//! A request for an answer of a model.

use crate::ir::{ApiError, Params};
use span_json::{Doc, Kind, Limits, Text, Value};
use std::borrow::Cow;

/// A conversation so far, and how it is to go on.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// System and developer texts, in their order, wherever they stood. All of them are [`Part::Text`].
    pub system: Vec<Part<'a>>,
    /// What was said. Turns of one role may follow each other.
    pub turns: Vec<Turn<'a>>,
    /// Functions that the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether and which of them it has to call.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Everything else.
    pub params: Params<'a>,
    /// The answer is to come as a stream.
    pub stream: bool,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The client, with results of tools as well.
    User,
    /// The model.
    Assistant,
}

/// What one side said.
#[derive(Debug, Clone)]
pub struct Turn<'a> {
    /// Who.
    pub role: Role,
    /// What.
    pub parts: Vec<Part<'a>>,
    /// The participant's name, where clients give one.
    pub name: Option<Text<'a>>,
}

/// A piece of a turn. `cache` marks the end of what the provider may keep for later requests (Anthropic's `cache_control`), as the
/// client's JSON.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    /// Text.
    Text {
        /// May be empty.
        text: Text<'a>,
        /// See [`Part`].
        cache: Option<Value<'a>>,
    },
    /// A picture.
    Image {
        /// Where it is.
        source: Source<'a>,
        /// OpenAI's `detail`: `low`, `high`, `auto`.
        detail: Option<Text<'a>>,
        /// See [`Part`].
        cache: Option<Value<'a>>,
    },
    /// Sound.
    Audio {
        /// Base64.
        data: Text<'a>,
        /// `wav`, `mp3`..
        format: Text<'a>,
    },
    /// A document.
    File {
        /// Where it is.
        source: Source<'a>,
        /// Its file name.
        name: Option<Text<'a>>,
        /// See [`Part`].
        cache: Option<Value<'a>>,
    },
    /// What the model thought.
    Thinking {
        /// May be empty.
        text: Text<'a>,
        /// What the provider signed it with.
        signature: Option<Text<'a>>,
    },
    /// What the model thought, for the provider's eyes only.
    RedactedThinking {
        /// The provider's.
        data: Text<'a>,
    },
    /// The model calls a tool.
    ToolCall(ToolCall<'a>),
    /// What the tool returned; in a turn of the user.
    ToolResult(ToolResult<'a>),
    /// The model refused, in these words.
    Refusal(Text<'a>),
}

impl<'a> Part<'a> {
    /// Text and nothing else.
    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Self::Text { text: text.into(), cache: None }
    }
}

/// Where the content of a part is.
#[derive(Debug, Clone)]
pub enum Source<'a> {
    /// In the message.
    Base64 {
        /// `image/png`.
        media_type: Text<'a>,
        /// Standard alphabet, padded, without blanks.
        data: Text<'a>,
    },
    /// In the message, as text.
    Plain(Text<'a>),
    /// Elsewhere.
    Url(Text<'a>),
    /// At the provider, under this name.
    Id(Text<'a>),
}

/// A call of a tool.
#[derive(Debug, Clone)]
pub struct ToolCall<'a> {
    /// The client's name of the call.
    pub id: Text<'a>,
    /// The function.
    pub name: Text<'a>,
    /// With what.
    pub arguments: Arguments<'a>,
    /// Gemini's `thoughtSignature`.
    pub signature: Option<Text<'a>>,
}

/// Arguments of a call.
#[derive(Debug, Clone)]
pub enum Arguments<'a> {
    /// JSON in a string, as OpenAI writes it. What a model wrote there need not be JSON.
    Encoded(Text<'a>),
    /// A JSON object.
    Object(&'a str),
}

impl<'a> Arguments<'a> {
    /// The JSON object; an empty text is an empty object.
    ///
    /// # Errors
    /// If the text is no JSON object.
    pub fn object(&self) -> Result<Cow<'a, str>, NoObject> {
        let text = match self {
            Self::Object(json) => return Ok(Cow::Borrowed(json)),
            Self::Encoded(text) => text.decode(),
        };
        if text.trim().is_empty() {
            return Ok(Cow::Borrowed("{}"));
        }
        match Doc::parse(text.as_bytes(), Limits::default()) {
            Ok(doc) if doc.root().kind() == Kind::Object => Ok(text),
            _ => Err(NoObject),
        }
    }

    /// JSON in a string.
    pub fn encoded(&self) -> Text<'a> {
        match self {
            Self::Encoded(text) => text.clone(),
            Self::Object(json) => Text::from(*json),
        }
    }
}

/// Arguments that are no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoObject;

/// What a tool returned.
#[derive(Debug, Clone)]
pub struct ToolResult<'a> {
    /// Of the call.
    pub id: Text<'a>,
    /// Of the function, where the client says it.
    pub name: Option<Text<'a>>,
    /// Texts, images and files; may be none.
    pub parts: Vec<Part<'a>>,
    /// The tool failed.
    pub is_error: bool,
    /// See [`Part`].
    pub cache: Option<Value<'a>>,
}

/// A function that the model may call.
#[derive(Debug, Clone)]
pub struct Tool<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// What it is for.
    pub description: Option<Text<'a>>,
    /// JSON Schema of its arguments, an object; `None` for a function without arguments.
    pub parameters: Option<Value<'a>>,
    /// Arguments have to follow the schema.
    pub strict: Option<bool>,
    /// It takes a text, not JSON (OpenAI's custom tools); to be offered as a function with the string `input`.
    pub is_custom: bool,
    /// See [`Part`].
    pub cache: Option<Value<'a>>,
}

impl Tool<'_> {
    /// The schema of its arguments, never absent.
    pub fn schema(&self) -> &str {
        match self.parameters {
            _ if self.is_custom => r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#,
            Some(schema) => schema.raw(),
            None => r#"{"type":"object","properties":{}}"#,
        }
    }
}

/// Whether and which tools the model has to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// As it sees fit.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(Text<'a>),
    /// Of these only; `required` if at least one.
    Allowed {
        /// Their names.
        names: Vec<Text<'a>>,
        /// At least one.
        required: bool,
    },
}

/// How much the model is to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasoning {
    /// Not at all.
    Off,
    /// About so much.
    Effort(Effort),
    /// At most so many tokens.
    Budget(u64),
    /// As it sees fit (Anthropic's `adaptive`).
    Adaptive,
}

/// Steps of effort, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max];

    /// As OpenAI writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// From OpenAI's word for it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.name() == name)
    }
}

/// The form of the answer.
#[derive(Debug, Clone)]
pub enum Format<'a> {
    /// Text.
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema(JsonSchema<'a>),
}

/// A schema that an answer has to follow.
#[derive(Debug, Clone)]
pub struct JsonSchema<'a> {
    /// OpenAI wants one; others get on without.
    pub name: Option<Text<'a>>,
    /// What it is for.
    pub description: Option<Text<'a>>,
    /// JSON Schema.
    pub schema: Value<'a>,
    /// To the letter.
    pub strict: Option<bool>,
}

impl<'a> Request<'a> {
    /// Calls of tools in the conversation, in their order.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall<'a>> {
        self.turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        })
    }

    /// Whether the conversation has calls of tools, or results.
    pub fn has_tool_parts(&self) -> bool {
        let is_one = |part: &Part<'_>| matches!(part, Part::ToolCall(_) | Part::ToolResult(_));
        self.turns.iter().flat_map(|turn| &turn.parts).any(is_one)
    }

    /// The tools that may be called: all, or those that [`ToolChoice::Allowed`] names.
    pub fn offered_tools(&self) -> impl Iterator<Item = &Tool<'a>> {
        self.tools.iter().filter(|tool| match &self.tool_choice {
            Some(ToolChoice::Allowed { names, .. }) => names.contains(&tool.name),
            _ => true,
        })
    }

    /// Turns with those of one role behind each other made one, as dialects want it that have roles alternate.
    pub fn merged_turns(&self) -> Vec<(Role, Vec<&Part<'a>>)> {
        let mut merged: Vec<(Role, Vec<&Part<'a>>)> = Vec::with_capacity(self.turns.len());
        for turn in &self.turns {
            match merged.last_mut() {
                Some((role, parts)) if *role == turn.role => parts.extend(&turn.parts),
                _ => merged.push((turn.role, turn.parts.iter().collect())),
            }
        }
        merged
    }

    /// Checks that each result has its call before it and each call its result behind it: providers refuse what has not, in words that
    /// name nothing of the client's request.
    ///
    /// # Errors
    /// 400 with the id that is alone.
    pub fn check_tool_results(&self) -> Result<(), ApiError> {
        let mut open: Vec<&Text<'a>> = Vec::new();
        let mut before = Role::User;
        for turn in &self.turns {
            // calls of one turn may come one by one
            let begins = std::mem::replace(&mut before, turn.role) == Role::User;
            if begins
                && turn.role == Role::Assistant
                && let Some(id) = open.first()
            {
                return Err(
                    ApiError::invalid(format!("tool call {:?} has no result behind it", id.decode())).param("messages")
                );
            }
            for part in &turn.parts {
                match part {
                    Part::ToolCall(call) => open.push(&call.id),
                    Part::ToolResult(result) => {
                        let Some(place) = open.iter().position(|id| **id == result.id) else {
                            let id = result.id.decode();
                            return Err(ApiError::invalid(format!("tool result {id:?} has no call before it"))
                                .param("messages"));
                        };
                        open.remove(place);
                    }
                    _ => {}
                }
            }
        }
        match open.first() {
            Some(id) => {
                Err(ApiError::invalid(format!("tool call {:?} has no result behind it", id.decode())).param("messages"))
            }
            None => Ok(()),
        }
    }
}
