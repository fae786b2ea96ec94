//! Writing a request.

use crate::capability::Thinking;
use crate::ir::{ApiError, Format, Part, Reasoning, Request, Role, Source, ToolChoice};
use crate::report::Report;
use crate::target::Target;
use span_json::{Text, Writer};

pub(super) fn write(request: &Request<'_>, target: &Target<'_>, report: &mut Report) -> Result<Vec<u8>, ApiError> {
    request.check_tool_results()?;
    let mut out = Writer::with_capacity(4096);
    out.object(|out| {
        out.key("model").string(target.model);
        out.key("messages").array(|out| messages(request, report, out))?;
        params(request, target, report, out)?;
        tools(request, out);
        out.key("stream").bool(request.stream);
        Ok::<_, ApiError>(())
    })?;
    Ok(out.finish())
}

fn params(request: &Request<'_>, target: &Target<'_>, report: &mut Report, out: &mut Writer) -> Result<(), ApiError> {
    let params = &request.params;
    let plain = [("max_tokens", params.max_tokens), ("p", params.top_p), ("k", params.top_k), ("seed", params.seed)];
    for (name, digits) in plain {
        if let Some(digits) = digits {
            out.key(name).raw(digits);
        }
    }
    let bounded = [
        ("temperature", params.temperature),
        ("frequency_penalty", params.frequency_penalty),
        ("presence_penalty", params.presence_penalty),
    ];
    for (name, digits) in bounded {
        let Some(digits) = digits else { continue };
        let value: f64 = digits.parse().unwrap_or(0.0);
        let inside = if value > 1.0 {
            "1"
        } else if value < 0.0 {
            "0"
        } else {
            digits
        };
        if inside != digits {
            report.adapt(name, "the provider takes 0 to 1")?;
        }
        out.key(name).raw(inside);
    }
    const MOST_STOPS: usize = 5;
    if params.stop.len() > MOST_STOPS {
        report.adapt("stop", "the provider takes five at most")?;
    }
    if !params.stop.is_empty() {
        out.key("stop_sequences").array(|out| params.stop.iter().take(MOST_STOPS).for_each(|text| out.text(text)));
    }
    if let Some(logprobs) = params.logprobs {
        out.key("logprobs").bool(logprobs);
    }
    match &params.format {
        None | Some(Format::Text) => {}
        Some(Format::JsonObject) => out.key("response_format").raw(r#"{"type":"json_object"}"#),
        Some(Format::JsonSchema(format)) => out.key("response_format").object(|out| {
            out.key("type").string("json_object");
            out.key("json_schema").value(format.schema);
        }),
    }
    thinking(params.reasoning, target, out);
    Ok(())
}

fn thinking(reasoning: Option<Reasoning>, target: &Target<'_>, out: &mut Writer) {
    let (Some(reasoning), true) = (reasoning, target.capabilities.thinking != Thinking::None) else { return };
    let budget = match reasoning {
        Reasoning::Off => {
            out.key("thinking").raw(r#"{"type":"disabled"}"#);
            return;
        }
        Reasoning::Adaptive => None,
        Reasoning::Effort(effort) => Some(target.capabilities.budgets.of(effort)),
        Reasoning::Budget(tokens) => Some(tokens),
    };
    out.key("thinking").object(|out| {
        out.key("type").string("enabled");
        if let Some(budget) = budget {
            out.key("token_budget").number(budget);
        }
    });
}

fn tools(request: &Request<'_>, out: &mut Writer) {
    let named = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        _ => None,
    };
    let mut offered = request.offered_tools().filter(|tool| named.is_none_or(|name| tool.name == *name)).peekable();
    if offered.peek().is_none() {
        return;
    }
    out.key("tools").array(|out| {
        for tool in offered {
            out.object(|out| {
                out.key("type").string("function");
                out.key("function").object(|out| {
                    out.key("name").text(&tool.name);
                    if let Some(description) = &tool.description {
                        out.key("description").text(description);
                    }
                    out.key("parameters").raw(tool.schema());
                });
            });
        }
    });
    match &request.tool_choice {
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => {}
        Some(ToolChoice::None) => out.key("tool_choice").string("NONE"),
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { .. }) => {
            out.key("tool_choice").string("REQUIRED");
        }
    }
}

fn messages(request: &Request<'_>, report: &mut Report, out: &mut Writer) -> Result<(), ApiError> {
    for part in &request.system {
        if let Part::Text { text, .. } = part {
            out.object(|out| {
                out.key("role").string("system");
                out.key("content").text(text);
            });
        }
    }
    for (role, parts) in request.merged_turns() {
        match role {
            Role::User => user(&parts, report, out)?,
            Role::Assistant => assistant(&parts, out),
        }
    }
    Ok(())
}

fn user(parts: &[&Part<'_>], report: &mut Report, out: &mut Writer) -> Result<(), ApiError> {
    let mut rest: Vec<&Part<'_>> = Vec::new();
    for part in parts {
        let Part::ToolResult(result) = part else {
            rest.push(part);
            continue;
        };
        let line = Text::from("\n");
        let mut texts = Vec::new();
        for part in &result.parts {
            match part {
                Part::Text { text, .. } => {
                    if !texts.is_empty() {
                        texts.push(&line);
                    }
                    texts.push(text);
                }
                _ => report.drop("messages[].content", "the provider takes text from tools only")?,
            }
        }
        out.object(|out| {
            out.key("role").string("tool");
            out.key("tool_call_id").text(&result.id);
            out.key("content").texts(texts);
        });
    }
    if rest.is_empty() {
        return Ok(());
    }
    out.object(|out| {
        out.key("role").string("user");
        out.key("content");
        match rest.as_slice() {
            [Part::Text { text, .. }] => out.text(text),
            parts => out.array(|out| parts.iter().try_for_each(|part| content(part, out)))?,
        }
        Ok(())
    })
}

fn content(part: &Part<'_>, out: &mut Writer) -> Result<(), ApiError> {
    let wrong = |why| Err(ApiError::unsupported("messages", why));
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => out.object(|out| {
            out.key("type").string("text");
            out.key("text").text(text);
        }),
        Part::Image { source, detail, .. } => {
            if matches!(source, Source::Plain(_) | Source::Id(_)) {
                return wrong("this provider takes images by their address or as base64");
            }
            out.object(|out| {
                out.key("type").string("image_url");
                out.key("image_url").object(|out| {
                    match source {
                        Source::Base64 { media_type, data } => {
                            out.key("url").texts([&Text::from("data:"), media_type, &Text::from(";base64,"), data]);
                        }
                        Source::Url(text) | Source::Plain(text) | Source::Id(text) => out.key("url").text(text),
                    }
                    if let Some(detail) = detail {
                        out.key("detail").text(detail);
                    }
                });
            });
        }
        Part::File { source: Source::Plain(text), .. } => out.object(|out| {
            out.key("type").string("text");
            out.key("text").text(text);
        }),
        Part::Audio { .. } => return wrong("this provider does not listen to audio"),
        Part::File { .. } => return wrong("this provider does not read files"),
        Part::Thinking { .. } | Part::RedactedThinking { .. } | Part::ToolCall(_) | Part::ToolResult(_) => {
            return wrong("a user neither thinks nor calls tools");
        }
    }
    Ok(())
}

fn assistant(parts: &[&Part<'_>], out: &mut Writer) {
    let texts: Vec<&Text<'_>> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text { text, .. } | Part::Refusal(text) => Some(text),
            _ => None,
        })
        .collect();
    let calls: Vec<_> =
        parts.iter().filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None }).collect();
    out.object(|out| {
        out.key("role").string("assistant");
        if !texts.is_empty() || calls.is_empty() {
            out.key("content").texts(texts);
        }
        if calls.is_empty() {
            return;
        }
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
    });
}
