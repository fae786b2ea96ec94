//! What all dialects have in common: requests, answers, events of a stream, errors.
//!
//! Clients read into these types and write from them, providers the other way around, so that neither names the
//! other. Strings and schemas are borrowed from the message they came in.

mod embeddings;
mod error;
mod event;
mod param;
mod request;
mod response;

pub use embeddings::{Embeddings, EmbeddingsRequest, Inputs, Vector};
pub use error::{ApiError, ErrorKind};
pub use event::Event;
pub use param::{Param, Params, Support};
pub use request::{
    Arguments, Effort, Format, JsonSchema, Part, Reasoning, Request, Role, Source, Tool, ToolCall, ToolChoice,
    ToolResult, Turn,
};
pub use response::{Choice, Finish, Response, Usage};
