//! OpenAI as clients see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod client;

use client::{PNG, Response, city, post, send, with};
use mock_providers::{Kind, Server};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";

fn server() -> Server {
    Server::of(&[Kind::OpenAi]).unwrap()
}

fn hello() -> Value {
    json!({"model": "gpt-mock", "messages": [{"role": "user", "content": "Grüezi mitenand"}]})
}

fn chat(server: &Server, body: &Value) -> Response {
    post(server, Kind::OpenAi, CHAT, &[], body)
}

fn tools(text: &str) -> Value {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": city()}});
    json!({"model": "gpt-mock", "messages": [{"role": "user", "content": text}], "tools": [tool("weather"), tool("time")]})
}

#[test]
fn a_chat_is_answered_with_what_was_said() {
    let response = chat(&server(), &hello());
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    let body = response.json();
    assert_eq!(body["choices"][0]["message"]["content"], "You said: Grüezi mitenand");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["prompt_tokens"], 9);
    assert_eq!(body["usage"]["total_tokens"], 13);
    assert!(
        response.text().starts_with(r#"{"id":"chatcmpl-mock1","object":"chat.completion","#),
        "{}",
        response.text()
    );
}

#[test]
fn a_stream_has_one_role_one_finish_and_usage_only_if_asked_for() {
    let server = server();
    for usage in [false, true] {
        let options = if usage { json!({"include_usage": true}) } else { Value::Null };
        let response = chat(&server, &with(&hello(), json!({"stream": true, "stream_options": options})));
        assert_eq!(response.header("content-type"), Some("text/event-stream; charset=utf-8"));
        assert!(response.text().ends_with("data: [DONE]\n\n"));
        let events = response.events();
        let said: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(said, "You said: Grüezi mitenand");
        let roles = events.iter().filter(|event| event["choices"][0]["delta"]["role"].is_string()).count();
        let ends = events.iter().filter(|event| event["choices"][0]["finish_reason"].is_string()).count();
        assert_eq!((roles, ends), (1, 1));
        let told: Vec<_> = events.iter().filter(|event| event["usage"].is_object()).collect();
        assert_eq!(told.len(), usize::from(usage));
        assert!(told.iter().all(|event| event["choices"] == json!([]) && event["usage"]["completion_tokens"] == 4));
    }
}

#[test]
fn tools_are_called_and_their_results_told() {
    let server = server();
    let response = chat(&server, &tools("use tools in parallel"));
    let message = response.json()["choices"][0]["message"].clone();
    assert_eq!(message["content"], Value::Null);
    assert_eq!(message["tool_calls"][0]["function"], json!({"name": "weather", "arguments": "{\"city\":\"Zürich\"}"}));
    assert_eq!(message["tool_calls"][1]["id"], "call_mock2");
    let mut next = tools("use tools in parallel");
    let messages = next["messages"].as_array_mut().unwrap();
    messages.push(message);
    for (id, text) in [("call_mock1", "15 °C"), ("call_mock2", "noon")] {
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
    }
    assert_eq!(chat(&server, &next).json()["choices"][0]["message"]["content"], "Results: 15 °C; noon");
    next["messages"].as_array_mut().unwrap().pop();
    let refused = chat(&server, &next);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("call_mock2"), "{}", refused.text());
}

#[test]
fn calls_in_a_stream_come_in_pieces() {
    let response = chat(&server(), &with(&tools("use tools in parallel"), json!({"stream": true})));
    let mut calls = [(String::new(), String::new()), Default::default()];
    for event in response.events() {
        for call in event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let slot = &mut calls[call["index"].as_u64().unwrap() as usize];
            slot.0.push_str(call["id"].as_str().unwrap_or_default());
            slot.1.push_str(call["function"]["arguments"].as_str().unwrap());
        }
    }
    let arguments = "{\"city\":\"Zürich\"}".to_owned();
    assert_eq!(calls, [("call_mock1".to_owned(), arguments.clone()), ("call_mock2".to_owned(), arguments)]);
    assert!(response.text().contains(r#""finish_reason":"tool_calls""#));
}

#[test]
fn pictures_schemas_and_system_texts_are_seen() {
    let server = server();
    let content = json!([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}}]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": content}]});
    assert_eq!(chat(&server, &body).json()["choices"][0]["message"]["content"], "I see 1 image: image/png, 70 bytes");
    let format = json!({"type": "json_schema", "json_schema": {"name": "place", "schema": city(), "strict": true}});
    let body = with(&hello(), json!({"response_format": format}));
    assert_eq!(chat(&server, &body).json()["choices"][0]["message"]["content"], "{\"city\":\"Zürich\"}");
    let messages = json!([{"role": "developer", "content": "be brief"}, {"role": "user", "content": "mock[system]"}, {"role": "system", "content": [{"type": "text", "text": "and kind"}]}]);
    let answer = chat(&server, &json!({"model": "m", "messages": messages})).json();
    assert_eq!(answer["choices"][0]["message"]["content"], "system: be brief | and kind");
}

#[test]
fn what_openai_refuses_is_refused() {
    let server = server();
    for (changes, param, code) in [
        (json!({"messages": null}), "messages", "missing_required_parameter"),
        (json!({"messages": []}), "messages", "invalid_value"),
        (json!({"model": 7}), "model", "invalid_type"),
        (json!({"foo": 1}), "foo", "unknown_parameter"),
        (json!({"temperature": 2.5}), "temperature", "invalid_value"),
        (json!({"max_tokens": 0}), "max_tokens", "invalid_value"),
        (json!({"max_tokens": 1, "max_completion_tokens": 1}), "max_tokens", "invalid_parameter_combination"),
        (json!({"model": "o3-mini", "max_tokens": 1}), "max_tokens", "unsupported_parameter"),
        (json!({"model": "gpt-5-mini", "temperature": 0.5}), "temperature", "unsupported_value"),
        (json!({"stream_options": {"include_usage": true}}), "stream_options", "invalid_value"),
        (json!({"tool_choice": "auto"}), "tool_choice", "invalid_value"),
        (json!({"messages": [{"role": "bot", "content": "x"}]}), "messages[0].role", "invalid_value"),
        (
            json!({"messages": [{"role": "user", "content": "x", "reasoning_content": "y"}]}),
            "messages[0].reasoning_content",
            "unknown_parameter",
        ),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop", "invalid_value"),
    ] {
        let response = chat(&server, &with(&hello(), changes.clone()));
        let error = &response.json()["error"];
        assert_eq!(
            (response.status, error["param"].as_str(), error["code"].as_str()),
            (400, Some(param), Some(code)),
            "{changes}: {error}"
        );
        assert_eq!(error["type"], "invalid_request_error");
    }
    let missing = chat(&server, &with(&hello(), json!({"model": "missing"})));
    assert_eq!((missing.status, missing.json()["error"]["code"].as_str()), (404, Some("model_not_found")));
    let orphan = json!({"model": "m", "messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]});
    assert_eq!(chat(&server, &orphan).status, 400);
}

#[test]
fn a_key_is_needed() {
    let server = server();
    for headers in
        [&[][..], &[("x-api-key", "key")], &[("authorization", "Basic a2V5")], &[("authorization", "Bearer wrong")]]
    {
        let response = send(&server, Kind::OpenAi, "POST", CHAT, headers, b"{}");
        assert_eq!((response.status, response.json()["error"]["code"].as_str()), (401, Some("invalid_api_key")));
    }
    let response = send(
        &server,
        Kind::OpenAi,
        "POST",
        CHAT,
        &[("authorization", "Bearer key"), ("content-type", "application/json")],
        b"{",
    );
    assert_eq!(response.status, 400);
}

#[test]
fn embeddings_are_numbers_or_base64() {
    let server = server();
    let embed = |more: Value| {
        let body = with(&json!({"model": "text-embedding-mock", "input": ["ab", "c"], "dimensions": 2}), more);
        post(&server, Kind::OpenAi, "/v1/embeddings", &[], &body).json()
    };
    let numbers = embed(json!({}));
    assert_eq!(numbers["data"][0]["embedding"], json!([0.0078125, 0.76171875]));
    assert_eq!((&numbers["data"][1]["index"], &numbers["usage"]["total_tokens"]), (&json!(1), &json!(18)));
    assert_eq!(embed(json!({"encoding_format": "base64"}))["data"][0]["embedding"], "AAAAPAAAQz8=");
    assert_eq!(embed(json!({"input": [[1, 2], [3]]}))["data"].as_array().unwrap().len(), 2);
    assert_eq!(embed(json!({"input": [1, 2]}))["data"].as_array().unwrap().len(), 1);
    assert!(embed(json!({"input": []}))["error"].is_object());
}

#[test]
fn models_are_listed() {
    let server = server();
    let get = |path: &str| send(&server, Kind::OpenAi, "GET", path, &[("authorization", "Bearer key")], b"");
    assert_eq!(get("/v1/models").json()["data"][0]["id"], "gpt-mock");
    assert_eq!(get("/v1/models/gpt-mock").json()["object"], "model");
    assert_eq!(get("/v1/models/none").status, 404);
    assert_eq!(get("/v2").status, 404);
}

#[test]
fn responses_are_items() {
    let server = server();
    let ask = |body: Value| post(&server, Kind::OpenAi, "/v1/responses", &[], &body);
    let body = ask(json!({"model": "m", "input": "hé", "instructions": "be brief"})).json();
    assert_eq!(body["output"][0]["content"][0]["text"], "You said: hé");
    assert_eq!((&body["status"], &body["usage"]["total_tokens"]), (&json!("completed"), &json!(13)));
    let tools = json!([{"type": "function", "name": "weather", "parameters": city()}]);
    let call = json!({"role": "user", "content": "use tools"});
    let body = ask(json!({"model": "m", "input": [call], "tools": tools})).json();
    let called = body["output"][0].clone();
    assert_eq!((&called["type"], &called["arguments"]), (&json!("function_call"), &json!("{\"city\":\"Zürich\"}")));
    let output = json!({"type": "function_call_output", "call_id": called["call_id"], "output": "15"});
    let body = ask(json!({"model": "m", "input": [call, called, output], "tools": tools})).json();
    assert_eq!(body["output"][0]["content"][0]["text"], "Results: 15");
    assert_eq!(ask(json!({"model": "m", "input": [call, called], "tools": tools})).status, 400);
    assert_eq!(ask(json!({"model": "m", "messages": []})).json()["error"]["param"], "input");
}

#[test]
fn a_response_as_a_stream_is_numbered_and_ends_whole() {
    let body = json!({"model": "m", "input": "hé", "stream": true, "reasoning": {"effort": "low"}});
    let response = post(&server(), Kind::OpenAi, "/v1/responses", &[], &body);
    let events = response.events();
    let numbers: Vec<_> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"response.created"));
    assert_eq!(kinds.last(), Some(&"response.completed"));
    let said: String = events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .map(|event| event["delta"].as_str().unwrap())
        .collect();
    assert_eq!(said, "You said: hé");
    assert_eq!(events.last().unwrap()["response"]["output"][1]["content"][0]["text"], "You said: hé");
    assert!(!response.text().contains("[DONE]"));
}
