//! What is refused: by address, and by the length of bodies.

use super::annotations::nginx;
use super::paths::Path;
use crate::convert::Converter;
use crate::parts::{named, rule, short};
use crate::report::Section;
use filter_kit::matching::{RangeConfig, ValueMatchConfig};
use header_router::{DirectResponseConfig, RuleConfig};

/// Rules that refuse: by address, and by the length of bodies.
pub fn guards(converter: &mut Converter<'_>, path: &Path<'_>, made: &mut Vec<RuleConfig>) {
    let ingress = path.ingress;
    let blocks = |name: &str| {
        let text = nginx(ingress, name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|block| !block.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let Some(plain) = made.iter().rev().find(|rule| !rule.targets.is_empty()).cloned() else { return };
    let refusal = |suffix: &str, status: u16, priority: u16| {
        let mut refused = rule(&short(&format!("{}/{suffix}", plain.name)));
        refused.priority = priority;
        refused.r#match.clone_from(&plain.r#match);
        refused.direct_response = Some(DirectResponseConfig { status, headers: Vec::new(), body: String::new() });
        refused
    };
    let allowed: Vec<String> =
        blocks("allowlist-source-range").into_iter().chain(blocks("whitelist-source-range")).collect();
    if !allowed.is_empty() {
        for rule in made.iter_mut().filter(|rule| !rule.targets.is_empty()) {
            if let Some(matched) = &mut rule.r#match {
                matched.source_addresses.clone_from(&allowed);
            }
        }
        made.push(refusal("not-allowed", 403, plain.priority));
    }
    let denied = blocks("denylist-source-range");
    if !denied.is_empty() {
        let mut refused = refusal("denied", 403, plain.priority.saturating_sub(2));
        if let Some(matched) = &mut refused.r#match {
            matched.source_addresses = denied;
        }
        made.insert(0, refused);
    }
    if let Some(limit) = nginx(ingress, "proxy-body-size").and_then(|size| bytes(&size)).filter(|limit| *limit > 0) {
        let mut refused = refusal("too-large", 413, plain.priority.saturating_sub(2));
        if let Some(matched) = &mut refused.r#match {
            let range = RangeConfig { start: limit + 1, end: i64::MAX };
            matched.headers.push(named("content-length", Some(ValueMatchConfig::Range(range))));
        }
        made.insert(0, refused);
        let text = "proxy-body-size: by the length that a request states; a body of unknown length is not cut off";
        converter.report.add(Section::Changed, &path.field, text);
    }
}

/// `8m` in bytes.
fn bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match lower.get(digits.len()..)? {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    digits.trim().parse::<i64>().ok()?.checked_mul(factor)
}
