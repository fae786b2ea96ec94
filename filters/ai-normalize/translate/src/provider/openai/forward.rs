//! Requests of clients that speak the dialect already: only spans change.

use super::quirks::{Quirks, ThinkingSwitch};
use crate::capability::{StructuredOutput, Thinking};
use crate::ids::Names;
use crate::ir::ApiError;
use crate::report::Report;
use crate::target::Target;
use crate::translate::Operation;
use span_json::{Doc, Edit, Kind, Patch, Text, Value, Writer};

/// What models that always think do not take.
pub(super) const SAMPLING: [&str; 8] =
    ["temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "stop"];

const REFUSED: &str = "this provider refuses it";
const UNTOLD: &str = "this model cannot be told how much to think";

/// The body with the provider's name of the model, and its quirks.
pub(super) fn request(
    doc: &Doc<'_>,
    operation: Operation,
    target: &Target<'_>,
    report: &mut Report,
) -> Result<Vec<u8>, ApiError> {
    let root = doc.root();
    let mut patch = Patch::new(doc);
    let is_chat = operation == Operation::Chat;
    let mut members = Members { target, report, root, is_chat, added: Vec::new(), instruction: None, refusal: None };
    if root.get("model").is_none() {
        members.added.push(("model".to_owned(), quoted(target.model)));
    }
    members.streams();
    // the closure edits single members, and what it adds is known only behind it
    let edits: Vec<Edit> = root.members().map(|(name, value)| members.edit(&name, value)).collect();
    let Members { added, instruction, refusal, .. } = members;
    if let Some(error) = refusal {
        return Err(error);
    }
    let mut edits = edits.into_iter();
    let added: Vec<(&str, String)> = added.iter().map(|(name, json)| (name.as_str(), json.clone())).collect();
    patch.object(root, |_, _| edits.next().unwrap_or(Edit::Keep), &added);
    if is_chat {
        messages(root, target, instruction, report, &mut patch)?;
        if target.quirks.tool_parameters {
            tools(root, &mut patch);
        }
    }
    Ok(patch.finish())
}

/// Edits of the request's own members.
struct Members<'m, 'a> {
    target: &'m Target<'m>,
    report: &'m mut Report,
    root: Value<'a>,
    is_chat: bool,
    added: Vec<(String, String)>,
    /// What the system text has to say in addition.
    instruction: Option<String>,
    refusal: Option<ApiError>,
}

fn quoted(text: &str) -> String {
    let mut out = Writer::default();
    out.string(text);
    String::from_utf8(out.finish()).unwrap_or_default()
}

impl Members<'_, '_> {
    fn quirks(&self) -> &Quirks {
        self.target.quirks
    }

    fn drop(&mut self, name: &str, why: &'static str) -> Edit {
        if let Err(error) = self.report.drop(name.to_owned(), why) {
            self.refusal.get_or_insert(error);
        }
        Edit::Remove
    }

    /// What a stream costs has to be told, whether or not the client wants to know.
    fn streams(&mut self) {
        let is_stream = self.root.get("stream").and_then(|stream| stream.bool()) == Some(true);
        let has_options = self.root.given("stream_options").is_some_and(|options| options.kind() == Kind::Object);
        if self.is_chat && is_stream && self.quirks().stream_options && !has_options {
            self.added.push(("stream_options".to_owned(), r#"{"include_usage":true}"#.to_owned()));
        }
    }

    fn edit(&mut self, name: &Text<'_>, value: Value<'_>) -> Edit {
        let name = name.decode();
        let name = name.as_ref();
        match name {
            "model" => return Edit::Replace(quoted(self.target.model)),
            "stream_options" if self.is_chat => return self.stream_options(value),
            // refused or renamed, it would be by its value; null is none
            _ if value.is_null() => return Edit::Keep,
            "n" if self.is_chat && self.quirks().drop.iter().any(|known| known == name) => {
                // one answer is what there is anyway; of more, all but one would be missing
                if value.raw() != "1" {
                    self.refusal.get_or_insert(ApiError::unsupported("n", "this provider gives one answer"));
                }
                return Edit::Remove;
            }
            _ if self.quirks().drop.iter().any(|known| known == name) => return self.drop(name, REFUSED),
            _ if self.is_chat && !self.target.capabilities.sampling && SAMPLING.contains(&name) => {
                return self.drop(name, "this model does not take it");
            }
            _ => {}
        }
        if let Some(other) = self.quirks().rename.get(name) {
            return Edit::Rename(other.clone());
        }
        match name {
            "max_tokens" | "max_completion_tokens" => self.max_tokens(name),
            "tool_choice" if value.str().as_deref() == Some("required") => match &self.quirks().tool_choice_required {
                Some(word) => Edit::Replace(quoted(word)),
                None => Edit::Keep,
            },
            "reasoning_effort" => self.reasoning(value),
            "response_format" => self.format(value),
            _ => Edit::Keep,
        }
    }

    fn stream_options(&mut self, value: Value<'_>) -> Edit {
        let is_stream = self.root.get("stream").and_then(|stream| stream.bool()) == Some(true);
        if !self.quirks().stream_options || !is_stream {
            return Edit::Remove;
        }
        if value.kind() != Kind::Object {
            // one has been added
            return Edit::Remove;
        }
        let mut out = Writer::default();
        out.object(|out| {
            for (name, value) in value.members().filter(|(name, _)| *name != "include_usage") {
                out.key_text(&name).value(value);
            }
            out.key("include_usage").bool(true);
        });
        Edit::Replace(String::from_utf8(out.finish()).unwrap_or_default())
    }

    fn max_tokens(&mut self, name: &str) -> Edit {
        let Some(wanted) = self.quirks().max_tokens.clone() else { return Edit::Keep };
        // of both, the newer name counts
        let both = self.root.given("max_tokens").is_some() && self.root.given("max_completion_tokens").is_some();
        match name {
            "max_tokens" if both => Edit::Remove,
            name if name == wanted => Edit::Keep,
            _ => Edit::Rename(wanted),
        }
    }

    fn reasoning(&mut self, value: Value<'_>) -> Edit {
        let on = value.str().as_deref() != Some("none");
        match self.target.capabilities.thinking {
            Thinking::Effort | Thinking::Budget => Edit::Keep,
            Thinking::None => self.drop("reasoning_effort", UNTOLD),
            Thinking::Switch => {
                let (name, json) = match self.quirks().thinking_switch {
                    ThinkingSwitch::Thinking => {
                        ("thinking", format!(r#"{{"type":"{}"}}"#, if on { "enabled" } else { "disabled" }))
                    }
                    ThinkingSwitch::EnableThinking => ("enable_thinking", on.to_string()),
                    ThinkingSwitch::ChatTemplate => ("chat_template_kwargs", format!(r#"{{"enable_thinking":{on}}}"#)),
                };
                if self.root.given(name).is_none() {
                    self.added.push((name.to_owned(), json));
                }
                Edit::Remove
            }
        }
    }

    fn format(&mut self, value: Value<'_>) -> Edit {
        let is_schema = value.str_of("type").as_deref() == Some("json_schema");
        let wanted = self.target.capabilities.structured_output;
        if !is_schema || matches!(wanted, StructuredOutput::Native | StructuredOutput::Tool) {
            return Edit::Keep;
        }
        let schema = value.at(&["json_schema", "schema"]).map_or("{}", |schema| schema.raw());
        self.instruction =
            Some(format!("Answer with a JSON object that follows this JSON Schema, and with nothing else: {schema}"));
        let adapted = self.report.adapt("response_format.json_schema", "the provider gets the schema as text");
        if let Err(error) = adapted {
            self.refusal.get_or_insert(error);
        }
        match wanted {
            StructuredOutput::JsonObject => Edit::Replace(r#"{"type":"json_object"}"#.to_owned()),
            _ => Edit::Remove,
        }
    }
}

/// Tools without parameters get none in so many words.
fn tools(root: Value<'_>, patch: &mut Patch<'_>) {
    for tool in root.get("tools").iter().flat_map(Value::elements) {
        if let Some(function) = tool.get("function").filter(|function| function.given("parameters").is_none()) {
            let none = r#"{"type":"object","properties":{}}"#.to_owned();
            let edit = |name: &Text<'_>, _: Value<'_>| if *name == "parameters" { Edit::Remove } else { Edit::Keep };
            patch.object(function, edit, &[("parameters", none)]);
        }
    }
}

/// Edits of messages.
fn messages(
    root: Value<'_>,
    target: &Target<'_>,
    instruction: Option<String>,
    report: &mut Report,
    patch: &mut Patch<'_>,
) -> Result<(), ApiError> {
    let Some(messages) = root.given("messages") else {
        return Err(ApiError::invalid("messages: expected an array").param("messages"));
    };
    if messages.kind() != Kind::Array {
        let why = format!("messages: expected an array, found {}", messages.raw_short());
        return Err(ApiError::invalid(why).param("messages"));
    }
    let mut names = target.quirks.tool_ids.grammar().map(Names::new);
    for message in messages.elements() {
        let role = message.get("role");
        if let Some(role) = role.filter(|role| role.str().as_deref() == Some("developer"))
            && !target.quirks.developer_role
        {
            patch.replace_string(role, "system");
        }
        if let Some(id) = message.get("tool_call_id") {
            tool_id(id, names.as_mut(), patch);
        }
        for call in message.get("tool_calls").iter().flat_map(Value::elements) {
            if let Some(id) = call.get("id") {
                tool_id(id, names.as_mut(), patch);
            }
            if call.get("extra_content").is_some() {
                patch.object(call, |name, _| if *name == "extra_content" { Edit::Remove } else { Edit::Keep }, &[]);
            }
        }
        let content = message.get("content");
        if !target.capabilities.images
            && content.iter().flat_map(Value::elements).any(|part| part.str_of("type").as_deref() == Some("image_url"))
        {
            return Err(ApiError::unsupported("messages", "this model does not look at images"));
        }
        if target.quirks.fill_empty
            && role.and_then(|role| role.str()).as_deref() == Some("assistant")
            && message.given("tool_calls").is_none()
            && let Some(content) = content.filter(|content| content.is_null() || content.str().as_deref() == Some(""))
        {
            patch.replace_string(content, "(nothing)");
        }
        let keeps = target.capabilities.replays_reasoning;
        let has_thoughts =
            ["reasoning_content", "reasoning", "thinking_blocks"].iter().any(|name| message.get(name).is_some());
        let calls = message.given("tool_calls").is_some();
        let wants = keeps && calls && message.given("reasoning_content").is_none();
        let has_name = !target.quirks.names && message.given("name").is_some();
        if has_name {
            report.drop("messages[].name", REFUSED)?;
        }
        if has_thoughts || has_name || wants {
            let added = if wants { vec![("reasoning_content", "\"\"".to_owned())] } else { Vec::new() };
            let edit = |name: &Text<'_>, value: Value<'_>| match name.decode().as_ref() {
                "reasoning_content" if keeps && !value.is_null() => Edit::Keep,
                "reasoning_content" | "reasoning" | "thinking_blocks" => Edit::Remove,
                "name" if has_name => Edit::Remove,
                _ => Edit::Keep,
            };
            patch.object(message, edit, &added);
        }
    }
    if let Some(instruction) = instruction {
        let mut out = Writer::default();
        out.object(|out| {
            out.key("role").string("system");
            out.key("content").string(&instruction);
        });
        let text = String::from_utf8(out.finish()).unwrap_or_default();
        patch.insert_first(messages, &text);
    }
    Ok(())
}

/// What stands behind an id to carry a signature of another provider is nobody's business here.
fn tool_id(id: Value<'_>, names: Option<&mut Names>, patch: &mut Patch<'_>) {
    let Some(text) = id.str() else { return };
    let plain = text.split_once("__thought__").map_or(text.as_ref(), |(plain, _)| plain);
    let legal = match names {
        Some(names) => names.legal(&Text::from(plain.to_owned())).decode().into_owned(),
        None => plain.to_owned(),
    };
    if legal != text {
        patch.replace_string(id, &legal);
    }
}
