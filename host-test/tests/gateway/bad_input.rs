//! What strangers send: refused as Envoy refuses it, or passed on as it is; never a hang, and the gateway goes on.

use super::support::*;

#[test]
fn malformed_requests_are_refused_and_the_connection_closed() {
    let gateway = Setup::default().route("match: {prefix: /}, direct_response: {status: 200}").probe("a", "").start();
    let head = |lines: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n").into_bytes();
    let post = |lines: &str, body: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n{body}").into_bytes();
    let many = |count: usize| head(&(0..count).map(|i| format!("x-{i}: 1\r\n")).collect::<String>());
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("not HTTP", b"\x00\x01\x02\r\n\r\n".to_vec(), 400),
        ("HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n".to_vec(), 426),
        ("HTTP/3.0", b"GET / HTTP/3.0\r\nhost: a\r\n\r\n".to_vec(), 400),
        ("no host", b"GET / HTTP/1.1\r\n\r\n".to_vec(), 400),
        ("unknown method", b"FROB / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 400),
        ("bad method", b"G(T / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 400),
        ("raw byte in path", b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 400),
        ("UTF-8 in path", b"GET /\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 400),
        ("raw byte in query", b"GET /?\xff HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 400),
        ("space in path", b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 400),
        ("path without slash", b"GET abc HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 400),
        ("star", b"GET * HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 400),
        ("tunnel", b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n".to_vec(), 404),
        ("upgrade", head("connection: upgrade\r\nupgrade: websocket\r\n"), 403),
        ("space in name", head("x y: 1\r\n"), 400),
        ("raw byte in name", b"GET / HTTP/1.1\r\nhost: a\r\nx\xff: 1\r\n\r\n".to_vec(), 400),
        ("no colon", head("xy\r\n"), 400),
        ("NUL in value", head("x: a\0b\r\n"), 400),
        ("control byte in value", head("x: a\x01b\r\n"), 400),
        ("101 headers", many(100), 431),
        ("1024 headers", many(1023), 431),
        ("large head", head(&format!("x: {}\r\n", "a".repeat(62_000))), 431),
        ("larger head", head(&format!("x: {}\r\n", "a".repeat(2_000_000))), 431),
        ("two lengths", post("content-length: 3\r\ncontent-length: 4\r\n", "abcd"), 400),
        ("bad length", post("content-length: x\r\n", ""), 400),
        ("negative length", post("content-length: -1\r\n", ""), 400),
        ("unknown encoding", post("transfer-encoding: gzip\r\n", ""), 400),
        ("an encoding twice", post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"), 501),
        ("raw byte in host", b"GET / HTTP/1.1\r\nhost: \xff\r\n\r\n".to_vec(), 400),
        ("path and blank in host", b"GET / HTTP/1.1\r\nhost: a/b c\r\n\r\n".to_vec(), 400),
        ("host nominated", head("connection: host\r\n"), 400),
        ("two encodings", post("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501),
    ];
    for (name, request, status) in cases {
        let mut client = gateway.connect();
        // The gateway may have closed before the last byte is sent.
        client.try_send(&request);
        let answer = client.response();
        assert_eq!(answer.status(), status, "{name}: {}", answer.head);
        assert_eq!(answer.header("connection").as_deref(), Some("close"), "{name}");
        assert!(client.ended(), "{name}");
    }
    assert_eq!(gateway.get("/", &[]).status(), 200);
}

#[test]
fn a_body_with_bad_chunks_is_answered_400() {
    let upstream = Upstream::start(|socket| drop(socket.message()));
    let gateway = Setup::to(&upstream).probe("a", "").start();
    for chunks in ["zz\r\nabc\r\n", "3\r\nabcdef\r\n", "ffffffffffffffffff\r\n", "3;\r\nab"] {
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"));
        if chunks.ends_with('b') {
            // Breaks off within a chunk instead.
            drop(client);
            continue;
        }
        let answer = client.response();
        assert_eq!((answer.status(), answer.text().as_str()), (400, "Bad Request"), "{chunks}");
        assert!(client.ended(), "{chunks}");
    }
    eventually("no stream is left", || gateway.stat("http.ingress.downstream_rq_active") == Some(0));
}

#[test]
fn odd_but_valid_requests_pass() {
    let upstream = Upstream::echo("up");
    let gateway = Setup::to(&upstream).probe("a", "").start();
    let long = "a".repeat(50_000);
    for (name, request, expected) in [
        ("raw bytes in a value", b"GET / HTTP/1.1\r\nhost: a\r\nx: \xff\xfe\r\n\r\n".to_vec(), "x: \u{ff}\u{fe}"),
        ("empty value", b"GET / HTTP/1.1\r\nhost: a\r\nx:\r\n\r\n".to_vec(), "x: "),
        ("empty host", b"GET / HTTP/1.1\r\nhost:\r\n\r\n".to_vec(), "host: "),
        ("two hosts", b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_vec(), "host: a,b"),
        ("absolute target", b"GET http://o.test/x?y HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), "GET /x?y HTTP/1.1"),
        ("strange path", b"GET /a{b}\"|\\^%zz%00;'~ HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), "GET /a{b}\"|\\^%zz%00;'~ HTTP/1.1"),
        ("bare line feeds", b"GET /x HTTP/1.1\nhost: a\n\n".to_vec(), "GET /x HTTP/1.1"),
        ("empty line first", b"\r\nGET /x HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), "GET /x HTTP/1.1"),
        ("underscore", b"GET / HTTP/1.1\r\nhost: a\r\nx_y: 1\r\n\r\n".to_vec(), "x_y: 1"),
        ("h2c offer", b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\nx: 1\r\n\r\n".to_vec(), "x: 1"),
        ("long path", format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes(), "host: a"),
    ] {
        let mut client = gateway.connect();
        client.send(&request);
        let answer = client.response();
        assert_eq!(answer.status(), 200, "{name}: {}", answer.head);
        // The upstream has read the bytes as Latin-1 and sent them back as UTF-8.
        let text = answer.text();
        assert!(text.lines().any(|line| line == expected), "{name}: {expected:?} in {text}");
        assert!(!text.contains("upgrade"), "{name}: {text}");
    }
    let repeated = gateway.get("/", &[("x", "1"), ("x", "2"), ("user-agent", "a"), ("user-agent", "b")]).text();
    assert!(repeated.contains("x: 1\nx: 2\n") && repeated.contains("user-agent: a,b\n"), "{repeated}");
    let none = gateway.ask("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(none.status(), 404);
}

#[test]
fn noise_never_stops_the_gateway() {
    let gateway = Setup::default().route("match: {prefix: /}, direct_response: {status: 200}").probe("a", "").start();
    let mut state = 0x9e37_79b9_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let seeds = [
        &b"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n"[..],
        b"POST /a?b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ];
    for round in 0..300 {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..=random() % 4 {
            let at = random() as usize % bytes.len();
            match random() % 3 {
                0 => bytes[at] = random() as u8,
                1 => bytes.insert(at, random() as u8),
                _ => drop(bytes.remove(at)),
            }
        }
        let mut client = gateway.connect();
        client.try_send(&bytes);
        // An answer, or the end, once the gateway has seen that nothing more comes.
        client.stream().shutdown(std::net::Shutdown::Write).unwrap();
        while client.head().is_some() {}
    }
    assert_eq!(gateway.get("/", &[]).status(), 200);
    eventually("no stream is left", || gateway.stat("http.ingress.downstream_rq_active") == Some(0));
    assert!(!gateway.logged("trapped"), "{}", gateway.log());
}
