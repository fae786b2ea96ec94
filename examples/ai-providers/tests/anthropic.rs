//! Anthropic as clients see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod client;

use client::{PNG, Response, city, post, send, with};
use mock_providers::{Kind, Server};
use serde_json::{Value, json};

const MESSAGES: &str = "/v1/messages";

fn server() -> Server {
    Server::of(&[Kind::Anthropic]).unwrap()
}

fn hello() -> Value {
    json!({"model": "claude-mock", "max_tokens": 100, "messages": [{"role": "user", "content": "Grüezi mitenand"}]})
}

fn ask(server: &Server, body: &Value) -> Response {
    post(server, Kind::Anthropic, MESSAGES, &[], body)
}

fn tools(text: &str) -> Value {
    let tool = |name: &str| json!({"name": name, "input_schema": city()});
    let messages = json!([{"role": "user", "content": text}]);
    json!({"model": "m", "max_tokens": 2000, "messages": messages, "tools": [tool("weather"), tool("time")]})
}

fn kinds(response: &Response) -> Vec<String> {
    response.text().lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
}

#[test]
fn a_message_is_answered() {
    let response = ask(&server(), &hello());
    let body = response.json();
    assert_eq!(body["content"], json!([{"type": "text", "text": "You said: Grüezi mitenand"}]));
    assert_eq!((&body["stop_reason"], &body["usage"]["input_tokens"]), (&json!("end_turn"), &json!(9)));
    assert_eq!((body["usage"]["output_tokens"].as_u64(), response.header("request-id")), (Some(4), Some("req_mock1")));
    let asked = hello();
    let count = json!({"model": asked["model"], "messages": asked["messages"]});
    assert_eq!(
        post(&server(), Kind::Anthropic, "/v1/messages/count_tokens", &[], &count).json(),
        json!({"input_tokens": 9})
    );
}

#[test]
fn a_stream_is_blocks_between_start_and_stop() {
    let response = ask(&server(), &with(&hello(), json!({"stream": true})));
    assert_eq!(
        kinds(&response),
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let events = response.events();
    let said: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(said, "You said: Grüezi mitenand");
    assert_eq!(events[0]["message"]["usage"]["output_tokens"], 1);
    assert_eq!(events[8]["usage"]["output_tokens"], 4);
}

#[test]
fn tools_are_called_with_thinking_before_and_both_must_come_back() {
    let server = server();
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
    let first = with(&tools("use tools in parallel"), thinking.clone());
    let content = ask(&server, &first).json()["content"].clone();
    let kinds: Vec<_> = content.as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["thinking", "tool_use", "tool_use"]);
    let results = json!([
        {"type": "tool_result", "tool_use_id": "toolu_mock1", "content": "15 °C"},
        {"type": "tool_result", "tool_use_id": "toolu_mock2", "content": [{"type": "text", "text": "noon"}], "is_error": true}
    ]);
    let turns = |content: &Value, results: &Value| {
        let said = first["messages"][0].clone();
        with(
            &first,
            json!({"messages": [said, {"role": "assistant", "content": content}, {"role": "user", "content": results}]}),
        )
    };
    let second = ask(&server, &turns(&content, &results)).json();
    assert_eq!(second["content"][1]["text"], "Results: 15 °C; (error) noon");
    let mut forged = content.clone();
    forged[0]["signature"] = json!("none");
    let without = json!([content[1], content[2]]);
    for (content, results, why) in [
        (&forged, &results, "Invalid `signature`"),
        (&without, &results, "Expected `thinking`"),
        (&content, &json!([results[0]]), "toolu_mock2"),
        (&content, &json!("15"), "toolu_mock1, toolu_mock2"),
        (&content, &json!([{"type": "text", "text": "so"}, results[0], results[1]]), "must come before"),
        (&content, &json!([results[0], results[1], results[1]]), "single result"),
    ] {
        let refused = ask(&server, &turns(content, results));
        assert_eq!(refused.status, 400);
        assert!(refused.text().contains(why), "{why}: {}", refused.text());
    }
}

#[test]
fn a_stream_of_thinking_and_calls_has_signature_and_json_in_pieces() {
    let body = with(&tools("use tools mock[redacted]"), json!({"stream": true}));
    let events = ask(&server(), &body).events();
    let of = |kind: &str, member: &str| -> String {
        let deltas = events.iter().map(|event| &event["delta"]).filter(|delta| delta["type"] == kind);
        deltas.map(|delta| delta[member].as_str().unwrap()).collect()
    };
    assert_eq!(of("thinking_delta", "thinking"), "Let me think: über alles.");
    assert_eq!(of("signature_delta", "signature"), "bW9jay1zaWduYXR1cmU=");
    assert_eq!(of("input_json_delta", "partial_json"), "{\"city\":\"Zürich\"}");
    let blocks: Vec<_> = events.iter().filter_map(|event| event["content_block"]["type"].as_str()).collect();
    assert_eq!(blocks, ["thinking", "redacted_thinking", "tool_use"]);
    assert_eq!(events.iter().find_map(|event| event["delta"]["stop_reason"].as_str()), Some("tool_use"));
}

#[test]
fn pictures_documents_and_schemas_are_seen() {
    let server = server();
    let source = json!({"type": "base64", "media_type": "image/png", "data": PNG});
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="});
    let content = json!([{"type": "image", "source": source}, {"type": "document", "source": pdf}, {"type": "text", "text": "x"}]);
    let body = with(&hello(), json!({"messages": [{"role": "user", "content": content}]}));
    assert_eq!(
        ask(&server, &body).json()["content"][0]["text"],
        "I see 1 image: image/png, 70 bytes. I read 1 file: application/pdf, 4 bytes"
    );
    let body = with(&hello(), json!({"output_config": {"format": {"type": "json_schema", "schema": city()}}}));
    assert_eq!(ask(&server, &body).json()["content"][0]["text"], "{\"city\":\"Zürich\"}");
    let system =
        json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]);
    let body = with(&hello(), json!({"system": system, "messages": [{"role": "user", "content": "mock[system]"}]}));
    assert_eq!(ask(&server, &body).json()["content"][0]["text"], "system: a | b");
}

#[test]
fn what_anthropic_refuses_is_refused() {
    let server = server();
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let thinks =
        |more: Value| with(&json!({"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}), more);
    let tool = json!({"name": "a", "input_schema": {"type": "object"}});
    for (changes, why) in [
        (json!({"max_tokens": null}), "max_tokens: Field required"),
        (json!({"model": null}), "model: Field required"),
        (json!({"foo": 1}), "foo: Extra inputs are not permitted"),
        (json!({"temperature": 1.5}), "temperature: must be from 0 to 1"),
        (json!({"metadata": {"x": "1"}}), "metadata.x: Extra inputs"),
        (json!({"messages": []}), "messages: must have"),
        (json!({"messages": [{"role": "assistant", "content": "x"}]}), "first message must use"),
        (json!({"messages": [{"role": "bot", "content": "x"}]}), "messages.0.role: Input should be one of"),
        (
            json!({"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]}),
            "messages.1.role: Input should be 'user' or 'assistant'",
        ),
        (user(json!("")), "non-empty content"),
        (user(json!([{"type": "text", "text": ""}])), "must be non-empty"),
        (user(json!([{"type": "text", "text": " "}])), "non-whitespace"),
        (user(json!([{"type": "image_url", "image_url": {}}])), "unknown type"),
        (
            user(json!([{"type": "image", "source": {"type": "base64", "media_type": "image/jpg", "data": "AA=="}}])),
            "media_type",
        ),
        (
            user(json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "!"}}])),
            "base64",
        ),
        (user(json!([{"type": "tool_result", "tool_use_id": "x"}])), "unexpected `tool_use_id`"),
        (json!({"stop_sequences": [" "]}), "non-whitespace"),
        (json!({"tool_choice": {"type": "auto"}}), "while providing tools"),
        (json!({"tools": [tool], "tool_choice": {"type": "tool", "name": "b"}}), "not found"),
        (json!({"tools": [tool, tool]}), "unique"),
        (json!({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}), "pattern"),
        (json!({"tools": [{"name": "a", "input_schema": {}}]}), "input_schema.type"),
        (
            json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y "}]}),
            "trailing whitespace",
        ),
        (json!({"model": "claude-sonnet-4-5", "temperature": 0.5, "top_p": 0.5}), "cannot both"),
        (thinks(json!({"thinking": {"type": "enabled", "budget_tokens": 1000}})), "budget_tokens"),
        (thinks(json!({"max_tokens": 1024})), "greater than"),
        (thinks(json!({"temperature": 0})), "only be set to 1"),
        (thinks(json!({"top_k": 5})), "top_k"),
        (thinks(json!({"tools": [tool], "tool_choice": {"type": "any"}})), "forces tool use"),
    ] {
        let mut body = hello();
        for (name, value) in changes.as_object().unwrap() {
            body = with(&body, json!({name.as_str(): value}));
        }
        let response = ask(&server, &body);
        let error = response.json();
        assert_eq!((response.status, &error["error"]["type"]), (400, &json!("invalid_request_error")), "{changes}");
        assert!(error["error"]["message"].as_str().unwrap().contains(why), "{why}: {error}");
    }
    let missing = ask(&server, &with(&hello(), json!({"model": "missing"})));
    assert_eq!((missing.status, &missing.json()["error"]["type"]), (404, &json!("not_found_error")));
}

#[test]
fn turns_of_one_role_are_taken_as_one() {
    let messages = json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]);
    assert_eq!(
        ask(&server(), &with(&hello(), json!({"messages": messages}))).json()["content"][0]["text"],
        "You said: b"
    );
}

#[test]
fn a_key_and_a_version_are_needed_and_two_keys_are_none() {
    let server = server();
    let version = ("anthropic-version", "2023-06-01");
    for (headers, status) in [
        (&[version][..], 401),
        (&[version, ("x-api-key", "wrong")], 401),
        (&[version, ("x-api-key", "key"), ("authorization", "Bearer sk-client")], 401),
        (&[version, ("authorization", "Bearer wrong")], 401),
        (&[("x-api-key", "key")], 400),
        (&[("x-api-key", "key"), ("anthropic-version", "now")], 400),
    ] {
        let response = send(&server, Kind::Anthropic, "POST", MESSAGES, headers, b"{}");
        assert_eq!((response.status, &response.json()["type"]), (status, &json!("error")), "{headers:?}");
    }
}

#[test]
fn the_newest_version_has_bearer_keys_and_system_texts_between_turns() {
    let user = |text: &str| json!({"role": "user", "content": text});
    let messages = json!([user("a"), {"role": "system", "content": "be kind"}, user("mock[system;reasoning]")]);
    let body = with(&hello(), json!({"system": "be brief", "messages": messages})).to_string();
    let headers =
        [("content-type", "application/json"), ("authorization", "Bearer key"), ("anthropic-version", "2026-10-21")];
    let answer = send(&server(), Kind::Anthropic, "POST", MESSAGES, &headers, body.as_bytes()).json();
    assert_eq!(answer["content"][1]["text"], "system: be brief | be kind");
    assert_eq!(answer["usage"]["output_tokens_details"], json!({"thinking_tokens": 3}));
    let sampled = with(&hello(), json!({"temperature": 0})).to_string();
    assert_eq!(send(&server(), Kind::Anthropic, "POST", MESSAGES, &headers, sampled.as_bytes()).status, 400);
    assert_eq!(ask(&server(), &with(&hello(), json!({"temperature": 0}))).status, 200);
    let refused =
        ask(&server(), &with(&hello(), json!({"messages": [{"role": "user", "content": "mock[refusal]"}]}))).json();
    assert_eq!((&refused["stop_reason"], &refused["stop_details"]["type"]), (&json!("refusal"), &json!("refusal")));
}
