//! What Gemini checks beyond the shape of a request.

use super::errors::refuse;
use super::reply::SIGNATURE;
use super::schema;
use crate::media::{Media, Sort};
use crate::openai::read::{array, string};
use crate::reply::Refused;
use serde_json::Value;

/// What stands for a signature that got lost.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// The members of which a part has one.
const DATA: [&str; 7] =
    ["text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"];

/// Whether a model wants its signatures back.
pub fn wants_signatures(model: &str) -> bool {
    model.contains("gemini-3")
}

/// All of it.
pub fn check(body: &Value, model: &str) -> Result<(), Refused> {
    let contents = array(body, "contents");
    for (index, content) in contents.iter().enumerate() {
        if !["", "user", "model", "function"].contains(&string(content, "role")) {
            return refuse("Please use a valid role: user, model.");
        }
        for (place, part) in array(content, "parts").iter().enumerate() {
            self::part(part, &format!("contents[{index}].parts[{place}]"))?;
        }
    }
    turns(contents, model)?;
    if wants_signatures(model) {
        signatures(contents)?;
    }
    tools(body)?;
    generation(body)
}

fn part(part: &Value, at: &str) -> Result<(), Refused> {
    let set = DATA.iter().filter(|name| part.get(**name).is_some_and(|value| !value.is_null())).count();
    if set != 1 || part.get("text").is_some_and(|text| text == "" && part.get("thoughtSignature").is_none()) {
        return refuse(format!(
            "* GenerateContentRequest.{at}.data: required oneof field 'data' must have one initialized field\n"
        ));
    }
    if let Some(blob) = part.get("inlineData").filter(|blob| !blob.is_null()) {
        let media_type = string(blob, "mimeType");
        if !["image/", "audio/", "video/", "text/", "application/"].iter().any(|known| media_type.starts_with(known)) {
            return refuse(format!("Unsupported MIME type: {media_type}"));
        }
        if Media::inline(Sort::File, "", string(blob, "data")).is_none() {
            return refuse(format!("Invalid value at '{at}.inline_data.data' (TYPE_BYTES), Base64 decoding failed"));
        }
    }
    Ok(())
}

fn of<'c>(content: &'c Value, member: &'static str) -> Vec<&'c Value> {
    array(content, "parts").iter().filter_map(|part| part.get(member)).filter(|value| !value.is_null()).collect()
}

/// Calls come after a user's turn, and responses after calls: as many, of the same names.
fn turns(contents: &[Value], model: &str) -> Result<(), Refused> {
    let mut before: Option<&Value> = None;
    for content in contents {
        let responses = of(content, "functionResponse");
        let calls = before.map(|before| of(before, "functionCall")).unwrap_or_default();
        if responses.len() != calls.len() {
            return refuse(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the \
                 function call turn.",
            );
        }
        let names =
            |parts: &[&Value]| -> Vec<String> { parts.iter().map(|part| string(part, "name").to_owned()).collect() };
        if names(&responses) != names(&calls) {
            return refuse("Please ensure that function responses have the names and the order of the function calls.");
        }
        if !responses.is_empty() && wants_signatures(model) && responses.len() != array(content, "parts").len() {
            return refuse("Please ensure that a function response turn has function response parts only.");
        }
        if !of(content, "functionCall").is_empty() {
            if string(content, "role") != "model" {
                return refuse("Please ensure that function calls have the role model.");
            }
            if before.is_none_or(|before| string(before, "role") == "model") {
                return refuse(
                    "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
                );
            }
        }
        before = Some(content);
    }
    match before.map(|last| of(last, "functionCall").len()) {
        Some(1..) => refuse("Please ensure that multiturn requests end with a user role or a function response."),
        _ => Ok(()),
    }
}

/// In the turn that is still open, the first call of each step has the signature that it came with.
fn signatures(contents: &[Value]) -> Result<(), Refused> {
    let is_question =
        |content: &Value| string(content, "role") != "model" && of(content, "functionResponse").is_empty();
    let begins = contents.iter().rposition(is_question).unwrap_or(0);
    for (index, content) in contents.iter().enumerate().skip(begins) {
        let call = array(content, "parts").iter().find(|part| part.get("functionCall").is_some());
        if let Some(call) = call
            && ![SIGNATURE, NO_SIGNATURE].contains(&string(call, "thoughtSignature"))
        {
            let name = call.pointer("/functionCall/name").and_then(Value::as_str).unwrap_or_default();
            return refuse(format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work \
                 correctly. Function call `default_api:{name}`, position {index}."
            ));
        }
    }
    Ok(())
}

fn tools(body: &Value) -> Result<(), Refused> {
    let functions: Vec<_> = array(body, "tools").iter().flat_map(|tool| array(tool, "functionDeclarations")).collect();
    for (index, function) in functions.iter().enumerate() {
        let name = string(function, "name");
        let at = format!("tools[0].function_declarations[{index}]");
        let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let other = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
        if name.len() > 64 || !name.bytes().take(1).all(first) || !name.bytes().all(other) {
            return refuse(format!(
                "* GenerateContentRequest.{at}.name: Invalid function name. Must start with a letter or an underscore.\n"
            ));
        }
        if functions.iter().take(index).any(|before| string(before, "name") == name) {
            return refuse(format!("Duplicate function declaration found: {name}"));
        }
        match (function.get("parameters"), function.get("parametersJsonSchema")) {
            (Some(_), Some(_)) => {
                return refuse(format!("{at}: only one of parameters and parameters_json_schema can be set"));
            }
            (Some(parameters), None) => schema::check(parameters, &format!("{at}.parameters"))
                .or_else(|why| refuse(format!("* GenerateContentRequest.{why}\n")))?,
            _ => {}
        }
    }
    let calling = body.pointer("/toolConfig/functionCallingConfig").unwrap_or(&Value::Null);
    let allowed = array(calling, "allowedFunctionNames");
    if !allowed.is_empty() && !["ANY", "VALIDATED"].contains(&string(calling, "mode")) {
        return refuse("allowed_function_names should be set only when function calling mode is ANY.");
    }
    if allowed.iter().any(|name| !functions.iter().any(|function| function.get("name") == Some(name))) {
        return refuse("allowed_function_names contains a function that is not declared.");
    }
    if functions.is_empty() && ["ANY", "VALIDATED"].contains(&string(calling, "mode")) {
        return refuse("Function calling config is set without function_declarations.");
    }
    Ok(())
}

fn generation(body: &Value) -> Result<(), Refused> {
    let config = body.get("generationConfig").unwrap_or(&Value::Null);
    let json =
        string(config, "responseMimeType") == "application/json" || string(config, "responseMimeType") == "text/x.enum";
    let (subset, full) = (config.get("responseSchema"), config.get("responseJsonSchema"));
    if (subset.is_some() || full.is_some()) && !json {
        return refuse(
            "* GenerateContentRequest.generation_config.response_schema: only allowed when response_mime_type is application/json\n",
        );
    }
    if subset.is_some() && full.is_some() {
        return refuse("Only one of response_schema and response_json_schema can be set.");
    }
    if let Some(subset) = subset {
        schema::check(subset, "generation_config.response_schema")
            .or_else(|why| refuse(format!("* GenerateContentRequest.{why}\n")))?;
    }
    let calls = array(body, "tools").iter().any(|tool| !array(tool, "functionDeclarations").is_empty());
    if json && calls {
        return refuse("Function calling with a response mime type: 'application/json' is unsupported");
    }
    let thinking = config.get("thinkingConfig").unwrap_or(&Value::Null);
    if thinking.get("thinkingBudget").is_some() && thinking.get("thinkingLevel").is_some() {
        return refuse("You can only set only one of thinking budget and thinking level.");
    }
    if config.get("logprobs").is_some() && config.get("responseLogprobs") != Some(&Value::Bool(true)) {
        return refuse("logprobs can only be set when response_logprobs is true.");
    }
    Ok(())
}
