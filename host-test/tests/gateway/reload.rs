//! New configurations and modules while requests go on; stopping.

use super::support::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("sluice-gateway-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        // As editors and builds do: a new file takes the old one's place.
        let fresh = self.0.join(format!("{name}.new"));
        std::fs::write(&fresh, content).unwrap();
        std::fs::rename(&fresh, &path).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(file: &Path, watch: Option<Duration>) -> Gateway {
    let yaml = std::fs::read_to_string(file).unwrap();
    Gateway::start(&yaml, |options| {
        options.file = Some(file.to_owned());
        options.watch = watch;
    })
}

fn says(text: &str) -> String {
    Setup::default()
        .route(&format!("match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: {text}}}}}"))
        .yaml()
}

#[test]
fn a_reload_serves_the_new_file_and_keeps_the_connection() {
    let scratch = Scratch::new();
    let file = scratch.write("g.yaml", says("first"));
    let gateway = start(&file, None);
    let mut client = gateway.connect();
    client.send(get("/", &[]));
    assert_eq!(client.response().text(), "first");
    scratch.write("g.yaml", says("second"));
    assert_eq!(gateway.running.reload(), Ok(2));
    client.send(get("/", &[]));
    assert_eq!(client.response().text(), "second");
}

#[test]
fn a_bad_file_or_module_is_refused_and_the_old_one_goes_on() {
    let scratch = Scratch::new();
    let module = scratch.write("f.wasm", std::fs::read(guest("probe")).unwrap());
    let good = Setup::default()
        .route("match: {prefix: /}, direct_response: {status: 200, body: {inline_string: good}}")
        .filter("a", module.to_str().unwrap(), "");
    let file = scratch.write("g.yaml", good.yaml());
    let gateway = start(&file, None);
    let bad_filter = good.yaml().replace("value: ''", "value: 'cfg: trap'");
    for (content, words) in [
        (says("x").replace("prefix: /", "prefx: /"), "did you mean `prefix`"),
        (says("x") + "dynamic_resources: {}\n", "not served by the embedded gateway; run this file on Envoy: envoy -c"),
        ("{".to_owned(), "not valid YAML"),
        (bad_filter, "proxy_on_configure"),
        (says("x").replacen("port_value: 0", "port_value: 1", 1), "admin.address cannot change"),
    ] {
        scratch.write("g.yaml", content);
        let error = gateway.running.reload().unwrap_err();
        assert!(error.contains(words), "{words} in {error}");
        assert_eq!(gateway.get("/", &[]).text(), "good");
        assert!(gateway.logged(words), "{}", gateway.log());
    }
    scratch.write("g.yaml", good.yaml());
    for (content, words) in [(&b"\0asm"[..], "f.wasm"), (b"nonsense", "f.wasm")] {
        scratch.write("f.wasm", content);
        assert!(gateway.running.reload().unwrap_err().contains(words));
        assert_eq!(gateway.get("/", &[]).text(), "good");
    }
    scratch.write("f.wasm", std::fs::read(guest("sdk-empty")).unwrap());
    assert_eq!(gateway.running.reload(), Ok(2));
    assert_eq!(gateway.get("/", &[("x-probe-a", "rh: reply 403 x")]).text(), "good", "the other module serves now");
    assert_eq!(gateway.stat("sluice.reload_rejected"), Some(7));
}

#[test]
fn changed_files_are_noticed() {
    let scratch = Scratch::new();
    let module = scratch.write("f.wasm", std::fs::read(guest("sdk-empty")).unwrap());
    let setup = Setup::default()
        .route("match: {prefix: /}, direct_response: {status: 200, body: {inline_string: first}}")
        .filter("a", module.to_str().unwrap(), "");
    let file = scratch.write("g.yaml", setup.yaml());
    let gateway = start(&file, Some(Duration::from_millis(20)));
    assert_eq!(gateway.get("/", &[("x-probe-a", "rh: reply 403 probe")]).text(), "first");
    scratch.write("f.wasm", std::fs::read(guest("probe")).unwrap());
    eventually("the new module", || gateway.get("/", &[("x-probe-a", "rh: reply 403 probe")]).text() == "probe");
    scratch.write("g.yaml", "broken: [");
    eventually("the refusal", || gateway.logged("new configuration rejected"));
    assert_eq!(gateway.get("/", &[]).text(), "first");
    scratch.write("g.yaml", setup.yaml().replace("first", "second"));
    eventually("the new file", || gateway.get("/", &[]).text() == "second");
}

#[test]
fn listeners_come_and_go_with_the_file() {
    let scratch = Scratch::new();
    let (one, two) = (nobody(), nobody());
    let at = |address: std::net::SocketAddr, text: &str| {
        says(text).replace(
            "- name: main\n    address: {socket_address: {address: 127.0.0.1, port_value: 0}}",
            &format!(
                "- name: main\n    address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}",
                address.port()
            ),
        )
    };
    let file = scratch.write("g.yaml", at(one, "first"));
    let gateway = start(&file, None);
    assert_eq!(gateway.address, one);
    let mut kept = gateway.connect();
    // what the system has not handed over yet goes with the listener
    kept.send(get("/", &[]));
    assert_eq!(kept.response().text(), "first");
    scratch.write("g.yaml", at(two, "second"));
    assert_eq!(gateway.running.reload(), Ok(2));
    assert_eq!(gateway.running.addresses(), [("main".to_owned(), two)]);
    let mut client = Socket::connect(two);
    client.send(get("/", &[]));
    assert_eq!(client.response().text(), "second");
    // The old listener is closed; a connection that came in by it finishes on what it knew.
    eventually("the old port is closed", || std::net::TcpStream::connect(one).is_err());
    kept.send(get("/", &[]));
    assert_eq!(kept.response().text(), "first");
}

#[test]
fn no_request_is_lost_while_configurations_change_under_load() {
    let up = Upstream::echo("up");
    let scratch = Scratch::new();
    let setup = |text: &str| {
        let mut setup = Setup::to(&up).probe("a", &format!("cfg: log 2 {text}"));
        setup.routes.insert(
            0,
            format!("match: {{path: /direct}}, direct_response: {{status: 200, body: {{inline_string: {text}}}}}"),
        );
        setup.yaml()
    };
    let file = scratch.write("g.yaml", setup("even"));
    let gateway = start(&file, None);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let (stop, served, address) = (stop.clone(), served.clone(), gateway.address);
            std::thread::spawn(move || {
                let mut client = Socket::connect(address);
                while !stop.load(Ordering::SeqCst) {
                    if number % 3 == 0 {
                        client = Socket::connect(address);
                    }
                    if number % 2 == 0 {
                        client.send(get("/direct", &[]));
                        let answer = client.response();
                        assert!(
                            answer.status() == 200 && ["even", "odd"].contains(&answer.text().as_str()),
                            "{answer:?}"
                        );
                    } else {
                        client.send("POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
                        let answer = client.response();
                        assert!(answer.status() == 200 && answer.text().ends_with("\nhello"), "{answer:?}");
                    }
                    served.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for round in 0..10 {
        let before = served.load(Ordering::SeqCst);
        scratch.write("g.yaml", setup(if round % 2 == 0 { "odd" } else { "even" }));
        assert_eq!(gateway.running.reload(), Ok(round + 2));
        eventually("requests between the reloads", || served.load(Ordering::SeqCst) > before + 20);
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("a request was lost");
    }
}

#[test]
fn a_request_under_way_finishes_on_the_configuration_that_it_began_with() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |socket| {
        let Some(_) = socket.message() else { return };
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        socket.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold");
    });
    let scratch = Scratch::new();
    let file = scratch.write("g.yaml", Setup::to(&upstream).probe("a", "").yaml());
    let gateway = start(&file, None);
    let mut client = gateway.connect();
    client.send(get("/", &[("x-probe-a", "ph: add 2 x-filter old")]));
    eventually("the request is under way", || gateway.stat("cluster.up.upstream_rq_active") == Some(1));
    scratch.write("g.yaml", says("new"));
    assert_eq!(gateway.running.reload(), Ok(2));
    assert_eq!(gateway.get("/", &[]).text(), "new");
    go.send(()).unwrap();
    let answer = client.response();
    assert_eq!((answer.text().as_str(), answer.header("x-filter").as_deref()), ("old", Some("old")));
}

#[test]
fn stopping_lets_requests_finish_and_takes_no_new_ones() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |socket| {
        let Some(_) = socket.message() else { return };
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        socket.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
    });
    let gateway = Setup::to(&upstream).start();
    let (address, mut client, mut idle) = (gateway.address, gateway.connect(), gateway.connect());
    client.send(get("/", &[]));
    eventually("the request is under way", || gateway.stat("cluster.up.upstream_rq_active") == Some(1));
    let stopping = std::thread::spawn(move || gateway.running.stop());
    eventually("the port is closed", || std::net::TcpStream::connect(address).is_err());
    assert!(idle.ended(), "connections without a request end at once");
    go.send(()).unwrap();
    let answer = client.response();
    assert_eq!(answer.text(), "done");
    assert!(client.ended());
    stopping.join().unwrap();
}

#[test]
fn stopping_ends_even_when_a_request_does_not() {
    let upstream = Upstream::start(|socket| drop(socket.message().and_then(|_| socket.message())));
    let gateway = Gateway::start(&Setup::to(&upstream).yaml(), |options| options.drain = Duration::from_millis(200));
    let mut client = gateway.connect();
    client.send(get("/", &[]));
    eventually("the request is under way", || gateway.stat("cluster.up.upstream_rq_active") == Some(1));
    let start = Instant::now();
    gateway.running.stop();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(client.ended());
}

#[test]
fn an_address_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("port_value: {}", taken.local_addr().unwrap().port());
    let yaml = says("x").replace("port_value: 0", &port).replacen(&port, "port_value: 0", 1);
    let bootstrap = host_test::gateway::bootstrap::parse(&yaml).unwrap();
    let error = host_test::gateway::start(bootstrap, quiet()).unwrap_err();
    assert!(error.starts_with("cannot listen on 127.0.0.1:"), "{error}");
}
