//! The table of rules: how the cost grows with their number, here and in what Envoy has for the same.
//!
//! Rule number I takes the path prefix `/svc-I` with the header `x-tenant: tI`. Requests hit the rule in the middle. Where a
//! filter decides, the table behind it is small and answers 200 only to the rewritten path; the filter itself answers 404
//! where no rule takes a request.

use super::listener::{Modules, Variant, answer, lua};
use super::variants::{BASE, EMPTY};
use serde_json::{Map, Value, json};

/// Numbers of rules.
pub const SIZES: [usize; 4] = [10, 100, 1000, 10_000];
/// The size of the rows that have one size only.
const COMMON: usize = 1000;

/// Name of the row of our filter with this number of rules.
pub fn router_name(size: usize) -> String {
    format!("header-router, {size} rules")
}

fn list_name(size: usize) -> String {
    format!("Envoy's route list, {size} routes")
}

/// All variants, the base first.
pub fn all(modules: &Modules) -> Result<Vec<Variant>, String> {
    let empty = || modules.filter("guests/sdk-empty.wasm", &json!({}));
    let any = || json!({"routes": [answer(&json!({"prefix": "/"}))]});
    let mut variants = vec![
        variant(BASE, COMMON, vec![], any()),
        variant(EMPTY, COMMON, vec![empty()?], any()),
        // the same once more: what two rows differ by when nothing does
        variant("empty filter of the SDK, again", COMMON, vec![empty()?], any()),
    ];
    for size in SIZES {
        let router = modules.filter("header-router.wasm", &routing(size, own))?;
        let decided = [
            variant(&router_name(size), size, vec![router], by_new_path()),
            variant(&format!("Envoy's matcher tree, {size} entries"), size, vec![], tree(size)),
            variant(&format!("Lua, a table of {size} entries"), size, vec![lua(&script(size))], by_new_path()),
        ];
        variants.push(variant(&list_name(size), size, vec![], list(size, own)));
        variants.extend(decided.map(|each| Variant { against: Some(list_name(size)), ..each }));
    }
    for (size, name) in [(1, "prefix-rewrite, 1 rule"), (COMMON, "prefix-rewrite, 1000 rules")] {
        let rewrite = modules.filter("prefix-rewrite.wasm", &rewriting(size))?;
        variants.push(variant(name, size, vec![rewrite], by_new_path()));
    }
    let router = || modules.filter("header-router.wasm", &routing(COMMON, own));
    let last = |name: &str, filters, table| Variant {
        path: format!("/svc-{}/items/7?x=1", COMMON - 1),
        header: ("x-tenant", format!("t{}", COMMON - 1)),
        ..variant(name, COMMON, filters, table)
    };
    let list_last = format!("Envoy's route list, the last of {COMMON} routes");
    variants.push(last(&list_last, vec![], list(COMMON, own)));
    let router_last = last(&format!("header-router, the last of {COMMON} rules"), vec![router()?], by_new_path());
    variants.push(Variant { against: Some(list_last), ..router_last });
    let tenant = |name: &str, filters, table| Variant {
        path: "/api/items/7?x=1".to_owned(),
        ..variant(name, COMMON, filters, table)
    };
    let list_tenants = format!("Envoy's route list, {COMMON} tenants under one prefix");
    variants.push(tenant(&list_tenants, vec![], list(COMMON, shared)));
    let tenants = modules.filter("header-router.wasm", &routing(COMMON, shared))?;
    let name = format!("header-router, {COMMON} tenants under one prefix");
    variants.push(Variant { against: Some(list_tenants), ..tenant(&name, vec![tenants], by_new_path()) });
    let name = format!("header-router, {COMMON} rules, before a route that looks for its header");
    variants
        .push(Variant { against: Some(list_name(COMMON)), ..variant(&name, COMMON, vec![router()?], by_decision()) });
    let behind = variant(
        &format!("header-router, {COMMON} rules, before {COMMON} routes"),
        COMMON,
        vec![router()?],
        by_cluster(COMMON),
    );
    variants.push(Variant { against: Some(list_name(COMMON)), ..behind });
    Ok(variants)
}

fn variant(name: &str, size: usize, filters: Vec<Value>, table: Value) -> Variant {
    let middle = size / 2;
    Variant {
        name: name.to_owned(),
        against: None,
        filters,
        table,
        path: format!("/svc-{middle}/items/7?x=1"),
        header: ("x-tenant", format!("t{middle}")),
        values: 1,
        status: 200,
        ..Variant::default()
    }
}

/// Path prefix of a rule: its own, or the one that tenants share.
fn own(number: usize) -> String {
    format!("/svc-{number}")
}

fn shared(_: usize) -> String {
    "/api".to_owned()
}

fn routing(size: usize, prefix: fn(usize) -> String) -> Value {
    let rule = |number: usize| {
        json!({"name": format!("r{number}"), "targets": [{"cluster": format!("c{number}")}], "rewrite": {"prefix": "/"}, "match": {
            "path": {"prefix": prefix(number)},
            "headers": [{"name": "x-tenant", "match": {"exact": format!("t{number}")}}]}})
    };
    json!({"rules": (0..size).map(rule).collect::<Vec<_>>(), "default": {"status": 404}})
}

fn rewriting(size: usize) -> Value {
    let rule = |number: usize| {
        json!({"name": format!("r{number}"), "rewrite": {"prefix": "/"}, "match": {
            "path": {"prefix": format!("/svc-{number}")},
            "headers": [{"name": "x-tenant", "match": {"exact": format!("t{number}")}}]}})
    };
    json!({"rules": (0..size).map(rule).collect::<Vec<_>>()})
}

/// A table that looks for the decision.
fn by_decision() -> Value {
    let decided = json!({"prefix": "/items/", "headers": [{"name": "x-sluice-cluster", "present_match": true}]});
    json!({"routes": [answer(&decided), not_found()]})
}

/// The small table behind a filter that rewrites the path.
fn by_new_path() -> Value {
    json!({"routes": [answer(&json!({"prefix": "/items/"})), not_found()]})
}

/// A table with a route for each cluster.
fn by_cluster(size: usize) -> Value {
    let route = |number: usize| {
        let cluster = json!({"name": "x-sluice-cluster", "string_match": {"exact": format!("c{number}")}});
        answer(&json!({"prefix": "/", "headers": [cluster]}))
    };
    json!({"routes": (0..size).map(route).chain([not_found()]).collect::<Vec<_>>()})
}

fn not_found() -> Value {
    json!({"match": {"prefix": "/"}, "direct_response": {"status": 404}})
}

/// Envoy's own list of the same rules.
fn list(size: usize, prefix: fn(usize) -> String) -> Value {
    let route = |number: usize| {
        let tenant = json!({"name": "x-tenant", "string_match": {"exact": format!("t{number}")}});
        answer(&json!({"path_separated_prefix": prefix(number), "headers": [tenant]}))
    };
    json!({"routes": (0..size).map(route).chain([not_found()]).collect::<Vec<_>>()})
}

/// Envoy's matcher tree for them: the longest prefix of the path, then the whole header. Prefixes are text there, so the
/// slash behind the segment is part of them.
fn tree(size: usize) -> Value {
    let input = |name: &str| {
        json!({"name": name, "typed_config": {
            "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": name}})
    };
    let leaf = |number: usize| {
        let mut route = answer(&json!({"prefix": "/"}));
        if let Some(fields) = route.as_object_mut() {
            fields.insert("@type".to_owned(), json!("type.googleapis.com/envoy.config.route.v3.Route"));
        }
        let tenants: Map<String, Value> =
            [(format!("t{number}"), json!({"action": {"name": "route", "typed_config": route}}))].into_iter().collect();
        let by_tenant = json!({"input": input("x-tenant"), "exact_match_map": {"map": tenants}});
        (format!("/svc-{number}/"), json!({"matcher": {"matcher_tree": by_tenant}}))
    };
    let paths: Map<String, Value> = (0..size).map(leaf).collect();
    json!({"matcher": {"matcher_tree": {"input": input(":path"), "prefix_match_map": {"map": paths}}}})
}

/// Lua with a hash table by prefix, asked for shorter and shorter prefixes of whole segments. The table is made once.
fn script(size: usize) -> String {
    let last = size.saturating_sub(1);
    format!(
        r#"local rules = {{}}
for i = 0, {last} do
  rules["/svc-" .. i] = {{{{tenant = "t" .. i, cluster = "c" .. i, name = "r" .. i}}}}
end
function envoy_on_request(handle)
  local headers = handle:headers()
  local path = headers:get(":path")
  local query = string.find(path, "?", 1, true)
  local prefix = query and string.sub(path, 1, query - 1) or path
  local tenant = headers:get("x-tenant")
  while prefix ~= "" do
    local candidates = rules[prefix]
    if candidates then
      for _, rule in ipairs(candidates) do
        if rule.tenant == tenant then
          local rest = string.sub(path, #prefix + 1)
          headers:replace(":path", string.sub(rest, 1, 1) == "/" and rest or "/" .. rest)
          headers:replace("x-sluice-cluster", rule.cluster)
          headers:replace("x-sluice-route", rule.name)
          return
        end
      end
    end
    prefix = string.match(prefix, "^(.*)/[^/]*$") or ""
  end
  handle:respond({{[":status"] = "404"}}, "")
end
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_have_names_of_their_own_and_are_compared_with_rows_that_exist() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("guests")).unwrap();
        for module in ["header-router", "prefix-rewrite", "guests/sdk-empty"] {
            std::fs::write(folder.path().join(format!("{module}.wasm")), "").unwrap();
        }
        let variants = all(&Modules::new(folder.path())).unwrap();
        let names: BTreeSet<&String> = variants.iter().map(|variant| &variant.name).collect();
        assert_eq!(names.len(), variants.len());
        assert!(variants.iter().filter_map(|variant| variant.against.as_ref()).all(|other| names.contains(other)));
        assert!(names.contains(&router_name(10_000)));
    }

    #[test]
    fn envoys_ways_hold_the_same_rules() {
        assert_eq!(list(10, own)["routes"].as_array().unwrap().len(), 11);
        let paths = &tree(10)["matcher"]["matcher_tree"]["prefix_match_map"]["map"];
        assert_eq!(paths.as_object().unwrap().len(), 10);
        assert!(paths["/svc-5/"]["matcher"]["matcher_tree"]["exact_match_map"]["map"]["t5"].is_object());
        assert!(script(10).contains("for i = 0, 9 do"));
    }
}
