//! Canaries of ingress-nginx: by header, then cookie, then weight.

use super::annotations::nginx;
use crate::parts;
use crate::source::Document;
use filter_kit::matching::{NamedMatchConfig, ValueMatchConfig};
use header_router::{RuleConfig, TargetConfig};

/// The rules of a path with a canary, the plain one last. `base` has everything but targets.
pub fn rules(base: &RuleConfig, main: &TargetConfig, canary: &Document, target: &TargetConfig) -> Vec<RuleConfig> {
    let mut made = Vec::new();
    let mut add =
        |suffix: &str, header: Option<NamedMatchConfig>, cookie: Option<NamedMatchConfig>, target: &TargetConfig| {
            let mut rule = base.clone();
            rule.name = crate::parts::short(&format!("{}/{suffix}", base.name));
            rule.targets = vec![target.clone()];
            let mut matched = rule.r#match.take().unwrap_or_default();
            matched.headers.extend(header);
            matched.cookies.extend(cookie);
            rule.r#match = Some(matched);
            made.push(rule);
        };
    let named = |name: &str, value: ValueMatchConfig| Some(parts::named(name, Some(value)));
    let exact = |text: &str| ValueMatchConfig::Exact(text.to_owned());
    if let Some(header) = nginx(canary, "canary-by-header") {
        let value = nginx(canary, "canary-by-header-value").filter(|value| !value.is_empty());
        let pattern = nginx(canary, "canary-by-header-pattern").filter(|pattern| !pattern.is_empty());
        match (value, pattern) {
            (Some(value), _) => add("canary-header", named(&header, exact(&value)), None, target),
            // a pattern is looked for anywhere in the value
            (None, Some(pattern)) => {
                let pattern = ValueMatchConfig::Regex(format!(".*(?:{pattern}).*"));
                add("canary-header", named(&header, pattern), None, target);
            }
            (None, None) => {
                add("canary-header", named(&header, exact("always")), None, target);
                add("canary-header-never", named(&header, exact("never")), None, main);
            }
        }
    }
    if let Some(cookie) = nginx(canary, "canary-by-cookie") {
        add("canary-cookie", None, named(&cookie, exact("always")), target);
        add("canary-cookie-never", None, named(&cookie, exact("never")), main);
    }
    let number = |name: &str| nginx(canary, name).and_then(|text| text.parse::<u32>().ok());
    let total = number("canary-weight-total").filter(|total| *total > 0).unwrap_or(100);
    let weight = number("canary-weight").unwrap_or(0).min(total);
    let mut plain = base.clone();
    plain.targets = if weight == 0 {
        vec![main.clone()]
    } else {
        vec![TargetConfig { weight: total - weight, ..main.clone() }, TargetConfig { weight, ..target.clone() }]
    };
    made.push(plain);
    made
}
