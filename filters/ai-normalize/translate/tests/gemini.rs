//! Gemini and Vertex AI as providers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use ai_translate::Operation;
use ai_translate::stream::Outcome;
use serde_json::{Value, json};
use support::{data, events, json as answer_json, pair};

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn with(messages: Value, more: Value) -> Value {
    let mut request = json!({"model": "m", "messages": messages});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

#[test]
fn conversations_become_contents() {
    let sent = pair("openai", "gemini").chat(with(
        json!([
            {"role": "system", "content": "Be kind."},
            user("Look"),
            {"role": "assistant", "content": "Yes", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "{\"y\": 2}"},
            {"role": "tool", "tool_call_id": "b", "content": "plain"},
            {"role": "user", "content": [{"type": "text", "text": "and this"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
        ]),
        json!({"temperature": 0, "top_p": 0.5, "max_tokens": 5, "stop": ["a", "b"], "seed": 0, "n": 2, "presence_penalty": 0.5}),
    ));
    assert_eq!(sent.outgoing.path, "/v1beta/models/the-model:generateContent");
    assert_eq!(sent.body["systemInstruction"], json!({"parts": [{"text": "Be kind."}]}));
    let contents = sent.body["contents"].as_array().unwrap();
    let roles: Vec<&str> = contents.iter().map(|content| content["role"].as_str().unwrap()).collect();
    // results are a turn of their own: it has to have as many parts as there were calls
    assert_eq!(roles, ["user", "model", "user", "user"], "{contents:?}");
    assert_eq!(contents[1]["parts"][0], json!({"text": "Yes"}));
    assert_eq!(contents[1]["parts"][1]["functionCall"]["args"], json!({"x": 1}));
    // each under its function's name
    let parts = contents[2]["parts"].as_array().unwrap();
    assert_eq!(parts[0]["functionResponse"]["name"], "f");
    assert_eq!(parts[0]["functionResponse"]["response"], json!({"y": 2}));
    assert_eq!(parts[1]["functionResponse"]["name"], "g");
    assert!(parts[1]["functionResponse"]["response"].is_object());
    assert_eq!(parts.len(), 2);
    let parts = contents[3]["parts"].as_array().unwrap();
    assert_eq!(parts[0], json!({"text": "and this"}));
    assert_eq!(parts[1]["inlineData"], json!({"mimeType": "image/png", "data": "aGk="}));
    let config = &sent.body["generationConfig"];
    assert_eq!(
        *config,
        json!({"temperature": 0, "topP": 0.5, "maxOutputTokens": 5, "stopSequences": ["a", "b"], "seed": 0,
               "candidateCount": 2, "presencePenalty": 0.5})
    );
}

#[test]
fn more_stops_than_five_are_cut_and_told() {
    let request = with(json!([user("x")]), json!({"stop": ["1", "2", "3", "4", "5", "6"]}));
    let sent = pair("openai", "gemini").chat(request.clone());
    assert_eq!(sent.body["generationConfig"]["stopSequences"].as_array().unwrap().len(), 5);
    assert_eq!(sent.notes[0].what, "stop");
    assert_eq!(pair("openai", "gemini").strict().refused(request).param.as_deref(), Some("stop"));
}

#[test]
fn tools_and_how_they_are_chosen() {
    let tool = json!({"type": "function", "function": {"name": "f", "description": "d", "parameters":
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": false}}});
    for (choice, expected) in [
        (json!("auto"), json!({"mode": "AUTO"})),
        (json!("none"), json!({"mode": "NONE"})),
        (json!("required"), json!({"mode": "ANY"})),
        (json!({"type": "function", "function": {"name": "f"}}), json!({"mode": "ANY", "allowedFunctionNames": ["f"]})),
    ] {
        let request = with(json!([user("x")]), json!({"tools": [tool], "tool_choice": choice}));
        let sent = pair("openai", "gemini").chat(request);
        assert_eq!(sent.body["toolConfig"]["functionCallingConfig"], expected);
        let declared = &sent.body["tools"][0]["functionDeclarations"][0];
        assert_eq!((&declared["name"], &declared["description"]), (&json!("f"), &json!("d")));
    }
}

#[test]
fn schemas_are_rewritten_to_the_part_that_is_known() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "$defs": {"city": {"type": "string", "const": "Bern"}},
        "properties": {"a": {"type": ["integer", "null"], "exclusiveMinimum": 1}, "c": {"$ref": "#/$defs/city"},
                       "u": {"oneOf": [{"type": "string"}, {"type": "number"}]}},
        "required": ["a", "c"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}});
    let request = with(json!([user("x")]), json!({"response_format": format}));
    let whole = pair("openai", "gemini").with(json!({"json_schema": true})).chat(request.clone());
    assert_eq!(whole.body["generationConfig"]["responseMimeType"], "application/json");
    assert_eq!(whole.body["generationConfig"]["responseJsonSchema"], schema);
    let part = pair("openai", "gemini").with(json!({"json_schema": false})).chat(request);
    let written = &part.body["generationConfig"]["responseSchema"];
    let text = written.to_string();
    for unknown in ["$ref", "$defs", "additionalProperties", "oneOf", "const", "exclusiveMinimum", "[\"integer\""] {
        assert!(!text.contains(unknown), "{unknown}: {text}");
    }
    assert_eq!(written["properties"]["a"]["nullable"], true, "{text}");
    assert_eq!(written["properties"]["c"]["enum"], json!(["Bern"]), "{text}");
    assert_eq!(written["properties"]["u"]["anyOf"].as_array().unwrap().len(), 2, "{text}");
    assert_eq!(written["required"], json!(["a", "c"]));
}

#[test]
fn a_schema_that_holds_itself_does_not_grow_for_ever() {
    let schema =
        json!({"$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let request = with(json!([user("x")]), json!({"response_format": format}));
    match pair("openai", "gemini").with(json!({"json_schema": false})).send(Operation::Chat, &request) {
        Ok(sent) => assert!(sent.body.to_string().len() < 100_000),
        Err(error) => assert_eq!(error.status, 400),
    }
}

#[test]
fn effort_becomes_a_budget_or_a_level() {
    let request = with(json!([user("x")]), json!({"reasoning_effort": "high"}));
    let budget = pair("openai", "gemini").chat(request.clone());
    assert_eq!(budget.body["generationConfig"]["thinkingConfig"]["thinkingBudget"], 4096);
    let level = pair("openai", "gemini").with(json!({"thinking": "effort"})).chat(request.clone());
    let level = level.body["generationConfig"]["thinkingConfig"]["thinkingLevel"].to_string();
    assert_eq!(level.to_lowercase(), "\"high\"");
    let none = pair("openai", "gemini").with(json!({"thinking": "none"})).chat(request);
    assert_eq!(none.notes[0].what, "reasoning_effort");
}

#[test]
fn answers_with_thoughts_calls_and_costs() {
    let answer = pair("openai", "gemini").answer(
        200,
        &[],
        json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
                {"text": "hm", "thought": true}, {"text": "Hello"},
                {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"}]}}],
            "usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5,
                "thoughtsTokenCount": 7, "totalTokenCount": 22},
            "modelVersion": "gemini-x", "responseId": "r1"})
        .to_string()
        .as_bytes(),
    );
    let read = answer_json(&answer);
    let choice = &read["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &json!("Hello")));
    assert_eq!(choice["message"]["reasoning_content"], "hm");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "f", "arguments": "{\"x\":1}"}));
    let usage = &read["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(10), &json!(12)));
    assert_eq!(usage["total_tokens"], 22);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 7);
    // the signature comes back with the call
    let back = with(
        json!([user("x"), {"role": "assistant", "tool_calls": [call]},
               {"role": "tool", "tool_call_id": call["id"], "content": "1"}]),
        json!({}),
    );
    let sent = pair("openai", "gemini").chat(back);
    assert_eq!(sent.body["contents"][1]["parts"][0]["thoughtSignature"], "c2ln", "{}", sent.body);
}

#[test]
fn reasons_to_end() {
    for (reason, expected) in [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SOMETHING_NEW", "stop"),
    ] {
        let body = json!({"candidates": [{"finishReason": reason, "content": {"parts": [{"text": "x"}]}}]});
        let answer = pair("openai", "gemini").answer(200, &[], body.to_string().as_bytes());
        assert_eq!(answer_json(&answer)["choices"][0]["finish_reason"], expected, "{reason}");
    }
    // truncation outranks calls
    let body = json!({"candidates": [{"finishReason": "MAX_TOKENS", "content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}}]});
    let answer = pair("openai", "gemini").answer(200, &[], body.to_string().as_bytes());
    assert_eq!(answer_json(&answer)["choices"][0]["finish_reason"], "length");
}

#[test]
fn a_blocked_prompt_is_an_answer_that_was_filtered() {
    let body = json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}});
    let answer = pair("openai", "gemini").answer(200, &[], body.to_string().as_bytes());
    let read = answer_json(&answer);
    assert_eq!(read["choices"][0]["finish_reason"], "content_filter", "{read}");
}

#[test]
fn errors_come_bare_and_in_a_list() {
    let error = json!({"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]}});
    for body in [error.clone(), json!([error])] {
        let answer = pair("openai", "gemini").answer(429, &[], body.to_string().as_bytes());
        assert_eq!(answer.status, 429);
        assert_eq!(answer.error.as_ref().unwrap().retry_after.as_deref(), Some("7"));
        let read = answer_json(&answer);
        assert_eq!(read["error"]["message"], "Slow down.");
        assert_eq!(read["error"]["type"], "rate_limit_error");
    }
}

#[test]
fn streams_of_whole_responses() {
    let chunk = |parts: Value, reason: Option<&str>| {
        json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": reason}],
               "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
               "responseId": "r1", "modelVersion": "g"})
    };
    let stream = events(&[
        chunk(json!([{"text": "hm", "thought": true}]), None),
        chunk(json!([{"text": "Grüße"}]), None),
        chunk(json!([{"functionCall": {"name": "f", "args": {"x": 1}}}]), None),
        chunk(json!([{"functionCall": {"name": "g", "args": {}}}]), Some("STOP")),
    ]);
    let (out, outcome) = pair("openai", "gemini").stream(&stream);
    assert_eq!(outcome, Outcome::Complete);
    let chunks = data(&out);
    assert_eq!(chunks.last().unwrap(), "[DONE]");
    let calls: Vec<&Value> =
        chunks.iter().flat_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array()).flatten().collect();
    let indexes: Vec<&Value> = calls.iter().map(|call| &call["index"]).collect();
    assert!(indexes.contains(&&json!(0)) && indexes.contains(&&json!(1)), "{calls:?}");
    let finishes: Vec<&str> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(finishes, ["tool_calls"]);
    let roles = chunks.iter().filter(|chunk| chunk["choices"][0]["delta"]["role"].is_string()).count();
    assert_eq!(roles, 1);
    // without a reason to end it has not ended
    let (out, outcome) = pair("openai", "gemini").stream(&events(&[chunk(json!([{"text": "x"}]), None)]));
    assert!(matches!(outcome, Outcome::Failed(_)) && !out.contains("[DONE]"), "{out}");
}

#[test]
fn vertex_has_paths_labels_and_embeddings_of_its_own() {
    let pair = pair("openai", "vertex");
    let sent = pair.chat(with(json!([user("x")]), json!({"metadata": {"team": "a"}, "stream": true})));
    assert_eq!(
        sent.outgoing.path,
        "/v1/projects/my-project/locations/my-location/publishers/google/models/the-model:streamGenerateContent?alt=sse"
    );
    assert_eq!(sent.body["labels"], json!({"team": "a"}));
    let sent = pair.send(Operation::Embeddings, &json!({"model": "m", "input": ["a", "b"], "dimensions": 8})).unwrap();
    assert!(sent.outgoing.path.ends_with("/publishers/google/models/the-model:predict"), "{}", sent.outgoing.path);
    assert_eq!(sent.body["instances"].as_array().unwrap().len(), 2);
}
