//! What is allowed in a configuration, and probably not meant.

use crate::{Config, PrefixRewrite};
use filter_kit::ConfigError;
use filter_kit::lint::{self, Remark};

/// Remarks on a configuration.
///
/// # Errors
/// If the filter does not take it.
pub fn lint(config: &Config) -> Result<Vec<Remark>, ConfigError> {
    let filter = PrefixRewrite::new(config.clone())?;
    let names: Vec<&str> = config.rules.iter().map(|rule| rule.name.as_str()).collect();
    let mut remarks = lint::table(&filter.compiled.table, &names);
    for (number, rule) in config.rules.iter().enumerate() {
        let found = lint::conditions(rule.r#match.as_ref(), &rule.matches);
        remarks.extend(found.into_iter().map(|remark| remark.within(&format!("rules[{number}]"))));
    }
    Ok(remarks)
}
