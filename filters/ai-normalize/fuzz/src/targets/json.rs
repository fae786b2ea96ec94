use serde_json::Value as Tree;
use span_json::{Doc, Edit, Kind, Limits, Patch, Value};

use crate::Target;

pub(super) const TARGET: Target = Target {
    name: "json",
    run,
    seeds,
    dictionary: &[
        b"{\"a\":",
        b"[",
        b"]",
        b"}",
        b",",
        b"null",
        b"true",
        b"-0.5e-3",
        b"\\u00e9",
        b"\\ud83d\\ude00",
        b"\"model\":",
    ],
};

/// Containers inside each other that the other parser takes as well.
const DEPTH: usize = 100;

fn run(bytes: &[u8]) {
    let limits = Limits { depth: DEPTH, values: 1 << 20 };
    let Ok(doc) = Doc::parse(bytes, limits) else {
        // the other one takes nothing that is refused here, but for what is too deep
        if let Ok(tree) = serde_json::from_slice::<Tree>(bytes) {
            assert!(depth(&tree) > DEPTH, "refused: {}", String::from_utf8_lossy(bytes));
        }
        return;
    };
    let Ok(other) = serde_json::from_slice::<Tree>(bytes) else {
        // what one takes and the other does not: half of a pair of surrogates, numbers beyond what a machine has
        let text = String::from_utf8_lossy(bytes);
        assert!(text.contains("\\u") || text.bytes().any(|byte| byte.is_ascii_digit()), "taken: {text}");
        return;
    };
    same(doc.root(), &other);
    let mut patch = Patch::new(&doc);
    patch.object(doc.root(), |_, _| Edit::Replace("[1]".to_owned()), &[("added", "{}".to_owned())]);
    let patched: Tree = serde_json::from_slice(&patch.finish()).unwrap();
    if let Tree::Object(members) = &other {
        assert_eq!(patched["added"], serde_json::json!({}));
        assert!(members.keys().filter(|name| *name != "added").all(|name| patched[name] == serde_json::json!([1])));
    }
}

fn depth(tree: &Tree) -> usize {
    match tree {
        Tree::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Tree::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn same(value: Value<'_>, other: &Tree) {
    match (value.kind(), other) {
        (Kind::Null, Tree::Null) | (Kind::Number, Tree::Number(_)) => {}
        (Kind::Bool, Tree::Bool(other)) => assert_eq!(value.bool(), Some(*other)),
        (Kind::String, Tree::String(other)) => assert_eq!(value.str().as_deref(), Some(other.as_str())),
        (Kind::Array, Tree::Array(others)) => {
            assert_eq!(value.elements().count(), others.len());
            value.elements().zip(others).for_each(|(value, other)| same(value, other));
        }
        (Kind::Object, Tree::Object(others)) => {
            // of a name that is there twice the other parser keeps the last
            for (name, other) in others {
                let last = value.members().filter(|(known, _)| known.decode() == name.as_str()).last();
                same(last.unwrap().1, other);
            }
        }
        (kind, other) => panic!("{kind:?} for {other}"),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"model":"m","messages":[{"role":"user","content":"gr\u00fc\ud83d\ude00ße"}],"n":-1.50e+3,"x":[null,true,{}]}"#,
        " [ 0 , \"\\\\\\\"\" ] ",
        r#"{"a":{"a":{"a":[[[]]]}},"a":1}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
