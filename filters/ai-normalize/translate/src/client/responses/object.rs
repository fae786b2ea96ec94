//! The object that an answer is, and its items.

use crate::context::Context;
use crate::ir::{ApiError, Finish, Usage};
use span_json::Writer;

/// What stands before a signature or data of another provider, in a member that clients send back as it is.
pub(super) const SIGNED: &str = "sluice:";
/// The same for what only the provider can read.
pub(super) const REDACTED: &str = "sluice-redacted:";
/// What stands between a call's id and its signature.
pub(super) const SIGNATURE_MARK: &str = "__thought__";

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// What is said, or refused.
    Message { id: String, text: String, refused: bool },
    /// A call of a tool.
    Call { id: String, call_id: String, name: String, arguments: String },
    /// What was thought.
    Thought { id: String, text: String, kept: Option<String> },
}

impl Item {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Message { id, .. } | Self::Call { id, .. } | Self::Thought { id, .. } => id,
        }
    }

    /// `in_progress` items have nothing in them yet.
    pub(super) fn write(&self, status: &str, out: &mut Writer) {
        let is_begun = status == "in_progress";
        out.object(|out| {
            out.key("id").string(self.id());
            match self {
                Self::Message { text, refused, .. } => {
                    out.key("type").string("message");
                    out.key("status").string(status);
                    out.key("role").string("assistant");
                    out.key("content").array(|out| {
                        if !is_begun {
                            write_part(text, *refused, out);
                        }
                    });
                }
                Self::Call { call_id, name, arguments, .. } => {
                    out.key("type").string("function_call");
                    out.key("status").string(status);
                    out.key("call_id").string(call_id);
                    out.key("name").string(name);
                    out.key("arguments").string(if is_begun { "" } else { arguments });
                }
                Self::Thought { text, kept, .. } => {
                    out.key("type").string("reasoning");
                    out.key("summary").array(|out| {
                        if !is_begun && !text.is_empty() {
                            write_summary(text, out);
                        }
                    });
                    if let Some(kept) = kept.as_ref().filter(|_| !is_begun) {
                        out.key("encrypted_content").string(kept);
                    }
                }
            }
        });
    }
}

pub(super) fn write_part(text: &str, refused: bool, out: &mut Writer) {
    out.object(|out| match refused {
        true => {
            out.key("type").string("refusal");
            out.key("refusal").string(text);
        }
        false => {
            out.key("type").string("output_text");
            out.key("text").string(text);
            out.key("annotations").raw("[]");
            out.key("logprobs").raw("[]");
        }
    });
}

pub(super) fn write_summary(text: &str, out: &mut Writer) {
    out.object(|out| {
        out.key("type").string("summary_text");
        out.key("text").string(text);
    });
}

/// An answer, whole or so far.
pub(super) struct Object<'o> {
    pub(super) id: &'o str,
    pub(super) model: &'o str,
    pub(super) created: u64,
    pub(super) items: &'o [Item],
    pub(super) state: State<'o>,
}

/// How far an answer is.
#[derive(Clone, Copy)]
pub(super) enum State<'o> {
    Begun,
    Ended(Finish, Option<Usage>),
    Failed(&'o ApiError),
}

impl Object<'_> {
    /// `completed`, `incomplete`, `failed` or `in_progress`.
    pub(super) fn status(&self) -> &'static str {
        match self.state {
            State::Begun => "in_progress",
            State::Failed(_) => "failed",
            State::Ended(Finish::Length | Finish::ContentFilter | Finish::Malformed, _) => "incomplete",
            State::Ended(..) => "completed",
        }
    }

    pub(super) fn write(&self, context: &Context, out: &mut Writer) {
        out.object(|out| {
            out.key("id").string(self.id);
            out.key("object").string("response");
            out.key("created_at").number(self.created);
            out.key("status").string(self.status());
            out.key("error");
            match self.state {
                State::Failed(error) => out.object(|out| {
                    out.key("code").string(error.code.as_deref().unwrap_or("server_error"));
                    out.key("message").string(&error.message);
                }),
                _ => out.null(),
            }
            out.key("incomplete_details");
            match self.state {
                State::Ended(Finish::Length, _) => out.raw(r#"{"reason":"max_output_tokens"}"#),
                State::Ended(Finish::ContentFilter | Finish::Malformed, _) => out.raw(r#"{"reason":"content_filter"}"#),
                _ => out.null(),
            }
            out.key("model").string(self.model);
            out.key("output").array(|out| {
                for item in self.items {
                    item.write("completed", out);
                }
            });
            out.key("usage");
            match self.state {
                State::Ended(_, Some(usage)) => write_usage(&usage, out),
                _ => out.null(),
            }
            out.key("previous_response_id").null();
            if !context.echo.is_empty() {
                out.members(&context.echo);
            }
        });
    }
}

fn write_usage(usage: &Usage, out: &mut Writer) {
    out.object(|out| {
        out.key("input_tokens").number(usage.input);
        out.key("input_tokens_details").object(|out| out.key("cached_tokens").number(usage.cached));
        out.key("output_tokens").number(usage.output);
        out.key("output_tokens_details").object(|out| out.key("reasoning_tokens").number(usage.reasoning));
        out.key("total_tokens").number(usage.total());
    });
}

/// An id with this dialect's prefix.
pub(super) fn answer_id(id: Option<&str>, context: &Context) -> String {
    match id {
        Some(id) if id.starts_with("resp_") => id.to_owned(),
        Some(id) if !id.is_empty() => format!("resp_{id}"),
        _ => context.id("resp_", 0),
    }
}
