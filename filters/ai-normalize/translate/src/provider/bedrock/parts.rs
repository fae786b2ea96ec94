//! Parts of turns.

use super::request::{Writing, cache_point};
use crate::ir::{ApiError, Part, Role, Source, ToolResult};
use span_json::{Doc, Kind, Limits, Text, Writer};

impl<'a> Writing<'_, 'a> {
    pub(super) fn turn(&mut self, role: Role, parts: &[&Part<'a>], out: &mut Writer) -> Result<(), ApiError> {
        let is_result = |part: &&&Part<'a>| matches!(part, Part::ToolResult(_));
        let (mut written, mut has_text, mut has_document) = (0, false, false);
        for part in parts.iter().filter(is_result).chain(parts.iter().filter(|part| !is_result(part))) {
            has_document = has_document || matches!(part, Part::File { .. });
            has_text = has_text || matches!(part, Part::Text { text, .. } if !text.decode().trim().is_empty());
            if self.part(role, part, out)? {
                written += 1;
            }
        }
        // a turn of nothing is refused, and so is a document without a word
        if written == 0 || has_document && !has_text {
            out.raw(r#"{"text":"(nothing)"}"#);
        }
        Ok(())
    }

    fn part(&mut self, role: Role, part: &Part<'a>, out: &mut Writer) -> Result<bool, ApiError> {
        let is_cached = match part {
            Part::Text { text, cache } => {
                if text.decode().trim().is_empty() {
                    return Ok(false);
                }
                out.object(|out| out.key("text").text(text));
                cache.is_some()
            }
            Part::Refusal(text) if text.is_empty() => return Ok(false),
            Part::Refusal(text) => {
                out.object(|out| out.key("text").text(text));
                false
            }
            Part::Image { source, detail, cache } => {
                if detail.as_ref().is_some_and(|detail| *detail != "auto") {
                    self.report.drop("image_url.detail", "this provider has nothing like it")?;
                }
                image(source, out)?;
                cache.is_some()
            }
            Part::Audio { .. } => {
                return Err(ApiError::unsupported("messages", "this provider does not listen to audio"));
            }
            Part::File { source, name, cache } => {
                self.document(source, name.as_ref(), out)?;
                cache.is_some()
            }
            Part::Thinking { .. } | Part::RedactedThinking { .. } | Part::ToolCall(_) if role == Role::User => {
                return Err(ApiError::invalid("messages: a user neither thinks nor calls tools").param("messages"));
            }
            Part::Thinking { signature: None, .. } => return Ok(false),
            Part::Thinking { text, signature: Some(signature) } => {
                out.object(|out| {
                    out.key("reasoningContent").object(|out| {
                        out.key("reasoningText").object(|out| {
                            out.key("text").text(text);
                            out.key("signature").text(signature);
                        });
                    });
                });
                false
            }
            Part::RedactedThinking { data } => {
                out.object(|out| out.key("reasoningContent").object(|out| out.key("redactedContent").text(data)));
                false
            }
            Part::ToolCall(call) => {
                let (id, name) = (self.ids.legal(&call.id), self.names.legal(&call.name));
                let input = call.arguments.object().map_err(|_| {
                    let why = format!("the arguments of the tool call {:?} are no JSON object", call.id.decode());
                    ApiError::invalid(why).param("messages")
                })?;
                out.object(|out| {
                    out.key("toolUse").object(|out| {
                        out.key("toolUseId").text(&id);
                        out.key("name").text(&name);
                        out.key("input").raw(&input);
                    });
                });
                false
            }
            Part::ToolResult(result) => {
                self.result(result, out)?;
                result.cache.is_some()
            }
        };
        cache_point(is_cached, out);
        Ok(true)
    }

    fn result(&mut self, result: &ToolResult<'a>, out: &mut Writer) -> Result<(), ApiError> {
        let id = self.ids.legal(&result.id);
        out.object(|out| {
            out.key("toolResult").object(|out| {
                out.key("toolUseId").text(&id);
                out.key("content").array(|out| {
                    if result.parts.is_empty() {
                        out.raw(r#"{"text":""}"#);
                    }
                    result.parts.iter().try_for_each(|part| match part {
                        Part::Text { text, .. } => {
                            result_text(text, out);
                            Ok(())
                        }
                        Part::Image { source, .. } => image(source, out),
                        Part::File { source, name, .. } => self.document(source, name.as_ref(), out),
                        _ => Ok(()),
                    })
                })?;
                if result.is_error {
                    out.key("status").string("error");
                }
                Ok(())
            })
        })
    }

    fn document(&mut self, source: &Source<'a>, name: Option<&Text<'a>>, out: &mut Writer) -> Result<(), ApiError> {
        let wrong = |why| Err(ApiError::unsupported("messages", why));
        let name = name.map(Text::decode).unwrap_or_default();
        let (format, data) = match source {
            Source::Base64 { media_type, data } => {
                let Some(format) = document_format(&media_type.decode()) else {
                    return wrong("this provider takes no files of this type");
                };
                (format, Some(data))
            }
            Source::Plain(_) => ("txt", None),
            Source::Url(url) if url.decode().starts_with("s3://") => {
                (name.rsplit('.').next().and_then(ending).unwrap_or("pdf"), None)
            }
            Source::Url(_) | Source::Id(_) => return wrong("this provider takes files as base64 or from s3 only"),
        };
        let name = self.document_name(&name);
        out.object(|out| {
            out.key("document").object(|out| {
                out.key("format").string(format);
                out.key("name").string(&name);
                out.key("source").object(|out| match (source, data) {
                    (_, Some(data)) => out.key("bytes").text(data),
                    (Source::Plain(text), _) => out.key("text").text(text),
                    (Source::Url(url) | Source::Id(url), _) => s3(url, out),
                    (Source::Base64 { data, .. }, None) => out.key("bytes").text(data),
                });
            });
        });
        Ok(())
    }

    /// Letters, digits, single blanks, `-()[]`; none twice.
    fn document_name(&mut self, name: &str) -> String {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let legal =
            |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']') { c } else { ' ' };
        let plain: String = stem.chars().map(legal).take(150).collect();
        let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        let base = if plain.is_empty() { "document".to_owned() } else { plain };
        let numbered = (1..).map(|number| if number == 1 { base.clone() } else { format!("{base} {number}") });
        let name = numbered.into_iter().find(|name| !self.documents.contains(name)).unwrap_or(base.clone());
        self.documents.push(name.clone());
        name
    }
}

/// What is a JSON object goes as one.
fn result_text(text: &Text<'_>, out: &mut Writer) {
    let decoded = text.decode();
    let is_object = decoded.trim_start().starts_with('{')
        && Doc::parse(decoded.as_bytes(), Limits::default()).is_ok_and(|doc| doc.root().kind() == Kind::Object);
    out.object(|out| match is_object {
        true => out.key("json").raw(&decoded),
        false => out.key("text").text(text),
    });
}

fn image(source: &Source<'_>, out: &mut Writer) -> Result<(), ApiError> {
    let wrong = |why| Err(ApiError::unsupported("messages", why));
    let format = match source {
        Source::Base64 { media_type, .. } => match media_type.decode().as_ref() {
            "image/png" => "png",
            "image/jpeg" => "jpeg",
            "image/gif" => "gif",
            "image/webp" => "webp",
            _ => return wrong("this provider takes images of the types png, jpeg, gif and webp"),
        },
        Source::Url(url) if url.decode().starts_with("s3://") => match url.decode().rsplit('.').next() {
            Some("jpg" | "jpeg") => "jpeg",
            Some("gif") => "gif",
            Some("webp") => "webp",
            _ => "png",
        },
        _ => return wrong("this provider takes images as base64 only, and fetches none"),
    };
    out.object(|out| {
        out.key("image").object(|out| {
            out.key("format").string(format);
            out.key("source").object(|out| match source {
                Source::Base64 { data, .. } | Source::Plain(data) => out.key("bytes").text(data),
                Source::Url(url) | Source::Id(url) => s3(url, out),
            });
        });
    });
    Ok(())
}

fn s3(url: &Text<'_>, out: &mut Writer) {
    out.key("s3Location").object(|out| out.key("uri").text(url));
}

fn document_format(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "application/pdf" => "pdf",
        "text/csv" => "csv",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "text/html" => "html",
        "text/plain" => "txt",
        "text/markdown" => "md",
        _ => return None,
    })
}

fn ending(ending: &str) -> Option<&'static str> {
    ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"].into_iter().find(|known| *known == ending)
}
