//! Files that hold configurations of our filters: by themselves, or as plugins of an Envoy bootstrap.

use ai_normalize::AiNormalize;
use clap::ValueEnum;
use filter_kit::{ConfigError, Filter};
use header_router::HeaderRouter;
use host_test::yaml::{self, Node, Position, Value};
use prefix_rewrite::PrefixRewrite;
use rate_limit::RateLimit;
use std::fmt;
use std::path::Path;
use std::process::Command;
use suite::Suite;

/// Filters whose configurations can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Known {
    AiNormalize,
    HeaderRouter,
    PrefixRewrite,
    RateLimit,
    Suite,
}

/// Something about a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub position: Position,
    pub why: String,
}

/// A configuration of one of our filters.
#[derive(Debug, Clone)]
pub struct Plugin<'a> {
    pub filter: Known,
    /// Where the plugin stands.
    pub position: Position,
    /// The plugin's map in a bootstrap; nothing for a configuration by itself.
    pub plugin: Option<&'a Node>,
    /// The configuration, if there is one.
    configuration: Option<&'a Node>,
    /// Number of the list that it stands in: those of one list are one chain.
    pub list: usize,
}

/// Largest configuration file in bytes; a filter's own limits are far below.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Reads a file as text.
///
/// # Errors
/// With the file's name, if it cannot be read, is too large or no UTF-8.
pub fn read(file: &Path) -> Result<String, String> {
    let told = |why: &dyn fmt::Display| format!("{}: {why}", file.display());
    let size = std::fs::metadata(file).map_err(|error| told(&error))?.len();
    if size > MAX_FILE {
        return Err(told(&format!("expected at most {MAX_FILE} bytes, found {size}")));
    }
    let bytes = std::fs::read(file).map_err(|error| told(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}: not UTF-8", file.display())
    })
}

/// Reads a file, or what git has under a name like `HEAD:router.yaml`.
///
/// # Errors
/// As [`read`], and what git says.
pub fn read_or_show(file: &Path) -> Result<String, String> {
    let name = file.to_str().filter(|name| name.contains(':') && !name.starts_with('-') && !file.exists());
    let Some(name) = name else { return read(file) };
    let shown = Command::new("git").args(["show", "--end-of-options", name]).output();
    let shown = shown.map_err(|error| format!("{name}: no such file, and git cannot be asked: {error}"))?;
    if !shown.status.success() {
        let why = String::from_utf8_lossy(&shown.stderr);
        return Err(format!("{name}: no such file, and git says: {}", why.trim()));
    }
    String::from_utf8(shown.stdout).map_err(|_| format!("{name}: not UTF-8"))
}

/// Parses a file's text.
///
/// # Errors
/// The first fault.
pub fn parse(text: &str) -> Result<Node, Finding> {
    yaml::parse(text).map_err(|error| Finding { position: error.position, why: error.why })
}

/// The configurations in a file: its own, or those of the plugins in a bootstrap.
///
/// # Errors
/// If there is none.
pub fn plugins(root: &Node, filter: Option<Known>) -> Result<Vec<Plugin<'_>>, Finding> {
    let mut plugins = Vec::new();
    collect(root, 0, &mut 0, &mut plugins);
    if !plugins.is_empty() {
        plugins.retain(|plugin: &Plugin<'_>| filter.is_none_or(|filter| plugin.filter == filter));
        if plugins.is_empty() {
            return Err(Finding { position: root.position, why: "no plugin of that filter in here".to_owned() });
        }
        return Ok(plugins);
    }
    let Some(filter) = filter.or_else(|| Known::of_configuration(root)) else {
        let why = "no plugin configuration of ours in here; for a configuration by itself say whose: --filter NAME";
        return Err(Finding { position: root.position, why: why.to_owned() });
    };
    Ok(vec![Plugin { filter, position: root.position, plugin: None, configuration: Some(root), list: 0 }])
}

/// All maps that look like Envoy's `PluginConfig` and run one of our modules.
fn collect<'a>(node: &'a Node, list: usize, lists: &mut usize, plugins: &mut Vec<Plugin<'a>>) {
    match &node.value {
        Value::Map(entries) => {
            let module = node.get("vm_config.code.local.filename");
            if let Some(Value::Text(file)) = module.map(|file| &file.value)
                && let Some(filter) = Known::of_file(Path::new(file))
            {
                let configuration = node.get("configuration.value");
                plugins.push(Plugin { filter, position: node.position, plugin: Some(node), configuration, list });
            }
            entries.iter().for_each(|(_, value)| collect(value, list, lists, plugins));
        }
        Value::List(items) => {
            *lists += 1;
            let list = *lists;
            items.iter().for_each(|item| collect(item, list, lists, plugins));
        }
        _ => {}
    }
}

impl Plugin<'_> {
    /// The configuration as the filter gets it.
    pub fn json(&self) -> Vec<u8> {
        match self.configuration.map(|node| &node.value) {
            None => Vec::new(),
            Some(Value::Text(text)) => text.clone().into_bytes(),
            Some(other) => other.to_json().to_string().into_bytes(),
        }
    }

    /// Where the value at a path in the configuration stands. JSON in a string has lines of its own; the string's place
    /// is the best there is.
    pub fn locate(&self, path: &str) -> Position {
        match self.configuration {
            None => self.position,
            Some(node) if matches!(node.value, Value::Text(_)) => node.position,
            Some(node) => node.locate(path),
        }
    }

    /// An error of the configuration, with its place.
    pub fn finding(&self, error: &ConfigError) -> Finding {
        Finding { position: self.locate(&error.at), why: error.to_string() }
    }

    /// What is wrong with the configuration.
    pub fn mistake(&self) -> Option<Finding> {
        let json = self.json();
        let error = match self.filter {
            Known::AiNormalize => AiNormalize::from_config(&json).err(),
            Known::HeaderRouter => HeaderRouter::from_config(&json).err(),
            Known::PrefixRewrite => PrefixRewrite::from_config(&json).err(),
            Known::RateLimit => RateLimit::from_config(&json).err(),
            Known::Suite => Suite::from_config(&json).err(),
        };
        error.map(|error| self.finding(&error))
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
        let named = |filter: &&Self| name.strip_prefix(filter.name()).is_some_and(version);
        Self::value_variants().iter().find(named).copied()
    }

    /// By what stands in a configuration.
    fn of_configuration(root: &Node) -> Option<Self> {
        let Value::Map(entries) = &root.value else { return None };
        let has = |name: &str| entries.iter().any(|(key, _)| key.name == name);
        let actions = ["targets", "service", "redirect", "direct_response"];
        if has("filters") {
            return Some(Self::Suite);
        }
        if has("providers") || has("models") {
            return Some(Self::AiNormalize);
        }
        if has("policies") {
            return Some(Self::RateLimit);
        }
        let rules = match root.get("rules").map(|rules| &rules.value) {
            Some(Value::List(rules)) => rules.as_slice(),
            Some(_) => &[],
            None => return has("default").then_some(Self::HeaderRouter),
        };
        let acts = |rule: &Node| actions.iter().any(|action| rule.get(action).is_some());
        let routes = ["default", "services", "mode", "debug"].iter().any(|name| has(name)) || rules.iter().any(acts);
        Some(if routes { Self::HeaderRouter } else { Self::PrefixRewrite })
    }

    /// The name, as in `header-router`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AiNormalize => AiNormalize::NAME,
            Self::HeaderRouter => HeaderRouter::NAME,
            Self::PrefixRewrite => PrefixRewrite::NAME,
            Self::RateLimit => RateLimit::NAME,
            Self::Suite => Suite::NAME,
        }
    }
}

impl Finding {
    /// The finding with the file's name before it.
    pub fn in_file(&self, file: &Path) -> String {
        format!("{}:{}:{} {}", file.display(), self.position.line, self.position.column, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_tells_whose_it_is() {
        for (text, expected) in [
            ("filters: []", Some(Known::Suite)),
            ("providers: []", Some(Known::AiNormalize)),
            ("rules: []", Some(Known::PrefixRewrite)),
            ("rules: [{name: a, rewrite: {prefix: /}}]", Some(Known::PrefixRewrite)),
            ("rules: [{name: a, targets: []}]", Some(Known::HeaderRouter)),
            ("rules: [{name: a, service: b}]", Some(Known::HeaderRouter)),
            ("rules: []\ndefault: continue", Some(Known::HeaderRouter)),
            ("default: continue", Some(Known::HeaderRouter)),
            ("rulez: []", None),
            ("[]", None),
        ] {
            let root = parse(text).unwrap();
            let found = plugins(&root, None).ok().map(|plugins| plugins[0].filter);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn plugins_of_one_list_belong_together() {
        let plugin = |file| format!("{{config: {{vm_config: {{code: {{local: {{filename: {file}}}}}}}}}}}");
        let (one, two) = (plugin("header-router.wasm"), plugin("a/prefix_rewrite_v1.2.wasm"));
        let text = format!("a: [{one}, {two}, {}]\nb: [{one}]\n", plugin("other.wasm"));
        let root = parse(&text).unwrap();
        let found: Vec<_> = plugins(&root, None).unwrap().iter().map(|p| (p.filter, p.list)).collect();
        assert_eq!(found, [(Known::HeaderRouter, 1), (Known::PrefixRewrite, 1), (Known::HeaderRouter, 2)]);
        assert_eq!(plugins(&root, Some(Known::PrefixRewrite)).unwrap().len(), 1);
        assert!(plugins(&root, Some(Known::Suite)).is_err());
    }
}
