//! Gemini as clients see it, on AI Studio and on Vertex.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod client;

use client::{PNG, Response, city, post, send, with};
use mock_providers::{Kind, Server};
use serde_json::{Value, json};

const STUDIO: &str = "/v1beta/models/gemini-mock";
const VERTEX: &str = "/v1/projects/p/locations/l/publishers/google/models/gemini-mock";

fn server() -> Server {
    Server::of(&[Kind::Gemini, Kind::Vertex]).unwrap()
}

fn hello() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "Grüezi mitenand"}]}]})
}

fn ask(server: &Server, body: &Value) -> Response {
    post(server, Kind::Gemini, &format!("{STUDIO}:generateContent"), &[], body)
}

fn tools(text: &str) -> Value {
    let parameters = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]});
    let function = |name: &str| json!({"name": name, "description": "d", "parameters": parameters});
    json!({
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "tools": [{"functionDeclarations": [function("weather"), function("time")]}],
    })
}

#[test]
fn contents_are_answered() {
    let response = ask(&server(), &hello());
    let body = response.json();
    assert_eq!(
        body["candidates"][0]["content"],
        json!({"parts": [{"text": "You said: Grüezi mitenand"}], "role": "model"})
    );
    assert_eq!(body["candidates"][0]["finishReason"], "STOP");
    let usage = &body["usageMetadata"];
    assert_eq!((usage["promptTokenCount"].as_u64(), usage["totalTokenCount"].as_u64()), (Some(9), Some(13)));
}

#[test]
fn a_stream_is_events_with_crlf_or_one_list() {
    let server = server();
    let path = format!("{STUDIO}:streamGenerateContent");
    let events = post(&server, Kind::Gemini, &format!("{path}?alt=sse"), &[], &hello());
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    assert!(events.text().ends_with("}\r\n\r\n") && !events.text().replace("\r\n", "").contains('\n'));
    let list = post(&server, Kind::Gemini, &path, &[], &hello());
    assert_eq!(list.header("content-type"), Some("application/json; charset=UTF-8"));
    let chunks = list.json();
    assert_eq!(events.events(), *chunks.as_array().unwrap());
    let said = chunks
        .as_array()
        .unwrap()
        .iter()
        .map(|chunk| chunk["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap());
    assert_eq!(said.collect::<String>(), "You said: Grüezi mitenand");
    let ends: Vec<_> = events
        .events()
        .iter()
        .filter_map(|event| event["candidates"][0]["finishReason"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(ends, ["STOP"]);
}

#[test]
fn functions_are_called_and_answered_by_name_and_order() {
    let server = server();
    let first = tools("use tools in parallel");
    let content = ask(&server, &first).json()["candidates"][0]["content"].clone();
    assert_eq!(content["parts"][0]["functionCall"], json!({"name": "weather", "args": {"city": "Zürich"}}));
    let response = |name: &str, text: &str| json!({"functionResponse": {"name": name, "response": {"output": text}}});
    let turns = |parts: Value| {
        let said = first["contents"][0].clone();
        with(&first, json!({"contents": [said, content, {"role": "user", "parts": parts}]}))
    };
    let second = ask(&server, &turns(json!([response("weather", "15 °C"), response("time", "noon")]))).json();
    assert_eq!(second["candidates"][0]["content"]["parts"][0]["text"], "Results: 15 °C; noon");
    for parts in [
        json!([response("weather", "15")]),
        json!([response("time", "x"), response("weather", "y")]),
        json!([{"text": "x"}]),
    ] {
        assert_eq!(ask(&server, &turns(parts)).status, 400);
    }
}

#[test]
fn newer_models_want_their_signatures_back() {
    let server = server();
    let path = "/v1beta/models/gemini-3-mock:generateContent";
    let first = tools("use tools");
    let answer = post(&server, Kind::Gemini, path, &[], &first).json();
    assert_eq!(answer["usageMetadata"]["thoughtsTokenCount"], 3);
    let mut content = answer["candidates"][0]["content"].clone();
    let response = json!({"functionResponse": {"name": "weather", "response": {"output": "15"}}});
    let turns = |content: &Value, parts: Value| {
        with(&first, json!({"contents": [first["contents"][0], content, {"role": "user", "parts": parts}]}))
    };
    assert_eq!(post(&server, Kind::Gemini, path, &[], &turns(&content, json!([response]))).status, 200);
    let beside = turns(&content, json!([response, {"text": "x"}]));
    assert_eq!(post(&server, Kind::Gemini, path, &[], &beside).status, 400);
    content["parts"][0].as_object_mut().unwrap().remove("thoughtSignature");
    let without = post(&server, Kind::Gemini, path, &[], &turns(&content, json!([response])));
    assert!(without.status == 400 && without.text().contains("missing a thought_signature"), "{}", without.text());
    content["parts"][0]["thoughtSignature"] = json!("skip_thought_signature_validator");
    assert_eq!(post(&server, Kind::Gemini, path, &[], &turns(&content, json!([response]))).status, 200);
}

#[test]
fn pictures_schemas_thoughts_and_system_texts_are_seen() {
    let server = server();
    let said = |body: &Value| ask(&server, body).json()["candidates"][0]["content"]["parts"][0]["text"].clone();
    let parts = json!([{"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]);
    assert_eq!(said(&json!({"contents": [{"parts": parts}]})), "I see 1 image: image/png, 70 bytes");
    let config = json!({"responseMimeType": "application/json", "responseJsonSchema": city()});
    assert_eq!(said(&with(&hello(), json!({"generationConfig": config}))), "{\"city\":\"Zürich\"}");
    let system = json!({"parts": [{"text": "a"}, {"text": "b"}]});
    let body = json!({"contents": [{"parts": [{"text": "mock[system]"}]}], "systemInstruction": system});
    assert_eq!(said(&body), "system: a | b");
    let config = json!({"thinkingConfig": {"thinkingBudget": 100, "includeThoughts": true}, "candidateCount": 2});
    let answer = ask(&server, &with(&hello(), json!({"generationConfig": config}))).json();
    assert_eq!(answer["candidates"][1]["content"]["parts"][0]["thought"], true);
}

#[test]
fn what_gemini_refuses_is_refused() {
    let server = server();
    let config = |config: Value| json!({"generationConfig": config});
    let function = |function: Value| json!({"tools": [{"functionDeclarations": [function]}]});
    let parts = |parts: Value| json!({"contents": [{"role": "user", "parts": parts}]});
    for (changes, why) in [
        (json!({"contents": null}), "contents is not specified"),
        (json!({"foo": 1}), "Unknown name \"foo\": Cannot find field."),
        (config(json!({"foo": 1})), "Unknown name \"foo\" at 'generation_config'"),
        (config(json!({"stopSequences": ["1", "2", "3", "4", "5", "6"]})), "stop_sequences"),
        (config(json!({"temperature": 3})), "temperature"),
        (config(json!({"responseSchema": {"type": "STRING"}})), "response_mime_type"),
        (config(json!({"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}})), "only set only one"),
        (function(json!({"name": "a b"})), "Invalid function name"),
        (function(json!({"name": "a", "parameters": {"type": "OBJECT", "properties": {}}})), "should be non-empty"),
        (function(json!({"name": "a", "parameters": city()})), "Unknown name \"additionalProperties\""),
        (parts(json!([])), "contents[0].parts"),
        (parts(json!([{"text": ""}])), "oneof field 'data'"),
        (parts(json!([{"text": "x", "inlineData": {"mimeType": "image/png", "data": "AA=="}}])), "oneof field 'data'"),
        (parts(json!([{"inlineData": {"mimeType": "image/png", "data": "!"}}])), "Base64"),
        (parts(json!([{"functionResponse": {"name": "x", "response": {}}}])), "equal to the number"),
        (parts(json!([{"functionResponse": {"name": "x", "response": "text"}}])), "TYPE_OBJECT"),
        (json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}), "valid role"),
        (
            json!({"toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["a"]}}}),
            "mode is ANY",
        ),
    ] {
        let response = ask(&server, &with(&hello(), changes.clone()));
        let error = response.json();
        assert_eq!((response.status, &error["error"]["status"]), (400, &json!("INVALID_ARGUMENT")), "{changes}");
        assert!(error["error"]["message"].as_str().unwrap().contains(why), "{why}: {error}");
    }
    let missing = post(&server, Kind::Gemini, "/v1beta/models/missing:generateContent", &[], &hello());
    assert_eq!((missing.status, &missing.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    let list = post(&server, Kind::Gemini, &format!("{STUDIO}:streamGenerateContent"), &[], &json!({}));
    assert_eq!((list.status, &list.json()[0]["error"]["code"]), (400, &json!(400)));
}

#[test]
fn keys_are_needed() {
    let server = server();
    let path = format!("{STUDIO}:generateContent");
    let status = |headers: &[(&str, &str)]| send(&server, Kind::Gemini, "POST", &path, headers, b"{}").status;
    assert_eq!(status(&[("authorization", "Bearer key")]), 403);
    assert_eq!(status(&[("x-goog-api-key", "wrong")]), 400);
    let path = format!("{VERTEX}:generateContent");
    let response = send(&server, Kind::Vertex, "POST", &path, &[("x-goog-api-key", "key")], b"{}");
    assert_eq!((response.status, &response.json()["error"]["status"]), (401, &json!("UNAUTHENTICATED")));
}

#[test]
fn wishes_end_answers_in_googles_ways() {
    let server = server();
    let wish = |wish: &str| {
        post(&server, Kind::Gemini, &format!("{STUDIO}:streamGenerateContent?alt=sse"), &[("x-mock", wish)], &hello())
    };
    let blocked = wish("blocked").events();
    assert_eq!((blocked.len(), &blocked[0]["promptFeedback"]["blockReason"]), (1, &json!("PROHIBITED_CONTENT")));
    assert_eq!(wish("finish=length").events().last().unwrap()["candidates"][0]["finishReason"], "MAX_TOKENS");
    assert_eq!(wish("mid_error").events().last().unwrap()["error"]["status"], "UNAVAILABLE");
    let late = wish("error=429;retry_after=3");
    assert_eq!(late.json()["error"]["details"][0]["retryDelay"], "3s");
    assert_eq!(late.header("retry-after"), Some("3"));
}

#[test]
fn embeddings_come_one_by_one_or_together() {
    let server = server();
    let content = |text: &str| json!({"parts": [{"text": text}]});
    let one = json!({"content": content("ab"), "outputDimensionality": 2});
    let answer = post(&server, Kind::Gemini, &format!("{STUDIO}:embedContent"), &[], &one).json();
    assert_eq!(answer, json!({"embedding": {"values": [0.0078125, 0.76171875]}}));
    let each = |text: &str, model: &str| json!({"model": model, "content": content(text), "outputDimensionality": 1});
    let batch = |model: &str| {
        post(
            &server,
            Kind::Gemini,
            &format!("{STUDIO}:batchEmbedContents"),
            &[],
            &json!({"requests": [each("a", model), each("bc", model)]}),
        )
    };
    assert_eq!(batch("models/gemini-mock").json()["embeddings"].as_array().unwrap().len(), 2);
    assert_eq!(batch("gemini-mock").status, 400);
    let body = json!({"instances": [{"content": "ab"}], "parameters": {"outputDimensionality": 1}});
    let answer = post(&server, Kind::Vertex, &format!("{VERTEX}:predict"), &[], &body).json();
    assert_eq!(answer["predictions"][0]["embeddings"]["values"], json!([0.0078125]));
    assert_eq!(answer["predictions"][0]["embeddings"]["statistics"]["token_count"], 9);
}

#[test]
fn vertex_has_gemini_without_ids_and_claude_without_a_model() {
    let server = server();
    let path = format!("{VERTEX}:generateContent");
    assert_eq!(post(&server, Kind::Vertex, &path, &[], &with(&hello(), json!({"labels": {"a": "b"}}))).status, 200);
    assert_eq!(post(&server, Kind::Vertex, &path, &[], &json!({"contents": [{"parts": [{"text": "x"}]}]})).status, 400);
    let call = json!({"functionCall": {"name": "weather", "args": {}, "id": "x"}});
    let body = with(&hello(), json!({"contents": [hello()["contents"][0], {"role": "model", "parts": [call]}]}));
    let refused = post(&server, Kind::Vertex, &path, &[], &body);
    assert!(
        refused.text().contains("Unknown name \\\"id\\\" at 'contents[1].parts[0].function_call'"),
        "{}",
        refused.text()
    );

    let claude = |verb: &str| format!("/v1/projects/p/locations/l/publishers/anthropic/models/claude-mock:{verb}");
    let body = json!({"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": [{"role": "user", "content": "hé"}]});
    let answer = post(&server, Kind::Vertex, &claude("rawPredict"), &[], &body).json();
    assert_eq!(answer["content"][0]["text"], "You said: hé");
    let stream = post(&server, Kind::Vertex, &claude("streamRawPredict"), &[], &with(&body, json!({"stream": true})));
    assert_eq!(stream.events()[0]["message"]["model"], "claude-mock");
    for changes in [json!({"model": "m"}), json!({"anthropic_version": null})] {
        let refused = post(&server, Kind::Vertex, &claude("rawPredict"), &[], &with(&body, changes));
        assert_eq!((refused.status, &refused.json()["type"]), (400, &json!("error")));
    }
    let failed = post(&server, Kind::Vertex, &claude("rawPredict"), &[("x-mock", "error=529")], &body);
    assert_eq!(failed.json()["error"]["type"], "overloaded_error");
}
