//! `sluice diff`, as people and scripts see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::process::Command;

const OLD: &str = r#"default: {status: 404}
rules:
- {name: products, match: {path: {prefix: /products}}, targets: [{cluster: v1, weight: 100}, {cluster: v2, weight: 0}], rewrite: {prefix: /}}
- {name: old, match: {path: {prefix: /old}}, targets: [{cluster: v1}]}
"#;

const NEW: &str = r#"default: {status: 404}
rules:
- {name: products, match: {path: {prefix: /products}}, targets: [{cluster: v1, weight: 90}, {cluster: v2, weight: 10}], rewrite: {prefix: /}}
- {name: gone, match: {path: {prefix: /old}}, direct_response: {status: 410}}
"#;

fn diff(folder: &Path, arguments: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    let output = command.arg("diff").args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old.yaml"), OLD).unwrap();
    std::fs::write(folder.path().join("new.yaml"), NEW).unwrap();
    folder
}

#[test]
fn differences_are_lines_and_an_exit_code() {
    let folder = folder();
    let expected = "rule products: v1 100 -> 90, v2 0 -> 10\nrule old: removed\nrule gone: added\n";
    assert_eq!(diff(folder.path(), &["old.yaml", "new.yaml"]), (expected.to_owned(), String::new(), 1));
    // the same in other words
    let json = host_json(OLD);
    std::fs::write(folder.path().join("old.json"), json).unwrap();
    assert_eq!(diff(folder.path(), &["old.yaml", "old.json"]), (String::new(), String::new(), 0));
    let (out, _, _) = diff(folder.path(), &["--json", "old.yaml", "new.yaml"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["changes"][0]["fields"][1], serde_json::json!({"path": "v2", "old": 0, "new": 10}));
}

fn host_json(yaml: &str) -> String {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    value.to_string()
}

#[test]
fn recorded_requests_change_only_where_the_rules_do() {
    let folder = folder();
    let mut lines: String = (0..1000).map(|n| format!("{{\"path\": \"/products/{n}\"}}\n")).collect();
    lines.push_str("{\"path\": \"/old/x\"}\n{\"path\": \"/none\"}\n");
    std::fs::write(folder.path().join("requests.jsonl"), lines).unwrap();
    let arguments = ["old.yaml", "new.yaml", "--requests", "requests.jsonl", "--json"];
    let (out, errors, code) = diff(folder.path(), &arguments);
    assert_eq!((errors.as_str(), code), ("", 1));
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let changes = value["requests"]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{out}");
    assert_eq!(changes[0]["change"], "target v1 -> v2");
    let moved = changes[0]["count"].as_u64().unwrap();
    // 100 expected, standard deviation 9.5
    assert!((60..140).contains(&moved), "{moved}");
    assert_eq!(changes[0]["lines"].as_array().unwrap().len(), 3);
    assert_eq!(
        changes[1]["change"],
        "outcome routed -> answered, rule old -> gone, target v1 -> none, status none -> 410"
    );
    assert_eq!(diff(folder.path(), &arguments).0, out, "the same draws every time");
    let (text, _, _) = diff(folder.path(), &["old.yaml", "new.yaml", "--requests", "requests.jsonl", "--lines", "1"]);
    assert!(
        text.contains(&format!("requests: {} of 1002 change\n    {moved:>3}  target v1 -> v2\n", moved + 1)),
        "{text}"
    );
    assert!(text.ends_with("         line 1001  /old/x\n"), "{text}");
    // nothing changes between a file and itself, drawn targets included
    let (out, _, code) = diff(folder.path(), &["new.yaml", "new.yaml", "--requests", "requests.jsonl"]);
    assert_eq!((out.as_str(), code), ("requests: 0 of 1002 change\n", 0));
}

#[test]
fn trouble_is_two() {
    let folder = folder();
    std::fs::write(folder.path().join("wrong.yaml"), OLD.replace("weight: 0", "wait: 0")).unwrap();
    std::fs::write(folder.path().join("bad.jsonl"), "{\"path\": \"/old\"}\n{\"pth\": 1}\n").unwrap();
    for (arguments, words) in [
        (&["old.yaml", "missing.yaml"][..], "missing.yaml: No such file"),
        (&["old.yaml", "wrong.yaml"], "wrong.yaml:3:108 rules[0].targets[1].wait: unknown field"),
        (&["old.yaml", "new.yaml", "--requests", "missing"], "missing: No such file"),
        (
            &["old.yaml", "new.yaml", "--requests", "bad.jsonl"],
            "bad.jsonl:2: pth: unknown field; did you mean \"path\"?",
        ),
        (&["old.yaml", "new.yaml", "--filter", "suite"], "unknown field"),
        (&["old.yaml"], "required arguments"),
        (&["HEAD:old.yaml", "new.yaml"], "HEAD:old.yaml: no such file, and git"),
    ] {
        let (_, errors, code) = diff(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(errors.contains(words), "{arguments:?}: {errors}");
    }
}

#[test]
fn a_side_may_come_from_git() {
    let folder = folder();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.test"]).args(arguments).current_dir(folder.path());
        git.output().is_ok_and(|output| output.status.success())
    };
    if !git(&["init", "-q"]) {
        eprintln!("SKIPPED: there is no git");
        return;
    }
    assert!(git(&["add", "old.yaml"]) && git(&["commit", "-qm", "first"]));
    std::fs::write(folder.path().join("old.yaml"), NEW).unwrap();
    let (out, errors, code) = diff(folder.path(), &["HEAD:old.yaml", "old.yaml"]);
    assert_eq!((errors.as_str(), code), ("", 1));
    assert!(out.starts_with("rule products: v1 100 -> 90, v2 0 -> 10\n"), "{out}");
}
