//! The filters' pages name every field that their configurations have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Fields and variants of a schema.
fn names(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("properties", Value::Object(fields)) => found.extend(fields.keys().cloned()),
                    ("const", Value::String(variant)) => {
                        found.insert(variant.clone());
                    }
                    ("enum", Value::Array(variants)) => {
                        found.extend(variants.iter().filter_map(Value::as_str).map(String::from));
                    }
                    _ => {}
                }
                names(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

/// Every piece of a page that stands between backticks, outside of fenced blocks.
fn code(page: &str) -> String {
    let prose: Vec<&str> = page.split("```").step_by(2).collect();
    prose.iter().flat_map(|text| text.split('`').skip(1).step_by(2)).collect::<Vec<_>>().join("\n")
}

fn is_named(code: &str, name: &str) -> bool {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
}

#[test]
fn pages_of_the_filters_name_every_field_of_their_schemas() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = |filter: &str| fs::read_to_string(root.join(format!("filters/{filter}/README.md"))).unwrap();
    for (filter, pages) in [
        ("header-router", vec!["header-router"]),
        // what both have in common stands in the page of the router
        ("prefix-rewrite", vec!["prefix-rewrite", "header-router"]),
        ("rate-limit", vec!["rate-limit", "header-router"]),
        ("ai-normalize", vec!["ai-normalize"]),
        ("suite", vec!["suite", "prefix-rewrite", "rate-limit", "ai-normalize", "header-router"]),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_sluice")).args(["schema", filter]).output().unwrap();
        let mut found = BTreeSet::new();
        names(&serde_json::from_slice(&output.stdout).unwrap(), &mut found);
        assert!(found.len() > 40, "{filter}: {found:?}");
        let code: String = pages.into_iter().map(|filter| code(&page(filter))).collect::<Vec<_>>().join("\n");
        let missing: Vec<_> = found.iter().filter(|name| !is_named(&code, name)).collect();
        assert!(missing.is_empty(), "filters/{filter}/README.md does not name {missing:?}");
    }
}
