//! Manifests for other gateways, by value and against the schemas of their kinds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use placed_yaml::{Scalars, parse_documents};
use serde_json::{Value, json};
use sluice_convert::emit::Place;
use sluice_convert::emit::bootstrap::router_config;
use sluice_convert::emit::targets::{Manifests, Target, manifests};
use sluice_convert::model::{BackendEdits, Cluster, Model, Policy, Retry};
use sluice_convert::{Dialect, Options};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const TARGETS: [Target; 3] = [Target::EnvoyGateway, Target::Istio, Target::Higress];
const IMAGE: &str = "registry.test/header-router:1.0.0";

const INGRESS: &str = r#"
{apiVersion: v1, kind: Service, metadata: {name: shop, namespace: default}, spec: {ports: [{port: 80, name: web}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: api, namespace: default}, spec: {ports: [{port: 8080}]}}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop, namespace: default}, spec: {ingressClassName: nginx,
  rules: [{host: shop.test, http: {paths: [
    {path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: web}}}},
    {path: /api, pathType: Prefix, backend: {service: {name: api, port: {number: 8080}}}}]}}]}}
"#;

const APP_MESH: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {gateway: ingress}}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualGateway, metadata: {name: edge, namespace: shop}, spec: {namespaceSelector: {matchLabels: {gateway: ingress}}, listeners: [{portMapping: {port: 8088, protocol: http}}]}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualNode, metadata: {name: a, namespace: shop}, spec: {listeners: [{portMapping: {port: 8080, protocol: http}}], serviceDiscovery: {dns: {hostname: a.other.svc.cluster.local}}}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualNode, metadata: {name: b, namespace: shop}, spec: {listeners: [{portMapping: {port: 8080, protocol: http2}}], serviceDiscovery: {dns: {hostname: b.example.com}}}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualService, metadata: {name: a, namespace: shop}, spec: {awsName: a.shop.svc.cluster.local, provider: {virtualNode: {virtualNodeRef: {name: a}}}}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualRouter, metadata: {name: b, namespace: shop}, spec: {listeners: [{portMapping: {port: 8080, protocol: http}}], routes: [
  {name: all, httpRoute: {match: {prefix: /}, action: {weightedTargets: [{virtualNodeRef: {name: b}, weight: 1}]}, timeout: {perRequest: {unit: ms, value: 2500}, idle: {unit: s, value: 60}}, retryPolicy: {maxRetries: 2, perRetryTimeout: {unit: s, value: 1}, httpRetryEvents: [server-error]}}}]}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: VirtualService, metadata: {name: b, namespace: shop}, spec: {awsName: b.shop.svc.cluster.local, provider: {virtualRouter: {virtualRouterRef: {name: b}}}}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: GatewayRoute, metadata: {name: a, namespace: shop}, spec: {httpRoute: {match: {prefix: /a}, action: {target: {virtualService: {virtualServiceRef: {name: a}}}}}}}
---
{apiVersion: appmesh.k8s.aws/v1beta2, kind: GatewayRoute, metadata: {name: b, namespace: shop}, spec: {httpRoute: {match: {prefix: /b}, action: {target: {virtualService: {virtualServiceRef: {name: b}}}}}}}
"#;

fn place() -> Place {
    Place {
        listen: "127.0.0.1".parse().unwrap(),
        ports: Default::default(),
        admin: "127.0.0.1:9901".parse().unwrap(),
        wasm: "dist".to_owned(),
        endpoints: Default::default(),
    }
}

fn model(dialect: Dialect, text: &str) -> Model {
    let options = Options { dialect, namespace: "default".to_owned(), class: None };
    let converted = sluice_convert::convert(&[("a.yaml".to_owned(), text.to_owned())], &options);
    converted.unwrap_or_else(|mistakes| panic!("{mistakes:?}")).model
}

fn made(target: Target, model: &Model) -> Manifests {
    manifests(target, model, &place(), IMAGE)
}

fn of_kind<'m>(made: &'m Manifests, kind: &str) -> Vec<&'m Value> {
    made.documents.iter().filter(|document| document["kind"] == kind).collect()
}

#[test]
fn print() {
    if std::env::var_os("SHOW").is_some() {
        for target in TARGETS {
            for model in [model(Dialect::Ingress, INGRESS), model(Dialect::AppMesh, APP_MESH)] {
                let made = made(target, &model);
                made.documents.iter().for_each(|document| println!("{document:#}"));
                println!("{target:?} {:#?}", made.notes);
            }
        }
    }
}
