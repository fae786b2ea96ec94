//! `mock-providers --listen openai=127.0.0.1:18101 --listen anthropic=127.0.0.1:18102`

use clap::Parser;
use mock_providers::{Kind, Server};
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Mocks of AI providers on the loopback: no keys, no internet, the same answers every time.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// What to play, and where: `KIND=IP:PORT`, on the loopback; port 0 is any free one.
    #[arg(long, required = true, value_name = "KIND=IP:PORT", value_parser = listener)]
    listen: Vec<(Kind, SocketAddr)>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("mock-providers: {why}");
            ExitCode::FAILURE
        }
    }
}

fn listener(text: &str) -> Result<(Kind, SocketAddr), String> {
    let (kind, address) = text.split_once('=').ok_or("expected KIND=IP:PORT")?;
    let address = address.parse().map_err(|_| format!("{address} is no IP:PORT"))?;
    Ok((kind.parse()?, address))
}

fn run(options: &Options) -> std::io::Result<()> {
    let server = Server::start(&options.listen)?;
    let mut out = std::io::stdout();
    for (kind, address) in server.listeners() {
        writeln!(out, "{kind} on {address}")?;
    }
    out.flush()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(ended())
}

/// Until the process is told to end.
async fn ended() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
