//! Manifests: documents of files, and their fields with the memory of which of them somebody has read.
//!
//! A converter takes what it needs through [`Field`]; [`Document::unread`] then lists what nobody took, so that nothing in a
//! manifest is lost in silence.

use placed_yaml::{InvalidYaml, Node, Position, Scalars, Value};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

/// Most documents in all files together.
pub const MAX_DOCUMENTS: usize = 200_000;
/// Deepest nesting of `kind: List`.
const MAX_LISTS: usize = 8;

/// One object of a manifest.
#[derive(Debug)]
pub struct Document {
    /// The file's name as it was given; `-` for standard input.
    pub file: Rc<str>,
    /// `appmesh.k8s.aws/v1beta2`
    pub api_version: String,
    /// `GatewayRoute`
    pub kind: String,
    /// `metadata.namespace`; empty if there is none.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    root: Node,
    read: RefCell<HashSet<*const Node>>,
}

/// A mistake in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: Rc<str>,
    /// Where in it.
    pub position: Position,
    /// The path of the field, as in `spec.rules[0].host`.
    pub path: String,
    /// One lower-case sentence.
    pub why: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{} ", self.file, self.position.line, self.position.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.why)
    }
}

/// A field of a document.
#[derive(Debug, Clone)]
pub struct Field<'d> {
    /// The document that it stands in.
    pub document: &'d Document,
    /// `spec.httpRoute.match`
    pub path: String,
    node: &'d Node,
}

/// Reads the documents of a file. Lists (`kind: List`, as `kubectl get -o yaml` prints them) are taken apart.
///
/// # Errors
/// For what is no YAML, and for documents that are no Kubernetes objects.
pub fn read(file: &str, text: &str, namespace: &str) -> Result<Vec<Document>, Mistake> {
    let file: Rc<str> = file.into();
    let invalid = |error: InvalidYaml| Mistake {
        file: file.clone(),
        position: error.position,
        path: String::new(),
        why: error.why,
    };
    let roots = placed_yaml::parse_documents(text, Scalars::Kubernetes).map_err(invalid)?;
    let mut documents = Vec::new();
    for root in roots {
        add(&file, root, namespace, 0, &mut documents)?;
    }
    Ok(documents)
}

fn add(
    file: &Rc<str>,
    root: Node,
    default_namespace: &str,
    depth: usize,
    documents: &mut Vec<Document>,
) -> Result<(), Mistake> {
    let fault = |position: Position, path: &str, why: String| Mistake {
        file: file.clone(),
        position,
        path: path.to_owned(),
        why,
    };
    if matches!(root.value, Value::Null) {
        return Ok(());
    }
    let text = |path: &str, needed: bool| match root.get(path).map(|node| (&node.value, node.position)) {
        Some((Value::Text(text), _)) => Ok(text.clone()),
        Some((Value::Int(number), _)) => Ok(number.to_string()),
        Some((Value::Null, _)) | None if !needed => Ok(String::new()),
        Some((other, at)) => Err(fault(at, path, format!("expected a string, found {}", other.kind()))),
        None => Err(fault(root.position, path, "expected a Kubernetes object: this field is missing".to_owned())),
    };
    let kind = text("kind", true)?;
    let api_version = text("apiVersion", true)?;
    if kind == "List"
        || kind.ends_with("List") && matches!(root.get("items").map(|node| &node.value), Some(Value::List(_)))
    {
        if depth >= MAX_LISTS {
            return Err(fault(root.position, "", format!("lists inside lists, deeper than {MAX_LISTS}")));
        }
        let Value::Map(entries) = root.value else { return Ok(()) };
        let items = entries.into_iter().find(|(key, _)| key.name == "items").map(|(_, node)| node.value);
        if let Some(Value::List(items)) = items {
            for item in items {
                add(file, item, default_namespace, depth + 1, documents)?;
            }
        }
        return Ok(());
    }
    // objects of others are only named in the report; they may be called what they like, or nothing at all
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let is_ours = GROUPS.contains(&group) && is_read(&kind);
    let name = text("metadata.name", is_ours)?;
    let mut namespace = text("metadata.namespace", false)?;
    if is_cluster_scoped(&kind) {
        namespace.clear();
    } else if namespace.is_empty() {
        default_namespace.clone_into(&mut namespace);
    }
    for (path, value) in [("metadata.name", &name), ("metadata.namespace", &namespace)] {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        if !is_ours {
            continue;
        }
        if value.len() > 253 || !value.bytes().all(good) || (path == "metadata.name" && value.is_empty()) {
            let why = format!("expected a name of lower-case letters, digits, \"-\" and \".\", found {value:?}");
            return Err(fault(root.locate(path), path, why));
        }
    }
    if documents.len() >= MAX_DOCUMENTS {
        return Err(fault(root.position, "", format!("more than {MAX_DOCUMENTS} objects")));
    }
    let read = RefCell::default();
    documents.push(Document { file: file.clone(), api_version, kind, namespace, name, root, read });
    Ok(())
}

/// API groups whose objects are read.
const GROUPS: [&str; 4] = ["", "networking.k8s.io", "gateway.networking.k8s.io", "appmesh.k8s.aws"];

/// Kinds that some conversion reads; others of the core group say nothing about requests.
fn is_read(kind: &str) -> bool {
    let all = [&crate::app_mesh::KINDS[..], &crate::ingress::KINDS, &crate::gateway_api::KINDS];
    matches!(kind, "Service" | "Namespace") || all.iter().any(|kinds| kinds.contains(&kind))
}

/// Kinds without a namespace.
fn is_cluster_scoped(kind: &str) -> bool {
    matches!(kind, "Mesh" | "IngressClass" | "GatewayClass" | "Namespace")
}

/// The name of an object, as in `GatewayRoute/default/products`; without a namespace `Mesh/my-mesh`.
pub fn id(kind: &str, namespace: &str, name: &str) -> String {
    if namespace.is_empty() { format!("{kind}/{name}") } else { format!("{kind}/{namespace}/{name}") }
}

impl Document {
    /// The name of the object, as in `GatewayRoute/default/products`.
    pub fn id(&self) -> String {
        id(&self.kind, &self.namespace, &self.name)
    }

    /// The group of `apiVersion`; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Whether it is one of the objects that conversions read: other groups have kinds of the same names.
    pub fn is_ours(&self) -> bool {
        GROUPS.contains(&self.group()) && is_read(&self.kind)
    }

    /// The whole document.
    pub fn root(&self) -> Field<'_> {
        Field { document: self, path: String::new(), node: &self.root }
    }

    /// The object as JSON, for the schema.
    pub fn json(&self) -> serde_json::Value {
        self.root.value.to_json()
    }

    /// Where the value at a path stands.
    pub fn locate(&self, path: &str) -> Position {
        self.root.locate(path)
    }

    /// A label of `metadata.labels`.
    pub fn label(&self, name: &str) -> Option<String> {
        self.root().get("metadata")?.get("labels")?.entries().into_iter().find(|(key, _)| key == name)?.1.text()
    }

    /// An annotation.
    pub fn annotation(&self, name: &str) -> Option<Field<'_>> {
        self.root().get("metadata")?.get("annotations")?.get(name)
    }

    /// All annotations.
    pub fn annotations(&self) -> Vec<(String, Field<'_>)> {
        let all = self.root().get("metadata").and_then(|metadata| metadata.get("annotations"));
        all.map(|all| all.entries()).unwrap_or_default()
    }

    /// `metadata.creationTimestamp`; empty if it was never created. RFC 3339 in UTC sorts as text.
    pub fn created(&self) -> String {
        let metadata = self.root().get("metadata");
        metadata.and_then(|metadata| metadata.get("creationTimestamp")?.text()).unwrap_or_default()
    }

    /// The outermost fields of `spec` and others, but for `metadata` and `status`, that nobody has read.
    pub fn unread(&self) -> Vec<(String, Position)> {
        let mut found = Vec::new();
        if let Value::Map(entries) = &self.root.value {
            for (key, node) in entries {
                if !matches!(key.name.as_str(), "metadata" | "status" | "apiVersion" | "kind") {
                    self.collect_unread(node, &key.name, key.position, &mut found);
                }
            }
        }
        found
    }

    /// Returns whether anything in a value was read.
    fn collect_unread(&self, node: &Node, path: &str, position: Position, found: &mut Vec<(String, Position)>) {
        if self.read.borrow().contains(&std::ptr::from_ref(node)) {
            return;
        }
        if matches!(node.value, Value::Null) {
            return;
        }
        if !self.touched(node) {
            found.push((path.to_owned(), position));
            return;
        }
        match &node.value {
            Value::Map(entries) => {
                for (key, inner) in entries {
                    self.collect_unread(inner, &format!("{path}.{}", key.name), key.position, found);
                }
            }
            Value::List(items) => {
                for (index, inner) in items.iter().enumerate() {
                    self.collect_unread(inner, &format!("{path}[{index}]"), inner.position, found);
                }
            }
            _ => {}
        }
    }

    fn touched(&self, node: &Node) -> bool {
        self.read.borrow().contains(&std::ptr::from_ref(node))
            || match &node.value {
                Value::Map(entries) => entries.iter().any(|(_, inner)| self.touched(inner)),
                Value::List(items) => items.iter().any(|inner| self.touched(inner)),
                _ => false,
            }
    }
}

impl<'d> Field<'d> {
    /// A field of a map; `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<Self> {
        let Value::Map(entries) = &self.node.value else { return None };
        let (key, node) = entries.iter().find(|(key, _)| key.name == name)?;
        if matches!(node.value, Value::Null) {
            return None;
        }
        let path = if self.path.is_empty() { key.name.clone() } else { format!("{}.{}", self.path, key.name) };
        let field = Field { document: self.document, path, node };
        if matches!(&node.value, Value::Map(entries) if entries.is_empty())
            || matches!(&node.value, Value::List(items) if items.is_empty())
        {
            field.mark();
        }
        Some(field)
    }

    /// A field some maps further down.
    pub fn at(&self, path: &str) -> Option<Self> {
        path.split('.').try_fold(self.clone(), |field, name| field.get(name))
    }

    /// The items of a list; empty for anything else.
    pub fn items(&self) -> Vec<Self> {
        let Value::List(items) = &self.node.value else { return Vec::new() };
        let numbered = items.iter().enumerate();
        numbered
            .map(|(index, node)| Field { document: self.document, path: format!("{}[{index}]", self.path), node })
            .collect()
    }

    /// The items of a list in this field.
    pub fn list(&self, name: &str) -> Vec<Self> {
        self.get(name).map(|list| list.items()).unwrap_or_default()
    }

    /// The entries of a map; empty for anything else.
    pub fn entries(&self) -> Vec<(String, Self)> {
        let Value::Map(entries) = &self.node.value else { return Vec::new() };
        let one = |(key, node): &'d (placed_yaml::Key, Node)| {
            let path = format!("{}.{}", self.path, key.name);
            (key.name.clone(), Field { document: self.document, path, node })
        };
        entries.iter().map(one).collect()
    }

    /// Whether it is a map.
    pub fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// The value as text, if it is one; reads it.
    pub fn text(&self) -> Option<String> {
        self.mark();
        match &self.node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Int(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// The text of a field of this one.
    pub fn text_of(&self, name: &str) -> Option<String> {
        self.get(name)?.text()
    }

    /// The value as a number, if it is one; reads it.
    pub fn number(&self) -> Option<i64> {
        self.mark();
        match &self.node.value {
            Value::Int(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The number in a field of this one.
    pub fn number_of(&self, name: &str) -> Option<i64> {
        self.get(name)?.number()
    }

    /// A flag in a field of this one.
    pub fn flag_of(&self, name: &str) -> Option<bool> {
        let field = self.get(name)?;
        field.mark();
        match &field.node.value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// Counts the value, and all that is in it, as read.
    pub fn mark(&self) {
        self.document.read.borrow_mut().insert(std::ptr::from_ref(self.node));
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.node.position
    }

    /// A mistake about it.
    pub fn mistake(&self, why: impl Into<String>) -> Mistake {
        Mistake {
            file: self.document.file.clone(),
            position: self.position(),
            path: self.path.clone(),
            why: why.into(),
        }
    }
}
