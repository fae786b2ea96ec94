//! The same over HTTP/2 without TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mock_providers::{Kind, Server};
use serde_json::json;
use tokio::net::TcpStream;

async fn connect(server: &Server) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server.address(Kind::OpenAi).unwrap()).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(wishes: &str) -> Request<Full<Bytes>> {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hé"}], "stream": true}).to_string();
    Request::post("http://mock/v1/chat/completions")
        .header("authorization", "Bearer key")
        .header("content-type", "application/json")
        .header("x-mock", wishes)
        .body(Full::from(body))
        .unwrap()
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn trailers_come_behind_the_body() {
    run(async {
        let server = Server::of(&[Kind::OpenAi]).unwrap();
        let mut sender = connect(&server).await;
        let response = sender.send_request(request("trailers")).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-mock-trailer"], "behind the body");
        assert!(body.to_bytes().ends_with(b"data: [DONE]\n\n"));
        assert_eq!(server.requests(Kind::OpenAi)[0].version, "HTTP/2.0");
    });
}

#[test]
fn a_stream_that_is_reset_takes_nothing_else_with_it() {
    run(async {
        let server = Server::of(&[Kind::OpenAi]).unwrap();
        let mut sender = connect(&server).await;
        let mut body = sender.send_request(request("reset")).await.unwrap().into_body();
        let mut read = 0;
        let broken = loop {
            match body.frame().await {
                Some(Ok(frame)) => read += frame.into_data().unwrap().len(),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert!(broken && read > 0);
        let whole = sender.send_request(request("")).await.unwrap().into_body().collect().await.unwrap();
        assert!(whole.to_bytes().ends_with(b"data: [DONE]\n\n"));
    });
}

#[test]
fn nothing_comes_from_one_that_hangs() {
    run(async {
        let server = Server::of(&[Kind::OpenAi]).unwrap();
        let mut sender = connect(&server).await;
        let hanging = sender.send_request(request("hang"));
        let mut other = connect(&server).await;
        assert_eq!(other.send_request(request("")).await.unwrap().status(), 200);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(30), hanging).await.is_err());
    });
}
