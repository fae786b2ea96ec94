//! JSON text in the order of members that providers use: what names a thing comes before what it holds.

use serde_json::Value;

/// These come first, in this order; the others follow by name.
const FIRST: &[&str] = &[
    "type",
    "index",
    "id",
    "sequence_number",
    "object",
    "created",
    "created_at",
    "status",
    "model",
    "role",
    "name",
    "code",
    "message",
    "thinking",
    "text",
    "content",
    "reasoning_content",
    "tool_calls",
    "choices",
    "delta",
    "output",
    "candidates",
];

/// Writes a value.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    value_to(&mut text, value);
    text
}

fn value_to(text: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
            let mut mark = '{';
            for (name, value) in members {
                text.push(mark);
                mark = ',';
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                value_to(text, value);
            }
            text.push_str(if mark == '{' { "{}" } else { "}" });
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                value_to(text, item);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_and_ids_come_first_and_nothing_is_lost() {
        let value = json!({"b": [1, {}, "ü\n"], "type": "t", "a": null, "id": {"z": 1, "model": "m"}});
        let text = write(&value);
        assert_eq!(text, r#"{"type":"t","id":{"model":"m","z":1},"a":null,"b":[1,{},"ü\n"]}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
