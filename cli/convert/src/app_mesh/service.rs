//! Virtual services, routers and their routes.

use super::gateway;
use super::gateway::priority;
use super::{arn_name, aws_name, conditions, duration, node};
use crate::convert::Converter;
use crate::model::{Policy, Retry, Source, Table};
use crate::parts::{answer_of, rule, short, target_of};
use crate::report::Section;
use crate::source::{Document, Field, id};
use header_router::{ServiceConfig, TargetConfig};
use std::collections::BTreeMap;

/// Where a target leads.
pub struct Found {
    /// The host that requests get.
    pub host: String,
    /// What decides further.
    pub goes: Goes,
}

/// A second table, a cluster or nothing.
pub enum Goes {
    /// A service by name; with its table the first time that a gateway asks.
    Service(String, Option<(ServiceConfig, BTreeMap<String, Policy>)>),
    /// A node.
    Cluster(String),
    /// Something that is not there.
    Nowhere,
}

/// What App Mesh did about retries and time limits when a route said nothing.
pub fn default_policy() -> Policy {
    let on = ["connect-failure", "refused-stream", "reset", "retriable-status-codes"];
    Policy {
        timeout_ms: Some(15_000),
        idle_ms: Some(300_000),
        retry: Some(Retry {
            on: on.iter().map(|event| (*event).to_owned()).collect(),
            statuses: vec![503],
            times: 2,
            per_try_ms: None,
            back_off_ms: None,
        }),
        body_limit: None,
    }
}

/// The name of a virtual service: what requests have as host.
fn host_of(service: &Document) -> String {
    aws_name(service).unwrap_or_else(|| format!("{}.{}", service.name, service.namespace))
}

/// What a GatewayRoute's target is.
pub fn resolve<'d>(converter: &mut Converter<'d>, route: &Document, target: &Field<'d>) -> Option<Found> {
    let virtual_service = target.get("virtualService")?;
    virtual_service.mark();
    let port = target.number_of("port").and_then(|port| u16::try_from(port).ok());
    if let Some(reference) = virtual_service.get("virtualServiceRef") {
        let name = reference.text_of("name").unwrap_or_default();
        let namespace = reference.text_of("namespace").unwrap_or_else(|| route.namespace.clone());
        if let Some(service) = converter.objects.find("VirtualService", &namespace, &name) {
            return Some(to_service(converter, service, port));
        }
        return Some(missing(
            converter,
            target,
            &id("VirtualService", &namespace, &name),
            format!("{name}.{namespace}"),
        ));
    }
    let given = virtual_service.text_of("virtualServiceARN");
    let is_arn = given.is_some();
    let name = given.or_else(|| virtual_service.text_of("virtualServiceName"))?;
    let name = if is_arn { arn_name(&name).to_owned() } else { name };
    let services = converter.objects.all("VirtualService").to_vec();
    let by_aws_name = services.iter().find(|service| host_of(service) == name);
    let by_name = || services.iter().find(|service| service.name == name && service.namespace == route.namespace);
    if let Some(service) = by_aws_name.or_else(by_name) {
        if !is_arn {
            converter.report.add(
                Section::Changed,
                &virtual_service,
                "`virtualServiceName` is no field of the CRD; taken as the service's name",
            );
        }
        return Some(to_service(converter, service, port));
    }
    // articles send traffic to the DNS name of a node that has no virtual service
    let nodes = converter.objects.all("VirtualNode").to_vec();
    let by_dns = nodes.iter().find(|node| {
        node.root().get("spec").and_then(|spec| spec.at("serviceDiscovery.dns")?.text_of("hostname")).as_deref()
            == Some(&name)
    });
    if let Some(found) = by_dns {
        let text = format!(
            "no VirtualService has the name {name}; {} has it as its DNS name and gets the requests. App Mesh would have waited for the service",
            found.id()
        );
        converter.report.add(Section::Changed, &virtual_service, text);
        let goes = match node::cluster(converter, found, port, &virtual_service) {
            Some(cluster) => Goes::Cluster(cluster),
            None => Goes::Nowhere,
        };
        return Some(Found { host: name, goes });
    }
    Some(missing(converter, target, &format!("VirtualService {name}"), name.clone()))
}

fn missing(converter: &mut Converter<'_>, target: &Field<'_>, what: &str, host: String) -> Found {
    let text = format!("{what} is not among the documents: requests are answered with 503");
    converter.report.add(Section::NeedsADecision, target, text);
    Found { host, goes: Goes::Nowhere }
}

fn to_service<'d>(converter: &mut Converter<'d>, service: &'d Document, port: Option<u16>) -> Found {
    converter.used.insert(service.id());
    let host = host_of(service);
    let goes = match provider(converter, service) {
        Provider::Router(router) => {
            let routers_port = port.or_else(|| only_port(router));
            let suffix = port.map(|port| format!(":{port}")).unwrap_or_default();
            let name = short(&format!("{}/{}{suffix}", service.namespace, service.name));
            let (rules, policies) = routes(converter, router, &name, "", routers_port);
            let config = ServiceConfig { name: name.clone(), host: String::new(), rules, no_rule_status: 404 };
            Goes::Service(name, Some((config, policies)))
        }
        Provider::Node(node, field) => match node::cluster(converter, node, port, &field) {
            Some(cluster) => Goes::Cluster(cluster),
            None => Goes::Nowhere,
        },
        Provider::None => Goes::Nowhere,
    };
    Found { host, goes }
}

enum Provider<'d> {
    Router(&'d Document),
    Node(&'d Document, Field<'d>),
    None,
}

fn provider<'d>(converter: &mut Converter<'d>, service: &'d Document) -> Provider<'d> {
    let Some(spec) = service.root().get("spec") else { return Provider::None };
    aws_name(service);
    let Some(provider) = spec.get("provider") else {
        let text = "no provider: requests are answered with 503";
        converter.report.object(Section::NeedsADecision, service, text);
        return Provider::None;
    };
    for (kind, field) in [("VirtualRouter", "virtualRouter"), ("VirtualNode", "virtualNode")] {
        let Some(of) = provider.get(field) else { continue };
        match reference(converter, service, &of, kind) {
            Some(found) if kind == "VirtualRouter" => return Provider::Router(found),
            Some(found) => return Provider::Node(found, of),
            None => return Provider::None,
        }
    }
    Provider::None
}

/// What `virtualNodeRef`, `virtualNodeARN` and their like for routers name.
pub fn reference<'d>(
    converter: &mut Converter<'d>,
    from: &Document,
    of: &Field<'d>,
    kind: &str,
) -> Option<&'d Document> {
    let (by_ref, by_arn) = if kind == "VirtualNode" {
        ("virtualNodeRef", "virtualNodeARN")
    } else {
        ("virtualRouterRef", "virtualRouterARN")
    };
    let found = if let Some(reference) = of.get(by_ref) {
        reference.mark();
        let name = reference.text_of("name").unwrap_or_default();
        let namespace = reference.text_of("namespace").unwrap_or_else(|| from.namespace.clone());
        converter.objects.find(kind, &namespace, &name).ok_or_else(|| id(kind, &namespace, &name))
    } else if let Some(arn) = of.text_of(by_arn) {
        let name = arn_name(&arn);
        let named = |document: &&&Document| {
            aws_name(document).unwrap_or_else(|| format!("{}_{}", document.name, document.namespace)) == name
        };
        converter.objects.all(kind).iter().find(named).copied().ok_or_else(|| format!("{kind} {name}"))
    } else {
        converter.mistakes.push(of.mistake(format!("expected {by_ref:?} or {by_arn:?}")));
        return None;
    };
    match found {
        Ok(document) => {
            converter.used.insert(document.id());
            Some(document)
        }
        Err(what) => {
            let text = format!("{what} is not among the documents: its share is answered with 503");
            converter.report.add(Section::NeedsADecision, of, text);
            None
        }
    }
}

/// The port of a router with one listener.
fn only_port(router: &Document) -> Option<u16> {
    let listeners = router.root().get("spec")?.list("listeners");
    let [listener] = listeners.as_slice() else { return None };
    listener.get("portMapping")?.number_of("port").and_then(|port| u16::try_from(port).ok())
}

/// The table of a virtual service by itself, for requests from within.
fn table_of<'d>(converter: &mut Converter<'d>, service: &'d Document) -> Option<Table> {
    let mut made = gateway::table();
    match provider(converter, service) {
        Provider::Router(router) => {
            let (rules, policies) = routes(converter, router, "", &service.id(), only_port(router));
            made.router.rules = rules;
            made.policies = policies;
        }
        Provider::Node(node, field) => {
            let cluster = node::cluster(converter, node, None, &field)?;
            let mut all = rule("all");
            all.targets.push(target_of(cluster));
            let source = Source::of(&field);
            converter.add_rule(&mut made.router.rules, all, source, Some(&service.id()));
        }
        Provider::None => return None,
    }
    Some(made)
}

/// As [`table_of`], with a line in the report.
pub fn table<'d>(converter: &mut Converter<'d>, service: &'d Document) -> Option<Table> {
    converter.used.insert(service.id());
    converter.report.object(Section::Kept, service, "virtual service");
    table_of(converter, service)
}

/// Routes of a router, its own and stand-alone ones, as rules of the service `name`, or of `entry` for requests from within.
fn routes<'d>(
    converter: &mut Converter<'d>,
    router: &'d Document,
    name: &str,
    entry: &str,
    port: Option<u16>,
) -> (Vec<header_router::RuleConfig>, BTreeMap<String, Policy>) {
    let (mut rules, mut policies) = (Vec::new(), BTreeMap::new());
    converter.used.insert(router.id());
    aws_name(router);
    let Some(spec) = router.root().get("spec") else { return (rules, policies) };
    for listener in spec.list("listeners") {
        listener.mark();
    }
    converter.report.object(Section::Kept, router, "table of a virtual service");
    let mut found: Vec<(String, &'d Document, Field<'d>)> = Vec::new();
    for route in spec.list("routes") {
        found.push((route.text_of("name").unwrap_or_default(), router, route));
    }
    for document in converter.objects.all("Route").to_vec() {
        let Some(of) = document.root().get("spec") else { continue };
        let reference = of.get("virtualRouterRef");
        let (by_name, by_alias) =
            (reference.as_ref().and_then(|reference| reference.text_of("name")), of.text_of("virtualRouterName"));
        let namespace = reference.and_then(|reference| reference.text_of("namespace"));
        let namespace = namespace.unwrap_or_else(|| document.namespace.clone());
        if by_name.or(by_alias).as_deref() == Some(&router.name) && namespace == router.namespace {
            let name = aws_name(document).unwrap_or_else(|| document.name.clone());
            if converter.used.insert(document.id()) {
                let text = "`kind: Route` is not in the CRDs; taken as an entry of its router's `routes`";
                converter.report.object(Section::Changed, document, text);
            }
            found.push((name, document, of));
        }
    }
    for (route_name, document, route) in found {
        let kinds = ["httpRoute", "http2Route", "grpcRoute"];
        if let Some(tcp) = route.get("tcpRoute") {
            tcp.mark();
            route.get("priority").iter().for_each(Field::mark);
            let text = format!("tcpRoute {route_name}: connections without HTTP do not pass an HTTP gateway");
            converter.report.add(Section::NotSupported, &tcp, text);
            continue;
        }
        let Some((kind, http)) = kinds.iter().find_map(|kind| Some((*kind, route.get(kind)?))) else {
            let why = "expected one of \"httpRoute\", \"http2Route\", \"grpcRoute\" and \"tcpRoute\"";
            converter.mistakes.push(route.mistake(why));
            continue;
        };
        let mut matched = conditions::conditions(converter, &http, kind == "grpcRoute");
        // the port is the router's listener, and which one is asked is known already
        if let Some(asked) = port
            && let Some(wanted) = matched.ports.pop()
            && wanted != asked
        {
            http.mark();
            route.get("priority").iter().for_each(Field::mark);
            continue;
        }
        // a gateway's connection comes to a port of the gateway; a request from within to one of the service
        if !name.is_empty() {
            matched.ports.clear();
        }
        let mut made = rule(&short(&route_name));
        priority(converter, &route, &mut made);
        for target in http.get("action").map(|action| action.list("weightedTargets")).unwrap_or_default() {
            let weight = target.number_of("weight").and_then(|weight| u32::try_from(weight).ok()).unwrap_or(0);
            let port = target.number_of("port").and_then(|port| u16::try_from(port).ok());
            let node = reference(converter, document, &target, "VirtualNode");
            let cluster = node.and_then(|node| node::cluster(converter, node, port, &target));
            let status = cluster.is_none().then_some(503);
            made.targets.push(TargetConfig { cluster, status, weight, host: None });
        }
        if made.targets.iter().all(|target| target.weight == 0) {
            let text = "all weights are 0: requests are answered with 503";
            converter.report.add(Section::NeedsADecision, &http, text);
            made.targets = vec![answer_of(503)];
        }
        if matched != Default::default() {
            made.r#match = Some(matched);
        }
        let policy = policy(converter, &http);
        let full = if name.is_empty() { made.name.clone() } else { format!("{name}/{}", made.name) };
        if policy != default_policy() {
            policies.insert(full, policy);
        }
        let source = Source::of(&route);
        let scope = if name.is_empty() { entry } else { name };
        converter.add_rule(&mut rules, made, source, Some(scope));
    }
    (rules, policies)
}

/// `retryPolicy` and `timeout` of a route.
fn policy(converter: &mut Converter<'_>, route: &Field<'_>) -> Policy {
    let mut policy = default_policy();
    if let Some(timeout) = route.get("timeout") {
        if let Some(request) = timeout.get("perRequest") {
            policy.timeout_ms = duration(&request);
        }
        if let Some(idle) = timeout.get("idle") {
            policy.idle_ms = duration(&idle);
        }
    } else {
        let text = "no timeout: 15 s for a request, 300 s of silence";
        converter.report.add(Section::AppliedDefaults, route, text);
    }
    let Some(retry) = route.get("retryPolicy") else {
        let text = "no retryPolicy: two retries on 503, connection failures, refused and reset streams";
        converter.report.add(Section::AppliedDefaults, route, text);
        return policy;
    };
    let mut made = Retry {
        times: retry.number_of("maxRetries").and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        ..Retry::default()
    };
    made.per_try_ms = retry.get("perRetryTimeout").and_then(|timeout| duration(&timeout)).filter(|ms| *ms > 0);
    for list in ["httpRetryEvents", "tcpRetryEvents", "grpcRetryEvents"] {
        for event in retry.list(list) {
            match event.text().unwrap_or_default().as_str() {
                "server-error" => made.statuses.extend([500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511]),
                "gateway-error" => made.statuses.extend([502, 503, 504]),
                "client-error" => made.on.push("retriable-4xx".to_owned()),
                "stream-error" => made.on.push("refused-stream".to_owned()),
                "connection-error" => made.on.push("connect-failure".to_owned()),
                grpc @ ("cancelled" | "deadline-exceeded" | "internal" | "resource-exhausted" | "unavailable") => {
                    made.on.push(grpc.to_owned());
                }
                other => {
                    let why = format!("expected an event of App Mesh, found {other:?}");
                    converter.mistakes.push(event.mistake(why));
                }
            }
        }
    }
    made.statuses.sort_unstable();
    made.statuses.dedup();
    if !made.statuses.is_empty() {
        made.on.push("retriable-status-codes".to_owned());
    }
    made.on.sort();
    made.on.dedup();
    policy.retry = (made.times > 0 && !made.on.is_empty()).then_some(made);
    policy
}
