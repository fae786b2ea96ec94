//! Turns and their parts.

use super::Service;
use super::request::Writing;
use crate::ir::{ApiError, Part, Role, Source, ToolCall, ToolResult};
use span_json::{Doc, Kind, Limits, Text, Writer};

/// What the provider takes in place of a signature that is lost.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

impl<'a> Writing<'_, 'a> {
    pub(super) fn contents(&mut self, out: &mut Writer) -> Result<(), ApiError> {
        let turns = self.request.merged_turns();
        if turns.is_empty() {
            return Err(ApiError::invalid("messages: expected a message of a user").param("messages"));
        }
        // calls of the turn before, in their order
        let mut calls: Vec<&ToolCall<'a>> = Vec::new();
        for (role, parts) in turns {
            let results: Vec<&ToolResult<'a>> = parts
                .iter()
                .filter_map(|part| if let Part::ToolResult(result) = part { Some(result) } else { None })
                .collect();
            if !results.is_empty() {
                // results stand alone, in the order of the calls
                content("user", out, |out| {
                    for call in &calls {
                        if let Some(result) = results.iter().find(|result| result.id == call.id) {
                            self.result(call, result, out)?;
                        }
                    }
                    Ok(())
                })?;
            }
            let others: Vec<&Part<'a>> =
                parts.into_iter().filter(|part| !matches!(part, Part::ToolResult(_))).collect();
            calls = others
                .iter()
                .filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None })
                .collect();
            // what stands in results and is no text goes behind them
            let extra: Vec<&Part<'a>> = results
                .iter()
                .flat_map(|result| &result.parts)
                .filter(|part| !matches!(part, Part::Text { .. }))
                .collect();
            if others.is_empty() && extra.is_empty() {
                continue;
            }
            let name = if role == Role::User { "user" } else { "model" };
            content(name, out, |out| {
                let mut first_call = true;
                let mut written = 0;
                for part in extra.into_iter().chain(others) {
                    written += usize::from(self.part(part, &mut first_call, out)?);
                }
                if written == 0 {
                    // a turn of nothing is refused
                    out.raw(r#"{"text":"(nothing)"}"#);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Writes a part, and says whether there was anything to write.
    fn part(&mut self, part: &Part<'a>, first_call: &mut bool, out: &mut Writer) -> Result<bool, ApiError> {
        match part {
            // an empty one is refused
            Part::Text { text, .. } | Part::Refusal(text) if text.is_empty() => return Ok(false),
            Part::Thinking { text, signature: Some(_) } if text.is_empty() => return Ok(false),
            Part::Text { text, .. } | Part::Refusal(text) => out.object(|out| out.key("text").text(text)),
            Part::Image { source, detail, .. } => {
                if detail.as_ref().is_some_and(|detail| *detail != "auto") {
                    self.report.drop("image_url.detail", "this provider has nothing like it")?;
                }
                if matches!(source, Source::Url(_)) && !self.target.capabilities.image_urls {
                    return Err(ApiError::unsupported(
                        "messages",
                        "this model takes images as base64 only, and fetches none",
                    ));
                }
                media(source, "image/*", out);
            }
            Part::Audio { data, format } => out.object(|out| {
                out.key("inlineData").object(|out| {
                    out.key("mimeType").texts([&Text::from("audio/"), format]);
                    out.key("data").text(data);
                });
            }),
            Part::File { source, .. } => media(source, "application/pdf", out),
            // the provider does not take thoughts back, but for a signature that stands on one
            Part::Thinking { signature: Some(signature), text } => out.object(|out| {
                out.key("text").text(text);
                out.key("thought").bool(true);
                out.key("thoughtSignature").text(signature);
            }),
            Part::Thinking { .. } | Part::RedactedThinking { .. } | Part::ToolResult(_) => return Ok(false),
            Part::ToolCall(call) => {
                let first = std::mem::replace(first_call, false);
                self.call(call, first, out)?;
            }
        }
        Ok(true)
    }

    fn call(&mut self, call: &ToolCall<'a>, first: bool, out: &mut Writer) -> Result<(), ApiError> {
        let name = self.names.legal(&call.name);
        let arguments = call.arguments.object().map_err(|_| {
            let why = format!("the arguments of the tool call {:?} are no JSON object", call.id.decode());
            ApiError::invalid(why).param("messages")
        })?;
        let dummy = (first && self.target.capabilities.call_signatures).then(|| Text::from(NO_SIGNATURE));
        out.object(|out| {
            out.key("functionCall").object(|out| {
                if self.service == Service::Studio {
                    out.key("id").text(&call.id);
                }
                out.key("name").text(&name);
                out.key("args").raw(&arguments);
            });
            if let Some(signature) = call.signature.as_ref().or(dummy.as_ref()) {
                out.key("thoughtSignature").text(signature);
            }
        });
        Ok(())
    }

    fn result(&mut self, call: &ToolCall<'a>, result: &ToolResult<'a>, out: &mut Writer) -> Result<(), ApiError> {
        let name = self.names.legal(&call.name);
        let texts: Vec<&Text<'_>> = result
            .parts
            .iter()
            .filter_map(|part| if let Part::Text { text, .. } = part { Some(text) } else { None })
            .collect();
        // an answer has to be an object
        let object = match texts.as_slice() {
            [text] if !result.is_error => {
                let text = text.decode();
                let is_object =
                    Doc::parse(text.as_bytes(), Limits::default()).is_ok_and(|doc| doc.root().kind() == Kind::Object);
                is_object.then_some(text)
            }
            _ => None,
        };
        out.object(|out| {
            out.key("functionResponse").object(|out| {
                if self.service == Service::Studio {
                    out.key("id").text(&result.id);
                }
                out.key("name").text(&name);
                match object {
                    Some(json) => out.key("response").raw(&json),
                    None => out.key("response").object(|out| {
                        out.key(if result.is_error { "error" } else { "output" }).texts(texts);
                    }),
                }
            });
        });
        Ok(())
    }
}

fn content(
    role: &str,
    out: &mut Writer,
    parts: impl FnOnce(&mut Writer) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    out.object(|out| {
        out.key("role").string(role);
        out.key("parts").array(parts)
    })
}

fn media(source: &Source<'_>, kind: &str, out: &mut Writer) {
    out.object(|out| match source {
        Source::Base64 { media_type, data } => out.key("inlineData").object(|out| {
            out.key("mimeType").text(media_type);
            out.key("data").text(data);
        }),
        Source::Plain(text) => out.key("text").text(text),
        Source::Url(uri) | Source::Id(uri) => out.key("fileData").object(|out| {
            out.key("mimeType").string(by_ending(&uri.decode()).unwrap_or(kind));
            out.key("fileUri").text(uri);
        }),
    });
}

/// The type of what an address points to, by its end.
fn by_ending(address: &str) -> Option<&'static str> {
    let path = address.split(['?', '#']).next()?.to_ascii_lowercase();
    let (_, ending) = path.rsplit_once('.')?;
    Some(match ending {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "mp3" => "audio/mp3",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        _ => return None,
    })
}
