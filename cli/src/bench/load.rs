//! The load: HTTP/2 without TLS, two connections of twenty streams unless said otherwise.

use super::ai_upstream;
use super::listener::Variant;
use bytes::Bytes;
use h2::SendStream;
use h2::client::SendRequest;
use http::{HeaderName, HeaderValue, Method, Request};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 2;
const STREAMS: usize = 20;
/// Requests that are under way at a time.
pub const AT_ONCE: usize = CONNECTIONS * STREAMS;
/// Enough for every worker to get some.
const MANY_CONNECTIONS: usize = 16;
const FEW_STREAMS: usize = 4;
/// Headers beside the pseudo headers, and the length of each value.
const HEADERS: usize = 19;
/// Bytes of overhead of frames that may wait to be read.
const FRAMES: usize = 64 << 20;
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

/// Sends so many requests one after the other; microseconds from each to the first bytes of its answer's body.
pub fn first_bytes(port: u16, variant: &Variant, requests: usize) -> Result<Vec<f64>, String> {
    let all = on_lanes(port, variant, 1, 1, move |mut lane| async move {
        let mut times = Vec::new();
        for turn in 0..requests {
            times.push(lane.first_byte(turn).await?.as_secs_f64() * 1e6);
        }
        Ok(times)
    });
    Ok(bounded(BOUND, all)?.into_iter().flatten().collect())
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
        // many small frames are what a stream of events consists of
        let mut builder = h2::client::Builder::new();
        let handshake = builder.data_frame_budget(FRAMES).handshake::<_, Bytes>(socket);
        let (client, driver) = handshake.await.map_err(|e| e.to_string())?;
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
    /// From sending a request to the first bytes of its answer, which is read to its end.
    async fn first_byte(&mut self, before: usize) -> Result<Duration, String> {
        let mut client = self.client.clone().ready().await.map_err(|e| e.to_string())?;
        let mut request = self.requests.get(before)?;
        if request.headers().contains_key(ai_upstream::SHAPE) {
            request.headers_mut().insert(ai_upstream::SHAPE, HeaderValue::from_static(ai_upstream::PACED));
        }
        let begin = Instant::now();
        let (answer, sending) = client.send_request(request, false).map_err(|e| e.to_string())?;
        let (sent, answer) = tokio::join!(send_body(sending, self.requests.body.clone()), answer);
        sent?;
        let mut body = answer.map_err(|e| e.to_string())?.into_body();
        let mut first = None;
        while let Some(piece) = body.data().await {
            let size = piece.map_err(|e| e.to_string())?.len();
            first.get_or_insert_with(|| begin.elapsed());
            body.flow_control().release_capacity(size).map_err(|e| e.to_string())?;
        }
        first.ok_or_else(|| "an answer without a body".to_owned())
    }

    /// Sends the lane's request behind so many others, and reads its answer to the end; the status.
    async fn send(&mut self, before: usize) -> Result<u16, String> {
        let mut client = self.client.clone().ready().await.map_err(|e| e.to_string())?;
        let request = self.requests.get(before + self.number)?;
        let body = self.requests.body.clone();
        let (answer, sending) = client.send_request(request, body.is_empty()).map_err(|e| e.to_string())?;
        // an answer may come before the whole body has gone out
        let (sent, answer) = tokio::join!(send_body(sending, body), answer);
        sent?;
        let answer = answer.map_err(|e| e.to_string())?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        while let Some(piece) = body.data().await {
            let size = piece.map_err(|e| e.to_string())?.len();
            body.flow_control().release_capacity(size).map_err(|e| e.to_string())?;
        }
        Ok(status)
    }
}

/// As fast as the other side takes it.
async fn send_body(mut stream: SendStream<Bytes>, mut body: Bytes) -> Result<(), String> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let room = room.ok_or("the request was cut off")?.map_err(|e| e.to_string())?;
        let piece = body.split_to(room.min(body.len()));
        stream.send_data(piece, body.is_empty()).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// The requests of a variant; they differ in one header.
struct Requests {
    request: Request<()>,
    name: HeaderName,
    value: String,
    values: usize,
    body: Bytes,
}

impl Requests {
    fn new(variant: &Variant) -> Result<Self, String> {
        let (name, value) = (HeaderName::from_static(variant.header.0), variant.header.1.clone());
        let method = if variant.body.is_empty() { Method::GET } else { Method::POST };
        let mut request = Request::builder().method(method).uri(format!("http://bench.local{}", variant.path));
        request = request.header(&name, &value);
        if !variant.body.is_empty() {
            request = request.header("content-type", "application/json").header("content-length", variant.body.len());
        }
        for number in 0..HEADERS {
            request = request.header(format!("x-bench-{number}"), "twenty bytes of text");
        }
        let request = request.body(()).map_err(|e| e.to_string())?;
        Ok(Self { request, name, value, values: variant.values.max(1), body: variant.body.clone() })
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
