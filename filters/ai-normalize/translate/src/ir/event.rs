//! Events of a streamed answer.

use crate::ir::{Finish, Usage};
use span_json::{Text, Value};

/// One step of an answer. A reader gives them in this order: `Start` first, `Finish` for each choice behind all of its content, `End` last and once.
/// `Usage` may come at any time and more than once: each is the whole so far, and the last one counts.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The provider has begun.
    Start {
        /// Its name for the answer.
        id: Option<Text<'a>>,
        /// The model it says it is.
        model: Option<Text<'a>>,
        /// Seconds since 1970.
        created: Option<u64>,
    },
    /// A piece of the text.
    Text {
        /// Which answer.
        choice: u32,
        /// Never empty.
        text: Text<'a>,
        /// In OpenAI's shape.
        logprobs: Option<Value<'a>>,
    },
    /// A piece of a refusal.
    Refusal {
        /// Which answer.
        choice: u32,
        /// Never empty.
        text: Text<'a>,
    },
    /// A piece of what is thought.
    Reasoning {
        /// Which answer.
        choice: u32,
        /// Never empty.
        text: Text<'a>,
    },
    /// The signature of what was thought, behind it.
    Signature {
        /// Which answer.
        choice: u32,
        /// The provider's.
        signature: Text<'a>,
    },
    /// Something thought that only the provider can read.
    RedactedThinking {
        /// Which answer.
        choice: u32,
        /// The provider's.
        data: Text<'a>,
    },
    /// A call of a tool begins.
    ToolStart {
        /// Which answer.
        choice: u32,
        /// The reader's number of the call, for the events behind.
        slot: u32,
        /// The provider's name of the call; without one the client's dialect gets one made.
        id: Option<Text<'a>>,
        /// The function.
        name: Text<'a>,
        /// Gemini's `thoughtSignature`.
        signature: Option<Text<'a>>,
    },
    /// A piece of its arguments.
    ToolArguments {
        /// Which answer.
        choice: u32,
        /// Which call.
        slot: u32,
        /// JSON in pieces; never empty.
        fragment: Text<'a>,
    },
    /// The arguments are all there.
    ToolEnd {
        /// Which answer.
        choice: u32,
        /// Which call.
        slot: u32,
    },
    /// An answer ends.
    Finish {
        /// Which answer.
        choice: u32,
        /// Why.
        finish: Finish,
        /// The text that ended it.
        stop_sequence: Option<Text<'a>>,
    },
    /// What it cost so far.
    Usage(Usage),
    /// The provider is still there.
    Ping,
    /// The provider is done.
    End,
}
