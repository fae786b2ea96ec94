//! Configurations without what is not said.

use header_router::Config;
use serde_json::Value;

/// The configuration as somebody would write it: defaults are left out, numbers beyond 32 bits are text.
pub fn config(config: &Config) -> Value {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    if let Value::Object(entries) = &mut value {
        entries.retain(|name, value| {
            !(name == "mode" && value == "plain" || name == "max_body_bytes" && *value == 65_536)
        });
    }
    tidy(&mut value, "");
    if let Value::Object(entries) = &mut value {
        entries.entry("rules").or_insert_with(|| Value::Array(Vec::new()));
    }
    value
}

fn tidy(value: &mut Value, key: &str) {
    match value {
        Value::Object(entries) => {
            for (name, inner) in entries.iter_mut() {
                tidy(inner, name);
            }
            entries.retain(|name, inner| match inner {
                Value::Null => false,
                Value::Bool(false) => name == "present",
                Value::Array(items) => !items.is_empty() || name == "rules",
                Value::Object(inner) => !inner.is_empty() || name == "grpc",
                Value::Number(number) => !is_default(key, name, number.as_u64()),
                Value::String(text) => !is_default_text(name, text),
                Value::Bool(true) => true,
            });
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| tidy(item, key));
            // one target needs no weight
            if key == "targets"
                && let [Value::Object(only)] = items.as_mut_slice()
                && only.get("weight").is_some_and(|weight| *weight == 1)
            {
                only.remove("weight");
            }
        }
        Value::Number(number) if number.as_i64().is_some_and(|number| i32::try_from(number).is_err()) => {
            *value = Value::String(number.to_string());
        }
        _ => {}
    }
}

fn is_default(parent: &str, name: &str, number: Option<u64>) -> bool {
    matches!(
        (parent, name, number),
        ("rules", "priority", Some(1000))
            | ("services", "no_rule_status", Some(404))
            | ("redirect", "status", Some(302))
            | ("mirror", "share", Some(10_000))
    )
}

fn is_default_text(name: &str, text: &str) -> bool {
    matches!(
        (name, text),
        ("repeated_headers", "each") | ("repeated_query_parameters", "first") | ("host", "") | ("body", "")
    )
}
