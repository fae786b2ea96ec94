//! What stands behind Envoy for AI requests: it reads each body to its end and answers at once, as OpenAI or Anthropic would, whole or as a stream with a
//! frame for each event.

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Pieces of text in a stream.
pub const PIECES: usize = 200;
/// The request header that says `stream`, `whole`, or [`PACED`].
pub const SHAPE: &str = "x-bench-shape";
/// A stream that pauses behind its first events, as a model does: otherwise all of it is one read for Envoy, and its first bytes leave with its last.
pub const PACED: &str = "paced";
const FIRST_EVENTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(2);

/// Starts it; it lives as long as the process.
pub fn start() -> Result<SocketAddr, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let thread = std::thread::Builder::new().name("ai-upstream".to_owned());
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
    let mut connection = h2::server::Builder::new()
        .initial_window_size(4 << 20)
        .initial_connection_window_size(64 << 20)
        .handshake::<_, Bytes>(socket)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, answer) = request?;
        tokio::spawn(async { drop(respond(request, answer).await) });
    }
    Ok(())
}

async fn respond(request: Request<RecvStream>, mut answer: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let is_anthropic = request.uri().path().ends_with("/messages");
    let shape = request.headers().get(SHAPE).cloned();
    let is_paced = shape.as_ref().is_some_and(|shape| shape == PACED);
    let is_stream = is_paced || shape.is_some_and(|shape| shape == "stream");
    let mut body = request.into_body();
    while let Some(piece) = body.data().await {
        let size = piece?.len();
        body.flow_control().release_capacity(size)?;
    }
    let known = if is_anthropic { &*ANTHROPIC } else { &*OPENAI };
    let kind = if is_stream { "text/event-stream" } else { "application/json" };
    let head = Response::builder().header("content-type", kind).body(()).unwrap_or_default();
    let mut stream = answer.send_response(head, false)?;
    if !is_stream {
        return stream.send_data(known.whole.clone(), true);
    }
    let last = known.events.len().saturating_sub(1);
    for (place, event) in known.events.iter().enumerate() {
        if is_paced && place == FIRST_EVENTS {
            tokio::time::sleep(PAUSE).await;
        }
        send(&mut stream, event.clone(), place == last).await?;
    }
    Ok(())
}

/// As a frame of its own, once there is room for it.
async fn send(stream: &mut SendStream<Bytes>, event: Bytes, last: bool) -> Result<(), h2::Error> {
    stream.reserve_capacity(event.len());
    while stream.capacity() < event.len() {
        if std::future::poll_fn(|context| stream.poll_capacity(context)).await.transpose()?.is_none() {
            return Ok(());
        }
    }
    stream.send_data(event, last)
}

/// Answers of a provider.
struct Answers {
    whole: Bytes,
    events: Arc<[Bytes]>,
}

static OPENAI: LazyLock<Answers> = LazyLock::new(|| {
    let usage = json!({"prompt_tokens": 1000, "completion_tokens": PIECES, "total_tokens": 1000 + PIECES,
                       "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}});
    let whole = json!({"id": "chatcmpl-bench", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-bench",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "some words ".repeat(40), "refusal": null},
                     "finish_reason": "stop", "logprobs": null}], "usage": usage});
    let chunk = |delta, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        let chunk = json!({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-bench",
                           "system_fingerprint": "fp_bench", "choices": [choice], "usage": null});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let mut events = vec![chunk(json!({"role": "assistant", "content": "", "refusal": null}), None)];
    events.extend((0..PIECES).map(|number| chunk(json!({"content": format!(" word{number}")}), None)));
    events.push(chunk(json!({}), Some("stop")));
    let last = json!({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-bench",
                      "choices": [], "usage": usage});
    events.push(Bytes::from(format!("data: {last}\n\n")));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Answers { whole: Bytes::from(whole.to_string()), events: events.into() }
});

static ANTHROPIC: LazyLock<Answers> = LazyLock::new(|| {
    let whole = json!({"id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-bench",
        "content": [{"type": "text", "text": "some words ".repeat(40)}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 1000, "output_tokens": PIECES}});
    let event = |data: serde_json::Value| {
        let name = data.get("type").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
    };
    let begun = json!({"id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-bench", "content": [],
                       "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 1000, "output_tokens": 1}});
    let mut events = vec![
        event(json!({"type": "message_start", "message": begun})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
    ];
    events.extend((0..PIECES).map(|number| {
        let delta = json!({"type": "text_delta", "text": format!(" word{number}")});
        event(json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    }));
    events.push(event(json!({"type": "content_block_stop", "index": 0})));
    events.push(event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                             "usage": {"output_tokens": PIECES}})));
    events.push(event(json!({"type": "message_stop"})));
    Answers { whole: Bytes::from(whole.to_string()), events: events.into() }
});
