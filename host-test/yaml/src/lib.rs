//! YAML as Envoy reads it: a tree of values in which each value knows where it stands in the file.
//!
//! Envoy's YAML loader has its own idea of plain scalars: `yes`, `on` and `y` are booleans, `0x10` is 16, integers that do
//! not fit 32 bits and all floating point numbers become *strings*. A filter sees the difference when its configuration is
//! a `Struct`, so the same rules hold here. (Measured on Envoy 1.40 with `/config_dump`.)

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

/// Deepest nesting that is read; real files stay under 30.
const MAX_DEPTH: usize = 128;
/// Most values in one file, aliases expanded; a guard against alias bombs.
const MAX_VALUES: usize = 1_000_000;

/// Where a value starts: line and column, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A file that is not one well-formed YAML document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidYaml {
    /// Where; line 0 means the whole file.
    pub position: Position,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for InvalidYaml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.position.line > 0 {
            write!(f, "{}:{}: ", self.position.line, self.position.column)?;
        }
        f.write_str(&self.why)
    }
}

impl std::error::Error for InvalidYaml {}

/// A value and its place in the file.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value starts.
    pub position: Position,
    /// The characters of the file that spell the value; of an alias, the alias.
    pub chars: Range<usize>,
    /// The value.
    pub value: Value,
}

/// A YAML value in JSON's terms, as Envoy sees it.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true`, `yes`, `on`, ... unquoted.
    Bool(bool),
    /// An unquoted integer; as Envoy reads it one that fits 32 bits.
    Int(i64),
    /// Everything else that is a scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its place in the file.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where the key starts.
    pub position: Position,
    /// The key.
    pub name: String,
}

impl Node {
    /// Where the value at a path such as `rules[3].match.path` stands. Of a path that leads nowhere the nearest value
    /// above; of a map's entry the key.
    pub fn locate(&self, path: &str) -> Position {
        let (mut node, mut position) = (self, self.position);
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match (&node.value, step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok())) {
                (Value::List(items), Some(index)) => items.get(index).map(|item| (item, item.position)),
                (Value::Map(entries), None) => {
                    entries.iter().find(|(key, _)| key.name == step).map(|(key, value)| (value, key.position))
                }
                _ => None,
            };
            let Some((inner, place)) = next else { break };
            (node, position) = (inner, place);
        }
        position
    }

    /// The value at a path.
    pub fn get(&self, path: &str) -> Option<&Node> {
        let mut node = self;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            node = match (&node.value, step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok())) {
                (Value::List(items), Some(index)) => items.get(index)?,
                (Value::Map(entries), None) => &entries.iter().find(|(key, _)| key.name == step)?.1,
                _ => return None,
            };
        }
        Some(node)
    }
}

impl Value {
    /// What the value is, for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The value as JSON text, the form in which a filter receives a `Struct`.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(i) => (*i).into(),
            Self::Text(t) => t.as_str().into(),
            Self::List(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Self::Map(entries) => entries.iter().map(|(key, node)| (key.name.clone(), node.value.to_json())).collect(),
        }
    }
}

/// Whose idea of an unquoted scalar counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scalars {
    /// Envoy's.
    #[default]
    Envoy,
    /// That of `kubectl` and the API server: the same booleans, integers of 64 bits, and `0o17` beside `017`.
    Kubernetes,
}

/// Parses the one document of `text` as Envoy does.
///
/// # Errors
/// The first fault, with its place.
pub fn parse(text: &str) -> Result<Node, InvalidYaml> {
    let mut roots = read(text, Builder { most_documents: 1, ..Builder::default() })?;
    roots.pop().ok_or_else(|| fault(Position { line: 1, column: 1 }, "the file is empty"))
}

/// Parses all documents of `text`; empty ones are `Null`. The limits hold for all of them together.
///
/// # Errors
/// The first fault, with its place.
pub fn parse_documents(text: &str, scalars: Scalars) -> Result<Vec<Node>, InvalidYaml> {
    read(text, Builder { scalars, most_documents: usize::MAX, ..Builder::default() })
}

fn read(text: &str, mut builder: Builder) -> Result<Vec<Node>, InvalidYaml> {
    let mut parser = Parser::new_from_str(text);
    builder.source = text.chars().collect();
    while let Some(step) = parser.next_event() {
        let (event, span) = step.map_err(|error| {
            let mark = error.marker();
            let position = Position { line: mark.line(), column: mark.col() + 1 };
            fault(position, &format!("not valid YAML: {}", error.info()))
        })?;
        builder.event(event, span)?;
    }
    Ok(builder.roots)
}

#[derive(Default)]
struct Builder {
    scalars: Scalars,
    most_documents: usize,
    source: Vec<char>,
    roots: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
    documents: usize,
}

struct Open {
    position: Position,
    start: usize,
    /// Where the last value inside ended.
    end: usize,
    anchor: usize,
    values_before: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), InvalidYaml> {
        let position = Position { line: span.start.line(), column: span.start.col() + 1 };
        let chars = span.start.index()..span.end.index();
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                self.anchors.clear();
                if self.documents > self.most_documents {
                    return Err(fault(position, "a second YAML document; one is expected"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let chars = self.without_what_follows(chars, style);
                let value = match (&tag, style) {
                    (Some(tag), _) if tag.suffix == "str" => Value::Text(text.into_owned()),
                    (None, ScalarStyle::Plain) => plain(&text, self.scalars),
                    (None, _) => Value::Text(text.into_owned()),
                    (Some(tag), _) => {
                        return Err(fault(position, &format!("unknown YAML tag `{}{}`", tag.handle, tag.suffix)));
                    }
                };
                self.finished(Node { position, chars, value }, anchor, 1, 1)
            }
            Event::SequenceStart(anchor, _) => self.open(position, chars, anchor, OpenKind::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(position, chars, anchor, OpenKind::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                // the end of a block is told at the next token; what the block holds ends before it
                let mut end = if chars.is_empty() { open.end } else { chars.end };
                let blank = |at: usize| self.source.get(at).is_some_and(|char| char.is_whitespace());
                while end > open.start && blank(end - 1) {
                    end -= 1;
                }
                let chars = open.start..end;
                let value = match open.kind {
                    OpenKind::List(items) => Value::List(items),
                    OpenKind::Map(entries, _) => Value::Map(entries),
                };
                let size = 1 + self.values - open.values_before;
                self.finished(Node { position: open.position, chars, value }, open.anchor, 1, size)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(fault(position, "an alias to a value that is not complete"));
                };
                let size = *size;
                if self.values + size > MAX_VALUES {
                    return Err(fault(position, &format!("more than {MAX_VALUES} values")));
                }
                let node = Node { position, chars, value: node.value.clone() };
                self.finished(node, 0, size, size)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(
        &mut self,
        position: Position,
        chars: Range<usize>,
        anchor: usize,
        kind: OpenKind,
    ) -> Result<(), InvalidYaml> {
        if self.open.len() >= MAX_DEPTH {
            return Err(fault(position, &format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open { position, start: chars.start, end: chars.end, anchor, values_before: self.values, kind });
        Ok(())
    }

    /// The parser tells the end of a quoted scalar only after the blanks and the comment behind it.
    fn without_what_follows(&self, chars: Range<usize>, style: ScalarStyle) -> Range<usize> {
        let quote = match style {
            ScalarStyle::DoubleQuoted => '"',
            ScalarStyle::SingleQuoted => '\'',
            _ => return chars,
        };
        let mut at = chars.start + 1;
        while let Some(char) = self.source.get(at) {
            let doubled = quote == '\'' && self.source.get(at + 1) == Some(&quote);
            match char {
                '\\' if quote == '"' => at += 2,
                '\'' if quote == '\'' && doubled => at += 2,
                char if *char == quote => return chars.start..at + 1,
                _ => at += 1,
            }
        }
        chars
    }

    /// Puts a complete value where it belongs. `added` values are new, `size` is all that the value holds.
    fn finished(&mut self, node: Node, anchor: usize, added: usize, size: usize) -> Result<(), InvalidYaml> {
        self.values += added;
        if self.values > MAX_VALUES {
            return Err(fault(node.position, &format!("more than {MAX_VALUES} values")));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        if let Some(open) = self.open.last_mut() {
            open.end = node.chars.end;
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.roots.push(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map(entries, pending)) => match pending.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let key = Key { position: node.position, name: key_name(&node)? };
                    if entries.iter().any(|(other, _)| other.name == key.name) {
                        return Err(fault(node.position, &format!("the key `{}` stands twice in one map", key.name)));
                    }
                    *pending = Some(key);
                }
            },
        }
        Ok(())
    }
}

fn fault(position: Position, why: &str) -> InvalidYaml {
    InvalidYaml { position, why: why.to_owned() }
}

fn key_name(node: &Node) -> Result<String, InvalidYaml> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(fault(node.position, &format!("a key must be a string, not {}", other.kind()))),
    }
}

/// An unquoted scalar.
fn plain(text: &str, scalars: Scalars) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        _ => {}
    }
    if let Some(flag) = boolean(text) {
        return Value::Bool(flag);
    }
    match (integer(text), scalars) {
        (Some(number), Scalars::Envoy) if i32::try_from(number).is_err() => Value::Text(number.to_string()),
        (Some(number), _) => Value::Int(number),
        (None, Scalars::Envoy) => Value::Text(text.to_owned()),
        (None, Scalars::Kubernetes) => {
            let octal = text.strip_prefix("0o").and_then(|digits| i64::from_str_radix(digits, 8).ok());
            octal.map_or_else(|| Value::Text(text.to_owned()), Value::Int)
        }
    }
}

/// yaml-cpp's booleans: all lower, all upper or capitalised.
fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let mut capitalised = lower.clone();
    if let Some(first) = capitalised.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if text != lower && text != lower.to_ascii_uppercase() && text != capitalised {
        return None;
    }
    match lower.as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// Decimal, hexadecimal (`0x`) and octal (leading `0`) integers, as C++ streams read them.
fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (16, hex),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_read_as_envoy_reads_them() {
        // (text, JSON) as /config_dump of Envoy 1.40 shows a Struct.
        for (text, json) in [
            ("0.5", r#""0.5""#),
            ("3", "3"),
            ("99999999999", r#""99999999999""#),
            ("\"7\"", r#""7""#),
            ("yes", "true"),
            ("on", "true"),
            ("no", "false"),
            ("0x10", "16"),
            ("010", "8"),
            ("1e3", r#""1e3""#),
            ("null", "null"),
            ("~", "null"),
            ("\"\"", r#""""#),
            ("2001-01-01", r#""2001-01-01""#),
            ("TRUE", "true"),
            (".inf", r#"".inf""#),
            ("-3", "-3"),
            ("+3", "3"),
            ("y", "true"),
            ("n", "false"),
            ("tRue", r#""tRue""#),
            ("--3", r#""--3""#),
        ] {
            let node = parse(&format!("a: {text}\n")).unwrap();
            assert_eq!(node.value.to_json().to_string(), format!("{{\"a\":{json}}}"), "{text}");
        }
    }

    #[test]
    fn a_value_knows_its_line_and_column() {
        let node = parse("a:\n  - b: 1\n    c: 2\n").unwrap();
        let Value::Map(entries) = &node.value else { panic!() };
        let Value::List(items) = &entries[0].1.value else { panic!() };
        let Value::Map(inner) = &items[0].value else { panic!() };
        assert_eq!(inner[1].0.position, Position { line: 3, column: 5 });
        assert_eq!(inner[1].1.position, Position { line: 3, column: 8 });
    }

    #[test]
    fn a_value_knows_the_text_that_spells_it() {
        let text = "a:\n  - b: \"\u{e4}\"  # note\n    c: [1, 2]  \n\nd: {e: f}\ng:\n";
        let root = parse(text).unwrap();
        let spelt = |node: &Node| text.chars().skip(node.chars.start).take(node.chars.len()).collect::<String>();
        let Value::Map(entries) = &root.value else { panic!() };
        let Value::List(items) = &entries[0].1.value else { panic!() };
        let Value::Map(inner) = &items[0].value else { panic!() };
        assert_eq!(spelt(&inner[0].1), "\"\u{e4}\"");
        assert_eq!(spelt(&inner[1].1), "[1, 2]");
        assert_eq!(spelt(&items[0]), "b: \"\u{e4}\"  # note\n    c: [1, 2]");
        assert_eq!(spelt(&entries[1].1), "{e: f}");
        assert_eq!(spelt(&entries[2].1), "");
    }

    #[test]
    fn paths_lead_to_the_key_or_as_far_as_they_can() {
        let root = parse("rules:\n- name: a\n  match: {path: {prefx: /}}\n").unwrap();
        let at = |line, column| Position { line, column };
        assert_eq!(root.locate("rules[0].match.path.prefx"), at(3, 18));
        assert_eq!(root.locate("rules[0].match.hosts"), at(3, 3));
        assert_eq!(root.locate("rules[0]"), at(2, 3));
        assert_eq!(root.locate("rules[7]"), at(1, 1));
        assert_eq!(root.locate(""), at(1, 1));
        assert!(matches!(&root.get("rules[0].name").unwrap().value, Value::Text(name) if name == "a"));
        assert!(root.get("rules[0].nam").is_none());
    }

    #[test]
    fn json_is_yaml_too() {
        let node = parse("{\"a\": [1, {\"b\": true}]}").unwrap();
        assert_eq!(node.value.to_json().to_string(), r#"{"a":[1,{"b":true}]}"#);
    }

    #[test]
    fn aliases_are_copies() {
        let node = parse("a: &x {b: 1}\nc: *x\n").unwrap();
        assert_eq!(node.value.to_json().to_string(), r#"{"a":{"b":1},"c":{"b":1}}"#);
    }

    #[test]
    fn kubernetes_has_documents_and_longer_integers() {
        let text = "a: 99999999999\nb: 0o17\nc: 1.5\n---\n# nothing\n---\n- &x y\n- *x\n";
        let roots = parse_documents(text, Scalars::Kubernetes).unwrap();
        let json: Vec<_> = roots.iter().map(|root| root.value.to_json().to_string()).collect();
        assert_eq!(json, [r#"{"a":99999999999,"b":15,"c":"1.5"}"#, "null", "[true,true]"]);
        assert_eq!(roots[2].position, Position { line: 7, column: 1 });
        assert!(parse_documents("a: &x 1\n---\nb: *x\n", Scalars::Kubernetes).is_err());
        assert!(parse_documents("", Scalars::Kubernetes).unwrap().is_empty());
    }

    #[test]
    fn broken_files_are_refused_with_their_place() {
        for (text, line, words) in [
            ("a: 1\na: 2\n", 2, "stands twice"),
            ("a: [1\n", 2, "not valid YAML"),
            ("a: 1\n---\nb: 2\n", 2, "second YAML document"),
            ("a: !foo 1\n", 1, "unknown YAML tag"),
            ("? [1]\n: 2\n", 1, "a key must be a string"),
            ("", 1, "empty"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(words), "{text:?}: {error}");
            assert_eq!(error.position.line, line, "{text:?}: {error}");
        }
    }

    #[test]
    fn deep_nesting_and_alias_bombs_end() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let previous = format!("*a{}", i - 1);
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![previous; 10].join(", ")));
        }
        assert!(parse(&bomb).unwrap_err().to_string().contains("more than"));
    }
}
