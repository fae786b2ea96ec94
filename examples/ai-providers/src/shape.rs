//! What a request body may look like: tables of members and types, and what is wrong with a body that is otherwise.

pub use crate::fault::{Fault, Step, Wrong};
use serde_json::Value;

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    /// Anything.
    Any,
    /// A string.
    Text,
    /// A string that is not empty.
    Filled,
    /// True or false.
    Bool,
    /// A number from here to there.
    Number(f64, f64),
    /// A whole number from here to there.
    Integer(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list, so long at least and at most.
    List(&'static Shape, usize, usize),
    /// An object with any members.
    Object,
    /// An object with any names, and values like this.
    Map(&'static Shape),
    /// An object with these members.
    Record(&'static [Member]),
    /// An object with exactly one of these members.
    OneOf(&'static [Member]),
    /// An object whose members depend on the word in one of them.
    Tagged(&'static str, &'static [(&'static str, &'static [Member])]),
    /// Whichever of these is of the value's JSON type.
    Either(&'static [&'static Shape]),
}

/// A member of an object.
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub shape: &'static Shape,
    /// Whether it must be there.
    pub required: bool,
}

/// One that may be missing.
pub const fn may(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, shape, required: false }
}

/// One that must be there.
pub const fn must(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, shape, required: true }
}

/// What differs between providers.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// A member that is not in the table is refused.
    pub strict: bool,
    /// A member that is null counts as missing.
    pub null_is_missing: bool,
}

impl Shape {
    /// Whether a value is like this.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, value: &Value, rules: Rules) -> Result<(), Fault> {
        self.look(value, rules).map_err(|(mut path, wrong)| {
            path.reverse();
            Fault { path, wrong }
        })
    }

    fn look(&self, value: &Value, rules: Rules) -> Found {
        let kind = || Err((Vec::new(), Wrong::Type(self.name())));
        if !self.fits(value) {
            return kind();
        }
        let range = |low: &dyn std::fmt::Display, high: &dyn std::fmt::Display| {
            Err((Vec::new(), Wrong::Other(format!("must be from {low} to {high}"))))
        };
        match (self, value) {
            (Self::Filled, Value::String(text)) if text.is_empty() => {
                Err((Vec::new(), Wrong::Other("must not be empty".to_owned())))
            }
            (Self::Number(low, high), _) if value.as_f64().is_none_or(|number| number < *low || number > *high) => {
                range(low, high)
            }
            (Self::Integer(low, high), _) => match value.as_i64() {
                Some(number) if (*low..=*high).contains(&number) => Ok(()),
                Some(_) => range(low, high),
                None => kind(),
            },
            (Self::Word(words), Value::String(text)) if !words.contains(&text.as_str()) => {
                Err((Vec::new(), Wrong::Word(words)))
            }
            (Self::List(_, least, most), Value::Array(items)) if !(*least..=*most).contains(&items.len()) => {
                Err((Vec::new(), Wrong::Other(format!("must have {least} to {most} items, not {}", items.len()))))
            }
            (Self::List(shape, ..), Value::Array(items)) => items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| shape.look(item, rules).map_err(down(|| Step::Index(index)))),
            (Self::Map(shape), Value::Object(members)) => members
                .iter()
                .try_for_each(|(name, value)| shape.look(value, rules).map_err(down(|| Step::Name(name.clone())))),
            (Self::Record(members), Value::Object(object)) => record(members, object, None, rules),
            (Self::OneOf(members), Value::Object(object)) => {
                record(members, object, None, rules)?;
                match object.iter().filter(|(_, value)| !value.is_null()).count() {
                    1 => Ok(()),
                    _ => Err((Vec::new(), Wrong::Other("must have exactly one member set".to_owned()))),
                }
            }
            (Self::Tagged(tag, kinds), Value::Object(object)) => {
                let at = || vec![Step::Name((*tag).to_owned())];
                match object.get(*tag) {
                    None => Err((at(), Wrong::Missing)),
                    Some(Value::String(word)) => match kinds.iter().find(|(name, _)| name == word) {
                        Some((_, members)) => record(members, object, Some(tag), rules),
                        None => Err((at(), Wrong::Other(format!("unknown {tag} {word:?}")))),
                    },
                    Some(_) => Err((at(), Wrong::Type("string"))),
                }
            }
            (Self::Either(shapes), _) => match shapes.iter().find(|shape| shape.fits(value)) {
                Some(shape) => shape.look(value, rules),
                None => kind(),
            },
            _ => Ok(()),
        }
    }

    /// Whether the JSON type is right.
    fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Text | Self::Filled | Self::Word(_) => value.is_string(),
            Self::Bool => value.is_boolean(),
            Self::Number(..) => value.is_number(),
            Self::Integer(..) => value.is_i64() || value.is_u64(),
            Self::List(..) => value.is_array(),
            Self::Object | Self::Map(_) | Self::Record(_) | Self::OneOf(_) | Self::Tagged(..) => value.is_object(),
            Self::Either(shapes) => shapes.iter().any(|shape| shape.fits(value)),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Any => "value",
            Self::Text | Self::Filled | Self::Word(_) => "string",
            Self::Bool => "boolean",
            Self::Number(..) => "number",
            Self::Integer(..) => "integer",
            Self::List(..) => "array",
            Self::Object | Self::Map(_) | Self::Record(_) | Self::OneOf(_) | Self::Tagged(..) => "object",
            Self::Either(shapes) => shapes.first().map_or("value", |shape| shape.name()),
        }
    }
}

/// The way, innermost step first.
type Found = Result<(), (Vec<Step>, Wrong)>;

fn down(step: impl FnOnce() -> Step) -> impl FnOnce((Vec<Step>, Wrong)) -> (Vec<Step>, Wrong) {
    |(mut path, wrong)| {
        path.push(step());
        (path, wrong)
    }
}

fn record(members: &[Member], object: &serde_json::Map<String, Value>, tag: Option<&str>, rules: Rules) -> Found {
    let at = |name: &str| vec![Step::Name(name.to_owned())];
    for member in members {
        match object.get(member.name) {
            Some(Value::Null) if rules.null_is_missing && !member.required => {}
            Some(value) => member.shape.look(value, rules).map_err(down(|| Step::Name(member.name.to_owned())))?,
            None if member.required => return Err((at(member.name), Wrong::Missing)),
            None => {}
        }
    }
    let known = |name: &str| tag == Some(name) || members.iter().any(|member| member.name == name);
    match object.keys().find(|name| rules.strict && !known(name)) {
        Some(name) => Err((at(name), Wrong::Unknown)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    static PART: Shape =
        Shape::Tagged("type", &[("text", &[must("text", &Shape::Filled)]), ("nested", &[may("parts", &PARTS)])]);
    static PARTS: Shape = Shape::List(&PART, 0, 3);
    static BODY: Shape = Shape::Record(&[
        must("model", &Shape::Text),
        may("content", &Shape::Either(&[&Shape::Text, &PARTS])),
        may("temperature", &Shape::Number(0.0, 1.0)),
        may("n", &Shape::Integer(1, 8)),
        may("mode", &Shape::Word(&["a", "b"])),
        may("labels", &Shape::Map(&Shape::Text)),
    ]);

    fn fault(value: &Value, strict: bool) -> Option<(String, Wrong)> {
        let rules = Rules { strict, null_is_missing: true };
        BODY.check(value, rules).err().map(|fault| (fault.bracketed(), fault.wrong))
    }

    #[test]
    fn faults_are_named_by_place_and_kind() {
        let other = |text: &str| Wrong::Other(text.to_owned());
        for (value, at, wrong) in [
            (json!({}), "model", Wrong::Missing),
            (json!({"model": 1}), "model", Wrong::Type("string")),
            (json!({"model": "m", "x": 1}), "x", Wrong::Unknown),
            (json!({"model": "m", "temperature": 1.5}), "temperature", other("must be from 0 to 1")),
            (json!({"model": "m", "n": 1.5}), "n", Wrong::Type("integer")),
            (json!({"model": "m", "n": 9}), "n", other("must be from 1 to 8")),
            (json!({"model": "m", "mode": "c"}), "mode", Wrong::Word(&["a", "b"])),
            (json!({"model": "m", "labels": {"k": 1}}), "labels.k", Wrong::Type("string")),
            (json!({"model": "m", "content": 1}), "content", Wrong::Type("string")),
            (json!({"model": "m", "content": [{"text": "x"}]}), "content[0].type", Wrong::Missing),
            (
                json!({"model": "m", "content": [{"type": "text", "text": ""}]}),
                "content[0].text",
                other("must not be empty"),
            ),
            (
                json!({"model": "m", "content": [{"type": "nested", "parts": [{"type": "text", "text": "x", "y": 1}]}]}),
                "content[0].parts[0].y",
                Wrong::Unknown,
            ),
            (json!({"model": "m", "content": [{"type": "odd"}]}), "content[0].type", other("unknown type \"odd\"")),
        ] {
            assert_eq!(fault(&value, true), Some((at.to_owned(), wrong)), "{value}");
        }
    }

    #[test]
    fn what_is_right_passes() {
        for value in [
            json!({"model": "m", "n": null, "content": "x", "temperature": 0}),
            json!({"model": "m", "content": [{"type": "nested", "parts": []}], "mode": "b", "labels": {}}),
        ] {
            assert_eq!(fault(&value, true), None, "{value}");
        }
        assert_eq!(fault(&json!({"model": "m", "x": 1}), false), None);
    }
}
