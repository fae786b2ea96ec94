//! `sluice explain`, as people and scripts see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const SHOP: &str = r#"rules:
- name: premium
  priority: 20
  match: {path: {prefix: /catalog}, headers: [{name: x-customer-segment, match: {exact: premium}}]}
  targets: [{cluster: catalog-premium}]
  rewrite: {prefix: /}
- name: mobile
  priority: 10
  match: {path: {prefix: /catalog}, headers: [{name: user-agent, match: {regex: ".*Mobile.*"}}]}
  targets: [{cluster: catalog-mobile, weight: 9000}, {cluster: catalog-next, weight: 1000}]
  sticky: {header: x-user}
  rewrite: {prefix: /, host: mobile.test}
  request_headers: {set: [{name: x-path, value: "${path}"}], remove: [x-secret]}
  response_headers: {add: [{name: x-served-by, value: "${target}"}]}
  mirror: {cluster: copies}
  tags: {segment: "${header.x-customer-segment}"}
- {name: desktop, match: {path: {prefix: /catalog}}, targets: [{cluster: catalog-desktop}], rewrite: {prefix: /}}
- {name: old, match: {path: {prefix: /old}}, redirect: {scheme: https, prefix: /new, status: 301}}
- {name: gone, match: {path: {prefix: /gone}}, direct_response: {status: 410}}
- {name: broken, match: {path: {regex: "/r/(.*)"}}, targets: [{cluster: c}], rewrite: {host: "${header.x-h}"}}
- {name: model, match: {path: {prefix: /ai}, json_body: [{pointer: /model, match: {exact: small}}]}, targets: [{cluster: small}]}
- {name: shop, match: {hosts: [{exact: shop.test}]}, rewrite: {host: inner.test}, service: inner}
services:
- {name: inner, rules: [{name: cart, match: {path: {prefix: /cart}}, targets: [{cluster: cart}]}]}
max_body_bytes: 40
default: {status: 404}
"#;

struct Ran {
    out: String,
    errors: String,
    code: i32,
}

fn sluice(arguments: &[&OsStr], input: &[u8]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.arg("explain").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { out: text(&output.stdout), errors: text(&output.stderr), code: output.status.code().unwrap() }
}

fn file(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn explain(config: &Path, arguments: &[&str]) -> Ran {
    let mut all: Vec<&OsStr> = vec!["-c".as_ref(), config.as_os_str()];
    all.extend(arguments.iter().map(AsRef::<OsStr>::as_ref));
    sluice(&all, b"")
}

#[test]
fn explanations_are_tables() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "router.yaml", SHOP);
    for (arguments, expected) in [
        (
            &[
                "GET",
                "/catalog/items/7?a=1",
                "-H",
                "User-Agent: x Mobile",
                "-H",
                "X-Customer-Segment: premium",
                "-H",
                "x-user: u",
            ][..],
            r#"matched   mobile   priority 10    path prefix /catalog, header user-agent ~ /.*Mobile.*/
behind    premium  priority 20    would match; mobile comes first: lower priority number
behind    desktop  priority 1000  would match; mobile comes first: lower priority number
others    5 more rules, of other hosts or paths
target    catalog-mobile   path /catalog/items/7?a=1 -> /items/7?a=1   host localhost -> mobile.test
split     catalog-mobile   90.00 %  this request, by header x-user
          catalog-next     10.00 %
mirror    copies
request   remove x-secret
request   set x-path: /catalog/items/7
response  add x-served-by: catalog-mobile
log       sluice_tag_segment=premium
"#,
        ),
        (
            &["GET", "/catalog"],
            r#"failed    mobile   priority 10    header user-agent ~ /.*Mobile.*/, found none
failed    premium  priority 20    header x-customer-segment = "premium", found none
matched   desktop  priority 1000  path prefix /catalog
others    5 more rules, of other hosts or paths
target    catalog-desktop   path /catalog -> /   host localhost
"#,
        ),
        (
            &["GET", "http://h:81/old/a?b"],
            "matched   old  priority 1000  path prefix /old\nothers    7 more rules, of other hosts or paths\n\
             redirect  301  https://h/new/a?b\n",
        ),
        (
            &["GET", "/gone"],
            "matched   gone  priority 1000  path prefix /gone\nothers    7 more rules, of other hosts or paths\nanswer    410\n",
        ),
        (&["GET", "/nothing"], "others    8 rules, of other hosts or paths\nanswer    404  no rule takes it\n"),
        (
            &["GET", "/r/x", "-H", "x-h: a/b"],
            "matched   broken  priority 1000  path ~ /\\/r\\/(.*)/\nothers    7 more rules, of other hosts or paths\n\
             answer    400  path or host cannot be rewritten: the request holds what must not stand there\n",
        ),
        (
            &["POST", "/ai"],
            "open      model  priority 1000  depends on the body\nothers    7 more rules, of other hosts or paths\n\
             open      the decision is up to the body; give one with -d, or -d '' for none\n",
        ),
        (
            &["POST", "/ai", "-d", r#"{"model": "large"}"#],
            "failed    model  priority 1000  JSON body /model = \"small\", found \"large\"\n\
             others    7 more rules, of other hosts or paths\nanswer    404  no rule takes it\n",
        ),
        (
            &["POST", "/ai", "-d", r#"{"model": "small", "x": "................................"}"#],
            "open      model  priority 1000  depends on the body\nothers    7 more rules, of other hosts or paths\n\
             answer    413  the body is longer than max_body_bytes\n",
        ),
        (
            &["GET", "https://shop.test/cart"],
            "matched   shop  priority 1000  host = \"shop.test\"\nothers    7 more rules, of other hosts or paths\n\
             service   inner   path /cart   host shop.test -> inner.test\n\
             matched   inner/cart  priority 1000  path prefix /cart\n\
             target    cart   path /cart   host shop.test -> inner.test\n",
        ),
    ] {
        let ran = explain(&config, arguments);
        assert_eq!(
            (ran.out.replace("\\/", "/"), ran.errors.as_str(), ran.code),
            (expected.replace("\\/", "/"), "", 0),
            "{arguments:?}"
        );
    }
}

#[test]
fn all_rules_on_request_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "router.yaml", SHOP);
    let all = explain(&config, &["--all", "GET", "/gone"]).out;
    assert!(all.contains("failed    old      priority 1000  path prefix /old, found /gone\n"), "{all}");
    assert!(!all.contains("others"), "{all}");
    let json = explain(&config, &["--json", "GET", "/catalog"]).out;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["outcome"], "routed");
    assert_eq!(value["filters"][0]["filter"], "header-router");
    assert_eq!(value["filters"][0]["stages"][0]["candidates"][2]["found"], "matched");
}

#[test]
fn filters_of_a_suite_and_of_a_bootstrap_are_asked_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let router = "{rules: [{name: a, match: {path: {prefix: /a}}, targets: [{cluster: c}], rewrite: {prefix: /b}}], default: continue}";
    let rewrite = "{rules: [{name: r, match: {path: {prefix: /b}, headers: [{name: x-sluice-cluster, match: {exact: c}}]}, rewrite: {prefix: /c}}]}";
    let suite =
        file(folder.path(), "s.yaml", format!("filters: [{{header_router: {router}}}, {{prefix_rewrite: {rewrite}}}]"));
    let plugin = |name: &str, config: &str| {
        let code = format!("vm_config: {{code: {{local: {{filename: dist/{name}.wasm}}}}}}");
        format!("  - {{name: {name}, typed_config: {{config: {{configuration: {{value: {config}}}, {code}}}}}}}\n")
    };
    let both = format!("http_filters:\n{}{}", plugin("header-router", router), plugin("prefix-rewrite", rewrite));
    let chain = file(folder.path(), "b.yaml", &both);
    let expected = "filter    header-router\nmatched   a  priority 1000  path prefix /a\n\
        target    c   path /a/x -> /b/x   host localhost\n\nfilter    prefix-rewrite\n\
        matched   r  priority 1000  path prefix /b, header x-sluice-cluster = \"c\"\n\
        rewritten path /b/x -> /c/x   host localhost\n";
    for config in [&suite, &chain] {
        let ran = explain(config, &["GET", "/a/x", "-H", "x-sluice-cluster: forged"]);
        assert_eq!((ran.out.as_str(), ran.errors.as_str()), (expected, ""));
    }
    // the same chain twice is one; different ones have to be picked
    let twice = file(folder.path(), "t.yaml", format!("a:\n{0}\nb:\n{0}", both.replace("http_filters:", " x:")));
    assert_eq!(explain(&twice, &["GET", "/a/x"]).out, expected);
    let other = both.replace("/a}", "/z}").replace("http_filters:", " x:");
    let several = file(folder.path(), "v.yaml", format!("a:\n{}\nb:\n{other}", both.replace("http_filters:", " x:")));
    let ran = explain(&several, &["GET", "/a/x"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.errors.contains("several chains of filters; say which: --filter NAME or --line N, with N of 3, 8"),
        "{}",
        ran.errors
    );
    assert_eq!(explain(&several, &["--line", "3", "GET", "/a/x"]).out, expected);
    assert!(explain(&several, &["--line", "8", "GET", "/a/x"]).out.contains("unchanged"));
    assert!(explain(&several, &["--line", "5", "GET", "/a/x"]).errors.contains("v.yaml:5:1 no plugin starts here"));
    let one = explain(&several, &["--filter", "prefix-rewrite", "GET", "/a/x"]);
    assert_eq!(one.out, "others    1 rule, of another host or path\nunchanged path /a/x   host localhost\n");
    assert!(explain(&chain, &["--filter", "suite", "GET", "/"]).errors.contains("no plugin of that filter in here"));
}

#[test]
fn bad_input_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "router.yaml", SHOP);
    let wrong = file(folder.path(), "wrong.yaml", SHOP.replace("prefix: /old", "prefx: /old"));
    let binary = file(folder.path(), "binary.yaml", b"rules:\n- \xff\xfe\n");
    let text = file(folder.path(), "text.yaml", "hello");
    let missing = folder.path().join("missing.yaml");
    for (config, arguments, words) in [
        (&missing, &["GET", "/"][..], "missing.yaml: No such file"),
        (&wrong, &["GET", "/"], "wrong.yaml:18:30 rules[3].match.path.prefx: unknown field; did you mean \"prefix\"?"),
        (&binary, &["GET", "/"], "binary.yaml:2: not UTF-8"),
        (&text, &["GET", "/"], "text.yaml:1:1 no plugin configuration of ours"),
        (&folder.path().to_path_buf(), &["GET", "/"], "Is a directory"),
        (&config, &["GTE", "/"], "unknown method \"GTE\"; did you mean \"GET\"?"),
        (&config, &["GET", "nowhere"], "expected a path that starts with"),
        (&config, &["GET", "/", "-H", "x"], "expected a header like"),
        (&config, &["GET", "/", "-d", "@/no/such/file"], "/no/such/file: No such file"),
        (&config, &["--requests", "/no/such/file"], "/no/such/file: No such file"),
        (&config, &["--requests", "/"], "is a directory"),
    ] {
        let ran = explain(config, arguments);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{arguments:?}");
        assert!(ran.errors.contains(words), "{arguments:?}: {}", ran.errors);
    }
    for arguments in [
        &["GET"][..],
        &[],
        &["GET", "/", "--requests", "x"],
        &["GET", "/", "--port", "0"],
        &["GET", "/", "--source-address", "x"],
    ] {
        assert_eq!(explain(&config, arguments).code, 2, "{arguments:?}");
    }
    let raw = OsStr::from_bytes(b"x-customer-segment: \xff\xfe");
    let path = OsStr::from_bytes(b"/catalog/\xff");
    let ran = sluice(&["-c".as_ref(), config.as_os_str(), "GET".as_ref(), path, "-H".as_ref(), raw], b"");
    assert_eq!(ran.code, 0, "{}", ran.errors);
    assert!(ran.out.contains("found \"\u{fffd}\u{fffd}\""), "{}", ran.out);
}

#[test]
fn a_file_of_requests_gives_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "router.yaml", SHOP);
    let mut input = br#"{"path": "/catalog/a", "headers": {"x-customer-segment": "premium"}}
{"method": "POST", "url": "/ai", "body": "{\"model\":\"small\"}"}

{"start_time": "-", "method": "GET", "path": "/x", "x-envoy-original-path": "/old/1", "authority": "h", "response_code": 200}
{"pth": "/"}
"#
    .to_vec();
    input.extend(b"{\"path\": \"/\xff\"}\n");
    input.extend(vec![b'x'; 2 << 20]);
    input.extend(b"\n{\"path\": \"/gone\"}");
    let ran = sluice(&["-c".as_ref(), config.as_os_str(), "--requests".as_ref(), "-".as_ref()], &input);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(
        lines,
        [
            r#"{"line":1,"outcome":"routed","rule":"premium","target":"catalog-premium","path":"/a","host":"localhost"}"#,
            r#"{"line":2,"outcome":"routed","rule":"model","target":"small","path":"/ai","host":"localhost"}"#,
            r#"{"line":4,"outcome":"redirected","rule":"old","status":301,"location":"https://h/new/1"}"#,
            r#"{"line":5,"error":"pth: unknown field; did you mean \"path\"?"}"#,
            r#"{"line":6,"error":"not valid JSON: invalid unicode code point at column 12"}"#,
            r#"{"line":7,"error":"expected a line of at most 1048576 bytes"}"#,
            r#"{"line":8,"outcome":"answered","rule":"gone","status":410}"#,
        ]
    );
    assert_eq!((ran.errors.as_str(), ran.code), ("sluice: 3 of 7 lines could not be read\n", 1));
    let good = sluice(
        &["-c".as_ref(), config.as_os_str(), "--requests".as_ref(), "-".as_ref(), "--all".as_ref()],
        b"{\"path\":\"/gone\"}",
    );
    assert_eq!(good.code, 0);
    assert!(good.out.contains(r#""candidates":[{"rule":"gone""#), "{}", good.out);
}

#[test]
fn many_lines_go_through_a_large_table() {
    let folder = tempfile::tempdir().unwrap();
    let rules: Vec<_> = (0..5000)
        .map(|n| format!("- {{name: r{n}, match: {{path: {{prefix: /s{n}}}}}, targets: [{{cluster: c{n}}}], rewrite: {{prefix: /}}}}\n"))
        .collect();
    let config = file(folder.path(), "large.yaml", format!("default: continue\nrules:\n{}", rules.concat()));
    let lines: String = (0..20_000).map(|n| format!("{{\"path\": \"/s{}/x\"}}\n", n % 5000)).collect();
    let lines = file(folder.path(), "lines.jsonl", lines);
    let begin = Instant::now();
    let ran = explain(&config, &["--requests", lines.to_str().unwrap()]);
    assert_eq!((ran.out.lines().count(), ran.code), (20_000, 0));
    assert!(ran.out.ends_with("{\"line\":20000,\"outcome\":\"routed\",\"rule\":\"r4999\",\"target\":\"c4999\",\"path\":\"/x\",\"host\":\"localhost\"}\n"));
    eprintln!("20,000 lines and 5,000 rules: {:?}", begin.elapsed());
}
