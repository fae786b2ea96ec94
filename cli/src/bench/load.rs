//! The load: HTTP/2 without TLS, two connections of twenty streams unless said otherwise.

use super::listener::Variant;
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderName, HeaderValue, Request};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 2;
const STREAMS: usize = 20;
/// Enough for every worker to get some.
const MANY_CONNECTIONS: usize = 16;
const FEW_STREAMS: usize = 4;
/// Headers beside the pseudo headers, and the length of each value.
const HEADERS: usize = 19;
/// Longest time that a load may take, and that each of its requests may add.
const BOUND: Duration = Duration::from_secs(60);
const BOUND_EACH: Duration = Duration::from_millis(1);

/// Sends `requests` requests of this variant and waits for their answers, which have to have the variant's status.
pub fn run(port: u16, variant: &Variant, requests: usize) -> Result<(), String> {
    let (expected, lanes) = (variant.status, CONNECTIONS * STREAMS);
    let bound = BOUND + BOUND_EACH * u32::try_from(requests).unwrap_or(u32::MAX);
    let all = on_lanes(port, variant, CONNECTIONS, STREAMS, move |mut lane| async move {
        for turn in 0..requests / lanes {
            let status = lane.send(turn * lanes).await?;
            if status != expected {
                return Err(format!("expected status {expected}, got {status}"));
            }
        }
        Ok(())
    });
    bounded(bound, all).map(drop)
}

/// Sends one request, whatever its answer is.
pub fn prime(port: u16, variant: &Variant) -> Result<(), String> {
    bounded(BOUND, on_lanes(port, variant, 1, 1, |mut lane| async move { lane.send(0).await })).map(drop)
}

/// What a stretch of load has met.
#[derive(Debug)]
pub struct Met {
    /// Requests answered with 200.
    pub admitted: u64,
    /// Requests answered with 429.
    pub refused: u64,
    /// From before the first request until behind the last answer.
    pub elapsed: Duration,
}

/// Sends as many requests as will go for so long, on many connections.
pub fn press(port: u16, variant: &Variant, how_long: Duration) -> Result<Met, String> {
    let begin = Instant::now();
    let lanes = on_lanes(port, variant, MANY_CONNECTIONS, FEW_STREAMS, move |mut lane| async move {
        let (mut admitted, mut refused, mut turn) = (0, 0, 0);
        while begin.elapsed() < how_long {
            match lane.send(turn).await? {
                200 => admitted += 1,
                429 => refused += 1,
                other => return Err(format!("expected status 200 or 429, got {other}")),
            }
            turn += 1;
        }
        Ok((admitted, refused))
    });
    let lanes = bounded(how_long + BOUND, lanes)?;
    let elapsed = begin.elapsed();
    let sum = |of: fn(&(u64, u64)) -> u64| lanes.iter().map(of).sum();
    Ok(Met { admitted: sum(|lane| lane.0), refused: sum(|lane| lane.1), elapsed })
}

fn bounded<T>(bound: Duration, all: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async { tokio::time::timeout(bound, all).await.map_err(|_| "the load took too long".to_owned())? })
}

/// Requests that are sent one after the other.
struct Lane {
    client: SendRequest<Bytes>,
    requests: Arc<Requests>,
    /// Which of the lanes it is.
    number: usize,
}

/// Runs all lanes of all connections to their ends.
async fn on_lanes<T, F>(
    port: u16,
    variant: &Variant,
    connections: usize,
    streams: usize,
    what: impl Fn(Lane) -> F,
) -> Result<Vec<T>, String>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>> + Send + 'static,
{
    let requests = Arc::new(Requests::new(variant)?);
    let mut lanes = JoinSet::new();
    for connection in 0..connections {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(|e| e.to_string())?;
        socket.set_nodelay(true).map_err(|e| e.to_string())?;
        let (client, driver) = h2::client::handshake(socket).await.map_err(|e| e.to_string())?;
        tokio::spawn(driver);
        for stream in 0..streams {
            let number = connection * streams + stream;
            lanes.spawn(what(Lane { client: client.clone(), requests: Arc::clone(&requests), number }));
        }
    }
    let mut ends = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        ends.push(lane.map_err(|e| e.to_string())??);
    }
    Ok(ends)
}

impl Lane {
    /// Sends the lane's request behind so many others, and reads its answer to the end; the status.
    async fn send(&mut self, before: usize) -> Result<u16, String> {
        let mut client = self.client.clone().ready().await.map_err(|e| e.to_string())?;
        let request = self.requests.get(before + self.number)?;
        let (answer, _) = client.send_request(request, true).map_err(|e| e.to_string())?;
        let answer = answer.await.map_err(|e| e.to_string())?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        while let Some(piece) = body.data().await {
            let size = piece.map_err(|e| e.to_string())?.len();
            body.flow_control().release_capacity(size).map_err(|e| e.to_string())?;
        }
        Ok(status)
    }
}

/// The requests of a variant; they differ in one header.
struct Requests {
    request: Request<()>,
    name: HeaderName,
    value: String,
    values: usize,
}

impl Requests {
    fn new(variant: &Variant) -> Result<Self, String> {
        let (name, value) = (HeaderName::from_static(variant.header.0), variant.header.1.clone());
        let mut request = Request::get(format!("http://bench.local{}", variant.path)).header(&name, &value);
        for number in 0..HEADERS {
            request = request.header(format!("x-bench-{number}"), "twenty bytes of text");
        }
        let request = request.body(()).map_err(|e| e.to_string())?;
        Ok(Self { request, name, value, values: variant.values.max(1) })
    }

    fn get(&self, number: usize) -> Result<Request<()>, String> {
        let mut request = self.request.clone();
        if self.values > 1 {
            let value = format!("{}{}", self.value, number % self.values);
            let value = HeaderValue::try_from(value).map_err(|e| e.to_string())?;
            request.headers_mut().insert(&self.name, value);
        }
        Ok(request)
    }
}
