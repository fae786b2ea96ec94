//! Writing a whole answer.

use super::object::{Item, Object, REDACTED, SIGNATURE_MARK, SIGNED, State, answer_id};
use crate::context::Context;
use crate::ir::{Finish, Part, Response};
use span_json::{Text, Writer};

pub(super) fn write(response: &Response<'_>, context: &Context) -> Vec<u8> {
    let mut items: Vec<Item> = Vec::new();
    // this dialect has one answer
    let choice = response.choices.first();
    for (place, part) in (1..).zip(choice.iter().flat_map(|choice| &choice.parts)) {
        add(part, place, context, &mut items);
    }
    let has_calls = items.iter().any(|item| matches!(item, Item::Call { .. }));
    let finish = choice.map_or(Finish::Stop, |choice| choice.finish.with_calls(has_calls));
    let id = response.id.as_ref().map(Text::decode);
    let model = response.model.as_ref().map(Text::decode);
    let object = Object {
        id: &answer_id(id.as_deref(), context),
        model: &context.model(model.as_deref()),
        created: response.created.unwrap_or(context.created),
        items: &items,
        state: State::Ended(finish, response.usage),
    };
    let mut out = Writer::with_capacity(1024);
    object.write(context, &mut out);
    out.finish()
}

fn add(part: &Part<'_>, place: u32, context: &Context, items: &mut Vec<Item>) {
    match part {
        Part::Text { text, .. } if !text.is_empty() => {
            // texts in a row are one message
            if let Some(Item::Message { text: said, refused: false, .. }) = items.last_mut() {
                said.push_str(&text.decode());
                return;
            }
            let text = text.decode().into_owned();
            items.push(Item::Message { id: context.id("msg_", place), text, refused: false });
        }
        Part::Refusal(text) if !text.is_empty() => {
            items.push(Item::Message {
                id: context.id("msg_", place),
                text: text.decode().into_owned(),
                refused: true,
            });
        }
        Part::Thinking { text, signature } => {
            let kept = signature.as_ref().map(|signature| format!("{SIGNED}{}", signature.decode()));
            items.push(Item::Thought { id: context.id("rs_", place), text: text.decode().into_owned(), kept });
        }
        Part::RedactedThinking { data } => {
            let kept = Some(format!("{REDACTED}{}", data.decode()));
            items.push(Item::Thought { id: context.id("rs_", place), text: String::new(), kept });
        }
        Part::ToolCall(call) => {
            let id = if call.id.is_empty() { context.id("call_", place) } else { call.id.decode().into_owned() };
            let arguments = call.arguments.encoded().decode().into_owned();
            items.push(Item::Call {
                id: context.id("fc_", place),
                call_id: signed_id(&id, call.signature.as_ref()),
                name: call.name.decode().into_owned(),
                arguments: if arguments.is_empty() { "{}".to_owned() } else { arguments },
            });
        }
        _ => {}
    }
}

/// A call's id with the signature that has to come back with it: there is no other member that clients send back.
pub(super) fn signed_id(id: &str, signature: Option<&Text<'_>>) -> String {
    match signature {
        Some(signature) => format!("{id}{SIGNATURE_MARK}{}", signature.decode()),
        None => id.to_owned(),
    }
}
