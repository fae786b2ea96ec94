//! What a request wishes for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod client;

use client::{Response, post, send};
use mock_providers::{Kind, Server};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn ask(server: &Server, wishes: &str, stream: bool) -> Response {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "a b"}], "stream": stream});
    post(server, Kind::OpenAi, "/v1/chat/completions", &[("x-mock", wishes)], &body)
}

fn server() -> Server {
    Server::of(&[Kind::OpenAi, Kind::Anthropic]).unwrap()
}

#[test]
fn errors_come_as_wished_in_the_providers_shape() {
    let server = server();
    let response = ask(&server, "error=429;retry_after=3", true);
    assert_eq!((response.status, response.header("retry-after")), (429, Some("3")));
    assert_eq!(response.json()["error"]["code"], "rate_limit_exceeded");
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x mock[error=529]"}]});
    let response = post(&server, Kind::Anthropic, "/v1/messages", &[], &body);
    assert_eq!((response.status, &response.json()["error"]["type"]), (529, &json!("overloaded_error")));
    let html = ask(&server, "error=503;body=html", false);
    assert_eq!((html.status, html.header("content-type")), (503, Some("text/html")));
    let empty = ask(&server, "error=503;body=empty", false);
    assert_eq!((empty.body.len(), empty.header("content-length")), (0, Some("0")));
    assert!(ask(&server, "error=500;body=array", false).json()[0]["error"].is_object());
    let gzip = ask(&server, "error=500;body=gzip", false);
    assert_eq!((gzip.header("content-encoding"), &gzip.body[..2]), (Some("gzip"), &[0x1f, 0x8b][..]));
}

#[test]
fn a_wrong_request_is_refused_whatever_it_wishes() {
    let response = post(&server(), Kind::OpenAi, "/v1/chat/completions", &[("x-mock", "error=500")], &json!({}));
    assert_eq!(response.status, 400);
}

#[test]
fn streams_break_in_each_way() {
    let server = server();
    let error = ask(&server, "mid_error", true);
    assert!(error.complete && error.events().last().unwrap()["error"].is_object());
    assert!(!error.text().contains("DONE"));
    let cut = ask(&server, "truncate", true);
    assert!(cut.complete && !cut.text().contains("finish_reason\":\"stop"));
    let reset = ask(&server, "reset", true);
    assert!(reset.reset && !reset.complete && !reset.events().is_empty());
    let inside = ask(&server, "reset=10", true);
    assert_eq!((inside.complete, inside.text()), (false, "data: {\"id"));
    let garbage = ask(&server, "garbage", false);
    assert_eq!((garbage.status, serde_json::from_slice::<Value>(&garbage.body).is_err()), (200, true));
}

#[test]
fn answers_are_late_long_compressed_and_in_pieces_as_wished() {
    let server = server();
    let begun = Instant::now();
    let whole = ask(&server, "delay_ms=40;gap_ms=5", true);
    assert!(begun.elapsed() >= Duration::from_millis(60));
    assert_eq!(ask(&server, "chunk=7", true).body, whole.body);
    let long = ask(&server, "tokens=50;cached=100;reasoning", false).json();
    assert!(long["choices"][0]["message"]["content"].as_str().unwrap().ends_with("t49 "));
    assert_eq!(long["usage"]["prompt_tokens"], 109);
    assert_eq!(long["usage"]["completion_tokens"], 53);
    let deflate = ask(&server, "deflate", false);
    assert_eq!((deflate.header("content-encoding"), deflate.body[0]), (Some("deflate"), 0x78));
    for (wish, reason) in [("length", "length"), ("content_filter", "content_filter"), ("unknown", "novelty")] {
        let answer = ask(&server, &format!("finish={wish}"), false).json();
        assert_eq!(answer["choices"][0]["finish_reason"], reason);
    }
}

#[test]
fn requests_are_recorded_and_forgotten() {
    let server = server();
    ask(&server, "chunk=1000", false);
    let response = send(&server, Kind::OpenAi, "GET", "/__requests", &[], b"");
    let told = response.json();
    assert_eq!((told[0]["method"].as_str(), told[0]["path"].as_str()), (Some("POST"), Some("/v1/chat/completions")));
    assert!(told[0]["headers"].as_array().unwrap().contains(&json!(["x-mock", "chunk=1000"])));
    let requests = server.requests(Kind::OpenAi);
    assert_eq!(requests[0].json()["model"], "m");
    assert_eq!(requests[0].header("authorization"), Some("Bearer key"));
    assert_eq!(send(&server, Kind::OpenAi, "DELETE", "/__requests", &[], b"").status, 204);
    assert!(server.requests(Kind::OpenAi).is_empty());
    for _ in 0..205 {
        send(&server, Kind::OpenAi, "GET", "/x", &[], b"");
    }
    assert_eq!(server.requests(Kind::OpenAi).len(), 200);
}

#[test]
fn an_error_in_a_stream_is_of_the_status_that_is_wished_for() {
    let server = Server::of(&[Kind::Anthropic, Kind::Bedrock, Kind::Gemini]).unwrap();
    let wish = [("x-mock", "mid_error=429")];
    let said = json!([{"role": "user", "content": "hé"}]);
    let body = json!({"model": "m", "max_tokens": 9, "messages": said, "stream": true});
    let anthropic = post(&server, Kind::Anthropic, "/v1/messages", &wish, &body);
    assert_eq!(anthropic.events().last().unwrap()["error"]["type"], "rate_limit_error");
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hé"}]}]});
    let gemini = post(&server, Kind::Gemini, "/v1beta/models/m:streamGenerateContent?alt=sse", &wish, &body);
    assert_eq!(gemini.events().last().unwrap()["error"]["status"], "RESOURCE_EXHAUSTED");
    let body = json!({"messages": [{"role": "user", "content": [{"text": "hé"}]}]});
    let bedrock = post(&server, Kind::Bedrock, "/model/m/converse-stream", &wish, &body);
    assert!(String::from_utf8_lossy(&bedrock.body).contains("throttlingException"));
}
