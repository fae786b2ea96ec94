//! The pages' commands are run and their output compared, on both gateways; their configurations are checked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use filter_kit::{Filter, MetricTable};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A fenced block: its info string and its text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some(info) = line.strip_prefix("```") {
            open = !open;
            if open {
                blocks.push((info.trim().to_owned(), String::new()));
            }
        } else if open {
            let block = &mut blocks.last_mut().unwrap().1;
            block.push_str(line);
            block.push('\n');
        }
    }
    assert!(!open, "{page}: a block has no end");
    blocks
}

/// Commands of `console` blocks with the output that the page promises.
fn commands(page: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for (_, text) in blocks(page).into_iter().filter(|(info, _)| info == "console") {
        for line in text.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command.to_owned(), String::new())),
                None => {
                    let output = &mut commands.last_mut().expect("a block starts with a command").1;
                    output.push_str(line);
                    output.push('\n');
                }
            }
        }
    }
    commands
}

/// Processes that end with the test.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(command: &mut Command) -> Child {
    let command = command.current_dir(root()).stdin(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn wait_for(ports: &[u16], running: &mut Running) {
    let begin = Instant::now();
    for port in ports {
        while TcpStream::connect(("127.0.0.1", *port)).is_err() {
            for child in &mut running.0 {
                assert!(child.try_wait().unwrap().is_none(), "a process ended before it listened");
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "nothing listens on port {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What stands in `examples/NAME/demo.conf`.
#[derive(Default)]
struct Demo {
    bootstrap: String,
    /// Why the embedded gateway cannot serve it.
    envoy_only: Option<String>,
    /// Name and address of each service; the listener and the admin pages have names of their own.
    addresses: Vec<(String, SocketAddr)>,
    upstreams: Vec<String>,
    /// Mock providers, named by what they play.
    providers: Vec<String>,
    /// Clusters whose programs the page's commands start and stop.
    services: Vec<u16>,
}

impl Demo {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(format!("examples/{name}/demo.conf"))).unwrap();
        let bootstrap = format!("envoy-configs/{name}.yaml");
        let mut demo = Self { bootstrap, ..Self::default() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.split_once(' ').unwrap() {
                ("envoy-only", why) => demo.envoy_only = Some(why.to_owned()),
                ("upstream", rest) => {
                    let (name, address) = rest.split_once(' ').unwrap();
                    demo.upstreams.push(format!("{name}={address}"));
                    demo.addresses.push((format!("cluster {name}"), address.parse().unwrap()));
                }
                ("provider", rest) => {
                    let (name, address) = rest.split_once(' ').unwrap();
                    demo.providers.push(format!("{name}={address}"));
                    demo.addresses.push((format!("cluster {name}"), address.parse().unwrap()));
                }
                ("service", rest) => {
                    let (name, address) = rest.split_once(' ').unwrap();
                    let address: SocketAddr = address.parse().unwrap();
                    demo.services.push(address.port());
                    demo.addresses.push((format!("cluster {name}"), address));
                }
                (what, address) => demo.addresses.push((what.to_owned(), address.parse().unwrap())),
            }
        }
        demo
    }

    fn ports(&self) -> Vec<u16> {
        self.addresses.iter().map(|(_, address)| address.port()).collect()
    }
}

/// Names of all examples.
fn examples() -> Vec<String> {
    let entries = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let examples = entries.filter(|path| path.join("demo.conf").is_file());
    let mut names: Vec<_> = examples.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Starts the demo servers and a gateway, and runs the commands of a page.
fn follow(page: &str, demo: &Demo, gateway: &mut Command) {
    let ports = demo.ports();
    for port in &ports {
        assert!(TcpStream::connect(("127.0.0.1", *port)).is_err(), "port {port} is taken; the pages' commands need it");
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_sluice")).parent().unwrap();
    let mut running = Running(Vec::new());
    for (program, option, played) in
        [("demo-upstream", "--serve", &demo.upstreams), ("mock-providers", "--listen", &demo.providers)]
    {
        if !played.is_empty() {
            let mut command = Command::new(programs.join(program));
            command.args(played.iter().flat_map(|one| [option, one]));
            running.0.push(start(command.stdout(Stdio::null())));
        }
    }
    running.0.push(start(gateway.stdout(Stdio::null()).stderr(Stdio::null())));
    let started: Vec<u16> = ports.into_iter().filter(|port| !demo.services.contains(port)).collect();
    wait_for(&started, &mut running);
    run_commands(page, &format!("{:?}", gateway.get_program()));
}

/// Runs the commands of a page and compares what they print.
fn run_commands(page: &str, gateway: &str) {
    let programs = Path::new(env!("CARGO_BIN_EXE_sluice")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let commands = commands(page);
    assert!(!commands.is_empty(), "{page} has no commands");
    for (command, expected) in commands {
        let mut shell = Command::new("sh");
        // the output on a page is that without an Envoy
        let shell = shell.env("PATH", &path).env_remove("ENVOY").current_dir(root());
        shell.arg("-c").arg(format!("{command} 2>&1"));
        let output = shell.output().unwrap();
        let seen = String::from_utf8_lossy(&output.stdout);
        assert_eq!(seen, expected, "{page} with {gateway}: $ {command}");
    }
}

/// One test, since the pages' ports are fixed.
#[test]
fn commands_of_the_pages_print_what_they_say_embedded_and_on_envoy() {
    let pages = examples().into_iter().map(|name| (format!("examples/{name}/README.md"), name));
    let of_products = ["README.md", "docs/metrics.md"].map(|page| (page.to_owned(), "products".to_owned()));
    for (page, example) in of_products.into_iter().chain(pages) {
        let demo = Demo::read(&example);
        match &demo.envoy_only {
            Some(why) => eprintln!("SKIPPED on the embedded gateway: {page}: {why}"),
            None => {
                let mut embedded = Command::new(env!("CARGO_BIN_EXE_sluice"));
                follow(&page, &demo, embedded.args(["serve", &demo.bootstrap]));
            }
        }
        let Some(envoy) = std::env::var_os("ENVOY") else {
            eprintln!("SKIPPED on Envoy: {page}: the variable ENVOY names none");
            continue;
        };
        let mut envoy = Command::new(envoy);
        follow(&page, &demo, envoy.args(["-c", &demo.bootstrap, "--use-dynamic-base-id", "-l", "off"]));
    }
}

#[test]
fn commands_that_need_no_gateway_print_what_their_page_says() {
    run_commands("docs/cli.md", "no gateway");
}

/// The clusters of a bootstrap are what its example starts, and every bootstrap is checked by `sluice validate` too.
#[test]
fn examples_start_what_their_bootstraps_name() {
    let address = |value: &serde_json::Value| {
        let socket = &value["address"]["socket_address"];
        format!("{}:{}", socket["address"].as_str().unwrap(), socket["port_value"]).parse().unwrap()
    };
    let mut bootstraps: Vec<String> = Vec::new();
    for example in examples() {
        let demo = Demo::read(&example);
        let text = fs::read_to_string(root().join(&demo.bootstrap)).unwrap();
        let bootstrap: serde_json::Value = serde_json::from_slice(&json(&text)).unwrap();
        let resources = &bootstrap["static_resources"];
        let listeners = resources["listeners"].as_array().unwrap().iter();
        let mut expected: Vec<(String, SocketAddr)> =
            listeners.map(|listener| ("listener".to_owned(), address(listener))).collect();
        expected.push(("admin".to_owned(), address(&bootstrap["admin"])));
        for cluster in resources["clusters"].as_array().unwrap() {
            let endpoint = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
            expected.push((format!("cluster {}", cluster["name"].as_str().unwrap()), address(endpoint)));
        }
        assert_eq!(demo.addresses, expected, "{example}");
        let mut validate = Command::new(env!("CARGO_BIN_EXE_sluice"));
        let output = validate.args(["validate", &demo.bootstrap]).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stdout));
        bootstraps.push(format!("{example}.yaml"));
    }
    let files = fs::read_dir(root().join("envoy-configs")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    bootstraps.sort();
    assert_eq!(files, bootstraps, "every bundled bootstrap has an example");
}

/// YAML as the JSON that a filter reads.
fn json(yaml: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    value.to_string().into_bytes()
}

#[test]
fn configurations_of_the_pages_are_valid() {
    let pages = ["header-router", "prefix-rewrite", "rate-limit", "ai-normalize", "suite"]
        .map(|f| format!("filters/{f}/README.md"));
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.is_file()).map(|path| path.strip_prefix(root()).unwrap().display().to_string());
    let products = json(&fs::read_to_string(root().join("envoy-configs/products.yaml")).unwrap());
    let products: serde_json::Value = serde_json::from_slice(&products).unwrap();
    let mut checked = 0;
    for page in pages.into_iter().chain(docs).chain(["README.md".to_owned()]) {
        for (info, text) in blocks(&page) {
            let error = match info.as_str() {
                "yaml header-router" => header_router::HeaderRouter::from_config(&json(&text)).err(),
                "yaml prefix-rewrite" => prefix_rewrite::PrefixRewrite::from_config(&json(&text)).err(),
                "yaml rate-limit" => rate_limit::RateLimit::from_config(&json(&text)).err(),
                "yaml ai-normalize" => ai_normalize::AiNormalize::from_config(&json(&text)).err(),
                "yaml suite" => suite::Suite::from_config(&json(&text)).err(),
                "yaml stats_tags" => {
                    let part: serde_json::Value = serde_json::from_slice(&json(&text)).unwrap();
                    assert_eq!(part["stats_config"], products["stats_config"], "{page}");
                    None
                }
                other if other.starts_with("yaml") => {
                    json(&text);
                    None
                }
                "json" => {
                    serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{page}: {error}"));
                    None
                }
                _ => continue,
            };
            assert_eq!(error, None, "{page}\n{text}");
            checked += 1;
        }
    }
    assert!(checked >= 4, "only {checked} blocks found");
}

/// Every metric that a filter can define stands in docs/metrics.md, under the name that Prometheus shows.
#[test]
fn metrics_of_the_filters_are_in_their_page() {
    let router = br#"{"rules": [{"name": "a", "targets": [{"cluster": "c"}, {"status": 503}]},
        {"name": "b", "redirect": {"path": "/x"}}, {"name": "c", "direct_response": {"status": 200}},
        {"name": "d", "service": "s"}], "services": [{"name": "s", "rules": []}], "default": "continue"}"#;
    let rewrite = br#"{"rules": [{"name": "a", "rewrite": {"path": "/b", "host": "c"}}]}"#;
    let router = header_router::HeaderRouter::from_config(router).unwrap();
    let rewrite = prefix_rewrite::PrefixRewrite::from_config(rewrite).unwrap();
    let limit = br#"{"policies": [{"name": "a", "limits": [{"units": 1, "per_ms": 1000}]}]}"#;
    let limit = rate_limit::RateLimit::from_config(limit).unwrap();
    let gauges = filter_kit::metrics::config_gauges("suite", b"{}").map(|(name, _)| name);
    let page = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let mut seen = 0;
    let ai = br#"{"providers": [{"name": "p", "dialect": "openai", "cluster": "c"}],
        "models": [{"name": "m", "provider": "p"}]}"#;
    let ai = ai_normalize::AiNormalize::from_config(ai).unwrap();
    for name in [router.metrics(), rewrite.metrics(), limit.metrics(), ai.metrics()]
        .map(MetricTable::names)
        .into_iter()
        .flatten()
        .chain(&gauges)
    {
        // family, then labels and values in turn, then what is counted
        let parts: Vec<&str> = name.split('.').collect();
        let (family, what) = (parts[0], parts[parts.len() - 1]);
        let labels = parts[1..parts.len() - 1].chunks(2);
        let row = format!("| `{family}_{what}` |");
        let line = page.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("no line {row}"));
        for label in labels {
            assert!(line.contains(&format!("`{}`", label[0])), "{line}: {}", label[0]);
            if matches!(label[0], "outcome" | "where" | "kind" | "result" | "operation" | "type" | "reason") {
                assert!(page.contains(&format!("`{}`", label[1])), "{name}");
            }
        }
        seen += 1;
    }
    assert!(seen > 10);
}
