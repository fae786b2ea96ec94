//! What is measured.

use serde_json::{Value, json};
use std::path::Path;

/// A listener of the measured Envoy.
#[derive(Debug)]
pub struct Variant {
    /// Row name.
    pub name: &'static str,
    /// Its filters: module and configuration.
    pub filters: Vec<(String, String)>,
}

/// Name of the row that all ratios are against.
pub const BASE: &str = "no filter";
/// Name of the row of a filter that does nothing.
pub const EMPTY: &str = "empty filter of the SDK";

/// All variants, the base first.
pub fn all(dist: &Path) -> Result<Vec<Variant>, String> {
    let module = |name: &str| {
        let path = dist.join(name);
        path.is_file().then(|| path.display().to_string()).ok_or(format!("{} is missing: make build", path.display()))
    };
    let (router, rewrite, suite) =
        (module("header-router.wasm")?, module("prefix-rewrite.wasm")?, module("suite.wasm")?);
    let variant = |name, filters: &[(&String, Value)]| Variant {
        name,
        filters: filters.iter().map(|(module, config)| ((*module).clone(), config.to_string())).collect(),
    };
    let both = json!({"filters": [{"header_router": routing("/products")}, {"prefix_rewrite": rewriting()}]});
    Ok(vec![
        variant(BASE, &[]),
        variant(EMPTY, &[(&module("guests/sdk-empty.wasm")?, json!({}))]),
        variant("header-router, no rule matches", &[(&router, routing("/other"))]),
        variant("header-router", &[(&router, routing("/products"))]),
        variant("prefix-rewrite", &[(&rewrite, rewriting())]),
        variant("header-router + prefix-rewrite", &[(&router, routing("/products")), (&rewrite, rewriting())]),
        variant("suite of both", &[(&suite, both)]),
    ])
}

/// Two rules of which the second takes the requests of the load, if it is for their path.
fn routing(prefix: &str) -> Value {
    let rule = |name: &str, user: &str| {
        json!({"name": name, "targets": [{"cluster": name}], "match": {
            "path": {"prefix": prefix}, "headers": [{"name": "x-user-type", "match": {"exact": user}}]}})
    };
    json!({"rules": [rule("v2", "beta-tester"), rule("v1", "customer")], "default": "continue"})
}

fn rewriting() -> Value {
    json!({"rules": [{"name": "products", "match": {"path": {"prefix": "/products"}}, "rewrite": {"prefix": "/"}}]})
}
