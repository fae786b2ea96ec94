//! What every shipped module imports, exports and weighs: a host that lacks an import does not load it, an export that
//! is not needed costs a crossing on every request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use wasmparser::{ExternalKind, Parser, Payload};

struct Shape {
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
    names: bool,
    bytes: usize,
}

fn dist() -> PathBuf {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dist");
    std::env::var_os("SLUICE_DIST").map_or(default, PathBuf::from)
}

fn shape(module: &str) -> Shape {
    let path = dist().join(module);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; make build", path.display()));
    let mut shape = Shape { imports: BTreeSet::new(), exports: BTreeSet::new(), names: false, bytes: bytes.len() };
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.unwrap();
                    shape.imports.insert(format!("{}.{}", import.module, import.name));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.unwrap();
                    if export.kind == ExternalKind::Func {
                        shape.exports.insert(export.name.to_owned());
                    }
                }
            }
            Payload::CustomSection(section) if section.name() == "name" => shape.names = true,
            _ => {}
        }
    }
    shape
}

/// The largest that modules may get; raise it knowingly. Error texts and function names are worth their bytes.
const BUDGETS: [(&str, usize); 5] = [
    ("ai-normalize.wasm", 1_600_000),
    ("header-router.wasm", 1_000_000),
    ("prefix-rewrite.wasm", 1_000_000),
    ("rate-limit.wasm", 1_000_000),
    ("suite.wasm", 2_600_000),
];

#[test]
fn shipped_modules_import_only_what_every_host_has() {
    let wasi = ["environ_get", "environ_sizes_get", "fd_write", "proc_exit", "clock_time_get", "random_get"];
    for (module, _) in BUDGETS {
        for import in shape(module).imports {
            let allowed = match import.split_once('.') {
                Some(("env", name)) => name.starts_with("proxy_"),
                Some(("wasi_snapshot_preview1", name)) => wasi.contains(&name),
                _ => false,
            };
            assert!(allowed, "{module} imports {import}");
        }
    }
}

#[test]
fn shipped_modules_export_only_the_callbacks_they_use() {
    let head = ["_initialize", "proxy_abi_version_0_2_1", "proxy_on_configure", "proxy_on_context_create"];
    let held = ["proxy_on_delete", "proxy_on_memory_allocate", "proxy_on_request_body", "proxy_on_request_headers"];
    let held = [&held[..], &["proxy_on_request_trailers"]].concat();
    let calls = ["proxy_on_grpc_close", "proxy_on_grpc_receive"];
    let pieces = ["proxy_on_response_body", "proxy_on_response_trailers"];
    let (answers, tick) = (["proxy_on_response_headers"], ["proxy_on_tick"]);
    for (module, others) in [
        ("header-router.wasm", vec![&answers[..], &tick]),
        ("prefix-rewrite.wasm", vec![&tick]),
        ("rate-limit.wasm", vec![&answers, &calls]),
        ("ai-normalize.wasm", vec![&answers, &pieces, &tick]),
        ("suite.wasm", vec![&answers, &calls, &pieces, &tick]),
    ] {
        let mut expected = [&head[..], &held, &others.concat()].concat();
        expected.sort_unstable();
        let exports = shape(module).exports;
        assert_eq!(exports.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{module}");
    }
}

#[test]
fn shipped_modules_keep_function_names_and_their_size_budget() {
    for (module, budget) in BUDGETS {
        let shape = shape(module);
        assert!(shape.names, "{module} has no name section: a trap would show no function names");
        assert!(shape.bytes <= budget, "{module} has {} bytes, the budget is {budget}", shape.bytes);
    }
}
