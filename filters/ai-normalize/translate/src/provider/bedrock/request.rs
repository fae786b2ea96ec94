//! Writing a request.

use crate::capability::{StructuredOutput, Thinking};
use crate::context::Hints;
use crate::ids::{Grammar, Names};
use crate::ir::{ApiError, Format, JsonSchema, Part, Reasoning, Request, Role, Tool, ToolChoice};
use crate::report::Report;
use crate::target::Target;
use span_json::{Kind, Text, Value, Writer};

/// What a request is written with, beside itself.
pub(super) struct Writing<'w, 'a> {
    pub(super) request: &'w Request<'a>,
    pub(super) target: &'w Target<'w>,
    pub(super) report: &'w mut Report,
    pub(super) ids: Names,
    pub(super) names: Names,
    /// Names of documents, which have to differ.
    pub(super) documents: Vec<String>,
    hints: Hints,
}

const MIN_BUDGET: u64 = 1024;

impl<'w, 'a> Writing<'w, 'a> {
    fn new(request: &'w Request<'a>, target: &'w Target<'w>, report: &'w mut Report) -> Result<Self, ApiError> {
        request.check_tool_results()?;
        Ok(Self {
            request,
            target,
            report,
            ids: Names::new(Grammar::Word(64)),
            names: Names::new(Grammar::Word(64)),
            documents: Vec::new(),
            hints: Hints::default(),
        })
    }
}

pub(super) fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    report: &mut Report,
) -> Result<(Vec<u8>, Hints), ApiError> {
    let mut writing = Writing::new(request, target, report)?;
    let mut out = Writer::with_capacity(4096);
    out.object(|out| writing.body(out))?;
    let mut hints = writing.hints;
    hints.renamed_tools = writing.names.renamed();
    Ok((out.finish(), hints))
}

/// A request for the number of tokens.
pub(super) fn count(request: &Request<'_>, target: &Target<'_>, report: &mut Report) -> Result<Vec<u8>, ApiError> {
    let mut writing = Writing::new(request, target, report)?;
    let mut out = Writer::with_capacity(4096);
    out.object(|out| {
        out.key("input").object(|out| {
            out.key("converse").object(|out| {
                writing.system(out)?;
                out.key("messages").array(|out| writing.turns(out))?;
                writing.tools(None, out)
            })
        })
    })?;
    Ok(out.finish())
}

impl<'a> Writing<'_, 'a> {
    fn body(&mut self, out: &mut Writer) -> Result<(), ApiError> {
        let params = &self.request.params;
        let mut max_tokens = match params.max_tokens {
            Some(digits) => Some(digits.parse::<u64>().map_err(|_| {
                ApiError::invalid(format!("max_tokens: expected a whole number, found {digits}")).param("max_tokens")
            })?),
            None => None,
        };
        let budget = self.budget(&mut max_tokens)?;
        let answer_tool = self.answer_tool(budget.is_some())?;
        self.system(out)?;
        out.key("messages").array(|out| self.turns(out))?;
        self.inference(max_tokens, budget.is_some(), out)?;
        self.tools(answer_tool, out)?;
        self.output(out);
        self.additional(budget, out);
        match params.service_tier.as_ref().map(Text::decode).as_deref() {
            None | Some("auto") => {}
            Some(tier @ ("priority" | "default" | "flex")) => {
                out.key("serviceTier").object(|out| out.key("type").string(tier));
            }
            Some(_) => self.report.drop("service_tier", "this provider has no such tier")?,
        }
        if let Some(metadata) = params.metadata {
            self.metadata(metadata, out)?;
        }
        if let Some(guardrail) = params.other("guardrail_config") {
            out.key("guardrailConfig").value(guardrail);
        }
        Ok(())
    }

    /// A map of texts; anything else would be refused.
    fn metadata(&mut self, metadata: Value<'_>, out: &mut Writer) -> Result<(), ApiError> {
        if metadata.members().any(|(_, value)| value.kind() != Kind::String) {
            return self.report.drop("metadata", "the provider takes texts only");
        }
        if metadata.members().next().is_some() {
            out.key("requestMetadata").value(metadata);
        }
        Ok(())
    }

    /// Most tokens to think with; those of the answer grow if it would leave none.
    fn budget(&mut self, max_tokens: &mut Option<u64>) -> Result<Option<u64>, ApiError> {
        let capabilities = self.target.capabilities;
        let Some(reasoning) = self.request.params.reasoning else { return Ok(None) };
        let budgets = &capabilities.budgets;
        let budget = match reasoning {
            _ if capabilities.thinking == Thinking::None => return Ok(None),
            Reasoning::Off if capabilities.always_thinks => {
                self.report.adapt("reasoning_effort", "this model cannot be told not to think")?;
                return Ok(None);
            }
            Reasoning::Off => return Ok(None),
            Reasoning::Effort(effort) => budgets.of(effort),
            Reasoning::Budget(tokens) => tokens,
            Reasoning::Adaptive => budgets.medium,
        };
        let forced = matches!(
            self.request.tool_choice,
            Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. })
        );
        if forced {
            self.report.adapt("reasoning_effort", "the model does not think where it has to call a tool")?;
            return Ok(None);
        }
        let budget = budget.max(MIN_BUDGET);
        let most = max_tokens.unwrap_or(capabilities.default_max_tokens);
        *max_tokens = Some(if budget >= most { budget.saturating_add(most) } else { most });
        Ok(Some(budget))
    }

    fn answer_tool(&mut self, thinks: bool) -> Result<Option<JsonSchema<'a>>, ApiError> {
        let Some(Format::JsonSchema(format)) = &self.request.params.format else { return Ok(None) };
        if self.target.capabilities.structured_output != StructuredOutput::Tool {
            return Ok(None);
        }
        if thinks || !self.request.tools.is_empty() {
            let why = "beside tools or thinking, the provider gets the schema as text";
            self.report.adapt("response_format.json_schema", why)?;
            return Ok(None);
        }
        let name = format.name.clone().unwrap_or_else(|| Text::from("answer"));
        self.hints.answer_tool = Some(self.names.legal(&name).decode().into_owned());
        Ok(Some(format.clone()))
    }

    fn instruction(&self) -> Option<String> {
        match &self.request.params.format {
            Some(Format::JsonObject) => Some("Answer with a JSON object, and with nothing else.".to_owned()),
            Some(Format::JsonSchema(format)) => {
                let by_text = match self.target.capabilities.structured_output {
                    StructuredOutput::Native => false,
                    StructuredOutput::Tool => self.hints.answer_tool.is_none(),
                    StructuredOutput::JsonObject | StructuredOutput::Instruction => true,
                };
                let schema = format.schema.raw();
                by_text.then(|| {
                    format!("Answer with a JSON object that follows this JSON Schema, and with nothing else: {schema}")
                })
            }
            _ => None,
        }
    }

    fn system(&mut self, out: &mut Writer) -> Result<(), ApiError> {
        let instruction = self.instruction();
        let blocks: Vec<&Part<'_>> = self
            .request
            .system
            .iter()
            .filter(|part| !matches!(part, Part::Text { text, .. } if text.is_empty()))
            .collect();
        if blocks.is_empty() && instruction.is_none() {
            return Ok(());
        }
        out.key("system").array(|out| {
            for part in blocks {
                if let Part::Text { text, cache } = part {
                    out.object(|out| out.key("text").text(text));
                    cache_point(cache.is_some(), out);
                }
            }
            if let Some(instruction) = &instruction {
                out.object(|out| out.key("text").string(instruction));
            }
        });
        Ok(())
    }

    fn turns(&mut self, out: &mut Writer) -> Result<(), ApiError> {
        let turns = self.request.merged_turns();
        if turns.is_empty() {
            return Err(ApiError::invalid("messages: expected a message of a user").param("messages"));
        }
        if turns.first().is_some_and(|(role, _)| *role == Role::Assistant) {
            // the provider wants the user first
            out.object(|out| {
                out.key("role").string("user");
                out.key("content").raw(r#"[{"text":"..."}]"#);
            });
        }
        for (role, parts) in turns {
            out.object(|out| {
                out.key("role").string(if role == Role::User { "user" } else { "assistant" });
                out.key("content").array(|out| self.turn(role, &parts, out))
            })?;
        }
        Ok(())
    }

    fn inference(&mut self, max_tokens: Option<u64>, thinks: bool, out: &mut Writer) -> Result<(), ApiError> {
        let params = &self.request.params;
        let mut inner = Writer::default();
        let written = inner.object(|out| {
            if let Some(max_tokens) = max_tokens {
                out.key("maxTokens").number(max_tokens);
            }
            if self.target.capabilities.sampling {
                if thinks {
                    let others = [("temperature", params.temperature), ("top_p", params.top_p)];
                    for (name, _) in others.iter().filter(|(_, given)| given.is_some()) {
                        self.report.drop(*name, "the provider does not take it while it thinks")?;
                    }
                } else {
                    if let Some(temperature) = params.temperature {
                        let above = temperature.parse::<f64>().is_ok_and(|value| value > 1.0);
                        if above {
                            self.report.adapt("temperature", "the provider takes 1 at most")?;
                        }
                        out.key("temperature").raw(if above { "1" } else { temperature });
                    }
                    if let Some(top_p) = params.top_p {
                        out.key("topP").raw(top_p);
                    }
                }
            }
            if !params.stop.is_empty() {
                out.key("stopSequences").array(|out| params.stop.iter().for_each(|text| out.text(text)));
            }
            Ok::<_, ApiError>(())
        });
        written?;
        let json = inner.finish();
        if json != b"{}" {
            out.key("inferenceConfig").raw(str::from_utf8(&json).unwrap_or("{}"));
        }
        Ok(())
    }

    fn tools(&mut self, answer: Option<JsonSchema<'a>>, out: &mut Writer) -> Result<(), ApiError> {
        if let Some(format) = answer {
            let name = self.hints.answer_tool.clone().unwrap_or_default();
            out.key("toolConfig").object(|out| {
                out.key("tools").array(|out| {
                    spec(&Text::from(name.as_str()), format.description.as_ref(), format.schema.raw(), None, out);
                });
                out.key("toolChoice").object(|out| out.key("tool").object(|out| out.key("name").string(&name)));
            });
            return Ok(());
        }
        let request = self.request;
        let has_history = request.has_tool_parts();
        if request.tools.is_empty() {
            if has_history {
                self.tools_of_history(out);
            }
            return Ok(());
        }
        if request.tool_choice == Some(ToolChoice::None) {
            if !has_history {
                return Ok(());
            }
            self.report.adapt("tool_choice", "the provider cannot be told to call none")?;
        }
        out.key("toolConfig").object(|out| {
            out.key("tools").array(|out| request.offered_tools().for_each(|tool| self.tool(tool, out)));
            match &request.tool_choice {
                None | Some(ToolChoice::None) => {}
                Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => {
                    out.key("toolChoice").raw(r#"{"auto":{}}"#);
                }
                Some(ToolChoice::Required | ToolChoice::Allowed { .. }) => out.key("toolChoice").raw(r#"{"any":{}}"#),
                Some(ToolChoice::Named(name)) => {
                    let name = self.names.legal(name);
                    out.key("toolChoice").object(|out| out.key("tool").object(|out| out.key("name").text(&name)));
                }
            }
        });
        Ok(())
    }

    fn tool(&mut self, tool: &Tool<'a>, out: &mut Writer) {
        let name = self.names.legal(&tool.name);
        let strict = tool.strict.filter(|_| self.target.capabilities.strict_tools);
        spec(&name, tool.description.as_ref(), tool.schema(), strict, out);
        cache_point(tool.cache.is_some(), out);
    }

    /// The provider wants tools described that a conversation has calls of.
    fn tools_of_history(&mut self, out: &mut Writer) {
        let mut names: Vec<Text<'a>> = Vec::new();
        for call in self.request.tool_calls() {
            if !names.contains(&call.name) {
                names.push(call.name.clone());
            }
        }
        out.key("toolConfig").object(|out| {
            out.key("tools").array(|out| {
                for name in &names {
                    spec(&self.names.legal(name), None, r#"{"type":"object"}"#, None, out);
                }
            });
        });
    }

    fn output(&mut self, out: &mut Writer) {
        let Some(Format::JsonSchema(format)) = &self.request.params.format else { return };
        if self.target.capabilities.structured_output != StructuredOutput::Native {
            return;
        }
        out.key("outputConfig").object(|out| {
            out.key("textFormat").object(|out| {
                out.key("type").string("json_schema");
                out.key("structure").object(|out| {
                    out.key("jsonSchema").object(|out| {
                        // as text
                        out.key("schema").string(format.schema.raw());
                        if let Some(name) = &format.name {
                            out.key("name").text(name);
                        }
                        if let Some(description) = &format.description {
                            out.key("description").text(description);
                        }
                    });
                });
            });
        });
    }

    fn additional(&mut self, budget: Option<u64>, out: &mut Writer) {
        let top_k = self.request.params.top_k.filter(|_| self.target.capabilities.sampling && budget.is_none());
        if budget.is_none() && top_k.is_none() {
            return;
        }
        out.key("additionalModelRequestFields").object(|out| {
            if let Some(top_k) = top_k {
                out.key("top_k").raw(top_k);
            }
            if let Some(budget) = budget {
                out.key("thinking").object(|out| {
                    out.key("type").string("enabled");
                    out.key("budget_tokens").number(budget);
                });
            }
        });
    }
}

/// The end of what may be kept for later requests.
pub(super) fn cache_point(is_one: bool, out: &mut Writer) {
    if is_one {
        out.raw(r#"{"cachePoint":{"type":"default"}}"#);
    }
}

fn spec(name: &Text<'_>, description: Option<&Text<'_>>, schema: &str, strict: Option<bool>, out: &mut Writer) {
    out.object(|out| {
        out.key("toolSpec").object(|out| {
            out.key("name").text(name);
            // an empty one is refused
            if let Some(description) = description.filter(|text| !text.is_empty()) {
                out.key("description").text(description);
            }
            out.key("inputSchema").object(|out| out.key("json").raw(schema));
            if let Some(strict) = strict {
                out.key("strict").bool(strict);
            }
        });
    });
}
