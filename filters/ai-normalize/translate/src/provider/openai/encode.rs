//! Requests of clients that speak another dialect.

use super::forward::SAMPLING;
use super::table::Entry;
use crate::ir::{ApiError, Format, Part, Reasoning, Request, Role, Source, Tool, ToolChoice, ToolResult};
use crate::report::Report;
use crate::target::Target;
use span_json::{Text, Writer};

/// What clients say that has a name of its own at OpenAI, or at servers like it.
pub(super) const OTHERS: [&str; 7] =
    ["audio", "prediction", "prompt_cache_key", "store", "web_search_options", "min_p", "repetition_penalty"];

/// A request in OpenAI's words; what the provider wants otherwise is changed behind this, as for any request in these words.
pub(super) fn chat(
    request: &Request<'_>,
    entry: &Entry,
    target: &Target<'_>,
    report: &mut Report,
) -> Result<Vec<u8>, ApiError> {
    let mut out = Writer::with_capacity(4096);
    out.object(|out| {
        out.key("model").string(target.model);
        out.key("messages").array(|out| messages(request, target, report, out))?;
        params(request, entry, target, report, out)?;
        tools(request, entry, target, out);
        if request.stream {
            out.key("stream").bool(true);
        }
        Ok::<_, ApiError>(())
    })?;
    Ok(out.finish())
}

fn takes(name: &str, entry: &Entry, target: &Target<'_>) -> bool {
    !entry.drop.contains(&name) && (target.capabilities.sampling || !SAMPLING.contains(&name))
}

fn params(
    request: &Request<'_>,
    entry: &Entry,
    target: &Target<'_>,
    report: &mut Report,
    out: &mut Writer,
) -> Result<(), ApiError> {
    let params = &request.params;
    // what the provider refuses has been reported by the client's name for it
    let takes = |name: &&str| takes(name, entry, target);
    let max_tokens = target.quirks.max_tokens.as_deref().unwrap_or("max_completion_tokens");
    let numbers = [
        (max_tokens, params.max_tokens),
        ("temperature", params.temperature),
        ("top_p", params.top_p),
        ("top_k", params.top_k.filter(|_| entry.top_k)),
        ("n", params.n),
        ("seed", params.seed),
        ("frequency_penalty", params.frequency_penalty),
        ("presence_penalty", params.presence_penalty),
        ("top_logprobs", params.top_logprobs),
    ];
    for (name, digits) in numbers.into_iter().filter(|(name, _)| takes(name)) {
        if let Some(digits) = digits {
            out.key(name).raw(digits);
        }
    }
    if !params.stop.is_empty() && takes(&"stop") {
        const MOST: usize = 4;
        if params.stop.len() > MOST {
            report.adapt("stop", "the provider takes four at most")?;
        }
        out.key("stop").array(|out| params.stop.iter().take(MOST).for_each(|text| out.text(text)));
    }
    if let Some(logprobs) = params.logprobs.filter(|_| takes(&"logprobs")) {
        out.key("logprobs").bool(logprobs);
    }
    let values = [("logit_bias", params.logit_bias), ("metadata", params.metadata), ("modalities", params.modalities)];
    for (name, value) in values.into_iter().filter(|(name, _)| takes(name)) {
        if let Some(value) = value {
            out.key(name).value(value);
        }
    }
    for (name, value) in params.others.iter().filter(|(name, _)| OTHERS.contains(name)) {
        out.key(name).value(*value);
    }
    let texts = [("user", &params.user), ("service_tier", &params.service_tier), ("verbosity", &params.verbosity)];
    for (name, text) in texts.into_iter().filter(|(name, _)| takes(name)) {
        if let Some(text) = text {
            out.key(name).text(text);
        }
    }
    let effort = match params.reasoning {
        None | Some(Reasoning::Adaptive) => None,
        Some(Reasoning::Off) => Some("none"),
        Some(Reasoning::Effort(effort)) => Some(effort.name()),
        Some(Reasoning::Budget(tokens)) => Some(target.capabilities.budgets.effort(tokens).name()),
    };
    if let Some(effort) = effort {
        out.key("reasoning_effort").string(effort);
    }
    match &params.format {
        None | Some(Format::Text) => {}
        Some(Format::JsonObject) => out.key("response_format").raw(r#"{"type":"json_object"}"#),
        Some(Format::JsonSchema(format)) => out.key("response_format").object(|out| {
            out.key("type").string("json_schema");
            out.key("json_schema").object(|out| {
                out.key("name").text(format.name.as_ref().unwrap_or(&Text::from("answer")));
                if let Some(description) = &format.description {
                    out.key("description").text(description);
                }
                out.key("schema").value(format.schema);
                if let Some(strict) = format.strict {
                    out.key("strict").bool(strict);
                }
            });
        }),
    }
    Ok(())
}

fn tools(request: &Request<'_>, entry: &Entry, target: &Target<'_>, out: &mut Writer) {
    if request.tools.is_empty() {
        return;
    }
    let write = |tool: &Tool<'_>, out: &mut Writer| {
        out.object(|out| {
            out.key("type").string("function");
            out.key("function").object(|out| {
                out.key("name").text(&tool.name);
                if let Some(description) = &tool.description {
                    out.key("description").text(description);
                }
                out.key("parameters").raw(tool.schema());
                if let Some(strict) = tool.strict.filter(|_| target.capabilities.strict_tools) {
                    out.key("strict").bool(strict);
                }
            });
        });
    };
    out.key("tools").array(|out| request.offered_tools().for_each(|tool| write(tool, out)));
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => out.key("tool_choice").string("auto"),
        Some(ToolChoice::None) => out.key("tool_choice").string("none"),
        Some(ToolChoice::Required | ToolChoice::Allowed { .. }) => out.key("tool_choice").string("required"),
        Some(ToolChoice::Named(name)) => out.key("tool_choice").object(|out| {
            out.key("type").string("function");
            out.key("function").object(|out| out.key("name").text(name));
        }),
    }
    let takes_parallel = takes("parallel_tool_calls", entry, target);
    if let Some(parallel) = request.params.parallel_tool_calls.filter(|_| takes_parallel) {
        out.key("parallel_tool_calls").bool(parallel);
    }
}

fn messages(request: &Request<'_>, target: &Target<'_>, report: &mut Report, out: &mut Writer) -> Result<(), ApiError> {
    if !request.system.is_empty() {
        let gap = Text::from("\n\n");
        let mut texts = Vec::new();
        for part in &request.system {
            if let Part::Text { text, .. } = part {
                if !texts.is_empty() {
                    texts.push(&gap);
                }
                texts.push(text);
            }
        }
        out.object(|out| {
            out.key("role").string("system");
            out.key("content").texts(texts);
        });
    }
    for (role, parts) in request.merged_turns() {
        match role {
            Role::User => user(&parts, report, out)?,
            Role::Assistant => assistant(&parts, target, out),
        }
    }
    Ok(())
}

/// Results of tools, each a message, and behind them what else the user says, with what such messages cannot hold.
fn user(parts: &[&Part<'_>], report: &mut Report, out: &mut Writer) -> Result<(), ApiError> {
    let mut rest: Vec<&Part<'_>> = Vec::new();
    for part in parts {
        let Part::ToolResult(result) = part else { continue };
        rest.extend(result.parts.iter().filter(|part| !matches!(part, Part::Text { .. })));
        tool_message(result, out);
    }
    rest.extend(parts.iter().copied().filter(|part| !matches!(part, Part::ToolResult(_))));
    if rest.is_empty() {
        return Ok(());
    }
    out.object(|out| {
        out.key("role").string("user");
        out.key("content");
        match rest.as_slice() {
            [Part::Text { text, .. }] => out.text(text),
            parts => out.array(|out| parts.iter().try_for_each(|part| content(part, report, out)))?,
        }
        Ok(())
    })
}

fn tool_message(result: &ToolResult<'_>, out: &mut Writer) {
    let line = Text::from("\n");
    let mut texts = Vec::new();
    for part in &result.parts {
        if let Part::Text { text, .. } = part {
            if !texts.is_empty() {
                texts.push(&line);
            }
            texts.push(text);
        }
    }
    out.object(|out| {
        out.key("role").string("tool");
        out.key("tool_call_id").text(&result.id);
        out.key("content").texts(texts);
    });
}

fn content(part: &Part<'_>, report: &mut Report, out: &mut Writer) -> Result<(), ApiError> {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => out.object(|out| {
            out.key("type").string("text");
            out.key("text").text(text);
        }),
        Part::Image { source, detail, .. } => {
            if matches!(source, Source::Id(_) | Source::Plain(_)) {
                return Err(ApiError::unsupported(
                    "messages",
                    "this provider takes images by their address or as base64",
                ));
            }
            out.object(|out| {
                out.key("type").string("image_url");
                out.key("image_url").object(|out| {
                    address(source, out.key("url"));
                    if let Some(detail) = detail {
                        out.key("detail").text(detail);
                    }
                });
            });
        }
        Part::Audio { data, format } => out.object(|out| {
            out.key("type").string("input_audio");
            out.key("input_audio").object(|out| {
                out.key("data").text(data);
                out.key("format").text(format);
            });
        }),
        Part::File { source: Source::Plain(text), .. } => out.object(|out| {
            out.key("type").string("text");
            out.key("text").text(text);
        }),
        Part::File { source: Source::Url(_), .. } => {
            return Err(ApiError::unsupported("messages", "this provider takes no files by their address"));
        }
        Part::File { source, name, .. } => out.object(|out| {
            out.key("type").string("file");
            out.key("file").object(|out| match source {
                Source::Id(id) => out.key("file_id").text(id),
                source => {
                    out.key("filename").text(name.as_ref().unwrap_or(&Text::from("file")));
                    address(source, out.key("file_data"));
                }
            });
        }),
        Part::Thinking { .. } | Part::RedactedThinking { .. } | Part::ToolCall(_) | Part::ToolResult(_) => {
            report.drop("messages", "what only a model says is not taken from a user")?;
        }
    }
    Ok(())
}

/// A source as an address.
fn address(source: &Source<'_>, out: &mut Writer) {
    match source {
        Source::Base64 { media_type, data } => {
            out.texts([&Text::from("data:"), media_type, &Text::from(";base64,"), data]);
        }
        Source::Url(text) | Source::Id(text) | Source::Plain(text) => out.text(text),
    }
}

fn assistant(parts: &[&Part<'_>], target: &Target<'_>, out: &mut Writer) {
    let texts: Vec<&Text<'_>> =
        parts.iter().filter_map(|part| if let Part::Text { text, .. } = part { Some(text) } else { None }).collect();
    let thoughts: Vec<&Text<'_>> = parts
        .iter()
        .filter_map(|part| if let Part::Thinking { text, .. } = part { Some(text) } else { None })
        .collect();
    let refusals: Vec<&Text<'_>> =
        parts.iter().filter_map(|part| if let Part::Refusal(text) = part { Some(text) } else { None }).collect();
    let calls: Vec<_> =
        parts.iter().filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None }).collect();
    out.object(|out| {
        out.key("role").string("assistant");
        match texts.is_empty() && !(calls.is_empty() && refusals.is_empty()) {
            true => out.key("content").null(),
            false => out.key("content").texts(texts),
        }
        if !refusals.is_empty() {
            out.key("refusal").texts(refusals);
        }
        if target.capabilities.replays_reasoning && !thoughts.is_empty() {
            out.key("reasoning_content").texts(thoughts);
        }
        if !calls.is_empty() {
            out.key("tool_calls").array(|out| {
                for call in calls {
                    out.object(|out| {
                        out.key("id").text(&call.id);
                        out.key("type").string("function");
                        out.key("function").object(|out| {
                            out.key("name").text(&call.name);
                            let arguments = call.arguments.encoded();
                            let arguments = if arguments.is_empty() { Text::from("{}") } else { arguments };
                            out.key("arguments").text(&arguments);
                        });
                    });
                }
            });
        }
    });
}
