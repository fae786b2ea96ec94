//! What rules of all filters have in common: a name and a priority.

use crate::ConfigError;
use std::collections::HashMap;

/// Largest priority number; a rule without one has it.
pub const MAX_PRIORITY: u16 = 1000;
/// Most rules of one filter.
pub const MAX_RULES: usize = 10_000;

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

/// Compiles a list of rules: checks their number, names and priorities, and puts them into the order in which they are
/// tried: lower priority number first, then as they stand in the file.
///
/// # Errors
/// The first mistake, with a path from `rules` on.
pub fn compile<C: Named, R>(
    configs: Vec<C>,
    mut one: impl FnMut(C) -> Result<R, ConfigError>,
) -> Result<Vec<R>, ConfigError> {
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
    rules.sort_by_key(|(priority, _)| *priority);
    Ok(rules.into_iter().map(|(_, rule)| rule).collect())
}

fn check(name: &str, priority: u16) -> Result<(), ConfigError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b);
    if !(1..=128).contains(&name.len()) || !name.bytes().all(good) {
        let why = format!("expected 1 to 128 letters, digits and \"-_.:/\", found {name:?}");
        return Err(ConfigError::new("name", why));
    }
    if priority > MAX_PRIORITY {
        return Err(ConfigError::new("priority", format!("expected 0 to {MAX_PRIORITY}, found {priority}")));
    }
    Ok(())
}
