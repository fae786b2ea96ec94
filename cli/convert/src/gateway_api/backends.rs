//! What `backendRefs` name.

use crate::convert::Converter;
use crate::parts::upstream_tls;
use crate::report::Section;
use crate::services::{self, NoBackend, Port};
use crate::source::{Document, Field, id};
use serde_json::json;

/// The cluster of a reference.
///
/// # Errors
/// In words, if there is none or it must not be used.
pub fn cluster(
    converter: &mut Converter<'_>,
    route: &Document,
    reference: &Field<'_>,
    is_grpc: bool,
) -> Result<String, NoBackend> {
    let group = reference.text_of("group").unwrap_or_default();
    let kind = reference.text_of("kind").unwrap_or_else(|| "Service".to_owned());
    let name = reference.text_of("name").unwrap_or_default();
    let namespace = reference.text_of("namespace").unwrap_or_else(|| route.namespace.clone());
    let port = reference.number_of("port").and_then(|port| u16::try_from(port).ok());
    if !(group.is_empty() && kind == "Service") {
        return Err(NoBackend(format!("{} of group {group:?} is no Service", id(&kind, &namespace, &name))));
    }
    if !granted(converter, route, "", "Service", &namespace, &name) {
        return Err(NoBackend(format!(
            "no ReferenceGrant lets {} use {}",
            route.id(),
            id("Service", &namespace, &name)
        )));
    }
    let Some(port) = port else {
        return Err(NoBackend(format!("the reference to {} names no port", id("Service", &namespace, &name))));
    };
    services::cluster(converter, &namespace, &name, &Port::Number(port), is_grpc, reference)
}

/// Whether an object may refer to one of another namespace.
pub fn granted(
    converter: &Converter<'_>,
    from: &Document,
    group: &str,
    kind: &str,
    namespace: &str,
    name: &str,
) -> bool {
    if from.namespace == namespace {
        return true;
    }
    let grants = converter.objects.all("ReferenceGrant").iter().filter(|grant| grant.namespace == namespace);
    grants.filter_map(|grant| grant.root().get("spec")).any(|spec| {
        let is_from = spec.list("from").iter().any(|of| {
            of.text_of("group").unwrap_or_default() == from.group()
                && of.text_of("kind").as_deref() == Some(&from.kind)
                && of.text_of("namespace").as_deref() == Some(&from.namespace)
        });
        let is_to = spec.list("to").iter().any(|to| {
            to.text_of("group").unwrap_or_default() == group
                && to.text_of("kind").as_deref() == Some(kind)
                && to.text_of("name").is_none_or(|only| only == name)
        });
        is_from && is_to
    })
}

/// BackendTLSPolicies: TLS of clusters.
pub fn tls(converter: &mut Converter<'_>) {
    for policy in converter.objects.all("BackendTLSPolicy").to_vec() {
        let Some(spec) = policy.root().get("spec") else { continue };
        let Some(validation) = spec.get("validation") else { continue };
        let mut context = serde_json::Map::new();
        let authorities = validation.list("caCertificateRefs");
        authorities.iter().for_each(Field::mark);
        if validation.text_of("wellKnownCACertificates").is_some() {
            context.insert("trusted_ca".to_owned(), json!({"filename": "/etc/ssl/certs/ca-certificates.crt"}));
            let text = "the system's authorities: taken from /etc/ssl/certs/ca-certificates.crt";
            converter.report.add(Section::Kept, &validation, text);
        } else if let [only] = authorities.as_slice() {
            let name = only.text_of("name").unwrap_or_default();
            let file = format!("tls/{}/{name}/ca.crt", policy.namespace);
            converter.report.add(
                Section::Kept,
                only,
                format!("authorities: put `ca.crt` of {name} into `{file}` where Envoy runs"),
            );
            context.insert("trusted_ca".to_owned(), json!({"filename": file}));
        } else {
            converter.report.add(
                Section::NotSupported,
                &validation,
                "several references to authorities: put them into one",
            );
            continue;
        }
        let host = validation.text_of("hostname").unwrap_or_default();
        let mut names: Vec<serde_json::Value> = Vec::new();
        for name in validation.list("subjectAltNames") {
            let (kind, text) = match name.text_of("hostname") {
                Some(text) => ("DNS", text),
                None => ("URI", name.text_of("uri").unwrap_or_default()),
            };
            name.mark();
            names.push(json!({"san_type": kind, "matcher": {"exact": text}}));
        }
        if names.is_empty() {
            names.push(json!({"san_type": "DNS", "matcher": {"exact": host}}));
        }
        context.insert("match_typed_subject_alt_names".to_owned(), json!(names));
        let socket = upstream_tls(&host, Some(json!({"validation_context": context})));
        for target in spec.list("targetRefs") {
            target.mark();
            let service = id("Service", &policy.namespace, &target.text_of("name").unwrap_or_default());
            let section = target.text_of("sectionName");
            let port = section.as_ref().and_then(|section| port_of(converter, &policy.namespace, &target, section));
            for cluster in converter.model.clusters.values_mut().filter(|cluster| cluster.source == service) {
                if section.is_none() || port == Some(cluster.port) {
                    cluster.more.insert("transport_socket".to_owned(), socket.clone());
                }
            }
        }
        converter.report.object(Section::Kept, policy, "TLS of clusters");
    }
}

fn port_of(converter: &Converter<'_>, namespace: &str, target: &Field<'_>, section: &str) -> Option<u16> {
    let service = converter.objects.find("Service", namespace, &target.text_of("name")?)?;
    let ports = service.root().get("spec")?.list("ports");
    let port = ports.iter().find(|port| port.text_of("name").as_deref() == Some(section))?;
    u16::try_from(port.number_of("port")?).ok()
}
