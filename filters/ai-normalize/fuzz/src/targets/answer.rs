use ai_translate::provider::AnswerHead;

use crate::exchange::{Pair, Streamed, check_stream};
use crate::{Input, Target};

pub(super) const TARGET: Target = Target {
    name: "answer",
    run,
    seeds,
    dictionary: &[
        b"\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"x\"}",
        b"\"finish_reason\":\"stop\"",
        b"\"content\":[{\"type\":\"text\",\"text\":\"x\"}]",
        b"\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]",
        b"\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":\"x\"}]}}",
        b"{\"error\":{\"message\":\"x\",\"type\":\"y\",\"code\":\"z\"}}",
        b"[{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\"}}]",
        b"<html><title>x</title>",
    ],
};

const STATUSES: [u16; 8] = [200, 200, 201, 400, 401, 429, 500, 529];

/// Any bytes as a whole answer with any status, to those who asked for a stream and those who did not: JSON, or a stream with one end.
fn run(bytes: &[u8]) {
    let Some(input) = Input::new(bytes) else { return };
    let pair = Pair::numbered(input.mode());
    for stream in [false, true] {
        let answering = pair.plain(stream);
        for status in STATUSES {
            let header = |name: &str| (name == "retry-after").then(|| "3".to_owned());
            let answer = answering.whole(&AnswerHead { status, header: &header }, input.text);
            assert_eq!(answer.error.is_none(), (200..300).contains(&answer.status), "{answer:?}");
            if answer.is_stream {
                let outcome = ai_translate::stream::Outcome::Complete;
                check_stream(&answering, &Streamed { out: answer.body.unwrap(), outcome });
            } else if let Some(body) = &answer.body {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                assert!(body.is_object());
            } else {
                // it goes on as it is, so it has to be JSON
                serde_json::from_slice::<serde::de::IgnoredAny>(input.text).unwrap();
            }
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let answers = [
        r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
        r#"{"id":"a","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"x"},{"type":"tool_use","id":"a","name":"f","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}"#,
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"x"},{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}"#,
        r#"{"output":{"message":{"role":"assistant","content":[{"text":"x"},{"toolUse":{"toolUseId":"a","name":"f","input":{}}}]}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":2}}"#,
        r#"{"id":"a","message":{"role":"assistant","content":[{"type":"text","text":"x"}]},"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":1,"output_tokens":2}}}"#,
        r#"{"error":{"message":"x","type":"y","param":null,"code":"z"}}"#,
        r#"[{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}]"#,
    ];
    let modes = (0..Pair::all().count()).map(|number| u8::try_from(number).unwrap());
    modes.flat_map(|mode| answers.map(|answer| Input::seed(mode, answer.as_bytes()))).collect()
}
