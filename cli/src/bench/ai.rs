//! The table of AI: what it costs to check, translate and forward requests of three sizes, and streams by their chunks, beside waiting for bodies alone and what
//! Envoy has for the same.

use super::ai_upstream::{PIECES, SHAPE};
use super::listener::{Modules, Setup, TYPES, Variant};
use bytes::Bytes;
use serde_json::{Value, json};
use std::fmt::Write;

const UPSTREAM: &str = "upstream";
const CHAT: &str = "/v1/chat/completions";
/// Sizes of request bodies, and how many times fewer requests a round has.
const SIZES: [(&str, usize, usize); 3] = [("1 kB", 1 << 10, 1), ("16 kB", 16 << 10, 4), ("256 kB", 256 << 10, 40)];
/// How many times fewer streams a round has.
const FEWER_STREAMS: usize = 40;
/// Requests a round for the time to the first bytes.
const FIRST: usize = 20;

const NONE: &str = "no filter";
const EMPTY: &str = "empty filter of the SDK";
const BUFFER: &str = "Envoy's buffer filter";
const HELD: &str = "a module that waits for both bodies";
const SAME: &str = "ai-normalize, same dialect";
const CROSS: &str = "ai-normalize, chat to Anthropic";
const OWN_READ: &str = "Envoy's ai_protocol_manager, reads and checks";
const OWN_CROSS: &str = "Envoy's ai_protocol_manager, chat to Anthropic";
const WAITING: &str = "a module that waits for requests and sees each chunk";
const PASSIVE: &str = "a module that sees each chunk";

/// What throughput over waiting alone should be at least, in MB/s.
const LEAST: [(&str, &str, f64); 3] = [(SAME, "16 kB", 1000.0), (SAME, "256 kB", 1500.0), (CROSS, "16 kB", 300.0)];
/// What a translated chunk should cost at most over one that is only seen, in microseconds.
const MOST_CHUNK: f64 = 3.0;

/// All variants.
pub fn all(modules: &Modules, upstream: u16) -> Result<Setup, String> {
    let mut variants = Vec::new();
    for (size, bytes, fewer) in SIZES {
        let of = |name: &str, filters| Variant {
            name: format!("{name}, {size}"),
            filters,
            table: json!({"routes": [to_upstream("/")]}),
            path: CHAT.to_owned(),
            header: (SHAPE, "whole".to_owned()),
            status: 200,
            body: body(bytes, false),
            fewer,
            ..Variant::default()
        };
        variants.extend([
            of(NONE, vec![]),
            of(EMPTY, vec![modules.filter("guests/sdk-empty.wasm", &json!({}))?]),
            of(BUFFER, vec![buffer()]),
            of(HELD, vec![held(modules)?]),
            of(SAME, vec![ours(modules, "openai")?]),
            of(CROSS, vec![ours(modules, "anthropic")?]),
            of(OWN_READ, vec![own(&[])]),
            Variant { table: own_table(), ..of(OWN_CROSS, vec![own(&["TO_IR", "FROM_IR"])]) },
        ]);
    }
    for path in [CHAT, "/v1/messages"] {
        let whose = if path == CHAT { "OpenAI's events" } else { "Anthropic's events" };
        let of = |name: &str, filters| Variant {
            name: format!("{name}, {whose}"),
            filters,
            table: json!({"routes": [to_upstream("/")]}),
            path: path.to_owned(),
            header: (SHAPE, "stream".to_owned()),
            status: 200,
            body: body(1 << 10, true),
            fewer: FEWER_STREAMS,
            ..Variant::default()
        };
        let (name, dialect) = if path == CHAT { (SAME, "openai") } else { (CROSS, "anthropic") };
        variants.extend([
            of(NONE, vec![]),
            of(EMPTY, vec![modules.filter("guests/sdk-empty.wasm", &json!({}))?]),
            of(
                PASSIVE,
                vec![modules.filter(
                    "guests/body-upper.wasm",
                    &json!({"max_body_bytes": 1_000_000, "stream": true, "as_it_is": true}),
                )?],
            ),
            of(
                WAITING,
                vec![holding(
                    modules,
                    "guests/body-upper.wasm",
                    &json!({"max_body_bytes": 1_000_000, "hold": true, "stream": true, "as_it_is": true}),
                )?],
            ),
            Variant { path: CHAT.to_owned(), ..of(name, vec![ours(modules, dialect)?]) },
        ]);
        if path != CHAT {
            let translated = of(OWN_CROSS, vec![own(&["TO_IR", "FROM_IR"])]);
            variants.push(Variant { path: CHAT.to_owned(), table: own_table(), ..translated });
        }
    }
    Ok(Setup { clusters: vec![cluster(upstream)], first_bytes: FIRST, ..Setup::from(variants) })
}

fn to_upstream(prefix: &str) -> Value {
    json!({"match": {"prefix": prefix}, "route": {"cluster": UPSTREAM, "timeout": "60s"}})
}

/// A conversation of about so many bytes.
fn body(size: usize, stream: bool) -> Bytes {
    let turn = |number: usize| {
        let role = if number.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": format!("Turn {number}: \"quoted\", a line\nand grüße. {}", "some more words of text ".repeat(12))})
    };
    let mut request = json!({"model": "m", "temperature": 0.7, "max_tokens": 1000, "stream": stream,
                             "messages": [{"role": "system", "content": "Be kind."}]});
    for number in 0.. {
        let length = request.to_string().len();
        if length >= size {
            break;
        }
        if let Some(messages) = request.pointer_mut("/messages").and_then(Value::as_array_mut) {
            messages.push(turn(number));
        }
    }
    Bytes::from(request.to_string())
}

fn buffer() -> Value {
    json!({"name": "buffer", "typed_config": {"@type": format!("{TYPES}.http.buffer.v3.Buffer"), "max_request_bytes": 1_000_000}})
}

/// A module whose request heads wait for their bodies.
fn holding(modules: &Modules, module: &str, configuration: &Value) -> Result<Value, String> {
    let mut filter = modules.filter(module, configuration)?;
    if let Some(plugin) = filter.pointer_mut("/typed_config/config").and_then(Value::as_object_mut) {
        plugin.insert("allow_on_headers_stop_iteration".to_owned(), true.into());
    }
    Ok(filter)
}

fn held(modules: &Modules) -> Result<Value, String> {
    let configuration = json!({"max_body_bytes": 1_000_000, "hold": true, "hold_responses": true, "as_it_is": true});
    holding(modules, "guests/body-upper.wasm", &configuration)
}

fn ours(modules: &Modules, dialect: &str) -> Result<Value, String> {
    let configuration = json!({
        "providers": [{"name": dialect, "dialect": dialect, "cluster": UPSTREAM}],
        "models": [{"name": "m", "provider": dialect, "model": "a-model-of-the-provider"}]});
    holding(modules, "ai-normalize.wasm", &configuration)
}

/// Envoy's own: it reads requests, and translates them where told.
fn own(directions: &[&str]) -> Value {
    let ai = "type.googleapis.com/envoy.extensions.http.ai_filters";
    let mut filters: Vec<Value> = Vec::new();
    if directions.is_empty() {
        filters.push(json!({"name": "envoy.http.ai_filters.request_info",
                            "typed_config": {"@type": format!("{ai}.request_info.v3.RequestInfo")}}));
        filters.push(json!({"name": "envoy.http.ai_filters.schema_validation",
                            "typed_config": {"@type": format!("{ai}.schema_validation.v3.SchemaValidation"),
                                             "default_llm_protocol": "OPENAI_CHAT_COMPLETIONS"}}));
    }
    for (request, response) in directions.iter().zip(directions.iter().rev()) {
        filters.push(json!({"name": "envoy.http.ai_filters.transcoder",
                            "typed_config": {"@type": format!("{ai}.transcoder.v3.Transcoder"),
                                             "request_handling": request, "response_handling": response}}));
    }
    let mut handling = json!({});
    if directions.is_empty() {
        handling = json!({"reserialize_body": "DISABLE", "parse_unconfigured_routes": true});
    }
    json!({"name": "ai", "typed_config": {
        "@type": format!("{TYPES}.http.ai_protocol_manager.v3.AiProtocolManager"),
        "request_handling": handling, "filters": filters}})
}

/// Routes that name the dialects of both sides.
fn own_table() -> Value {
    json!({"routes": [{
        "match": {"prefix": "/"},
        "route": {"cluster": UPSTREAM, "timeout": "60s", "prefix_rewrite": "/v1/messages"},
        "typed_per_filter_config": {"ai": {
            "@type": format!("{TYPES}.http.ai_protocol_manager.v3.AiProtocolManagerPerRoute"),
            "request": {"llm_protocol": "OPENAI_CHAT_COMPLETIONS"},
            "response": {"llm_protocol": "ANTHROPIC_MESSAGES"}}}}]})
}

fn cluster(port: u16) -> Value {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    json!({
        "name": UPSTREAM, "type": "STATIC", "connect_timeout": "2s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}},
        "load_assignment": {"cluster_name": UPSTREAM, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}})
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    name: String,
    /// 20th percentile in microseconds of CPU time a request.
    p20: f64,
    /// Megabytes of a request's body in a second of what it takes over waiting for it alone.
    throughput: Option<f64>,
    /// Microseconds a chunk over one that is only seen.
    chunk: Option<f64>,
    /// Median of the microseconds to the first bytes of a stream.
    first: Option<f64>,
}

/// Reduces the rounds of each variant.
pub fn rows(variants: &[Variant], rounds: &[Vec<f64>], first: &[Vec<f64>]) -> Vec<Row> {
    let p20 = |figures: &[f64]| super::stats::quantile(figures, 0.2);
    let of = |name: &str| {
        let found = variants.iter().zip(rounds).find(|(variant, _)| variant.name == name);
        found.map_or(f64::NAN, |(_, figures)| p20(figures))
    };
    let row = |((variant, figures), first): ((&Variant, &Vec<f64>), &Vec<f64>)| {
        let (_, rest) = variant.name.rsplit_once(", ").unwrap_or_default();
        let is_stream = variant.header.1 == "stream";
        let spent = p20(figures);
        let over = spent - of(&format!("{HELD}, {rest}"));
        let chunk = (spent - of(&format!("{EMPTY}, {rest}"))) / PIECES as f64;
        Row {
            name: variant.name.clone(),
            p20: spent,
            throughput: (!is_stream && (variant.name.starts_with(SAME) || variant.name.starts_with(CROSS)))
                .then_some(variant.body.len() as f64 / over),
            chunk: is_stream.then_some(chunk),
            first: is_stream.then(|| super::stats::quantile(first, 0.5)),
        }
    };
    variants.iter().zip(rounds).zip(first).map(row).collect()
}

/// For people; Markdown.
pub fn table(rows: &[Row], rounds: usize) -> String {
    let mut text = format!(
        "CPU time of Envoy's worker thread a request, {rounds} interleaved rounds\n\n\
         | requests | us, p20 | MB/s over waiting alone |\n|---|---|---|\n"
    );
    let number = |value: Option<f64>, digits: usize| value.map_or(String::new(), |value| format!("{value:.digits$}"));
    for row in rows.iter().filter(|row| row.chunk.is_none()) {
        let _ = writeln!(text, "| {} | {:.1} | {} |", row.name, row.p20, number(row.throughput, 0));
    }
    let _ = writeln!(
        text,
        "\n| streams of {PIECES} pieces | us, p20 | us a chunk over the empty filter | us to the first bytes, median |\n|---|---|---|---|"
    );
    for row in rows.iter().filter(|row| row.chunk.is_some()) {
        let _ =
            writeln!(text, "| {} | {:.0} | {} | {} |", row.name, row.p20, number(row.chunk, 2), number(row.first, 0));
    }
    text.push('\n');
    for (name, size, least) in LEAST {
        let name = format!("{name}, {size}");
        let Some(found) = rows.iter().find(|row| row.name == name).and_then(|row| row.throughput) else { continue };
        let verdict = if found >= least { "reached" } else { "missed" };
        let _ = writeln!(text, "{name}: {found:.0} MB/s, aim at least {least:.0}: {verdict}");
    }
    for row in rows.iter().filter(|row| row.name.starts_with(CROSS)) {
        let Some(chunk) = row.chunk else { continue };
        let verdict = if chunk <= MOST_CHUNK { "reached" } else { "missed" };
        let _ = writeln!(text, "{}: {chunk:.2} us a chunk, aim at most {MOST_CHUNK:.2}: {verdict}", row.name);
    }
    text
}

/// For programs.
pub fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({"variant": row.name, "us_p20": row.p20, "mb_per_s_over_waiting": row.throughput,
               "us_a_chunk_over_empty": row.chunk, "us_to_first_bytes": row.first})
    };
    rows.iter().map(row).collect()
}
