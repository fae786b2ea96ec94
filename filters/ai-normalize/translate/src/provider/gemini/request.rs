//! Writing a request.

use super::{Service, schema};
use crate::capability::Thinking;
use crate::context::Hints;
use crate::ids::{Grammar, Names};
use crate::ir::{ApiError, Effort, Format, Part, Reasoning, Request, ToolChoice};
use crate::report::Report;
use crate::target::Target;
use span_json::{Text, Writer};

/// What a request is written with, beside itself.
pub(super) struct Writing<'w, 'a> {
    pub(super) service: Service,
    pub(super) request: &'w Request<'a>,
    pub(super) target: &'w Target<'w>,
    pub(super) report: &'w mut Report,
    pub(super) names: Names,
}

pub(super) fn write(
    service: Service,
    request: &Request<'_>,
    target: &Target<'_>,
    report: &mut Report,
) -> Result<(Vec<u8>, Hints), ApiError> {
    request.check_tool_results()?;
    let mut writing = Writing { service, request, target, report, names: Names::new(Grammar::GeminiName) };
    let mut out = Writer::with_capacity(4096);
    out.object(|out| {
        writing.conversation(out)?;
        writing.config(out)?;
        writing.rest(out);
        Ok::<_, ApiError>(())
    })?;
    let mut hints = Hints { renamed_tools: writing.names.renamed(), ..Hints::default() };
    if target.capabilities.finish_in_every_chunk {
        hints.notes.push(super::stream::FINISH_IN_EVERY_CHUNK);
    }
    Ok((out.finish(), hints))
}

/// A request for the number of tokens.
pub(super) fn count(
    service: Service,
    request: &Request<'_>,
    target: &Target<'_>,
    report: &mut Report,
) -> Result<Vec<u8>, ApiError> {
    request.check_tool_results()?;
    let mut writing = Writing { service, request, target, report, names: Names::new(Grammar::GeminiName) };
    let mut out = Writer::with_capacity(4096);
    out.object(|out| match service {
        Service::Vertex => writing.conversation(out),
        Service::Studio => out.key("generateContentRequest").object(|out| {
            out.key("model").string(&format!("models/{}", target.model));
            writing.conversation(out)
        }),
    })?;
    Ok(out.finish())
}

impl Writing<'_, '_> {
    fn conversation(&mut self, out: &mut Writer) -> Result<(), ApiError> {
        let system: Vec<&Text<'_>> = self
            .request
            .system
            .iter()
            .filter_map(|part| if let Part::Text { text, .. } = part { Some(text) } else { None })
            .filter(|text| !text.is_empty())
            .collect();
        if !system.is_empty() {
            out.key("systemInstruction").object(|out| {
                out.key("parts").array(|out| {
                    for text in system {
                        out.object(|out| out.key("text").text(text));
                    }
                });
            });
        }
        out.key("contents").array(|out| self.contents(out))?;
        self.tools(out);
        Ok(())
    }

    fn tools(&mut self, out: &mut Writer) {
        let request = self.request;
        if request.tools.is_empty() {
            return;
        }
        out.key("tools").array(|out| {
            out.object(|out| {
                out.key("functionDeclarations").array(|out| {
                    for tool in &request.tools {
                        let name = self.names.legal(&tool.name);
                        out.object(|out| {
                            out.key("name").text(&name);
                            if let Some(description) = &tool.description {
                                out.key("description").text(description);
                            }
                            match tool.parameters {
                                _ if tool.is_custom => out.key("parameters").raw(tool.schema()),
                                Some(parameters) if !schema::has_properties(parameters) => {}
                                Some(parameters) if self.target.capabilities.json_schema => {
                                    out.key("parametersJsonSchema").value(parameters);
                                }
                                Some(parameters) => out.key("parameters").raw(&schema::reduced(parameters)),
                                None => {}
                            }
                        });
                    }
                });
            });
        });
        let (mode, names): (&str, Vec<&Text<'_>>) = match &request.tool_choice {
            None => return,
            Some(ToolChoice::Auto) => ("AUTO", Vec::new()),
            Some(ToolChoice::None) => ("NONE", Vec::new()),
            Some(ToolChoice::Required) => ("ANY", Vec::new()),
            Some(ToolChoice::Named(name)) => ("ANY", vec![name]),
            Some(ToolChoice::Allowed { names, required: true }) => ("ANY", names.iter().collect()),
            Some(ToolChoice::Allowed { names, .. }) => ("VALIDATED", names.iter().collect()),
        };
        out.key("toolConfig").object(|out| {
            out.key("functionCallingConfig").object(|out| {
                out.key("mode").string(mode);
                if !names.is_empty() {
                    out.key("allowedFunctionNames").array(|out| {
                        for name in names {
                            out.text(&self.names.legal(name));
                        }
                    });
                }
            });
        });
    }

    fn config(&mut self, out: &mut Writer) -> Result<(), ApiError> {
        let params = &self.request.params;
        let mut inner = Writer::default();
        let written = inner.object(|out| {
            let numbers = [
                ("maxOutputTokens", params.max_tokens),
                ("temperature", params.temperature),
                ("topP", params.top_p),
                ("topK", params.top_k),
                ("candidateCount", params.n),
                ("seed", params.seed),
                ("frequencyPenalty", params.frequency_penalty),
                ("presencePenalty", params.presence_penalty),
                ("logprobs", params.top_logprobs),
            ];
            for (name, digits) in numbers {
                if let Some(digits) = digits {
                    out.key(name).raw(digits);
                }
            }
            if let Some(logprobs) = params.logprobs {
                out.key("responseLogprobs").bool(logprobs);
            }
            const MOST_STOPS: usize = 5;
            if params.stop.len() > MOST_STOPS {
                self.report.adapt("stop", "the provider takes five at most")?;
            }
            if !params.stop.is_empty() {
                out.key("stopSequences")
                    .array(|out| params.stop.iter().take(MOST_STOPS).for_each(|text| out.text(text)));
            }
            if let Some(modalities) = params.modalities {
                out.key("responseModalities").array(|out| {
                    for modality in modalities.elements().filter_map(|modality| modality.str()) {
                        out.string(&modality.to_ascii_uppercase());
                    }
                });
            }
            match &params.format {
                None | Some(Format::Text) => {}
                Some(Format::JsonObject) => out.key("responseMimeType").string("application/json"),
                Some(Format::JsonSchema(format)) => {
                    out.key("responseMimeType").string("application/json");
                    match self.target.capabilities.json_schema {
                        true => out.key("responseJsonSchema").value(format.schema),
                        false => out.key("responseSchema").raw(&schema::reduced(format.schema)),
                    }
                }
            }
            self.thinking(out)
        });
        written?;
        let json = inner.finish();
        if json != b"{}" {
            out.key("generationConfig").raw(str::from_utf8(&json).unwrap_or("{}"));
        }
        Ok(())
    }

    fn thinking(&mut self, out: &mut Writer) -> Result<(), ApiError> {
        let Some(reasoning) = self.request.params.reasoning else { return Ok(()) };
        let capabilities = self.target.capabilities;
        let budgets = &capabilities.budgets;
        if reasoning == Reasoning::Off && capabilities.always_thinks {
            return self.report.adapt("reasoning_effort", "this model cannot be told not to think");
        }
        match capabilities.thinking {
            Thinking::None => {}
            Thinking::Effort => {
                let level = match reasoning {
                    Reasoning::Off => Some("MINIMAL"),
                    Reasoning::Adaptive => None,
                    Reasoning::Effort(effort) => Some(level(effort)),
                    Reasoning::Budget(tokens) => Some(level(budgets.effort(tokens))),
                };
                out.key("thinkingConfig").object(|out| {
                    if let Some(level) = level {
                        out.key("thinkingLevel").string(level);
                    }
                    if reasoning != Reasoning::Off {
                        out.key("includeThoughts").bool(true);
                    }
                });
            }
            Thinking::Budget | Thinking::Switch => out.key("thinkingConfig").object(|out| {
                match reasoning {
                    Reasoning::Off => out.key("thinkingBudget").number(0),
                    // the provider's word for its own choice
                    Reasoning::Adaptive => out.key("thinkingBudget").raw("-1"),
                    Reasoning::Effort(effort) => out.key("thinkingBudget").number(budgets.of(effort)),
                    Reasoning::Budget(tokens) => out.key("thinkingBudget").number(tokens),
                }
                if reasoning != Reasoning::Off {
                    out.key("includeThoughts").bool(true);
                }
            }),
        }
        Ok(())
    }

    fn rest(&mut self, out: &mut Writer) {
        let params = &self.request.params;
        if let Some(settings) = params.other("safety_settings") {
            out.key("safetySettings").value(settings);
        }
        if let Some(metadata) = params.metadata.filter(|_| self.service == Service::Vertex) {
            out.key("labels").value(metadata);
        }
    }
}

fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::XHigh | Effort::Max => "HIGH",
    }
}
