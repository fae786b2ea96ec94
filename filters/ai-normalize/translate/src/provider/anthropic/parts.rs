//! Parts of turns.

use super::request::Writing;
use crate::ir::{ApiError, Part, Role, Source, ToolResult};
use span_json::{Text, Value, Writer};

pub(super) fn cache(mark: Option<Value<'_>>, out: &mut Writer) {
    if let Some(mark) = mark {
        out.key("cache_control").value(mark);
    }
}

pub(super) fn text(text: &Text<'_>, mark: Option<Value<'_>>, out: &mut Writer) {
    out.object(|out| {
        out.key("type").string("text");
        out.key("text").text(text);
        cache(mark, out);
    });
}

impl<'a> Writing<'_, 'a> {
    /// Writes a part, and says whether there was anything to write. The last text of an unfinished answer must not end in a blank.
    pub(super) fn part(
        &mut self,
        role: Role,
        part: &Part<'a>,
        is_last: bool,
        out: &mut Writer,
    ) -> Result<bool, ApiError> {
        match part {
            Part::Text { text: said, cache } => {
                // an empty block is refused
                if said.is_blank() {
                    return Ok(false);
                }
                if role == Role::Assistant && is_last {
                    text(&Text::from(said.decode().trim_end()), *cache, out);
                } else {
                    text(said, *cache, out);
                }
            }
            Part::Refusal(said) if said.is_empty() => return Ok(false),
            Part::Refusal(said) => text(said, None, out),
            Part::Image { source, detail, cache } => {
                if detail.as_ref().is_some_and(|detail| *detail != "auto") {
                    self.report.drop("image_url.detail", "this provider has nothing like it")?;
                }
                self.image(source, *cache, out)?;
            }
            Part::Audio { .. } => {
                return Err(ApiError::unsupported("messages", "this provider does not listen to audio"));
            }
            Part::File { source, name, cache } => self.file(source, name.as_ref(), *cache, out)?,
            Part::Thinking { .. } | Part::RedactedThinking { .. } | Part::ToolCall(_) if role == Role::User => {
                return Err(ApiError::invalid("messages: a user neither thinks nor calls tools").param("messages"));
            }
            // without its signature the provider refuses it
            Part::Thinking { signature: None, .. } => return Ok(false),
            Part::Thinking { text, signature: Some(signature) } => out.object(|out| {
                out.key("type").string("thinking");
                out.key("thinking").text(text);
                out.key("signature").text(signature);
            }),
            Part::RedactedThinking { data } => out.object(|out| {
                out.key("type").string("redacted_thinking");
                out.key("data").text(data);
            }),
            Part::ToolCall(call) => {
                let (id, name) = (self.ids.legal(&call.id), self.names.legal(&call.name));
                let input = call.arguments.object().map_err(|_| {
                    let why = format!("the arguments of the tool call {:?} are no JSON object", call.id.decode());
                    ApiError::invalid(why).param("messages")
                })?;
                out.object(|out| {
                    out.key("type").string("tool_use");
                    out.key("id").text(&id);
                    out.key("name").text(&name);
                    out.key("input").raw(&input);
                });
            }
            Part::ToolResult(result) => self.result(result, out)?,
        }
        Ok(true)
    }

    fn result(&mut self, result: &ToolResult<'a>, out: &mut Writer) -> Result<(), ApiError> {
        let id = self.ids.legal(&result.id);
        out.object(|out| {
            out.key("type").string("tool_result");
            out.key("tool_use_id").text(&id);
            match result.parts.as_slice() {
                [] => {}
                [Part::Text { text, .. }] => out.key("content").text(text),
                parts => out.key("content").array(|out| {
                    parts.iter().try_for_each(|part| self.part(Role::User, part, false, out).map(|_| ()))
                })?,
            }
            if result.is_error {
                out.key("is_error").bool(true);
            }
            cache(result.cache, out);
            Ok(())
        })
    }

    fn image(&mut self, source: &Source<'a>, mark: Option<Value<'a>>, out: &mut Writer) -> Result<(), ApiError> {
        let wrong = |why| Err(ApiError::unsupported("messages", why));
        match source {
            Source::Plain(_) => return wrong("an image is not text"),
            Source::Url(_) if !self.target.capabilities.image_urls => {
                return wrong("this provider takes images as base64 only, and fetches none");
            }
            Source::Base64 { .. } | Source::Url(_) | Source::Id(_) => {}
        }
        out.object(|out| {
            out.key("type").string("image");
            write_source(source, out);
            cache(mark, out);
        });
        Ok(())
    }

    fn file(
        &mut self,
        source: &Source<'a>,
        name: Option<&Text<'a>>,
        mark: Option<Value<'a>>,
        out: &mut Writer,
    ) -> Result<(), ApiError> {
        if let Source::Base64 { media_type, .. } = source
            && *media_type != "application/pdf"
        {
            let why = "this provider takes files of the types application/pdf and text/plain";
            return Err(ApiError::unsupported("messages", why));
        }
        out.object(|out| {
            out.key("type").string("document");
            write_source(source, out);
            if let Some(name) = name {
                out.key("title").text(name);
            }
            cache(mark, out);
        });
        Ok(())
    }
}

fn write_source(source: &Source<'_>, out: &mut Writer) {
    out.key("source").object(|out| match source {
        Source::Base64 { media_type, data } => {
            out.key("type").string("base64");
            out.key("media_type").text(media_type);
            out.key("data").text(data);
        }
        Source::Plain(text) => {
            out.key("type").string("text");
            out.key("media_type").string("text/plain");
            out.key("data").text(text);
        }
        Source::Url(url) => {
            out.key("type").string("url");
            out.key("url").text(url);
        }
        Source::Id(id) => {
            out.key("type").string("file");
            out.key("file_id").text(id);
        }
    });
}
