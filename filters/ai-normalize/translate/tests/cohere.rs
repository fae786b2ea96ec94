//! Cohere v2 as a provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use ai_translate::Operation;
use ai_translate::stream::Outcome;
use serde_json::{Value, json};
use support::{data, json as answer_json, named_events, pair};

#[test]
fn parameters_under_their_names() {
    let sent = pair("openai", "cohere").chat(json!({
        "model": "m", "temperature": 2, "top_p": 0.0, "top_k": 0, "max_tokens": 9, "seed": 0, "stop": ["a"],
        "frequency_penalty": 0.5, "presence_penalty": -1, "logprobs": true, "user": "u",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": "x"}]}));
    assert_eq!(sent.outgoing.path, "/v2/chat");
    let body = &sent.body;
    assert_eq!((&body["p"], &body["k"], &body["seed"]), (&json!(0.0), &json!(0), &json!(0)));
    assert_eq!((&body["temperature"], &body["max_tokens"]), (&json!(1), &json!(9)));
    assert_eq!(body["stop_sequences"], json!(["a"]));
    assert_eq!(body["response_format"], json!({"type": "json_object", "json_schema": {"type": "object"}}));
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "s"}));
    let lost: Vec<&str> = sent.notes.iter().map(|note| note.what.as_ref()).collect();
    assert!(lost.contains(&"user") && lost.contains(&"temperature") && lost.contains(&"presence_penalty"), "{lost:?}");
}

#[test]
fn calls_and_results() {
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let sent =
        pair("openai", "cohere").chat(json!({"model": "m", "tools": [tool], "tool_choice": "required", "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"}]}));
    assert_eq!(sent.body["tool_choice"], "REQUIRED");
    let messages = sent.body["messages"].as_array().unwrap();
    assert_eq!(messages[1]["tool_calls"][0]["function"], json!({"name": "f", "arguments": "{}"}));
    assert_eq!((&messages[2]["role"], &messages[2]["tool_call_id"]), (&json!("tool"), &json!("a")));
}

#[test]
fn answers() {
    for (reason, expected) in [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("NEW", "stop"),
    ] {
        let calls = if reason == "TOOL_CALL" {
            json!([{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}])
        } else {
            json!(null)
        };
        let body = json!({"id": "i", "finish_reason": reason,
            "message": {"role": "assistant", "content": [{"type": "text", "text": "Hello"}], "tool_calls": calls},
            "usage": {"billed_units": {"input_tokens": 1, "output_tokens": 1}, "tokens": {"input_tokens": 5, "output_tokens": 7}}});
        let read = answer_json(&pair("openai", "cohere").answer(200, &[], body.to_string().as_bytes()));
        assert_eq!(read["choices"][0]["finish_reason"], expected, "{reason}");
        assert_eq!(read["choices"][0]["message"]["content"], "Hello");
        assert_eq!(read["usage"]["total_tokens"], 12);
    }
    let answer = pair("anthropic", "cohere").answer(429, &[("retry-after", "3")], br#"{"message":"Slow."}"#);
    assert_eq!(answer_json(&answer)["error"], json!({"type": "rate_limit_error", "message": "Slow."}));
}

#[test]
fn streams() {
    let delta =
        |text: &str| json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}});
    let call = |value: Value| json!({"tool_calls": value});
    let stream = named_events(&[
        json!({"type": "message-start", "id": "i", "delta": {"message": {"role": "assistant"}}}),
        json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
        delta("Grü"),
        delta("ße"),
        json!({"type": "content-end", "index": 0}),
        json!({"type": "tool-call-start", "index": 0, "delta": {"message": call(json!({"id": "t", "type": "function",
               "function": {"name": "f", "arguments": ""}}))}}),
        json!({"type": "tool-call-delta", "index": 0, "delta": {"message": call(json!({"function": {"arguments": "{\"x\":1}"}}))}}),
        json!({"type": "tool-call-end", "index": 0}),
        json!({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {"tokens": {"input_tokens": 1, "output_tokens": 2}}}}),
    ]);
    let (out, outcome) = pair("openai", "cohere").stream(&stream);
    assert_eq!(outcome, Outcome::Complete);
    let chunks = data(&out);
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "Grüße");
    let arguments: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str())
        .collect();
    assert_eq!(arguments, "{\"x\":1}");
    let (out, outcome) = pair("openai", "cohere").stream(&named_events(&[delta("x")]));
    assert!(matches!(outcome, Outcome::Failed(_)) && !out.contains("[DONE]"), "{out}");
}

#[test]
fn vectors() {
    let request = json!({"model": "m", "input": ["a", "b"], "dimensions": 256});
    let sent = pair("openai", "cohere").send(Operation::Embeddings, &request).unwrap();
    assert_eq!(sent.outgoing.path, "/v2/embed");
    assert_eq!((&sent.body["texts"], &sent.body["output_dimension"]), (&json!(["a", "b"]), &json!(256)));
    assert_eq!(sent.body["embedding_types"], json!(["float"]));
    let body = json!({"id": "i", "embeddings": {"float": [[0.5, 1.0], [2, 3]]}, "meta": {"billed_units": {"input_tokens": 4}}});
    let read = answer_json(&support::answer(&sent.answering, 200, &[], body.to_string().as_bytes()));
    assert_eq!(read["data"][1]["embedding"], json!([2, 3]));
    assert_eq!(read["usage"]["prompt_tokens"], 4);
}
