//! The table of filters: what each of them costs with two rules.

use super::listener::{Modules, Variant, answer};
use serde_json::{Value, json};

/// Name of the row that all ratios are against.
pub const BASE: &str = "no filter";
/// Name of the row of a filter that does nothing.
pub const EMPTY: &str = "empty filter of the SDK";

/// All variants, the base first.
pub fn all(modules: &Modules) -> Result<Vec<Variant>, String> {
    let variant = |name: &str, filters: &[(&str, Value)]| -> Result<Variant, String> {
        Ok(Variant {
            name: name.to_owned(),
            against: None,
            filters: filters.iter().map(|(module, config)| modules.filter(module, config)).collect::<Result<_, _>>()?,
            table: json!({"routes": [answer(&json!({"prefix": "/"}))]}),
            path: "/products/items/7?x=1".to_owned(),
            header: ("x-user-type", "customer".to_owned()),
            values: 1,
            status: 200,
            ..Variant::default()
        })
    };
    let (router, rewrite) = ("header-router.wasm", "prefix-rewrite.wasm");
    let both = json!({"filters": [{"header_router": routing("/products")}, {"prefix_rewrite": rewriting()}]});
    Ok(vec![
        variant(BASE, &[])?,
        variant(EMPTY, &[("guests/sdk-empty.wasm", json!({}))])?,
        variant("header-router, no rule matches", &[(router, routing("/other"))])?,
        variant("header-router", &[(router, routing("/products"))])?,
        variant("prefix-rewrite", &[(rewrite, rewriting())])?,
        variant("header-router + prefix-rewrite", &[(router, routing("/products")), (rewrite, rewriting())])?,
        variant("suite of both", &[("suite.wasm", both)])?,
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
