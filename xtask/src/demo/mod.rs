//! `cargo xtask run`: an example's upstreams and a gateway, until someone says stop.

mod example;
mod family;
mod ready;

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::project::Project;
use crate::say::{say, seconds};
use crate::{envoy, process, stop, wasm};

use example::{Example, Upstream};
use family::Family;

/// How long upstreams and gateway may take until they answer.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What runs the filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// `sluice serve`.
    Embedded,
    /// Envoy.
    Envoy,
}

/// What `run` is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The gateway; embedded unless said otherwise.
    pub gateway: Gateway,
    /// The folder below `examples/`; `products` unless said otherwise.
    pub example: String,
}

impl Request {
    /// Reads `--gateway embedded|envoy` and `--example NAME`.
    pub fn parse(words: &[&str]) -> Outcome<Self> {
        let mut request = Self { gateway: Gateway::Embedded, example: "products".to_owned() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match (*word, words.next()) {
                ("--gateway", Some(&"embedded")) => request.gateway = Gateway::Embedded,
                ("--gateway", Some(&"envoy")) => request.gateway = Gateway::Envoy,
                ("--gateway", Some(other)) => {
                    return Err(Failure::new(format!("the gateway is `{other}`; it can be embedded or envoy")));
                }
                ("--example", Some(name)) => request.example = (*name).to_owned(),
                ("--gateway" | "--example", None) => return Err(Failure::new(format!("{word} needs a value"))),
                _ => return Err(Failure::new(format!("run does not know {word}; it takes --gateway and --example"))),
            }
        }
        Ok(request)
    }
}

/// Builds what is needed, starts it, tells what to try, and ends it all on Ctrl-C, SIGTERM or the end of any part.
pub fn run(project: &Project, request: &Request) -> Outcome<()> {
    let example = Example::read(&project.root, &request.example)?;
    suits(request, &example)?;
    // Before the build: nobody wants to learn this after minutes.
    ready::all_free(&example)?;
    wasm::build(project)?;
    let gateway = build(project, request.gateway, &example)?;

    let started = Instant::now();
    let logs = project.cache.join("run");
    let mut family = Family::new(&logs)?;
    for (program, option, played) in played(&example) {
        let mut command = project.command(project.programs.join(program));
        command.args(played.iter().flat_map(|one| [option.to_owned(), format!("{}={}", one.name, one.address)]));
        family.start(program, command)?;
    }
    family.start("gateway", gateway)?;
    while !ready::all_answer(&example) {
        family.check()?;
        if stop::asked() {
            return Ok(());
        }
        if started.elapsed() > READY_WITHIN {
            let text = family.last_words("gateway");
            return Err(Failure::new(format!(
                "not ready after {}. The gateway's last words:\n{text}",
                seconds(READY_WITHIN)
            )));
        }
        sleep(Duration::from_millis(20));
    }
    let name = match request.gateway {
        Gateway::Embedded => "the embedded gateway",
        Gateway::Envoy => "Envoy",
    };
    say(format_args!("{name} is ready after {}", seconds(started.elapsed())));
    print!("{}", invitation(project, &example, &logs));
    while !stop::asked() {
        family.check()?;
        sleep(Duration::from_millis(100));
    }
    eprintln!();
    family.end();
    say("stopped");
    Ok(())
}

/// The programs that play what stands behind the gateway, with the option that names one part and the parts.
fn played(example: &Example) -> impl Iterator<Item = (&'static str, &'static str, &[Upstream])> {
    let all =
        [("demo-upstream", "--serve", &example.upstreams[..]), ("mock-providers", "--listen", &example.providers[..])];
    all.into_iter().filter(|(.., played)| !played.is_empty())
}

/// Refuses an example that the gateway cannot serve.
fn suits(request: &Request, example: &Example) -> Outcome<()> {
    match (&example.envoy_only, request.gateway) {
        (Some(why), Gateway::Embedded) => Err(Failure::new(format!(
            "{why}; run this example on Envoy: make run EXAMPLE={} GATEWAY=envoy",
            request.example
        ))),
        _ => Ok(()),
    }
}

/// Builds the programs; gives the gateway's command line.
fn build(project: &Project, gateway: Gateway, example: &Example) -> Outcome<Command> {
    let mut cargo = project.cargo();
    cargo.arg("build").args(played(example).flat_map(|(program, ..)| ["-p", program]));
    // each has the name of its package
    cargo.args(example.services.iter().flat_map(|service| ["-p", service.name.as_str()]));
    match gateway {
        Gateway::Embedded => {
            process::run(cargo.args(["-p", "sluice"]))?;
            let mut command = project.command(project.programs.join("sluice"));
            command.arg("serve").arg(&example.bootstrap);
            Ok(command)
        }
        Gateway::Envoy => {
            process::run(&mut cargo)?;
            let mut command = project.command(envoy::find(project)?);
            command.arg("-c").arg(&example.bootstrap).args(["--use-dynamic-base-id", "--concurrency", "2"]);
            command.args(["-l", "warning", "--component-log-level", "wasm:info"]);
            Ok(command)
        }
    }
}

/// What to do now that it runs.
fn invitation(project: &Project, example: &Example, logs: &Path) -> String {
    let mut text = format!("\n  http://{}   admin: http://{}\n", example.listener, example.admin);
    if !example.commands.is_empty() {
        text.push_str("\nTry in another terminal:\n\n");
        for command in &example.commands {
            text.push_str(&format!("  {command}\n"));
        }
    }
    let logs = project.relative(logs);
    let names: Vec<_> = played(example).map(|(program, ..)| format!("{logs}/{program}.log")).collect();
    text.push_str(&format!("\nLogs: {logs}/gateway.log and {}. Ctrl-C ends it.\n", names.join(", ")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn an_example_for_envoy_alone_is_not_started_on_the_embedded_gateway() {
        let dir = Scratch::new("envoy-only");
        let conf = "envoy-only no retries\nlistener 127.0.0.1:1\nadmin 127.0.0.1:2\nupstream a 127.0.0.1:3\n";
        dir.write("examples/shop/demo.conf", conf.as_bytes());
        dir.write("envoy-configs/shop.yaml", b"");
        let example = Example::read(dir.path(), "shop").unwrap();
        let mut request = Request { gateway: Gateway::Embedded, example: "shop".to_owned() };
        let text = suits(&request, &example).unwrap_err().to_string();
        assert_eq!(text, "no retries; run this example on Envoy: make run EXAMPLE=shop GATEWAY=envoy");
        request.gateway = Gateway::Envoy;
        assert_eq!(suits(&request, &example), Ok(()));
    }

    #[test]
    fn the_request_has_defaults_and_names_mistakes() {
        let request = |gateway, example: &str| Request { gateway, example: example.to_owned() };
        assert_eq!(Request::parse(&[]), Ok(request(Gateway::Embedded, "products")));
        let words = ["--gateway", "envoy", "--example", "other"];
        assert_eq!(Request::parse(&words), Ok(request(Gateway::Envoy, "other")));
        for (words, expected) in [
            (&["--gateway", "nginx"][..], "the gateway is `nginx`; it can be embedded or envoy"),
            (&["--example"], "--example needs a value"),
            (&["--port", "1"], "run does not know --port; it takes --gateway and --example"),
        ] {
            assert_eq!(Request::parse(words).unwrap_err().to_string(), expected);
        }
    }
}
