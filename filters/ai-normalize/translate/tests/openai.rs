//! OpenAI as a provider: requests, answers and streams of clients that speak the same are forwarded, and only what has to
//! change changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use ai_translate::stream::Outcome;
use ai_translate::translate::{self, parse};
use ai_translate::{Answering, Context, ModelName, Operation, Report, Target, client, provider};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{data, events, json as answer_json, pair, plain};

/// The bytes that go to a provider for a client's bytes.
fn forwarded(provider: &'static str, request: &str) -> String {
    let pair = pair("openai", provider);
    let doc = parse(request.as_bytes()).unwrap();
    let settings = &pair.settings;
    let target = Target {
        model: "the-model",
        capabilities: &settings.capabilities,
        quirks: &settings.quirks,
        variables: &settings.variables,
    };
    let (client, provider) = (client::find("openai").unwrap(), provider::find(provider).unwrap());
    let sent = translate::request(client, provider, Operation::Chat, &doc, &target, &mut Report::new(false)).unwrap();
    assert!(sent.native);
    String::from_utf8(sent.outgoing.body).unwrap()
}

#[test]
fn a_request_keeps_every_byte_that_need_not_change() {
    for (request, expected) in [
        (
            r#"{ "messages" : [ {"content":"gr\u00fc\u00dfe 😀","role":"user","x":null} ],"seed":123456789012345678901234567890, "model":"gpt" , "temperature":0.0,"top_p":null,"new":{"b":1e400,"a":[ ]} }"#,
            r#"{ "messages" : [ {"content":"gr\u00fc\u00dfe 😀","role":"user","x":null} ],"seed":123456789012345678901234567890, "model":"the-model" , "temperature":0.0,"top_p":null,"new":{"b":1e400,"a":[ ]} }"#,
        ),
        // forced, to know what a stream costs
        (
            r#"{"model":"gpt","messages":[],"stream":true}"#,
            r#"{"model":"the-model","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"gpt","messages":[],"stream":true,"stream_options":null}"#,
            r#"{"model":"the-model","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"gpt","stream_options":{"include_usage":false,"x":1.50},"messages":[],"stream":true}"#,
            r#"{"model":"the-model","stream_options":{"x":1.50,"include_usage":true},"messages":[],"stream":true}"#,
        ),
        (r#"{"model":"gpt","messages":[],"stream":false}"#, r#"{"model":"the-model","messages":[],"stream":false}"#),
        // what another provider has signed is nobody's business here
        (
            r#"{"model":"gpt","messages":[{"role":"assistant","reasoning_content":"hm","tool_calls":[{"id":"a__thought__xyz","extra_content":{"google":{}}}],"content":null},{"role":"tool","tool_call_id":"a__thought__xyz"}]}"#,
            r#"{"model":"the-model","messages":[{"role":"assistant","tool_calls":[{"id":"a"}],"content":null},{"role":"tool","tool_call_id":"a"}]}"#,
        ),
    ] {
        assert_eq!(forwarded("openai", request), expected);
    }
}

#[test]
fn where_requests_go() {
    for (provider, chat, embeddings) in [
        ("openai", "/v1/chat/completions", Some("/v1/embeddings")),
        (
            "azure",
            "/openai/deployments/the-model/chat/completions?api-version=my-api_version",
            Some("/openai/deployments/the-model/embeddings?api-version=my-api_version"),
        ),
        ("mistral", "/v1/chat/completions", Some("/v1/embeddings")),
        ("deepseek", "/chat/completions", None),
        ("groq", "/openai/v1/chat/completions", Some("/openai/v1/embeddings")),
        ("xai", "/v1/chat/completions", Some("/v1/embeddings")),
        ("qwen", "/compatible-mode/v1/chat/completions", Some("/compatible-mode/v1/embeddings")),
        ("openrouter", "/api/v1/chat/completions", Some("/api/v1/embeddings")),
        ("together", "/v1/chat/completions", Some("/v1/embeddings")),
        ("ollama", "/v1/chat/completions", Some("/v1/embeddings")),
        ("vllm", "/v1/chat/completions", Some("/v1/embeddings")),
        ("compatible", "/v1/chat/completions", Some("/v1/embeddings")),
    ] {
        let pair = pair("openai", provider);
        assert_eq!(pair.chat(plain(false)).outgoing.path, chat);
        let request = json!({"model": "asked", "input": ["a", "b"], "new": 1});
        match (pair.send(Operation::Embeddings, &request), embeddings) {
            (Ok(sent), Some(path)) => {
                assert_eq!(sent.outgoing.path, path);
                assert_eq!(sent.body, json!({"model": "the-model", "input": ["a", "b"], "new": 1}));
            }
            (Err(error), None) => assert_eq!(error.code.as_deref(), Some("unsupported_operation")),
            (sent, _) => panic!("{provider}: {:?}", sent.map(|sent| sent.outgoing.path)),
        }
    }
}

#[test]
fn what_is_no_conversation_is_refused() {
    for (messages, words) in
        [(json!("hi"), "found \"hi\""), (json!({}), "found {}"), (Value::Null, "expected an array")]
    {
        let error = pair("openai", "openai").refused(json!({"model": "m", "messages": messages}));
        assert_eq!((error.status, error.param.as_deref()), (400, Some("messages")));
        assert!(error.message.contains(words), "{}", error.message);
    }
}

const ANSWER: &str = r#"{ "id":"chatcmpl-1","object":"chat.completion","created":17,"model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":"Gr\u00fc\u00dfe","refusal":null,"new":[1.0]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13},"system_fingerprint":"fp" }"#;

#[test]
fn an_answer_that_is_as_it_should_be_stays_as_it_is() {
    let answer = pair("openai", "openai").answer(200, &[], ANSWER.as_bytes());
    assert_eq!((answer.status, answer.body.as_deref(), answer.error), (200, None, None));
    let usage = answer.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.total()), (9, 4, 13));
}

/// A request under way whose client is told the model that it asked for.
fn renaming(stream: bool, usage: bool) -> Answering {
    let mut request = plain(stream);
    if usage {
        request["stream_options"] = json!({"include_usage": true});
    }
    let answering = pair("openai", "openai").chat(request).answering;
    let context = Context { model_name: ModelName::Requested, ..answering.context.clone() };
    Answering { context, ..answering }
}

#[test]
fn the_model_that_was_asked_for_can_be_told() {
    let answer = support::answer(&renaming(false, false), 200, &[], ANSWER.as_bytes());
    let expected = ANSWER.replace("gpt-x", "asked");
    assert_eq!(answer.body.as_deref().map(String::from_utf8_lossy).as_deref(), Some(expected.as_str()));
    let (told, _) = support::stream(&renaming(true, true), &events(&chunks()));
    assert!(data(&told).iter().filter_map(|chunk| chunk.get("model")).all(|model| model == "asked"));
}

fn chunk(delta: Value, finish: Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17, "model": "gpt-x",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
}

fn usage_chunk() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17, "model": "gpt-x", "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    })
}

/// As OpenAI sends it, without the last word.
fn chunks() -> Vec<Value> {
    vec![
        chunk(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null),
        chunk(json!({"content": "Grüße "}), Value::Null),
        chunk(json!({"content": "😀"}), Value::Null),
        chunk(json!({}), json!("stop")),
        usage_chunk(),
    ]
}

fn with_done(chunks: &[Value]) -> Vec<u8> {
    let mut bytes = events(chunks);
    bytes.extend_from_slice(b"data: [DONE]\n\n");
    bytes
}

fn asking_for_usage() -> Answering {
    let mut request = plain(true);
    request["stream_options"] = json!({"include_usage": true});
    pair("openai", "openai").chat(request).answering
}

#[test]
fn a_stream_that_is_as_it_should_be_stays_as_it_is() {
    let bytes = with_done(&chunks());
    let (told, outcome) = support::stream(&asking_for_usage(), &bytes);
    assert_eq!(outcome, Outcome::Complete);
    let before = with_done(&chunks()[..4]);
    let expected: &[u8] = before.strip_suffix(b"data: [DONE]\n\n").unwrap();
    assert!(told.as_bytes().starts_with(expected), "{told}");
    assert_eq!(data(&told), [chunks(), vec![json!("[DONE]")]].concat());
    // not asked for: everything but the chunk that tells it
    let (told, outcome) = pair("openai", "openai").stream(&bytes);
    assert_eq!((told.as_bytes(), outcome), (before.as_slice(), Outcome::Complete));
}

#[test]
fn whatever_framing_a_stream_has_it_says_the_same() {
    let (expected, _) = pair("openai", "openai").stream(&with_done(&chunks()));
    for end in ["\n", "\r\n", "\r"] {
        let stream: String = chunks()
            .iter()
            .map(Value::to_string)
            .chain(["[DONE]".to_owned()])
            .map(|data| format!("data:{data}{end}{end}"))
            .collect();
        assert_eq!(pair("openai", "openai").stream(stream.as_bytes()).0, expected, "{end:?}");
        // the last event without its blank line
        let cut = stream.trim_end_matches(['\r', '\n']);
        assert_eq!(pair("openai", "openai").stream(cut.as_bytes()).0, expected, "{end:?}");
    }
    let pretty: String = chunks()
        .iter()
        .map(|chunk| {
            serde_json::to_string_pretty(chunk)
                .unwrap()
                .lines()
                .map(|line| format!("data: {line}\n"))
                .collect::<String>()
                + "\n"
        })
        .collect();
    let (told, outcome) = pair("openai", "openai").stream(format!(": hi\n\n{pretty}data: [DONE]\n\n").as_bytes());
    assert_eq!(outcome, Outcome::Complete);
    assert!(told.starts_with(": ping\n\n"));
    assert_eq!(data(&told), data(&expected));
}

/// What a client of streams relies on, whatever the provider sends.
fn assert_well_formed(told: &str, wants_usage: bool, choices: usize) {
    let chunks = data(told);
    assert_eq!(chunks.last().unwrap(), "[DONE]", "{told}");
    assert_eq!(told.matches("[DONE]").count(), 1, "{told}");
    assert!(told.ends_with("\n\n"));
    let chunks = &chunks[..chunks.len() - 1];
    let of = |name: &str| chunks.iter().map(|chunk| chunk[name].clone()).collect::<Vec<_>>();
    for name in ["id", "created", "model", "object"] {
        assert!(!of(name)[0].is_null() && of(name).iter().all(|value| *value == of(name)[0]), "{name}: {told}");
    }
    let told_usage: Vec<usize> = (0..chunks.len()).filter(|at| !chunks[*at]["usage"].is_null()).collect();
    match wants_usage {
        true => assert_eq!(told_usage, [chunks.len() - 1], "{told}"),
        false => assert!(told_usage.is_empty(), "{told}"),
    }
    let all: Vec<&Value> = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().unwrap()).collect();
    for index in 0..choices {
        let mine: Vec<&&Value> = all.iter().filter(|choice| choice["index"] == index).collect();
        assert_eq!(mine.iter().filter(|choice| choice["delta"].get("role").is_some()).count(), 1, "{told}");
        assert_eq!(mine[0]["delta"]["role"], "assistant", "{told}");
        assert_eq!(mine.iter().filter(|choice| !choice["finish_reason"].is_null()).count(), 1, "{told}");
    }
}

#[test]
fn what_a_stream_costs_is_told_once_wherever_the_provider_says_it() {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13});
    let mut on_finish = chunks()[..4].to_vec();
    on_finish[3]["usage"] = usage.clone();
    let mut on_every = chunks();
    for (at, chunk) in on_every.iter_mut().enumerate() {
        chunk["usage"] = json!({"prompt_tokens": 9, "completion_tokens": at, "total_tokens": 9 + at});
    }
    let mut with_null = chunks();
    with_null[..4].iter_mut().for_each(|chunk| chunk["usage"] = Value::Null);
    let mut groq = chunks()[..4].to_vec();
    groq[0]["x_groq"] = json!({"id": "req_1"});
    groq[3]["x_groq"] = json!({"id": "req_1", "usage": usage});
    let twice = [chunks(), vec![usage_chunk()]].concat();
    for stream in [chunks(), on_finish, on_every, with_null, groq, twice] {
        for wants in [true, false] {
            let answering =
                if wants { asking_for_usage() } else { pair("openai", "openai").chat(plain(true)).answering };
            let (told, outcome) = support::stream(&answering, &with_done(&stream));
            assert_eq!(outcome, Outcome::Complete);
            assert_well_formed(&told, wants, 1);
            if wants {
                let chunks = data(&told);
                assert_eq!(chunks[chunks.len() - 2]["usage"], usage);
            }
            let mut pipe = answering.stream();
            pipe.feed(&with_done(&stream), &mut Vec::new());
            assert_eq!(pipe.usage().map(|usage| usage.total()), Some(13), "known in any case");
        }
    }
}

#[test]
fn odd_streams_become_even() {
    let call = |call: Value| chunk(json!({"tool_calls": [call]}), Value::Null);
    let done = || chunk(json!({}), json!("stop"));
    let text = |text: &str| chunk(json!({"content": text}), Value::Null);
    let role = chunk(json!({"role": "assistant", "content": "x"}), Value::Null);
    let without = |name: &str| {
        let mut chunks = vec![text("x"), done()];
        chunks.iter_mut().for_each(|chunk| drop(chunk.as_object_mut().unwrap().remove(name)));
        chunks
    };
    let mut changing = vec![text("x"), text("y"), done()];
    for (at, chunk) in changing.iter_mut().enumerate() {
        chunk["id"] = json!(format!("id-{at}"));
        chunk["created"] = json!(at);
        chunk["model"] = json!(format!("m-{at}"));
    }
    let mut nulls = vec![text("x"), done()];
    nulls.iter_mut().for_each(|chunk| (chunk["id"], chunk["model"]) = (json!(""), Value::Null));
    for (stream, reason, calls) in [
        // the role in each chunk, in none, late, empty
        (vec![role.clone(), role.clone(), done()], "stop", 0),
        (vec![text("x"), done()], "stop", 0),
        (vec![text("x"), role.clone(), done()], "stop", 0),
        (vec![chunk(json!({"role": "", "content": "x"}), Value::Null), done()], "stop", 0),
        (vec![chunk(json!({"role": null, "content": "x"}), Value::Null), done()], "stop", 0),
        (vec![done()], "stop", 0),
        // reasons
        (vec![role.clone(), chunk(json!({"content": "y"}), json!("")), done()], "stop", 0),
        (vec![role.clone(), chunk(json!({"content": "y"}), json!("null")), done()], "stop", 0),
        (vec![role.clone(), done(), done()], "stop", 0),
        (vec![role.clone(), chunk(json!({}), json!("eos"))], "stop", 0),
        (vec![role.clone(), chunk(json!({}), json!("model_length"))], "length", 0),
        (vec![role.clone(), chunk(json!({}), json!("never heard of"))], "stop", 0),
        // done, and no reason
        (vec![role.clone()], "stop", 0),
        (vec![call(json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}))], "tool_calls", 1),
        // calls
        (
            vec![call(json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}})), done()],
            "tool_calls",
            1,
        ),
        (
            vec![
                call(json!({"id": "a", "function": {"name": "f", "arguments": "{}"}})),
                call(json!({"id": "b", "function": {"name": "f", "arguments": "{}"}})),
                done(),
            ],
            "tool_calls",
            2,
        ),
        (
            vec![
                call(json!({"index": 1, "id": "a", "function": {"name": "f", "arguments": ""}})),
                call(json!({"index": 1, "function": {"arguments": "{}"}})),
                done(),
            ],
            "tool_calls",
            1,
        ),
        (
            vec![
                call(json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}})),
                call(json!({"index": 0, "id": "b", "function": {"name": "f", "arguments": "{}"}})),
                done(),
            ],
            "tool_calls",
            2,
        ),
        (vec![call(json!({"function": {"name": "f", "arguments": {}}})), done()], "tool_calls", 1),
        (
            vec![
                call(json!({"index": 0, "id": "", "type": null, "function": {"name": "f", "arguments": "{}"}})),
                chunk(json!({}), json!("length")),
            ],
            "length",
            1,
        ),
        // members of the chunk
        (without("id"), "stop", 0),
        (without("created"), "stop", 0),
        (without("model"), "stop", 0),
        (without("object"), "stop", 0),
        (changing, "stop", 0),
        (nulls, "stop", 0),
    ] {
        let input = with_done(&stream);
        let (told, outcome) = support::stream(&asking_for_usage(), &input);
        assert_eq!(outcome, Outcome::Complete, "{stream:?}");
        assert_well_formed(&told, true, 1);
        let finish: Vec<Value> = data(&told)
            .iter()
            .map(|chunk| chunk["choices"][0]["finish_reason"].clone())
            .filter(|reason| !reason.is_null())
            .collect();
        assert_eq!(finish, [reason], "{told}");
        let mut found: Vec<(Value, String)> = Vec::new();
        for chunk in data(&told) {
            for call in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
                let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
                if at == found.len() {
                    assert_eq!(call["type"], "function", "{told}");
                    found.push((call["id"].clone(), String::new()));
                }
                found[at].1.push_str(call["function"]["arguments"].as_str().unwrap());
            }
        }
        assert_eq!(found.len(), calls, "{told}");
        assert!(
            found.iter().all(|(id, arguments)| id.as_str().is_some_and(|id| !id.is_empty()) && arguments == "{}"),
            "{told}"
        );
        // the same without the last word, if there was a reason
        let had_reason = stream
            .iter()
            .any(|chunk| !matches!(chunk["choices"][0]["finish_reason"].as_str(), None | Some("" | "null")));
        let (cut, outcome) = support::stream(&asking_for_usage(), &events(&stream));
        match had_reason {
            true => assert_eq!((cut, outcome), (told, Outcome::Complete)),
            false => assert!(matches!(outcome, Outcome::Failed(_)) && !cut.contains("[DONE]")),
        }
    }
}

#[test]
fn several_answers_end_each_for_itself() {
    let of = |index: u32, delta: Value, finish: Value| {
        let mut chunk = chunk(delta, finish);
        chunk["choices"][0]["index"] = json!(index);
        chunk
    };
    let stream = [
        of(0, json!({"role": "assistant", "content": "a"}), Value::Null),
        of(1, json!({"role": "assistant", "content": "b"}), Value::Null),
        of(1, json!({}), json!("length")),
        of(0, json!({"role": "assistant", "content": "c"}), Value::Null),
        of(0, json!({}), json!("stop")),
    ];
    let (told, outcome) = pair("openai", "openai").stream(&events(&stream));
    assert_eq!(outcome, Outcome::Complete);
    assert_well_formed(&told, false, 2);
    let (told, outcome) = pair("openai", "openai").stream(&events(&stream[..4]));
    assert!(matches!(outcome, Outcome::Failed(_)) && !told.contains("[DONE]"), "one has not ended");
}

#[test]
fn a_stream_that_breaks_is_no_success() {
    for length in 0..4 {
        let (told, outcome) = pair("openai", "openai").stream(&events(&chunks()[..length]));
        assert!(matches!(outcome, Outcome::Failed(error) if error.code.as_deref() == Some("upstream_truncated")));
        assert!(!told.contains("[DONE]") && told.matches("\"error\"").count() == 1, "after {length}: {told}");
    }
    let (told, outcome) = pair("openai", "openai").stream(b"data: [DONE]\n\n");
    assert!(matches!(outcome, Outcome::Failed(_)) && !told.contains("[DONE]"), "an answer without an answer");
    for (broken, status, message) in [
        (r#"{"error":{"message":"busy","type":"rate_limit_error","code":"rate_limit_exceeded"}}"#, 429, "busy"),
        (r#"{"error":{"message":"busy","code":429}}"#, 429, "busy"),
        (r#"{"error":{"message":"busy","code":"503"}}"#, 503, "busy"),
        (r#"{"error":"busy"}"#, 502, "busy"),
        (r#"{"object":"error","message":"busy","type":"BadRequestError","code":400}"#, 400, "busy"),
        (
            r#"{"id":"1","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
            502,
            "the provider ended its answer with an error",
        ),
        (
            r#"{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"error","error":{"message":"busy","code":502}}]}"#,
            502,
            "busy",
        ),
        (
            r#"{"id":"1","error":{"message":"busy","code":503},"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#,
            503,
            "busy",
        ),
    ] {
        for client in ["openai", "anthropic"] {
            let mut input = events(&chunks()[..3]);
            input.extend_from_slice(format!("data: {broken}\n\ndata: [DONE]\n\n").as_bytes());
            let (told, outcome) = pair(client, "openai").stream(&input);
            let Outcome::Failed(error) = outcome else { panic!("{told}") };
            assert_eq!((error.status, error.message.as_str()), (status, message), "{broken}");
            assert!(told.contains(message) && !told.contains("[DONE]") && !told.contains("message_stop"), "{told}");
            assert!(!told.contains("\"finish_reason\":\"") && !told.contains("\"stop_reason\":\""), "{told}");
        }
    }
    let named =
        [events(&chunks()[..2]), b"event: error\ndata: {\"message\":\"busy\",\"code\":\"x\"}\n\n".to_vec()].concat();
    let (told, outcome) = pair("openai", "openai").stream(&named);
    assert!(matches!(outcome, Outcome::Failed(error) if error.message == "busy" && error.code.as_deref() == Some("x")));
    assert!(told.contains("\"message\":\"busy\""));
}

#[test]
fn what_is_no_stream_of_chunks_is_an_error_and_nothing_else() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for broken in [
        "{",
        "5",
        "null",
        "\"x\"",
        "[]",
        "{}",
        "<html>",
        "{\"choices\":5}",
        "{\"choices\":[7]}",
        "\u{0}",
        deep.as_str(),
    ] {
        let mut pipe = pair("openai", "openai").chat(plain(true)).answering.stream();
        let mut out = Vec::new();
        pipe.feed(format!("data: {broken}\n\n").as_bytes(), &mut out);
        pipe.end(&mut out);
        let told = String::from_utf8(out).unwrap();
        assert!(matches!(pipe.outcome(), Outcome::Failed(_)), "{broken}");
        assert!(!told.contains("[DONE]") && told.contains("\"error\"") && !told.contains("<html>"), "{told}");
    }
}

/// What a whole answer says, and what a stream of the same says, in words that both have.
fn gist(message: &Value, finish: &Value, usage: &Value) -> Value {
    let calls: Vec<Value> = message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| json!([call["id"], call["function"]["name"], call["function"]["arguments"]]))
        .collect();
    json!([
        message["content"].as_str().unwrap_or(""),
        message["reasoning_content"].as_str().unwrap_or(""),
        calls,
        finish,
        usage
    ])
}

fn gist_of_stream(told: &str) -> Value {
    let (mut text, mut thought, mut finish, mut usage) = (String::new(), String::new(), Value::Null, Value::Null);
    let mut calls: Vec<Value> = Vec::new();
    for chunk in data(told).iter().filter(|chunk| chunk.is_object()) {
        if !chunk["usage"].is_null() {
            usage = chunk["usage"].clone();
        }
        let choice = &chunk["choices"][0];
        text.push_str(choice["delta"]["content"].as_str().unwrap_or(""));
        thought.push_str(choice["delta"]["reasoning_content"].as_str().unwrap_or(""));
        if !choice["finish_reason"].is_null() {
            finish = choice["finish_reason"].clone();
        }
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if at == calls.len() {
                calls.push(json!({"id": call["id"], "function": {"name": call["function"]["name"], "arguments": ""}}));
            }
            let arguments = format!(
                "{}{}",
                calls[at]["function"]["arguments"].as_str().unwrap(),
                call["function"]["arguments"].as_str().unwrap_or("")
            );
            calls[at]["function"]["arguments"] = json!(arguments);
        }
    }
    gist(&json!({"content": text, "reasoning_content": thought, "tool_calls": calls}), &finish, &usage)
}

#[test]
fn whole_answers_and_streams_say_the_same() {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13});
    let call = |index: Option<u32>, id: &str, arguments: Value| {
        let mut call = json!({"id": id, "function": {"name": "f", "arguments": arguments}});
        if let Some(index) = index {
            call["index"] = json!(index);
        }
        call
    };
    for (message, finish) in [
        (json!({"role": "assistant", "content": "hi"}), json!("stop")),
        (json!({"role": "assistant", "content": "hi"}), json!("model_length")),
        (json!({"role": "assistant", "content": "hi", "reasoning": "hm"}), json!("stop")),
        (json!({"role": "assistant", "content": "hi", "reasoning_content": null, "reasoning": "hm"}), json!("stop")),
        (json!({"role": "assistant", "content": "hi", "reasoning_content": "hm", "reasoning": "hm"}), json!("stop")),
        (
            json!({"role": "assistant", "reasoning_content": null, "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "hi"}]}),
            json!("stop"),
        ),
        (
            json!({"role": "assistant", "content": "", "tool_calls": [call(Some(0), "a", json!("{}")), call(Some(1), "b", json!("{\"x\":1}"))]}),
            json!("stop"),
        ),
        (
            json!({"role": "assistant", "content": null, "tool_calls": [call(None, "a", json!({"x": [1.0]})), call(None, "", json!("{}"))]}),
            json!("tool_calls"),
        ),
        (json!({"role": "assistant", "content": "", "tool_calls": [call(Some(0), "a", json!("{"))]}), json!("length")),
    ] {
        let whole = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 17, "model": "gpt-x",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage,
        });
        let answer = pair("openai", "openai").answer(200, &[], whole.to_string().as_bytes());
        let text = answer.body.map_or_else(|| whole.to_string(), |body| String::from_utf8(body).unwrap());
        assert_eq!(text.matches("\"reasoning_content\"").count(), usize::from(text.contains("\"hm\"")), "once: {text}");
        let told: Value = serde_json::from_str(&text).unwrap();
        let choice = &told["choices"][0];
        let expected = gist(&choice["message"], &choice["finish_reason"], &told["usage"]);

        let stream = with_done(&[chunk(message.clone(), Value::Null), chunk(json!({}), finish.clone()), usage_chunk()]);
        let (streamed, outcome) = support::stream(&asking_for_usage(), &stream);
        assert_eq!(outcome, Outcome::Complete);
        assert_eq!(gist_of_stream(&streamed), expected, "{message}");

        // a whole answer to a client that asked for a stream
        let answer = support::answer(&asking_for_usage(), 200, &[], whole.to_string().as_bytes());
        assert!(answer.is_stream);
        let streamed = gist_of_stream(&String::from_utf8(answer.body.unwrap()).unwrap());
        assert_eq!((&streamed[0], &streamed[1], &streamed[3]), (&expected[0], &expected[1], &expected[3]), "{message}");
        assert_eq!(streamed[4]["total_tokens"], 13);
    }
}

#[test]
fn an_answer_lacks_nothing() {
    let answer = json!({"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}]});
    let told = answer_json(&pair("openai", "openai").answer(200, &[], answer.to_string().as_bytes()));
    let expected = json!({
        "id": "chatcmpl-u1", "object": "chat.completion", "created": 1_700_000_000, "model": "the-model",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_u11", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]}}],
    });
    assert_eq!(told, expected);
}

#[test]
fn answers_that_are_none() {
    for (body, status, code) in [
        ("{", 502, "upstream_unreadable"),
        ("", 502, "upstream_unreadable"),
        ("[]", 502, "upstream_unreadable"),
        ("null", 502, "upstream_unreadable"),
        ("{}", 502, "upstream_unreadable"),
        (r#"{"choices":null}"#, 502, "upstream_unreadable"),
        (r#"{"choices":[{"finish_reason":"error","message":{}}]}"#, 502, "upstream_error"),
        (r#"{"choices":[{"finish_reason":"error","error":{"code":429,"message":"busy"}}]}"#, 429, ""),
        (r#"{"error":{"message":"busy","code":"x","type":"overloaded_error"}}"#, 503, "x"),
    ] {
        for client in ["openai", "anthropic"] {
            let answer = pair(client, "openai").answer(200, &[], body.as_bytes());
            let error = answer.error.as_ref().unwrap_or_else(|| panic!("{body}"));
            assert_eq!((answer.status, error.code.as_deref().unwrap_or("")), (status, code), "{client}: {body}");
        }
    }
}

#[test]
fn streams_for_clients_of_another_dialect() {
    let call = |call: Value| chunk(json!({"tool_calls": [call]}), Value::Null);
    let stream = [
        chunk(json!({"role": "assistant", "content": "hi"}), Value::Null),
        // counted from 1
        call(json!({"index": 1, "id": "a", "function": {"name": "f", "arguments": ""}})),
        call(json!({"index": 1, "function": {"arguments": "{\"x\":1}"}})),
        call(json!({"index": 2, "id": "b", "function": {"name": "g", "arguments": {"y": 2}}})),
    ];
    // no reason, and the last word
    let (told, outcome) = pair("anthropic", "openai").stream(&with_done(&stream));
    assert_eq!(outcome, Outcome::Complete);
    let starts: Vec<Value> = data(&told)
        .iter()
        .filter(|event| event["content_block"]["type"] == "tool_use")
        .map(|event| json!([event["content_block"]["id"], event["content_block"]["name"]]))
        .collect();
    assert_eq!(starts, [json!(["a", "f"]), json!(["b", "g"])]);
    let arguments: String = data(&told).iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(arguments, "{\"x\":1}{\"y\":2}");
    assert_eq!(told.matches("\"stop_reason\":\"tool_use\"").count(), 1);
    let (told, outcome) = pair("anthropic", "openai").stream(&events(&stream));
    assert!(matches!(outcome, Outcome::Failed(_)) && !told.contains("message_stop"));
}

#[test]
fn vectors_are_forwarded() {
    let pair = pair("openai", "openai");
    let request = json!({"model": "asked", "input": "hi", "encoding_format": "base64"});
    let sent = pair.send(Operation::Embeddings, &request).unwrap();
    let answer = br#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],"model":"e","usage":{"prompt_tokens":2,"total_tokens":2}}"#;
    let told = support::answer(&sent.answering, 200, &[], answer);
    assert_eq!((told.status, told.body, told.usage.map(|usage| usage.input)), (200, None, Some(2)));
    for broken in ["{}", r#"{"data":{}}"#] {
        assert_eq!(support::answer(&sent.answering, 200, &[], broken.as_bytes()).status, 502);
    }
}

/// JSON, with blanks and numbers as people write them.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        "\"([a-zé😀 {}\\[\\]:,]|\\\\n|\\\\u00e9|\\\\\"|\\\\\\\\){0,12}\"",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let space = "[ \n\t]{0,2}";
        prop_oneof![
            (space, prop::collection::vec(inner.clone(), 0..4))
                .prop_map(|(space, items)| format!("[{space}{}]", items.join(&format!("{space},")))),
            (space, prop::collection::vec(inner, 0..4)).prop_map(|(space, items)| {
                let members: Vec<String> =
                    items.iter().enumerate().map(|(at, value)| format!("\"k{at}\"{space}:{value}")).collect();
                format!("{{{}{space}}}", members.join(&format!(",{space}")))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_changes_but_the_model(
        before in prop::collection::vec(any_json(), 0..4),
        behind in prop::collection::vec(any_json(), 0..4),
        content in any_json(),
        space in "[ \n\t]{0,3}",
    ) {
        let members = |values: &[String], name: &str| -> Vec<String> {
            values.iter().enumerate().map(|(at, value)| format!("\"{name}{at}\"{space}:{value}")).collect()
        };
        let request = |model: &str| {
            let all = [
                members(&before, "before"),
                vec![format!("\"model\":{space}\"{model}\"")],
                members(&behind, "behind"),
                vec![format!("\"messages\":[{{\"role\":\"user\",{space}\"content\":{content}}}]")],
            ];
            format!("{space}{{{}}}{space}", all.concat().join(&format!("{space},{space}")))
        };
        for provider in ["openai", "azure", "xai", "compatible"] {
            prop_assert_eq!(forwarded(provider, &request("m")), request("the-model"));
        }
    }

    #[test]
    fn chunks_with_unknown_members_stay_as_they_are(extra in any_json(), inner in any_json()) {
        let first = format!(r#"{{"id":"1","object":"chat.completion.chunk","new":{extra},"created":1,"model":"m","choices":[{{"index":0,"delta":{{"role":"assistant","content":"x","new":{inner}}},"finish_reason":"stop"}}]}}"#);
        // an event has one line for the client
        let first = first.replace(['\n'], " ");
        let stream = format!("data: {first}\n\ndata: [DONE]\n\n");
        let mut pipe = pair("openai", "openai").chat(plain(true)).answering.stream();
        let mut out = Vec::new();
        pipe.feed(stream.as_bytes(), &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), stream);
    }

    #[test]
    fn any_bytes_end_a_stream_one_way_or_the_other(bytes in prop::collection::vec(any::<u8>(), 0..200), chunk_first in any::<bool>()) {
        for client in ["openai", "anthropic"] {
            let answering = pair(client, "openai").chat(plain(true)).answering;
            let mut pipe = answering.stream();
            let mut out = Vec::new();
            if chunk_first {
                pipe.feed(&events(&chunks()[..1]), &mut out);
            }
            pipe.feed(&bytes, &mut out);
            pipe.end(&mut out);
            prop_assert!(matches!(pipe.outcome(), Outcome::Failed(_)));
        }
    }

    #[test]
    fn any_chunk_is_taken_or_refused(delta in any_json(), reason in any_json(), index in any_json(), usage in any_json()) {
        let chunk = format!(r#"{{"usage":{usage},"choices":[{{"delta":{delta},"finish_reason":{reason},"index":{index}}},{{"delta":{{"tool_calls":[{delta},{{"function":{delta}}}],"content":{usage},"role":{reason}}}}}]}}"#);
        let stream = format!("data: {}\n\ndata: [DONE]\n\n", chunk.replace('\n', " "));
        for client in ["openai", "anthropic"] {
            let mut pipe = pair(client, "openai").chat(plain(true)).answering.stream();
            let mut out = Vec::new();
            pipe.feed(stream.as_bytes(), &mut out);
            pipe.end(&mut out);
            let told = String::from_utf8(out).unwrap();
            // every line of data is JSON, or the last word
            for line in told.lines().filter_map(|line| line.strip_prefix("data: ")) {
                prop_assert!(line == "[DONE]" || serde_json::from_str::<Value>(line).is_ok(), "{}", line);
            }
        }
        let whole = format!(r#"{{"usage":{usage},"choices":[{{"message":{{"content":{delta},"tool_calls":[{reason}],"reasoning":{usage}}},"finish_reason":{reason}}}]}}"#);
        let answer = pair("openai", "openai").answer(200, &[], whole.as_bytes());
        if let Some(body) = answer.body {
            prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
        }
    }
}

#[test]
fn more_answers_than_a_provider_gives_are_refused() {
    let request = |n: u32| json!({"model": "m", "n": n, "messages": [{"role": "user", "content": "x"}]});
    let pair = pair("openai", "deepseek").strict();
    assert_eq!(pair.chat(request(1)).body.get("n"), None);
    assert_eq!(pair.refused(request(2)).param.as_deref(), Some("n"));
}
