//! Bedrock as clients see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod client;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{PNG, Response, city, post, send, with};
use mock_providers::{Kind, Server};
use serde_json::{Value, json};

const MODEL: &str = "/model/anthropic.claude-mock-v1%3A0";

fn server() -> Server {
    Server::of(&[Kind::Bedrock]).unwrap()
}

fn hello() -> Value {
    json!({"messages": [{"role": "user", "content": [{"text": "Grüezi mitenand"}]}]})
}

fn ask(server: &Server, body: &Value) -> Response {
    post(server, Kind::Bedrock, &format!("{MODEL}/converse"), &[], body)
}

fn tools(text: &str) -> Value {
    let spec = |name: &str| json!({"toolSpec": {"name": name, "inputSchema": {"json": city()}}});
    json!({"messages": [{"role": "user", "content": [{"text": text}]}], "toolConfig": {"tools": [spec("weather"), spec("time")]}})
}

/// The headers and payloads of all frames; checksums are checked.
fn frames(mut bytes: &[u8]) -> Vec<(Vec<(String, String)>, Value)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let (length, head) = (number(0) as usize, number(4) as usize);
        assert_eq!(number(8), crc32fast::hash(&bytes[..8]));
        assert_eq!(number(length - 4), crc32fast::hash(&bytes[..length - 4]));
        let mut fields = &bytes[12..12 + head];
        let mut headers = Vec::new();
        while let [size, rest @ ..] = fields {
            let (name, rest) = rest.split_at(*size as usize);
            assert_eq!(rest[0], 7);
            let size = u16::from_be_bytes([rest[1], rest[2]]) as usize;
            headers.push((
                String::from_utf8(name.to_vec()).unwrap(),
                String::from_utf8(rest[3..3 + size].to_vec()).unwrap(),
            ));
            fields = &rest[3 + size..];
        }
        frames.push((headers, serde_json::from_slice(&bytes[12 + head..length - 4]).unwrap()));
        bytes = &bytes[length..];
    }
    frames
}

fn kinds(frames: &[(Vec<(String, String)>, Value)]) -> Vec<&str> {
    frames.iter().map(|(headers, _)| headers[0].1.as_str()).collect()
}

#[test]
fn a_conversation_is_answered() {
    let response = ask(&server(), &hello());
    let body = response.json();
    assert_eq!(body["output"]["message"]["content"], json!([{"text": "You said: Grüezi mitenand"}]));
    assert_eq!((&body["stopReason"], &body["usage"]["totalTokens"]), (&json!("end_turn"), &json!(13)));
    assert!(response.header("x-amzn-requestid").is_some());
}

#[test]
fn a_stream_is_frames_with_checksums() {
    let response = post(&server(), Kind::Bedrock, &format!("{MODEL}/converse-stream"), &[], &hello());
    assert_eq!(response.header("content-type"), Some("application/vnd.amazon.eventstream"));
    let frames = frames(&response.body);
    let delta = "contentBlockDelta";
    assert_eq!(
        kinds(&frames),
        ["messageStart", delta, delta, delta, delta, "contentBlockStop", "messageStop", "metadata"]
    );
    let said: String = frames.iter().filter_map(|(_, payload)| payload["delta"]["text"].as_str()).collect();
    assert_eq!(said, "You said: Grüezi mitenand");
    assert_eq!(frames.last().unwrap().1["usage"]["outputTokens"], 4);
}

#[test]
fn tools_are_called_in_a_stream_and_results_must_come_back() {
    let server = server();
    let first = with(
        &tools("use tools in parallel"),
        json!({"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}),
    );
    let stream = post(&server, Kind::Bedrock, &format!("{MODEL}/converse-stream"), &[], &first);
    let frames = frames(&stream.body);
    let starts: Vec<_> =
        frames.iter().filter_map(|(_, payload)| payload["start"]["toolUse"]["toolUseId"].as_str()).collect();
    assert_eq!(starts, ["tooluse_mock1", "tooluse_mock2"]);
    let input: String = frames
        .iter()
        .filter(|(_, payload)| payload["contentBlockIndex"] == 1)
        .filter_map(|(_, payload)| payload["delta"]["toolUse"]["input"].as_str())
        .collect();
    assert_eq!(input, "{\"city\":\"Zürich\"}");
    assert!(stream.body.windows(9).any(|window| window == b"signature"));

    let message = ask(&server, &first).json()["output"]["message"].clone();
    let result = |id: &str, content: Value| json!({"toolResult": {"toolUseId": id, "content": [content]}});
    let results = json!([
        result("tooluse_mock1", json!({"text": "15 °C"})),
        result("tooluse_mock2", json!({"json": {"at": 12}}))
    ]);
    let turns = |message: &Value, content: &Value| {
        with(&first, json!({"messages": [first["messages"][0], message, {"role": "user", "content": content}]}))
    };
    let second = ask(&server, &turns(&message, &results)).json();
    assert_eq!(second["output"]["message"]["content"][1]["text"], "Results: 15 °C; {\"at\":12}");
    let mut unsigned = message.clone();
    unsigned["content"][0]["reasoningContent"]["reasoningText"].as_object_mut().unwrap().remove("signature");
    for (body, why) in [
        (
            turns(&message, &json!([results[0]])),
            "Expected toolResult blocks at messages.2.content for the following Ids: tooluse_mock2",
        ),
        (turns(&message, &json!([results[0], results[1], results[0]])), "exceeds the number"),
        (turns(&unsigned, &results), "Invalid `signature`"),
        (with(&turns(&message, &results), json!({"toolConfig": null})), "toolConfig field must be defined"),
    ] {
        let refused = ask(&server, &body);
        assert!(refused.status == 400 && refused.text().contains(why), "{why}: {}", refused.text());
    }
}

#[test]
fn pictures_documents_schemas_and_system_texts_are_seen() {
    let server = server();
    let content = json!([
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"document": {"format": "pdf", "name": "a", "source": {"bytes": "JVBERg=="}}},
        {"text": "x"}
    ]);
    let said = |body: &Value| ask(&server, body).json()["output"]["message"]["content"][0]["text"].clone();
    assert_eq!(
        said(&json!({"messages": [{"role": "user", "content": content}]})),
        "I see 1 image: image/png, 70 bytes. I read 1 file: application/pdf, 4 bytes"
    );
    let format =
        json!({"type": "json_schema", "structure": {"jsonSchema": {"schema": city().to_string(), "name": "n"}}});
    assert_eq!(said(&with(&hello(), json!({"outputConfig": {"textFormat": format}}))), "{\"city\":\"Zürich\"}");
    let body = json!({"messages": [{"role": "user", "content": [{"text": "mock[system]"}]}], "system": [{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}]});
    assert_eq!(said(&body), "system: a | b");
}

#[test]
fn what_bedrock_refuses_is_refused() {
    let server = server();
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let turn = |role: &str| json!({"role": role, "content": [{"text": "x"}]});
    let tool = |spec: Value| json!({"toolConfig": {"tools": [{"toolSpec": spec}]}});
    for (changes, why) in [
        (json!({"messages": []}), "messages"),
        (json!({"foo": 1}), "extraneous key [foo]"),
        (json!({"messages": [turn("assistant")]}), "must start with a user message"),
        (json!({"messages": [turn("user"), turn("user")]}), "must alternate"),
        (json!({"messages": [turn("system")]}), "enum value set"),
        (user(json!([{"text": " "}])), "is blank"),
        (user(json!([{"type": "text", "text": "x"}])), "extraneous key [type]"),
        (user(json!([{"text": "x", "image": {"format": "png", "source": {"bytes": "AA=="}}}])), "exactly one member"),
        (user(json!([{"image": {"format": "jpg", "source": {"bytes": "AA=="}}}])), "enum value set"),
        (
            user(json!([{"document": {"format": "pdf", "name": "a", "source": {"bytes": "AA=="}}}])),
            "text content block",
        ),
        (
            user(json!([{"text": "x"}, {"document": {"format": "pdf", "name": "a.pdf", "source": {"bytes": "AA=="}}}])),
            "file name",
        ),
        (json!({"inferenceConfig": {"temperature": 1.5}}), "inferenceConfig.temperature"),
        (json!({"inferenceConfig": {"maxTokens": 0}}), "inferenceConfig.maxTokens"),
        (json!({"toolConfig": {"tools": []}}), "toolConfig.tools"),
        (
            json!({"toolConfig": {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object"}}}}], "tool_choice": {"auto": {}}}}),
            "extraneous key [tool_choice]",
        ),
        (
            json!({"toolConfig": {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object"}}}}], "toolChoice": {"none": {}}}}),
            "extraneous key [none]",
        ),
        (tool(json!({"name": "a.b", "inputSchema": {"json": {"type": "object"}}})), "regular expression"),
        (tool(json!({"name": "a", "inputSchema": {"json": {}}})), "must be one of the following: object"),
        (tool(json!({"name": "a", "description": "", "inputSchema": {"json": {"type": "object"}}})), "description"),
        (json!({"requestMetadata": {"a": 1}}), "requestMetadata.a"),
    ] {
        let response = ask(&server, &with(&hello(), changes.clone()));
        assert_eq!(response.status, 400, "{changes}");
        assert!(response.header("x-amzn-errortype").unwrap().contains("Exception:http"));
        assert!(response.json()["message"].as_str().unwrap().contains(why), "{why}: {}", response.text());
    }
    let missing = post(&server, Kind::Bedrock, "/model/missing/converse", &[], &hello());
    assert_eq!(missing.status, 400);
    let raw = post(
        &server,
        Kind::Bedrock,
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse",
        &[],
        &hello(),
    );
    assert_eq!(raw.status, 200);
    assert_eq!(post(&server, Kind::Bedrock, "/model/arn:aws:x/y/converse", &[], &hello()).status, 404);
}

#[test]
fn a_signature_or_a_token_is_needed() {
    let server = server();
    let signed = |credential: &str, headers: &str, signature: &str| {
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={headers}, Signature={signature}")
    };
    let (scope, names, hex) =
        ("AKIA/20250101/us-east-1/bedrock/aws4_request", "content-type;host;x-amz-date", "0a".repeat(32));
    for (authorization, date, status, kind) in [
        (String::new(), true, 403, "MissingAuthenticationToken"),
        ("Bearer key".to_owned(), false, 200, ""),
        ("Bearer wrong".to_owned(), false, 403, "AccessDenied"),
        (signed(scope, names, &hex), true, 200, ""),
        (signed(scope, names, &hex), false, 403, "IncompleteSignature"),
        (signed(scope, names, "00"), true, 403, "IncompleteSignature"),
        (signed(scope, "content-type", &hex), true, 403, "InvalidSignature"),
        (signed("AKIA/20250101/us-east-1/s3/aws4_request", names, &hex), true, 403, "IncompleteSignature"),
        (signed("wrong/20250101/us-east-1/bedrock/aws4_request", names, &hex), true, 403, "UnrecognizedClient"),
    ] {
        let mut headers = vec![("content-type", "application/json")];
        if !authorization.is_empty() {
            headers.push(("authorization", &authorization));
        }
        if date {
            headers.push(("x-amz-date", "20250101T000000Z"));
        }
        let response = send(
            &server,
            Kind::Bedrock,
            "POST",
            &format!("{MODEL}/converse"),
            &headers,
            hello().to_string().as_bytes(),
        );
        assert_eq!(response.status, status, "{authorization}");
        assert!(response.header("x-amzn-errortype").unwrap_or_default().starts_with(kind));
    }
}

#[test]
fn invoke_speaks_each_models_language() {
    let server = server();
    let body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hé"}]});
    let answer = post(&server, Kind::Bedrock, &format!("{MODEL}/invoke"), &[], &body);
    assert_eq!(answer.json()["content"][0]["text"], "You said: hé");
    assert_eq!(answer.header("x-amzn-bedrock-input-token-count"), Some("9"));
    for changes in [json!({"model": "m"}), json!({"stream": true}), json!({"anthropic_version": null})] {
        let refused = post(&server, Kind::Bedrock, &format!("{MODEL}/invoke"), &[], &with(&body, changes));
        assert!(refused.status == 400 && refused.json()["message"].is_string());
    }
    let stream = post(&server, Kind::Bedrock, &format!("{MODEL}/invoke-with-response-stream"), &[], &body);
    let frames = frames(&stream.body);
    assert!(kinds(&frames).iter().all(|kind| *kind == "chunk"));
    let events: Vec<Value> = frames
        .iter()
        .map(|(_, payload)| {
            serde_json::from_slice(&STANDARD.decode(payload["bytes"].as_str().unwrap()).unwrap()).unwrap()
        })
        .collect();
    assert_eq!(
        (&events[0]["type"], &events.last().unwrap()["type"]),
        (&json!("message_start"), &json!("message_stop"))
    );

    let titan = |body: Value| post(&server, Kind::Bedrock, "/model/amazon.titan-embed-text-v2%3A0/invoke", &[], &body);
    assert_eq!(
        titan(json!({"inputText": "ab", "dimensions": 2})).json(),
        json!({"embedding": [0.0078125, 0.76171875], "inputTextTokenCount": 9})
    );
    assert_eq!(titan(json!({"texts": ["ab"]})).status, 400);
    let cohere = |body: Value| post(&server, Kind::Bedrock, "/model/cohere.embed-english-v3/invoke", &[], &body);
    let answer = cohere(json!({"texts": ["ab", "c"], "input_type": "search_document"}));
    assert_eq!(
        (answer.json()["embeddings"].as_array().unwrap().len(), answer.header("x-amzn-bedrock-input-token-count")),
        (2, Some("18"))
    );
    assert_eq!(cohere(json!({"texts": ["ab"]})).status, 400);
    let nova = |body: Value| {
        post(&server, Kind::Bedrock, "/model/amazon.nova-2-multimodal-embeddings-v1%3A0/invoke", &[], &body)
    };
    let text = json!({"truncationMode": "END", "value": "ab"});
    let parameters = json!({"embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 1, "text": text});
    let answer = nova(json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": parameters})).json();
    assert_eq!(answer["embeddings"][0]["embedding"], json!([0.0078125]));
    assert_eq!(nova(json!({"inputText": "ab"})).status, 400);
}

#[test]
fn streams_break_in_amazons_ways() {
    let server = server();
    let wish =
        |wish: &str| post(&server, Kind::Bedrock, &format!("{MODEL}/converse-stream"), &[("x-mock", wish)], &hello());
    let error = wish("mid_error");
    let frames = frames(&error.body);
    let (headers, payload) = frames.last().unwrap();
    assert_eq!(headers[0], (":exception-type".to_owned(), "modelStreamErrorException".to_owned()));
    assert_eq!((headers[2].1.as_str(), payload["message"].is_string()), ("exception", true));
    let (good, bad) = (wish("").body, wish("bad_crc").body);
    let differing = good.iter().zip(&bad).filter(|(one, other)| one != other).count();
    assert_eq!((good.len() == bad.len(), differing), (true, 1));
    assert!(wish("truncate=100").body.len() == 100);
    let failed = wish("error=429");
    assert!(failed.status == 429 && failed.header("x-amzn-errortype").unwrap().starts_with("ThrottlingException:"));
}
