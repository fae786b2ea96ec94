//! `sluice validate`: the filters' own checks, with the place in the file.

use crate::config_file::{self, Finding, Known};
use clap::Args;
use std::path::PathBuf;

/// Options of `sluice validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Filter configurations, or Envoy bootstraps with plugin configurations in them; YAML or JSON.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Whose configuration the files hold. Without it, what stands in them tells.
    #[arg(long, value_enum)]
    filter: Option<Known>,
}

impl Validate {
    /// Checks every file and prints what is wrong.
    ///
    /// # Errors
    /// If anything is.
    pub fn run(&self) -> Result<(), String> {
        let mut wrong = 0;
        for file in &self.files {
            match config_file::read(file).map(|text| check(&text, self.filter)) {
                Ok(Ok(checked)) => println!("{}: {checked}", file.display()),
                Ok(Err(findings)) => {
                    wrong += findings.len();
                    findings.iter().for_each(|finding| println!("{}", finding.in_file(file)));
                }
                Err(why) => {
                    wrong += 1;
                    println!("{why}");
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
    let root = config_file::parse(text).map_err(|finding| vec![finding])?;
    let plugins = config_file::plugins(&root, filter).map_err(|finding| vec![finding])?;
    let findings: Vec<_> = plugins.iter().filter_map(config_file::Plugin::mistake).collect();
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(match plugins.as_slice() {
        [only] if only.plugin.is_none() => format!("{} configuration, valid", only.filter.name()),
        [_] => "1 plugin configuration, valid".to_owned(),
        all => format!("{} plugin configurations, valid", all.len()),
    })
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
}
