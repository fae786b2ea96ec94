//! Writing a request.

use super::{Service, parts};
use crate::capability::{StructuredOutput, Thinking};
use crate::context::Hints;
use crate::ids::{Grammar, Names};
use crate::ir::{ApiError, Effort, Format, JsonSchema, Part, Reasoning, Request, Role, Tool, ToolChoice};
use crate::report::Report;
use crate::target::Target;
use crate::translate::Operation;
use span_json::{Kind, Text, Value, Writer};

/// The least budget that the provider takes.
const MIN_BUDGET: u64 = 1024;
/// What is left for the answer where a budget would take all.
const MIN_ANSWER: u64 = 1024;

/// What a request is written with, beside itself.
pub(super) struct Writing<'w, 'a> {
    pub(super) request: &'w Request<'a>,
    pub(super) target: &'w Target<'w>,
    pub(super) report: &'w mut Report,
    pub(super) ids: Names,
    pub(super) names: Names,
    hints: Hints,
}

/// Whether and how the model thinks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thought<'a> {
    Unsaid,
    Off,
    Budget(u64),
    Effort(Effort),
    Adaptive,
    /// As the client wrote it.
    Verbatim(&'a str),
}

impl Thought<'_> {
    fn is_on(&self) -> bool {
        match self {
            Self::Unsaid | Self::Off => false,
            Self::Budget(_) | Self::Effort(_) | Self::Adaptive => true,
            Self::Verbatim(json) => !json.contains("\"disabled\""),
        }
    }
}

pub(super) fn write(
    service: Service,
    operation: Operation,
    request: &Request<'_>,
    target: &Target<'_>,
    report: &mut Report,
) -> Result<(Vec<u8>, Hints), ApiError> {
    request.check_tool_results()?;
    let mut writing = Writing {
        request,
        target,
        report,
        ids: Names::new(Grammar::Word(64)),
        names: Names::new(Grammar::Word(128)),
        hints: Hints::default(),
    };
    let mut out = Writer::with_capacity(4096);
    out.object(|out| {
        if let Some(version) = service.version_in_body() {
            out.key("anthropic_version").string(version);
        }
        if service.names_model(operation) {
            out.key("model").string(target.model);
        }
        writing.body(service, operation, out)
    })?;
    let mut hints = writing.hints;
    hints.renamed_tools = writing.names.renamed();
    Ok((out.finish(), hints))
}

impl<'a> Writing<'_, 'a> {
    fn body(&mut self, service: Service, operation: Operation, out: &mut Writer) -> Result<(), ApiError> {
        let params = &self.request.params;
        let mut max_tokens = match params.max_tokens {
            Some(digits) => digits.parse::<u64>().map_err(|_| {
                ApiError::invalid(format!("max_tokens: expected a whole number, found {digits}")).param("max_tokens")
            })?,
            None => self.target.capabilities.default_max_tokens,
        };
        let thought = self.thought(&mut max_tokens)?;
        let answer_tool = self.answer_tool(&thought)?;
        self.system(out)?;
        out.key("messages").array(|out| self.turns(out))?;
        self.tools(answer_tool, &thought, out)?;
        write_thought(&thought, out);
        self.output_config(&thought, out);
        if operation == Operation::CountTokens {
            return Ok(());
        }
        out.key("max_tokens").number(max_tokens);
        self.sampling(&thought, out)?;
        let stop: Vec<&Text<'_>> = params.stop.iter().filter(|text| !text.decode().trim().is_empty()).collect();
        if stop.len() < params.stop.len() {
            self.report.adapt("stop", "texts of blanks are left out")?;
        }
        if !stop.is_empty() {
            out.key("stop_sequences").array(|out| stop.into_iter().for_each(|text| out.text(text)));
        }
        if let Some(user) = &params.user {
            out.key("metadata").object(|out| out.key("user_id").text(user));
        }
        match params.service_tier.as_ref().map(Text::decode).as_deref() {
            None | Some("default") => {}
            Some(tier @ ("auto" | "standard_only")) => out.key("service_tier").string(tier),
            Some(_) => self.report.drop("service_tier", "this provider has no such tier")?,
        }
        if self.request.stream && service.names_stream() {
            out.key("stream").bool(true);
        }
        Ok(())
    }

    /// Whether and how it thinks; the most tokens of the answer grow if the budget would not leave any.
    fn thought(&mut self, max_tokens: &mut u64) -> Result<Thought<'a>, ApiError> {
        let capabilities = self.target.capabilities;
        if let Some(verbatim) = self.request.params.other("thinking").filter(|value| value.kind() == Kind::Object) {
            if let Some(budget) = verbatim.u64_of("budget_tokens")
                && budget >= *max_tokens
            {
                *max_tokens = budget.saturating_add(MIN_ANSWER);
            }
            return Ok(Thought::Verbatim(verbatim.raw()));
        }
        let wanted = match self.request.params.reasoning {
            None => return Ok(Thought::Unsaid),
            Some(Reasoning::Off) if capabilities.always_thinks => {
                self.report.adapt("reasoning_effort", "this model cannot be told not to think")?;
                return Ok(Thought::Unsaid);
            }
            Some(Reasoning::Off) => return Ok(Thought::Off),
            Some(wanted) => wanted,
        };
        let budgets = &capabilities.budgets;
        let budget = match (capabilities.thinking, wanted) {
            // reported as a parameter that there is nothing like
            (Thinking::None, _) => return Ok(Thought::Unsaid),
            (Thinking::Effort, Reasoning::Effort(effort)) => return Ok(Thought::Effort(effort)),
            (Thinking::Effort, Reasoning::Budget(tokens)) => return Ok(Thought::Effort(budgets.effort(tokens))),
            (Thinking::Effort, _) => return Ok(Thought::Adaptive),
            (_, Reasoning::Effort(effort)) => budgets.of(effort),
            (_, Reasoning::Budget(tokens)) => tokens,
            (_, _) => budgets.medium,
        };
        let budget = budget.max(MIN_BUDGET);
        if budget >= *max_tokens {
            *max_tokens = budget.saturating_add((*max_tokens).max(MIN_ANSWER));
        }
        // only what the client itself says forces a tool; then there is no thinking
        if matches!(
            self.request.tool_choice,
            Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. })
        ) {
            self.report.adapt("reasoning_effort", "the model does not think where it has to call a tool")?;
            return Ok(Thought::Unsaid);
        }
        Ok(Thought::Budget(budget))
    }

    /// The tool whose arguments are the answer, if that is how the model is held to a schema.
    fn answer_tool(&mut self, thought: &Thought<'_>) -> Result<Option<JsonSchema<'a>>, ApiError> {
        let Some(Format::JsonSchema(format)) = &self.request.params.format else { return Ok(None) };
        if self.target.capabilities.structured_output != StructuredOutput::Tool {
            return Ok(None);
        }
        if thought.is_on() || !self.request.tools.is_empty() {
            self.report.adapt(
                "response_format.json_schema",
                "beside tools or thinking, the provider gets the schema as text",
            )?;
            return Ok(None);
        }
        let name = format.name.clone().unwrap_or_else(|| Text::from("answer"));
        let name = self.names.legal(&name).decode().into_owned();
        self.hints.answer_tool = Some(name);
        Ok(Some(format.clone()))
    }

    /// What the system text has to say of the form of the answer.
    fn instruction(&self) -> Option<String> {
        match &self.request.params.format {
            Some(Format::JsonObject) => Some("Answer with a JSON object, and with nothing else.".to_owned()),
            Some(Format::JsonSchema(format)) => {
                let by_text = match self.target.capabilities.structured_output {
                    StructuredOutput::Native => false,
                    StructuredOutput::Tool => self.hints.answer_tool.is_none(),
                    StructuredOutput::JsonObject | StructuredOutput::Instruction => true,
                };
                by_text.then(|| {
                    let schema = format.schema.raw();
                    format!("Answer with a JSON object that follows this JSON Schema, and with nothing else: {schema}")
                })
            }
            _ => None,
        }
    }

    fn system(&mut self, out: &mut Writer) -> Result<(), ApiError> {
        let instruction = self.instruction();
        // an empty block is refused
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
                    parts::text(text, *cache, out);
                }
            }
            if let Some(instruction) = &instruction {
                parts::text(&Text::from(instruction.as_str()), None, out);
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
                out.key("content").string("...");
            });
        }
        let last = turns.len() - 1;
        for (place, (role, parts)) in turns.into_iter().enumerate() {
            out.object(|out| {
                out.key("role").string(if role == Role::User { "user" } else { "assistant" });
                out.key("content").array(|out| self.turn(role, &parts, place == last, out))
            })?;
        }
        Ok(())
    }

    fn turn(&mut self, role: Role, parts: &[&Part<'a>], is_last: bool, out: &mut Writer) -> Result<(), ApiError> {
        // results come before anything else that the user says
        let is_result = |part: &&&Part<'a>| matches!(part, Part::ToolResult(_));
        let results = parts.iter().filter(is_result);
        let others = parts.iter().filter(|part| !is_result(part));
        let mut written = 0;
        for part in results.chain(others) {
            if self.part(role, part, is_last, out)? {
                written += 1;
            }
        }
        if written == 0 {
            // a turn of nothing is refused, and left out would join two of the other side
            parts::text(&Text::from("(nothing)"), None, out);
        }
        Ok(())
    }

    fn tools(
        &mut self,
        answer: Option<JsonSchema<'a>>,
        thought: &Thought<'_>,
        out: &mut Writer,
    ) -> Result<(), ApiError> {
        if let Some(format) = answer {
            let name = self.hints.answer_tool.clone().unwrap_or_default();
            out.key("tools").array(|out| {
                out.object(|out| {
                    out.key("name").string(&name);
                    if let Some(description) = &format.description {
                        out.key("description").text(description);
                    }
                    out.key("input_schema").value(format.schema);
                });
            });
            out.key("tool_choice").object(|out| {
                out.key("type").string("tool");
                out.key("name").string(&name);
            });
            return Ok(());
        }
        let request = self.request;
        if request.tools.is_empty() {
            if request.has_tool_parts() {
                self.tools_of_history(out);
            }
            return Ok(());
        }
        out.key("tools").array(|out| request.offered_tools().for_each(|tool| self.tool(tool, out)));
        self.tool_choice(thought, out)
    }

    fn tool(&mut self, tool: &Tool<'a>, out: &mut Writer) {
        let name = self.names.legal(&tool.name);
        out.object(|out| {
            out.key("name").text(&name);
            if let Some(description) = &tool.description {
                out.key("description").text(description);
            }
            out.key("input_schema").raw(tool.schema());
            if let Some(strict) = tool.strict.filter(|_| self.target.capabilities.strict_tools) {
                out.key("strict").bool(strict);
            }
            parts::cache(tool.cache, out);
        });
    }

    /// The provider wants tools described that a conversation has calls of.
    fn tools_of_history(&mut self, out: &mut Writer) {
        let mut names: Vec<Text<'a>> = Vec::new();
        for call in self.request.tool_calls() {
            if !names.contains(&call.name) {
                names.push(call.name.clone());
            }
        }
        out.key("tools").array(|out| {
            for name in &names {
                let name = self.names.legal(name);
                out.object(|out| {
                    out.key("name").text(&name);
                    out.key("input_schema").raw(r#"{"type":"object"}"#);
                });
            }
        });
    }

    fn tool_choice(&mut self, thought: &Thought<'_>, out: &mut Writer) -> Result<(), ApiError> {
        let alone = self.request.params.parallel_tool_calls == Some(false);
        let kind = match &self.request.tool_choice {
            None if !alone => return Ok(()),
            None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => "auto",
            Some(ToolChoice::None) => "none",
            Some(ToolChoice::Required | ToolChoice::Allowed { .. }) => "any",
            Some(ToolChoice::Named(_)) => "tool",
        };
        let kind = if thought.is_on() && matches!(kind, "any" | "tool") {
            self.report.adapt("tool_choice", "the model is free to call none while it thinks")?;
            "auto"
        } else {
            kind
        };
        let name = match &self.request.tool_choice {
            Some(ToolChoice::Named(name)) if kind == "tool" => Some(self.names.legal(name)),
            _ => None,
        };
        out.key("tool_choice").object(|out| {
            out.key("type").string(kind);
            if let Some(name) = &name {
                out.key("name").text(name);
            }
            if alone && kind != "none" {
                out.key("disable_parallel_tool_use").bool(true);
            }
        });
        Ok(())
    }

    fn output_config(&self, thought: &Thought<'_>, out: &mut Writer) {
        let format = match &self.request.params.format {
            Some(Format::JsonSchema(format))
                if self.target.capabilities.structured_output == StructuredOutput::Native =>
            {
                Some(format)
            }
            _ => None,
        };
        let effort = if let Thought::Effort(effort) = thought { Some(effort) } else { None };
        if format.is_none() && effort.is_none() {
            return;
        }
        out.key("output_config").object(|out| {
            if let Some(effort) = effort {
                out.key("effort").string(match effort {
                    Effort::Minimal | Effort::Low => "low",
                    Effort::Medium => "medium",
                    Effort::High => "high",
                    Effort::XHigh => "xhigh",
                    Effort::Max => "max",
                });
            }
            if let Some(format) = format {
                out.key("format").object(|out| {
                    out.key("type").string("json_schema");
                    out.key("schema");
                    closed(format.schema, out);
                });
            }
        });
    }

    fn sampling(&mut self, thought: &Thought<'_>, out: &mut Writer) -> Result<(), ApiError> {
        let params = &self.request.params;
        let capabilities = self.target.capabilities;
        if !capabilities.sampling {
            return Ok(());
        }
        if thought.is_on() {
            for (name, given) in [("temperature", params.temperature), ("top_k", params.top_k)] {
                if given.is_some_and(|given| given.parse() != Ok(1.0)) {
                    self.report.drop(name, "the provider does not take it while it thinks")?;
                }
            }
        } else {
            if let Some(temperature) = params.temperature {
                let above = temperature.parse::<f64>().is_ok_and(|value| value > 1.0);
                if above {
                    self.report.adapt("temperature", "the provider takes 1 at most")?;
                }
                out.key("temperature").raw(if above { "1" } else { temperature });
            }
            if let Some(top_k) = params.top_k {
                out.key("top_k").raw(top_k);
            }
        }
        if let Some(top_p) = params.top_p {
            if params.temperature.is_some() && !capabilities.temperature_with_top_p {
                return self.report.drop("top_p", "the model does not take it beside temperature");
            }
            let too_low = thought.is_on() && top_p.parse::<f64>().is_ok_and(|value| value < 0.95);
            if too_low {
                self.report.adapt("top_p", "the provider takes 0.95 at least while it thinks")?;
            }
            out.key("top_p").raw(if too_low { "0.95" } else { top_p });
        }
        Ok(())
    }
}

fn write_thought(thought: &Thought<'_>, out: &mut Writer) {
    match thought {
        Thought::Unsaid => {}
        Thought::Off => out.key("thinking").raw(r#"{"type":"disabled"}"#),
        Thought::Budget(tokens) => out.key("thinking").object(|out| {
            out.key("type").string("enabled");
            out.key("budget_tokens").number(*tokens);
        }),
        Thought::Effort(_) | Thought::Adaptive => out.key("thinking").raw(r#"{"type":"adaptive"}"#),
        Thought::Verbatim(json) => out.key("thinking").raw(json),
    }
}

/// A schema whose objects take no members beside those that are named, as the provider wants it.
fn closed(schema: Value<'_>, out: &mut Writer) {
    match schema.kind() {
        Kind::Object => out.object(|out| {
            let is_object = schema.str_of("type").as_deref() == Some("object");
            for (name, value) in schema.members() {
                out.key_text(&name);
                closed(value, out);
            }
            if is_object && schema.get("additionalProperties").is_none() {
                out.key("additionalProperties").bool(false);
            }
        }),
        Kind::Array => out.array(|out| schema.elements().for_each(|value| closed(value, out))),
        _ => out.value(schema),
    }
}
