//! The providers' own SDKs (filters/ai-normalize/sdk-tests) talk to the mocks, and through both gateways.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod ai_gateway;

use ai_gateway::{Bootstrap, Running, embedded, envoy, mocks, root, serve};
use mock_providers::{Kind, Server};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A run of the tests takes some seconds; one that hangs is ended.
const PATIENCE: Duration = Duration::from_secs(300);

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

/// The tests of the gateway, with the one that this command starts.
fn through(gateway: &mut Command, mocks: &Server, bootstrap: &Bootstrap) {
    let _running = serve(gateway, bootstrap);
    pytest(mocks, Gateway::On(bootstrap.port), &["gateway"]);
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
    let bootstrap = Bootstrap::new(&mocks);
    through(&mut embedded(&bootstrap.write(folder.path())), &mocks, &bootstrap);
}

#[test]
#[ignore = "needs the providers' SDKs: cargo xtask test sdks"]
fn sdks_talk_through_envoy_to_every_mock() {
    let folder = tempfile::tempdir().unwrap();
    let mocks = mocks();
    let bootstrap = Bootstrap::new(&mocks);
    let command = envoy(&bootstrap.write(folder.path()), 2);
    through(&mut command.expect("cargo xtask test sdks sets ENVOY"), &mocks, &bootstrap);
}
