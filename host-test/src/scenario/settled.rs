//! The rate limit service of the `envoy` runner, and when nothing is under way any more.

use super::format::{File, Scenario};
use super::service::NOW;
use rate_limit_service::{Call, Clock, Server, Service, reserve};
use std::io;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

/// What a file says of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no such cluster.
    None,
    /// There is, and nobody listens.
    Gone,
    /// There is one.
    There,
}

impl Kind {
    /// That of a file.
    pub fn of(file: &File) -> Self {
        match &file.rate_limit_service {
            None => Self::None,
            Some(config) if config.gone => Self::Gone,
            Some(_) => Self::There,
        }
    }
}

/// The service that an Envoy knows.
pub enum Served {
    None,
    /// The port is held as long as the socket.
    Gone(#[allow(dead_code)] TcpSocket, u16),
    There(Server),
}

impl Served {
    /// For files of one kind.
    pub fn start(scenarios: &[&Scenario]) -> io::Result<Self> {
        let Some(file) = scenarios.first().map(|scenario| &scenario.file) else { return Ok(Self::None) };
        let Some(config) = &file.rate_limit_service else { return Ok(Self::None) };
        if config.gone {
            let (socket, address) = reserve()?;
            return Ok(Self::Gone(socket, address.port()));
        }
        let service = Service::new(config.clone()).map_err(io::Error::other)?;
        Server::start(service, Clock::Fixed(NOW), 0).map(Self::There)
    }

    /// Where the cluster's server is.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::None => None,
            Self::Gone(_, port) => Some(*port),
            Self::There(server) => Some(server.address.port()),
        }
    }

    /// A case of this file begins.
    pub fn reset(&self, file: &File) -> Result<(), String> {
        match (self, &file.rate_limit_service) {
            (Self::There(server), Some(config)) => server.reset(config.clone()).map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }

    /// What came in since then.
    pub fn calls(&self) -> Vec<Call> {
        match self {
            Self::There(server) => server.calls(),
            _ => Vec::new(),
        }
    }
}

/// Waits until the numbers of what is under way are zero. The second look is for what one that has just become zero has started.
pub fn settle(bound: Duration, stats: impl Fn() -> Result<Vec<u8>, String>) -> Result<(), String> {
    let (begin, mut quiet) = (Instant::now(), 0);
    loop {
        let text = stats()?;
        let text = String::from_utf8_lossy(&text);
        let busy = text.lines().filter(|line| !line.starts_with("http.admin.") && !line.ends_with(": 0"));
        let busy: Vec<&str> = busy.collect();
        quiet = if busy.is_empty() { quiet + 1 } else { 0 };
        if quiet >= 2 {
            return Ok(());
        }
        if begin.elapsed() > bound {
            return Err(format!("still under way: {}", busy.join(", ")));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
