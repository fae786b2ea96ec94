//! The providers' own SDKs (filters/ai-normalize/sdk-tests) talk to the mocks, and through both gateways.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use mock_providers::{Kind, Server};
use serde_json::{Value, json};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A run of the tests takes some seconds; one that hangs is ended.
const PATIENCE: Duration = Duration::from_secs(300);

const BOOTSTRAP: &str = "envoy-configs/ai.yaml";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let command = command.current_dir(root()).stdin(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn mocks() -> Server {
    Server::of(&Kind::ALL).unwrap()
}

/// What listens as the gateway.
#[derive(Clone, Copy)]
enum Gateway {
    None,
    /// One of the two, on this port.
    On(u16),
    /// The mock of this provider: it answers as a gateway to it would.
    StandIn(Kind),
}

/// Runs the tests in these folders, with the mocks and perhaps a gateway.
fn pytest(mocks: &Server, gateway: Gateway, folders: &[&str]) {
    let python = PathBuf::from(std::env::var_os("SLUICE_SDKS").expect("cargo xtask test sdks sets SLUICE_SDKS"));
    let addresses =
        mocks.listeners().map(|(kind, address)| (kind.name().to_owned(), format!("http://{address}").into()));
    let addresses = Value::Object(addresses.collect());
    let mut command = Command::new(&python);
    command.args(["-m", "pytest"]).args(folders);
    command.env("SLUICE_MOCKS", addresses.to_string()).env_remove("SLUICE_GATEWAY").env_remove("SLUICE_STAND_IN");
    match gateway {
        Gateway::None => {}
        Gateway::On(port) => {
            command.env("SLUICE_GATEWAY", format!("http://127.0.0.1:{port}"));
        }
        Gateway::StandIn(kind) => {
            let address = mocks.address(kind).unwrap();
            command.env("SLUICE_GATEWAY", format!("http://{address}")).env("SLUICE_STAND_IN", kind.name());
        }
    }
    // what Python compiles stays out of the repository
    let home = python.ancestors().nth(2).unwrap();
    command.env("PYTHONPYCACHEPREFIX", home.join("compiled")).env_remove("PYTHONDONTWRITEBYTECODE");
    command.current_dir(root().join("filters/ai-normalize/sdk-tests")).stdin(Stdio::null());
    let mut tests = Running(command.spawn().unwrap());
    let begin = Instant::now();
    let status = loop {
        match tests.0.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
        assert!(begin.elapsed() < PATIENCE, "the tests do not end");
    };
    assert!(status.success(), "pytest {folders:?}: {status}; what failed stands above");
}

/// The bundled bootstrap on free ports, with the mocks' addresses; and the port of its listener.
fn bootstrap(mocks: &Server, folder: &Path) -> (PathBuf, u16) {
    let text = fs::read_to_string(root().join(BOOTSTRAP)).unwrap();
    let mut bootstrap: Value = serde_saphyr::from_str(&text).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let socket = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    bootstrap["admin"]["address"] = socket(0);
    bootstrap["static_resources"]["listeners"][0]["address"] = socket(port);
    for cluster in bootstrap["static_resources"]["clusters"].as_array_mut().unwrap() {
        let name = cluster["name"].as_str().unwrap().to_owned();
        let kind: Kind = name.parse().unwrap_or_else(|why| panic!("cluster {name}: {why}"));
        let address = mocks.address(kind).unwrap();
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = socket(address.port());
    }
    let file = folder.join("ai.yaml");
    fs::write(&file, bootstrap.to_string()).unwrap();
    (file, port)
}

/// The tests of the gateway, with the one that this command starts.
fn through(gateway: &mut Command, mocks: &Server, port: u16) {
    let mut running = Running::start(gateway.stdout(Stdio::null()));
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(running.0.try_wait().unwrap().is_none(), "the gateway ended before it listened");
        assert!(begin.elapsed() < Duration::from_secs(60), "the gateway does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    pytest(mocks, Gateway::On(port), &["gateway"]);
}

#[test]
#[ignore = "needs the providers' SDKs: cargo xtask test sdks"]
fn every_sdk_understands_the_mock_of_its_provider_and_the_judges_judge() {
    pytest(&mocks(), Gateway::None, &["judge", "direct"]);
}

/// What the tests expect of a gateway is what the provider itself does.
#[test]
#[ignore = "needs the providers' SDKs: cargo xtask test sdks"]
fn the_tests_of_the_gateway_hold_for_the_providers_of_their_clients() {
    let mocks = mocks();
    let of_openai = ["chat", "embeddings", "errors", "parameters", "responses", "tools"];
    let of_openai = of_openai.map(|name| format!("gateway/test_{name}.py"));
    pytest(&mocks, Gateway::StandIn(Kind::OpenAi), &of_openai.each_ref().map(String::as_str));
    pytest(&mocks, Gateway::StandIn(Kind::Anthropic), &["gateway/test_messages.py"]);
}

#[test]
#[ignore = "needs the providers' SDKs: cargo xtask test sdks"]
fn sdks_talk_through_the_embedded_gateway_to_every_mock() {
    let folder = tempfile::tempdir().unwrap();
    let mocks = mocks();
    let (file, port) = bootstrap(&mocks, folder.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    through(command.args(["serve", "--watch-interval-ms", "0"]).arg(&file), &mocks, port);
}

#[test]
#[ignore = "needs the providers' SDKs: cargo xtask test sdks"]
fn sdks_talk_through_envoy_to_every_mock() {
    let envoy = std::env::var_os("ENVOY").expect("cargo xtask test sdks sets ENVOY");
    let folder = tempfile::tempdir().unwrap();
    let mocks = mocks();
    let (file, port) = bootstrap(&mocks, folder.path());
    let mut command = Command::new(envoy);
    command.args(["--use-dynamic-base-id", "--concurrency", "2", "-l", "error", "-c"]).arg(&file);
    through(&mut command, &mocks, port);
}
