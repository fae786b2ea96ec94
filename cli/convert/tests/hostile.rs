//! Manifests that are no manifests: whatever comes in, it is converted or refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use sluice_convert::emit::bootstrap::Place;
use sluice_convert::{Dialect, Options, convert, emit};
use std::path::Path;

fn corpus() -> Vec<(Dialect, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut all = Vec::new();
    for (folder, dialect) in
        [("app-mesh", Dialect::AppMesh), ("ingress", Dialect::Ingress), ("gateway-api", Dialect::GatewayApi)]
    {
        let mut files: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(file).unwrap();
            let body = text.split_once("manifests: |\n").unwrap().1.split_once("\nentry:").unwrap().0;
            let lines: Vec<_> = body.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
            all.push((dialect, lines.join("\n")));
        }
    }
    all
}

fn run(dialect: Dialect, text: &str) {
    let options = Options { dialect, namespace: "default".to_owned(), class: None };
    let place = Place {
        listen: "127.0.0.1".parse().unwrap(),
        ports: Default::default(),
        admin: "127.0.0.1:9901".parse().unwrap(),
        wasm: "dist".to_owned(),
        endpoints: Default::default(),
    };
    if let Ok(mut converted) = convert(&[("-".to_owned(), text.to_owned())], &options) {
        let written = emit::files(&mut converted, &place, "test").unwrap();
        placed_yaml::parse(&written["envoy.yaml"]).unwrap();
    }
}

#[test]
fn every_situation_converts() {
    for (dialect, text) in corpus() {
        run(dialect, &text);
    }
}

#[test]
fn two_listeners_of_one_name_are_a_mistake() {
    let listener = "{name: web, port: 80, protocol: HTTP}";
    let text = format!(
        "{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: g}}, spec: {{gatewayClassName: c, listeners: \
         [{listener}, {listener}]}}}}"
    );
    let options = Options { dialect: Dialect::GatewayApi, namespace: "default".to_owned(), class: None };
    let mistakes = convert(&[("g.yaml".to_owned(), text)], &options).map(|_| ()).unwrap_err();
    assert_eq!(
        mistakes[0].to_string(),
        "g.yaml:1:1 spec.listeners[0]: two come to the name \"web\"; names have to differ"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/hostile.proptest-regressions"))), ..ProptestConfig::default() })]

    /// Lines that are gone, doubled, or from another manifest.
    #[test]
    fn lines_may_be_mixed(pick in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 1..6)) {
        let corpus = corpus();
        let (dialect, text) = pick.get(&corpus);
        let (_, from) = other.get(&corpus);
        let mut lines: Vec<&str> = text.lines().collect();
        let theirs: Vec<&str> = from.lines().collect();
        for (at, place, kind) in edits {
            if lines.is_empty() { break }
            let at = at.index(lines.len());
            match kind {
                0 => { lines.remove(at); }
                1 => lines.insert(at, lines[at]),
                2 => lines[at] = theirs[place.index(theirs.len())],
                _ => lines.insert(at, theirs[place.index(theirs.len())]),
            }
        }
        run(*dialect, &lines.join("\n"));
    }

    /// Words that are something else.
    #[test]
    fn words_may_change(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), word in prop::sample::select(vec!["", "-1", "99999999999999999999", "true", "null", "[]", "{}", "\"\\u0000\"", "/", "*", "(", "$1", "${x}", "a.b.c", "0", "é", "%2F", "'#'", "~"])) {
        let corpus = corpus();
        let (dialect, text) = pick.get(&corpus);
        let words: Vec<(usize, &str)> = text.match_indices(|c: char| c.is_ascii_alphanumeric()).collect();
        let (start, _) = words[at.index(words.len())];
        let end = text[start..].find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '/').map_or(text.len(), |end| start + end);
        run(*dialect, &format!("{}{word}{}", &text[..start], &text[end..]));
    }

    /// Text that is no YAML.
    #[test]
    fn any_text(text in "[ -~\n\té{}\\[\\]:#&*!|>'\"%@`-]{0,200}", dialect in prop::sample::select(vec![Dialect::AppMesh, Dialect::Ingress, Dialect::GatewayApi])) {
        run(dialect, &text);
    }
}
