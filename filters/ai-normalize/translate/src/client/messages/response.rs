//! Writing a whole answer.

use super::{answer_id, stop_reason, write_usage};
use crate::context::Context;
use crate::ir::{Finish, Part, Response};
use span_json::{Text, Writer};

pub(super) fn write(response: &Response<'_>, context: &Context) -> Vec<u8> {
    let mut out = Writer::with_capacity(1024);
    out.object(|out| {
        let id = response.id.as_ref().map(Text::decode);
        out.key("id").string(&answer_id(id.as_deref(), context));
        out.key("type").string("message");
        out.key("role").string("assistant");
        let model = response.model.as_ref().map(Text::decode);
        out.key("model").string(&context.model(model.as_deref()));
        // this dialect has one answer
        let choice = response.choices.first();
        let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
        out.key("content").array(|out| {
            for (place, part) in (1..).zip(parts) {
                write_part(part, place, context, out);
            }
        });
        let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
        let refused = parts.iter().any(|part| matches!(part, Part::Refusal(text) if !text.is_empty()));
        let finish = choice.map_or(Finish::Stop, |choice| choice.finish.with_calls(has_calls));
        let finish = if refused && finish == Finish::Stop { Finish::Refusal } else { finish };
        out.key("stop_reason").string(stop_reason(finish));
        match choice.and_then(|choice| choice.stop_sequence.as_ref()) {
            Some(text) => out.key("stop_sequence").text(text),
            None => out.key("stop_sequence").null(),
        }
        out.key("usage");
        write_usage(&response.usage.unwrap_or_default(), out);
    });
    out.finish()
}

fn write_part(part: &Part<'_>, place: u32, context: &Context, out: &mut Writer) {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) if !text.is_empty() => out.object(|out| {
            out.key("type").string("text");
            out.key("text").text(text);
        }),
        Part::Thinking { text, signature } => out.object(|out| {
            out.key("type").string("thinking");
            out.key("thinking").text(text);
            // clients expect one; what is not signed is not taken back as thought
            out.key("signature").text(signature.as_ref().unwrap_or(&Text::from("")));
        }),
        Part::RedactedThinking { data } => out.object(|out| {
            out.key("type").string("redacted_thinking");
            out.key("data").text(data);
        }),
        Part::ToolCall(call) => out.object(|out| {
            out.key("type").string("tool_use");
            match call.id.is_empty() {
                true => out.key("id").string(&context.id("toolu_", place)),
                false => out.key("id").text(&call.id),
            }
            out.key("name").text(&call.name);
            // an input is always an object; what a model wrote in its place is nothing that a tool could take
            out.key("input").raw(&call.arguments.object().unwrap_or("{}".into()));
        }),
        _ => {}
    }
}
