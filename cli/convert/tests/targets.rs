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
use std::path::Path;

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

fn notes_say(made: &Manifests, text: &str) {
    assert!(made.notes.iter().any(|note| note.contains(text)), "{text}: {:#?}", made.notes);
}

#[test]
fn envoy_gateway_routes_by_the_cluster_that_the_filter_names() {
    let model = model(Dialect::Ingress, INGRESS);
    let made = made(Target::EnvoyGateway, &model);
    let kinds: Vec<&str> = made.documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
    let wanted =
        ["Gateway", "HTTPRoute", "BackendTrafficPolicy", "HTTPRouteFilter", "HTTPRoute", "EnvoyExtensionPolicy"];
    assert_eq!(kinds, wanted);
    assert_eq!(made.documents[0]["spec"]["gatewayClassName"], "eg");
    let rules = &made.documents[1]["spec"]["rules"];
    assert_eq!(
        rules[1],
        json!({
            "matches": [{"headers": [{"type": "Exact", "name": "x-sluice-cluster", "value": "default/shop:80"}]}],
            "backendRefs": [{"name": "shop", "namespace": "default", "port": 80}],
            "timeouts": {"request": "0s"},
        })
    );
    assert_eq!(
        made.documents[2]["spec"]["retry"],
        json!({"numRetries": 2, "retryOn": {"triggers": ["connect-failure"]}})
    );
    // a request has to meet a route before the filter, which is off where there is none
    let rest = &made.documents[4]["spec"]["rules"];
    assert_eq!(rest[0]["matches"], json!([{"path": {"type": "PathPrefix", "value": "/"}}]));
    assert_eq!(made.documents[3]["spec"], json!({"directResponse": {"statusCode": 404}}));
    let wasm = &made.documents[5]["spec"]["wasm"][0];
    assert_eq!(wasm["code"], json!({"type": "Image", "image": {"url": IMAGE}}));
    assert_eq!(wasm["failOpen"], false);
    assert_eq!(wasm["config"], router_config(&model.entries[0].tables[0], &place()));
    let pinned = format!("registry.test/router@sha256:{}", "a".repeat(64));
    let pinned = manifests(Target::EnvoyGateway, &model, &place(), &pinned);
    let image = &of_kind(&pinned, "EnvoyExtensionPolicy")[0]["spec"]["wasm"][0]["code"]["image"];
    assert_eq!(*image, json!({"url": "registry.test/router", "sha256": "a".repeat(64)}));
}

#[test]
fn envoy_gateway_has_backends_grants_and_policies() {
    let made = made(Target::EnvoyGateway, &model(Dialect::AppMesh, APP_MESH));
    let backend = of_kind(&made, "Backend")[0];
    let endpoints = json!([{"fqdn": {"hostname": "b.example.com", "port": 8080}}]);
    assert_eq!(backend["spec"], json!({"endpoints": endpoints, "appProtocols": ["gateway.envoyproxy.io/h2c"]}));
    let grant = of_kind(&made, "ReferenceGrant")[0];
    assert_eq!(grant["metadata"]["namespace"], "other");
    assert_eq!(grant["spec"]["to"], json!([{"group": "", "kind": "Service", "name": "a"}]));
    let rule = &of_kind(&made, "HTTPRoute")[0]["spec"]["rules"][0];
    assert_eq!(rule["matches"][0]["headers"][1], json!({"type": "Exact", "name": "x-gateway-policy", "value": "1"}));
    assert_eq!(rule["timeouts"], json!({"request": "2s500ms"}));
    assert_eq!(rule["filters"][0]["requestHeaderModifier"], json!({"remove": ["x-gateway-policy"]}));
    let traffic = &of_kind(&made, "BackendTrafficPolicy")[0]["spec"];
    assert_eq!(traffic["timeout"], json!({"http": {"streamIdleTimeout": "1m"}}));
    assert_eq!(traffic["retry"]["perRetry"], json!({"timeout": "1s"}));
    notes_say(&made, "circuit_breakers is not written for clusters shop/a, shop/b");
    notes_say(&made, "enableBackend");
}

#[test]
fn at_most_16_rules_are_in_an_http_route() {
    let mut text = INGRESS.to_owned();
    for number in 0..40 {
        text += &format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: s{number}, namespace: default}}, spec: {{ports: [{{port: 80}}]}}}}\n---\n\
            {{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i{number}, namespace: default}}, spec: {{ingressClassName: nginx, \
            rules: [{{host: h{number}.test, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: s{number}, port: {{number: 80}}}}}}}}]}}}}]}}}}\n"
        );
    }
    let made = made(Target::EnvoyGateway, &model(Dialect::Ingress, &text));
    let sizes: Vec<usize> =
        of_kind(&made, "HTTPRoute").iter().map(|route| route["spec"]["rules"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [16, 16, 10, 1]);
    let targets = &of_kind(&made, "BackendTrafficPolicy")[0]["spec"]["targetRefs"];
    assert_eq!(targets.as_array().unwrap().len(), 3);
}

#[test]
fn istio_has_a_plugin_and_a_virtual_service() {
    let made = made(Target::Istio, &model(Dialect::AppMesh, APP_MESH));
    let plugin = of_kind(&made, "WasmPlugin")[0];
    assert_eq!(plugin["spec"]["url"], format!("oci://{IMAGE}"));
    assert_eq!(plugin["spec"]["phase"], "AUTHN");
    assert_eq!(plugin["spec"]["selector"], json!({"matchLabels": {"istio": "ingressgateway"}}));
    let service = of_kind(&made, "VirtualService")[0];
    assert_eq!(
        service["spec"]["http"][0],
        json!({
            "match": [{"headers": {"x-sluice-cluster": {"exact": "shop/b"}, "x-gateway-policy": {"exact": "1"}}}],
            "route": [{"destination": {"host": "b.example.com", "port": {"number": 8080}}}],
            "headers": {"request": {"remove": ["x-gateway-policy"]}},
            "timeout": "2.5s",
            "retries": {"attempts": 2, "perTryTimeout": "1s", "retryOn": "500,501,502,503,504,505,506,507,508,510,511"},
        })
    );
    let entry = &of_kind(&made, "ServiceEntry")[0]["spec"];
    let ports = json!([{"number": 8080, "name": "http2-8080", "protocol": "HTTP2"}]);
    assert_eq!(entry["hosts"], json!(["b.example.com"]));
    assert_eq!(entry["ports"], ports);
    notes_say(&made, "no idle timeout");
}

#[test]
fn higress_has_a_plugin_ingresses_and_a_bridge() {
    let made = made(Target::Higress, &model(Dialect::AppMesh, APP_MESH));
    let bridge = of_kind(&made, "McpBridge")[0];
    let registry = &bridge["spec"]["registries"][0];
    assert_eq!((&registry["type"], &registry["domain"]), (&json!("dns"), &json!("b.example.com")));
    let ingresses = of_kind(&made, "Ingress");
    let annotations = &ingresses[0]["metadata"]["annotations"];
    assert_eq!(annotations["higress.io/exact-match-header-x-sluice-cluster"], "shop/b");
    assert_eq!(annotations["higress.io/exact-match-header-x-gateway-policy"], "1");
    assert_eq!(annotations["higress.io/destination"], format!("{}.dns", registry["name"].as_str().unwrap()));
    assert_eq!(annotations["higress.io/timeout"], "3");
    // the order of names is that of the routes
    assert_eq!(ingresses[0]["metadata"]["name"], "shop-edge-0001");
    let backend = &ingresses[1]["spec"]["rules"][0]["http"]["paths"][0]["backend"];
    assert_eq!(*backend, json!({"service": {"name": "a", "port": {"number": 8080}}}));
    assert_eq!(ingresses[1]["metadata"]["namespace"], "other");
    notes_say(&made, "no retries on refused-stream");
    notes_say(&made, "listens on 80, not on 8088");
}

/// A model with all that manifests have no field of its own for.
fn full() -> Model {
    let mut model = model(Dialect::AppMesh, APP_MESH);
    let address = Cluster { host: "192.0.2.7".to_owned(), port: 9000, ..Cluster::default() };
    model.clusters.insert("copy".to_owned(), address);
    let table = &mut model.entries[0].tables[0];
    let mirror = header_router::MirrorConfig { cluster: "copy".to_owned(), share: 10_000 };
    table.router.services[0].rules[0].mirror = Some(mirror);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    table.edits.push(BackendEdits {
        rule: "shop/b/all".to_owned(),
        cluster: "shop/b".to_owned(),
        set: vec![pair("x-set", "100%")],
        add: vec![pair("x-add", "1")],
        remove: vec!["x-gone".to_owned()],
    });
    let certificate = sluice_convert::parts::certificate("certs", "edge");
    let socket = sluice_convert::parts::downstream_tls(&json!([certificate]));
    let listener = &mut model.entries[0].listeners[0];
    listener.port = 443;
    listener.tls = vec![sluice_convert::model::TlsChain { names: Vec::new(), socket }];
    model
}

#[test]
fn mirrors_edits_and_certificates_are_written() {
    let model = full();
    let eg = made(Target::EnvoyGateway, &model);
    let rule = &of_kind(&eg, "HTTPRoute")[0]["spec"]["rules"][0];
    let names: Vec<&str> = rule["matches"][0]["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| header["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["x-sluice-cluster", "x-sluice-route", "x-gateway-policy", "x-sluice-mirror"]);
    let edits = &rule["filters"][0]["requestHeaderModifier"];
    assert_eq!(edits["set"], json!([{"name": "x-set", "value": "100%"}]));
    assert_eq!(edits["remove"], json!(["x-gone", "x-gateway-policy"]));
    assert_eq!(rule["filters"][1]["type"], "RequestMirror");
    let tls =
        json!({"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": "edge", "namespace": "certs"}]});
    assert_eq!(of_kind(&eg, "Gateway")[0]["spec"]["listeners"][0]["tls"], tls);
    assert!(of_kind(&eg, "ReferenceGrant").iter().any(|grant| grant["spec"]["to"][0]["kind"] == "Secret"));
    let istio = made(Target::Istio, &model);
    assert_eq!(of_kind(&istio, "Gateway")[0]["spec"]["servers"][0]["tls"]["credentialName"], "edge");
    let route = &of_kind(&istio, "VirtualService")[0]["spec"]["http"][0];
    assert_eq!(route["headers"]["request"]["set"], json!({"x-set": "100%%"}));
    assert_eq!(route["mirrors"][0]["destination"]["port"]["number"], 9000);
    notes_say(&istio, "copy Secret certs/edge");
    let higress = made(Target::Higress, &model);
    notes_say(&higress, "copies to copy are not written");
    notes_say(&higress, "certificate of Secret certs/edge");
}

#[test]
fn policies_of_the_filter_have_routes() {
    let mut model = model(Dialect::AppMesh, APP_MESH);
    let table = &mut model.entries[0].tables[0];
    let retry = Retry { on: vec!["5xx".to_owned()], times: 1, ..Retry::default() };
    let policy = Policy { timeout_ms: Some(0), retry: Some(retry), ..Policy::default() };
    let mut rule = table.router.services[0].rules[0].clone();
    rule.name = "second".to_owned();
    table.router.services[0].rules.push(rule);
    table.policies.insert("shop/b/second".to_owned(), policy);
    let config = router_config(&model.entries[0].tables[0], &place());
    let made = made(Target::Istio, &model);
    let routes = of_kind(&made, "VirtualService")[0]["spec"]["http"].clone();
    for (at, timeout) in [(0, json!("2.5s")), (1, Value::Null)] {
        let set = &config["services"][0]["rules"][at]["request_headers"]["set"][0];
        assert_eq!(set["name"], "x-gateway-policy");
        let route = routes
            .as_array()
            .unwrap()
            .iter()
            .find(|route| route["match"][0]["headers"]["x-gateway-policy"]["exact"] == set["value"]);
        assert_eq!(route.unwrap()["timeout"], timeout);
    }
}

/// `shared/schemas/README.md` says how a CRD becomes a JSON schema.
fn strict(value: &mut Value) {
    let Value::Object(fields) = value else {
        if let Value::Array(items) = value {
            items.iter_mut().for_each(strict);
        }
        return;
    };
    let keeps = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    if fields.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        fields.insert("type".to_owned(), json!(["integer", "string"]));
    } else if fields.get("nullable") == Some(&json!(true)) {
        let kind = fields.get("type").cloned();
        fields.insert("type".to_owned(), json!([kind, "null"]));
    }
    if fields.get("properties").is_some_and(Value::is_object) && !keeps {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    fields.retain(|key, _| {
        !key.starts_with("x-kubernetes-") && !["format", "default", "nullable"].contains(&key.as_str())
    });
    for (key, value) in fields.iter_mut() {
        match key.as_str() {
            "properties" => value.as_object_mut().unwrap().values_mut().for_each(strict),
            _ => strict(value),
        }
    }
}

fn schemas(folder: &Path) -> HashMap<String, jsonschema::Validator> {
    let mut all = HashMap::new();
    for group in ["envoy-gateway", "istio", "higress", "gateway-api"] {
        for file in std::fs::read_dir(folder.join(group)).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let crd = parse_documents(&text, Scalars::Kubernetes).unwrap().remove(0).value.to_json();
            let spec = &crd["spec"];
            for version in spec["versions"].as_array().unwrap() {
                let api = format!("{}/{}", spec["group"].as_str().unwrap(), version["name"].as_str().unwrap());
                let kind = spec["names"]["kind"].as_str().unwrap();
                let mut schema = version["schema"]["openAPIV3Schema"].clone();
                strict(&mut schema);
                schema["properties"]["apiVersion"] = json!({"const": api});
                schema["properties"]["kind"] = json!({"const": kind});
                schema["properties"]["metadata"] = json!({"type": "object"});
                all.insert(format!("{api}/{kind}"), jsonschema::validator_for(&schema).unwrap());
            }
        }
    }
    all
}

#[test]
fn documents_fit_the_schemas_of_their_kinds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/schemas");
    if !folder.is_dir() {
        eprintln!("SKIPPED: documents_fit_the_schemas_of_their_kinds: no folder {}", folder.display());
        return;
    }
    let schemas = schemas(&folder);
    let mut seen = std::collections::BTreeSet::new();
    for target in TARGETS {
        for model in [model(Dialect::Ingress, INGRESS), model(Dialect::AppMesh, APP_MESH), full()] {
            for document in made(target, &model).documents {
                let key =
                    format!("{}/{}", document["apiVersion"].as_str().unwrap(), document["kind"].as_str().unwrap());
                let Some(schema) = schemas.get(&key) else {
                    assert_eq!(key, "networking.k8s.io/v1/Ingress");
                    continue;
                };
                let errors: Vec<String> =
                    schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
                assert!(errors.is_empty(), "{target:?} {errors:#?}\n{document:#}");
                seen.insert(key);
            }
        }
    }
    assert_eq!(seen.len(), 13, "{seen:#?}");
    let mut wrong = made(Target::Istio, &full()).documents.into_iter().find(|one| one["kind"] == "WasmPlugin").unwrap();
    wrong["spec"]["failStrategie"] = json!("FAIL_CLOSE");
    assert!(!schemas["extensions.istio.io/v1alpha1/WasmPlugin"].is_valid(&wrong), "a slip is seen");
}
