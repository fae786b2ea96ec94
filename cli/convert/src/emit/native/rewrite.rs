//! Rewrites of the path as Envoy's `regex_rewrite`, which changes every place that fits and leaves the query alone.

use super::Reasons;
use super::matching::{escape, escape_bytes, pattern};
use filter_kit::matching::{PathKind, PathMatch};
use filter_kit::rewrite::RewriteConfig;
use serde_json::{Value, json};

/// What becomes of the path of a request that a rule took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PathChange {
    /// Envoy's `regex_rewrite`.
    pub(super) regex_rewrite: Option<Value>,
    /// A pattern for `:path`, of requests that are answered with 400 as their path would step up.
    pub(super) refused: Option<String>,
    /// A path that gets a rewrite of its own, as a pattern for `:path`.
    pub(super) alone: Option<(String, Value)>,
}

/// A template, if nothing stands in it for a value of the request.
pub(super) fn constant(text: &str) -> Option<String> {
    let mut made = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char == '$' && chars.next() != Some('$') {
            return None;
        }
        made.push(char);
    }
    Some(made)
}

/// Of a rewrite, for requests that this path condition took.
pub(super) fn path_change(
    config: &RewriteConfig,
    matched: Option<&PathMatch>,
    reasons: &mut Reasons<'_>,
) -> PathChange {
    reasons.add_if(config.regex.is_some(), "a rewrite of the first place that fits a pattern");
    if let Some(prefix) = &config.prefix {
        return prefix_change(prefix, matched, reasons);
    }
    let Some(path) = &config.path else { return PathChange::default() };
    let rewrite = match constant(path) {
        Some(path) => Some(json!({"pattern": {"regex": "^.*$"}, "substitution": literal(&path)})),
        None => with_groups(path, matched, reasons),
    };
    PathChange { regex_rewrite: rewrite, ..PathChange::default() }
}

/// Text as RE2's substitution.
fn literal(text: &str) -> String {
    text.replace('\\', r"\\")
}

/// The parts meet in one slash, and where nothing remains, nothing is added.
pub(super) fn prefix_change(new: &str, matched: Option<&PathMatch>, reasons: &mut Reasons<'_>) -> PathChange {
    let (old, is_text) = match matched.map(|path| &path.kind) {
        Some(PathKind::Prefix(old)) => (old, false),
        Some(PathKind::StringPrefix(old)) => (old, true),
        _ => {
            reasons.add("a rewrite of the prefix of a path that is matched otherwise");
            return PathChange::default();
        }
    };
    let folded = if matched.is_some_and(|path| path.ignore_case) { "(?i)" } else { "" };
    let old = escape_bytes(old);
    let new = literal(new.trim_end_matches('/'));
    let made = |pattern: String, substitution: String| {
        Some(json!({"pattern": {"regex": pattern}, "substitution": substitution}))
    };
    let refused = is_text.then(|| format!(r"{folded}{old}(?:\.|%2[eE]){{1,2}}(?:[/\\;?].*)?"));
    if new.is_empty() {
        let regex_rewrite = made(format!("{folded}^{old}/*"), "/".to_owned());
        return PathChange { regex_rewrite, refused, alone: None };
    }
    if !is_text {
        let regex_rewrite = made(format!("{folded}^{old}(/?)/*"), format!(r"{new}\1"));
        return PathChange { regex_rewrite, refused, alone: None };
    }
    let regex_rewrite = made(format!("{folded}^{old}/*"), format!("{new}/"));
    let alone = made("^.*$".to_owned(), new).map(|rewrite| (format!(r"{folded}{old}(?:\?.*)?"), rewrite));
    PathChange { regex_rewrite, refused, alone }
}

/// A template with groups of the rule's pattern. What it makes must never begin with two slashes, nor hold a step up
/// that the client's path did not: the header-router answers those with 400, or joins the slashes.
fn with_groups(template: &str, matched: Option<&PathMatch>, reasons: &mut Reasons<'_>) -> Option<Value> {
    let (wanted, end) = match matched.map(|path| &path.kind) {
        Some(PathKind::Regex(wanted)) => (wanted, ""),
        Some(PathKind::RegexPrefix(wanted)) => (wanted, ".*"),
        _ => {
            reasons.add("a rewrite with values of the request");
            return None;
        }
    };
    let names = wanted.groups();
    let Some(parts) = parts(template, &names) else {
        reasons.add("a rewrite with values of the request");
        return None;
    };
    let ignore_case = matched.is_some_and(|path| path.ignore_case);
    if let Some(rewrite) = tail(wanted.text(), &parts, ignore_case) {
        return Some(rewrite);
    }
    if !is_safe(wanted.text(), &parts) {
        reasons.add("a rewrite with groups that may hold dots or slashes");
        return None;
    }
    let substitution = parts.iter().map(|part| match part {
        Part::Text(text) => literal(text),
        Part::Group(number) => format!(r"\{number}"),
    });
    let regex = pattern(&format!("^(?:{}){end}$", wanted.text()), ignore_case, reasons);
    Some(json!({"pattern": {"regex": regex}, "substitution": substitution.collect::<String>()}))
}

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Group(usize),
}

/// Text and groups of a template; nothing if other values stand in it, or groups that RE2 cannot name.
fn parts(template: &str, names: &[Option<String>]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            text.push('$');
            rest = after;
            continue;
        }
        let (name, after) = match after.strip_prefix('{') {
            Some(inner) => inner.split_once('}')?,
            None => after.split_at(after.bytes().take_while(u8::is_ascii_digit).count()),
        };
        let named = || names.iter().position(|known| known.as_deref() == Some(name));
        let number = name.parse().ok().or_else(named).filter(|number| *number <= 9)?;
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::Group(number));
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Some(parts)
}

/// `/old(/|$)(.*)` and `/old/(.*)`, whose last group stands behind a slash here and there: its steps are the client's.
fn tail(wanted: &str, parts: &[Part], ignore_case: bool) -> Option<Value> {
    let [Part::Text(new), Part::Group(group)] = parts else { return None };
    let new = new.strip_suffix('/').filter(|new| !new.ends_with('/') && !has_dots(new))?;
    let (old, separator) = match (wanted.strip_suffix("(/|$)(.*)"), wanted.strip_suffix("/(.*)")) {
        (Some(old), _) if *group == 2 => (old, "(?:/|$)"),
        (None, Some(old)) if *group == 1 => (old, "/"),
        _ => return None,
    };
    let old = old.strip_prefix('^').unwrap_or(old);
    if old.contains(|char: char| !char.is_ascii_alphanumeric() && !"/-_~".contains(char)) {
        return None;
    }
    let folded = if ignore_case { "(?i)" } else { "" };
    // the header-router makes one slash of several at the beginning
    let slashes = if new.is_empty() { "/*" } else { "" };
    let regex = format!("{folded}^{}{separator}{slashes}", escape(old));
    Some(json!({"pattern": {"regex": regex}, "substitution": format!("{}/", literal(new))}))
}

fn has_dots(text: &str) -> bool {
    text.contains(['.', '%', '\\', ';'])
}

/// Whether no group can bring dots, and the beginning is one slash whatever the groups hold.
fn is_safe(wanted: &str, parts: &[Part]) -> bool {
    let good = |part: &Part| match part {
        Part::Text(text) => !has_dots(text),
        Part::Group(number) => group_excludes(wanted, *number, b"./%\\;"),
    };
    // a group may be empty, and the texts around it meet
    let mut texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Group(_) => None,
    });
    let begins = matches!(parts, [Part::Text(text), ..] if text.starts_with('/') && !text.starts_with("//"))
        && (texts.next() != Some("/") || texts.next().is_none_or(|text| !text.starts_with('/')));
    begins && parts.iter().all(good)
}

/// Whether none of these bytes can stand in what a group took.
fn group_excludes(wanted: &str, group: usize, bytes: &[u8]) -> bool {
    use regex_syntax::hir::{Class, Hir, HirKind};
    fn find(hir: &Hir, group: usize) -> Option<&Hir> {
        match hir.kind() {
            HirKind::Capture(capture) if usize::try_from(capture.index) == Ok(group) => Some(&capture.sub),
            HirKind::Capture(capture) => find(&capture.sub, group),
            HirKind::Repetition(repetition) => find(&repetition.sub, group),
            HirKind::Concat(all) | HirKind::Alternation(all) => all.iter().find_map(|inner| find(inner, group)),
            _ => None,
        }
    }
    fn excludes(hir: &Hir, bytes: &[u8]) -> bool {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => true,
            HirKind::Literal(literal) => !literal.0.iter().any(|byte| bytes.contains(byte)),
            HirKind::Class(Class::Unicode(class)) => {
                let holds =
                    |byte: &u8| class.iter().any(|range| (range.start()..=range.end()).contains(&char::from(*byte)));
                !bytes.iter().any(holds)
            }
            HirKind::Class(Class::Bytes(class)) => {
                !bytes.iter().any(|byte| class.iter().any(|range| (range.start()..=range.end()).contains(byte)))
            }
            HirKind::Capture(capture) => excludes(&capture.sub, bytes),
            HirKind::Repetition(repetition) => excludes(&repetition.sub, bytes),
            HirKind::Concat(all) | HirKind::Alternation(all) => all.iter().all(|inner| excludes(inner, bytes)),
        }
    }
    let Ok(parsed) = regex_syntax::parse(wanted) else { return false };
    find(&parsed, group).is_some_and(|inner| excludes(inner, bytes))
}
