//! What rules of all filters have in common: a name and a priority.

use crate::ConfigError;
use crate::matching::{MatchingConfig, RequestMatch, RequestMatchConfig};
use std::collections::HashMap;

/// Largest priority number; a rule without one has it.
pub const MAX_PRIORITY: u16 = 1000;
/// Most rules of one filter.
pub const MAX_RULES: usize = 10_000;
/// Most alternatives of one rule.
const MAX_ALTERNATIVES: usize = 64;
/// Largest body that a filter may wait for.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// The default of a `priority` field.
pub fn lowest_priority() -> u16 {
    MAX_PRIORITY
}

/// A rule that has a name and a priority.
pub trait Named {
    /// The name, as configured.
    fn name(&self) -> &str;
    /// The priority, as configured.
    fn priority(&self) -> u16;
}

/// Compiles a list of rules: checks their number, names and priorities. They stay in the order of the file;
/// [`crate::table::Table`] puts them into theirs.
///
/// # Errors
/// The first mistake, with a path from `rules` on.
pub fn compile<C: Named, R>(
    configs: Vec<C>,
    mut one: impl FnMut(C) -> Result<R, ConfigError>,
) -> Result<Vec<(u16, R)>, ConfigError> {
    if configs.len() > MAX_RULES {
        return Err(ConfigError::new("rules", format!("expected at most {MAX_RULES} rules, found {}", configs.len())));
    }
    let mut names = HashMap::new();
    let mut rules = Vec::with_capacity(configs.len());
    for (index, config) in configs.into_iter().enumerate() {
        let at = format!("rules[{index}]");
        check(config.name(), config.priority()).map_err(|error| error.within(&at))?;
        if let Some(first) = names.insert(config.name().to_owned(), index) {
            let why = format!("expected a unique name, found {:?} as in rules[{first}]", config.name());
            return Err(ConfigError::new(format!("{at}.name"), why));
        }
        let priority = config.priority();
        rules.push((priority, one(config).map_err(|error| error.within(&at))?));
    }
    Ok(rules)
}

fn check(name: &str, priority: u16) -> Result<(), ConfigError> {
    check_name(name)?;
    if priority > MAX_PRIORITY {
        return Err(ConfigError::new("priority", format!("expected 0 to {MAX_PRIORITY}, found {priority}")));
    }
    Ok(())
}

/// Compiles the conditions of one rule: `match`, or the alternatives of `matches`.
///
/// # Errors
/// With a path from the rule on.
pub fn alternatives(
    one: Option<RequestMatchConfig>,
    several: Vec<RequestMatchConfig>,
    options: &MatchingConfig,
) -> Result<Vec<RequestMatch>, ConfigError> {
    let compile = |config, at: &str| RequestMatch::new(config, options).map_err(|error| error.within(at));
    if several.is_empty() {
        return Ok(vec![compile(one.unwrap_or_default(), "match")?]);
    }
    if one.is_some() {
        return Err(ConfigError::new("matches", "expected either \"match\" or \"matches\", found both"));
    }
    if several.len() > MAX_ALTERNATIVES {
        let why = format!("expected at most {MAX_ALTERNATIVES} alternatives, found {}", several.len());
        return Err(ConfigError::new("matches", why));
    }
    several.into_iter().enumerate().map(|(at, config)| compile(config, &format!("matches[{at}]"))).collect()
}

/// Checks a filter's `max_body_bytes`.
///
/// # Errors
/// For 0, and for more than 16 MiB.
pub fn check_body_limit(max_body_bytes: usize) -> Result<(), ConfigError> {
    if (1..=MAX_BODY_BYTES).contains(&max_body_bytes) {
        return Ok(());
    }
    let why = format!("expected 1 to {MAX_BODY_BYTES}, found {max_body_bytes}");
    Err(ConfigError::new("max_body_bytes", why))
}

/// Whether something may be called this: 1 to 128 letters, digits and `-_.:/`.
///
/// # Errors
/// With the path `name`.
pub fn check_name(name: &str) -> Result<(), ConfigError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b);
    if !(1..=128).contains(&name.len()) || !name.bytes().all(good) {
        let why = format!("expected 1 to 128 letters, digits and \"-_.:/\", found {name:?}");
        return Err(ConfigError::new("name", why));
    }
    Ok(())
}
