//! `stats_config`: how parts of a stat's name become labels.

use regex_lite::Regex;

use super::InvalidBootstrap;
use super::reader::At;

/// The rules that turn stat names into names with labels.
#[derive(Clone, Debug, Default)]
pub struct StatsTags {
    /// The rules in the order of the file.
    pub rules: Vec<TagRule>,
}

/// One label.
#[derive(Clone, Debug)]
pub enum TagRule {
    /// Every stat gets the label with this value.
    Fixed {
        /// Name of the label.
        name: String,
        /// Its value.
        value: String,
    },
    /// The first group is cut out of the name; the second group, or else the first, is the value.
    Found {
        /// Name of the label.
        name: String,
        /// The expression, searched anywhere in the name.
        pattern: Regex,
    },
}

impl StatsTags {
    pub(super) fn read(at: At) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let mut rules = Vec::new();
        if let Some(all) = fields.take("use_all_default_tags")
            && !all.flag()?
        {
            return Err(all.not_served("`false`"));
        }
        if let Some(list) = fields.take("stats_tags") {
            for item in list.list()? {
                let mut item = item.fields()?;
                let name = item.need("tag_name")?.name()?;
                let (kind, value) = item.one_of(&["regex", "fixed_value"])?;
                rules.push(if kind == "regex" {
                    let text = value.name()?;
                    let pattern = Regex::new(&text).map_err(|error| value.fault(error.to_string()))?;
                    if pattern.captures_len() < 2 {
                        return Err(value.fault("needs a group in parentheses: it is cut out of the name"));
                    }
                    TagRule::Found { name, pattern }
                } else {
                    TagRule::Fixed { name, value: value.text()? }
                });
                item.finish()?;
            }
        }
        fields.finish()?;
        Ok(Self { rules })
    }

    /// The name without what the rules cut out, and the labels.
    pub fn extract(&self, name: &str) -> (String, Vec<(String, String)>) {
        let mut labels = Vec::new();
        let mut cuts: Vec<(usize, usize)> = Vec::new();
        for rule in &self.rules {
            match rule {
                TagRule::Fixed { name, value } => labels.push((name.clone(), value.clone())),
                TagRule::Found { name: label, pattern } => {
                    if let Some(found) = pattern.captures(name)
                        && let Some(cut) = found.get(1)
                    {
                        let value = found.get(2).unwrap_or(cut);
                        labels.push((label.clone(), value.as_str().to_owned()));
                        cuts.push((cut.start(), cut.end()));
                    }
                }
            }
        }
        cuts.sort_unstable();
        let (mut rest, mut from) = (String::with_capacity(name.len()), 0);
        for (start, end) in cuts {
            if start > from {
                rest.push_str(name.get(from..start).unwrap_or_default());
            }
            from = from.max(end);
        }
        rest.push_str(name.get(from..).unwrap_or_default());
        (rest, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, pattern: &str) -> TagRule {
        TagRule::Found { name: name.into(), pattern: Regex::new(pattern).unwrap() }
    }

    #[test]
    fn the_decision_counter_gets_its_labels() {
        let tags = StatsTags {
            rules: vec![
                found("rule", r"^sluice_router(\.rule\.(.+?))\.target\."),
                found("target", r"^sluice_router\..*?(\.target\.(.+?))\.outcome\."),
                found("outcome", r"^sluice_router\..*?(\.outcome\.(.+?))\.decisions_total$"),
                TagRule::Fixed { name: "zone".into(), value: "a".into() },
            ],
        };
        let (name, mut labels) =
            tags.extract("sluice_router.rule.beta.target.product-service-v2.outcome.matched.decisions_total");
        assert_eq!(name, "sluice_router.decisions_total");
        labels.sort();
        let labels = labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
        assert_eq!(labels, "outcome=matched,rule=beta,target=product-service-v2,zone=a");
    }

    #[test]
    fn a_name_without_a_match_stays() {
        let tags = StatsTags { rules: vec![found("rule", r"(\.rule\.(.+?))\.")] };
        assert_eq!(tags.extract("a.b"), ("a.b".into(), vec![]));
    }
}
