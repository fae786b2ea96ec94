//! Providers on ports of this machine.

use crate::exchange::exchange;
use crate::kind::Kind;
use crate::record::{Record, Recorded};
use crate::socket::Socket;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Running mocks. They end when this is dropped.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug, Clone)]
struct Listener {
    kind: Kind,
    address: SocketAddr,
    record: Arc<Mutex<Record>>,
}

impl Server {
    /// Starts them; port 0 is any free one.
    ///
    /// # Errors
    /// If an address cannot be had, or is not on the loopback.
    pub fn start(providers: &[(Kind, SocketAddr)]) -> io::Result<Self> {
        let mut listeners = Vec::new();
        let mut sockets = Vec::new();
        for &(kind, address) in providers {
            let named = |why: io::Error| io::Error::new(why.kind(), format!("{kind}={address}: {why}"));
            if !address.ip().is_loopback() {
                return Err(named(io::Error::new(io::ErrorKind::InvalidInput, "expected an address of the loopback")));
            }
            let socket = std::net::TcpListener::bind(address).map_err(named)?;
            socket.set_nonblocking(true)?;
            let listener = Listener { kind, address: socket.local_addr()?, record: Arc::default() };
            listeners.push(listener.clone());
            sockets.push((socket, listener));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("mock-providers".to_owned()).spawn(move || {
            // connections end with the runtime
            runtime.block_on(async {
                for (socket, listener) in sockets {
                    match TcpListener::from_std(socket) {
                        Ok(socket) => drop(tokio::spawn(accept(socket, listener))),
                        Err(why) => eprintln!("mock-providers: {}: {why}", listener.kind),
                    }
                }
                let _ = stopped.await;
            });
        })?;
        Ok(Self { listeners, running: Some((stop, thread)) })
    }

    /// One of each of these, on any ports of the loopback.
    ///
    /// # Errors
    /// If there are no ports.
    pub fn of(kinds: &[Kind]) -> io::Result<Self> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start(&kinds.iter().map(|&kind| (kind, anywhere)).collect::<Vec<_>>())
    }

    /// What listens, and where.
    pub fn listeners(&self) -> impl Iterator<Item = (Kind, SocketAddr)> {
        self.listeners.iter().map(|listener| (listener.kind, listener.address))
    }

    /// Where one listens: the first, if there are several of the kind.
    pub fn address(&self, kind: Kind) -> Option<SocketAddr> {
        self.listener(kind).map(|listener| listener.address)
    }

    /// What that one received: the last 200 requests, oldest first.
    pub fn requests(&self, kind: Kind) -> Vec<Recorded> {
        let record = self.listener(kind).map(|listener| &listener.record);
        record.map(|record| record.lock().unwrap_or_else(PoisonError::into_inner).all()).unwrap_or_default()
    }

    /// Forgets what was received.
    pub fn clear(&self) {
        for listener in &self.listeners {
            listener.record.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// All listeners and connections end. Nothing happens if they have.
    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            // a thread that has ended on its own has nobody to tell
            let _ = stop.send(());
            let _ = thread.join();
        }
    }

    fn listener(&self, kind: Kind) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.kind == kind)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(socket: TcpListener, listener: Listener) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            // out of sockets: those that are open may end
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // an answer is several writes: each would wait for the one before to be acknowledged
        let _ = stream.set_nodelay(true);
        let breaks = Arc::new(AtomicBool::new(false));
        let (kind, record) = (listener.kind, Arc::clone(&listener.record));
        let io = TokioIo::new(Socket::new(stream, Arc::clone(&breaks)));
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let (record, breaks) = (Arc::clone(&record), Arc::clone(&breaks));
                async move { Ok::<_, Infallible>(exchange(kind, request, &record, breaks).await) }
            });
            // with whatever error: the client is gone, or the break was wished for
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}
