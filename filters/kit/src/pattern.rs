//! Regular expressions with bounds.

use crate::ConfigError;
use regex_lite::{Regex, RegexBuilder};

/// A compiled regular expression in the syntax of the `regex-lite` crate (close to RE2: no look-around, no
/// back-references; `\d`, `\w` and `\s` are ASCII). It works on text: bytes that are not UTF-8 never match.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    text: String,
}

/// Longest pattern in characters.
pub const MAX_PATTERN: usize = 1024;
/// Most memory of a compiled pattern in bytes.
pub const MAX_PROGRAM: usize = 64 * 1024;
/// Longest input in bytes; nothing longer matches. Matching takes time in proportion to input times pattern.
pub const MAX_INPUT: usize = 8 * 1024;

/// How much of its input a pattern has to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Whole,
    /// Its beginning.
    Start,
    /// Any part.
    Anywhere,
}

impl Pattern {
    /// Checks and compiles.
    ///
    /// # Errors
    /// If the pattern is too long, not one, or too large when compiled.
    pub fn new(pattern: &str, scope: Scope, ignore_case: bool) -> Result<Self, ConfigError> {
        let length = pattern.chars().count();
        if length == 0 || length > MAX_PATTERN {
            return Err(ConfigError::new("", format!("expected 1 to {MAX_PATTERN} characters, found {length}")));
        }
        let compile = |pattern: &str| {
            let mut builder = RegexBuilder::new(pattern);
            let compiled = builder.size_limit(MAX_PROGRAM).case_insensitive(ignore_case).build();
            compiled.map_err(|error| ConfigError::new("", error.to_string()))
        };
        // alone first: its own errors read better, and a `)` too many cannot escape the group
        let alone = compile(pattern)?;
        let anchored = |text: String| {
            let comment = "expected a pattern that does not end in a comment";
            compile(&text).map_err(|error| match compile(pattern) {
                Ok(_) if error.why.contains("group") => ConfigError::new("", comment),
                _ => error,
            })
        };
        let regex = match scope {
            Scope::Whole => anchored(format!(r"\A(?:{pattern})\z"))?,
            Scope::Start => anchored(format!(r"\A(?:{pattern})"))?,
            Scope::Anywhere => alone,
        };
        Ok(Self { regex, text: pattern.to_owned() })
    }

    /// Whether the input fits.
    pub fn is_match(&self, input: &[u8]) -> bool {
        text(input).is_some_and(|text| self.regex.is_match(text))
    }

    /// Where the whole match and each group stand in the input, if it fits.
    pub fn captures(&self, input: &[u8]) -> Option<Captures> {
        let captures = self.regex.captures(text(input)?)?;
        let spans = (0..captures.len()).map(|group| captures.get(group).map(|found| (found.start(), found.end())));
        Some(Captures { spans: spans.collect() })
    }

    /// Name of each group; the first is the whole match.
    pub fn groups(&self) -> Vec<Option<String>> {
        self.regex.capture_names().map(|name| name.map(String::from)).collect()
    }

    /// As configured.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Text that every input begins with that this matches at its beginning; empty if there is none that is easy to see.
    pub fn literal_prefix(&self) -> String {
        let pattern = self.text.strip_prefix('^').unwrap_or(&self.text);
        if has_alternatives(pattern) {
            return String::new();
        }
        let mut literal = String::new();
        let mut rest = pattern.chars().peekable();
        while let Some(next) = rest.next() {
            let char = match next {
                '\\' => match rest.next() {
                    Some(escaped) if escaped.is_ascii_punctuation() && escaped != '<' && escaped != '>' => escaped,
                    _ => break,
                },
                '.' | '^' | '$' | '|' | '(' | ')' | '[' | ']' | '{' | '}' | '*' | '+' | '?' => break,
                plain => plain,
            };
            // what is repeated may be there any number of times
            if matches!(rest.peek(), Some('*' | '+' | '?' | '{')) {
                break;
            }
            literal.push(char);
        }
        literal
    }
}

/// Whether a `|` stands outside of groups. Errs on the side of yes: beside a class, where brackets may be nested, always.
fn has_alternatives(pattern: &str) -> bool {
    if pattern.contains('[') {
        return pattern.contains('|');
    }
    let (mut depth, mut escaped) = (0usize, false);
    for char in pattern.chars() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '|' if depth == 0 => return true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input.get(..input.len().min(MAX_INPUT + 1))?).ok().filter(|text| text.len() <= MAX_INPUT)
}

/// Places of groups in an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captures {
    spans: Vec<Option<(usize, usize)>>,
}

impl Captures {
    /// The bytes of a group; none if the group took no part in the match.
    pub fn get<'a>(&self, input: &'a [u8], group: usize) -> Option<&'a [u8]> {
        let (start, end) = (*self.spans.get(group)?)?;
        input.get(start..end)
    }

    /// Where the whole match stands.
    pub fn whole(&self) -> Option<(usize, usize)> {
        *self.spans.first()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_takes_as_much_as_its_scope_says() {
        for (scope, expected) in [
            (Scope::Whole, [true, false, false, false]),
            (Scope::Start, [true, true, false, false]),
            (Scope::Anywhere, [true, true, true, false]),
        ] {
            let pattern = Pattern::new("/a|/b", scope, false).unwrap();
            let found = ["/a", "/bc", "x/a", "/A"].map(|input| pattern.is_match(input.as_bytes()));
            assert_eq!(found, expected, "{scope:?}");
        }
        assert!(Pattern::new("/a", Scope::Whole, true).unwrap().is_match(b"/A"));
    }

    #[test]
    fn raw_bytes_and_long_inputs_do_not_match() {
        let any = Pattern::new("(?s).*", Scope::Whole, false).unwrap();
        assert!(any.is_match(&vec![b'a'; MAX_INPUT]));
        assert!(!any.is_match(&vec![b'a'; MAX_INPUT + 1]));
        assert!(!any.is_match(b"\xff"));
    }

    #[test]
    fn groups_have_places_and_names() {
        let pattern = Pattern::new("/(?<kind>[a-z]+)/([0-9]+)?", Scope::Whole, false).unwrap();
        assert_eq!(pattern.groups(), [None, Some("kind".to_owned()), None]);
        let captures = pattern.captures(b"/items/").unwrap();
        assert_eq!((captures.get(b"/items/", 1), captures.get(b"/items/", 2)), (Some(&b"items"[..]), None));
        assert_eq!(captures.whole(), Some((0, 7)));
    }

    #[test]
    fn literal_beginnings_are_seen_and_never_wrongly() {
        for (pattern, expected) in [
            ("/users/[0-9]+", "/users/"),
            ("^/users/.*", "/users/"),
            (r"/a\.b/\d", "/a.b/"),
            ("/ab?c", "/a"),
            ("/ab{2}", "/a"),
            ("/ab*", "/a"),
            ("/a|/b", ""),
            ("/x(/a|/b)", "/x"),
            ("/x[|]y", ""),
            ("/x[](]|/z", ""),
            ("(?i)/a", ""),
            ("/\u{e4}/x", "/\u{e4}/x"),
            (r"/a\x41", "/a"),
            (r"/a\<b", "/a"),
        ] {
            let pattern = Pattern::new(pattern, Scope::Whole, false).unwrap();
            assert_eq!(pattern.literal_prefix(), expected, "{}", pattern.text());
        }
    }

    proptest! {
        #[test]
        fn what_matches_begins_with_the_literal(pattern in r"(/|a|b|\.|\\.|\*|\?|\||\(|\)|\[ab\]|\{2\}|\^|\\b){1,8}", input in "[/ab.]{0,8}") {
            if let Ok(pattern) = Pattern::new(&pattern, Scope::Start, false) && pattern.is_match(input.as_bytes()) {
                prop_assert!(input.starts_with(&pattern.literal_prefix()));
            }
        }
    }

    #[test]
    fn bad_patterns_say_why() {
        for (pattern, expected) in [
            ("", "expected 1 to 1024 characters, found 0"),
            ("(", "found open group without closing ')'"),
            (")|(", "found closing ')' without matching '('"),
            ("(?=a)", "look-around is not supported"),
            ("(?x)a # b", "expected a pattern that does not end in a comment"),
        ] {
            assert_eq!(Pattern::new(pattern, Scope::Whole, false).unwrap_err().to_string(), expected, "{pattern}");
        }
        assert!(Pattern::new(&"a".repeat(1025), Scope::Whole, false).is_err());
        assert!(Pattern::new("(?:a{1000}){1000}", Scope::Whole, false).is_err());
    }
}
