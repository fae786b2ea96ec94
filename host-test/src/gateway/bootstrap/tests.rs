//! Whole files: what is read, and how the rest is refused.

use std::time::Duration;

use super::*;

const GOOD: &str = r#"
node: {id: node-1, cluster: cluster-1}
admin:
  address: {socket_address: {address: 127.0.0.1, port_value: 9901}}
stats_config:
  stats_tags:
  - {tag_name: rule, regex: '(\.rule\.(.+?))\.'}
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 10000}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - name: chosen
                match: {prefix: /, headers: [{name: X-Cluster, present_match: true}]}
                route: {cluster_header: X-Cluster, timeout: 2s}
              - match: {path: /a}
                route:
                  weighted_clusters: {clusters: [{name: one, weight: 1}, {name: two, weight: 3}]}
              - match: {path_separated_prefix: /b}
                route: {cluster: one, prefix_rewrite: /, host_rewrite_literal: h}
              - match: {safe_regex: {regex: "/c[0-9]+"}}
                direct_response: {status: 404, body: {inline_string: nothing}}
          http_filters:
          - name: router-filter
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: hr
                failure_policy: FAIL_RELOAD
                reload_config: {backoff: {base_interval: 0.1s, max_interval: 1s}}
                configuration:
                  "@type": type.googleapis.com/google.protobuf.Struct
                  value: {b: [1, 0.5], a: yes}
                vm_config:
                  vm_id: v
                  runtime: envoy.wasm.runtime.v8
                  code: {local: {filename: dist/header-router.wasm}}
                  environment_variables: {key_values: {A: b}}
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: one
    connect_timeout: 0.25s
    load_assignment:
      cluster_name: one
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]
  - name: two
    type: STRICT_DNS
    load_assignment:
      cluster_name: two
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: localhost, port_value: 2}}}}]}]
"#;

#[test]
fn a_whole_file_is_read() {
    let bootstrap = parse(GOOD).unwrap();
    assert_eq!((bootstrap.node_id.as_str(), bootstrap.node_cluster.as_str()), ("node-1", "cluster-1"));
    assert_eq!(bootstrap.admin.unwrap().to_string(), "127.0.0.1:9901");
    assert_eq!(bootstrap.clusters.len(), 2);
    assert_eq!(bootstrap.clusters[0].connect_timeout, Duration::from_millis(250));
    assert_eq!(bootstrap.clusters[1].endpoints, [Endpoint { host: "localhost".into(), port: 2 }]);
    let http = &bootstrap.listeners[0].http;
    let [filter] = http.filters.as_slice() else { panic!() };
    // The serialized Struct: "b" first, as in the file, and 0.5 as a string, as Envoy's YAML loader has it.
    assert!(filter.configuration.starts_with(b"\x0a\x19\x0a\x01b"), "{:?}", filter.configuration);
    assert!(filter.configuration.windows(5).any(|window| window == b"\x1a\x030.5"));
    assert_eq!(
        filter.when_failed,
        WhenFailed::FailReload(Reload { base: Duration::from_millis(100), max: Duration::from_secs(1) })
    );
    let routes = &http.routes.hosts[0].routes;
    assert!(matches!(&routes[0].action, Action::Proxy(Proxy { cluster: ClusterChoice::FromHeader(name), timeout, .. })
        if name == "x-cluster" && *timeout == Duration::from_secs(2)));
    assert!(matches!(&routes[1].action, Action::Proxy(Proxy { cluster: ClusterChoice::Weighted(split), timeout, .. })
        if split.total == 4 && *timeout == Duration::from_secs(15)));
    assert!(matches!(&routes[3].action, Action::Respond { status: 404, body } if body == "nothing"));
}

#[test]
fn a_cluster_says_which_http_it_speaks() {
    let options = |protocol: &str| {
        let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        format!("{{{name}: {{\"@type\": type.googleapis.com/{name}, explicit_http_config: {{{protocol}: {{}}}}}}}}")
    };
    for (line, http2) in [
        (format!("typed_extension_protocol_options: {}", options("http2_protocol_options")), true),
        (format!("typed_extension_protocol_options: {}", options("http_protocol_options")), false),
        ("http2_protocol_options: {}".to_owned(), true),
    ] {
        let file = GOOD.replace("    connect_timeout: 0.25s", &format!("    {line}"));
        assert_eq!(parse(&file).unwrap().clusters[0].http2, http2, "{line}");
    }
    assert!(!parse(GOOD).unwrap().clusters[0].http2);
}

/// Puts `new` for `old` in the good file and returns the error's text.
fn refused(old: &str, new: &str) -> String {
    assert_eq!(GOOD.matches(old).count(), 1, "{old:?} must stand in the file once");
    match parse(&GOOD.replace(old, new)) {
        Ok(_) => panic!("accepted: {new}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn everything_else_is_refused_with_its_path() {
    let manager = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
    let route = format!("{manager}.route_config.virtual_hosts[0].routes");
    for (old, new, at, words) in [
        ("node:", "layered_runtime: {layers: [{name: a, rtds_layer: {}}]}\nnode:", "layered_runtime.layers[0].rtds_layer".to_owned(), "not served"),
        ("    connect_timeout: 0.25s", "    transport_socket: {name: raw, typed_config: {\"@type\": x/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}", "static_resources.clusters[0].transport_socket.typed_config.@type".into(), "not served"),
        ("    connect_timeout: 0.25s", "    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {\"@type\": x/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}, http_filters: []}}", "static_resources.clusters[0].typed_extension_protocol_options.envoy.extensions.upstreams.http.v3.HttpProtocolOptions.http_filters".into(), "not served"),
        ("    connect_timeout: 0.25s", "    conect_timeout: 1s", "static_resources.clusters[0].conect_timeout".into(), "did you mean `connect_timeout`"),
        ("    connect_timeout: 0.25s", "    connect_timeout: 250ms", "static_resources.clusters[0].connect_timeout".into(), "expected a duration"),
        ("    connect_timeout: 0.25s", "    lb_policy: MAGLEV", "static_resources.clusters[0].lb_policy".into(), "not served"),
        ("    type: STRICT_DNS\n", "", "static_resources.clusters[1].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address".into(), "not an IP address"),
        ("    type: STRICT_DNS", "    type: EDS", "static_resources.clusters[1].type".into(), "not served"),
        ("name: two\n    type", "name: one\n    type", "static_resources.clusters[1].name".into(), "second cluster"),
        ("stat_prefix: ingress", "stat_prefix: ingress\n          internal_address_config: {}", format!("{manager}.internal_address_config"), "not served"),
        ("stat_prefix: ingress", "stat_prefix: ingress\n          path_with_escaped_slashes_action: REJECT_REQUEST", format!("{manager}.path_with_escaped_slashes_action"), "not served"),
        ("stat_prefix: ingress", "stat_prefix: ingress\n          strip_any_host_port: true\n          strip_matching_host_port: true", manager.to_owned(), "stands beside"),
        ("stat_prefix: ingress", "stat_prefix: [1]", format!("{manager}.stat_prefix"), "expected a string"),
        ("route: {cluster: one, ", "route: {cluster: oen, ", format!("{route}[2].route.cluster"), "did you mean `one`"),
        ("route: {cluster: one, ", "route: {cluster: one, cluster_header: x, ", format!("{route}[2].route.cluster_header"), "only one of them"),
        ("route: {cluster: one, ", "route: {cluster: one, retry_policy: {retry_on: \"5xx,foo\"}, ", format!("{route}[2].route.retry_policy.retry_on"), "`foo` is not served"),
        ("route: {cluster: one, ", "route: {cluster: one, retry_policy: {retry_back_off: {base_interval: 2s, max_interval: 1s}}, ", format!("{route}[2].route.retry_policy.retry_back_off.max_interval"), "must not be shorter"),
        ("route: {cluster: one, ", "route: {cluster: one, request_mirror_policies: [{cluster: tow}], ", format!("{route}[2].route.request_mirror_policies[0].cluster"), "did you mean `two`"),
        ("weight: 1}, {name: two, weight: 3}", "weight: 0}, {name: two, weight: 0}", format!("{route}[1].route.weighted_clusters"), "sum of the weights"),
        ("{regex: \"/c[0-9]+\"}", "{regex: \"/c[\"}", format!("{route}[3].match.safe_regex.regex"), "not a regular expression"),
        ("direct_response: {status: 404, body: {inline_string: nothing}}", "redirect: {https_redirect: true, scheme_redirect: https}", format!("{route}[3].redirect.https_redirect"), "only one of them"),
        ("direct_response: {status: 404, body: {inline_string: nothing}}", "redirect: {path_redirect: /a, prefix_rewrite: /b}", format!("{route}[3].redirect.path_redirect"), "only one of them"),
        ("direct_response: {status: 404, body: {inline_string: nothing}}", "direct_response: {status: 404}\n                typed_per_filter_config: {}", format!("{route}[3].typed_per_filter_config"), "not served"),
        ("prefix_rewrite: /, ", "prefix_rewrite: /, regex_rewrite: {pattern: {regex: a}, substitution: b}, ", format!("{route}[2].route.regex_rewrite"), "only one of them"),
        ("prefix_rewrite: /, ", "regex_rewrite: {pattern: {regex: (a)}, substitution: '\\2'}, ", format!("{route}[2].route.regex_rewrite.substitution"), "no such group"),
        ("              - match: {path: /a}\n", "              - match: {path: /a}\n                request_headers_to_add: [{header: {key: host, value: x}}]\n", format!("{route}[1].request_headers_to_add[0].header.key"), "neither set nor removed"),
        ("              - match: {path: /a}\n", "              - match: {path: /a}\n                response_headers_to_add: [{header: {key: a, value: '%PROTOCOL%'}}]\n", format!("{route}[1].response_headers_to_add[0].header.value"), "an operator"),
        ("match: {path: /a}", "match: {path: /a, query_parameters: [{name: a, present_match: true, string_match: {exact: b}}]}", format!("{route}[1].match.query_parameters[0].present_match"), "only one of them"),
        ("status: 404, body", "status: 700, body", format!("{route}[3].direct_response.status"), "from 0 to 599"),
        ("[\"*\"]", "[\"*\", \"*\"]", format!("{manager}.route_config.virtual_hosts[0].domains[1]"), "stands twice"),
        ("failure_policy: FAIL_RELOAD", "fail_open: true", format!("{manager}.http_filters[0].typed_config.config.fail_open"), "not served"),
        ("failure_policy: FAIL_RELOAD", "failure_policy: FAIL_SOMEHOW", format!("{manager}.http_filters[0].typed_config.config.failure_policy"), "not served"),
        ("google.protobuf.Struct", "google.protobuf.BytesValue", format!("{manager}.http_filters[0].typed_config.config.configuration.@type"), "not served"),
        ("{A: b}", "{A: 1}", format!("{manager}.http_filters[0].typed_config.config.vm_config.environment_variables.key_values.A"), "expected a string"),
        ("regex: '(\\.rule\\.(.+?))\\.'", "regex: 'abc'", "stats_config.stats_tags[0].regex".into(), "needs a group"),
    ] {
        let error = refused(old, new);
        let expected = format!(" {at}: ");
        assert!(error.contains(&expected) && error.contains(words), "{new}:\n{error}\nwanted{expected}... {words}");
        assert!(error.split(':').take(2).all(|part| part.parse::<usize>().is_ok_and(|n| n > 0)), "no place: {error}");
    }
}

#[test]
fn the_advice_names_the_file() {
    let error = parse("static_resources: {}\ndynamic_resources: {}\n").unwrap_err().in_file(Path::new("x.yaml"));
    assert_eq!(
        error.to_string(),
        "x.yaml:2:1: dynamic_resources: not served by the embedded gateway; run this file on Envoy: envoy -c x.yaml"
    );
}

#[test]
fn the_router_must_come_last() {
    let error = refused(
        "          - name: envoy.filters.http.router\n            typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}\n",
        "",
    );
    assert!(error.contains("http_filters: the last filter must be"), "{error}");
}

#[test]
fn a_retry_policy_is_the_routes_own_or_its_hosts() {
    let file = GOOD
        .replace("domains: [\"*\"]", "domains: [\"*\"]\n              retry_policy: {retry_on: '5xx, reset', num_retries: 3, retriable_status_codes: [418]}")
        .replace("route: {cluster: one, ", "route: {cluster: one, retry_policy: {}, ");
    let bootstrap = parse(&file).unwrap();
    let routes = &bootstrap.listeners[0].http.routes.hosts[0].routes;
    let retry = |index: usize| match &routes[index].action {
        Action::Proxy(proxy) => proxy.retry.clone().unwrap(),
        _ => panic!(),
    };
    let inherited = retry(0);
    assert_eq!((inherited.retries, inherited.statuses.as_slice()), (3, &[418][..]));
    assert_eq!(inherited.on, RetryOn::SERVER_ERROR.and(RetryOn::RESET));
    assert_eq!((retry(2).on, retry(2).retries), (RetryOn::NEVER, 1));
}

#[test]
fn what_is_not_imitated_is_noted_with_its_path() {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let tls = |kind: &str| {
        let name = format!("envoy.extensions.transport_sockets.tls.v3.{kind}");
        format!("transport_socket: {{name: tls, typed_config: {{\"@type\": x/{name}, common_tls_context: {{}}}}}}")
    };
    let inspector = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
    let cluster = [
        "    lb_policy: LEAST_REQUEST".to_owned(),
        "    health_checks: [{timeout: 1s, interval: 1s}]".to_owned(),
        "    outlier_detection: {}".to_owned(),
        "    circuit_breakers: {thresholds: [{max_connections: 1}]}".to_owned(),
        "    ignore_health_on_host_removal: true".to_owned(),
        "    common_lb_config: {healthy_panic_threshold: {value: 0}}".to_owned(),
        "    respect_dns_ttl: true".to_owned(),
        "    upstream_connection_options: {tcp_keepalive: {}}".to_owned(),
        format!("    {}", tls("UpstreamTlsContext")),
        format!(
            "    typed_extension_protocol_options: {{{options}: {{\"@type\": x/{options}, common_http_protocol_options: {{idle_timeout: 1s}}, explicit_http_config: {{http2_protocol_options: {{max_concurrent_streams: 1}}}}}}}}"
        ),
    ];
    let manager = [
        "          codec_type: HTTP2",
        "          common_http_protocol_options: {idle_timeout: 1s}",
        "          http2_protocol_options: {}",
        "          path_with_escaped_slashes_action: KEEP_UNCHANGED",
        "          request_timeout: 1s",
        "          upgrade_configs: [{upgrade_type: websocket}]",
        "          xff_num_trusted_hops: 1",
        "          strip_matching_host_port: true",
    ];
    let chain = format!(
        "    - {}\n      filter_chain_match: {{server_names: [a.test]}}\n      filters:\n",
        tls("DownstreamTlsContext")
    );
    let file = GOOD
        .replace("    - filters:\n", &chain)
        .replace(
            "    filter_chains:",
            &format!(
                "    listener_filters: [{{name: i, typed_config: {{\"@type\": x/{inspector}}}}}]\n    filter_chains:"
            ),
        )
        .replace("    connect_timeout: 0.25s", &cluster.join("\n"))
        .replace("          stat_prefix: ingress", &format!("          stat_prefix: ingress\n{}", manager.join("\n")))
        .replace("node:", "overload_manager: {}\nlayered_runtime: {layers: [{name: a, static_layer: {a: 1}}]}\nnode:");
    let bootstrap = parse(&file).unwrap();
    assert!(parse(GOOD).unwrap().notes.is_empty());
    let protocol = format!("clusters[0].typed_extension_protocol_options.{options}");
    let expected = [
        "clusters[0].lb_policy",
        "clusters[0].health_checks",
        "clusters[0].ignore_health_on_host_removal",
        "clusters[0].outlier_detection",
        "clusters[0].circuit_breakers",
        "clusters[0].common_lb_config",
        "clusters[0].respect_dns_ttl",
        "clusters[0].upstream_connection_options",
        &format!("{protocol}.common_http_protocol_options"),
        &format!("{protocol}.explicit_http_config.http2_protocol_options"),
        "clusters[0].transport_socket",
        "listeners[0].filter_chains[0].filters[0].typed_config.codec_type",
        "listeners[0].filter_chains[0].filters[0].typed_config.common_http_protocol_options",
        "listeners[0].filter_chains[0].filters[0].typed_config.http2_protocol_options",
        "listeners[0].filter_chains[0].filters[0].typed_config.request_timeout",
        "listeners[0].filter_chains[0].filters[0].typed_config.upgrade_configs",
        "listeners[0].filter_chains[0].transport_socket",
        "listeners[0].filter_chains[0].filter_chain_match.server_names",
        "listeners[0].listener_filters[0]",
        "overload_manager",
        "layered_runtime.layers[0].static_layer",
    ];
    let seen: Vec<_> =
        bootstrap.notes.iter().map(|note| note.at.strip_prefix("static_resources.").unwrap_or(&note.at)).collect();
    assert_eq!(seen, expected);
    assert!(bootstrap.clusters[0].tls && bootstrap.clusters[0].http2 && !bootstrap.clusters[1].tls);
    let http = &bootstrap.listeners[0].http;
    assert_eq!((http.scheme, http.xff_num_trusted_hops, http.strip_port), ("https", 1, StripPort::Matching));
    assert_eq!(
        bootstrap.notes[1].to_string(),
        "static_resources.clusters[0].health_checks: not imitated: endpoints count as healthy"
    );
}

#[test]
fn of_filter_chains_with_the_same_filters_the_first_serves() {
    let chain = |name: &str, prefix: &str| {
        format!(
            "    - filter_chain_match: {{server_names: [{name}]}}\n      filters:\n      - name: hcm\n        typed_config:\n          \"@type\": \
             x/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n          stat_prefix: {prefix}\n          \
             route_config: {{}}\n          http_filters: [{{name: r, typed_config: {{\"@type\": \
             x/envoy.extensions.filters.http.router.v3.Router}}}}]\n"
        )
    };
    let file = |chains: &[String]| {
        let address = "{socket_address: {address: 127.0.0.1, port_value: 0}}";
        format!("static_resources:\n  listeners:\n  - address: {address}\n    filter_chains:\n{}", chains.concat())
    };
    let same = parse(&file(&[chain("a.test", "one"), chain("b.test", "one")])).unwrap();
    let notes: Vec<_> = same.notes.iter().map(ToString::to_string).collect();
    let wanted =
        "static_resources.listeners[0].filter_chains[1]: not imitated: the first filter chain serves every connection";
    assert!(notes.iter().any(|note| note == wanted), "{notes:?}");
    let error = parse(&file(&[chain("a.test", "one"), chain("b.test", "two")])).unwrap_err().to_string();
    assert!(error.contains("filter_chains[1]: other filters than those of the first"), "{error}");
    assert!(parse(&file(&[])).is_err());
}
