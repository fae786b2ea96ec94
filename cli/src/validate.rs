//! `sluice validate`: the filters' own checks, with the place in the file.

use clap::{Args, ValueEnum};
use filter_kit::{ConfigError, Filter};
use header_router::HeaderRouter;
use host_test::yaml::{self, Node, Position, Value};
use prefix_rewrite::PrefixRewrite;
use std::path::{Path, PathBuf};
use suite::Suite;

/// Options of `sluice validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Filter configurations, or Envoy bootstraps with plugin configurations in them; YAML or JSON.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Whose configuration the files hold; not needed for bootstraps.
    #[arg(long, value_enum)]
    filter: Option<Known>,
}

/// Filters whose configurations can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Known {
    HeaderRouter,
    PrefixRewrite,
    Suite,
}

/// A mistake, or that there is nothing to check.
struct Finding {
    position: Position,
    why: String,
}

impl Validate {
    /// Checks every file and prints what is wrong.
    ///
    /// # Errors
    /// If anything is.
    pub fn run(&self) -> Result<(), String> {
        let mut wrong = 0;
        for file in &self.files {
            let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            match check(&text, self.filter) {
                Ok(checked) => println!("{}: {checked}", file.display()),
                Err(findings) => {
                    wrong += findings.len();
                    for Finding { position, why } in findings {
                        println!("{}:{}:{} {why}", file.display(), position.line, position.column);
                    }
                }
            }
        }
        match wrong {
            0 => Ok(()),
            1 => Err("1 mistake".to_owned()),
            _ => Err(format!("{wrong} mistakes")),
        }
    }
}

fn check(text: &str, filter: Option<Known>) -> Result<String, Vec<Finding>> {
    let root = yaml::parse(text).map_err(|error| vec![Finding { position: error.position, why: error.why }])?;
    if let Some(filter) = filter {
        let json = root.value.to_json().to_string();
        let error = filter.check(json.as_bytes());
        return error.map_or(Ok("valid".to_owned()), |error| Err(vec![Finding::new(&root, &error)]));
    }
    let mut plugins = Vec::new();
    collect(&root, &mut plugins);
    let (mut findings, mut checked) = (Vec::new(), 0);
    for plugin in &plugins {
        match plugin_finding(plugin) {
            Some(Some(finding)) => findings.push(finding),
            Some(None) => checked += 1,
            None => {}
        }
    }
    if findings.is_empty() && checked == 0 {
        let why = "no plugin configuration of ours in here; for a configuration by itself say whose: --filter NAME";
        findings.push(Finding { position: root.position, why: why.to_owned() });
    }
    if findings.is_empty() {
        Ok(format!("{checked} plugin configuration{}, valid", if checked == 1 { "" } else { "s" }))
    } else {
        Err(findings)
    }
}

/// All maps that look like Envoy's `PluginConfig`.
fn collect<'a>(node: &'a Node, plugins: &mut Vec<&'a Node>) {
    match &node.value {
        Value::Map(entries) => {
            if node.get("vm_config").is_some() {
                plugins.push(node);
            }
            entries.iter().for_each(|(_, value)| collect(value, plugins));
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, plugins)),
        _ => {}
    }
}

/// Nothing for the plugin of a stranger; else its mistake, if it has one.
fn plugin_finding(plugin: &Node) -> Option<Option<Finding>> {
    let Value::Text(file) = &plugin.get("vm_config.code.local.filename")?.value else { return None };
    let filter = Known::of_file(Path::new(file))?;
    let Some(configuration) = plugin.get("configuration.value") else {
        let error = filter.check(b"")?;
        return Some(Some(Finding { position: plugin.position, why: error.to_string() }));
    };
    let (text, json) = match &configuration.value {
        Value::Text(text) => (Some(text), text.clone()),
        other => (None, other.to_json().to_string()),
    };
    let Some(error) = filter.check(json.as_bytes()) else { return Some(None) };
    // JSON in a string has lines of its own; the string's place is the best there is
    let position = if text.is_some() { configuration.position } else { configuration.locate(&error.at) };
    Some(Some(Finding { position, why: error.to_string() }))
}

impl Finding {
    fn new(root: &Node, error: &ConfigError) -> Self {
        Self { position: root.locate(&error.at), why: error.to_string() }
    }
}

impl Known {
    /// By the module's name, `header-router.wasm`; underscores and a version may stand in it.
    fn of_file(file: &Path) -> Option<Self> {
        let name = file.file_stem()?.to_str()?.replace('_', "-");
        let version = |rest: &str| {
            rest.is_empty()
                || rest
                    .strip_prefix('-')
                    .is_some_and(|v| v.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()))
        };
        let named = |filter: &&Self| {
            let value = filter.to_possible_value();
            value.is_some_and(|value| name.strip_prefix(value.get_name()).is_some_and(version))
        };
        Self::value_variants().iter().find(named).copied()
    }

    fn check(self, json: &[u8]) -> Option<ConfigError> {
        match self {
            Self::HeaderRouter => HeaderRouter::from_config(json).err(),
            Self::PrefixRewrite => PrefixRewrite::from_config(json).err(),
            Self::Suite => Suite::from_config(json).err(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str, filter: Option<Known>) -> Vec<String> {
        let found = |f: Finding| format!("{}:{} {}", f.position.line, f.position.column, f.why);
        check(text, filter).map_or_else(|findings| findings.into_iter().map(found).collect(), |checked| vec![checked])
    }

    #[test]
    fn a_mistake_has_a_line_and_a_column() {
        let text = "rules:\n- name: a\n  match: {path: {prefx: /}}\n  targets: [{cluster: c}]\ndefault: continue\n";
        assert_eq!(
            findings(text, Some(Known::HeaderRouter)),
            [r#"3:18 rules[0].match.path.prefx: unknown field; did you mean "prefix"?"#]
        );
        assert_eq!(findings(&text.replace("prefx", "prefix"), Some(Known::HeaderRouter)), ["valid"]);
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
}
