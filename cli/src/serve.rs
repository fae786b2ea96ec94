//! `sluice serve`: the embedded gateway on an Envoy bootstrap.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use host_test::gateway::{self, Level, Log, Options, Running, bootstrap};
use tokio::signal::unix::{SignalKind, signal};

/// Options of `sluice serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The Envoy bootstrap (YAML or JSON). Paths in it are relative to the working directory, as in Envoy.
    bootstrap: PathBuf,
    /// Worker threads, each with its own VMs [default: the number of cores].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: Option<u16>,
    /// How often the bootstrap and the modules are looked at for changes; 0 never.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 250)]
    watch_interval_ms: u64,
    /// How long requests may go on after SIGTERM or SIGINT.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    drain_time_s: u64,
    /// Least level of the lines on standard error.
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    log_level: LogLevel,
}

/// `--log-level`
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
            LogLevel::Critical => Self::Critical,
        }
    }
}

impl Serve {
    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When the bootstrap cannot be served.
    pub fn run(&self) -> Result<(), String> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        // Before anything is started, so that no signal is lost.
        let signals = runtime.block_on(async { Signals::new() }).map_err(|error| error.to_string())?;
        let bootstrap = bootstrap::read(&self.bootstrap).map_err(|error| error.to_string())?;
        let mut options = Options {
            file: Some(self.bootstrap.clone()),
            watch: (self.watch_interval_ms > 0).then(|| Duration::from_millis(self.watch_interval_ms)),
            drain: Duration::from_secs(self.drain_time_s),
            log: Log::standard(self.log_level.into()),
            ..Options::default()
        };
        if let Some(concurrency) = self.concurrency {
            options.concurrency = usize::from(concurrency);
        }
        let running =
            gateway::start(bootstrap, options).map_err(|why| format!("{}: {why}", self.bootstrap.display()))?;
        for (name, address) in running.addresses() {
            eprintln!("sluice: listener {name} on {address}");
        }
        if let Some(address) = running.admin() {
            eprintln!("sluice: admin on {address}");
        }
        runtime.block_on(signals.obey(&running));
        running.stop();
        Ok(())
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Reloads on SIGHUP; returns on SIGTERM and SIGINT.
    async fn obey(mut self, running: &Running) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                // A refused configuration is in the log.
                _ = self.hang_up.recv() => drop(running.reload()),
            }
        }
    }
}
