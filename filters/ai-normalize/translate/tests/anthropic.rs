//! Anthropic as a provider, and as what clients speak.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use ai_translate::Operation;
use ai_translate::stream::Outcome;
use serde_json::{Value, json};
use support::{data, json as answer_json, named_events, pair, plain};

fn sent(request: Value) -> Value {
    pair("openai", "anthropic").chat(request).body
}

/// A request with one message, and these members.
fn with(members: Value) -> Value {
    let mut request = json!({"model": "claude", "messages": [{"role": "user", "content": "hi"}]});
    request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    request
}

fn of(messages: Value) -> Value {
    json!({"model": "claude", "messages": messages})
}

#[test]
fn a_plain_request() {
    let sent = pair("openai", "anthropic").chat(with(json!({"max_tokens": 50, "temperature": 0, "stream": true})));
    assert_eq!(sent.outgoing.path, "/v1/messages");
    assert_eq!(sent.outgoing.headers, [("anthropic-version", "2023-06-01".to_owned())]);
    let expected = json!({
        "model": "the-model", "max_tokens": 50, "temperature": 0, "stream": true,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    });
    assert_eq!(sent.body, expected);
    assert_eq!(sent.notes, []);
}

#[test]
fn parameters() {
    for (members, expected) in [
        (json!({}), json!({"max_tokens": 4096})),
        (json!({"max_tokens": null}), json!({"max_tokens": 4096})),
        (json!({"max_tokens": 5, "max_completion_tokens": 7}), json!({"max_tokens": 7})),
        (json!({"temperature": 1.5}), json!({"temperature": 1})),
        (json!({"top_p": 0}), json!({"top_p": 0})),
        (json!({"top_k": 3}), json!({"top_k": 3})),
        (json!({"stop": "x"}), json!({"stop_sequences": ["x"]})),
        (json!({"stop": ["x", " \n"]}), json!({"stop_sequences": ["x"]})),
        (json!({"user": "u"}), json!({"metadata": {"user_id": "u"}})),
        (json!({"service_tier": "auto"}), json!({"service_tier": "auto"})),
        (
            json!({"reasoning_effort": "high", "max_tokens": 9000}),
            json!({"thinking": {"type": "enabled", "budget_tokens": 4096}, "max_tokens": 9000}),
        ),
        (
            json!({"reasoning_effort": "high", "max_tokens": 100}),
            json!({"thinking": {"type": "enabled", "budget_tokens": 4096}, "max_tokens": 5120}),
        ),
        (json!({"reasoning_effort": "none"}), json!({"thinking": {"type": "disabled"}})),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 10}),
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 3024}),
        ),
    ] {
        let body = sent(with(members.clone()));
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&body[name], value, "{members}");
        }
    }
    let body = sent(with(json!({"reasoning_effort": "low", "temperature": 0.5})));
    assert!(body.get("temperature").is_none() && body.get("top_k").is_none());
}

#[test]
fn what_is_lost_is_told_or_refused() {
    let members =
        json!({"seed": 0, "logit_bias": {"1": 2}, "presence_penalty": 0.0, "made_up": 1, "store": true, "n": 1});
    let sent = pair("openai", "anthropic").chat(with(members));
    let told: Vec<_> = sent.notes.iter().map(|note| note.what.as_ref()).collect();
    assert_eq!(told, ["seed", "presence_penalty", "logit_bias", "store", "made_up"]);
    let refused = pair("openai", "anthropic").strict().refused(with(json!({"seed": 0})));
    assert_eq!((refused.status, refused.param.as_deref()), (400, Some("seed")));
    let refused = pair("openai", "anthropic").refused(with(json!({"n": 2})));
    assert_eq!((refused.status, refused.param.as_deref()), (400, Some("n")));
}

#[test]
fn turns_of_a_conversation_with_tools() {
    let body = sent(json!({
        "model": "claude",
        "messages": [
            {"role": "system", "content": "be"},
            {"role": "developer", "content": [{"type": "text", "text": "brief", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call 1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}},
                {"id": "call_2", "type": "function", "function": {"name": "g.h", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "call 1", "content": "one"},
            {"role": "tool", "tool_call_id": "call_2", "content": ""},
            {"role": "user", "content": "and?"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "g.h"}},
        ],
        "parallel_tool_calls": false,
    }));
    assert_eq!(
        body["system"],
        json!([
            {"type": "text", "text": "be"},
            {"type": "text", "text": "brief", "cache_control": {"type": "ephemeral"}},
        ])
    );
    let messages = body["messages"].as_array().unwrap();
    assert_eq!(
        messages.iter().map(|message| message["role"].as_str().unwrap()).collect::<Vec<_>>(),
        ["user", "assistant", "user"]
    );
    assert_eq!(
        messages[0]["content"][2]["source"],
        json!({"type": "base64", "media_type": "image/png", "data": "aGk="})
    );
    let (calls, results) = (&messages[1]["content"], &messages[2]["content"]);
    assert_eq!(calls[0]["input"], json!({"x": 1}));
    assert_eq!(calls[1]["input"], json!({}));
    assert_eq!(calls[0]["id"], results[0]["tool_use_id"]);
    assert_ne!(calls[0]["id"], "call 1");
    assert_eq!(calls[1]["name"], body["tools"][1]["name"]);
    assert_ne!(calls[1]["name"], "g.h");
    assert_eq!(results[1], json!({"type": "tool_result", "tool_use_id": "call_2", "content": ""}));
    assert_eq!(results[2]["text"], "and?");
    assert_eq!(body["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
}

#[test]
fn choices_of_tools() {
    let tools =
        json!([{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]);
    for (choice, expected, names) in [
        (json!("auto"), json!({"type": "auto"}), vec!["f", "g"]),
        (json!("none"), json!({"type": "none"}), vec!["f", "g"]),
        (json!("required"), json!({"type": "any"}), vec!["f", "g"]),
        (json!({"type": "function", "function": {"name": "g"}}), json!({"type": "tool", "name": "g"}), vec!["f", "g"]),
        (
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}}),
            json!({"type": "any"}),
            vec!["g"],
        ),
    ] {
        let body = sent(with(json!({"tools": tools, "tool_choice": choice})));
        assert_eq!(body["tool_choice"], expected);
        let offered: Vec<_> =
            body["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(offered, names);
    }
}

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    for (request, param, words) in [
        (
            of(json!([{"role": "tool", "tool_call_id": "x", "content": "y"}])),
            "messages",
            "tool result \"x\" has no call before it",
        ),
        (
            of(
                json!([{"role": "assistant", "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}]),
            ),
            "messages",
            "tool call \"x\" has no result behind it",
        ),
        (
            of(
                json!([{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "a", "format": "wav"}}]}]),
            ),
            "messages",
            "does not listen",
        ),
        (of(json!([{"role": "user", "content": 5}])), "messages[0].content", "expected a string or an array, found 5"),
        (of(json!([{"role": "who", "content": "x"}])), "messages[0].role", "found \"who\""),
        (of(json!({})), "messages", "expected an array, found {}"),
        (with(json!({"temperature": "hot"})), "temperature", "expected a number, found \"hot\""),
        (with(json!({"max_tokens": 1.5})), "max_tokens", "expected a whole number, found 1.5"),
        (with(json!({"reasoning_effort": "huge"})), "reasoning_effort", "expected none, minimal"),
    ] {
        let error = pair("openai", "anthropic").refused(request.clone());
        assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{request}");
        assert!(error.message.contains(words), "{}", error.message);
    }
}

#[test]
fn an_answer_to_a_schema_comes_as_text() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let request =
        with(json!({"response_format": {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}}}));
    let sent = pair("openai", "anthropic").chat(request.clone());
    assert_eq!(sent.body["tools"], json!([{"name": "thing", "input_schema": schema}]));
    assert_eq!(sent.body["tool_choice"], json!({"type": "tool", "name": "thing"}));
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 2},
        "content": [{"type": "tool_use", "id": "t", "name": "thing", "input": {"a": "b"}}],
    });
    let told = answer_json(&support::answer(&sent.answering, 200, &[], answer.to_string().as_bytes()));
    assert_eq!(told["choices"][0]["message"]["content"], "{\"a\":\"b\"}");
    assert_eq!(told["choices"][0]["finish_reason"], "stop");
    assert!(told["choices"][0]["message"].get("tool_calls").is_none());
    let native = pair("openai", "anthropic").with(json!({"structured_output": "native"})).chat(request);
    assert_eq!(native.body["output_config"]["format"]["schema"]["additionalProperties"], false);
    assert!(native.body.get("tools").is_none());
}

#[test]
fn whole_answers() {
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 1, "output_tokens": 4},
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xx"},
            {"type": "text", "text": "a"}, {"type": "text", "text": "b"},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        ],
    });
    let told = answer_json(&pair("openai", "anthropic").answer(200, &[], answer.to_string().as_bytes()));
    let expected = json!({
        "id": "chatcmpl-msg_1", "object": "chat.completion", "created": 1_700_000_000, "model": "claude-x",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "logprobs": null, "message": {
            "role": "assistant", "content": "ab", "refusal": null, "reasoning_content": "hm",
            "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig"}, {"type": "redacted_thinking", "data": "xx"}],
            "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }}],
        "usage": {
            "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 0},
        },
    });
    assert_eq!(told, expected);
    for (reason, finish) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "stop"),
    ] {
        let answer = json!({"content": [{"type": "text", "text": "x"}], "stop_reason": reason});
        let told = answer_json(&pair("openai", "anthropic").answer(200, &[], answer.to_string().as_bytes()));
        assert_eq!(told["choices"][0]["finish_reason"], finish, "{reason}");
    }
}

#[test]
fn errors() {
    for (status, body, kind, message) in [
        (
            529,
            &br#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#[..],
            "overloaded_error",
            "busy",
        ),
        (
            401,
            br#"{"type":"error","error":{"type":"authentication_error","message":"no"}}"#,
            "authentication_error",
            "no",
        ),
        (502, b"<html>x</html>", "server_error", "the provider answered with status 502 and said nothing more"),
        (404, b"", "invalid_request_error", "the provider answered with status 404 and said nothing more"),
    ] {
        let answer = pair("openai", "anthropic").answer(status, &[], body);
        assert_eq!(answer.status, status);
        let told = answer_json(&answer);
        assert_eq!((told["error"]["type"].as_str(), told["error"]["message"].as_str()), (Some(kind), Some(message)));
    }
    let garbage = pair("openai", "anthropic").answer(200, &[], b"{");
    assert_eq!((garbage.status, answer_json(&garbage)["error"]["code"].as_str()), (502, Some("upstream_unreadable")));
}

/// Events of an answer with a thought, text, and two calls, the second without arguments.
fn events() -> Vec<Value> {
    vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Grüße "}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "😀"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t1", "name": "f", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"x\":"}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "1}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "t2", "name": "g", "input": {}}}),
        json!({"type": "content_block_stop", "index": 3}),
        json!({"type": "some_new_event"}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 4}}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn a_stream_is_the_same_in_every_split() {
    let (told, outcome) = pair("openai", "anthropic").stream(&named_events(&events()));
    assert_eq!(outcome, Outcome::Complete);
    let chunks = data(&told);
    assert_eq!(chunks.last().unwrap(), "[DONE]");
    assert_eq!(chunks.iter().filter(|chunk| chunk.as_str() == Some("[DONE]")).count(), 1);
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas.iter().filter(|delta| delta.get("role").is_some()).count(), 1);
    let text: String = deltas.iter().filter_map(|delta| delta["content"].as_str()).collect();
    assert_eq!(text, "Grüße 😀");
    let calls: Vec<&Value> = deltas.iter().filter_map(|delta| delta.get("tool_calls")).map(|calls| &calls[0]).collect();
    assert_eq!(calls[0]["id"], "t1");
    assert_eq!(calls[3]["index"], 1);
    assert_eq!(calls[4]["function"]["arguments"], "{}");
    let finishes: Vec<&str> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(finishes, ["tool_calls"]);
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()), "not asked for");
    assert!(told.contains(r#""thinking_blocks":[{"type":"thinking","thinking":"","signature":"sig"}]"#));
    let mut request = plain(true);
    request["stream_options"] = json!({"include_usage": true});
    let (told, _) = support::stream(&pair("openai", "anthropic").chat(request).answering, &named_events(&events()));
    let chunks = data(&told);
    let usage = &chunks[chunks.len() - 2];
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(13)));
}

#[test]
fn a_stream_that_breaks_is_no_success() {
    let all = events();
    for length in 0..all.len() - 1 {
        let (told, outcome) = pair("openai", "anthropic").stream(&named_events(&all[..length]));
        assert!(matches!(outcome, Outcome::Failed(_)), "after {length}");
        assert!(
            !told.contains("[DONE]") && !told.contains("\"finish_reason\":\"") && told.contains("upstream_truncated")
        );
    }
    let mut broken = all[..9].to_vec();
    broken.push(json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}));
    let (told, outcome) = pair("openai", "anthropic").stream(&named_events(&broken));
    assert!(matches!(outcome, Outcome::Failed(error) if error.status == 529));
    assert!(told.contains("\"message\":\"busy\"") && !told.contains("[DONE]"));
}

#[test]
fn clients_of_the_dialect_are_forwarded() {
    let request = json!({"model": "claude", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}], "new_member": {"big": 12_345_678_901_234_567_u64}});
    let sent = pair("anthropic", "anthropic").send(Operation::Chat, &request).unwrap();
    let mut expected = request.clone();
    expected["model"] = json!("the-model");
    assert_eq!(sent.body, expected);
    assert!(sent.answering.native);
    let vertex = pair("anthropic", "anthropic-vertex").send(Operation::Chat, &request).unwrap();
    assert_eq!(
        vertex.outgoing.path,
        "/v1/projects/my-project/locations/my-location/publishers/anthropic/models/the-model:rawPredict"
    );
    assert_eq!((&vertex.body["anthropic_version"], vertex.body.get("model")), (&json!("vertex-2023-10-16"), None));
    let (told, outcome) = pair("anthropic", "anthropic").stream(&named_events(&events()));
    assert_eq!(outcome, Outcome::Complete);
    assert_eq!(data(&told), events());
    let (told, outcome) = pair("anthropic", "anthropic").stream(&named_events(&events()[..5]));
    assert!(matches!(outcome, Outcome::Failed(_)) && told.contains("event: error"));
}

#[test]
fn what_clients_of_the_dialect_say_goes_to_others() {
    let request = json!({
        "model": "gpt", "max_tokens": 10, "system": [{"type": "text", "text": "be"}, {"type": "text", "text": "brief"}],
        "stop_sequences": ["x"], "top_k": 5, "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "r"}]}, {"type": "text", "text": "b"}]},
        ],
    });
    let sent = pair("anthropic", "openai").chat(request);
    let expected = json!({
        "model": "the-model", "max_completion_tokens": 10, "stop": ["x"], "user": "u", "reasoning_effort": "medium",
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        "tool_choice": "required", "parallel_tool_calls": false,
        "messages": [
            {"role": "system", "content": "be\n\nbrief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}}]},
            {"role": "tool", "tool_call_id": "t1", "content": "r"},
            {"role": "user", "content": "b"},
        ],
    });
    assert_eq!(sent.body, expected);
    assert_eq!(sent.notes.iter().map(|note| note.what.as_ref()).collect::<Vec<_>>(), ["top_k"]);
}

#[test]
fn answers_of_others_go_to_clients_of_the_dialect() {
    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-x",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "a", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "no json"}},
        ]}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "prompt_tokens_details": {"cached_tokens": 5}},
    });
    let told = answer_json(&pair("anthropic", "openai").answer(200, &[], answer.to_string().as_bytes()));
    let expected = json!({
        "id": "msg_chatcmpl-1", "type": "message", "role": "assistant", "model": "gpt-x", "stop_reason": "tool_use", "stop_sequence": null,
        "content": [
            {"type": "text", "text": "a"}, {"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}},
            {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
        ],
        "usage": {"input_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5, "output_tokens": 4},
    });
    assert_eq!(told, expected);
    let error = pair("anthropic", "openai").answer(
        429,
        &[],
        br#"{"error":{"message":"slow","type":"x","code":"rate_limit_exceeded"}}"#,
    );
    assert_eq!(answer_json(&error), json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}));
}

#[test]
fn interleaved_calls_are_told_one_after_the_other() {
    let chunk = |delta: Value, finish: Value| json!({"id": "1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let call = |index: u32, id: Option<&str>, arguments: &str| {
        let mut call = json!({"index": index, "function": {"arguments": arguments}});
        if let Some(id) = id {
            call["id"] = json!(id);
            call["function"]["name"] = json!("f");
        }
        json!({"tool_calls": [call]})
    };
    let stream = [
        chunk(json!({"role": "assistant", "content": "hi"}), Value::Null),
        chunk(call(0, Some("a"), ""), Value::Null),
        chunk(call(1, Some("b"), "{\"y\":"), Value::Null),
        chunk(call(0, None, "{\"x\":1}"), Value::Null),
        chunk(call(1, None, "2}"), Value::Null),
        chunk(json!({}), json!("tool_calls")),
        json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}),
        json!("[DONE]"),
    ];
    let bytes: Vec<u8> = stream
        .iter()
        .flat_map(|data| {
            format!("data: {}\r\n\r\n", data.as_str().map_or_else(|| data.to_string(), str::to_owned)).into_bytes()
        })
        .collect();
    let (told, outcome) = pair("anthropic", "openai").stream(&bytes);
    assert_eq!(outcome, Outcome::Complete);
    let types: Vec<String> = data(&told).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    let expected = [&["message_start"][..], &block, &block, &block, &["message_delta", "message_stop"]].concat();
    assert_eq!(types, expected);
    let json: String =
        data(&told).iter().filter_map(|event| event["delta"]["partial_json"].as_str().map(str::to_owned)).collect();
    assert_eq!(json, "{\"x\":1}{\"y\":2}");
    assert!(told.contains("\"stop_reason\":\"tool_use\"") && told.contains("\"input_tokens\":9"));
}
