//! Services of Kubernetes as clusters; for Ingress and the Gateway API.

use crate::convert::Converter;
use crate::model::Cluster;
use crate::parts::upstream_tls;
use crate::report::Section;
use crate::source::{Field, id};

/// A port of a Service, by number or name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// `number`
    Number(u16),
    /// `name`
    Name(String),
    /// Not said: the only one.
    Only,
}

/// Why there is no cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoBackend(pub String);

/// The cluster of a Service's port. Without any Service among the documents, names are taken as they are.
///
/// # Errors
/// In words, if the Service or its port is not there.
pub fn cluster(
    converter: &mut Converter<'_>,
    namespace: &str,
    name: &str,
    port: &Port,
    is_http2: bool,
    from: &Field<'_>,
) -> Result<String, NoBackend> {
    let what = id("Service", namespace, name);
    let Some(service) = converter.objects.find("Service", namespace, name) else {
        if !converter.objects.all("Service").is_empty() {
            return Err(NoBackend(format!("{what} is not among the documents")));
        }
        let Port::Number(port) = port else {
            return Err(NoBackend(format!(
                "the port of {what} has a name, and the Service is not among the documents"
            )));
        };
        let text = "no Services were given: each is taken as its DNS name, `NAME.NAMESPACE.svc.cluster.local`, and the port as it is named";
        converter.report.add(Section::Changed, from, text);
        let host = format!("{name}.{namespace}.svc.cluster.local");
        let made = Cluster { source: what, host, port: *port, http2: is_http2, ..Cluster::default() };
        return Ok(add(converter, namespace, name, *port, made));
    };
    converter.used.insert(service.id());
    let Some(spec) = service.root().get("spec") else { return Err(NoBackend(format!("{what} has no `spec`"))) };
    spec.mark();
    let ports = spec.list("ports");
    let number = |field: &Field<'_>| field.number_of("port").and_then(|port| u16::try_from(port).ok());
    let external = spec.text_of("externalName").filter(|_| spec.text_of("type").as_deref() == Some("ExternalName"));
    let found = match port {
        Port::Number(wanted) => ports.iter().find(|field| number(field) == Some(*wanted)),
        Port::Name(wanted) => ports.iter().find(|field| field.text_of("name").as_ref() == Some(wanted)),
        Port::Only => ports.first().filter(|_| ports.len() == 1),
    };
    let (found, asked) = match (found, port, &external) {
        (Some(found), ..) => (Some(found), number(found).unwrap_or_default()),
        (None, Port::Number(asked), Some(_)) => (None, *asked),
        (None, Port::Number(asked), None) => return Err(NoBackend(format!("{what} has no port {asked}"))),
        (None, Port::Name(asked), _) => return Err(NoBackend(format!("{what} has no port {asked:?}"))),
        (None, Port::Only, _) => return Err(NoBackend(format!("{what} has several ports or none, and none is named"))),
    };
    let protocol = found.and_then(|found| found.text_of("appProtocol")).unwrap_or_default();
    let is_headless = spec.text_of("clusterIP").as_deref() == Some("None");
    let target = found.and_then(|found| found.number_of("targetPort")).and_then(|port| u16::try_from(port).ok());
    let mut made = Cluster {
        source: what,
        host: external.unwrap_or_else(|| format!("{name}.{namespace}.svc.cluster.local")),
        // the addresses behind a headless Service are pods
        port: if is_headless { target.unwrap_or(asked) } else { asked },
        http2: is_http2 || matches!(protocol.as_str(), "kubernetes.io/h2c" | "grpc" | "h2c"),
        ..Cluster::default()
    };
    made.logical = !is_headless;
    if matches!(protocol.as_str(), "https" | "HTTPS" | "kubernetes.io/wss" | "grpcs") {
        let socket = upstream_tls(&made.host, None);
        made.more.insert("transport_socket".to_owned(), socket);
    }
    converter.report.object(Section::Kept, service, "cluster");
    Ok(add(converter, namespace, name, asked, made))
}

/// Two protocols of one port are two clusters.
fn add(converter: &mut Converter<'_>, namespace: &str, name: &str, port: u16, made: Cluster) -> String {
    let plain = format!("{namespace}/{name}:{port}");
    let name = match converter.model.clusters.get(&plain) {
        Some(other) if other.http2 != made.http2 => format!("{plain}/{}", if made.http2 { "http2" } else { "http1" }),
        _ => plain,
    };
    converter.model.clusters.entry(name.clone()).or_insert(made);
    name
}
