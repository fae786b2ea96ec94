//! JSON of protocol buffers: Google reads `mime_type` as `mimeType`, and base64 of either alphabet; its own SDK writes both.

use serde_json::Value;

/// Members whose value is the caller's own.
const FREE: [&str; 7] =
    ["args", "default", "example", "labels", "parametersJsonSchema", "response", "responseJsonSchema"];

/// Members whose names are the caller's own, but not what is inside.
const NAMED: [&str; 1] = ["properties"];

/// Members that are bytes.
const BYTES: [&str; 1] = ["data"];

/// A body with all names in camel case, and all bytes in the first alphabet.
pub fn camel(value: Value) -> Value {
    match value {
        Value::Object(members) => members.into_iter().map(|(name, value)| renamed(&name, value)).collect(),
        Value::Array(items) => items.into_iter().map(camel).collect(),
        other => other,
    }
}

fn renamed(name: &str, value: Value) -> (String, Value) {
    let name = in_camel(name);
    let value = match value {
        value if FREE.contains(&name.as_str()) => value,
        Value::Object(members) if NAMED.contains(&name.as_str()) => {
            members.into_iter().map(|(name, value)| (name, camel(value))).collect()
        }
        Value::String(text) if BYTES.contains(&name.as_str()) => text.replace('-', "+").replace('_', "/").into(),
        value => camel(value),
    };
    (name, value)
}

fn in_camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_in_camel_case_but_not_those_of_the_caller() {
        let own = json!({"a_b": {"c_d": 1}});
        let body = json!({
            "system_instruction": {"parts": [{"inline_data": {"mime_type": "a_b", "data": "-_A="}}]},
            "contents": [{"parts": [{"function_call": {"name": "f_g", "args": own}}]}],
            "generation_config": {"response_schema": {"properties": {"a_b": {"min_items": 1}}}},
            "tools": [{"functionDeclarations": [{"parameters_json_schema": own}]}],
        });
        let expected = json!({
            "systemInstruction": {"parts": [{"inlineData": {"mimeType": "a_b", "data": "+/A="}}]},
            "contents": [{"parts": [{"functionCall": {"name": "f_g", "args": own}}]}],
            "generationConfig": {"responseSchema": {"properties": {"a_b": {"minItems": 1}}}},
            "tools": [{"functionDeclarations": [{"parametersJsonSchema": own}]}],
        });
        assert_eq!(camel(body), expected);
    }
}
