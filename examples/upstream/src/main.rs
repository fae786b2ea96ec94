//! `demo-upstream`: an HTTP/1.1 server that answers with what it received.

mod echo;
mod options;
mod wishes;

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use options::Service;

fn main() -> ExitCode {
    let services = match options::parse(std::env::args().skip(1)) {
        Ok(services) => services,
        Err(why) => {
            eprintln!("demo-upstream: {why}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(services))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("demo-upstream: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Serves all of them until SIGTERM or SIGINT.
async fn serve(services: Vec<Service>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    for service in services {
        let listener = TcpListener::bind(service.address)
            .await
            .map_err(|why| io::Error::new(why.kind(), format!("{}: {why}", service.address)))?;
        // The real address: port 0 asks the system for a free one.
        writeln!(io::stdout(), "{} {}", service.name, listener.local_addr()?)?;
        tokio::spawn(accept(listener, service.name));
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn accept(listener: TcpListener, name: String) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(why) => {
                // Out of file descriptors, for example: clients that leave make room.
                eprintln!("demo-upstream: {name}: {why}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let name = name.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let name = name.clone();
                async move { Ok::<_, Infallible>(echo::answer(&name, request).await) }
            });
            // A client that breaks off is no fault of this server.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
