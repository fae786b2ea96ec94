//! The clusters of a running configuration: their addresses now, and connections to them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::bootstrap::{Cluster, Discovery, Endpoint, LookupFamily};
use super::http2;
use super::pipe::Reader;
use super::stats::{ClusterStats, Held, Stats};
use super::words::Failure;

/// Idle connections that a thread keeps per endpoint.
const MAX_IDLE: usize = 64;
/// Largest response head in bytes, as in Envoy.
pub(super) const MAX_HEAD_BYTES: usize = 60 * 1024;

/// A cluster, for all threads.
#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(crate) config: Cluster,
    addresses: RwLock<Arc<[SocketAddr]>>,
    pub(crate) stats: ClusterStats,
}

impl ClusterState {
    /// A cluster; host names are not resolved yet.
    pub(crate) fn new(config: Cluster, stats: &Arc<Stats>) -> Self {
        let stats = ClusterStats::new(stats, &config.name);
        let addresses: Arc<[SocketAddr]> = match config.discovery {
            Discovery::Static => config
                .endpoints
                .iter()
                .filter_map(|endpoint| Some(SocketAddr::new(endpoint.host.parse::<IpAddr>().ok()?, endpoint.port)))
                .collect(),
            Discovery::StrictDns | Discovery::LogicalDns => Arc::new([]),
        };
        stats.membership.set(addresses.len() as u64);
        Self { config, addresses: RwLock::new(addresses), stats }
    }

    /// Whether there is an endpoint now.
    pub(crate) fn has_hosts(&self) -> bool {
        !self.addresses().is_empty()
    }

    fn addresses(&self) -> Arc<[SocketAddr]> {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks DNS once. A name that cannot be resolved keeps the addresses that it had.
    pub(crate) async fn resolve(&self) {
        if self.config.discovery == Discovery::Static || self.config.tls {
            return;
        }
        self.stats.update_attempt.inc();
        let mut found = Vec::new();
        for endpoint in &self.config.endpoints {
            match look_up(endpoint, self.config.lookup).await {
                Some(mut addresses) => {
                    if self.config.discovery == Discovery::LogicalDns {
                        addresses.truncate(1);
                    }
                    found.extend(addresses);
                }
                None => {
                    self.stats.update_failure.inc();
                    return;
                }
            }
        }
        self.stats.update_success.inc();
        self.stats.membership.set(found.len() as u64);
        *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = found.into();
    }
}

async fn look_up(endpoint: &Endpoint, family: LookupFamily) -> Option<Vec<SocketAddr>> {
    let found: Vec<_> = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await.ok()?.collect();
    let (v4, v6): (Vec<_>, Vec<_>) = found.into_iter().partition(SocketAddr::is_ipv4);
    Some(match family {
        LookupFamily::V4Only => v4,
        LookupFamily::V6Only => v6,
        LookupFamily::Auto if v6.is_empty() => v4,
        LookupFamily::Auto => v6,
        LookupFamily::V4Preferred if v4.is_empty() => v6,
        LookupFamily::V4Preferred => v4,
        LookupFamily::All => v4.into_iter().chain(v6).collect(),
    })
}

/// A cluster as one thread uses it: its turn in the round robin and its connections.
#[derive(Debug)]
pub(crate) struct ThreadCluster {
    pub(crate) state: Arc<ClusterState>,
    turn: Cell<usize>,
    /// How many copies of requests are under way to it.
    pub(crate) copies: Rc<Cell<usize>>,
    /// How many gRPC callouts are under way to it.
    pub(super) calls: Cell<usize>,
    idle: RefCell<HashMap<SocketAddr, Vec<Connection>>>,
    pub(super) http2: http2::Connections,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Reader>,
}

/// A connection while a response comes over it.
#[derive(Debug)]
pub(crate) struct Lease {
    cluster: Rc<ThreadCluster>,
    pub(crate) address: SocketAddr,
    /// None for HTTP/2, whose connections are shared.
    connection: Option<Connection>,
}

impl ThreadCluster {
    pub(crate) fn new(state: Arc<ClusterState>) -> Self {
        Self {
            state,
            turn: Cell::new(0),
            copies: Rc::default(),
            calls: Cell::new(0),
            idle: RefCell::default(),
            http2: Default::default(),
        }
    }

    /// The next endpoint.
    pub(crate) fn pick(&self) -> Option<SocketAddr> {
        let addresses = self.state.addresses();
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        addresses.get(turn.checked_rem(addresses.len())?).copied()
    }

    /// Sends a request to `address` and waits for the head of the answer.
    pub(crate) async fn send(
        self: Rc<Self>,
        address: SocketAddr,
        request: http::Request<Reader>,
    ) -> Result<(http::Response<Incoming>, Lease), Failure> {
        self.send_watched(address, request, &Notify::new()).await
    }

    /// Does the same and tells when there is a connection.
    pub(crate) async fn send_watched(
        self: Rc<Self>,
        address: SocketAddr,
        mut request: http::Request<Reader>,
        connected: &Notify,
    ) -> Result<(http::Response<Incoming>, Lease), Failure> {
        if self.state.config.tls {
            return Err(Failure::Tls);
        }
        if self.state.config.http2 {
            let response = http2::send(&self, address, request, connected).await?;
            return Ok((response, Lease { cluster: self, address, connection: None }));
        }
        loop {
            let idle = self.take_idle(address);
            let fresh = idle.is_none();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.connect(address).await?,
            };
            self.state.stats.rq_total.inc();
            connected.notify_one();
            match connection.sender.try_send_request(request).await {
                Ok(response) if is_refused(&response) => {
                    self.state.stats.cx_protocol_error.inc();
                    return Err(Failure::NotHttp);
                }
                Ok(response) => return Ok((response, Lease { cluster: self, address, connection: Some(connection) })),
                Err(mut error) => match error.take_message() {
                    // The kept connection had ended and nothing was sent: the next one.
                    Some(unsent) if !fresh => request = unsent,
                    _ if error.error().is_parse() => {
                        self.state.stats.cx_protocol_error.inc();
                        return Err(Failure::NotHttp);
                    }
                    _ => return Err(Failure::Ended),
                },
            }
        }
    }

    fn take_idle(&self, address: SocketAddr) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(&address)?;
        while let Some(connection) = kept.pop() {
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    /// Opens a connection, and counts it for as long as what comes with it is held.
    pub(super) async fn open(&self, address: SocketAddr) -> Result<(TcpStream, Held), Failure> {
        let stats = &self.state.stats;
        let connecting = tokio::time::timeout(self.state.config.connect_timeout, TcpStream::connect(address));
        let stream = match connecting.await {
            Err(_) => {
                stats.cx_connect_fail.inc();
                stats.cx_connect_timeout.inc();
                return Err(Failure::ConnectTimeout);
            }
            Ok(Err(_)) => {
                stats.cx_connect_fail.inc();
                return Err(Failure::Connect);
            }
            Ok(Ok(stream)) => stream,
        };
        // Small writes must not wait for acknowledgements; without it things are slower, not wrong.
        let _ = stream.set_nodelay(true);
        stats.cx_total.inc();
        Ok((stream, stats.cx_active.hold()))
    }

    async fn connect(&self, address: SocketAddr) -> Result<Connection, Failure> {
        let (stream, held) = self.open(address).await?;
        let handshake = http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|_| Failure::Connect)?;
        tokio::task::spawn_local(async move {
            // Its errors reach the request that is under way.
            let _ = connection.await;
            drop(held);
        });
        Ok(Connection { sender })
    }
}

/// Heads that Envoy's codec does not take.
fn is_refused(response: &http::Response<Incoming>) -> bool {
    let size: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    response.status() == http::StatusCode::SWITCHING_PROTOCOLS || size > MAX_HEAD_BYTES
}

impl Lease {
    /// The response is complete: the connection may serve the next request.
    pub(crate) fn give_back(self) {
        let Self { cluster, address, connection } = self;
        let Some(mut connection) = connection else { return };
        tokio::task::spawn_local(async move {
            if connection.sender.ready().await.is_ok() {
                let mut idle = cluster.idle.borrow_mut();
                let kept = idle.entry(address).or_default();
                kept.retain(|other| !other.sender.is_closed());
                if kept.len() < MAX_IDLE {
                    kept.push(connection);
                }
            }
        });
    }
}
