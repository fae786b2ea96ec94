//! Which routes a listener takes, and for which hosts.

use crate::convert::Converter;
use crate::objects::{namespace_labels, selects};
use crate::report::Section;
use crate::source::{Document, Field};
use filter_kit::matching::HostMatchConfig;

/// Routes of a listener in the order of the API's ties: older ones first, then by name; with the hosts that they have there.
pub fn routes<'d>(
    converter: &mut Converter<'d>,
    gateway: &'d Document,
    listener: &Field<'d>,
) -> Vec<(&'d Document, Vec<HostMatchConfig>)> {
    let mut found = Vec::new();
    for kind in ["HTTPRoute", "GRPCRoute"] {
        for route in converter.objects.all(kind).to_vec() {
            let names = refers(route, gateway, listener);
            if !names || !allowed(converter, gateway, listener, route, kind) {
                continue;
            }
            if let Some(hosts) = hosts(listener, route) {
                found.push((route, hosts));
            }
        }
    }
    let age = |route: &Document| (route.created().is_empty(), route.created());
    found.sort_by_cached_key(|(route, _)| (age(route), route.namespace.clone(), route.name.clone()));
    found
}

/// Whether a `parentRef` names the listener.
fn refers(route: &Document, gateway: &Document, listener: &Field<'_>) -> bool {
    let Some(spec) = route.root().get("spec") else { return false };
    spec.list("parentRefs").iter().any(|parent| {
        parent.mark();
        let kind = parent.text_of("kind").unwrap_or_else(|| "Gateway".to_owned());
        let group = parent.text_of("group").unwrap_or_else(|| "gateway.networking.k8s.io".to_owned());
        let namespace = parent.text_of("namespace").unwrap_or_else(|| route.namespace.clone());
        let section = parent.text_of("sectionName");
        kind == "Gateway"
            && group == "gateway.networking.k8s.io"
            && parent.text_of("name").as_deref() == Some(&gateway.name)
            && namespace == gateway.namespace
            && section.is_none_or(|section| listener.text_of("name").as_ref() == Some(&section))
            && parent.number_of("port").is_none_or(|port| listener.number_of("port") == Some(port))
    })
}

/// `allowedRoutes`
fn allowed(
    converter: &mut Converter<'_>,
    gateway: &Document,
    listener: &Field<'_>,
    route: &Document,
    kind: &str,
) -> bool {
    let Some(allowed) = listener.get("allowedRoutes") else { return route.namespace == gateway.namespace };
    let kinds = allowed.list("kinds");
    kinds.iter().for_each(Field::mark);
    if !kinds.is_empty() && !kinds.iter().any(|allowed| allowed.text_of("kind").as_deref() == Some(kind)) {
        return false;
    }
    let namespaces = allowed.get("namespaces");
    let from = namespaces.as_ref().and_then(|namespaces| namespaces.text_of("from"));
    match from.as_deref() {
        Some("All") => true,
        Some("Selector") => {
            let Some(selector) = namespaces.and_then(|namespaces| namespaces.get("selector")) else { return false };
            let labels = namespace_labels(&converter.objects, &route.namespace);
            selects(&selector, labels.as_ref()).unwrap_or_else(|| {
                let text = format!(
                    "labels of namespace {} are not known: taken as if they fit; add the Namespace",
                    route.namespace
                );
                converter.report.add(Section::NeedsADecision, &selector, text);
                true
            })
        }
        _ => route.namespace == gateway.namespace,
    }
}

/// The hosts that route and listener have in common; `None` for none.
fn hosts(listener: &Field<'_>, route: &Document) -> Option<Vec<HostMatchConfig>> {
    let own = listener.text_of("hostname").map(|host| host.to_ascii_lowercase());
    let names: Vec<String> = route
        .root()
        .get("spec")
        .map(|spec| spec.list("hostnames").iter().filter_map(Field::text).collect())
        .unwrap_or_default();
    if names.is_empty() {
        return Some(own.iter().map(|host| condition(host)).collect());
    }
    let mut common = Vec::new();
    for name in names.iter().map(|name| name.to_ascii_lowercase()) {
        let Some(own) = &own else {
            common.push(condition(&name));
            continue;
        };
        match (own.strip_prefix('*'), name.strip_prefix('*')) {
            (None, None) if *own == name => common.push(condition(&name)),
            (Some(end), None) if fits(&name, end) => common.push(condition(&name)),
            (None, Some(end)) if fits(own, end) => common.push(condition(own)),
            // of two wildcards the longer one
            (Some(end), Some(other)) if other.ends_with(end) => common.push(condition(&name)),
            (Some(end), Some(other)) if end.ends_with(other) => common.push(condition(own)),
            _ => {}
        }
    }
    common.dedup();
    (!common.is_empty()).then_some(common)
}

fn fits(host: &str, end: &str) -> bool {
    host.len() > end.len() && host.ends_with(end)
}

/// A host as a condition.
pub fn condition(host: &str) -> HostMatchConfig {
    if host.starts_with('*') {
        HostMatchConfig::Wildcard(host.to_owned())
    } else {
        HostMatchConfig::Exact(host.to_owned())
    }
}
