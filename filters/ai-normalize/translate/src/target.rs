//! Where a request goes, and what goes there.

use crate::capability::Capabilities;
use crate::context::Hints;
use crate::provider::openai::Quirks;
use std::collections::BTreeMap;

/// A model at a provider.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The provider's name for the model.
    pub model: &'a str,
    /// What it can do.
    pub capabilities: &'a Capabilities,
    /// How the provider differs from OpenAI, if it speaks that dialect.
    pub quirks: &'a Quirks,
    /// What path templates may name: `project`, `location`, `deployment`, `api_version`..
    pub variables: &'a BTreeMap<String, String>,
}

impl Target<'_> {
    /// A path from a template: `{model}` is the model, `{name}` a variable; each is percent-encoded as one segment. A variable that is not
    /// there is empty: configurations are checked before.
    pub fn path(&self, template: &str) -> String {
        let mut path = String::with_capacity(template.len() + self.model.len());
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once('{') {
            path.push_str(before);
            let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
            let value = if name == "model" { self.model } else { self.variables.get(name).map_or("", String::as_str) };
            push_segment(value, &mut path);
            rest = behind;
        }
        path.push_str(rest);
        path
    }
}

/// Names in braces of a path template.
pub fn template_names(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

/// RFC 3986: everything but unreserved characters is encoded, `:` and `/` too.
fn push_segment(text: &str, path: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
}

/// What goes to the provider.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// With query.
    pub path: String,
    /// Headers of the dialect; none of them is a secret, and `content-type` is always `application/json`.
    pub headers: Vec<(&'static str, String)>,
    /// Headers of the dialect that go on as the client sent them, where it did.
    pub kept: &'static [&'static str],
    /// JSON.
    pub body: Vec<u8>,
    /// What the answer has to be read with.
    pub hints: Hints,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_names_as_one_segment() {
        let variables = BTreeMap::from([("project".to_owned(), "my project".to_owned())]);
        let target = Target {
            model: "arn:aws:x/y.v1",
            capabilities: &Capabilities::default(),
            quirks: &Quirks::default(),
            variables: &variables,
        };
        assert_eq!(target.path("/model/{model}/converse"), "/model/arn%3Aaws%3Ax%2Fy.v1/converse");
        assert_eq!(target.path("/{project}/{none}:x?alt=sse"), "/my%20project/:x?alt=sse");
        assert_eq!(template_names("/{project}/{none}:x").collect::<Vec<_>>(), ["project", "none"]);
    }
}
