//! Fuzz targets: each takes any bytes and panics if what it tests breaks a promise.
#![allow(clippy::panic, reason = "a broken promise is told by a panic")]

use std::net::{Ipv4Addr, SocketAddr};

use fuzz_engine::Target;
use placed_yaml::{Node, Scalars, Value};
use sluice_convert::emit::{Place, files};
use sluice_convert::{Dialect, Options, convert};

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "yaml", run: yaml, seeds, dictionary: WORDS },
    Target { name: "app-mesh", run: |bytes| manifests(Dialect::AppMesh, bytes), seeds, dictionary: WORDS },
    Target { name: "ingress", run: |bytes| manifests(Dialect::Ingress, bytes), seeds, dictionary: WORDS },
    Target { name: "gateway-api", run: |bytes| manifests(Dialect::GatewayApi, bytes), seeds, dictionary: WORDS },
];

const WORDS: &[&[u8]] = &[
    b"---\n",
    b"- ",
    b": ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"&a ",
    b"*a",
    b"|\n",
    b">-\n",
    b"!!str ",
    b"kind: List",
    b"items:",
    b"spec:",
    b"metadata:",
    b"httpRoute:",
    b"match:",
    b"prefix: /",
    b"rules:",
    b"paths:",
    b"backendRefs:",
    b"filters:",
    b"parentRefs:",
    b"nginx.ingress.kubernetes.io/",
];

const APP_MESH: &str = "\
{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualGateway, metadata: {name: g}, spec: {listeners: [{portMapping: {port: 80, protocol: http}}]}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: GatewayRoute, metadata: {name: r}, spec: {virtualGatewayRef: {name: g}, httpRoute: {match: {prefix: /a},
  action: {target: {virtualService: {virtualServiceRef: {name: s}}}}}}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualService, metadata: {name: s}, spec: {provider: {virtualNode: {virtualNodeRef: {name: o}}}}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualNode, metadata: {name: o}, spec: {listeners: [{portMapping: {port: 80, protocol: http}}],
  serviceDiscovery: {dns: {hostname: o.test}}}}
";
const INGRESS: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$1}}
spec:
  rules: [{host: a.test, http: {paths: [{path: /x/(.*), pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]
";
const GATEWAY: &str = "\
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec: {gatewayClassName: c, listeners: [{name: l, port: 80, protocol: HTTP}]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: {parentRefs: [{name: g}], rules: [{matches: [{path: {value: /a}}],
  filters: [{type: URLRewrite, urlRewrite: {hostname: b.test}}], backendRefs: [{name: s, port: 80}]}]}}
";

fn seeds() -> Vec<Vec<u8>> {
    [APP_MESH, INGRESS, GATEWAY, "a: &x [1, 0x10, yes, ~, \"q\"]\nb: *x\n"]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect()
}

/// Any text is refused or read; what is read knows places that are in it, and its JSON reads the same.
fn yaml(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(roots) = placed_yaml::parse_documents(&text, Scalars::Kubernetes) else { return };
    // lines end at carriage returns, too; what is not there at the end of the text stands behind its last line
    let lines = 2 + text.chars().filter(|c| matches!(c, '\n' | '\r')).count();
    for root in roots {
        places(&root, lines);
        let json = root.value.to_json();
        let again = placed_yaml::parse_documents(&json.to_string(), Scalars::Kubernetes);
        match again.as_deref() {
            Ok([same]) => assert_eq!(same.value.to_json(), json),
            other => panic!("{json}: {other:?}"),
        }
    }
}

fn places(node: &Node, lines: usize) {
    assert!((1..=lines).contains(&node.position.line), "{:?}", node.position);
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| places(item, lines)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| places(value, lines)),
        _ => {}
    }
}

/// Any manifests are refused with a place, or converted to a bootstrap that can be read.
fn manifests(dialect: Dialect, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let options = Options { dialect, namespace: "default".to_owned(), class: None };
    let place = Place {
        listen: Ipv4Addr::LOCALHOST.into(),
        ports: Default::default(),
        admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9901)),
        wasm: "dist".to_owned(),
        endpoints: Default::default(),
    };
    match convert(&[("-".to_owned(), text)], &options) {
        Err(mistakes) => assert!(!mistakes.is_empty()),
        Ok(mut converted) => match files(&mut converted, &place, "fuzz") {
            Err(why) => panic!("{why}"),
            Ok(files) => {
                let bootstrap = files.get("envoy.yaml").map(String::as_str).unwrap_or_default();
                if let Err(error) = placed_yaml::parse(bootstrap) {
                    panic!("{error}: {bootstrap}");
                }
            }
        },
    }
}
