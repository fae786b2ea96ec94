//! A value that fits a JSON Schema (or the subset of Gemini and Cohere): the arguments of a tool call, structured output.

use serde_json::{Map, Value, json};

/// The text in place of each string that may be anything; it is more than ASCII on purpose.
pub const STRING: &str = "Zürich";

/// Deeper than this, a schema is taken to go round in circles.
const MAX_DEPTH: usize = 12;

/// Makes the value. Properties all have one, required or not.
pub fn from_schema(schema: &Value) -> Value {
    value(schema, schema, 0)
}

fn value(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    if let Some(target) =
        schema.get("$ref").and_then(Value::as_str).and_then(|to| root.pointer(to.trim_start_matches('#')))
    {
        return value(target, root, depth + 1);
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    let first = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|all| all.first());
    if let Some(one) = first("enum") {
        return one.clone();
    }
    if let Some(one) = first("anyOf").or_else(|| first("oneOf")) {
        return value(one, root, depth + 1);
    }
    if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
        let parts = all.iter().map(|part| value(part, root, depth + 1));
        return Value::Object(parts.filter_map(|part| part.as_object().cloned()).flatten().collect());
    }
    match type_of(schema).as_str() {
        "string" => json!(STRING),
        "integer" => schema.get("minimum").filter(|least| least.is_i64()).cloned().unwrap_or(json!(7)),
        "number" => schema.get("minimum").cloned().unwrap_or(json!(1.5)),
        "boolean" => json!(true),
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 16);
            let item = schema.get("items").map_or(json!(STRING), |items| value(items, root, depth + 1));
            (0..least).map(|_| item.clone()).collect()
        }
        "null" => Value::Null,
        _ => {
            let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            properties.map(|(name, of)| (name.clone(), value(of, root, depth + 1))).collect::<Map<_, _>>().into()
        }
    }
}

/// In lower case; the first of several.
fn type_of(schema: &Value) -> String {
    let named = schema.get("type").and_then(|named| named.get(0).or(Some(named))).and_then(Value::as_str);
    let implied = if schema.get("items").is_some() { "array" } else { "object" };
    named.unwrap_or(implied).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_schema() {
        for (schema, expected) in [
            (
                json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}),
                json!({"city": "Zürich", "days": 7}),
            ),
            (
                json!({"type": "OBJECT", "properties": {"unit": {"type": "STRING", "enum": ["C", "F"]}}}),
                json!({"unit": "C"}),
            ),
            (json!({"type": "object"}), json!({})),
            (json!({"type": ["string", "null"]}), json!("Zürich")),
            (json!({"type": "array", "minItems": 2, "items": {"type": "number"}}), json!([1.5, 1.5])),
            (json!({"$defs": {"a": {"const": 3}}, "properties": {"x": {"$ref": "#/$defs/a"}}}), json!({"x": 3})),
            (json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]}), json!(true)),
            (
                json!({"allOf": [{"properties": {"a": {"type": "null"}}}, {"properties": {"b": {"const": 1}}}]}),
                json!({"a": null, "b": 1}),
            ),
            (json!({"type": "integer", "minimum": 40}), json!(40)),
        ] {
            assert_eq!(from_schema(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(from_schema(&schema).to_string().contains("null"));
    }
}
