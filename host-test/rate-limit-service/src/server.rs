//! The service on a port of this machine.

use crate::call::Call;
use crate::codec::Bytes;
use crate::config::{Config, InvalidConfig};
use crate::connection::{Connection, End};
use crate::service::{Answer, Outcome, Service};
use http::{Request, Response};
use rate_limit_protocol::{METHOD, SERVICE};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
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
        let handler = Handler { shared: self.shared.clone() };
        let thread = std::thread::Builder::new().name("rate-limit-service".to_owned());
        let thread = thread.spawn(move || {
            // connections end with the runtime
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, handler) => {}
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

async fn serve(listener: TcpListener, handler: Handler) {
    // a connection that breaks off while it is accepted is none
    let connections = TcpListenerStream::new(listener)
        .filter_map(|accepted| accepted.and_then(Connection::new).ok())
        .map(Ok::<_, io::Error>);
    // it ends only with an error of its own, and then nobody listens any more
    let _ = tonic::transport::Server::builder().serve_with_incoming(handler, connections).await;
}

/// Answers requests of any path.
#[derive(Debug, Clone)]
struct Handler {
    shared: Shared,
}

impl tower_service::Service<Request<Body>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move {
            let path = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
            Ok(match path {
                Some((SERVICE, METHOD)) => Grpc::new(Bytes).unary(handler, request).await,
                _ => Status::unimplemented("there is only one method").into_http(),
            })
        })
    }
}

impl UnaryService<Vec<u8>> for Handler {
    type Response = Vec<u8>;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Vec<u8>>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Vec<u8>>) -> Self::Future {
        let end = request.extensions().get::<End>().cloned();
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
                    if let Some(end) = end {
                        end.end();
                    }
                    std::future::pending().await
                }
            }
        })
    }
}
