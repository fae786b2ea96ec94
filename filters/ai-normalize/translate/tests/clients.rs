//! Anthropic's Messages and OpenAI's Responses as clients of providers that speak neither.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use ai_translate::Operation;
use ai_translate::stream::Outcome;
use serde_json::{Value, json};
use support::{answer, data, events, json as answer_json, pair};

fn messages(more: Value) -> Value {
    let mut request = json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

fn responses(more: Value) -> Value {
    let mut request = json!({"model": "m", "input": "x"});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

#[test]
fn messages_to_openai() {
    let sent = pair("anthropic", "openai").chat(messages(json!({
        "system": "Be kind.", "temperature": 0, "top_p": 0.0, "stop_sequences": ["END"], "metadata": {"user_id": "u"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look"},
                {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Yes"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "text", "text": "and?"}]}],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true}})));
    let body = &sent.body;
    assert_eq!((&body["temperature"], &body["top_p"]), (&json!(0), &json!(0.0)));
    assert_eq!((&body["stop"], &body["user"]), (&json!(["END"]), &json!("u")));
    assert_eq!(body["parallel_tool_calls"], false);
    assert_eq!(body["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    let roles: Vec<&str> =
        body["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    assert_eq!(body["messages"][1]["content"][1]["image_url"]["url"], "https://a.test/b.png");
    assert_eq!(body["messages"][2]["tool_calls"][0]["function"]["arguments"], "{\"x\":1}");
    assert_eq!((&body["messages"][3]["tool_call_id"], &body["messages"][3]["content"]), (&json!("a"), &json!("1")));
}

#[test]
fn thinking_is_told_to_each_in_its_way() {
    let thinking = messages(json!({"thinking": {"type": "enabled", "budget_tokens": 4096}, "max_tokens": 9000}));
    assert_eq!(pair("anthropic", "openai").chat(thinking.clone()).body["reasoning_effort"], "high");
    let gemini = pair("anthropic", "gemini").chat(thinking);
    assert_eq!(gemini.body["generationConfig"]["thinkingConfig"]["thinkingBudget"], 4096);
    let off = messages(json!({"thinking": {"type": "disabled"}}));
    assert_eq!(pair("anthropic", "gemini").chat(off).body["generationConfig"]["thinkingConfig"]["thinkingBudget"], 0);
}

#[test]
fn a_stream_of_messages_has_its_events_in_order() {
    let chunk = |delta: Value, finish: Option<&str>| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "g",
               "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let call = |arguments: &str, id: Option<&str>| json!({"tool_calls": [{"index": 0, "id": id, "type": "function", "function": {"name": id.map(|_| "f"), "arguments": arguments}}]});
    let mut stream = events(&[
        chunk(json!({"role": "assistant", "content": ""}), None),
        chunk(json!({"reasoning_content": "hm"}), None),
        chunk(json!({"content": "Grüße"}), None),
        chunk(call("", Some("t1")), None),
        chunk(call("{\"x\":1}", None), None),
        chunk(json!({}), Some("tool_calls")),
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "g", "choices": [],
               "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11, "prompt_tokens_details": {"cached_tokens": 2}}}),
    ]);
    stream.extend_from_slice(b"data: [DONE]\n\n");
    let (out, outcome) = pair("anthropic", "openai").stream(&stream);
    assert_eq!(outcome, Outcome::Complete);
    let events = data(&out);
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    let expected: Vec<&str> = ["message_start"]
        .into_iter()
        .chain(block)
        .chain(block)
        .chain(block)
        .chain(["message_delta", "message_stop"])
        .collect();
    assert_eq!(types, expected, "{out}");
    let indexes: Vec<u64> = events.iter().filter_map(|event| event["index"].as_u64()).collect();
    assert_eq!(indexes, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    let delta = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(delta["delta"]["stop_reason"], "tool_use");
    assert_eq!(delta["usage"]["output_tokens"], 6);
    // what came from a cache is not part of the input here
    assert_eq!((&delta["usage"]["input_tokens"], &delta["usage"]["cache_read_input_tokens"]), (&json!(3), &json!(2)));
}

#[test]
fn responses_to_others() {
    let request = responses(json!({
        "instructions": "Be kind.", "temperature": 0.0, "max_output_tokens": 50, "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": false}],
        "tool_choice": {"type": "function", "name": "f"},
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Look"},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk="}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Done"}]},
            {"role": "user", "content": "more"}]}));
    let sent = pair("responses", "gemini").chat(request.clone());
    assert_eq!(sent.body["systemInstruction"]["parts"][0]["text"], "Be kind.");
    assert_eq!(sent.body["generationConfig"]["temperature"], json!(0.0));
    assert_eq!(sent.body["generationConfig"]["maxOutputTokens"], 50);
    assert_eq!(sent.body["generationConfig"]["responseMimeType"], "application/json");
    let sent = pair("responses", "mistral").chat(request);
    assert_eq!(sent.body["max_tokens"], 50);
    let id = sent.body["messages"][2]["tool_calls"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 9, "{id}");
    assert_eq!(sent.body["messages"][3]["tool_call_id"], id.as_str());
}

#[test]
fn what_needs_a_memory_of_the_server_is_refused() {
    for (member, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
        ("prompt", json!({"id": "pmpt_1"})),
    ] {
        let error = pair("responses", "mistral").refused(responses(json!({member: value})));
        assert_eq!((error.status, error.param.as_deref()), (400, Some(member)), "{}", error.message);
    }
    let hosted = responses(json!({"tools": [{"type": "web_search"}]}));
    assert_eq!(pair("responses", "anthropic").refused(hosted).status, 400);
    let stored = responses(json!({"input": [{"type": "item_reference", "id": "msg_1"}]}));
    assert_eq!(pair("responses", "gemini").refused(stored).status, 400);
}

#[test]
fn who_has_responses_gets_them_as_they_are() {
    let pair = pair("responses", "openai");
    let request =
        responses(json!({"previous_response_id": "resp_1", "new": [null], "tools": [{"type": "web_search"}]}));
    let sent = pair.chat(request.clone());
    assert_eq!(sent.outgoing.path, "/v1/responses");
    let expected = request.to_string().replace("\"m\"", "\"the-model\"");
    assert_eq!(String::from_utf8(sent.outgoing.body).unwrap(), expected);
    let body = br#"{"id":"resp_2","object":"response","model":"gpt","output":[],"usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7,"input_tokens_details":{"cached_tokens":1}}}"#;
    let told = answer(&sent.answering, 200, &[], body);
    assert_eq!(told.body, None);
    let usage = told.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.cached), (3, 4, 1));
    // a model that takes no temperature
    let sent = pair.with(json!({"sampling": false})).chat(responses(json!({"temperature": 0, "top_p": null})));
    assert_eq!(String::from_utf8(sent.outgoing.body).unwrap(), r#"{"input":"x","model":"the-model","top_p":null}"#);
    assert_eq!(sent.notes[0].what, "temperature");
}

#[test]
fn streams_of_responses_go_on_as_they_are() {
    let event = |kind: &str, more: Value| {
        let mut event = json!({"type": kind, "sequence_number": 0});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let begun = event("response.created", json!({"response": {"id": "r", "model": "g"}}));
    let delta = event("response.output_text.delta", json!({"sequence_number": 1, "delta": "Grüße"}));
    let usage = json!({"input_tokens": 3, "output_tokens": 4});
    let completed = event("response.completed", json!({"sequence_number": 2, "response": {"usage": usage}}));
    let whole = support::named_events(&[begun.clone(), delta.clone(), completed]);
    let (out, outcome) = pair("responses", "openai").stream(&whole);
    assert_eq!((out.as_bytes(), outcome), (&whole[..], Outcome::Complete));
    // the provider's own failure goes on, and is none of ours
    let failed = event("response.failed", json!({"response": {"error": {"code": "server_error", "message": "oops"}}}));
    let stream = support::named_events(&[begun.clone(), failed]);
    let (out, outcome) = pair("responses", "openai").stream(&stream);
    assert_eq!(out.as_bytes(), stream);
    assert!(matches!(outcome, Outcome::Failed(error) if error.message == "oops"));
    // an end in the middle is told with the next number
    let (out, outcome) = pair("responses", "azure").stream(&support::named_events(&[begun, delta]));
    assert!(matches!(outcome, Outcome::Failed(_)));
    let last = data(&out).pop().unwrap();
    assert_eq!((&last["type"], &last["sequence_number"]), (&json!("error"), &json!(2)), "{out}");
}

#[test]
fn an_answer_as_a_response() {
    let sent = pair("responses", "bedrock").chat(responses(json!({"temperature": 0.5, "metadata": {"a": "b"}})));
    let body = json!({"output": {"message": {"role": "assistant", "content": [{"text": "Hello"},
        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]}}, "stopReason": "max_tokens",
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}});
    let read = answer_json(&answer(&sent.answering, 200, &[], body.to_string().as_bytes()));
    assert_eq!((&read["object"], &read["status"]), (&json!("response"), &json!("incomplete")));
    assert_eq!(read["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(read["output"][0]["content"][0]["text"], "Hello");
    assert_eq!((&read["output"][1]["type"], &read["output"][1]["call_id"]), (&json!("function_call"), &json!("t1")));
    assert_eq!((&read["usage"]["input_tokens"], &read["usage"]["total_tokens"]), (&json!(1), &json!(3)));
    assert_eq!((&read["temperature"], &read["metadata"]), (&json!(0.5), &json!({"a": "b"})));
}

#[test]
fn a_stream_as_events_of_a_response() {
    let stream = support::named_events(&[
        json!({"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 4, "output_tokens": 0}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grü"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ße"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ]);
    let (out, outcome) = pair("responses", "anthropic").stream(&stream);
    assert_eq!(outcome, Outcome::Complete);
    let events = data(&out);
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    let text: String = events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(text, "Grüße");
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "Grüße");
    assert_eq!(last["response"]["usage"]["total_tokens"], 6);
}

#[test]
fn errors_in_each_clients_shape() {
    for client in ["openai", "anthropic", "responses"] {
        for (status, body) in [
            (401, &br#"{"error":{"message":"No key.","type":"authentication_error"}}"#[..]),
            (503, b""),
            (500, b"<html><body>oops</body></html>"),
            (400, b"\xff\xfe\x00"),
            (404, b"no such thing"),
        ] {
            let told = pair(client, "openai").answer(status, &[], body);
            assert_eq!(told.status, status);
            let read = answer_json(&told);
            let message = read["error"]["message"].as_str().unwrap();
            assert!(!message.is_empty() && !message.contains('<'), "{client} {status}: {read}");
            assert_eq!(read["type"] == "error", client == "anthropic", "{read}");
        }
    }
}

#[test]
fn other_operations_of_clients() {
    let request = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    let sent = pair("anthropic", "gemini").send(Operation::CountTokens, &request).unwrap();
    assert!(sent.outgoing.path.ends_with(":countTokens"), "{}", sent.outgoing.path);
    let counted = answer(&sent.answering, 200, &[], br#"{"totalTokens":12}"#);
    assert_eq!(answer_json(&counted), json!({"input_tokens": 12}));
    let error = pair("anthropic", "cohere").send(Operation::CountTokens, &request).err().unwrap();
    assert_eq!(error.status, 404);
}
