//! What stands behind Envoy where a direct response would not do: Envoy's own filter for a rate limit service looks at nothing else than routes
//! to clusters.

use bytes::Bytes;
use h2::server::SendResponse;
use http::Response;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};

/// Starts a server that answers every request with 200, as long as the process lives.
pub fn start() -> Result<SocketAddr, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let thread = std::thread::Builder::new().name("upstream".to_owned());
    thread
        .spawn(move || {
            runtime.block_on(async {
                while let Ok((socket, _)) = listener.accept().await {
                    // a connection that breaks off concerns nobody else: its requests fail in Envoy
                    tokio::spawn(async { drop(serve(socket).await) });
                }
            });
        })
        .map_err(|e| e.to_string())?;
    Ok(address)
}

async fn serve(socket: TcpStream) -> Result<(), h2::Error> {
    let _ = socket.set_nodelay(true);
    let mut connection = h2::server::handshake(socket).await?;
    while let Some(request) = connection.accept().await {
        let (_, answer) = request?;
        respond(answer)?;
    }
    Ok(())
}

fn respond(mut answer: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut body = answer.send_response(Response::new(()), false)?;
    body.send_data(Bytes::from_static(b"ok"), true)
}
