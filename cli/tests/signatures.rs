//! Envoy's aws_request_signing behind ai-normalize signs what goes out: its signatures are made once more, from what the mock has got.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod ai_gateway;

use ai_gateway::{Bootstrap, envoy, post, serve};
use hmac::{Hmac, Mac};
use mock_providers::{Kind, Recorded, Server};
use serde_json::json;
use sha2::{Digest, Sha256};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// AWS Signature Version 4 of a request that was received, with the secret of envoy-configs/ai-aws.yaml.
fn signature(request: &Recorded) -> String {
    let header = |name: &str| {
        let values: Vec<&str> =
            request.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.trim()).collect();
        values.join(",")
    };
    let authorization = header("authorization");
    let part = |name: &str| authorization.split(name).nth(1).unwrap().split(',').next().unwrap().to_owned();
    let (credential, signed) = (part("Credential="), part("SignedHeaders="));
    let scope = credential.split_once('/').unwrap().1;
    let headers: String = signed.split(';').map(|name| format!("{name}:{}\n", header(name))).collect();
    // what is encoded in the path is encoded once more, for every service but S3
    let path = request.path.replace('%', "%25");
    let body = hex(&Sha256::digest(request.body.as_bytes()));
    let canonical = format!("{}\n{path}\n\n{headers}\n{signed}\n{body}", request.method);
    let text =
        format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", header("x-amz-date"), hex(&Sha256::digest(canonical.as_bytes())));
    let key = scope.split('/').fold(b"AWS4not-a-secret".to_vec(), |key, step| hmac(&key, step));
    hex(&hmac(&key, &text))
}

#[test]
fn signatures_are_those_of_what_goes_out() {
    let mocks = Server::of(&[Kind::Bedrock]).unwrap();
    let bootstrap = Bootstrap::of("envoy-configs/ai-aws.yaml", &mocks);
    let folder = tempfile::tempdir().unwrap();
    let Some(mut command) = envoy(&bootstrap.write(folder.path()), 1) else {
        eprintln!("SKIPPED on Envoy: the variable ENVOY names none");
        return;
    };
    let _running = serve(&mut command, &bootstrap);
    let content = json!([{"role": "user", "content": format!("Grüße {}", "x".repeat(100_000))}]);
    for (path, body) in [
        ("/v1/chat/completions", json!({"model": "claude", "messages": content})),
        ("/v1/chat/completions", json!({"model": "claude", "messages": content, "stream": true})),
        ("/v1/messages", json!({"model": "claude", "max_tokens": 9, "messages": content})),
        ("/v1/embeddings", json!({"model": "titan", "input": "Hello"})),
    ] {
        let response = post(bootstrap.port, path, &[("authorization", "Bearer of-the-client")], &body);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
    }
    let requests = mocks.requests(Kind::Bedrock);
    assert_eq!(requests.len(), 4);
    for request in requests {
        let told = request.headers.iter().find(|(name, _)| name == "authorization").unwrap().1.clone();
        assert_eq!(told.split("Signature=").nth(1).unwrap(), signature(&request), "{}", request.path);
        assert!(!format!("{:?}", request.headers).contains("of-the-client"));
    }
}
