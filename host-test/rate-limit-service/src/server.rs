//! The service on a port of this machine.

use crate::call::Call;
use crate::codec::Bytes;
use crate::config::{Config, InvalidConfig};
use crate::service::{Answer, Outcome, Service};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rate_limit_protocol::{METHOD, SERVICE};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

/// What time it is for the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// That of the machine.
    System,
    /// Always so long after 1970: no window ever ends.
    Fixed(Duration),
}

impl Clock {
    fn now(self) -> Duration {
        match self {
            Self::System => SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
            Self::Fixed(now) => now,
        }
    }
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Shared,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug, Clone)]
struct Shared {
    service: Arc<Mutex<Service>>,
    clock: Clock,
}

impl Shared {
    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port of the loopback that is taken, and on which nobody listens: connections are refused as long as the socket is kept.
///
/// # Errors
/// If there is none.
pub fn reserve() -> io::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

impl Server {
    /// Starts one on the loopback; port 0 is any free one.
    ///
    /// # Errors
    /// If the port cannot be had. A service that is gone has none.
    pub fn start(service: Service, clock: Clock, port: u16) -> io::Result<Self> {
        if service.is_gone() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "gone: true: nobody is to listen"));
        }
        let shared = Shared { service: Arc::new(Mutex::new(service)), clock };
        let mut server = Self { address: (Ipv4Addr::LOCALHOST, port).into(), shared, running: None };
        server.restart()?;
        Ok(server)
    }

    /// Listens again on the same port after [`Server::stop`], with what was counted before; nothing happens if it still listens.
    ///
    /// # Errors
    /// If somebody else has the port now.
    pub fn restart(&mut self) -> io::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        let context = runtime.enter();
        let listener = socket.listen(1024)?;
        drop(context);
        self.address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name("rate-limit-service".to_owned());
        let thread = thread.spawn(move || {
            // connections end with the runtime
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        })?;
        self.running = Some((stop, thread));
        Ok(())
    }

    /// The listener and all connections end. Nothing happens if it has stopped.
    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            // a thread that has ended on its own has nobody to tell
            let _ = stop.send(());
            let _ = thread.join();
        }
    }

    /// Begins anew with another configuration: no counts, no calls.
    ///
    /// # Errors
    /// If the configuration cannot be meant.
    pub fn reset(&self, config: Config) -> Result<(), InvalidConfig> {
        *self.shared.service() = Service::new(config)?;
        Ok(())
    }

    /// What came in so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.service().calls().to_vec()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// HTTP/2 without tonic's own server: that would answer by itself when the time in `grpc-timeout` is over, before the client gives up.
async fn serve(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // out of sockets: those that are open may end
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // an answer is several writes: each would wait for the one before to be acknowledged
        let _ = stream.set_nodelay(true);
        let handler = Handler { shared: shared.clone(), end: Arc::default() };
        connections.spawn(connection(stream, handler));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, handler: Handler) {
    let end = Arc::clone(&handler.end);
    let service = hyper::service::service_fn(move |request| answer(handler.clone(), request));
    let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // with whatever error: the client is gone
        _ = serving => {}
        () = end.notified() => {}
    }
}

async fn answer(handler: Handler, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
    Ok(match path {
        Some((SERVICE, METHOD)) => Grpc::new(Bytes).unary(handler, request).await,
        _ => Status::unimplemented("there is only one method").into_http(),
    })
}

/// Answers the calls of one connection.
#[derive(Debug, Clone)]
struct Handler {
    shared: Shared,
    /// Ends it.
    end: Arc<Notify>,
}

impl UnaryService<Vec<u8>> for Handler {
    type Response = Vec<u8>;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Vec<u8>>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Vec<u8>>) -> Self::Future {
        let end = Arc::clone(&self.end);
        let Answer { after, outcome } = self.shared.service().answer(request.get_ref(), self.shared.clock.now());
        Box::pin(async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            match outcome {
                Outcome::Reply(message) => Ok(tonic::Response::new(message)),
                Outcome::Failed { code, message } => {
                    Err(Status::new(Code::from_i32(i32::try_from(code).unwrap_or(2)), message))
                }
                // until the client gives up, or the server stops
                Outcome::Hang => std::future::pending().await,
                Outcome::Drop => {
                    end.notify_one();
                    std::future::pending().await
                }
            }
        })
    }
}
