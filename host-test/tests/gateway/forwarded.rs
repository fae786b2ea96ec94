//! Who the client is and how it came, and what a file asks for that is not imitated.

use super::support::*;

#[test]
fn the_peer_is_the_client_where_its_address_is_asked_for() {
    let upstream = Upstream::echo("up");
    let mut setup = Setup::to(&upstream).probe("a", "");
    setup.manager = "          use_remote_address: true\n          strip_any_host_port: true\n".into();
    let gateway = setup.start();
    let headers = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "own"),
        ("x-envoy-original-path", "/zz"),
        ("x-forwarded-client-cert", "c"),
        ("x-probe-a", "rh: prop source.address"),
    ];
    let request = get("/", &headers).replace("host: a.test", "host: a.test:8080");
    let seen = gateway.ask(request).text();
    let header = |name: &str| seen.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    assert_eq!(header("x-forwarded-for"), Some("1.2.3.4,127.0.0.1"), "{seen}");
    assert_eq!((header("x-forwarded-proto"), header("x-envoy-external-address")), (Some("http"), Some("127.0.0.1")));
    assert_eq!(
        (header("host"), header("x-envoy-original-path"), header("x-forwarded-client-cert")),
        (Some("a.test"), None, None)
    );
    assert_ne!(header("x-request-id"), Some("own"));
    assert!(gateway.logged("127.0.0.1:"), "{}", gateway.log());
}

#[test]
fn where_envoy_serves_tls_requests_come_as_if_by_it() {
    let upstream = Upstream::echo("up");
    let mut setup = Setup::to(&upstream).route("match: {path: /to}, redirect: {path_redirect: /}");
    setup.routes.reverse();
    setup.chain = "      transport_socket: {name: tls, typed_config: {\"@type\": x/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext}}\n".into();
    let gateway = setup.start();
    let seen = gateway.get("/", &[]).text();
    assert!(seen.contains("x-forwarded-proto: https\n"), "{seen}");
    assert_eq!(gateway.get("/to", &[]).header("location").as_deref(), Some("https://a.test/"));
    let note = "[warning] static_resources.listeners[0].filter_chains[0].transport_socket: not imitated: TLS is not served: plain HTTP on this port, scheme https";
    assert_eq!(gateway.log().matches(note).count(), 1, "{}", gateway.log());
}

#[test]
fn what_would_need_tls_to_an_upstream_is_answered_503() {
    let setup = Setup {
        cluster_lines: "    transport_socket: {name: tls, typed_config: {\"@type\": x/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: a.test}}\n".into(),
        ..Setup::to(&Upstream::echo("up"))
    };
    let gateway = setup.start();
    let answer = gateway.get("/", &[]);
    assert_eq!((answer.status(), answer.text().as_str()), (503, "upstream TLS is not served by the embedded gateway"));
    assert!(gateway.logged("static_resources.clusters[0].transport_socket: not imitated: "));
}
