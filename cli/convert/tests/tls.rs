//! TLS that cannot be kept ends in nobody listening and nothing sent, never in plain text or in certificates that nobody checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use sluice_convert::{Converted, Dialect, Options, Section, convert};

fn converted(dialect: Dialect, text: &str) -> Converted {
    let options = Options { dialect, namespace: "shop".to_owned(), class: None };
    convert(&[("-".to_owned(), text.to_owned())], &options).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn app_mesh(listener: &str, policy: &str) -> Converted {
    let text = format!(
        "{{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualGateway, metadata: {{name: edge}}, spec: {{listeners: [{{portMapping: \
         {{port: 443, protocol: http}}{listener}}}], backendDefaults: {{clientPolicy: {{tls: {policy}}}}}}}}}
---
{{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualNode, metadata: {{name: node}}, spec: {{listeners: [{{portMapping: {{port: 8080, protocol: \
         http}}}}], serviceDiscovery: {{dns: {{hostname: n.test}}}}}}}}
---
{{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualService, metadata: {{name: s}}, spec: {{provider: {{virtualNode: {{virtualNodeRef: \
         {{name: node}}}}}}}}}}
---
{{apiVersion: appmesh.k8s.aws/v1beta2, kind: GatewayRoute, metadata: {{name: r}}, spec: {{virtualGatewayRef: {{name: edge}}, httpRoute: \
         {{match: {{prefix: /}}, action: {{target: {{virtualService: {{virtualServiceRef: {{name: s}}}}}}}}}}}}}}
"
    );
    converted(Dialect::AppMesh, &text)
}

const FILE: &str = "{validation: {trust: {file: {certificateChain: /ca.pem}}}}";
const ACM: &str = "{validation: {trust: {acm: {certificateAuthorityARNs: [a]}}}}";

#[test]
fn a_listener_whose_certificate_is_elsewhere_is_left_out() {
    let acm = app_mesh(", tls: {mode: STRICT, certificate: {acm: {certificateARN: a}}}", FILE);
    assert!(acm.model.entries[0].listeners.is_empty());
    assert!(acm.report.count(Section::NeedsADecision) > 0);
    let file = "tls: {mode: STRICT, certificate: {file: {certificateChain: /c.pem, privateKey: /k.pem}}}";
    assert_eq!(app_mesh(&format!(", {file}"), FILE).model.entries[0].listeners.len(), 1);
    // who the clients are cannot be checked: nobody comes in
    let clients = file.replace("}}}", "}}, validation: {trust: {sds: {secretName: s}}}}");
    assert!(app_mesh(&format!(", {clients}"), FILE).model.entries[0].listeners.is_empty());
}

#[test]
fn a_cluster_that_cannot_be_checked_gets_nothing() {
    let checked = app_mesh("", FILE);
    let cluster = &checked.model.clusters["shop/node"];
    assert_eq!(cluster.host, "n.test");
    assert_eq!(
        cluster.more["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]["trusted_ca"]["filename"],
        "/ca.pem"
    );
    assert_eq!(app_mesh("", ACM).model.clusters["shop/node"].host, "");
}

#[test]
fn a_port_for_https_without_a_certificate_has_no_listener() {
    let gateway = |port: &str| {
        let text = format!(
            "{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: g}}, spec: {{gatewayClassName: c, listeners: \
             [{{name: a, port: 80, protocol: HTTP}}, {{name: b, port: 443, protocol: HTTPS{port}}}]}}}}"
        );
        let ports: Vec<u16> =
            converted(Dialect::GatewayApi, &text).model.entries[0].listeners.iter().map(|one| one.port).collect();
        ports
    };
    assert_eq!(gateway(", tls: {certificateRefs: [{name: cert}]}"), [80, 443]);
    // of another namespace, and nobody has granted it
    assert_eq!(gateway(", tls: {certificateRefs: [{name: cert, namespace: vault}]}"), [80]);
    assert_eq!(gateway(""), [80]);
}
