//! From files to a model and a report.

use crate::app_mesh::{self, ClientPolicy};
use crate::gateway_api;
use crate::ingress;
use crate::model::{Model, Source};
use crate::objects::Objects;
use crate::parts;
use crate::report::{Report, Section};
use crate::schema::{Schemas, nearest};
use crate::source::{self, Document, Mistake};
use filter_kit::table::Order;
use header_router::{HeaderRouter, RuleConfig};
use placed_yaml::Position;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Whose manifests are converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// App Mesh of AWS.
    AppMesh,
    /// Kubernetes' Ingress.
    Ingress,
    /// The Gateway API.
    GatewayApi,
}

/// What the manifests do not say.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose manifests.
    pub dialect: Dialect,
    /// Namespace of objects that name none.
    pub namespace: String,
    /// Ingress: the only class that counts.
    pub class: Option<String>,
}

/// A conversion under way.
#[derive(Debug)]
pub struct Converter<'d> {
    /// The documents.
    pub objects: Objects<'d>,
    /// What is said.
    pub report: Report,
    /// What makes the input unusable.
    pub mistakes: Vec<Mistake>,
    /// What comes of it.
    pub model: Model,
    /// Objects that something leads to.
    pub used: BTreeSet<String>,
    /// Options.
    pub options: &'d Options,
    /// Clusters' `dns_lookup_family`.
    pub lookup_family: Option<&'static str>,
    /// App Mesh: TLS of the gateway at hand towards nodes.
    pub client_policy: Option<ClientPolicy>,
    /// App Mesh: the policy that each cluster was made with, if there was one.
    pub cluster_policies: BTreeMap<String, ClientPolicy>,
    /// App Mesh: circuit breakers for clusters that have none.
    pub gateway_limits: Option<Value>,
}

/// What came out.
#[derive(Debug)]
pub struct Converted {
    /// Entries, tables and clusters.
    pub model: Model,
    /// What became of every field.
    pub report: Report,
    /// Who routes.
    pub style: Style,
}

/// Who routes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Style {
    /// The header-router.
    #[default]
    Filter,
    /// Envoy's own routes where they say exactly the same, else the header-router.
    Native,
}

/// Converts the texts of files.
///
/// # Errors
/// Every mistake in the manifests.
pub fn convert(files: &[(String, String)], options: &Options) -> Result<Converted, Vec<Mistake>> {
    let (mut documents, mut mistakes) = (Vec::new(), Vec::new());
    for (name, text) in files {
        match source::read(name, text, &options.namespace) {
            Ok(read) => documents.extend(read),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    check(&documents, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut report = Report::default();
    let objects = Objects::new(&documents, &mut report);
    let mut converter = Converter {
        objects,
        report,
        mistakes,
        model: Model::default(),
        used: BTreeSet::new(),
        options,
        lookup_family: None,
        client_policy: None,
        cluster_policies: BTreeMap::new(),
        gateway_limits: None,
    };
    let kinds: &[&str] = match options.dialect {
        Dialect::AppMesh => {
            app_mesh::convert(&mut converter);
            &app_mesh::KINDS
        }
        Dialect::Ingress => {
            ingress::convert(&mut converter);
            &ingress::KINDS
        }
        Dialect::GatewayApi => {
            gateway_api::convert(&mut converter);
            &gateway_api::KINDS
        }
    };
    converter.account(&documents, kinds);
    converter.finish();
    if !converter.mistakes.is_empty() {
        return Err(converter.mistakes);
    }
    Ok(Converted { model: converter.model, report: converter.report, style: Style::default() })
}

/// Every object against its schema.
fn check(documents: &[Document], mistakes: &mut Vec<Mistake>) {
    let mut schemas = match Schemas::new() {
        Ok(schemas) => schemas,
        Err(why) => {
            mistakes.push(Mistake { file: "".into(), position: Default::default(), path: String::new(), why });
            return;
        }
    };
    for document in documents {
        let place = |path: &str, why: String| Mistake {
            file: document.file.clone(),
            position: document.locate(path),
            path: path.to_owned(),
            why,
        };
        match schemas.check(document) {
            Ok(found) => mistakes.extend(found),
            Err(why) => mistakes.push(place("", why)),
        }
        // what clusters had before 1.22
        if document.kind == "Ingress" && document.api_version.starts_with("extensions/") {
            let why = "Ingress of this group is gone from Kubernetes; expected \"networking.k8s.io/v1\", where `backend` is written in another way";
            mistakes.push(place("apiVersion", why.to_owned()));
        }
        // a kind that its group does not have is a slip, not an object of somebody else
        let kinds = schemas.kinds(document.group());
        if !schemas.knows(document) && !kinds.is_empty() && !document.group().is_empty() {
            let known: Vec<&str> = kinds.iter().map(String::as_str).collect();
            if known.contains(&document.kind.as_str()) {
                mistakes.push(place(
                    "apiVersion",
                    format!("unknown version of {}: {:?}", document.kind, document.api_version),
                ));
            } else if let Some(near) = nearest(&document.kind, &known) {
                mistakes.push(place("kind", format!("unknown kind {:?}; did you mean {near:?}?", document.kind)));
            }
        }
        if mistakes.len() > 100 {
            return;
        }
    }
}

impl Converter<'_> {
    /// Takes a rule if the header-router takes it; else says why not.
    pub fn add_rule(&mut self, rules: &mut Vec<RuleConfig>, rule: RuleConfig, source: Source, service: Option<&str>) {
        let mut alone = rule.clone();
        alone.service = None;
        if alone.targets.is_empty() && alone.redirect.is_none() && alone.direct_response.is_none() {
            alone.targets.push(parts::target_of("any".to_owned()));
        }
        let mut config = parts::table(Order::File, Default::default(), Default::default()).router;
        config.rules.push(alone);
        let name = match service {
            Some(service) if !service.is_empty() => format!("{service}/{}", rule.name),
            _ => rule.name.clone(),
        };
        if let Err(error) = HeaderRouter::new(config) {
            let at = error.at.strip_prefix("rules[0]").unwrap_or(&error.at).trim_start_matches('.');
            let text = format!("the rule is left out: the header-router refuses its {at}: {}", error.why);
            self.report_source(Section::NotSupported, &source, text);
            return;
        }
        self.model.sources.entry(name).or_insert(source);
        rules.push(rule);
    }

    fn report_source(&mut self, section: Section, source: &Source, text: String) {
        let mut parts = source.object.splitn(3, '/');
        let kind = parts.next().unwrap_or_default();
        let rest: Vec<_> = parts.collect();
        let (namespace, name) = match rest.as_slice() {
            [namespace, name] => (*namespace, *name),
            [name] => ("", *name),
            _ => ("", ""),
        };
        if let Some(document) = self.objects.find(kind, namespace, name) {
            let position = document.locate(&source.field);
            self.report.push(section, document, &source.field, position, text);
        }
    }

    /// Reports what nobody has read.
    fn account(&mut self, documents: &[Document], kinds: &[&str]) {
        for document in documents {
            if document.is_ours() && kinds.contains(&document.kind.as_str()) {
                let last = self.objects.find(&document.kind, &document.namespace, &document.name);
                if !last.is_some_and(|last| std::ptr::eq(last, document)) {
                    continue;
                }
                for (path, position) in document.unread() {
                    let text = "this field is not converted".to_owned();
                    self.report.push(Section::NotSupported, document, &path, position, text);
                }
            } else if document.is_ours() && document.kind == "Namespace" {
                self.report.object(Section::Kept, document, "its labels, for selectors");
            } else if self.is_family(document) {
                let text = format!("{} ({}) is not converted", document.kind, document.api_version);
                self.report.object(Section::NotSupported, document, text);
            } else if !self.used.contains(&document.id()) {
                let text = format!("{} ({}) is no part of this conversion", document.kind, document.api_version);
                self.report.object(Section::Skipped, document, text);
            }
        }
    }

    /// Whether a kind that is not converted says something about requests.
    fn is_family(&self, document: &Document) -> bool {
        match self.options.dialect {
            Dialect::AppMesh => document.group() == "appmesh.k8s.aws",
            Dialect::Ingress => false,
            Dialect::GatewayApi => {
                let group = document.group();
                group.ends_with("gateway.networking.k8s.io") || group.ends_with("gateway.networking.x-k8s.io")
            }
        }
    }

    /// Gives listeners whose port another gateway has a port of their own.
    fn part_ports(&mut self) {
        let mut taken: BTreeSet<u16> =
            self.model.entries.iter().flat_map(|entry| &entry.listeners).map(|listener| listener.port).collect();
        let mut seen = BTreeSet::new();
        for entry in &mut self.model.entries {
            for listener in &mut entry.listeners {
                if seen.insert(listener.port) {
                    continue;
                }
                let free = (listener.port.saturating_add(1)..=u16::MAX)
                    .chain(1024..=u16::MAX)
                    .find(|port| !taken.contains(port));
                listener.moved = free;
                taken.extend(free);
                let text = format!(
                    "another gateway has port {} too: {} listens on {} here; run them apart to keep it",
                    listener.port,
                    listener.name,
                    free.unwrap_or_default()
                );
                let document = entry.id.split_once('/').and_then(|(kind, rest)| {
                    let (namespace, name) = rest.rsplit_once('/').unwrap_or(("", rest));
                    self.objects.find(kind, namespace, name)
                });
                if let Some(document) = document {
                    self.report.object(Section::Changed, document, text);
                }
            }
        }
    }

    /// Names of listeners, routes and rules have to differ in a table; an API server sees to it.
    fn check_names(&mut self) {
        let mut twice = BTreeSet::new();
        for table in self.model.entries.iter().flat_map(|entry| &entry.tables) {
            let outer = table.router.rules.iter().map(|rule| rule.name.clone());
            let services = table.router.services.iter();
            let inner = services
                .clone()
                .flat_map(|service| service.rules.iter().map(move |rule| format!("{}/{}", service.name, rule.name)));
            let mut seen = BTreeSet::new();
            twice.extend(outer.chain(inner).filter(|name| !seen.insert(name.clone())));
            let mut seen = BTreeSet::new();
            twice.extend(services.map(|service| service.name.clone()).filter(|name| !seen.insert(name.clone())));
        }
        for name in twice {
            let source = self.model.sources.get(&name);
            let line = source.map(|source| source.line).unwrap_or_default();
            self.mistakes.push(Mistake {
                file: source.map(|source| source.file.as_str()).unwrap_or_default().into(),
                position: Position { line, column: 1 },
                path: source.map(|source| source.field.clone()).unwrap_or_default(),
                why: format!("two come to the name {name:?}; names have to differ"),
            });
        }
    }

    fn finish(&mut self) {
        self.check_names();
        self.part_ports();
        for cluster in self.model.clusters.values_mut() {
            if let Some(family) = self.lookup_family {
                cluster.more.insert("dns_lookup_family".to_owned(), family.into());
            }
            if let Some(limits) =
                self.gateway_limits.as_ref().filter(|_| !cluster.more.contains_key("circuit_breakers"))
            {
                cluster.more.insert("circuit_breakers".to_owned(), limits.clone());
            }
        }
        if self.options.dialect == Dialect::AppMesh {
            let most = u32::MAX;
            let unlimited = serde_json::json!({"thresholds": [{"max_connections": most, "max_pending_requests": most,
                "max_requests": most, "max_retries": most}]});
            for cluster in self.model.clusters.values_mut() {
                cluster.more.entry("circuit_breakers".to_owned()).or_insert_with(|| unlimited.clone());
            }
        }
        self.report.finish();
    }
}

impl Converted {
    /// Says something of a place that a rule comes from.
    pub fn say(&mut self, section: Section, source: &Source, text: String) {
        self.report.line(crate::report::Line {
            section,
            text,
            object: source.object.clone(),
            field: source.field.clone(),
            file: source.file.clone(),
            line: source.line,
        });
    }
}
