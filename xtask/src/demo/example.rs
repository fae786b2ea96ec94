//! What an example consists of: `examples/NAME/demo.conf`, its README, and `envoy-configs/NAME.yaml`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::failure::{During, Failure, Outcome};

/// A demo upstream.
#[derive(Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The name that it answers with.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Upstream {
    fn purpose(&self) -> (SocketAddr, &str) {
        (self.address, &self.name)
    }
}

/// An example that can be run.
#[derive(Debug, PartialEq, Eq)]
pub struct Example {
    /// The bootstrap, from the repository's root.
    pub bootstrap: PathBuf,
    /// Where clients connect.
    pub listener: SocketAddr,
    /// Where they may connect, too.
    pub more_listeners: Vec<SocketAddr>,
    /// Where the gateway's admin pages are.
    pub admin: SocketAddr,
    /// What stands behind the gateway.
    pub upstreams: Vec<Upstream>,
    /// Mock providers behind it; each has the name of what it plays.
    pub providers: Vec<Upstream>,
    /// What the README's commands start.
    pub services: Vec<Upstream>,
    /// Why the embedded gateway cannot serve it, if that is so.
    pub envoy_only: Option<String>,
    /// Commands to try, from the README.
    pub commands: Vec<String>,
}

impl Example {
    /// Reads the example of this name.
    pub fn read(root: &Path, name: &str) -> Outcome<Self> {
        let folder = root.join("examples").join(name);
        let file = folder.join("demo.conf");
        if !file.is_file() {
            return Err(Failure::new(format!("no example `{name}`; there is: {}", all(root).join(", "))));
        }
        let bootstrap = Path::new("envoy-configs").join(format!("{name}.yaml"));
        if !root.join(&bootstrap).is_file() {
            return Err(Failure::new(format!("{} is missing", bootstrap.display())));
        }
        let text = fs::read_to_string(&file).during(|| file.display())?;
        let commands = fs::read_to_string(folder.join("README.md")).map_or_else(|_| Vec::new(), |text| curls(&text));
        let example = parse(&text, bootstrap, commands);
        example.map_err(|why| Failure::new(format!("examples/{name}/demo.conf: {why}")))
    }

    /// Every address that is listened on as soon as the example runs, with what it is for.
    pub fn addresses(&self) -> impl Iterator<Item = (SocketAddr, &str)> {
        let own = [(self.listener, "the gateway's listener"), (self.admin, "the gateway's admin pages")];
        let more = self.more_listeners.iter().map(|address| (*address, "another listener of the gateway"));
        own.into_iter().chain(more).chain(self.upstreams.iter().chain(&self.providers).map(Upstream::purpose))
    }

    /// The same for what the README's commands start.
    pub fn later(&self) -> impl Iterator<Item = (SocketAddr, &str)> {
        self.services.iter().map(Upstream::purpose)
    }
}

/// The names of all examples.
fn all(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("examples")).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter(|entry| entry.path().join("demo.conf").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Reads `listener ADDRESS`, `admin ADDRESS`, `upstream NAME ADDRESS`, `provider NAME ADDRESS`, `service NAME ADDRESS` and
/// `envoy-only REASON` lines; `#` starts a comment.
fn parse(text: &str, bootstrap: PathBuf, commands: Vec<String>) -> Result<Example, String> {
    let (mut listeners, mut admin, mut envoy_only) = (Vec::new(), None, None);
    let (mut upstreams, mut providers, mut services) = (Vec::new(), Vec::new(), Vec::new());
    for (line, number) in text.lines().zip(1..) {
        let address = |word: &str| word.parse().map_err(|_| format!("line {number}: {word} is no IP:PORT"));
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["listener", word] => listeners.push(address(word)?),
            ["admin", word] => admin = Some(address(word)?),
            ["upstream", name, word] => {
                upstreams.push(Upstream { name: (*name).to_owned(), address: address(word)? });
            }
            ["provider", name, word] => {
                providers.push(Upstream { name: (*name).to_owned(), address: address(word)? });
            }
            ["service", name, word] => services.push(Upstream { name: (*name).to_owned(), address: address(word)? }),
            ["envoy-only", reason @ ..] if !reason.is_empty() => envoy_only = Some(reason.join(" ")),
            _ => {
                let expected = "`listener IP:PORT`, `admin IP:PORT`, `upstream NAME IP:PORT`, `provider NAME IP:PORT`, \
                                `service NAME IP:PORT` or `envoy-only REASON`";
                return Err(format!("line {number}: expected {expected}"));
            }
        }
    }
    if upstreams.is_empty() && providers.is_empty() {
        return Err("no upstream and no provider".to_owned());
    }
    if listeners.is_empty() {
        return Err("no listener".to_owned());
    }
    let (listener, more_listeners) = (listeners.remove(0), listeners);
    let admin = admin.ok_or("no admin")?;
    Ok(Example { bootstrap, listener, more_listeners, admin, upstreams, providers, services, envoy_only, commands })
}

/// The curl commands in a README's code blocks: after `$ `, and without it in a block of shell code.
fn curls(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let (mut in_block, mut is_script, mut continued) = (false, false, false);
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            is_script = matches!(language.trim(), "sh" | "bash" | "shell");
            (in_block, continued) = (!in_block, false);
            continue;
        }
        let command = line.strip_prefix("$ ").or(is_script.then_some(line));
        if continued {
            if let Some(last) = commands.last_mut() {
                last.push_str(&format!("\n  {line}"));
            }
        } else if let Some(command) = command.filter(|command| in_block && command.starts_with("curl ")) {
            commands.push(command.to_owned());
        } else {
            continue;
        }
        continued = line.ends_with('\\');
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    const CONF: &str =
        "# ports\nlistener 127.0.0.1:10000\nadmin 127.0.0.1:9901 # stats\n\nupstream v1 127.0.0.1:18081\n";

    #[test]
    fn an_example_is_read_from_its_three_files() {
        let dir = Scratch::new("example");
        dir.write("examples/shop/demo.conf", CONF.as_bytes());
        dir.write("examples/shop/README.md", b"```sh\n$ curl a\n{}\n```\n");
        assert_eq!(Example::read(dir.path(), "shop").unwrap_err().to_string(), "envoy-configs/shop.yaml is missing");
        dir.write("envoy-configs/shop.yaml", b"");
        let example = Example::read(dir.path(), "shop").unwrap();
        assert_eq!(example.commands, ["curl a"]);
        assert_eq!(example.envoy_only, None);
        let addresses: Vec<_> = example.addresses().map(|(address, what)| format!("{address} {what}")).collect();
        assert_eq!(
            addresses,
            [
                "127.0.0.1:10000 the gateway's listener",
                "127.0.0.1:9901 the gateway's admin pages",
                "127.0.0.1:18081 v1"
            ]
        );
        dir.write("examples/shop/demo.conf", format!("envoy-only no retries here\n{CONF}").as_bytes());
        assert_eq!(Example::read(dir.path(), "shop").unwrap().envoy_only.as_deref(), Some("no retries here"));
        let text = Example::read(dir.path(), "shpo").unwrap_err().to_string();
        assert_eq!(text, "no example `shpo`; there is: shop");
    }

    #[test]
    fn what_the_readme_starts_is_not_waited_for() {
        let text = format!("{CONF}listener 127.0.0.1:10001\nservice counts 127.0.0.1:18091\n");
        let example = parse(&text, PathBuf::new(), Vec::new()).unwrap();
        let ports: Vec<u16> = example.addresses().map(|(address, _)| address.port()).collect();
        assert_eq!(ports, [10000, 9901, 10001, 18081]);
        assert_eq!(example.later().collect::<Vec<_>>(), [("127.0.0.1:18091".parse().unwrap(), "counts")]);
    }

    #[test]
    fn providers_may_stand_in_place_of_upstreams() {
        let text = "listener 127.0.0.1:1\nadmin 127.0.0.1:2\nprovider openai 127.0.0.1:3\n";
        let example = parse(text, PathBuf::new(), Vec::new()).unwrap();
        assert_eq!(example.addresses().last(), Some(("127.0.0.1:3".parse().unwrap(), "openai")));
    }

    #[test]
    fn mistakes_in_the_file_are_named_with_their_line() {
        for (text, expected) in [
            ("listener here", "line 1: here is no IP:PORT"),
            (
                "\nenvoy-only",
                "line 2: expected `listener IP:PORT`, `admin IP:PORT`, `upstream NAME IP:PORT`, `provider NAME IP:PORT`, `service NAME \
                 IP:PORT` or `envoy-only REASON`",
            ),
            ("listener 127.0.0.1:1", "no upstream and no provider"),
            ("upstream a 127.0.0.1:1\nadmin 127.0.0.1:2", "no listener"),
        ] {
            assert_eq!(parse(text, PathBuf::new(), Vec::new()).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn only_commands_in_code_blocks_are_taken() {
        let readme = "Use curl like this:\n$ curl not-this\n```text\ncurl -> gateway\n```\n```console\n$ curl one\noutput\n$ curl -H 'a: b' \\\n    two\n```\n\
            ```sh\ncurl three\n```\ncurl nor-this\n";
        assert_eq!(curls(readme), ["curl one", "curl -H 'a: b' \\\n      two", "curl three"]);
    }
}
