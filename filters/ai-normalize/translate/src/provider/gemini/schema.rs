//! JSON Schema, reduced to the part that older interfaces take: that of OpenAPI 3.0.

use span_json::{Kind, Value, Writer};

/// Most schemas inside each other, references followed.
const MAX_DEPTH: usize = 32;
/// Most values of a reduced schema: references may multiply.
const MAX_VALUES: usize = 10_000;

/// A reduced schema; what is too deep, or refers to itself, is any object.
#[must_use]
pub fn reduced(schema: Value<'_>) -> String {
    let mut reducing = Reducing { root: schema, left: MAX_VALUES };
    let mut out = Writer::default();
    reducing.write(schema, 0, &mut out);
    String::from_utf8(out.finish()).unwrap_or_default()
}

/// Whether an object has properties; one without is left out as a whole.
#[must_use]
pub fn has_properties(schema: Value<'_>) -> bool {
    schema.get("properties").is_some_and(|properties| properties.members().next().is_some())
        || schema.get("$ref").is_some()
        || schema.get("anyOf").is_some()
        || schema.get("oneOf").is_some()
        || schema.get("allOf").is_some()
}

struct Reducing<'a> {
    root: Value<'a>,
    left: usize,
}

/// What a schema says, with its references and parts taken together.
#[derive(Default)]
struct Said<'a> {
    kinds: Vec<String>,
    nullable: bool,
    description: Option<Value<'a>>,
    title: Option<Value<'a>>,
    format: Option<Value<'a>>,
    values: Vec<Value<'a>>,
    properties: Vec<(String, Value<'a>)>,
    required: Vec<String>,
    items: Option<Value<'a>>,
    alternatives: Vec<Value<'a>>,
    /// Bounds, which stay as they are.
    bounds: Vec<(&'static str, Value<'a>)>,
}

const BOUNDS: [&str; 9] = [
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "pattern",
];

impl<'a> Reducing<'a> {
    fn write(&mut self, schema: Value<'a>, depth: usize, out: &mut Writer) {
        if depth >= MAX_DEPTH || self.left == 0 || schema.kind() != Kind::Object {
            out.raw(r#"{"type":"object"}"#);
            return;
        }
        self.left -= 1;
        let mut said = Said::default();
        self.say(schema, 0, &mut said);
        self.write_said(&said, depth, out);
    }

    fn say(&self, schema: Value<'a>, depth: usize, said: &mut Said<'a>) {
        if depth >= MAX_DEPTH {
            return;
        }
        for (name, value) in schema.members() {
            match name.decode().as_ref() {
                "$ref" => {
                    if let Some(target) = value.str().and_then(|path| self.target(&path)) {
                        self.say(target, depth + 1, said);
                    }
                }
                "allOf" => value.elements().for_each(|part| self.say(part, depth + 1, said)),
                "type" => {
                    let kinds = value.str().into_iter().chain(value.elements().filter_map(|kind| kind.str()));
                    for kind in kinds {
                        match kind.as_ref() {
                            "null" => said.nullable = true,
                            kind if !said.kinds.iter().any(|known| known == kind) => said.kinds.push(kind.to_owned()),
                            _ => {}
                        }
                    }
                }
                "nullable" => said.nullable = said.nullable || value.bool() == Some(true),
                "description" => said.description = said.description.or(Some(value)),
                "title" => said.title = said.title.or(Some(value)),
                "format" => said.format = said.format.or(Some(value)),
                "enum" => said.values.extend(value.elements()),
                "const" => said.values.push(value),
                "properties" => {
                    for (name, inner) in value.members() {
                        let name = name.decode().into_owned();
                        if !said.properties.iter().any(|(known, _)| *known == name) {
                            said.properties.push((name, inner));
                        }
                    }
                }
                "required" => said.required.extend(value.elements().filter_map(|name| name.str().map(Into::into))),
                "items" => said.items = said.items.or(Some(value)),
                "prefixItems" => said.items = said.items.or_else(|| value.elements().next()),
                "anyOf" | "oneOf" => {
                    for alternative in value.elements() {
                        let is_null = alternative.str_of("type").as_deref() == Some("null");
                        said.nullable = said.nullable || is_null;
                        if !is_null {
                            said.alternatives.push(alternative);
                        }
                    }
                }
                name => {
                    if let Some(known) = BOUNDS.iter().find(|known| **known == name)
                        && !said.bounds.iter().any(|(other, _)| other == known)
                    {
                        said.bounds.push((known, value));
                    }
                }
            }
        }
    }

    /// What a reference inside the document refers to.
    fn target(&self, path: &str) -> Option<Value<'a>> {
        let pointer = path.strip_prefix('#')?;
        pointer.split('/').skip(1).try_fold(self.root, |value, step| {
            let step = step.replace("~1", "/").replace("~0", "~");
            match value.kind() {
                Kind::Array => value.elements().nth(step.parse().ok()?),
                _ => value.get(&step),
            }
        })
    }

    fn write_said(&mut self, said: &Said<'a>, depth: usize, out: &mut Writer) {
        // an alternative that is alone is none
        if let ([alone], true, true) = (said.alternatives.as_slice(), said.kinds.is_empty(), said.properties.is_empty())
        {
            let mut all = Said { nullable: said.nullable, description: said.description, ..Said::default() };
            self.say(*alone, 0, &mut all);
            if all.alternatives.is_empty() || depth + 1 < MAX_DEPTH {
                return self.write_plain(&all, depth, out);
            }
        }
        self.write_plain(said, depth, out);
    }

    fn write_plain(&mut self, said: &Said<'a>, depth: usize, out: &mut Writer) {
        out.object(|out| {
            if let Some(description) = said.description.filter(|value| value.kind() == Kind::String) {
                out.key("description").value(description);
            }
            if let Some(title) = said.title.filter(|value| value.kind() == Kind::String) {
                out.key("title").value(title);
            }
            if said.nullable {
                out.key("nullable").bool(true);
            }
            if said.kinds.len() > 1 {
                out.key("anyOf").array(|out| {
                    for kind in &said.kinds {
                        self.write_kind(kind, said, depth, out);
                    }
                });
                return;
            }
            if !said.alternatives.is_empty() {
                out.key("anyOf").array(|out| {
                    for alternative in &said.alternatives {
                        self.write(*alternative, depth + 1, out);
                    }
                });
            }
            let kind = said.kinds.first().map(String::as_str).or_else(|| {
                let by_content = if !said.properties.is_empty() {
                    Some("object")
                } else if said.items.is_some() {
                    Some("array")
                } else if !said.values.is_empty() {
                    Some("string")
                } else {
                    None
                };
                by_content.or(said.alternatives.is_empty().then_some("object"))
            });
            if let Some(kind) = kind {
                self.write_members(kind, said, depth, out);
            }
        });
    }

    fn write_kind(&mut self, kind: &str, said: &Said<'a>, depth: usize, out: &mut Writer) {
        out.object(|out| self.write_members(kind, said, depth, out));
    }

    fn write_members(&mut self, kind: &str, said: &Said<'a>, depth: usize, out: &mut Writer) {
        // only texts can be listed
        let listed = !said.values.is_empty() && !matches!(kind, "object" | "array" | "boolean");
        let kind = if listed { "string" } else { kind };
        out.key("type").string(kind);
        if listed {
            out.key("enum").array(|out| {
                for value in said.values.iter().filter(|value| !value.is_null()) {
                    match value.text() {
                        Some(text) => out.text(&text),
                        None => out.string(value.raw()),
                    }
                }
            });
        }
        let formats: &[&str] = match kind {
            "string" if !listed => &["enum", "date-time"],
            "integer" => &["int32", "int64"],
            "number" => &["float", "double"],
            _ => &[],
        };
        if let Some(format) =
            said.format.and_then(|format| format.str()).filter(|format| formats.contains(&format.as_ref()))
        {
            out.key("format").string(&format);
        }
        for (name, value) in &said.bounds {
            let is_meant = match *name {
                "minLength" | "maxLength" | "pattern" => kind == "string" && !listed,
                "minItems" | "maxItems" => kind == "array",
                "minProperties" | "maxProperties" => kind == "object",
                _ => matches!(kind, "integer" | "number"),
            };
            let is_right = if *name == "pattern" { value.text().is_some() } else { value.number().is_some() };
            if is_meant && is_right {
                out.key(name).value(*value);
            }
        }
        if kind == "array" {
            out.key("items");
            match said.items {
                Some(items) => self.write(items, depth + 1, out),
                None => out.raw(r#"{"type":"string"}"#),
            }
        }
        if kind == "object" && !said.properties.is_empty() {
            out.key("properties").object(|out| {
                for (name, value) in &said.properties {
                    out.key(name);
                    self.write(*value, depth + 1, out);
                }
            });
            let known = |name: &&String| said.properties.iter().any(|(property, _)| property == *name);
            if said.required.iter().any(|name| known(&name)) {
                out.key("required").array(|out| {
                    let mut written: Vec<&String> = Vec::new();
                    for name in said.required.iter().filter(known) {
                        if !written.contains(&name) {
                            written.push(name);
                            out.string(name);
                        }
                    }
                });
            }
        }
    }
}
