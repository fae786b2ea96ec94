//! The embedded gateway: serves an Envoy bootstrap over HTTP/1.1 with the wasm host of this crate.
//!
//! [`start`] takes a [`Bootstrap`] and serves it until [`Running::stop`]. As in Envoy, every worker thread has its own
//! VMs; connections are handed to the threads in turn. A new configuration is built and started beside the old one, and
//! only when every thread has it do new requests go there; requests under way finish where they began.

mod access;
mod admin;
pub mod bootstrap;
mod callouts;
mod clusters;
mod exchange;
mod forwarded;
mod generation;
mod grpc;
mod head;
mod http2;
mod log;
mod mirror;
mod normalize;
mod pipe;
mod redirect;
mod report;
mod retry;
mod route;
mod site;
mod stats;
mod supervisor;
mod thread;
mod words;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::LocalSet;

pub use bootstrap::{Bootstrap, InvalidBootstrap};
pub use log::{Level, Log};
pub(crate) use mirror::shadow_host;

use generation::{Generation, Modules};
use supervisor::{Ask, Shared, Supervisor};

use crate::{Clock, Host};

/// How the gateway runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads, each with its own VMs.
    pub concurrency: usize,
    /// The file that the bootstrap came from; needed for reloads.
    pub file: Option<PathBuf>,
    /// How often the file and the modules are looked at for changes; `None` never.
    pub watch: Option<Duration>,
    /// How long requests may go on after the gateway was told to stop.
    pub drain: Duration,
    /// Where log lines go.
    pub log: Log,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: std::thread::available_parallelism().map_or(1, usize::from),
            file: None,
            watch: None,
            drain: Duration::from_secs(10),
            log: Log::standard(Level::Info),
        }
    }
}

/// A gateway that runs. Dropping it stops it too.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    asks: mpsc::UnboundedSender<Ask>,
    thread: Option<std::thread::JoinHandle<()>>,
    admin: Option<SocketAddr>,
}

/// Starts the gateway and returns when it listens.
///
/// # Errors
/// When a module does not load or refuses its configuration, or an address cannot be listened on: one text for people.
pub fn start(bootstrap: Bootstrap, options: Options) -> Result<Running, String> {
    let log = options.log.clone();
    let sink = log.clone();
    let host = Host::new(Clock::real(), generation::random()).with_log_sink(Box::new(move |record| sink.guest(record)));
    let host = Arc::new(host);
    let stats = Arc::new(stats::Stats::default());
    let concurrency = options.concurrency.max(1);
    stats.gauge("server.live").set(1);
    stats.gauge("server.concurrency").set(u64::try_from(concurrency).unwrap_or(u64::MAX));
    let mut modules = Modules::default();
    // Callouts made while a plugin starts must find their clusters.
    host.set_clusters(bootstrap.clusters.iter().map(|cluster| cluster.name.clone()));
    let generation = Arc::new(Generation::build(bootstrap, 1, &mut modules, &host, &stats)?);
    for note in &generation.bootstrap.notes {
        log.line(Level::Warning, &note.to_string());
    }
    let admin_listener = match generation.bootstrap.admin {
        None => None,
        Some(address) => Some(
            std::net::TcpListener::bind(address)
                .map_err(|error| format!("cannot listen on {address} (admin): {error}"))?,
        ),
    };
    let admin = admin_listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let shared = Arc::new(Shared {
        host,
        stats,
        log,
        current: RwLock::new(generation.clone()),
        modules: Mutex::new(modules),
        concurrency,
        started: Instant::now(),
        stopping: false.into(),
        addresses: RwLock::default(),
    });
    let (asks, queue) = mpsc::unbounded_channel();
    let (ready, started) = std::sync::mpsc::channel();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let for_thread = shared.clone();
    let thread = std::thread::Builder::new().name("main_thread".to_owned()).spawn(move || {
        let local = LocalSet::new();
        runtime.block_on(local.run_until(main(for_thread, generation, options, admin_listener, queue, ready)));
    });
    let thread = thread.map_err(|error| error.to_string())?;
    let mut running = Running { shared, asks, thread: Some(thread), admin };
    match started.recv() {
        Ok(Ok(())) => Ok(running),
        Ok(Err(why)) => {
            running.end();
            Err(why)
        }
        Err(_) => Err("the main thread has ended".to_owned()),
    }
}

/// The main thread.
async fn main(
    shared: Arc<Shared>,
    generation: Arc<Generation>,
    options: Options,
    admin_listener: Option<std::net::TcpListener>,
    asks: mpsc::UnboundedReceiver<Ask>,
    ready: std::sync::mpsc::Sender<Result<(), String>>,
) {
    let threads: Result<Vec<_>, _> =
        (0..shared.concurrency).map(|number| thread::start(number, shared.host.clone(), shared.log.clone())).collect();
    let threads = match threads {
        Ok(threads) => threads,
        Err(error) => {
            let _ = ready.send(Err(format!("cannot start a thread: {error}")));
            return;
        }
    };
    let mut supervisor = Supervisor {
        shared: shared.clone(),
        threads: Rc::new(threads),
        file: options.file,
        watch: options.watch,
        drain: options.drain,
        acceptors: HashMap::new(),
        connections: Arc::default(),
    };
    let mut outcome = supervisor.begin(generation).await;
    if let (Ok(()), Some(listener)) = (&outcome, admin_listener) {
        let listener = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
        match listener {
            Ok(listener) => drop(tokio::task::spawn_local(admin::serve(listener, shared))),
            Err(error) => outcome = Err(format!("admin: {error}")),
        }
    }
    let failed = outcome.is_err();
    // `start` waits for this.
    let _ = ready.send(outcome);
    let (_keep, ended) = mpsc::unbounded_channel();
    if failed {
        drop(_keep);
        supervisor.run(ended).await;
    } else {
        supervisor.run(asks).await;
    }
}

impl Running {
    /// The listeners by name, with their real addresses.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.shared.addresses.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The address of the admin port.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The number of the configuration that serves: 1, and one more with every reload.
    pub fn configuration(&self) -> u64 {
        self.shared.generation().number
    }

    /// Reads the file again and serves what it says from now on.
    ///
    /// # Errors
    /// When the new configuration is refused; the old one goes on.
    pub fn reload(&self) -> Result<u64, String> {
        let (answer, outcome) = std::sync::mpsc::channel();
        let gone = || "the gateway has ended".to_owned();
        self.asks.send(Ask::Reload(answer)).map_err(|_| gone())?;
        outcome.recv().map_err(|_| gone())?
    }

    /// Stops accepting, lets requests finish within the drain time, ends all threads.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.asks.send(Ask::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
