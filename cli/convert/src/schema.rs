//! Manifests against the schemas of their kinds.

use crate::source::{Document, Mistake};
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::rc::Rc;

/// Schemas of the kinds that somebody may want to convert.
#[derive(Debug)]
pub struct Schemas {
    all: Map<String, Value>,
    compiled: HashMap<String, Rc<Validator>>,
}

const FILES: [&str; 3] = [
    include_str!("../schemas/app-mesh.json"),
    include_str!("../schemas/gateway-api.json"),
    include_str!("../schemas/kubernetes.json"),
];

impl Schemas {
    /// All of them.
    ///
    /// # Errors
    /// Never, for the files in `schemas`.
    pub fn new() -> Result<Self, String> {
        let mut all = Map::new();
        for file in FILES {
            let Value::Object(read) = serde_json::from_str(file).map_err(|error| error.to_string())? else { continue };
            all.extend(read);
        }
        crate::app_mesh::aliases::extend(&mut all);
        Ok(Self { all, compiled: HashMap::new() })
    }

    /// The schema of a kind.
    fn schema(&self, key: &str) -> Option<&Value> {
        match self.all.get(key)? {
            Value::String(other) => self.all.get(other),
            schema => Some(schema),
        }
    }

    /// Whether there is one for the object's kind.
    pub fn knows(&self, document: &Document) -> bool {
        self.schema(&key(document)).is_some()
    }

    /// Kinds of the object's group.
    pub fn kinds(&self, group: &str) -> Vec<String> {
        let mut kinds: Vec<_> = self
            .all
            .keys()
            .filter(|key| key.split_once('/').is_some_and(|(start, _)| start == group))
            .filter_map(|key| key.rsplit('/').next().map(str::to_owned))
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// What is wrong with an object, the first mistakes first; at most 20.
    ///
    /// # Errors
    /// If a schema is none.
    pub fn check(&mut self, document: &Document) -> Result<Vec<Mistake>, String> {
        let key = key(document);
        let Some(schema) = self.schema(&key).cloned() else { return Ok(Vec::new()) };
        let validator = match self.compiled.get(&key) {
            Some(validator) => validator.clone(),
            None => {
                let validator = jsonschema::validator_for(&schema).map_err(|error| format!("{key}: {error}"))?;
                let validator = Rc::new(validator);
                self.compiled.insert(key, validator.clone());
                validator
            }
        };
        let mut json = document.json();
        without_nulls(&mut json);
        let mut mistakes: Vec<_> =
            validator.iter_errors(&json).take(20).flat_map(|error| mistakes(document, &schema, &error)).collect();
        mistakes.sort_by_key(|mistake: &Mistake| (mistake.position.line, mistake.position.column));
        Ok(mistakes)
    }
}

fn key(document: &Document) -> String {
    format!("{}/{}", document.api_version, document.kind)
}

/// An API server takes a null for an absent field.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, value| !value.is_null());
            entries.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn mistakes(document: &Document, schema: &Value, error: &ValidationError<'_>) -> Vec<Mistake> {
    let path = dotted(error.instance_path());
    let one = |path: String, why: String| Mistake {
        file: document.file.clone(),
        position: document.locate(&path),
        path,
        why,
    };
    let found = || match error.instance().as_ref() {
        Value::String(text) => format!("{text:?}"),
        Value::Object(_) => "a map".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let place = error.schema_path().as_str().trim_end_matches("/additionalProperties");
            let known = schema.pointer(place).and_then(|place| place.get("properties")).and_then(Value::as_object);
            let known: Vec<&str> = known.map(|known| known.keys().map(String::as_str).collect()).unwrap_or_default();
            let unknown = |name: &String| {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let why = match nearest(name, &known) {
                    Some(near) => format!("unknown field; did you mean {near:?}?"),
                    None => format!("unknown field; expected one of {}", known.join(", ")),
                };
                one(inner, why)
            };
            unexpected.iter().map(unknown).collect()
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default().to_owned();
            vec![one(path, format!("missing field {name:?}"))]
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<_> = options.as_array().into_iter().flatten().map(ToString::to_string).collect();
            let given = error.instance().as_str().unwrap_or_default().to_owned();
            let bare: Vec<_> = options.iter().map(|option| option.trim_matches('"')).collect();
            let near = nearest(&given, &bare).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            vec![one(path, format!("expected one of {}, found {}{near}", options.join(", "), found()))]
        }
        ValidationErrorKind::Type { kind } => {
            let names = |kind: &TypeKind| match kind {
                TypeKind::Single(one) => one.to_string(),
                TypeKind::Multiple(all) => all.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or "),
            };
            let kind = names(kind).replace("object", "map").replace("array", "list");
            vec![one(path, format!("expected {kind}, found {}", found()))]
        }
        ValidationErrorKind::Pattern { pattern } => {
            vec![one(path, format!("expected text like {pattern}, found {}", found()))]
        }
        ValidationErrorKind::MinLength { limit } => vec![one(path, format!("expected at least {limit} characters"))],
        ValidationErrorKind::MaxLength { limit } => vec![one(path, format!("expected at most {limit} characters"))],
        ValidationErrorKind::MinItems { limit } => vec![one(path, format!("expected at least {limit} entries"))],
        ValidationErrorKind::MaxItems { limit } => vec![one(path, format!("expected at most {limit} entries"))],
        ValidationErrorKind::Minimum { limit } => {
            vec![one(path, format!("expected a number from {limit} on, found {}", found()))]
        }
        ValidationErrorKind::Maximum { limit } => {
            vec![one(path, format!("expected a number up to {limit}, found {}", found()))]
        }
        _ => vec![one(path, error.to_string())],
    }
}

/// `/spec/rules/0/host` as `spec.rules[0].host`.
fn dotted(location: &Location) -> String {
    let mut path = String::new();
    for segment in location.iter() {
        match segment {
            LocationSegment::Property(name) if path.is_empty() => path.push_str(&name),
            LocationSegment::Property(name) => {
                path.push('.');
                path.push_str(&name);
            }
            LocationSegment::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

/// The nearest of some names, if it is near enough for a slip.
pub fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let reach = (name.chars().count() / 3).clamp(1, 4);
    let lower = name.to_lowercase();
    known
        .iter()
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), *other))
        .filter(|(distance, _)| *distance <= reach)
        .min()
        .map(|(_, near)| near)
}
