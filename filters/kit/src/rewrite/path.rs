//! Rewriting paths.

use super::RegexRewriteConfig;
use crate::matching::{PathKind, PathMatch, is_dots};
use crate::pattern::{Pattern, Scope};
use crate::template::{Encoding, Template, Values};
use crate::{ConfigError, InvalidHeader};

/// What becomes of a path.
#[derive(Debug, Clone)]
pub(super) enum PathRewrite {
    /// The replacement, without a slash at its end.
    Prefix(Vec<u8>),
    Whole(Template),
    Regex(Pattern, Template),
}

impl PathRewrite {
    pub(super) fn prefix(prefix: String) -> Result<Self, ConfigError> {
        let mut prefix =
            if prefix.is_empty() { Vec::new() } else { absolute(&prefix).map(|()| prefix.into_bytes())? };
        while prefix.ends_with(b"/") && prefix.len() > 1 {
            prefix.pop();
        }
        Ok(Self::Prefix(prefix))
    }

    pub(super) fn whole(path: &str, groups: Option<&[Option<String>]>) -> Result<Self, ConfigError> {
        let template = Template::new(path, groups)?;
        match template.constant() {
            Some(path) => absolute(path)?,
            None => {
                if !template.may_begin_path() || path.starts_with("//") {
                    let why = "expected a path that starts with one \"/\" or with a group of the rule's pattern";
                    return Err(ConfigError::new("", format!("{why}, found {path:?}")));
                }
                visible(&template)?;
            }
        }
        Ok(Self::Whole(template))
    }

    pub(super) fn regex(config: &RegexRewriteConfig) -> Result<Self, ConfigError> {
        let pattern = Pattern::new(&config.pattern, Scope::Anywhere, false).map_err(|error| error.within("pattern"))?;
        let template = Template::new(&config.substitution, Some(&pattern.groups()))
            .and_then(|template| visible(&template).map(|()| template))
            .map_err(|error| error.within("substitution"))?;
        Ok(Self::Regex(pattern, template))
    }

    /// Whether templates draw on groups of the rule's pattern.
    pub(super) fn uses_captures(&self) -> bool {
        matches!(self, Self::Whole(template) if template.uses_captures())
    }

    /// The new request target, or `None` to leave a target alone that is no absolute path (`OPTIONS *`, `CONNECT`).
    pub(super) fn target(
        &self,
        values: &Values<'_>,
        matched: Option<&PathMatch>,
    ) -> Result<Option<Vec<u8>>, InvalidHeader> {
        let request = values.request;
        if !request.target.starts_with(b"/") {
            return Ok(None);
        }
        let path = request.path;
        let mut new = Vec::with_capacity(request.target.len() + 64);
        match self {
            Self::Prefix(prefix) => {
                let Some(rest) = matched.and_then(|matched| matched.remainder(path)) else { return Ok(None) };
                let text = matched.is_some_and(|matched| matches!(matched.kind, PathKind::StringPrefix(_)));
                if text && starts_with_dots(rest) {
                    return Err(InvalidHeader::Value);
                }
                join(&mut new, prefix, rest);
            }
            Self::Whole(template) => {
                template.render(values, Encoding::Path, &mut new).map_err(|_| InvalidHeader::Value)?;
                finish(&mut new, path, template.constant().is_some())?;
            }
            Self::Regex(pattern, template) => {
                let Some(captures) = pattern.captures(path) else { return Ok(None) };
                let Some((start, end)) = captures.whole() else { return Ok(None) };
                new.extend_from_slice(path.get(..start).unwrap_or_default());
                let values = Values { captures: Some((&captures, path)), ..*values };
                template.render(&values, Encoding::Path, &mut new).map_err(|_| InvalidHeader::Value)?;
                new.extend_from_slice(path.get(end..).unwrap_or_default());
                finish(&mut new, path, false)?;
            }
        }
        if let Some(query) = request.query {
            new.push(b'?');
            new.extend_from_slice(query);
        }
        Ok(Some(new))
    }
}

/// What came out of a template has to be an absolute path, must not read as a host, and must not step up where the
/// client's path did not.
fn finish(new: &mut Vec<u8>, old: &[u8], is_constant: bool) -> Result<(), InvalidHeader> {
    if !new.starts_with(b"/") {
        return Err(InvalidHeader::Value);
    }
    let slashes = new.iter().take_while(|byte| **byte == b'/').count();
    new.drain(1..slashes);
    let steps = |path: &[u8]| segments(path).filter(|segment| is_dots(segment)).count();
    if !is_constant && steps(new) > steps(old) {
        return Err(InvalidHeader::Value);
    }
    Ok(())
}

/// Parts of a path between what upstreams may take for separators: a backslash, and the parameters behind a semicolon.
fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| matches!(byte, b'/' | b'\\'))
        .map(|segment| segment.split(|b| *b == b';').next().unwrap_or(segment))
}

/// Whether the first segment is `.` or `..`, encoded or with parameters. A text prefix can end within a segment: of
/// `/foo../admin` it would leave a step up that was none before, after a host has normalized the path.
fn starts_with_dots(rest: &[u8]) -> bool {
    segments(rest).next().is_some_and(is_dots)
}

/// Lets two parts of a path meet in exactly one slash; `//x` at the beginning could be read as a host. Where nothing
/// remains, nothing is added, but a path is never empty.
fn join(new: &mut Vec<u8>, prefix: &[u8], rest: &[u8]) {
    if prefix != b"/" {
        new.extend_from_slice(prefix);
    }
    let slashes = rest.iter().take_while(|b| **b == b'/').count();
    let rest_from = rest.get(slashes..).unwrap_or_default();
    if new.is_empty() || !rest.is_empty() {
        new.push(b'/');
    }
    new.extend_from_slice(rest_from);
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b > 0x20 && b < 0x7f && b != b'?' && b != b'#')
}

fn visible(template: &Template) -> Result<(), ConfigError> {
    match template.texts().find(|text| !is_visible(text)) {
        None => Ok(()),
        Some(text) => {
            let why = format!("expected visible ASCII without query or fragment, found {text:?}");
            Err(ConfigError::new("", why))
        }
    }
}

fn absolute(path: &str) -> Result<(), ConfigError> {
    if is_visible(path) && path.starts_with('/') && !path.starts_with("//") {
        return Ok(());
    }
    let why = "expected a path of visible ASCII that starts with one \"/\", without query or fragment";
    Err(ConfigError::new("", format!("{why}, found {path:?}")))
}
