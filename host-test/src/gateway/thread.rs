//! A worker thread: its connections and its VMs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_local};

use super::bootstrap::Action;
use super::clusters::ThreadCluster;
use super::exchange::{self, Beginning};
use super::forwarded;
use super::generation::Generation;
use super::head::{self, Refused};
use super::log::Log;
use super::pipe::{self, BrokenOff, Reader};
use super::site::Site;
use crate::{Attributes, Host, Worker};

/// How long a connection may wait for a request head, as Envoy's `idle_timeout`.
const IDLE_CONNECTION: Duration = Duration::from_secs(3600);
/// How long a listener that is gone serves connections that wait in a queue.
const RETIREMENT: Duration = Duration::from_secs(5);

/// Which listener a connection came in by: its configured address, and which of those with the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ListenerKey {
    pub(crate) address: SocketAddr,
    pub(crate) nth: usize,
}

impl ListenerKey {
    /// The keys of all listeners of a configuration, in their order.
    pub(crate) fn all(generation: &Generation) -> Vec<Self> {
        let mut seen: HashMap<SocketAddr, usize> = HashMap::new();
        let addresses = generation.bootstrap.listeners.iter().map(|listener| listener.address);
        addresses
            .map(|address| {
                let count = seen.entry(address).or_default();
                *count += 1;
                Self { address, nth: *count }
            })
            .collect()
    }
}

/// A connection for the thread.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) client: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) listener: ListenerKey,
    pub(crate) id: u64,
}

/// What the supervisor asks of a thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Start the VMs of a new generation beside the one that serves.
    Prepare(Arc<Generation>, oneshot::Sender<Result<(), String>>),
    /// New requests go to the prepared generation.
    Commit,
    /// The prepared generation is not wanted.
    Abandon,
    /// Finish what is under way within this time, then end.
    Stop(Duration),
}

/// The ends of a thread that the supervisor holds.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) connections: mpsc::Sender<Accepted>,
    pub(crate) thread: std::thread::JoinHandle<()>,
}

/// Starts a thread.
pub(crate) fn start(number: usize, host: Arc<Host>, log: Log) -> std::io::Result<Handle> {
    let (commands, command_queue) = mpsc::unbounded_channel();
    let (connections, connection_queue) = mpsc::channel(64);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(format!("worker_{number}")).spawn(move || {
        let local = LocalSet::new();
        let thread = Thread::new(host, log);
        runtime.block_on(local.run_until(thread.run(command_queue, connection_queue)));
    })?;
    Ok(Handle { commands, connections, thread })
}

type Sites = HashMap<ListenerKey, Rc<Site>>;

struct Thread {
    host: Arc<Host>,
    log: Log,
    sites: RefCell<Sites>,
    prepared: RefCell<Option<Sites>>,
    /// Listeners that are gone, for connections that were accepted but not taken yet.
    retired: RefCell<Sites>,
    open: Cell<usize>,
    stopping: watch::Sender<bool>,
    connection_ended: tokio::sync::Notify,
}

impl Thread {
    fn new(host: Arc<Host>, log: Log) -> Rc<Self> {
        Rc::new(Self {
            host,
            log,
            sites: RefCell::default(),
            prepared: RefCell::default(),
            retired: RefCell::default(),
            open: Cell::new(0),
            stopping: watch::Sender::new(false),
            connection_ended: tokio::sync::Notify::new(),
        })
    }

    async fn run(
        self: Rc<Self>,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut connections: mpsc::Receiver<Accepted>,
    ) {
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Prepare(generation, answer)) => {
                        // Nobody waits for the answer when the gateway is going down.
                        let _ = answer.send(self.prepare(generation));
                    }
                    Some(Command::Commit) => {
                        self.commit();
                    }
                    Some(Command::Abandon) => drop(self.prepared.take()),
                    Some(Command::Stop(within)) => {
                        // What was accepted is served.
                        while let Ok(accepted) = connections.try_recv() {
                            self.accept(accepted);
                        }
                        return self.drain(within).await;
                    }
                    None => return,
                },
                Some(accepted) = connections.recv() => self.accept(accepted),
            }
        }
    }

    fn prepare(&self, generation: Arc<Generation>) -> Result<(), String> {
        let clusters = generation
            .clusters
            .iter()
            .map(|state| (state.config.name.clone(), Rc::new(ThreadCluster::new(state.clone()))))
            .collect::<HashMap<_, _>>();
        let clusters = Rc::new(clusters);
        let mut sites = Sites::new();
        for (index, key) in ListenerKey::all(&generation).into_iter().enumerate() {
            let (Some(chain), Some(stats)) = (generation.chains.get(index), generation.http_stats.get(index)) else {
                continue;
            };
            let worker = Worker::start(self.host.clone(), chain).map_err(|error| error.to_string())?;
            let site = Site::new(generation.clone(), index, worker, clusters.clone(), stats.clone(), self.log.clone());
            sites.insert(key, site);
        }
        *self.prepared.borrow_mut() = Some(sites);
        Ok(())
    }

    fn commit(self: &Rc<Self>) {
        let Some(sites) = self.prepared.take() else { return };
        let old = self.sites.replace(sites);
        let retired: Sites = old.into_iter().filter(|(key, _)| !self.sites.borrow().contains_key(key)).collect();
        if !retired.is_empty() {
            self.retired.borrow_mut().extend(retired);
            let thread = self.clone();
            spawn_local(async move {
                tokio::time::sleep(RETIREMENT).await;
                thread.retired.take();
            });
        }
    }

    /// The site that serves new requests of a listener.
    fn site(&self, key: ListenerKey) -> Option<Rc<Site>> {
        let current = self.sites.borrow().get(&key).cloned();
        current.or_else(|| self.retired.borrow().get(&key).cloned())
    }

    fn accept(self: &Rc<Self>, accepted: Accepted) {
        self.open.set(self.open.get() + 1);
        let thread = self.clone();
        spawn_local(async move {
            thread.clone().serve(accepted).await;
            thread.open.set(thread.open.get() - 1);
            thread.connection_ended.notify_one();
        });
    }

    async fn serve(self: Rc<Self>, accepted: Accepted) {
        let Some(first) = self.site(accepted.listener) else { return };
        let stream =
            accepted.stream.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(accepted.stream));
        let Ok(stream) = stream else { return };
        // Without it small answers are late, not wrong.
        let _ = stream.set_nodelay(true);
        let stats = first.stats.clone();
        stats.cx_total.inc();
        stats.listener_cx_total.inc();
        let _active = (stats.cx_active.hold(), stats.listener_cx_active.hold());
        // A little more than the limit, so that heads just beyond it get Envoy's words.
        let head_limit = (first.listener().map_or(60, |listener| listener.http.max_request_headers_kb) + 4) * 1024;
        let peer =
            Peer { client: accepted.client, local: accepted.local, id: accepted.id, listener: accepted.listener };
        let last = Rc::new(RefCell::new(first));
        let thread = self.clone();
        let service = service_fn(move |request| thread.clone().answer(peer, last.clone(), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_CONNECTION)
            .max_buf_size(head_limit)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut stopping = self.stopping.subscribe();
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            _ = stopping.wait_for(|stopping| *stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if outcome.is_err_and(|error| error.is_parse()) {
            stats.cx_protocol_error.inc();
        }
    }

    /// Answers one request of a connection.
    fn answer(
        self: Rc<Self>,
        peer: Peer,
        last: Rc<RefCell<Rc<Site>>>,
        request: http::Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<Reader>, BrokenOff>> {
        // The generation of this moment; a listener that is gone finishes on the one that it had.
        if let Some(site) = self.site(peer.listener) {
            last.replace(site);
        }
        let site = last.borrow().clone();
        async move {
            site.stats.rq_total.inc();
            let (parts, body) = request.into_parts();
            let Some(listener) = site.listener() else { return Err(BrokenOff) };
            let buffer_limit = listener.buffer_limit;
            let headers = match head::from_client(&parts, &listener.http, peer.client, peer.local.port()) {
                Ok(headers) => headers,
                Err(refused) => {
                    site.stats.answered(refused.status.as_u16());
                    return Ok(refusal(refused, &listener.http.server_name));
                }
            };
            // by the head that came: filters have not seen it yet
            let route = listener.http.routes.find(&headers).map(|(_, route)| route);
            let request_buffer_limit = route.and_then(|route| route.request_limit);
            let idle_timeout = route.and_then(|route| match &route.action {
                Action::Proxy(proxy) => proxy.idle_timeout,
                Action::Redirect(_) | Action::Respond { .. } => None,
            });
            let attributes = Attributes {
                source_address: forwarded::source(&headers, &listener.http, peer.client),
                destination_address: peer.local.to_string(),
                protocol: "HTTP/1.1".to_owned(),
                connection_id: peer.id,
                node: (site.generation.bootstrap.node_id.clone(), site.generation.bootstrap.node_cluster.clone()),
                route: Some(site.resolver.clone()),
                buffer_limit,
                request_buffer_limit,
                ..Attributes::default()
            };
            let (head, answered) = oneshot::channel();
            spawn_local(exchange::run(site, Beginning { headers, body, attributes, idle_timeout, head }));
            answered.await.map_err(|_| BrokenOff)
        }
    }

    /// Lets connections finish, at most for `within`.
    async fn drain(self: Rc<Self>, within: Duration) {
        self.stopping.send_replace(true);
        let all_ended = async {
            while self.open.get() > 0 {
                self.connection_ended.notified().await;
            }
        };
        // What is not finished by then is cut off.
        let _ = tokio::time::timeout(within, all_ended).await;
    }
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    client: SocketAddr,
    local: SocketAddr,
    id: u64,
    listener: ListenerKey,
}

fn refusal(refused: Refused, server: &str) -> http::Response<Reader> {
    let body = if refused.body.is_empty() {
        Reader::empty()
    } else {
        let (sender, reader) = pipe::pipe();
        sender.push(refused.body.into());
        sender.finish();
        reader
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = refused.status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_LENGTH, refused.body.len().into());
    if !refused.body.is_empty() {
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    }
    if let Ok(server) = http::HeaderValue::from_str(server) {
        headers.insert(http::header::SERVER, server);
    }
    headers.insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    response
}
