//! Documents by kind and name.

use crate::report::{Report, Section};
use crate::source::{Document, Field};
use std::collections::{BTreeMap, HashMap};

/// Documents of a conversion.
#[derive(Debug)]
pub struct Objects<'d> {
    by_kind: BTreeMap<&'d str, Vec<&'d Document>>,
    by_name: HashMap<(&'d str, &'d str, &'d str), &'d Document>,
}

impl<'d> Objects<'d> {
    /// Sorts the documents. Of several with one name the last one counts, as with `kubectl apply`.
    pub fn new(documents: &'d [Document], report: &mut Report) -> Self {
        let mut by_name: HashMap<(&str, &str, &str), &Document> = HashMap::new();
        for document in documents.iter().filter(|document| document.is_ours()) {
            let key = (document.kind.as_str(), document.namespace.as_str(), document.name.as_str());
            if let Some(before) = by_name.insert(key, document) {
                let text = format!(
                    "a second document with this name follows ({}:{}) and counts, as with `kubectl apply`",
                    document.file,
                    document.locate("").line
                );
                report.object(Section::Changed, before, text);
            }
        }
        let mut by_kind: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
        for document in documents.iter().filter(|document| document.is_ours()) {
            let key = (document.kind.as_str(), document.namespace.as_str(), document.name.as_str());
            if by_name.get(&key).is_some_and(|last| std::ptr::eq(*last, document)) {
                by_kind.entry(document.kind.as_str()).or_default().push(document);
            }
        }
        for list in by_kind.values_mut() {
            list.sort_by_key(|document| (&document.namespace, &document.name));
        }
        Self { by_kind, by_name }
    }

    /// All of a kind, by namespace and name.
    pub fn all(&self, kind: &str) -> &[&'d Document] {
        self.by_kind.get(kind).map(Vec::as_slice).unwrap_or_default()
    }

    /// One by name.
    pub fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&'d Document> {
        self.by_name.get(&(kind, namespace, name)).copied()
    }
}

/// Whether labels fit a selector. Nothing is known of labels that are not there.
///
/// Returns `None` if it depends on an object that is not among the documents.
pub fn selects(selector: &Field<'_>, labels: Option<&BTreeMap<String, String>>) -> Option<bool> {
    selector.mark();
    let wanted = selector.get("matchLabels").map(|all| all.entries()).unwrap_or_default();
    let expressions = selector.list("matchExpressions");
    if wanted.is_empty() && expressions.is_empty() {
        return Some(true);
    }
    let labels = labels?;
    let equal = wanted.iter().all(|(key, value)| labels.get(key) == value.text().as_ref());
    let fits = |expression: &Field<'_>| {
        let value = labels.get(&expression.text_of("key").unwrap_or_default());
        let values: Vec<String> = expression.list("values").iter().filter_map(Field::text).collect();
        let listed = value.is_some_and(|value| values.contains(value));
        match expression.text_of("operator").as_deref() {
            Some("In") => listed,
            Some("NotIn") => !listed,
            Some("Exists") => value.is_some(),
            Some("DoesNotExist") => value.is_none(),
            _ => false,
        }
    };
    Some(equal && expressions.iter().all(fits))
}

/// The labels of an object.
pub fn labels(document: &Document) -> BTreeMap<String, String> {
    let labels = document.root().get("metadata").and_then(|metadata| metadata.get("labels"));
    let entries = labels.map(|labels| labels.entries()).unwrap_or_default();
    entries.into_iter().filter_map(|(key, value)| value.text().map(|value| (key, value))).collect()
}

/// The labels of a namespace: those of its object, and the name that Kubernetes gives each. `None` if there is no object.
pub fn namespace_labels(objects: &Objects<'_>, name: &str) -> Option<BTreeMap<String, String>> {
    let mut all = labels(objects.find("Namespace", "", name)?);
    all.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    Some(all)
}
