//! Bedrock Converse as a provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use ai_framing::encode_frame;
use ai_translate::Operation;
use ai_translate::stream::Outcome;
use serde_json::{Value, json};
use support::{data, json as answer_json, pair};

fn frame(event: &str, payload: &Value) -> Vec<u8> {
    let headers = [(":event-type", event), (":message-type", "event"), (":content-type", "application/json")];
    encode_frame(&headers, payload.to_string().as_bytes())
}

fn exception(name: &str, message: &str) -> Vec<u8> {
    let headers = [(":exception-type", name), (":message-type", "exception")];
    encode_frame(&headers, json!({"message": message}).to_string().as_bytes())
}

#[test]
fn conversations_become_messages_that_alternate() {
    let sent = pair("openai", "bedrock").chat(json!({
        "model": "m", "temperature": 1.5, "top_p": 0.5, "max_tokens": 5, "stop": "END", "seed": 1, "top_k": 3,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "one"}, {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,aGk="}}]},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "f", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "a", "content": "1"}, {"role": "tool", "tool_call_id": "b", "content": "2"},
            {"role": "user", "content": "and?"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "required"}));
    assert_eq!(sent.outgoing.path, "/model/the-model/converse");
    assert_eq!(sent.body["system"], json!([{"text": "Be kind."}]));
    let messages = sent.body["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(messages[0]["content"][0], json!({"text": "one"}));
    assert_eq!(messages[0]["content"][1]["image"], json!({"format": "jpeg", "source": {"bytes": "aGk="}}));
    let calls = messages[1]["content"].as_array().unwrap();
    // an empty text is refused
    assert_eq!(calls[0]["toolUse"], json!({"toolUseId": "a", "name": "f", "input": {"x": 1}}));
    assert_eq!(calls[1]["toolUse"]["input"], json!({}));
    let results = messages[2]["content"].as_array().unwrap();
    assert_eq!(results[0]["toolResult"]["toolUseId"], "a");
    assert_eq!(results[1]["toolResult"]["toolUseId"], "b");
    assert_eq!(results[2], json!({"text": "and?"}));
    assert_eq!(
        sent.body["inferenceConfig"],
        json!({"maxTokens": 5, "temperature": 1, "topP": 0.5, "stopSequences": ["END"]})
    );
    assert_eq!(sent.body["additionalModelRequestFields"]["top_k"], 3);
    assert_eq!(sent.body["toolConfig"]["toolChoice"], json!({"any": {}}));
    assert_eq!(sent.body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]["type"], "object");
    let lost: Vec<&str> = sent.notes.iter().map(|note| note.what.as_ref()).collect();
    assert!(lost.contains(&"seed") && lost.contains(&"temperature"), "{lost:?}");
}

#[test]
fn a_model_is_one_segment_of_the_path() {
    let mut pair = pair("openai", "bedrock");
    pair.settings.capabilities.sampling = false;
    let request =
        json!({"model": "m", "stream": true, "temperature": 0, "messages": [{"role": "user", "content": "x"}]});
    let sent = pair.chat(request);
    assert_eq!(sent.outgoing.path, "/model/the-model/converse-stream");
    assert_eq!(sent.body.get("stream"), None);
    assert_eq!(sent.body["inferenceConfig"].get("temperature"), None);
    assert_eq!(sent.notes[0].what, "temperature");
}

#[test]
fn pictures_at_an_address_are_refused() {
    let content = json!([{"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}]);
    let error =
        pair("openai", "bedrock").refused(json!({"model": "m", "messages": [{"role": "user", "content": content}]}));
    assert_eq!(error.status, 400);
}

#[test]
fn answers_and_what_they_cost() {
    let body = json!({"output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
            {"text": "Hello"}, {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"x": 1}}}]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 18, "cacheReadInputTokens": 2, "cacheWriteInputTokens": 1}});
    let read = answer_json(&pair("openai", "bedrock").answer(200, &[], body.to_string().as_bytes()));
    let choice = &read["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &json!("Hello")));
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], "{\"x\":1}");
    assert_eq!(choice["message"]["thinking_blocks"][0]["signature"], "c2ln", "{choice}");
    assert_eq!(read["usage"]["prompt_tokens"], 13);
    assert_eq!(read["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
    assert_eq!(read["usage"]["total_tokens"], 18);
    for (reason, expected) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("something_new", "stop"),
    ] {
        let body =
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "x"}]}}, "stopReason": reason});
        let read = answer_json(&pair("openai", "bedrock").answer(200, &[], body.to_string().as_bytes()));
        assert_eq!(read["choices"][0]["finish_reason"], expected, "{reason}");
    }
}

#[test]
fn errors_are_typed_by_a_header_or_their_body() {
    for (headers, body, expected) in [
        (vec![("x-amzn-errortype", "ThrottlingException:http://x")], json!({"message": "Slow"}), "rate_limit_error"),
        (vec![], json!({"__type": "com.amazon#ThrottlingException", "message": "Slow"}), "rate_limit_error"),
    ] {
        let answer = pair("openai", "bedrock").answer(429, &headers, body.to_string().as_bytes());
        let read = answer_json(&answer);
        assert_eq!((&read["error"]["type"], &read["error"]["message"]), (&json!(expected), &json!("Slow")));
    }
}

fn whole_stream() -> Vec<u8> {
    [
        frame("messageStart", &json!({"role": "assistant"})),
        frame("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": "Grüße"}})),
        frame("contentBlockStop", &json!({"contentBlockIndex": 0})),
        frame(
            "contentBlockStart",
            &json!({"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t1", "name": "f"}}}),
        ),
        frame("contentBlockDelta", &json!({"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{\"x\":"}}})),
        frame("contentBlockDelta", &json!({"contentBlockIndex": 1, "delta": {"toolUse": {"input": "1}"}}})),
        frame("contentBlockStop", &json!({"contentBlockIndex": 1})),
        frame("messageStop", &json!({"stopReason": "tool_use"})),
        frame("metadata", &json!({"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {}})),
    ]
    .concat()
}

#[test]
fn frames_become_chunks() {
    let (out, outcome) = pair("openai", "bedrock").stream(&whole_stream());
    assert_eq!(outcome, Outcome::Complete);
    let chunks = data(&out);
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "Grüße");
    let arguments: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str())
        .collect();
    assert_eq!(arguments, "{\"x\":1}");
    let finishes: Vec<&str> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(finishes, ["tool_calls"]);
    assert_eq!(chunks.iter().filter(|chunk| *chunk == "[DONE]").count(), 1);
}

#[test]
fn broken_frames_and_exceptions_are_errors() {
    let begun = [
        frame("messageStart", &json!({"role": "assistant"})),
        frame("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": "a"}})),
    ]
    .concat();
    let (out, outcome) =
        pair("openai", "bedrock").stream(&[begun.clone(), exception("throttlingException", "Slow")].concat());
    assert!(matches!(&outcome, Outcome::Failed(error) if error.message == "Slow"), "{outcome:?}");
    assert!(out.contains("\"error\":{\"message\":\"Slow\"") && !out.contains("[DONE]"), "{out}");
    let mut damaged = whole_stream();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let (out, outcome) = pair("openai", "bedrock").stream(&damaged);
    assert!(matches!(outcome, Outcome::Failed(_)) && !out.contains("[DONE]"), "{out}");
    let (out, outcome) = pair("anthropic", "bedrock").stream(&begun);
    assert!(matches!(outcome, Outcome::Failed(_)) && !out.contains("message_stop"), "{out}");
}

#[test]
fn vectors_go_by_invoke_as_each_family_wants_them() {
    let request = json!({"model": "m", "input": "a", "dimensions": 256});
    let sent = pair("openai", "bedrock").send(Operation::Embeddings, &request).unwrap();
    assert_eq!(sent.outgoing.path, "/model/the-model/invoke");
    assert!(sent.body.to_string().contains("\"a\""), "{}", sent.body);
}
