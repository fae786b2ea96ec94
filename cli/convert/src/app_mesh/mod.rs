//! App Mesh: VirtualGateways and what their GatewayRoutes lead to.

pub mod aliases;
mod conditions;
mod gateway;
mod node;
mod service;
mod tls;

pub use tls::ClientPolicy;

use crate::convert::Converter;
use crate::model::Entry;
use crate::report::Section;
use crate::source::{Document, Field};

/// Kinds that are read.
pub const KINDS: [&str; 8] = [
    "Mesh",
    "VirtualGateway",
    "GatewayRoute",
    "VirtualService",
    "VirtualRouter",
    "Route",
    "VirtualNode",
    "BackendGroup",
];

/// Converts all of it.
pub fn convert(converter: &mut Converter<'_>) {
    meshes(converter);
    let gateways = converter.objects.all("VirtualGateway").to_vec();
    for gateway in gateways {
        gateway::convert(converter, gateway);
    }
    gateway::unbound(converter);
    // every virtual service is an entry for requests from within
    for service in converter.objects.all("VirtualService").to_vec() {
        let id = service.id();
        if let Some(table) = service::table(converter, service) {
            converter.model.entries.push(Entry { id, listeners: Vec::new(), tables: vec![table] });
        }
    }
    for (kind, what) in [
        ("VirtualRouter", "no virtual service leads to it"),
        ("Route", "no virtual router of this name is there, or no virtual service leads to it"),
        ("VirtualNode", "nothing leads to it"),
        ("BackendGroup", "what nodes may call: of their own proxies, not of the gateway"),
    ] {
        for document in converter.objects.all(kind).to_vec() {
            if !converter.used.contains(&document.id()) {
                document.root().get("spec").iter().for_each(Field::mark);
                converter.report.object(Section::Skipped, document, what);
            }
        }
    }
}

fn meshes(converter: &mut Converter<'_>) {
    for mesh in converter.objects.all("Mesh").to_vec() {
        let Some(spec) = mesh.root().get("spec") else { continue };
        aws_name(mesh);
        let report = &mut converter.report;
        report.object(Section::Kept, mesh, "the mesh: its objects find each other by name");
        if let Some(filter) = spec.get("egressFilter") {
            let kind = filter.text_of("type").unwrap_or_default();
            let text = format!(
                "egress filter {kind}: says what sidecars may reach outside of the mesh; the gateway sends to the clusters of its routes and \
                 answers everything else with 404, as before"
            );
            report.add(Section::Kept, &filter, text);
        }
        if let Some(selector) = spec.get("namespaceSelector") {
            selector.mark();
            report.add(Section::Kept, &selector, "membership of namespaces: all documents that were given are members");
        }
        if let Some(discovery) = spec.get("meshServiceDiscovery") {
            let preference = discovery.text_of("ipPreference");
            converter.lookup_family = match preference.as_deref() {
                Some("IPv6_ONLY") => Some("V6_ONLY"),
                Some("IPv4_ONLY") => Some("V4_ONLY"),
                _ => None,
            };
            converter.report.add(Section::Kept, &discovery, "address family: `dns_lookup_family` of every cluster");
        }
        if let Some(owner) = spec.get("meshOwner") {
            owner.mark();
            converter.report.add(Section::Kept, &owner, "owner of a shared mesh: of no concern for requests");
        }
    }
}

/// The name in AWS, if the manifest gives one; `meshRef` and its like are read too.
fn aws_name(document: &Document) -> Option<String> {
    let spec = document.root().get("spec")?;
    spec.get("meshRef").iter().for_each(Field::mark);
    let mut name = None;
    for alias in std::iter::once("awsName").chain(aliases::aws_name_aliases(&document.kind).iter().copied()) {
        name = spec.text_of(alias).or(name);
    }
    name
}

/// The last part of an ARN: `arn:aws:appmesh:eu-west-1:1:mesh/m/virtualService/NAME` names NAME.
fn arn_name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Milliseconds of `{unit, value}`.
fn duration(field: &Field<'_>) -> Option<u64> {
    let value = u64::try_from(field.number_of("value")?).ok()?;
    match field.text_of("unit").as_deref() {
        Some("s") => value.checked_mul(1000),
        _ => Some(value),
    }
}
