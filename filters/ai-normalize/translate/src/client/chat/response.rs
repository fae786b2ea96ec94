//! Writing a whole answer.

use super::{answer_id, finish_name, write_usage};
use crate::context::Context;
use crate::ir::{Choice, Finish, Part, Response};
use span_json::{Text, Writer};

pub(crate) fn write(response: &Response<'_>, context: &Context) -> Vec<u8> {
    let mut out = Writer::with_capacity(1024);
    out.object(|out| {
        let id = response.id.as_ref().map(Text::decode);
        out.key("id").string(&answer_id(id.as_deref(), context));
        out.key("object").string("chat.completion");
        out.key("created").number(response.created.unwrap_or(context.created));
        let model = response.model.as_ref().map(Text::decode);
        out.key("model").string(&context.model(model.as_deref()));
        out.key("choices").array(|out| response.choices.iter().for_each(|choice| write_choice(choice, context, out)));
        if let Some(usage) = &response.usage {
            out.key("usage");
            write_usage(usage, out);
        }
        if let Some(tier) = &response.service_tier {
            out.key("service_tier").text(tier);
        }
    });
    out.finish()
}

fn write_choice(choice: &Choice<'_>, context: &Context, out: &mut Writer) {
    let calls =
        || choice.parts.iter().filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None });
    let texts =
        || choice.parts.iter().filter_map(|part| if let Part::Text { text, .. } = part { Some(text) } else { None });
    let refusals =
        || choice.parts.iter().filter_map(|part| if let Part::Refusal(text) = part { Some(text) } else { None });
    out.object(|out| {
        out.key("index").number(choice.index.into());
        out.key("message").object(|out| {
            out.key("role").string("assistant");
            let nothing_said = texts().next().is_none();
            if nothing_said && (calls().next().is_some() || refusals().next().is_some()) {
                out.key("content").null();
            } else {
                out.key("content").texts(texts());
            }
            match refusals().next() {
                Some(_) => out.key("refusal").texts(refusals()),
                None => out.key("refusal").null(),
            }
            write_thoughts(&choice.parts, out);
            if calls().next().is_some() {
                out.key("tool_calls").array(|out| {
                    for (place, call) in (1_u32..).zip(calls()) {
                        out.object(|out| {
                            match call.id.is_empty() {
                                true => out.key("id").string(&context.id("call_", choice.index * 1000 + place)),
                                false => out.key("id").text(&call.id),
                            }
                            out.key("type").string("function");
                            out.key("function").object(|out| {
                                out.key("name").text(&call.name);
                                let arguments = call.arguments.encoded();
                                out.key("arguments").text(if arguments.is_empty() { &EMPTY } else { &arguments });
                            });
                            write_signature(call.signature.as_ref(), out);
                        });
                    }
                });
            }
        });
        match choice.logprobs {
            Some(logprobs) => out.key("logprobs").value(logprobs),
            None => out.key("logprobs").null(),
        }
        let has_calls = calls().next().is_some();
        out.key("finish_reason").string(finish_name(finish(choice.finish, has_calls)));
    });
}

const EMPTY: Text<'static> = Text::Plain(std::borrow::Cow::Borrowed("{}"));

fn finish(finish: Finish, has_calls: bool) -> Finish {
    finish.with_calls(has_calls)
}

/// Gemini's signature of a call, where its own compatible interface has it.
pub(super) fn write_signature(signature: Option<&Text<'_>>, out: &mut Writer) {
    if let Some(signature) = signature {
        out.key("extra_content").object(|out| {
            out.key("google").object(|out| out.key("thought_signature").text(signature));
        });
    }
}

/// What was thought: as text for people, and with its signatures for the next request.
fn write_thoughts(parts: &[Part<'_>], out: &mut Writer) {
    let thoughts =
        || parts.iter().filter_map(|part| if let Part::Thinking { text, .. } = part { Some(text) } else { None });
    if thoughts().next().is_some() {
        out.key("reasoning_content").texts(thoughts());
    }
    let is_kept =
        |part: &&Part<'_>| matches!(part, Part::Thinking { signature: Some(_), .. } | Part::RedactedThinking { .. });
    if parts.iter().any(|part| is_kept(&part)) {
        out.key("thinking_blocks").array(|out| {
            for part in parts.iter().filter(is_kept) {
                write_block(part, out);
            }
        });
    }
}

fn write_block(part: &Part<'_>, out: &mut Writer) {
    out.object(|out| match part {
        Part::Thinking { text, signature: Some(signature) } => {
            out.key("type").string("thinking");
            out.key("thinking").text(text);
            out.key("signature").text(signature);
        }
        Part::RedactedThinking { data } => {
            out.key("type").string("redacted_thinking");
            out.key("data").text(data);
        }
        _ => {}
    });
}
