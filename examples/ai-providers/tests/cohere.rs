//! Cohere as clients see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod client;

use client::{PNG, Response, city, post, send, with};
use mock_providers::{Kind, Server};
use serde_json::{Value, json};

fn server() -> Server {
    Server::of(&[Kind::Cohere]).unwrap()
}

fn hello() -> Value {
    json!({"model": "command-mock", "messages": [{"role": "user", "content": "Grüezi mitenand"}]})
}

fn ask(server: &Server, body: &Value) -> Response {
    post(server, Kind::Cohere, "/v2/chat", &[], body)
}

fn tools(text: &str) -> Value {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": city()}});
    json!({"model": "m", "messages": [{"role": "user", "content": text}], "tools": [tool("weather"), tool("time")]})
}

#[test]
fn a_chat_is_answered() {
    let body = ask(&server(), &hello()).json();
    assert_eq!(body["message"]["content"], json!([{"type": "text", "text": "You said: Grüezi mitenand"}]));
    assert_eq!((&body["finish_reason"], &body["usage"]["tokens"]["input_tokens"]), (&json!("COMPLETE"), &json!(9)));
}

#[test]
fn a_stream_is_events_from_start_to_end() {
    let response = ask(&server(), &with(&hello(), json!({"stream": true, "thinking": {"type": "enabled"}})));
    let events = response.events();
    let of = |kind: &str| -> String {
        events.iter().filter_map(|event| event["delta"]["message"]["content"][kind].as_str()).collect()
    };
    assert_eq!(of("text"), "You said: Grüezi mitenand");
    assert_eq!(of("thinking"), "Let me think: über alles.");
    assert_eq!(
        (&events[0]["type"], &events.last().unwrap()["delta"]["finish_reason"]),
        (&json!("message-start"), &json!("COMPLETE"))
    );
    assert!(
        response.text().starts_with("event: message-start\ndata: {") && response.text().ends_with("data: [DONE]\n\n")
    );
}

#[test]
fn tools_are_planned_called_and_answered() {
    let server = server();
    let first = tools("use tools in parallel");
    let message = ask(&server, &first).json()["message"].clone();
    assert_eq!(message["tool_calls"][1]["id"], "time_mock2");
    assert_eq!(message["tool_plan"], "I will use the tools.");
    let events = ask(&server, &with(&first, json!({"stream": true}))).events();
    let arguments: String = events
        .iter()
        .filter(|event| event["index"] == 0)
        .filter_map(|event| event["delta"]["message"]["tool_calls"]["function"]["arguments"].as_str())
        .collect();
    assert_eq!(arguments, "{\"city\":\"Zürich\"}");
    assert_eq!(events.last().unwrap()["delta"]["finish_reason"], "TOOL_CALL");
    let result = |id: &str, content: Value| json!({"role": "tool", "tool_call_id": id, "content": content});
    let documents = json!([{"type": "document", "document": {"data": "noon"}}]);
    let all = json!([
        first["messages"][0],
        message,
        result("weather_mock1", json!("15 °C")),
        result("time_mock2", documents)
    ]);
    let second = ask(&server, &with(&first, json!({"messages": all}))).json();
    assert_eq!(second["message"]["content"][0]["text"], "Results: 15 °C; noon");
    let some = json!([all[0], all[1], all[2]]);
    assert_eq!(ask(&server, &with(&first, json!({"messages": some}))).status, 400);
    let orphan = json!([all[0], all[2]]);
    assert_eq!(ask(&server, &with(&first, json!({"messages": orphan}))).status, 400);
}

#[test]
fn pictures_and_schemas_are_seen() {
    let server = server();
    let content = json!([{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}}]);
    let body = with(&hello(), json!({"messages": [{"role": "user", "content": content}]}));
    assert_eq!(ask(&server, &body).json()["message"]["content"][0]["text"], "I see 1 image: image/png, 70 bytes");
    let body = with(&hello(), json!({"response_format": {"type": "json_object", "schema": city()}}));
    assert_eq!(ask(&server, &body).json()["message"]["content"][0]["text"], "{\"city\":\"Zürich\"}");
}

#[test]
fn what_cohere_refuses_is_refused() {
    let server = server();
    for (changes, status, why) in [
        (json!({"foo": 1}), 422, "'foo' is not a valid field"),
        (json!({"top_p": 0.5}), 422, "'top_p'"),
        (json!({"model": null}), 400, "model is required"),
        (json!({"p": 1}), 400, "p must be from 0.01 to 0.99"),
        (json!({"temperature": 1.5}), 400, "temperature"),
        (json!({"frequency_penalty": -1}), 400, "frequency_penalty"),
        (json!({"messages": [{"role": "developer", "content": "x"}]}), 400, "unknown role"),
        (json!({"messages": [{"role": "assistant", "content": "x"}]}), 400, "last message"),
        (json!({"tool_choice": "REQUIRED"}), 400, "tool_choice"),
        (json!({"tool_choice": "required"}), 400, "tool_choice"),
        (json!({"stop_sequences": ["1", "2", "3", "4", "5", "6"]}), 400, "stop_sequences"),
        (json!({"model": "missing"}), 404, "not found"),
    ] {
        let response = ask(&server, &with(&hello(), changes.clone()));
        assert_eq!(response.status, status, "{changes}: {}", response.text());
        assert!(response.json()["message"].as_str().unwrap().contains(why), "{}", response.text());
    }
    let response = send(&server, Kind::Cohere, "POST", "/v2/chat", &[], b"{}");
    assert_eq!((response.status, &response.json()["message"]), (401, &json!("no api key supplied")));
}

#[test]
fn embeddings_are_by_type() {
    let server = server();
    let embed = |body: Value| post(&server, Kind::Cohere, "/v2/embed", &[], &body);
    let base = json!({"model": "embed-mock", "texts": ["ab", "c"], "input_type": "search_query", "embedding_types": ["float", "base64"]});
    let answer = embed(base.clone()).json();
    assert_eq!(answer["embeddings"]["float"][0].as_array().unwrap().len(), 8);
    assert!(answer["embeddings"]["base64"][1].is_string());
    assert_eq!(answer["meta"]["billed_units"]["input_tokens"], 18);
    for changes in
        [json!({"input_type": null}), json!({"output_dimension": 2}), json!({"input": "x"}), json!({"texts": []})]
    {
        assert!(embed(with(&base, changes)).status >= 400);
    }
}

#[test]
fn streams_end_in_coheres_ways() {
    let server = server();
    let wish = |wish: &str| {
        post(&server, Kind::Cohere, "/v2/chat", &[("x-mock", wish)], &with(&hello(), json!({"stream": true})))
    };
    assert_eq!(wish("mid_error").events().last().unwrap()["delta"]["finish_reason"], "ERROR");
    assert_eq!(wish("finish=length").events().last().unwrap()["delta"]["finish_reason"], "MAX_TOKENS");
    assert_eq!(wish("error=429").status, 429);
}
