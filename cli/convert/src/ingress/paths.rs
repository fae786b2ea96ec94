//! Paths of Ingresses, merged over all of a class.

use super::annotations::{flag, nginx};
use crate::convert::Converter;
use crate::report::Section;
use crate::source::{Document, Field};
use filter_kit::matching::{HostMatchConfig, PathMatchConfig, RequestMatchConfig};
use std::collections::{BTreeMap, BTreeSet};

/// `pathType`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The whole path.
    Exact,
    /// Segments.
    Prefix,
    /// What the controller likes.
    Specific,
}

/// A path of a rule.
#[derive(Debug, Clone)]
pub struct Path<'d> {
    /// The Ingress.
    pub ingress: &'d Document,
    /// In lower case; empty for every host.
    pub host: String,
    /// The path.
    pub path: String,
    /// Its type.
    pub kind: Kind,
    /// The entry of `paths`, or the `defaultBackend`.
    pub field: Field<'d>,
    /// Its backend.
    pub backend: Field<'d>,
    /// Number of the rule and of the path in it.
    pub place: String,
}

/// All paths of an Ingress.
pub fn of<'d>(converter: &mut Converter<'d>, ingress: &'d Document) -> Vec<Path<'d>> {
    let mut found = Vec::new();
    let Some(spec) = ingress.root().get("spec") else { return found };
    for (number, rule) in spec.list("rules").iter().enumerate() {
        let host = rule.text_of("host").unwrap_or_default().to_ascii_lowercase();
        let http = rule.get("http");
        http.iter().for_each(Field::mark);
        for (inner, field) in http.map(|http| http.list("paths")).unwrap_or_default().into_iter().enumerate() {
            let kind = match field.text_of("pathType").as_deref() {
                Some("Exact") => Kind::Exact,
                Some("Prefix") => Kind::Prefix,
                _ => Kind::Specific,
            };
            let path = field.text_of("path").unwrap_or_else(|| "/".to_owned());
            if !path.starts_with('/') && kind != Kind::Specific {
                converter
                    .mistakes
                    .push(field.mistake(format!("expected a path that starts with \"/\", found {path:?}")));
                continue;
            }
            let path = if path.is_empty() { "/".to_owned() } else { path };
            let Some(backend) = field.get("backend") else { continue };
            let place = format!("{number}.{inner}");
            found.push(Path { ingress, host: host.clone(), path, kind, field, backend, place });
        }
    }
    found
}

/// Drops what another Ingress has already: the older one wins.
pub fn merge<'d>(converter: &mut Converter<'d>, paths: Vec<Path<'d>>) -> Vec<Path<'d>> {
    let mut seen: BTreeMap<(String, String, Kind), String> = BTreeMap::new();
    let mut kept = Vec::new();
    for path in paths {
        // what nginx takes ImplementationSpecific for
        let kind = if path.kind == Kind::Specific { Kind::Prefix } else { path.kind };
        let key = (path.host.clone(), path.path.clone(), kind);
        match seen.get(&key) {
            Some(first) => {
                let text =
                    format!("{}{} is taken by {first}, which is older or comes first by name", path.host, path.path);
                converter.report.add(Section::Changed, &path.field, text);
            }
            None => {
                seen.insert(key, path.ingress.id());
                kept.push(path);
            }
        }
    }
    kept
}

/// Hosts on which one Ingress makes every path a pattern.
pub fn regex_hosts(converter: &mut Converter<'_>, paths: &[Path<'_>]) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for path in paths {
        let by_flag = flag(path.ingress, "use-regex") == Some(true);
        let implied = rewrites(path);
        if (by_flag || implied) && hosts.insert(path.host.clone()) {
            let host = if path.host.is_empty() { "requests without a host of their own" } else { &path.host };
            let why = if by_flag { "use-regex" } else { "rewrite-target, which implies use-regex" };
            let text = format!(
                "surprise: {why} makes every path of {host} a pattern without case and without end, Exact ones and those of other Ingresses too"
            );
            converter.report.object(Section::AppliedDefaults, path.ingress, text);
        }
    }
    hosts
}

/// Whether `rewrite-target` changes anything; `/` on the path `/` does not count at all.
pub fn rewrites(path: &Path<'_>) -> bool {
    nginx(path.ingress, "rewrite-target")
        .is_some_and(|target| !(target.is_empty() || target == "/" && path.path == "/"))
}

/// The condition on the host.
pub fn host(host: &str) -> Vec<HostMatchConfig> {
    match host {
        "" => Vec::new(),
        wild if wild.starts_with('*') => vec![HostMatchConfig::LabelWildcard(wild.to_owned())],
        exact => vec![HostMatchConfig::Exact(exact.to_owned())],
    }
}

/// The conditions of a path in nginx.
pub fn conditions(path: &Path<'_>, is_regex: bool, own_hosts: &BTreeSet<String>) -> RequestMatchConfig {
    let mut matched = RequestMatchConfig { hosts: host(&path.host), ..RequestMatchConfig::default() };
    for alias in nginx(path.ingress, "server-alias").unwrap_or_default().split(',') {
        let alias = alias.trim().to_ascii_lowercase();
        if !alias.is_empty() && !path.host.is_empty() && !own_hosts.contains(&alias) {
            matched.hosts.extend(host(&alias));
        }
    }
    matched.path = Some(match path.kind {
        _ if is_regex => {
            matched.ignore_path_case = true;
            PathMatchConfig::RegexPrefix(path.path.clone())
        }
        Kind::Exact => PathMatchConfig::Exact(path.path.clone()),
        _ if path.path.len() > 1 && path.path.ends_with('/') => PathMatchConfig::StringPrefix(path.path.clone()),
        _ => PathMatchConfig::Prefix(path.path.clone()),
    });
    matched
}
