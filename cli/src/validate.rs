//! `sluice validate`: the filters' own checks, with the place in the file.

mod warnings;

use crate::config_file::{self, Finding, Known};
use clap::Args;
use std::path::PathBuf;
use warnings::Bootstrap;

/// Options of `sluice validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Filter configurations, or Envoy bootstraps with plugin configurations in them; YAML or JSON.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Whose configuration the files hold. Without it, what stands in them tells.
    #[arg(long, value_enum)]
    filter: Option<Known>,
    /// Count warnings as mistakes.
    #[arg(long)]
    deny_warnings: bool,
}

/// What is to be said of a file.
#[derive(Debug, Default)]
struct Checked {
    /// What was checked.
    what: String,
    mistakes: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Validate {
    /// Checks every file and prints what is wrong.
    ///
    /// # Errors
    /// If anything is.
    pub fn run(&self) -> Result<(), String> {
        let (mut mistakes, mut warnings, mut text) = (0, 0, String::new());
        for file in &self.files {
            let checked = match config_file::read(file) {
                Ok(read) => check(&read, self.filter),
                Err(why) => {
                    mistakes += 1;
                    text.push_str(&format!("{why}\n"));
                    continue;
                }
            };
            mistakes += checked.mistakes.len();
            warnings += checked.warnings.len();
            for mistake in &checked.mistakes {
                text.push_str(&format!("{}\n", mistake.in_file(file)));
            }
            for Finding { position, why } in &checked.warnings {
                let warning = Finding { position: *position, why: format!("warning: {why}") };
                text.push_str(&format!("{}\n", warning.in_file(file)));
            }
            if checked.mistakes.is_empty() {
                let found = match checked.warnings.len() {
                    0 => String::new(),
                    1 => ", 1 warning".to_owned(),
                    many => format!(", {many} warnings"),
                };
                text.push_str(&format!("{}: {}, valid{found}\n", file.display(), checked.what));
            }
        }
        crate::output::print(&text)?;
        match (mistakes, warnings) {
            (0, 0) => Ok(()),
            (0, _) if !self.deny_warnings => Ok(()),
            (0, 1) => Err("1 warning, and warnings are denied".to_owned()),
            (0, _) => Err(format!("{warnings} warnings, and warnings are denied")),
            (1, _) => Err("1 mistake".to_owned()),
            _ => Err(format!("{mistakes} mistakes")),
        }
    }
}

fn check(text: &str, filter: Option<Known>) -> Checked {
    let wrong = |finding| Checked { mistakes: vec![finding], ..Checked::default() };
    let root = match config_file::parse(text) {
        Ok(root) => root,
        Err(finding) => return wrong(finding),
    };
    let plugins = match config_file::plugins(&root, filter) {
        Ok(plugins) => plugins,
        Err(finding) => return wrong(finding),
    };
    let mut checked = Checked::default();
    let bootstrap = Bootstrap::new(&root);
    for plugin in &plugins {
        match plugin.mistake() {
            Some(mistake) => checked.mistakes.push(mistake),
            None => {
                checked.mistakes.extend(warnings::not_held(plugin));
                checked.mistakes.extend(bootstrap.mistakes(plugin));
                checked.warnings.extend(bootstrap.warnings(plugin));
            }
        }
    }
    checked.what = match plugins.as_slice() {
        [only] if only.plugin.is_none() => format!("{} configuration", only.filter.name()),
        [_] => "1 plugin configuration".to_owned(),
        all => format!("{} plugin configurations", all.len()),
    };
    checked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str, filter: Option<Known>) -> Vec<String> {
        let found = |kind: &str, Finding { position, why }: Finding| {
            format!("{}:{} {kind}{why}", position.line, position.column)
        };
        let checked = check(text, filter);
        if checked.mistakes.is_empty() && checked.warnings.is_empty() {
            return vec![format!("{}, valid", checked.what)];
        }
        let mistakes = checked.mistakes.into_iter().map(|mistake| found("", mistake));
        mistakes.chain(checked.warnings.into_iter().map(|warning| found("warning: ", warning))).collect()
    }

    #[test]
    fn a_mistake_has_a_line_and_a_column() {
        let text = "rules:\n- name: a\n  match: {path: {prefx: /}}\n  targets: [{cluster: c}]\ndefault: continue\n";
        assert_eq!(
            findings(text, Some(Known::HeaderRouter)),
            [r#"3:18 rules[0].match.path.prefx: unknown field; did you mean "prefix"?"#]
        );
        assert_eq!(
            findings(&text.replace("prefx", "prefix"), Some(Known::HeaderRouter)),
            ["header-router configuration, valid"]
        );
        assert_eq!(findings("rules: [", Some(Known::Suite)).len(), 1);
    }

    #[test]
    fn plugins_of_a_bootstrap_are_found_by_their_module() {
        let plugin = |file: &str, value: &str| {
            format!(
                "- config:\n    configuration: {{value: {value}}}\n    vm_config: {{code: {{local: {{filename: {file}}}}}}}\n"
            )
        };
        let good = plugin("dist/prefix-rewrite.wasm", "{rules: []}");
        assert_eq!(findings(&good, None), ["1 plugin configuration, valid"]);
        let bad =
            [good, plugin("a/suite_1.0.wasm", "{filters: []}"), plugin("x.wasm", "{}"), plugin("suite.wasm", "'{'")];
        assert_eq!(
            findings(&bad.concat(), None),
            [
                "5:29 filters: expected 1 to 16 filters, found 0",
                "11:28 not valid JSON: EOF while parsing an object at line 1 column 1"
            ]
        );
        assert!(findings("a: 1", None)[0].starts_with("1:1 no plugin configuration of ours"));
    }

    #[test]
    fn warnings_of_a_bootstrap_know_its_clusters_and_flags() {
        let text = |flag: &str, dynamic: &str| {
            format!(
                r#"static_resources:
  listeners:
  - config:
      configuration:
        value:
          default: {{target: {{cluster: last}}}}
          rules:
          - {{name: all, match: {{path: {{prefix: /}}, json_body: [{{pointer: /m}}]}}, targets: [{{cluster: product-v1}}]}}
          - {{name: none, priority: 1, targets: [{{cluster: product}}]}}
      {flag}
      vm_config: {{code: {{local: {{filename: header-router.wasm}}}}}}
  clusters: [{{name: product}}]
{dynamic}"#
            )
        };
        let held = "allow_on_headers_stop_iteration: true";
        assert_eq!(
            findings(&text("", ""), None),
            [
                "4:7 rules with \"json_body\" need \"allow_on_headers_stop_iteration: true\" here: without it, Envoy does not \
                    wait for bodies",
                "6:30 warning: default.target.cluster: no cluster of the bootstrap has the name \"last\"",
                "8:13 warning: rules[0]: never takes a request: \"none\" (rules[1]) comes first and takes all of them",
                "8:92 warning: rules[0].targets[0].cluster: no cluster of the bootstrap has the name \"product-v1\"; did you \
                    mean \"product\"?",
            ]
        );
        assert_eq!(findings(&text(held, ""), None).len(), 3);
        assert_eq!(findings(&text(held, "dynamic_resources: {}"), None).len(), 1);
    }

    #[test]
    fn a_rate_limit_service_has_to_be_a_cluster_of_the_bootstrap() {
        let plugin = |filter: &str, config: &str| {
            format!(
                "static_resources:\n  listeners: [{{filter_chains: [{{filters: [{{typed_config: {{http_filters: [{{typed_config: {{\n    \
                 \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm,\n    \
                 config: {{vm_config: {{code: {{local: {{filename: {filter}.wasm}}}}}},\n    \
                 configuration: {{\"@type\": type.googleapis.com/google.protobuf.Struct, value: {{\n    {config}}}}}}}}}}}]}}}}]}}]}}]\n  \
                 clusters: [{{name: limits}}]\n"
            )
        };
        let limits = |cluster: &str| {
            format!(
                "service: {{cluster: {cluster}, domain: d}}, policies: [{{name: a, key: [host], global: {{descriptor: [h]}}}}]"
            )
        };
        assert_eq!(findings(&plugin("rate-limit", &limits("limits")), None), ["1 plugin configuration, valid"]);
        assert_eq!(
            findings(&plugin("rate-limit", &limits("limit")), None),
            ["6:15 service.cluster: no cluster of the bootstrap has the name \"limit\"; did you mean \"limits\"?"]
        );
        let suite = format!("filters: [{{rate_limit: {{{}}}}}]", limits("other"));
        let found = findings(&plugin("suite", &suite), None);
        assert!(found[0].contains("filters[0].rate_limit.service.cluster: no cluster"), "{found:?}");
        let unused = "filters: [{rate_limit: {service: {cluster: limits, domain: d}, policies: []}}]";
        let found = findings(&plugin("suite", unused), None);
        assert!(found[0].contains("warning: filters[0].rate_limit.service: no policy has `global`"), "{found:?}");
    }

    #[test]
    fn warnings_of_a_suite_name_the_filter() {
        let rules = "rules: [{name: a, rewrite: {host: b}}, {name: c, rewrite: {host: d}}]";
        assert_eq!(
            findings(&format!("filters: [{{prefix_rewrite: {{{rules}}}}}]"), None),
            [
                "1:68 warning: filters[0].prefix_rewrite.rules[1]: never takes a request: \"a\" (rules[0]) comes first and \
                    takes all of them"
            ]
        );
    }
}
