//! `sluice validate`, as people and scripts see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::process::Command;

fn validate(folder: &Path, arguments: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    let output = command.arg("validate").args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
}

#[test]
fn mistakes_and_warnings_have_places_and_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("good.yaml", "rules: [{name: a, rewrite: {host: b}}]\n");
    write("wrong.yaml", "rules:\n- name: a\n  rewrite: {hots: b}\n");
    write(
        "doubtful.yaml",
        "default: continue\nrules:\n- {name: a, targets: [{cluster: c}]}\n- {name: b, targets: [{cluster: c}]}\n- name: x\n  match: {headers: [{name: te}]}\n  redirect: {path: /}\n",
    );
    write("empty.yaml", "");
    std::fs::write(folder.path().join("binary.yaml"), b"\xff").unwrap();
    let good = "good.yaml: prefix-rewrite configuration, valid\n";
    assert_eq!(validate(folder.path(), &["good.yaml"]), (good.to_owned(), String::new(), 0));
    let wrong = "wrong.yaml:3:13 rules[0].rewrite.hots: unknown field; did you mean \"host\"?\n";
    let both = validate(folder.path(), &["wrong.yaml", "good.yaml"]);
    assert_eq!(both, (format!("{wrong}{good}"), "sluice: 1 mistake\n".to_owned(), 1));
    let doubtful = "doubtful.yaml:4:3 warning: rules[1]: never takes a request: \"a\" (rules[0]) comes first and takes all of them\n\
        doubtful.yaml:6:22 warning: rules[2].match.headers[0].name: a proxy does not pass te on: it is about one connection \
        (RFC 9110, section 7.6.1)\n\
        doubtful.yaml: header-router configuration, valid, 2 warnings\n";
    assert_eq!(validate(folder.path(), &["doubtful.yaml"]), (doubtful.to_owned(), String::new(), 0));
    let denied = validate(folder.path(), &["--deny-warnings", "doubtful.yaml"]);
    assert_eq!(denied, (doubtful.to_owned(), "sluice: 2 warnings, and warnings are denied\n".to_owned(), 1));
    let (out, errors, code) = validate(folder.path(), &["empty.yaml", "binary.yaml", "missing.yaml"]);
    assert_eq!(
        out,
        "empty.yaml:1:1 the file is empty\nbinary.yaml:1: not UTF-8\nmissing.yaml: No such file or directory (os error 2)\n"
    );
    assert_eq!((errors.as_str(), code), ("sluice: 3 mistakes\n", 1));
    let (out, _, _) = validate(folder.path(), &["--filter", "suite", "good.yaml"]);
    assert!(out.starts_with("good.yaml:1:1 rules: unknown field"), "{out}");
}

#[test]
fn ten_thousand_rules_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "default: continue\nrules:\n".to_owned();
    for n in 0..9_999 {
        text.push_str(&format!(
            "- {{name: r{n}, match: {{path: {{prefix: /s{n}/v{}}}}}, targets: [{{cluster: c}}]}}\n",
            n % 9
        ));
    }
    text.push_str("- {name: last, match: {path: {prefix: /s7/v7/x}, headers: [{name: x}]}, priority: 999, targets: [{cluster: c}]}\n");
    std::fs::write(folder.path().join("large.yaml"), text).unwrap();
    let (out, _, code) = validate(folder.path(), &["large.yaml"]);
    assert_eq!((out.as_str(), code), ("large.yaml: header-router configuration, valid\n", 0));
}
