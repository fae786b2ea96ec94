//! The server, with a client that somebody else wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use bytes::{Buf, BufMut};
use rate_limit_protocol::{Code, Descriptor, Entry, METHOD, Message, Request, Response, SERVICE};
use rate_limit_service::{Clock, Config, Server, Service, reserve};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code as GrpcCode, Status};

const LIMITS: &str = "
domains: [{domain: shop, descriptors: [{key: user, rate_limit: {requests_per_unit: 2, unit: hour}}]}]
faults:
- {value: late, fault: {delay_ms: 30}}
- {value: hang, fault: hang}
- {value: busy, fault: {error: {code: 8, message: busy}}}
- {value: bad, fault: garbage}
- {value: empty, fault: empty}
- {value: drop, fault: drop}
";

struct Prost;

impl Codec for Prost {
    type Encode = Request;
    type Decode = Response;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Prost {
    type Item = Request;
    type Error = Status;

    fn encode(&mut self, message: Request, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&message.encode_to_vec());
        Ok(())
    }
}

impl Decoder for Prost {
    type Item = Response;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Response>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        Response::decode(bytes).map(Some).map_err(|error| Status::data_loss(error.to_string()))
    }
}

fn config() -> Config {
    serde_saphyr::from_str(LIMITS).unwrap()
}

fn start() -> Server {
    Server::start(Service::new(config()).unwrap(), Clock::Fixed(Duration::from_secs(1_700_000_000)), 0).unwrap()
}

async fn connect(address: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await
}

async fn ask(channel: &Channel, path: &str, user: &str) -> Result<Response, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let entries = vec![Entry { key: "user".into(), value: user.into() }];
    let descriptors = vec![Descriptor { entries, ..Descriptor::default() }];
    let request = Request { domain: "shop".into(), descriptors, hits_addend: 1 };
    let mut request = tonic::Request::new(request);
    request.set_timeout(Duration::from_secs(5));
    client.unary(request, path.parse().unwrap(), Prost).await.map(tonic::Response::into_inner)
}

fn path() -> String {
    format!("/{SERVICE}/{METHOD}")
}

#[tokio::test]
async fn calls_are_answered_and_fail_as_told() {
    let server = start();
    let channel = connect(server.address).await.unwrap();
    let code = |answer: Result<Response, Status>| answer.unwrap_err().code();
    for expected in [Code::Ok, Code::Ok, Code::OverLimit] {
        assert_eq!(ask(&channel, &path(), "a").await.unwrap().overall_code(), expected);
    }
    let late = std::time::Instant::now();
    assert_eq!(ask(&channel, &path(), "late").await.unwrap().overall_code(), Code::Ok);
    assert!(late.elapsed() >= Duration::from_millis(30));
    assert_eq!(ask(&channel, &path(), "empty").await.unwrap(), Response::default());
    let busy = ask(&channel, &path(), "busy").await.unwrap_err();
    assert_eq!((busy.code(), busy.message()), (GrpcCode::ResourceExhausted, "busy"));
    assert_eq!(code(ask(&channel, &path(), "bad").await), GrpcCode::DataLoss);
    assert_eq!(code(ask(&channel, "/other.Service/Method", "a").await), GrpcCode::Unimplemented);
    let hangs = tokio::time::timeout(Duration::from_millis(100), ask(&channel, &path(), "hang")).await;
    assert!(hangs.is_err(), "{hangs:?}");
    let dropped = code(ask(&channel, &path(), "drop").await);
    assert!(matches!(dropped, GrpcCode::Unknown | GrpcCode::Unavailable | GrpcCode::Internal), "{dropped:?}");
    // another connection is as good as the one that ended
    assert!(ask(&connect(server.address).await.unwrap(), &path(), "b").await.is_ok());
    let users: Vec<String> = server.calls().iter().map(|call| call.descriptors[0][0].clone()).collect();
    let expected = ["a", "a", "a", "late", "empty", "busy", "bad", "hang", "drop", "b"];
    assert_eq!(users, expected.map(|user| format!("user={user}")));
    server.reset(config()).unwrap();
    assert!(server.calls().is_empty());
    assert_eq!(
        ask(&connect(server.address).await.unwrap(), &path(), "a").await.unwrap().statuses[0].limit_remaining,
        1
    );
}

#[tokio::test]
async fn a_server_that_stops_is_gone_and_comes_back_on_its_port() {
    let mut server = start();
    let channel = connect(server.address).await.unwrap();
    assert!(ask(&channel, &path(), "a").await.is_ok());
    let waiting = tokio::spawn({
        let channel = channel.clone();
        async move { ask(&channel, &path(), "hang").await }
    });
    while server.calls().len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.stop();
    server.stop();
    assert!(waiting.await.unwrap().is_err(), "connections end with it");
    assert!(TcpStream::connect(server.address).is_err(), "nobody listens");
    let address = server.address;
    server.restart().unwrap();
    assert_eq!(server.address, address);
    let response = ask(&connect(address).await.unwrap(), &path(), "a").await.unwrap();
    assert_eq!(response.statuses[0].limit_remaining, 0, "it still knows what it has counted");
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_port_can_be_held_without_a_listener() {
    let (held, address) = reserve().unwrap();
    assert!(TcpStream::connect(address).is_err());
    let service = Service::new(config()).unwrap();
    assert!(Server::start(service, Clock::System, address.port()).is_err(), "nobody else gets it");
    drop(held);
    let gone = Service::new(Config { gone: true, ..Config::default() }).unwrap();
    assert!(Server::start(gone, Clock::System, 0).is_err());
}
