//! The README's tables of parameters are what the code says; `BLESS=1` writes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use ai_translate::ir::{Param, Support};
use ai_translate::provider::{self, Provider, openai};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn named(name: &str) -> &'static dyn Provider {
    provider::find(name).unwrap()
}

fn cell(provider: &dyn Provider, param: Param) -> String {
    match provider.support(param, &provider.capabilities()) {
        Support::Mapped(name) if name == param.name() => "yes".to_owned(),
        Support::Mapped(name) => format!("`{name}`"),
        Support::Adapted(text) => format!("adapted: {text}"),
        Support::None => "dropped".to_owned(),
        Support::Refused => "**refused**".to_owned(),
    }
}

fn table(providers: &[&str]) -> String {
    let mut text = String::from("| parameter |");
    for provider in providers {
        write!(text, " `{provider}` |").unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(providers.len()));
    text.push('\n');
    for param in Param::ALL {
        write!(text, "| `{}` |", param.name()).unwrap();
        for provider in providers {
            write!(text, " {} |", cell(named(provider), *param)).unwrap();
        }
        text.push('\n');
    }
    text
}

/// The page with another table between the marks of that name.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no {begin}"));
    let (_, behind) = rest.split_once(&end).unwrap_or_else(|| panic!("the page has no {end}"));
    format!("{before}{begin}{table}{end}{behind}")
}

#[test]
fn tables_of_parameters_are_what_the_code_says() {
    let own = ["anthropic", "gemini", "vertex", "bedrock", "cohere"];
    let compatible: Vec<&str> = openai::ENTRIES.iter().map(|entry| entry.name).collect();
    let old = fs::read_to_string(page()).unwrap();
    let new = with_table(&old, "parameters", &table(&own));
    let new = with_table(&new, "parameters-compatible", &table(&compatible));
    if std::env::var_os("BLESS").is_some() {
        fs::write(page(), &new).unwrap();
    }
    assert_eq!(old, new, "BLESS=1 writes the tables anew");
    // every provider stands in one of them
    for provider in provider::ALL {
        let shown = match provider.name() {
            "anthropic-vertex" | "anthropic-bedrock" => "anthropic",
            name => name,
        };
        assert!(own.contains(&shown) || compatible.contains(&shown), "{shown}");
        for param in Param::ALL {
            assert_eq!(cell(*provider, *param), cell(named(shown), *param), "{}", provider.name());
        }
    }
}
