//! What is kept of a stream. By itself, since it looks at the memory of its whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use ai_fuzz::exchange::{Pair, framed};
use ai_translate::{client, provider};

/// Bytes that this process has in memory.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * 4096)
}

/// Events that go on and on, by the provider that may send them.
fn endless(provider: &str) -> Vec<fn(u32) -> String> {
    match provider {
        "openai" => vec![
            |_| "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"some more words \"}}]}\n\n".to_owned(),
            |n| {
                format!(
                    "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":{n},\"id\":\"call_{n}\",\"function\":{{\"name\":\"f\",\"arguments\":\"{{}}\"}}}}]}}}}]}}\n\n"
                )
            },
            |n| format!("data: {{\"choices\":[{{\"index\":{n},\"delta\":{{\"content\":\"x\"}}}}]}}\n\n"),
        ],
        "anthropic" => vec![
            |_| {
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"some more words \"}}\n\n".to_owned()
            },
            |n| {
                format!(
                    "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":{n},\"content_block\":{{\"type\":\"tool_use\",\"id\":\"t{n}\",\"name\":\"f\",\"input\":{{}}}}}}\n\n"
                )
            },
        ],
        "gemini" => vec![
            |_| "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"some more words \"}]}}]}\n\n".to_owned(),
            |_| {
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{}}}]}}]}\n\n".to_owned()
            },
            |n| {
                format!(
                    "data: {{\"candidates\":[{{\"index\":{n},\"content\":{{\"parts\":[{{\"text\":\"x\"}}]}}}}]}}\n\n"
                )
            },
        ],
        "bedrock" => vec![
            |_| "contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"some more words \"}}\n".to_owned(),
            |n| {
                format!(
                    "contentBlockStart {{\"contentBlockIndex\":{n},\"start\":{{\"toolUse\":{{\"toolUseId\":\"t{n}\",\"name\":\"f\"}}}}}}\n"
                )
            },
        ],
        "cohere" => vec![
            |_| {
                "data: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"some more words \"}}}}\n\n".to_owned()
            },
            |n| {
                format!(
                    "data: {{\"type\":\"tool-call-start\",\"index\":{n},\"delta\":{{\"message\":{{\"tool_calls\":{{\"id\":\"t{n}\",\"type\":\"function\",\"function\":{{\"name\":\"f\",\"arguments\":\"\"}}}}}}}}}}\n\n"
                )
            },
        ],
        _ => vec![],
    }
}

/// Whatever a provider sends, and however long: what is kept of it does not grow.
#[test]
fn streams_without_end_take_no_memory() {
    if resident().is_none() {
        eprintln!("SKIPPED: /proc/self/statm tells nothing here");
        return;
    }
    for name in ["openai", "anthropic", "gemini", "bedrock", "cohere"] {
        let provider = provider::find(name).unwrap();
        for client in client::ALL {
            let answering = Pair { client: *client, provider }.plain(true);
            for (number, event) in endless(name).into_iter().enumerate() {
                let mut pipe = answering.stream();
                let mut out = Vec::new();
                let mut feed = |count: std::ops::Range<u32>| {
                    for n in count {
                        out.clear();
                        pipe.feed(&framed(provider, event(n).as_bytes()), &mut out);
                    }
                };
                feed(0..5_000);
                let before = resident().unwrap();
                feed(5_000..55_000);
                let grown = resident().unwrap().saturating_sub(before);
                assert!(grown < 1 << 20, "{} <- {name}, {number}: {grown} bytes", client.name());
            }
        }
    }
}
