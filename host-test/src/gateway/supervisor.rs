//! The main thread: accepts connections, replaces the configuration, stops everything.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, spawn_local};

use super::bootstrap::{self, Bootstrap, Discovery};
use super::generation::{Generation, Modules};
use super::log::{Level, Log};
use super::stats::Stats;
use super::thread::{Accepted, Command, Handle, ListenerKey};
use crate::Host;

/// How long the first answers of DNS may take before listeners open without them.
const FIRST_RESOLUTION: Duration = Duration::from_secs(5);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// What the whole process shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host: Arc<Host>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) log: Log,
    pub(crate) current: RwLock<Arc<Generation>>,
    pub(crate) modules: Mutex<Modules>,
    pub(crate) concurrency: usize,
    pub(crate) started: std::time::Instant,
    pub(crate) stopping: std::sync::atomic::AtomicBool,
    pub(crate) addresses: RwLock<Vec<(String, SocketAddr)>>,
}

impl Shared {
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is asked of the supervisor.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Read the file again and serve what it says.
    Reload(std::sync::mpsc::Sender<Result<u64, String>>),
    /// Stop accepting, finish, end.
    Stop,
}

/// The supervisor's own state.
pub(crate) struct Supervisor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) threads: Rc<Vec<Handle>>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) watch: Option<Duration>,
    pub(crate) drain: Duration,
    pub(crate) acceptors: HashMap<ListenerKey, (SocketAddr, AbortHandle)>,
    pub(crate) connections: Arc<AtomicU64>,
}

/// What a file looked like.
type Signature = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

impl Supervisor {
    /// Starts serving `generation`.
    pub(crate) async fn begin(&mut self, generation: Arc<Generation>) -> Result<(), String> {
        let bound = self.bind(&generation)?;
        self.switch(&generation, bound).await
    }

    /// Runs until it is asked to stop.
    pub(crate) async fn run(mut self, mut asks: mpsc::UnboundedReceiver<Ask>) {
        let mut files = self.watched(&self.shared.generation().bootstrap);
        let (mut known, mut candidate) = (signature(&files), None);
        loop {
            let poll = async {
                match self.watch {
                    Some(period) => tokio::time::sleep(period).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(Ask::Reload(answer)) => {
                        let outcome = self.reload(&mut files).await;
                        known = signature(&files);
                        // The one who asked may be gone.
                        let _ = answer.send(outcome);
                    }
                    Some(Ask::Stop) | None => return self.stop().await,
                },
                () = poll => {
                    let seen = signature(&files);
                    // Two looks the same: nobody is writing any more.
                    let settled = candidate.as_ref() == Some(&seen);
                    if seen != known && settled {
                        let _ = self.reload(&mut files).await;
                        known = signature(&files);
                        candidate = None;
                    } else {
                        candidate = Some(seen);
                    }
                }
            }
        }
    }

    fn watched(&self, bootstrap: &Bootstrap) -> Vec<PathBuf> {
        let mut files: Vec<_> = self.file.iter().cloned().collect();
        files.extend(bootstrap.code_files());
        files
    }

    async fn reload(&mut self, files: &mut Vec<PathBuf>) -> Result<u64, String> {
        let outcome = self.try_reload(files).await;
        let counter = if outcome.is_ok() { "reload_success" } else { "reload_rejected" };
        self.shared.stats.counter(format!("sluice.{counter}")).inc();
        match &outcome {
            Ok(number) => self.shared.log.line(Level::Info, &format!("configuration {number} is serving")),
            Err(why) => {
                let number = self.shared.generation().number;
                let line = format!("new configuration rejected, configuration {number} goes on: {why}");
                self.shared.log.line(Level::Error, &line);
            }
        }
        outcome
    }

    async fn try_reload(&mut self, files: &mut Vec<PathBuf>) -> Result<u64, String> {
        let Some(file) = self.file.clone() else {
            return Err("the gateway was not started from a file".to_owned());
        };
        let current = self.shared.generation();
        let new = bootstrap::read(&file).map_err(|error| error.to_string())?;
        *files = self.watched(&new);
        // Files of the old configuration too: it may come back.
        files.extend(current.bootstrap.code_files());
        if new.admin != current.bootstrap.admin {
            return Err(format!("{}: admin.address cannot change without a restart", file.display()));
        }
        let number = current.number + 1;
        let shared = self.shared.clone();
        // Compiling takes its time; connections go on being accepted.
        let building = tokio::task::spawn_blocking(move || {
            let mut modules = shared.modules.lock().unwrap_or_else(PoisonError::into_inner);
            Generation::build(new, number, &mut modules, &shared.host, &shared.stats)
        });
        let generation = Arc::new(building.await.map_err(|error| error.to_string())??);
        let bound = self.bind(&generation)?;
        self.switch(&generation, bound).await?;
        for note in generation.bootstrap.notes.iter().filter(|note| !current.bootstrap.notes.contains(note)) {
            self.shared.log.line(Level::Warning, &note.to_string());
        }
        *files = self.watched(&generation.bootstrap);
        Ok(number)
    }

    /// Opens the listeners that are new.
    fn bind(&self, generation: &Generation) -> Result<Vec<(ListenerKey, TcpListener)>, String> {
        let keys = ListenerKey::all(generation).into_iter().filter(|key| !self.acceptors.contains_key(key));
        keys.map(|key| {
            let listener = listen(key.address).map_err(|error| format!("cannot listen on {}: {error}", key.address))?;
            Ok((key, listener))
        })
        .collect()
    }

    /// All threads prepare; only when all could, requests go to the new generation.
    async fn switch(
        &mut self,
        generation: &Arc<Generation>,
        bound: Vec<(ListenerKey, TcpListener)>,
    ) -> Result<(), String> {
        self.resolve(generation).await;
        let names = |generation: &Generation| -> Vec<String> {
            generation.bootstrap.clusters.iter().map(|cluster| cluster.name.clone()).collect()
        };
        // Until it is decided, guests of both may call out.
        let (old, new) = (names(&self.shared.generation()), names(generation));
        self.shared.host.set_clusters(old.iter().chain(&new).cloned());
        self.tell_hosts(generation);
        let mut answers = Vec::new();
        for thread in self.threads.iter() {
            let (answer, prepared) = oneshot::channel();
            // A thread that is gone does not answer.
            let _ = thread.commands.send(Command::Prepare(generation.clone(), answer));
            answers.push(prepared);
        }
        let mut outcome = Ok(());
        for prepared in answers {
            let one = prepared.await.unwrap_or_else(|_| Err("a worker thread has ended".to_owned()));
            outcome = outcome.and(one);
        }
        let command = || if outcome.is_ok() { Command::Commit } else { Command::Abandon };
        for thread in self.threads.iter() {
            let _ = thread.commands.send(command());
        }
        self.shared.host.set_clusters(if outcome.is_ok() { new } else { old });
        outcome?;
        self.tell_hosts(generation);
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = generation.clone();
        self.accept(generation, bound);
        Ok(())
    }

    fn accept(&mut self, generation: &Generation, bound: Vec<(ListenerKey, TcpListener)>) {
        let wanted = ListenerKey::all(generation);
        self.acceptors.retain(|key, (_, acceptor)| {
            let stays = wanted.contains(key);
            if !stays {
                acceptor.abort();
            }
            stays
        });
        for (key, listener) in bound {
            let address = listener.local_addr().unwrap_or(key.address);
            let acceptor = spawn_local(accept_all(
                key,
                listener,
                self.threads.clone(),
                self.connections.clone(),
                self.shared.log.clone(),
            ));
            self.acceptors.insert(key, (address, acceptor.abort_handle()));
        }
        let listeners = generation.bootstrap.listeners.iter();
        let addresses = wanted
            .iter()
            .zip(listeners)
            .filter_map(|(key, listener)| Some((listener.name.clone(), self.acceptors.get(key)?.0)))
            .collect();
        *self.shared.addresses.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// Lets guests' gRPC callouts know which clusters have an endpoint.
    fn tell_hosts(&self, generation: &Generation) {
        for cluster in &generation.clusters {
            self.shared.host.set_cluster_hosts(&cluster.config.name, cluster.has_hosts());
        }
    }

    /// The first look-up of every name, and those to come as long as the generation lives.
    async fn resolve(&self, generation: &Generation) {
        let mut first = Vec::new();
        for cluster in generation.clusters.iter().filter(|cluster| cluster.config.discovery != Discovery::Static) {
            let asked = cluster.clone();
            first.push(spawn_local(async move { asked.resolve().await }));
            let weak = Arc::downgrade(cluster);
            let pause = cluster.config.dns_refresh;
            let host = self.shared.host.clone();
            spawn_local(async move {
                loop {
                    tokio::time::sleep(pause).await;
                    let Some(cluster) = weak.upgrade() else { return };
                    cluster.resolve().await;
                    host.set_cluster_hosts(&cluster.config.name, cluster.has_hosts());
                }
            });
        }
        let all = async {
            for one in first {
                let _ = one.await;
            }
        };
        // A slow server must not keep the listeners closed.
        let _ = tokio::time::timeout(FIRST_RESOLUTION, all).await;
    }

    async fn stop(self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        for (_, acceptor) in self.acceptors.values() {
            acceptor.abort();
        }
        // Let the acceptors go before the threads that they feed.
        tokio::task::yield_now().await;
        for thread in self.threads.iter() {
            let _ = thread.commands.send(Command::Stop(self.drain));
        }
        for thread in self.threads.iter() {
            // Held up by a guest that computes for ever? Fuel ends that; wait in small steps.
            while !thread.thread.is_finished() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

async fn accept_all(
    key: ListenerKey,
    listener: TcpListener,
    threads: Rc<Vec<Handle>>,
    connections: Arc<AtomicU64>,
    log: Log,
) {
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: try again when some are free.
                log.line(Level::Warning, &format!("cannot accept on {}: {error}", key.address));
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(local) = stream.local_addr() else { continue };
        let Ok(stream) = stream.into_std() else { continue };
        let id = connections.fetch_add(1, Ordering::Relaxed);
        let count = u64::try_from(threads.len()).unwrap_or(1).max(1);
        let index = usize::try_from(id % count).unwrap_or(0);
        if let Some(thread) = threads.get(index) {
            // A thread that is behind makes the next connections wait in the kernel.
            let _ = thread.connections.send(Accepted { stream, client, local, listener: key, id }).await;
        }
    }
}

/// A listening socket.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn signature(files: &[PathBuf]) -> Signature {
    let look = |file: &PathBuf| {
        let data = std::fs::metadata(file).ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    files.iter().map(|file| (file.clone(), look(file))).collect()
}
