//! ai-normalize behind both gateways: what only a network shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod ai_gateway;

use ai_gateway::{BOUND, Bootstrap, Client, counter, embedded, envoy, mocks, post, serve, wait_for};
use mock_providers::{Kind, Server};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";

fn say(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

fn stream(model: &str, text: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": text}]})
}

/// Runs a test behind each gateway, each with mocks of its own.
fn on_both(change: impl Fn(&mut Bootstrap), test: impl Fn(&Bootstrap, &Server)) {
    for name in ["embedded", "envoy"] {
        let mocks = mocks();
        let mut bootstrap = Bootstrap::new(&mocks);
        change(&mut bootstrap);
        let folder = tempfile::tempdir().unwrap();
        let file = bootstrap.write(folder.path());
        let command = if name == "envoy" { envoy(&file, 1) } else { Some(embedded(&file)) };
        let Some(mut command) = command else {
            eprintln!("SKIPPED on Envoy: the variable ENVOY names none");
            continue;
        };
        eprintln!("on {name}");
        let _running = serve(&mut command, &bootstrap);
        test(&bootstrap, &mocks);
    }
}

/// As many as the embedded gateway has, and more than the Envoy of these tests.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn outcome(provider: &str, model: &str, outcome: &str) -> String {
    format!("sluice_ai.provider.{provider}.model.{model}.operation.chat.outcome.{outcome}.requests_total")
}

#[test]
fn a_picture_of_a_megabyte_and_a_half_gets_to_every_kind_of_provider() {
    // three quarters of the text, and three bytes for each four letters
    let picture = "A".repeat(2_000_000);
    let url = format!("data:image/png;base64,{picture}");
    let content = json!([{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": url}}]);
    on_both(
        |_| {},
        |bootstrap, _| {
            for model in ["openai", "claude", "gemini", "bedrock"] {
                let body = json!({"model": model, "messages": [{"role": "user", "content": content}]});
                let response = post(bootstrap.port, CHAT, &[], &body);
                assert_eq!(response.status, 200, "{model}: {}", response.text());
                let said = response.json()["choices"][0]["message"]["content"].to_string();
                assert!(said.contains("1500000 bytes"), "{model}: {said}");
            }
        },
    );
}

#[test]
fn twenty_megabytes_are_refused_in_the_clients_words() {
    let body = vec![b' '; 20 << 20];
    on_both(
        |_| {},
        |bootstrap, mocks| {
            for (path, shape) in [(CHAT, "/error/code"), ("/v1/messages", "/error/type")] {
                for length in [Some(body.len()), None] {
                    let mut client = Client::connect(bootstrap.port);
                    client.head(path, &[], length);
                    if length.is_some() {
                        client.write(&body);
                    } else {
                        for piece in body.chunks(1 << 16) {
                            client.write(format!("{:x}\r\n", piece.len()).as_bytes());
                            client.write(piece);
                            client.write(b"\r\n");
                        }
                        client.write(b"0\r\n\r\n");
                    }
                    let response = client.response();
                    assert_eq!(response.status, 413, "{path} {length:?}: {}", response.text());
                    let told = response.json();
                    assert_eq!(told.pointer(shape), Some(&json!("request_too_large")), "{path} {length:?}: {told}");
                }
            }
            assert!(mocks.requests(Kind::OpenAi).is_empty());
            assert_eq!(post(bootstrap.port, CHAT, &[], &say("openai", "Hello")).status, 200);
        },
    );
}

#[test]
fn a_stream_comes_piece_by_piece_and_a_client_may_leave_in_the_middle() {
    on_both(
        |_| {},
        |bootstrap, _| {
            for (model, provider) in [("openai", "openai"), ("claude", "anthropic"), ("bedrock", "bedrock")] {
                let body = stream(model, "Hello mock[gap_ms=1000;tokens=20]").to_string();
                let mut client = Client::connect(bootstrap.port);
                client.head(CHAT, &[], Some(body.len()));
                client.write(body.as_bytes());
                let seen = client.until("t0");
                assert!(seen.contains("t0") && !seen.contains("[DONE]") && !seen.contains("t9"), "{model}: {seen}");
                drop(client);
                wait_for(bootstrap.admin, &outcome(provider, model, "aborted"), 1);
                assert_eq!(post(bootstrap.port, CHAT, &[], &say(model, "Hello")).status, 200);
                wait_for(bootstrap.admin, &outcome(provider, model, "ok"), 1);
            }
        },
    );
}

#[test]
fn a_provider_that_breaks_off_never_looks_like_success() {
    on_both(
        |_| {},
        |bootstrap, _| {
            for model in ["openai", "claude", "gemini", "bedrock", "cohere"] {
                for wish in ["reset=600", "truncate=600", "garbage", "mid_error", "bad_crc"] {
                    if wish == "bad_crc" && model != "bedrock" {
                        continue;
                    }
                    let text = format!("Hello mock[{wish};tokens=8]");
                    let response = post(bootstrap.port, CHAT, &[], &stream(model, &text));
                    let seen = response.text();
                    assert!(!seen.contains("[DONE]"), "{model} {wish}: {seen}");
                    let told = seen.contains("\"error\":{");
                    assert!(told || !response.complete || response.status >= 500, "{model} {wish}: {seen}");
                }
                let response = post(bootstrap.port, CHAT, &[], &say(model, "Hello mock[reset=20]"));
                assert!(response.status >= 500 || !response.complete, "{model}: {}", response.text());
                let response = post(bootstrap.port, CHAT, &[], &stream(model, "Hello"));
                assert!(response.complete && response.text().ends_with("data: [DONE]\n\n"), "{model}");
            }
        },
    );
}

#[test]
fn trailers_behind_answers_and_streams() {
    on_both(Bootstrap::over_http2, |bootstrap, mocks| {
        for model in ["openai", "claude", "bedrock"] {
            let response = post(bootstrap.port, CHAT, &[], &say(model, "Hello mock[trailers]"));
            assert_eq!((response.status, response.complete), (200, true), "{model}: {}", response.text());
            assert_eq!(response.json()["choices"][0]["message"]["content"], "You said: Hello", "{model}");
            let response = post(bootstrap.port, CHAT, &[], &stream(model, "Hello mock[trailers]"));
            assert!(response.complete && response.text().ends_with("data: [DONE]\n\n"), "{model}: {}", response.text());
            let response = post(bootstrap.port, CHAT, &[], &stream(model, "Hello mock[trailers;truncate=500]"));
            let seen = response.text();
            assert!(!seen.contains("[DONE]"), "{model}: {seen}");
            assert!(seen.contains("\"error\":{") || !response.complete, "{model}: {seen}");
        }
        assert!(mocks.requests(Kind::Anthropic).iter().all(|request| format!("{:?}", request.version).contains('2')));
    });
}

#[test]
fn compressed_answers_of_any_cut_are_read() {
    on_both(
        |_| {},
        |bootstrap, _| {
            for model in ["openai", "claude", "gemini"] {
                for wish in ["gzip", "deflate", "gzip;chunk=1", "deflate;chunk=7"] {
                    let text = format!("Grüße mock[{wish}]");
                    let response = post(bootstrap.port, CHAT, &[("accept-encoding", "gzip")], &say(model, &text));
                    assert_eq!(
                        response.json()["choices"][0]["message"]["content"],
                        "You said: Grüße",
                        "{model} {wish}"
                    );
                    assert_eq!(response.header("content-encoding"), None);
                    let response = post(bootstrap.port, CHAT, &[], &stream(model, &text));
                    let seen = response.text();
                    assert!(seen.contains("Grüße") && seen.ends_with("data: [DONE]\n\n"), "{model} {wish}: {seen}");
                }
                let wish = say(model, "Hello mock[error=503;body=gzip]");
                let response = post(bootstrap.port, CHAT, &[], &wish);
                assert_eq!((response.status, response.header("content-encoding")), (503, None), "{}", response.text());
                assert!(response.json()["error"]["message"].is_string());
            }
        },
    );
}

#[test]
fn what_is_not_there_is_told_and_no_key_is() {
    let change = |bootstrap: &mut Bootstrap| {
        let variables = &mut bootstrap.plugin()["vm_config"]["environment_variables"]["key_values"];
        variables.as_object_mut().unwrap().remove("OPENAI_API_KEY");
        variables["ANTHROPIC_API_KEY"] = json!("a-wrong-key");
    };
    on_both(change, |bootstrap, mocks| {
        let response = post(bootstrap.port, CHAT, &[], &say("claudee", "Hello"));
        assert_eq!((response.status, &response.json()["error"]["code"]), (404, &json!("model_not_found")));
        assert!(response.text().contains("did you mean \\\"claude\\\"?"), "{}", response.text());
        let response =
            post(bootstrap.port, CHAT, &[("authorization", "Bearer of-the-client")], &say("openai", "Hello"));
        assert_eq!((response.status, &response.json()["error"]["code"]), (500, &json!("provider_key_missing")));
        assert!(mocks.requests(Kind::OpenAi).is_empty());
        let response = post(bootstrap.port, CHAT, &[], &say("claude", "Hello"));
        assert_eq!(response.status, 401, "{}", response.text());
        assert!(!format!("{}{}", response.head, response.text()).contains("a-wrong-key"));
        assert_eq!(counter(bootstrap.admin, "sluice_ai.reason.missing_key.refused_total"), 1);
    });
}

/// A secret that Envoy keeps and injects, as one of SDS would be.
#[test]
fn keys_may_come_from_envoys_own_secrets() {
    let mocks = mocks();
    let mut bootstrap = Bootstrap::new(&mocks);
    bootstrap.filter()["providers"][0]["auth"] = json!({"bearer": {"header": "x-openai-key"}});
    bootstrap.value["static_resources"]["secrets"] =
        json!([{"name": "openai-key", "generic_secret": {"secret": {"inline_string": "from-a-secret"}}}]);
    let injector = json!({"name": "envoy.filters.http.credential_injector", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
        "overwrite": true,
        "credential": {"name": "envoy.http.injected_credentials.generic", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
            "credential": {"name": "openai-key"}, "header": "x-openai-key"}}}});
    let manager = &mut bootstrap.value["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    manager["typed_config"]["http_filters"].as_array_mut().unwrap().insert(0, injector);
    let folder = tempfile::tempdir().unwrap();
    let Some(mut command) = envoy(&bootstrap.write(folder.path()), 1) else {
        eprintln!("SKIPPED on Envoy: the variable ENVOY names none");
        return;
    };
    let _running = serve(&mut command, &bootstrap);
    for model in ["openai", "claude"] {
        let forged = [("x-openai-key", "of-the-client"), ("authorization", "Bearer of-the-client")];
        let response = post(bootstrap.port, CHAT, &forged, &say(model, "Hello"));
        assert_eq!(response.status, 200, "{model}: {}", response.text());
    }
    let of_openai = &mocks.requests(Kind::OpenAi)[0].headers;
    assert!(of_openai.contains(&("authorization".to_owned(), "Bearer from-a-secret".to_owned())), "{of_openai:?}");
    for headers in [of_openai, &mocks.requests(Kind::Anthropic)[0].headers] {
        let told = format!("{headers:?}");
        assert!(!told.contains("x-openai-key") && !told.contains("of-the-client"), "{told}");
    }
    assert!(!format!("{:?}", mocks.requests(Kind::Anthropic)[0].headers).contains("from-a-secret"));
}

#[test]
fn a_host_that_cannot_hold_heads_takes_the_model_from_a_header_or_the_path() {
    let change = |bootstrap: &mut Bootstrap| {
        bootstrap.filter()["hold"] = json!(false);
        bootstrap.filter()["model_header"] = json!("x-model");
        bootstrap.plugin().as_object_mut().unwrap().remove("allow_on_headers_stop_iteration");
    };
    on_both(change, |bootstrap, mocks| {
        for model in ["openai", "claude", "gemini", "bedrock", "cohere"] {
            let path = format!("/models/{model}/v1/chat/completions");
            for (path, headers) in [(CHAT, vec![("x-model", model)]), (&path, vec![])] {
                let response = post(bootstrap.port, path, &headers, &say("whatever", "Hello"));
                assert_eq!(response.status, 200, "{model}: {}", response.text());
                assert_eq!(response.json()["choices"][0]["message"]["content"], "You said: Hello");
                let response = post(bootstrap.port, path, &headers, &say("whatever", "Hello mock[error=429]"));
                assert_eq!(response.status, 429, "{model}");
                assert!(response.json()["error"]["message"].is_string(), "{model}: {}", response.text());
                let headers = [&headers[..], &[("accept", "text/event-stream")]].concat();
                let response = post(bootstrap.port, path, &headers, &stream("whatever", "Hello"));
                assert!(response.text().ends_with("data: [DONE]\n\n"), "{model}: {}", response.text());
            }
        }
        let response = post(bootstrap.port, CHAT, &[], &say("openai", "Hello"));
        assert_eq!((response.status, &response.json()["error"]["code"]), (400, &json!("model_not_named")));
        let picture = format!("data:image/png;base64,{}", "A".repeat(2_000_000));
        let content = json!([{"type": "image_url", "image_url": {"url": picture}}]);
        let body = json!({"messages": [{"role": "user", "content": content}]});
        let response = post(bootstrap.port, CHAT, &[("x-model", "claude")], &body);
        assert!(response.text().contains("1500000 bytes"), "{}", response.text());
        assert!(
            mocks
                .requests(Kind::Anthropic)
                .iter()
                .all(|request| { request.headers.iter().all(|(name, _)| name != "x-model") })
        );
    });
}

#[test]
fn requests_under_way_have_a_limit() {
    let change = |bootstrap: &mut Bootstrap| {
        bootstrap.filter()["max_request_bytes"] = json!(1_000_000);
        bootstrap.filter()["max_inflight_bytes"] = json!(3_000_000);
    };
    on_both(change, |bootstrap, _| {
        // each counts as the longest that it may become: three of them fit, in each worker
        let mut waiting: Vec<Client> = Vec::new();
        for _ in 0..4 * workers() {
            let mut client = Client::connect(bootstrap.port);
            client.head(CHAT, &[], None);
            client.write(b"1\r\n{\r\n");
            waiting.push(client);
        }
        let name = "sluice_ai.reason.overloaded.refused_total";
        let begin = Instant::now();
        while counter(bootstrap.admin, name) == 0 {
            assert!(begin.elapsed() < BOUND, "nothing is refused");
            std::thread::sleep(Duration::from_millis(20));
        }
        // which of them is a matter of workers
        let refused = waiting.iter_mut().find(|client| client.has_answer()).expect("an answer");
        let refused = std::mem::replace(refused, Client::connect(bootstrap.port)).response();
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.text());
        assert_eq!(refused.json()["error"]["code"], "overloaded");
        drop(waiting);
        let mut last = 503;
        for _ in 0..500 {
            last = post(bootstrap.port, CHAT, &[], &say("openai", "Hello")).status;
            if last == 200 {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(last, 200);
    });
}
