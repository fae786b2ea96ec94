//! `rate-limit-service --listen 127.0.0.1:8081 --config limits.yaml`

use clap::Parser;
use rate_limit_service::{Clock, Config, Server, Service};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A rate limit service (envoy.service.ratelimit.v3) for tests and demonstrations: it counts in memory, and fails on demand.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Where to listen; only on the loopback.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// File with the limits, YAML.
    #[arg(long)]
    config: PathBuf,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("rate-limit-service: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    if options.listen.ip() != std::net::Ipv4Addr::LOCALHOST {
        return Err(format!("{}: expected an address 127.0.0.1:PORT", options.listen));
    }
    let service = Service::new(read(&options.config)?).map_err(|error| error.to_string())?;
    let server = Server::start(service, Clock::System, options.listen.port())
        .map_err(|error| format!("{}: {error}", options.listen))?;
    println!("listening on {}", server.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(ended()).map_err(|error| error.to_string())
}

/// Until the process is told to end.
async fn ended() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn read(path: &Path) -> Result<Config, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_saphyr::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}
