//! Edits of headers.

use super::Reasons;
use super::rewrite::constant;
use crate::model::BackendEdits;
use filter_kit::header_edits::HeaderEditsConfig;
use serde_json::{Map, Value, json};

/// Envoy's lists of header edits. It removes, then replaces, then adds, whatever the order of the lists.
#[derive(Debug, Default)]
pub(super) struct HeaderOps {
    lists: Map<String, Value>,
    /// Kinds and names of the edits of earlier steps.
    names: Vec<(String, String)>,
}

impl HeaderOps {
    /// No edits yet, beside these.
    pub(super) fn beside(other: &Self) -> Self {
        Self { lists: Map::new(), names: other.names.clone() }
    }

    pub(super) fn edit(&mut self, kind: &str, edits: &HeaderEditsConfig, reasons: &mut Reasons<'_>) {
        let values = edits.set.iter().map(|edit| (edit, true)).chain(edits.add.iter().map(|edit| (edit, false)));
        let mut all = Vec::new();
        for (edit, replaces) in values {
            let Some(value) = constant(&edit.value) else {
                reasons.add(&format!("a {kind} header with values of the request"));
                continue;
            };
            all.push((edit.name.as_str(), value, replaces));
        }
        self.push(kind, &all, &edits.remove, reasons);
    }

    pub(super) fn backend(&mut self, edits: &BackendEdits, reasons: &mut Reasons<'_>) {
        let set = edits.set.iter().map(|(name, value)| (name.as_str(), value.clone(), true));
        let add = edits.add.iter().map(|(name, value)| (name.as_str(), value.clone(), false));
        self.push("request", &set.chain(add).collect::<Vec<_>>(), &edits.remove, reasons);
    }

    fn push(&mut self, kind: &str, all: &[(&str, String, bool)], remove: &[String], reasons: &mut Reasons<'_>) {
        let names = all.iter().map(|(name, ..)| *name).chain(remove.iter().map(String::as_str));
        let names: Vec<_> = names.map(|name| (kind.to_owned(), name.to_ascii_lowercase())).collect();
        let twice = names.iter().any(|name| self.names.contains(name));
        reasons.add_if(twice, "a header that two stages edit");
        // Envoy's router has read these when its route edits them
        let own = kind == "request" && names.iter().any(|(_, name)| name.starts_with("x-envoy-"));
        reasons.add_if(own, "an edit of a header that Envoy's router reads");
        self.names.extend(names);
        for (name, value, replaces) in all {
            let action = if *replaces { "OVERWRITE_IF_EXISTS_OR_ADD" } else { "APPEND_IF_EXISTS_OR_ADD" };
            // what stands between two % is a command
            let mut made = json!({"header": {"key": name, "value": value.replace('%', "%%")}, "append_action": action});
            if let (true, Some(entries)) = (value.is_empty(), made.as_object_mut()) {
                entries.insert("keep_empty_value".to_owned(), json!(true));
            }
            self.list(&format!("{kind}_headers_to_add"), made);
        }
        for name in remove {
            self.list(&format!("{kind}_headers_to_remove"), json!(name));
        }
    }

    fn list(&mut self, name: &str, item: Value) {
        if let Value::Array(items) = self.lists.entry(name).or_insert_with(|| json!([])) {
            items.push(item);
        }
    }

    pub(super) fn write(self, into: &mut Map<String, Value>) {
        into.extend(self.lists);
    }
}
