//! The command line.

use std::net::SocketAddr;

/// How to call this program.
pub const USAGE: &str = "usage: demo-upstream --serve NAME=IP:PORT [--serve NAME=IP:PORT ...]";

/// One service to play.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// The name in its answers.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Reads the arguments after the program's name.
pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Vec<Service>, String> {
    let mut services = Vec::new();
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--serve=") {
            Some(value) => value.to_owned(),
            None if argument == "--serve" => arguments.next().ok_or("--serve needs a value")?,
            None => return Err(format!("unknown argument {argument}")),
        };
        let (name, address) = value.split_once('=').ok_or_else(|| format!("--serve {value}: expected NAME=IP:PORT"))?;
        let address = address.parse().map_err(|_| format!("--serve {value}: {address} is no IP:PORT"))?;
        services.push(Service { name: name.to_owned(), address });
    }
    if services.is_empty() {
        return Err("nothing to serve".to_owned());
    }
    Ok(services)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Vec<Service>, String> {
        parse(arguments.iter().map(|&argument| argument.to_owned()))
    }

    #[test]
    fn services_are_read_in_both_spellings() {
        let service = |name: &str, address: &str| Service { name: name.to_owned(), address: address.parse().unwrap() };
        assert_eq!(
            read(&["--serve", "v1=127.0.0.1:18081", "--serve=v2=[::1]:0"]),
            Ok(vec![service("v1", "127.0.0.1:18081"), service("v2", "[::1]:0")])
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (arguments, expected) in [
            (&[][..], "nothing to serve"),
            (&["--serve"], "--serve needs a value"),
            (&["--port", "1"], "unknown argument --port"),
            (&["--serve", "v1"], "--serve v1: expected NAME=IP:PORT"),
            (&["--serve", "v1=localhost"], "--serve v1=localhost: localhost is no IP:PORT"),
        ] {
            assert_eq!(read(arguments), Err(expected.to_owned()));
        }
    }
}
