//! Servers that speak OpenAI's dialect, each with its habits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod client;

use client::{Response, city, post, send, with};
use mock_providers::{Kind, Server};
use serde_json::{Value, json};

const KINDS: [Kind; 5] = [Kind::Azure, Kind::Mistral, Kind::DeepSeek, Kind::Groq, Kind::Compatible];

fn server() -> Server {
    Server::of(&KINDS).unwrap()
}

fn path(kind: Kind) -> &'static str {
    match kind {
        Kind::Azure => "/openai/deployments/gpt/chat/completions?api-version=2025-01-01",
        Kind::DeepSeek => "/chat/completions",
        Kind::Groq => "/openai/v1/chat/completions",
        _ => "/v1/chat/completions",
    }
}

fn hello() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Grüezi mitenand"}]})
}

fn ask(server: &Server, kind: Kind, body: &Value) -> Response {
    post(server, kind, path(kind), &[], body)
}

fn tools(text: &str) -> Value {
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": city()}});
    json!({"model": "m", "messages": [{"role": "user", "content": text}], "tools": [tool]})
}

#[test]
fn all_answer_at_once_and_in_streams() {
    let server = server();
    for kind in KINDS {
        let whole = ask(&server, kind, &hello()).json();
        assert_eq!(whole["choices"][0]["message"]["content"], "You said: Grüezi mitenand", "{kind}");
        let stream = ask(&server, kind, &with(&hello(), json!({"stream": true})));
        let said: String = stream
            .events()
            .iter()
            .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(said, "You said: Grüezi mitenand", "{kind}");
        assert!(stream.text().ends_with("data: [DONE]\n\n"));
        let bare = post(&server, kind, path(kind), &[("x-mock", "no_done")], &with(&hello(), json!({"stream": true})));
        assert!(!bare.text().contains("[DONE]"));
        let failed = post(&server, kind, path(kind), &[("x-mock", "error=500")], &hello());
        assert_eq!(failed.status, 500);
        let missing =
            if kind == Kind::Azure { "/openai/deployments/missing/chat/completions?api-version=1" } else { path(kind) };
        assert_eq!(
            post(&server, kind, missing, &[], &with(&hello(), json!({"model": "missing"}))).status,
            404,
            "{kind}"
        );
    }
}

#[test]
fn all_call_tools_and_take_their_results() {
    let server = server();
    for kind in KINDS {
        let first = tools("use tools");
        let message = ask(&server, kind, &first).json()["choices"][0]["message"].clone();
        let id = message["tool_calls"][0]["id"].clone();
        let assistant =
            json!({"role": "assistant", "content": message["content"], "tool_calls": message["tool_calls"]});
        let result = json!({"role": "tool", "tool_call_id": id, "content": "15 °C"});
        let second = with(&first, json!({"messages": [first["messages"][0], assistant, result]}));
        assert_eq!(ask(&server, kind, &second).json()["choices"][0]["message"]["content"], "Results: 15 °C", "{kind}");
        let events = ask(&server, kind, &with(&first, json!({"stream": true}))).events();
        let calls = events
            .iter()
            .flat_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array().cloned().unwrap_or_default());
        let arguments: String = calls.map(|call| call["function"]["arguments"].as_str().unwrap().to_owned()).collect();
        assert_eq!(arguments, "{\"city\":\"Zürich\"}", "{kind}");
    }
}

#[test]
fn azure_has_deployments_versions_and_filter_notes() {
    let server = server();
    let stream =
        ask(&server, Kind::Azure, &with(&hello(), json!({"stream": true, "stream_options": {"include_usage": true}})))
            .events();
    assert_eq!((&stream[0]["choices"], &stream[0]["id"]), (&json!([]), &json!("")));
    assert_eq!(stream[0]["prompt_filter_results"][0]["content_filter_results"]["hate"]["filtered"], false);
    assert_eq!(stream.last().unwrap()["usage"]["total_tokens"], 13);
    let no_model = with(&hello(), json!({"model": null}));
    assert_eq!(ask(&server, Kind::Azure, &no_model).json()["model"], "gpt-mock-2025-01-01");
    let to = |path: &str, body: &Value| post(&server, Kind::Azure, path, &[], body);
    assert_eq!(to("/openai/deployments/gpt/chat/completions", &hello()).status, 404);
    let missing = to("/openai/deployments/missing/chat/completions?api-version=1", &hello());
    assert_eq!(missing.json()["error"]["code"], "DeploymentNotFound");
    let old = with(&hello(), json!({"stream": true, "stream_options": {}}));
    assert_eq!(to("/openai/deployments/gpt/chat/completions?api-version=2024-02-01", &old).status, 400);
    assert_eq!(to("/openai/v1/chat/completions", &hello()).status, 200);
    assert_eq!(to("/openai/v1/chat/completions", &no_model).status, 400);
    let embedding = to("/openai/deployments/e/embeddings?api-version=1", &json!({"input": "ab"}));
    assert_eq!(embedding.json()["data"][0]["embedding"].as_array().unwrap().len(), 8);
    let filtered = post(&server, Kind::Azure, path(Kind::Azure), &[("x-mock", "error=400")], &hello());
    assert_eq!(filtered.json()["error"]["code"], "content_filter");
    let late = post(&server, Kind::Azure, path(Kind::Azure), &[("x-mock", "error=429;retry_after=2")], &hello());
    assert_eq!((late.header("retry-after-ms"), late.header("retry-after")), (Some("2000"), Some("2")));
    let denied = send(&server, Kind::Azure, "POST", path(Kind::Azure), &[("x-api-key", "key")], b"{}");
    assert_eq!((denied.status, &denied.json()["error"]["code"]), (401, &json!("401")));
}

#[test]
fn mistral_knows_its_members_and_its_ids_only() {
    let server = server();
    let ask = |body: &Value| ask(&server, Kind::Mistral, body);
    for name in ["seed", "max_completion_tokens", "logit_bias", "user", "store", "stream_options"] {
        let refused = ask(&with(&hello(), json!({name: 1})));
        let error = refused.json();
        assert_eq!((refused.status, &error["message"]["detail"][0]["loc"]), (422, &json!(["body", name])), "{error}");
        assert_eq!(
            (&error["object"], &error["message"]["detail"][0]["type"]),
            (&json!("error"), &json!("extra_forbidden"))
        );
    }
    assert_eq!(ask(&with(&hello(), json!({"random_seed": 1, "tool_choice": "any", "max_tokens": 1}))).status, 200);
    let called = |id: &str| json!({"role": "assistant", "content": "", "tool_calls": [{"id": id, "function": {"name": "weather", "arguments": "{}"}}]});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "15"});
    let user = hello()["messages"][0].clone();
    for (messages, code) in [
        (json!([user, called("call_mock1"), result("call_mock1")]), "3280"),
        (json!([user, called("abcdefghi"), user]), "3230"),
        (json!([user, called("abcdefghi"), result("abcdefghj")]), "3230"),
        (json!([user, {"role": "assistant", "content": "x"}]), "3230"),
        (json!([user, {"role": "assistant", "content": null}, user]), "3240"),
    ] {
        let refused = ask(&with(&hello(), json!({"messages": messages})));
        assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(code)));
    }
    let developer = json!([{"role": "developer", "content": "x"}, user]);
    assert_eq!(ask(&with(&hello(), json!({"messages": developer}))).status, 422);
    let events = ask(&with(&tools("use tools"), json!({"stream": true}))).events();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["choices"][0]["finish_reason"], &last["usage"]["total_tokens"]),
        (&json!("tool_calls"), &json!(13))
    );
    assert_eq!(last["choices"][0]["delta"]["tool_calls"][0]["id"], "mockid001");
    let thought = ask(&with(&hello(), json!({"prompt_mode": "reasoning"}))).json();
    assert_eq!(thought["choices"][0]["message"]["content"][0]["type"], "thinking");
    let denied = send(&server, Kind::Mistral, "POST", "/v1/chat/completions", &[], b"{}");
    assert_eq!(denied.json(), json!({"detail": "Unauthorized"}));
    let embed = |body: Value| post(&server, Kind::Mistral, "/v1/embeddings", &[], &body).status;
    assert_eq!(embed(json!({"model": "m", "input": ["a"], "output_dimension": 2})), 200);
    assert_eq!(embed(json!({"model": "m", "input": ["a"], "dimensions": 2})), 422);
    assert_eq!(embed(json!({"model": "m", "input": [1, 2]})), 422);
}

#[test]
fn deepseek_wants_its_thoughts_back() {
    let server = server();
    let ask = |body: &Value| ask(&server, Kind::DeepSeek, body);
    let first = with(&tools("use tools"), json!({"model": "deepseek-reasoner"}));
    let message = ask(&first).json()["choices"][0]["message"].clone();
    assert_eq!(message["reasoning_content"], "Let me think: über alles.");
    let turns = |message: &Value| {
        let result = json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "15"});
        with(&first, json!({"messages": [first["messages"][0], message, result]}))
    };
    assert_eq!(ask(&turns(&message)).status, 200);
    let mut empty = message.clone();
    empty["reasoning_content"] = json!("");
    assert_eq!(ask(&turns(&empty)).status, 200);
    empty.as_object_mut().unwrap().remove("reasoning_content");
    let refused = ask(&turns(&empty));
    assert!(refused.status == 400 && refused.text().contains("Missing `reasoning_content`"));
    let stream = post(
        &server,
        Kind::DeepSeek,
        path(Kind::DeepSeek),
        &[("x-mock", "cached=5;reasoning")],
        &with(&hello(), json!({"stream": true, "foo": 1})),
    );
    assert!(stream.text().starts_with(": keep-alive\n\n"));
    let last = stream.events().pop().unwrap();
    assert_eq!(
        (&last["usage"]["prompt_cache_hit_tokens"], &last["usage"]["prompt_cache_miss_tokens"]),
        (&json!(5), &json!(9))
    );
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    let slow = post(&server, Kind::DeepSeek, path(Kind::DeepSeek), &[("x-mock", "delay_ms=1")], &hello());
    assert!(slow.text().starts_with("\n\n{") && slow.json()["object"] == "chat.completion");
    for (changes, status) in [
        (json!({"messages": [{"role": "developer", "content": "x"}]}), 422),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]}),
            422,
        ),
        (json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}), 400),
        (json!({"temperature": 3}), 422),
    ] {
        assert_eq!(ask(&with(&hello(), changes)).status, status);
    }
}

#[test]
fn groq_tells_its_usage_twice_and_takes_less() {
    let server = server();
    let ask = |body: &Value| ask(&server, Kind::Groq, body);
    let events = ask(&with(&hello(), json!({"stream": true}))).events();
    assert_eq!(events[0]["x_groq"], json!({"id": "req_mock1"}));
    assert_eq!(events.last().unwrap()["x_groq"]["usage"]["total_tokens"], 13);
    let asked = ask(&with(&hello(), json!({"stream": true, "stream_options": {"include_usage": true}}))).events();
    assert_eq!(
        (&asked.last().unwrap()["choices"], &asked.last().unwrap()["usage"]["total_tokens"]),
        (&json!([]), &json!(13))
    );
    let user = |member: &str| json!({"messages": [{"role": "user", "content": "x", member: "y"}]});
    let called = json!({"role": "assistant", "content": "x", "reasoning_content": "y"});
    for changes in [
        json!({"logprobs": true}),
        json!({"logit_bias": {"1": 1}}),
        json!({"n": 2}),
        json!({"foo": 1}),
        user("name"),
        json!({"messages": [called, {"role": "user", "content": "x"}]}),
        json!({"messages": [{"role": "developer", "content": "x"}]}),
    ] {
        let refused = ask(&with(&hello(), changes.clone()));
        assert_eq!(
            (refused.status, &refused.json()["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{changes}"
        );
    }
    let thought = ask(&with(&hello(), json!({"reasoning_effort": "low"}))).json();
    assert_eq!(thought["choices"][0]["message"]["reasoning"], "Let me think: über alles.");
}

#[test]
fn a_compatible_server_repeats_roles_and_takes_what_it_does_not_know() {
    let server = server();
    let body = with(&hello(), json!({"stream": true, "foo": {"bar": 1}, "reasoning_effort": "low"}));
    let events = ask(&server, Kind::Compatible, &body).events();
    assert!(events.iter().all(|event| event["choices"][0]["delta"]["role"] == "assistant"));
    assert!(events.iter().any(|event| event["choices"][0]["delta"]["reasoning"].is_string()));
    let refused = ask(&server, Kind::Compatible, &json!({"model": "m"}));
    assert_eq!(
        (refused.status, refused.json()["object"].as_str(), refused.json()["code"].as_u64()),
        (400, Some("error"), Some(400))
    );
    let json = [("content-type", "application/json")];
    assert_eq!(
        send(&server, Kind::Compatible, "POST", "/v1/chat/completions", &json, hello().to_string().as_bytes()).status,
        200
    );
    let wrong = [json[0], ("authorization", "Bearer wrong")];
    assert_eq!(send(&server, Kind::Compatible, "POST", "/v1/chat/completions", &wrong, b"{}").status, 401);
}
