//! Rewrites of paths and hosts, as data.

use regex_lite::Regex;

use super::InvalidBootstrap;
use super::condition::read_pattern;
use super::reader::{At, Fields};

/// What the path becomes.
#[derive(Clone, Debug)]
pub enum PathRewrite {
    /// This stands for the matched prefix or path.
    Prefix(String),
    /// Matches within the path are replaced.
    Regex(RegexRewrite),
}

/// What the host becomes.
#[derive(Clone, Debug)]
pub enum HostRewrite {
    /// This.
    Literal(String),
    /// What replacing in the path leaves.
    FromPath(RegexRewrite),
}

/// `regex_rewrite`: all matches are replaced.
#[derive(Clone, Debug)]
pub struct RegexRewrite {
    pattern: Regex,
    substitution: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Group(usize),
}

impl RegexRewrite {
    pub(super) fn read(at: At) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let pattern = read_pattern(fields.need("pattern")?, false)?;
        let mut substitution = Vec::new();
        if let Some(at) = fields.take("substitution") {
            substitution = pieces(&at.text()?, pattern.captures_len()).map_err(|why| at.fault(why))?;
        }
        fields.finish()?;
        Ok(Self { pattern, substitution })
    }

    /// The text with all matches replaced.
    pub fn apply(&self, text: &str) -> String {
        let expanded = |found: &regex_lite::Captures<'_>| {
            let piece = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Group(group) => found.get(*group).map_or(String::new(), |part| part.as_str().to_owned()),
            };
            self.substitution.iter().map(piece).collect::<String>()
        };
        self.pattern.replace_all(text, expanded).into_owned()
    }
}

/// `\1` is a group, `\0` the match, `\\` a backslash.
fn pieces(substitution: &str, groups: usize) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut letters = substitution.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        match letters.next().map(|letter| (letter, letter.to_digit(10))) {
            Some(('\\', _)) => text.push('\\'),
            Some((_, Some(group))) => {
                let group = usize::try_from(group).unwrap_or(0);
                if group >= groups {
                    return Err(format!("`\\{group}`: the pattern has no such group"));
                }
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Group(group));
            }
            _ => return Err("behind a `\\` must stand a digit or another `\\`".to_owned()),
        }
    }
    pieces.push(Piece::Text(text));
    Ok(pieces)
}

impl PathRewrite {
    /// Takes `prefix_rewrite` or `regex_rewrite` out of a message.
    pub(super) fn take(fields: &mut Fields) -> Result<Option<Self>, InvalidBootstrap> {
        let prefix = fields.take("prefix_rewrite");
        match (prefix, fields.take("regex_rewrite")) {
            (Some(_), Some(regex)) => Err(regex.fault("stands beside `prefix_rewrite`; only one of them may be set")),
            (Some(prefix), None) => Ok(Some(Self::Prefix(prefix.name()?))),
            (None, Some(regex)) => Ok(Some(Self::Regex(RegexRewrite::read(regex)?))),
            (None, None) => Ok(None),
        }
    }
}

impl HostRewrite {
    /// Takes `host_rewrite_literal` or `host_rewrite_path_regex` out of a message.
    pub(super) fn take(fields: &mut Fields) -> Result<Option<Self>, InvalidBootstrap> {
        let literal = fields.take("host_rewrite_literal");
        match (literal, fields.take("host_rewrite_path_regex")) {
            (Some(_), Some(regex)) => {
                Err(regex.fault("stands beside `host_rewrite_literal`; only one of them may be set"))
            }
            (Some(literal), None) => Ok(Some(Self::Literal(literal.name()?))),
            (None, Some(regex)) => Ok(Some(Self::FromPath(RegexRewrite::read(regex)?))),
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_matches_are_replaced() {
        let substitution = pieces(r"<\2\1\0\\>", 3).unwrap();
        let rewrite = RegexRewrite { pattern: Regex::new("/([a-z]+)([0-9]*)").unwrap(), substitution };
        assert_eq!(rewrite.apply("/ab12/cd"), r"<12ab/ab12\><cd/cd\>");
        assert_eq!(rewrite.apply("/"), "/");
        for bad in [r"\3", r"\x", r"\"] {
            assert!(pieces(bad, 3).is_err(), "{bad}");
        }
    }
}
