//! `sluice translate` with the samples of filters/ai-normalize/samples.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROVIDERS: [&str; 8] = ["openai", "anthropic", "gemini", "bedrock", "cohere", "mistral", "deepseek", "groq"];
const CLIENTS: [&str; 3] = ["openai", "anthropic", "responses"];

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../filters/ai-normalize/samples")
}

fn translate(arguments: &[&str], input: Option<&[u8]>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.arg("translate").args(arguments).current_dir(samples());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // one that reads nothing has ended already
    let _ = stdin.write_all(input.unwrap_or_default());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json_of(arguments: &[&str], input: &[u8]) -> Value {
    let output = translate(&[&["--json", "-"][..], arguments].concat(), Some(input));
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stream_of(provider: &str) -> String {
    format!("streams/{provider}.{}", if provider == "bedrock" { "bin" } else { "txt" })
}

#[test]
fn every_client_can_ask_every_provider() {
    for client in CLIENTS {
        let file = match client {
            "openai" => "chat.json",
            "anthropic" => "messages.json",
            _ => "responses.json",
        };
        let request = std::fs::read(samples().join(file)).unwrap();
        for provider in ai_translate::provider::ALL.iter().map(|provider| provider.name()) {
            let sent = json_of(&["--client", client, "--provider", provider, "--model", "the-model"], &request);
            assert_eq!((&sent["method"], &sent["answered"]), (&json!("POST"), &json!(false)), "{client} {provider}");
            let (path, body) = (sent["path"].as_str().unwrap(), sent["body"].to_string());
            assert!(path.contains("the-model") || body.contains("the-model"), "{client} {provider}: {path} {body}");
            assert!(body.contains("Hello") && body.contains("Be kind."), "{client} {provider}: {body}");
            let all = sent.to_string();
            assert!(!all.contains("KEY"), "{all}");
            let has_key = all.contains("***");
            assert_eq!(has_key, !matches!(provider, "ollama" | "vllm" | "compatible"), "{all}");
        }
    }
}

#[test]
fn streams_are_the_same_however_they_are_fed() {
    for provider in PROVIDERS {
        let file = stream_of(provider);
        for client in CLIENTS {
            // the request's tools are in the client's words of OpenAI; another client asks for text
            let request = if client == "openai" { &["--request", "tools.json"][..] } else { &[] };
            // who has responses is asked for them by those who speak them
            let is_native = (client, provider) == ("responses", "openai");
            let file = if is_native { "streams/responses.txt" } else { file.as_str() };
            let fixed = [&["--client", client, "--provider", provider, "--stream", file][..], request].concat();
            let whole = translate(&fixed, None);
            assert!(whole.status.success(), "{}", text(&whole.stderr));
            let end = match client {
                "openai" => "data: [DONE]\n\n",
                "anthropic" => "{\"type\":\"message_stop\"}\n\n",
                _ => "}\n\n",
            };
            assert!(text(&whole.stdout).ends_with(end), "{client} {provider}: {}", text(&whole.stdout));
            assert!(!text(&whole.stdout).contains("\"error\":{"), "{}", text(&whole.stdout));
            let mut ways: Vec<Vec<String>> = vec![vec!["--lines".to_owned()]];
            ways.extend([1, 2, 3, 5, 7, 11, 64, 1000].map(|size| vec!["--split".to_owned(), format!("{size}")]));
            for way in ways {
                let way: Vec<&str> = way.iter().map(String::as_str).collect();
                let fed = translate(&[&fixed[..], &way].concat(), None);
                assert_eq!(text(&fed.stdout), text(&whole.stdout), "{client} {provider} {way:?}");
            }
        }
    }
}

#[test]
fn answers_and_errors_come_in_the_clients_words() {
    for provider in PROVIDERS {
        let answer = std::fs::read(samples().join(format!("answers/{provider}.json"))).unwrap();
        let read = json_of(&["--provider", provider, "--response", "--request", "tools.json"], &answer);
        // the sample's request asks for a stream; a whole answer becomes one
        assert!(read["body"].as_str().unwrap().contains("\"name\":\"weather\""), "{provider}: {read}");
        let read = json_of(&["--client", "anthropic", "--provider", provider, "--response"], &answer);
        assert_eq!((&read["status"], &read["body"]["type"]), (&json!(200), &json!("message")), "{provider}: {read}");
        assert_eq!(read["body"]["stop_reason"], "tool_use", "{provider}: {read}");
        let error = std::fs::read(samples().join(format!("errors/{provider}.json"))).unwrap();
        let told = ["--provider", provider, "--error", "--status", "429", "-H", "retry-after: 3"];
        let read = json_of(&told, &error);
        assert_eq!(
            (&read["status"], &read["headers"]["retry-after"]),
            (&json!(429), &json!("3")),
            "{provider}: {read}"
        );
        assert!(read["body"]["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{provider}: {read}");
    }
}

#[test]
fn what_is_lost_and_why_stands_before_the_head() {
    let output = translate(&["--provider", "anthropic", "chat.json"], None);
    let head = text(&output.stderr);
    assert!(
        head.starts_with("dropped  seed         this provider has nothing like it\nadapted  temperature  "),
        "{head}"
    );
    assert!(head.contains("\nPOST /v1/messages\n") && head.contains("\nx-api-key: ***\n"), "{head}");
    let output = translate(&["--provider", "anthropic", "--strict", "chat.json"], None);
    assert!(text(&output.stderr).starts_with("400, answered by the filter\n"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("\"param\":\"seed\""), "{}", text(&output.stdout));
}

#[test]
fn a_configuration_says_who_answers() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy-configs/ai.yaml");
    let config = config.to_str().unwrap();
    for (model, path) in [
        ("claude", "/v1/messages"),
        ("gemini", "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("vertex", "/v1/projects/demo/locations/europe-west1/publishers/google/models/gemini-2.5-pro:generateContent"),
    ] {
        let output = translate(&["-c", config, "--model", model, "chat.json"], None);
        let head = text(&output.stderr);
        assert!(head.contains(&format!("POST {path}\n")) && head.contains("x-sluice-cluster: "), "{head}");
        assert!(head.contains("***") && !head.contains("demo-"), "{head}");
    }
    let error = translate(&["-c", config, "--model", "claud", "chat.json"], None);
    assert!(text(&error.stdout).contains("did you mean \\\"claude\\\"?"), "{}", text(&error.stdout));
}

#[test]
fn frames_may_be_written_as_lines() {
    let lines = concat!(
        r#"{"messageStart":{"role":"assistant"}}"#,
        "\n",
        r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"hi"}}}"#,
        "\n",
        r#"{"throttlingException":{"message":"Slow down."}}"#,
        "\n"
    );
    let output = translate(&["--provider", "bedrock", "--stream", "-"], Some(lines.as_bytes()));
    let body = text(&output.stdout);
    assert!(body.contains(r#""content":"hi""#) && body.contains("Slow down.") && !body.contains("[DONE]"), "{body}");
    let output = translate(&["--provider", "bedrock", "--stream", "-"], Some(b"{\"a\":1,\"b\":2}\n"));
    assert_eq!(text(&output.stderr), "sluice: line 1: expected an object with one member, named by its event\n");
}

#[test]
fn mistakes_are_named() {
    let cases: [(&[&str], &[u8], &str); 7] = [
        (&["--provider", "bedorck", "-"], b"{}", "sluice: no provider \"bedorck\"; did you mean \"bedrock\"?\n"),
        (
            &["--client", "x", "--provider", "openai", "-"],
            b"{}",
            "sluice: no client \"x\"; there are openai, anthropic, responses\n",
        ),
        (
            &["--operation", "embeddings", "--client", "anthropic", "--provider", "openai", "-"],
            b"{}",
            "sluice: clients of anthropic do not ask for embeddings\n",
        ),
        (
            &["--provider", "openai", "nowhere.json"],
            b"",
            "sluice: nowhere.json: No such file or directory (os error 2)\n",
        ),
        (&["--provider", "openai", "-H", "nonsense", "-"], b"{}", "sluice: "),
        (&["--provider", "openai", "--stream", "--split", "0", "-"], b"", "error: invalid value '0' for '--split <N>'"),
        (&["-"], b"{}", "error: the following required arguments were not provided:\n  --provider <DIALECT>"),
    ];
    for (arguments, input, expected) in cases {
        let output = translate(arguments, Some(input));
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text(&output.stderr).starts_with(expected), "{arguments:?}: {}", text(&output.stderr));
    }
    let output = translate(&["--provider", "openai", "-"], Some(b"{\"model\":\"m\",\n\"messages\": [}"));
    assert!(text(&output.stdout).contains("line 2 column 14"), "{}", text(&output.stdout));
}
