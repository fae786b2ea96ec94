//! The load: HTTP/2 without TLS, two connections of twenty streams.

use super::listener::Variant;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 2;
const STREAMS: usize = 20;
/// Headers beside the pseudo headers, and the length of each value.
const HEADERS: usize = 19;
/// Longest time that one round may take.
const BOUND: Duration = Duration::from_secs(60);

/// Sends `requests` requests of this variant and waits for their answers.
pub fn run(port: u16, variant: &Variant, requests: usize) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let request = request(variant)?;
    let all = async {
        let mut lanes = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(|e| e.to_string())?;
            socket.set_nodelay(true).map_err(|e| e.to_string())?;
            let (client, connection) = h2::client::handshake(socket).await.map_err(|e| e.to_string())?;
            tokio::spawn(connection);
            for _ in 0..STREAMS {
                lanes.spawn(lane(client.clone(), request.clone(), requests / (CONNECTIONS * STREAMS)));
            }
        }
        while let Some(lane) = lanes.join_next().await {
            lane.map_err(|e| e.to_string())??;
        }
        Ok(())
    };
    runtime.block_on(async { tokio::time::timeout(BOUND, all).await.map_err(|_| "the load took too long".to_owned())? })
}

/// Requests one after the other.
async fn lane(client: SendRequest<Bytes>, request: Request<()>, requests: usize) -> Result<(), String> {
    for _ in 0..requests {
        let mut client = client.clone().ready().await.map_err(|e| e.to_string())?;
        let (answer, _) = client.send_request(request.clone(), true).map_err(|e| e.to_string())?;
        let answer = answer.await.map_err(|e| e.to_string())?;
        if answer.status() != 200 {
            return Err(format!("expected status 200, got {}", answer.status()));
        }
        let mut body = answer.into_body();
        while let Some(piece) = body.data().await {
            let size = piece.map_err(|e| e.to_string())?.len();
            body.flow_control().release_capacity(size).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

fn request(variant: &Variant) -> Result<Request<()>, String> {
    let (name, value) = (variant.header.0, variant.header.1.as_str());
    let mut request = Request::get(format!("http://bench.local{}", variant.path)).header(name, value);
    for number in 0..HEADERS {
        request = request.header(format!("x-bench-{number}"), "twenty bytes of text");
    }
    request.body(()).map_err(|e| e.to_string())
}
