//! What Gemini checks in a schema of its own subset.

use crate::openai::read::{array, string};
use serde_json::Value;

/// Whether it can be meant; what is wrong if not.
pub fn check(schema: &Value, at: &str) -> Result<(), String> {
    let kind = string(schema, "type").to_ascii_uppercase();
    let format = string(schema, "format");
    let fine = match kind.as_str() {
        "STRING" => ["", "enum", "date-time"].contains(&format),
        "INTEGER" => ["", "int32", "int64"].contains(&format),
        "NUMBER" => ["", "float", "double", "int32", "int64"].contains(&format),
        _ => true,
    };
    if !fine {
        return Err(format!("{at}.format: only 'enum' and 'date-time' are supported for STRING type, not {format:?}"));
    }
    if kind.is_empty() && schema.get("anyOf").is_none() {
        return Err(format!("{at}: schema must have a type"));
    }
    if schema.get("enum").is_some() && kind != "STRING" {
        return Err(format!("{at}.enum: only allowed for STRING type"));
    }
    if kind == "ARRAY" && schema.get("items").is_none() {
        return Err(format!("{at}.items: missing field."));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if kind == "OBJECT" && properties.is_none_or(serde_json::Map::is_empty) {
        return Err(format!("{at}.properties: should be non-empty for OBJECT type"));
    }
    for (index, name) in array(schema, "required").iter().enumerate() {
        let name = name.as_str().unwrap_or_default();
        if !properties.is_some_and(|properties| properties.contains_key(name)) {
            return Err(format!("{at}.required[{index}]: property is not defined"));
        }
    }
    for (name, property) in properties.into_iter().flatten() {
        check(property, &format!("{at}.properties[{name}]"))?;
    }
    if let Some(items) = schema.get("items") {
        check(items, &format!("{at}.items"))?;
    }
    let any = array(schema, "anyOf").iter().enumerate();
    any.into_iter().try_for_each(|(index, one)| check(one, &format!("{at}.any_of[{index}]")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_subset_is_smaller_than_json_schema() {
        for (schema, why) in [
            (
                json!({"type": "OBJECT", "properties": {"a": {"type": "string", "enum": ["x"]}}, "required": ["a"]}),
                None,
            ),
            (json!({"anyOf": [{"type": "STRING"}, {"type": "INTEGER", "format": "int32"}]}), None),
            (json!({"type": "OBJECT", "properties": {}}), Some("s.properties: should be")),
            (
                json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["b"]}),
                Some("s.required[0]"),
            ),
            (json!({"type": "INTEGER", "enum": ["1"]}), Some("s.enum")),
            (json!({"type": "ARRAY"}), Some("s.items: missing")),
            (json!({"type": "ARRAY", "items": {"type": "STRING", "format": "uri"}}), Some("s.items.format")),
            (json!({}), Some("s: schema must have a type")),
        ] {
            let found = check(&schema, "s").err();
            assert_eq!(found.is_none(), why.is_none(), "{schema}: {found:?}");
            assert!(why.is_none_or(|why| found.as_deref().unwrap().starts_with(why)), "{schema}: {found:?}");
        }
    }
}
