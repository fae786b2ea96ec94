//! Takes values out of a YAML tree field by field; what nobody took is refused with its path.

use std::time::Duration;

use super::notes::Notes;
use super::{InvalidBootstrap, NOT_SERVED, protobuf_struct};
use crate::yaml::{Key, Node, Position, Value};

/// A value, with the path that leads to it.
#[derive(Debug)]
pub struct At {
    /// `static_resources.clusters[0].name`
    pub path: String,
    node: Node,
    notes: Notes,
}

/// The fields of one message. Every field must be taken; [`Fields::finish`] refuses the rest.
#[derive(Debug)]
pub struct Fields {
    /// The path of the message.
    pub path: String,
    /// Where the message starts.
    pub position: Position,
    entries: Vec<(Key, Node)>,
    known: Vec<&'static str>,
    notes: Notes,
}

/// A value of any shape.
#[derive(Debug)]
pub enum Shape {
    /// Nothing, a boolean or a number, as JSON spells it.
    Constant(String),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<At>),
    /// A map with keys of the user.
    Map(Vec<(String, At)>),
}

type Read<T> = Result<T, InvalidBootstrap>;

impl At {
    /// The whole file.
    pub fn root(node: Node) -> Self {
        Self { path: String::new(), node, notes: Notes::default() }
    }

    /// Where the notes on the whole file are kept.
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// This value is taken as it stands and changes nothing; `what` says what happens instead.
    pub fn note(self, what: &'static str) {
        self.notes.add(&self.path, what);
    }

    /// A field as JSON, to be compared; nothing is taken.
    pub fn json_of(&self, field: &str) -> Option<serde_json::Value> {
        self.node.get(field).map(|node| node.value.to_json())
    }

    /// An error about this value.
    pub fn fault(&self, why: impl Into<String>) -> InvalidBootstrap {
        InvalidBootstrap::new(self.node.position, self.path.clone(), why.into())
    }

    /// This value is valid for Envoy, but the embedded gateway has no such thing.
    pub fn not_served(&self, what: &str) -> InvalidBootstrap {
        let what = if what.is_empty() { String::new() } else { format!("{what} is ") };
        self.fault(format!("{what}{NOT_SERVED}"))
    }

    fn expected(&self, what: &str) -> InvalidBootstrap {
        self.fault(format!("expected {what}, found {}", self.node.value.kind()))
    }

    /// A message.
    pub fn fields(self) -> Read<Fields> {
        match self.node.value {
            Value::Map(entries) => Ok(Fields::new(self.path, self.node.position, entries, self.notes)),
            Value::Null => Ok(Fields::new(self.path, self.node.position, Vec::new(), self.notes)),
            _ => Err(self.expected("a map")),
        }
    }

    /// Whether it is a map without entries.
    pub fn is_empty_map(&self) -> bool {
        matches!(&self.node.value, Value::Map(entries) if entries.is_empty())
    }

    /// A value whose shape the user chooses.
    pub fn shape(self) -> Read<Shape> {
        Ok(match &self.node.value {
            Value::Null => Shape::Constant("null".to_owned()),
            Value::Bool(flag) => Shape::Constant(flag.to_string()),
            Value::Int(number) => Shape::Constant(number.to_string()),
            Value::Text(text) => Shape::Text(text.clone()),
            Value::List(_) => Shape::List(self.list()?),
            Value::Map(_) => Shape::Map(self.entries()?),
        })
    }

    /// A repeated field.
    pub fn list(self) -> Read<Vec<At>> {
        match self.node.value {
            Value::List(items) => Ok(items
                .into_iter()
                .enumerate()
                .map(|(index, node)| At { path: format!("{}[{index}]", self.path), node, notes: self.notes.clone() })
                .collect()),
            Value::Null => Ok(Vec::new()),
            _ => Err(self.expected("a list")),
        }
    }

    /// A map with keys of the user.
    pub fn entries(self) -> Read<Vec<(String, At)>> {
        let fields = self.fields()?;
        let (path, notes) = (fields.path, fields.notes);
        Ok(fields
            .entries
            .into_iter()
            .map(|(key, node)| {
                let at = At { path: format!("{path}.{}", key.name), node, notes: notes.clone() };
                (key.name, at)
            })
            .collect())
    }

    /// A string.
    pub fn text(&self) -> Read<String> {
        match &self.node.value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(self.expected("a string (quote it)")),
        }
    }

    /// A string that is not empty.
    pub fn name(&self) -> Read<String> {
        let text = self.text()?;
        if text.is_empty() {
            return Err(self.fault("must not be empty"));
        }
        Ok(text)
    }

    /// A boolean.
    pub fn flag(&self) -> Read<bool> {
        match &self.node.value {
            Value::Bool(flag) => Ok(*flag),
            _ => Err(self.expected("true or false")),
        }
    }

    /// An unsigned integer up to `max`; protobuf allows it as a string too.
    pub fn number(&self, max: u64) -> Read<u64> {
        let number = match &self.node.value {
            Value::Int(number) => u64::try_from(*number).ok(),
            Value::Text(text) => text.parse().ok(),
            _ => return Err(self.expected("a number")),
        };
        number.filter(|number| *number <= max).ok_or_else(|| self.fault(format!("expected a number from 0 to {max}")))
    }

    /// A signed 64-bit integer.
    pub fn signed(&self) -> Read<i64> {
        match &self.node.value {
            Value::Int(number) => Ok(*number),
            Value::Text(text) => text.parse().map_err(|_| self.fault("expected an integer")),
            _ => Err(self.expected("an integer")),
        }
    }

    /// A protobuf duration: seconds with up to nine decimals and an `s`.
    pub fn duration(&self) -> Read<Duration> {
        let text = self.text()?;
        let parsed = text.strip_suffix('s').and_then(|seconds| {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
            let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
                return None;
            }
            let nanos = format!("{fraction:0<9}").parse().ok()?;
            // Protobuf's upper bound is 315 576 000 000 s; timers need less.
            let whole = whole.parse::<u64>().ok().filter(|whole| *whole <= 315_576_000_000)?;
            Some(Duration::new(whole, nanos))
        });
        parsed.ok_or_else(|| self.fault(format!("expected a duration such as `0.25s` or `15s`, found `{text}`")))
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Read<T> {
        let text = self.text()?;
        choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
            let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            self.fault(format!("`{text}` is {NOT_SERVED} (it knows {names})"))
        })
    }

    /// A map as a serialized `google.protobuf.Struct`.
    pub fn protobuf_struct(&self) -> Read<Vec<u8>> {
        match &self.node.value {
            Value::Map(entries) => Ok(protobuf_struct::encode(entries)),
            _ => Err(self.expected("a map")),
        }
    }
}

impl Fields {
    fn new(path: String, position: Position, entries: Vec<(Key, Node)>, notes: Notes) -> Self {
        Self { path, position, entries, known: Vec::new(), notes }
    }

    /// Takes a field that changes nothing here, whatever it holds; `what` says what happens instead.
    pub fn note(&mut self, name: &'static str, what: &'static str) {
        if let Some(at) = self.take(name) {
            at.note(what);
        }
    }

    /// The whole message is read and not imitated; `what` says what happens instead.
    pub fn note_all(&self, what: &'static str) {
        self.notes.add(&self.path, what);
    }

    /// Takes a flag, `default` where it is absent.
    pub fn flag(&mut self, name: &'static str, default: bool) -> Read<bool> {
        self.take(name).map_or(Ok(default), |flag| flag.flag())
    }

    /// Takes the field `name` (also in its JSON spelling: `connectTimeout`). A null counts as absent, as in protobuf JSON.
    pub fn take(&mut self, name: &'static str) -> Option<At> {
        self.known.push(name);
        let camel = camel_case(name);
        let index = self.entries.iter().position(|(key, _)| key.name == name || key.name == camel)?;
        let (key, node) = self.entries.remove(index);
        match node.value {
            Value::Null => None,
            _ => Some(At { path: join(&self.path, &key.name), node, notes: self.notes.clone() }),
        }
    }

    /// Takes a field that must be there.
    pub fn need(&mut self, name: &'static str) -> Read<At> {
        self.take(name).ok_or_else(|| self.fault(format!("`{name}` is missing")))
    }

    /// An error about the whole message.
    pub fn fault(&self, why: impl Into<String>) -> InvalidBootstrap {
        InvalidBootstrap::new(self.position, self.path.clone(), why.into())
    }

    /// Takes exactly one of several fields.
    pub fn one_of(&mut self, names: &[&'static str]) -> Read<(&'static str, At)> {
        let mut found: Option<(&'static str, At)> = None;
        for name in names {
            if let Some(at) = self.take(name) {
                if let Some((other, _)) = &found {
                    return Err(at.fault(format!("stands beside `{other}`; only one of them may be set")));
                }
                found = Some((name, at));
            }
        }
        match found {
            Some(found) => Ok(found),
            None => {
                self.refuse_unknown()?;
                Err(self.fault(format!("one of {} is missing", quoted(names))))
            }
        }
    }

    /// Refuses whatever was not taken.
    pub fn finish(self) -> Read<()> {
        self.refuse_unknown()
    }

    fn refuse_unknown(&self) -> Read<()> {
        let Some((key, _)) = self.entries.first() else { return Ok(()) };
        let near = self
            .known
            .iter()
            .map(|name| (strsim::damerau_levenshtein(name, &key.name), name))
            .filter(|(distance, _)| *distance <= 2)
            .min();
        let mut why = NOT_SERVED.to_owned();
        if let Some((_, name)) = near {
            why = format!("unknown; did you mean `{name}`? (otherwise it is {NOT_SERVED})");
        }
        Err(InvalidBootstrap::new(key.position, join(&self.path, &key.name), why))
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                camel.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn fields(text: &str) -> Fields {
        At::root(yaml::parse(text).unwrap()).fields().unwrap()
    }

    #[test]
    fn durations_are_exact() {
        for (text, nanos) in
            [("0s", Some(0)), ("0.25s", Some(250_000_000)), ("15s", Some(15_000_000_000)), ("0.000000001s", Some(1))]
                .into_iter()
                .chain([("5", None), ("5ms", None), (".5s", None), ("-1s", None), ("1.0000000001s", None), ("s", None)])
        {
            let at = fields(&format!("t: \"{text}\"")).take("t").unwrap();
            assert_eq!(at.duration().ok().map(|d| d.as_nanos()), nanos, "{text}");
        }
    }

    #[test]
    fn both_spellings_of_a_field_are_read() {
        assert!(fields("connectTimeout: 1s").take("connect_timeout").is_some());
        assert!(fields("connect_timeout: 1s").take("connect_timeout").is_some());
    }

    #[test]
    fn what_nobody_took_is_refused_with_its_path_and_place() {
        let mut list = fields("a:\n- b: 1\n  c: 2\n").take("a").unwrap().list().unwrap();
        let mut item = list.remove(0).fields().unwrap();
        item.take("b").unwrap();
        let error = item.finish().unwrap_err();
        assert_eq!((error.at.as_str(), error.position), ("a[0].c", Position { line: 3, column: 3 }));
    }

    #[test]
    fn a_typo_names_the_nearest_field() {
        let mut message = fields("clsuter: x\n");
        message.take("cluster");
        assert!(message.finish().unwrap_err().why.contains("did you mean `cluster`"));
    }

    #[test]
    fn two_of_a_choice_are_refused() {
        let error = fields("a: 1\nb: 2\n").one_of(&["a", "b"]).unwrap_err();
        assert!(error.why.contains("only one of them"), "{error}");
    }
}
