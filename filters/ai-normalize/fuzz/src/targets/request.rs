use ai_translate::Operation;

use crate::exchange::Pair;
use crate::{Input, Target};

pub(super) const TARGET: Target = Target {
    name: "request",
    run,
    seeds,
    dictionary: &[
        b"\"messages\":[",
        b"{\"role\":\"user\",\"content\":",
        b"{\"role\":\"system\",\"content\":",
        b"{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":",
        b"{\"type\":\"text\",\"text\":\"x\"}",
        b"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,aGk=\"}}",
        b"\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]",
        b"\"tools\":[",
        b"\"tool_choice\":",
        b"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":",
        b"\"reasoning_effort\":\"low\"",
        b"{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}",
        b"{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":",
        b"\"$ref\":\"#/$defs/a\"",
        b"\"anyOf\":[",
        b"\"input\":[",
        b"null",
    ],
};

/// Any client's request to any provider: it is refused, or what goes out is JSON under a path that can be sent.
fn run(bytes: &[u8]) {
    let Some(input) = Input::new(bytes) else { return };
    let pair = Pair::numbered(input.mode());
    for operation in [Operation::Chat, Operation::Embeddings, Operation::CountTokens] {
        for strict in [false, true] {
            let Some(sent) = pair.send(operation, input.text, strict) else { continue };
            let body: serde_json::Value = serde_json::from_slice(&sent.outgoing.body)
                .unwrap_or_else(|error| panic!("{pair:?}: {error}: {}", String::from_utf8_lossy(&sent.outgoing.body)));
            assert!(body.is_object());
            let path = sent.outgoing.path;
            assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()), "{path}");
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let requests = [
        r##"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"x":{"$ref":"#/$defs/y"}},"$defs":{"y":{"anyOf":[{"type":"null"},{"type":"string"}]}}}}}],"tool_choice":"auto","temperature":0,"stop":["a"],"stream":true,"reasoning_effort":"low"}"##,
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object","properties":{"a":{"type":["string","null"],"enum":["b"]}},"additionalProperties":false}}},"n":1,"logprobs":true}"#,
        r#"{"model":"m","max_tokens":9,"system":"s","messages":[{"role":"user","content":[{"type":"text","text":"x"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"1"}],"is_error":true}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"thinking":{"type":"enabled","budget_tokens":2048}}"#,
        r#"{"model":"m","instructions":"i","input":[{"role":"user","content":[{"type":"input_text","text":"x"}]},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"1"}],"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"text":{"format":{"type":"json_object"}},"reasoning":{"effort":"high"}}"#,
        r#"{"model":"m","input":["a","b"],"dimensions":8,"encoding_format":"base64"}"#,
    ];
    let modes = (0..Pair::all().count()).map(|number| u8::try_from(number).unwrap());
    modes.flat_map(|mode| requests.map(|request| Input::seed(mode, request.as_bytes()))).collect()
}
