//! The parser against another one, and what comes out of writer and patches.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde_json::Value as Tree;
use span_json::{Doc, Edit, Kind, Limits, Patch, Text, Value, Writer};

fn tree(value: Value<'_>) -> Tree {
    match value.kind() {
        Kind::Null => Tree::Null,
        Kind::Bool => Tree::Bool(value.bool().unwrap()),
        Kind::Number => serde_json::from_str(value.raw()).unwrap(),
        Kind::String => Tree::String(value.str().unwrap().into_owned()),
        Kind::Array => Tree::Array(value.elements().map(tree).collect()),
        Kind::Object => {
            Tree::Object(value.members().map(|(key, value)| (key.decode().into_owned(), tree(value))).collect())
        }
    }
}

fn parse(text: &str) -> Doc<'_> {
    Doc::parse(text.as_bytes(), Limits::default()).unwrap()
}

fn any_json() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i64>().prop_map(Tree::from),
        any::<u64>().prop_map(Tree::from),
        (-1_000_000..1_000_000).prop_map(|quarters| Tree::from(f64::from(quarters) / 4.0)),
        any::<String>().prop_map(Tree::from),
        "[\"\\\\/\u{0}-\u{1f}a-z\u{7f}-\u{ff}\u{1f600}-\u{1f64f}]{0,20}".prop_map(Tree::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Tree::from),
            prop::collection::btree_map("[a-c\"\\\\é]{0,3}", inner, 0..8)
                .prop_map(|members| Tree::Object(members.into_iter().collect())),
        ]
    })
}

/// Bytes that look like JSON, and may not be.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\x",
        "null",
        "true",
        "fals",
        "-1",
        "0",
        "01",
        "1.5e3",
        "1.",
        "e",
        " ",
        "\n",
        "a",
        "\u{1}",
        "é",
        "\"a\"",
        "\"b\":",
    ];
    let token = prop_oneof![
        20 => prop::sample::select(tokens.to_vec()).prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..3),
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_another_writer_writes_is_read_as_it_was(json in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
        let doc = parse(&text);
        prop_assert_eq!(tree(doc.root()), json);
        prop_assert_eq!(doc.root().raw(), text.as_str());
    }

    #[test]
    fn the_same_texts_are_json_as_elsewhere(bytes in near_json()) {
        let ours = Doc::parse(&bytes, Limits::default());
        let theirs: Result<&serde_json::value::RawValue, _> = serde_json::from_slice(&bytes);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}: {:?}, {:?}", String::from_utf8_lossy(&bytes), ours.err(), theirs.err());
    }

    #[test]
    fn what_is_copied_value_by_value_says_the_same(json in any_json()) {
        fn copy(value: Value<'_>, out: &mut Writer, decoded: bool) {
            match value.kind() {
                Kind::Array => out.array(|out| value.elements().for_each(|value| copy(value, out, decoded))),
                Kind::Object => out.object(|out| value.members().for_each(|(key, value)| {
                    out.key_text(&key);
                    copy(value, out, decoded);
                })),
                Kind::String if decoded => out.string(&value.str().unwrap()),
                Kind::String => out.text(&value.text().unwrap()),
                _ => out.value(value),
            }
        }
        let text = serde_json::to_string(&json).unwrap();
        let doc = parse(&text);
        for decoded in [false, true] {
            let mut out = Writer::default();
            copy(doc.root(), &mut out, decoded);
            let copied: Tree = serde_json::from_slice(&out.finish()).unwrap();
            prop_assert_eq!(&copied, &json);
        }
    }

    #[test]
    fn objects_are_edited_as_if_they_were_trees(
        edits in prop::collection::vec((0..4u8, any_json()), 0..7),
        added in prop::collection::vec(any_json(), 0..3),
        pretty in any::<bool>(),
    ) {
        let mut before = serde_json::Map::new();
        let mut after = serde_json::Map::new();
        for (place, (edit, json)) in edits.iter().enumerate() {
            let name = format!("m{place}");
            before.insert(name.clone(), json.clone());
            match edit {
                0 => { after.insert(name, json.clone()); }
                1 => {}
                2 => { after.insert(format!("r{place}"), json.clone()); }
                _ => { after.insert(name, Tree::from(place)); }
            }
        }
        let names = ["x", "y", "z"];
        let added: Vec<(&str, String)> = names.into_iter().zip(added).map(|(name, json)| {
            let text = json.to_string();
            after.insert(name.to_owned(), json);
            (name, text)
        }).collect();
        let text = if pretty { serde_json::to_string_pretty(&before) } else { serde_json::to_string(&before) }.unwrap();
        let doc = parse(&text);
        let mut patch = Patch::new(&doc);
        patch.object(doc.root(), |name, _| {
            let place: usize = name.decode().trim_start_matches('m').parse().unwrap();
            match edits[place].0 {
                0 => Edit::Keep,
                1 => Edit::Remove,
                2 => Edit::Rename(format!("r{place}")),
                _ => Edit::Replace(place.to_string()),
            }
        }, &added);
        let result: Tree = serde_json::from_slice(&patch.finish()).unwrap();
        prop_assert_eq!(result, Tree::Object(after));
    }
}

#[test]
fn mistakes_have_their_place() {
    for (text, offset, place, why) in [
        ("", 0, (1, 1), "expected a value, found the end"),
        ("{\"a\":1,}", 7, (1, 8), "expected a member's name in quotes"),
        ("{\n  \"é\": x}", 10, (2, 8), "expected a value"),
        ("[1 2]", 3, (1, 4), "expected `,` or `]`"),
        ("{\"a\" 1}", 5, (1, 6), "expected `:`"),
        ("{\"a\":1 \"b\"}", 7, (1, 8), "expected `,` or `}`"),
        ("\"a\nb\"", 2, (1, 3), "expected no control character in a string"),
        ("\"a\\q\"", 2, (1, 3), "expected an escape"),
        ("\"abc", 4, (1, 5), "expected the end of a string"),
        ("[1.]", 1, (1, 2), "expected a number"),
        ("{} {}", 3, (1, 4), "expected the end"),
        ("[nul]", 1, (1, 2), "expected a value"),
    ] {
        let error = Doc::parse(text.as_bytes(), Limits::default()).unwrap_err();
        assert_eq!((error.offset, (error.line, error.column), error.why), (offset, place, why), "{text}");
    }
    let error = Doc::parse(b"\"\xff\"", Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "expected UTF-8 at line 1 column 2");
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let limits = Limits { depth: 3, values: 10 };
    assert!(Doc::parse(nested(3).as_bytes(), limits).is_ok());
    assert_eq!(
        Doc::parse(nested(4).as_bytes(), limits).unwrap_err().why,
        "expected fewer containers inside each other"
    );
    let wide = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert!(Doc::parse(wide(9).as_bytes(), limits).is_ok());
    assert_eq!(Doc::parse(wide(10).as_bytes(), limits).unwrap_err().why, "expected fewer values");
    let deep = "[".repeat(1_000_000);
    assert!(Doc::parse(deep.as_bytes(), Limits::default()).is_err());
}

#[test]
fn values_are_found_and_told_apart() {
    let doc = parse(
        r#"{"a": 1, "b": {"c": "d\u00e9\ud83d\ude00\n"}, "a": 2, "n": null, "half": "\ud83d!", "big": 12345678901234567890, "f": 2.0, "m": -1}"#,
    );
    let root = doc.root();
    assert_eq!(root.u64_of("a"), Some(2), "the last one counts");
    assert_eq!(root.repeated().as_deref(), Some("a"));
    assert_eq!(root.at(&["b", "c"]).unwrap().str().unwrap(), "dé😀\n");
    assert_eq!(root.at(&["b", "c", "d"]).map(|value| value.kind()), None);
    assert!(root.get("n").is_some() && root.given("n").is_none());
    assert_eq!(root.str_of("half").unwrap(), "\u{fffd}!");
    assert_eq!(root.u64_of("big"), Some(12_345_678_901_234_567_890));
    assert_eq!((root.u64_of("f"), root.u64_of("m")), (Some(2), None));
    assert!(root.get("b").unwrap().repeated().is_none());
    assert_eq!(Text::Escaped("\\u0061"), "a");
}

#[test]
fn values_inside_others_are_changed_where_they_stand() {
    let text =
        "{ \"model\" : \"a\", \"messages\": [ {\"role\":\"developer\"}, {\"role\": \"user\"} ], \"big\": 1e400 }";
    let doc = parse(text);
    let mut patch = Patch::new(&doc);
    let messages = doc.root().get("messages").unwrap();
    patch.replace_string(messages.elements().next().unwrap().get("role").unwrap(), "sys\"tem");
    patch.object(
        doc.root(),
        |name, _| if *name == "model" { Edit::Replace("\"b\"".into()) } else { Edit::Keep },
        &[("stream", "true".into())],
    );
    let expected = "{ \"model\" : \"b\", \"messages\": [ {\"role\":\"sys\\\"tem\"}, {\"role\": \"user\"} ], \"big\": 1e400,\"stream\":true }";
    assert_eq!(String::from_utf8(patch.finish()).unwrap(), expected);
}

#[test]
fn blanks_are_told_however_they_are_written() {
    for (json, expected) in [
        (r#""""#, true),
        (r#"" \n\u0020\u00a0""#, true),
        (r#""\u0061""#, false),
        (r#"" \n a""#, false),
        (r#""a\n""#, false),
        ("\"\u{a0} \"", true),
        ("\"\u{a0}\\t\"", true),
        ("\"\u{e9}\\t\"", false),
    ] {
        let doc = parse(json);
        assert_eq!(doc.root().text().unwrap().is_blank(), expected, "{json}");
    }
}
