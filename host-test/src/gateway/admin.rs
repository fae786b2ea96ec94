//! The admin port: `/ready`, `/stats`, `/stats/prometheus`, `/server_info`, `/listeners`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use regex_lite::RegexBuilder;
use tokio::net::TcpListener;
use tokio::task::spawn_local;

use super::report::{Report, Selection};
use super::supervisor::Shared;

const HELP: &str = "admin commands are:
  /listeners: print listener addresses
  /ready: print server state, return 200 if LIVE, otherwise return 503
  /server_info: print server version/status information
  /stats: print server stats (filter=REGEX, usedonly, format=text|json|prometheus)
  /stats/prometheus: print server stats in prometheus format (filter=REGEX, usedonly)
";

/// Serves the admin port for ever.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let shared = shared.clone();
        spawn_local(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = answer(&shared, request.method(), request.uri().path(), request.uri().query());
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that breaks off is its own affair.
            let _ =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(shared: &Shared, method: &Method, path: &str, query: Option<&str>) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return response(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET is served here\n".to_owned());
    }
    match path {
        "/ready" => {
            let (status, text) = state(shared);
            response(status, "text/plain", format!("{text}\n"))
        }
        "/stats" | "/stats/prometheus" => stats(shared, path, query),
        "/server_info" => response(StatusCode::OK, "application/json", server_info(shared)),
        "/listeners" => {
            let addresses = shared.addresses.read().unwrap_or_else(PoisonError::into_inner);
            let lines = addresses.iter().map(|(name, address)| format!("{name}::{address}\n")).collect();
            response(StatusCode::OK, "text/plain", lines)
        }
        "/" | "/help" => response(StatusCode::OK, "text/plain", HELP.to_owned()),
        _ => response(StatusCode::NOT_FOUND, "text/plain", format!("invalid path. {HELP}")),
    }
}

fn state(shared: &Shared) -> (StatusCode, &'static str) {
    if shared.stopping.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "DRAINING")
    } else {
        (StatusCode::OK, "LIVE")
    }
}

fn stats(shared: &Shared, path: &str, query: Option<&str>) -> Response<Full<Bytes>> {
    let mut selection = Selection::default();
    let mut format = if path == "/stats/prometheus" { "prometheus" } else { "text" }.to_owned();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "usedonly" => selection.used_only = true,
            "format" => value.clone_into(&mut format),
            "filter" => match RegexBuilder::new(&decoded(value)).size_limit(1 << 20).build() {
                Ok(filter) => selection.filter = Some(filter),
                Err(error) => {
                    return response(StatusCode::BAD_REQUEST, "text/plain", format!("Invalid regex: {error}\n"));
                }
            },
            _ => return response(StatusCode::BAD_REQUEST, "text/plain", format!("unknown parameter: {name}\n")),
        }
    }
    shared.stats.gauge("server.uptime").set(shared.started.elapsed().as_secs());
    let report = Report::new(shared.stats.snapshot(), shared.host.metrics().snapshot());
    let generation = shared.generation();
    match format.as_str() {
        "text" => response(StatusCode::OK, "text/plain", report.text(&selection)),
        "json" => response(StatusCode::OK, "application/json", report.json(&selection)),
        "prometheus" => {
            let text = report.prometheus(&generation.bootstrap.stats_tags, &selection);
            response(StatusCode::OK, "text/plain", text)
        }
        _ => response(StatusCode::BAD_REQUEST, "text/plain", "usage: /stats?format=text|json|prometheus\n".to_owned()),
    }
}

fn server_info(shared: &Shared) -> String {
    let generation = shared.generation();
    let uptime = format!("{}s", shared.started.elapsed().as_secs());
    let info = serde_json::json!({
        "version": format!("sluice/{}", env!("CARGO_PKG_VERSION")),
        "state": state(shared).1,
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "configuration": generation.number,
        "command_line_options": {"concurrency": shared.concurrency},
        "node": {"id": generation.bootstrap.node_id, "cluster": generation.bootstrap.node_cluster},
    });
    format!("{info:#}\n")
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let content = if kind == "text/plain" { "text/plain; charset=UTF-8" } else { kind };
    for (name, value) in [
        ("content-type", content),
        ("cache-control", "no-cache, max-age=0"),
        ("x-content-type-options", "nosniff"),
        ("server", "envoy"),
    ] {
        response.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    response
}

/// `%XX` decoded; the rest as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (byte, hex) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        for (text, expected) in [("a%5C.b", "a\\.b"), ("%", "%"), ("%zz", "%zz"), ("a%2", "a%2")] {
            assert_eq!(decoded(text), expected);
        }
    }
}
