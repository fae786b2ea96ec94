//! Answers that are errors, in whatever shape they come.

use crate::ir::{ApiError, ErrorKind};
use crate::provider::AnswerHead;
use span_json::{Doc, Kind, Limits, Value};

/// What an error of a provider says.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) message: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) param: Option<String>,
    /// If its own words say it better than the status.
    pub(crate) kind: Option<ErrorKind>,
    /// In seconds.
    pub(crate) retry_after: Option<String>,
}

/// Longest message that is passed on.
const MAX_MESSAGE: usize = 4096;
/// Longest text that is no JSON and still taken for a message.
const MAX_TEXT: usize = 500;

/// Reads any bytes as an error: JSON by `read`, a short text as it is, and nothing of a page for browsers.
pub(crate) fn read(head: &AnswerHead<'_>, body: &[u8], read: impl FnOnce(Value<'_>, &mut Told)) -> ApiError {
    let mut told = Told::default();
    match Doc::parse(body, Limits { depth: 32, values: 10_000 }) {
        Ok(doc) => {
            // streams of Google are arrays, and so are errors in their place
            let root = doc.root();
            let root = if root.kind() == Kind::Array { root.elements().next().unwrap_or(root) } else { root };
            match root.str() {
                Some(text) => told.message = Some(text.into_owned()),
                None => read(root, &mut told),
            }
        }
        Err(_) => told.message = plain_text(head, body),
    }
    let milliseconds = head.header("retry-after-ms").and_then(|value| value.parse::<u64>().ok());
    let seconds =
        milliseconds.map(|value| value.div_ceil(1000).to_string()).filter(|_| head.header("retry-after").is_none());
    from(head.status, Told { retry_after: told.retry_after.take().or(seconds), ..told })
}

/// An error of a status and what is told of it.
pub(crate) fn from(status: u16, told: Told) -> ApiError {
    let message = told.message.filter(|message| !message.trim().is_empty());
    let message =
        message.unwrap_or_else(|| format!("the provider answered with status {status} and said nothing more"));
    let mut error = ApiError::new(status, without_keys(&shortened(&message)));
    error.kind = told.kind.unwrap_or(error.kind);
    error.code = told.code.filter(|code| !code.is_empty()).map(|code| shortened(&code).into());
    error.param = told.param.filter(|param| !param.is_empty()).map(|param| shortened(&param));
    error.retry_after = told.retry_after;
    error
}

fn plain_text(head: &AnswerHead<'_>, body: &[u8]) -> Option<String> {
    let kind = head.header("content-type").unwrap_or_default();
    let text = str::from_utf8(body).ok()?.trim();
    let is_page = kind.contains("html") || text.starts_with('<');
    let is_printable = text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\r'));
    (!is_page && is_printable && text.len() <= MAX_TEXT).then(|| text.to_owned())
}

fn shortened(text: &str) -> String {
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > MAX_MESSAGE) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// How keys of providers begin.
const KEYS: [&str; 6] = ["sk-", "AIza", "xai-", "gsk_", "Bearer ", "AKIA"];

/// Providers quote the key that they do not like. Whose key it is, is nobody's business behind the gateway.
fn without_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, start)) = KEYS.iter().filter_map(|start| Some((rest.find(start)?, start))).min() {
        let behind = rest.get(at + start.len()..).unwrap_or_default();
        let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.' | '~' | '+' | '/' | '=');
        let length = behind.find(|c| !is_key(c)).unwrap_or(behind.len());
        out.push_str(rest.get(..at).unwrap_or_default());
        let (start_of_behind, end_of_behind) = behind.split_at(length);
        if length >= 8 {
            out.push_str("[key]");
        } else {
            out.push_str(start);
            out.push_str(start_of_behind);
        }
        rest = end_of_behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, kind: &str, body: &[u8]) -> ApiError {
        let header = |name: &str| (name == "content-type").then(|| kind.to_owned());
        read(&AnswerHead { status, header: &header }, body, |value, told| {
            told.message = value.str_of("message").map(Into::into);
        })
    }

    #[test]
    fn any_bytes_are_an_error() {
        for (status, kind, body, message) in [
            (500, "application/json", &br#"{"message":"m"}"#[..], "m"),
            (500, "application/json", br#"[{"message":"m"}]"#, "m"),
            (500, "application/json", br#""text""#, "text"),
            (502, "text/html", b"<html>secret</html>", "the provider answered with status 502 and said nothing more"),
            (502, "text/plain", b"<!doctype html>", "the provider answered with status 502 and said nothing more"),
            (503, "text/plain", b"no healthy upstream", "no healthy upstream"),
            (503, "", b"", "the provider answered with status 503 and said nothing more"),
            (503, "", b"\xff\xfe", "the provider answered with status 503 and said nothing more"),
            (503, "", &[b'a'; 501], "the provider answered with status 503 and said nothing more"),
        ] {
            assert_eq!(error(status, kind, body).message, message);
        }
        let long = format!(r#"{{"message":"{}"}}"#, "é".repeat(5000));
        assert_eq!(error(400, "", long.as_bytes()).message.len(), MAX_MESSAGE + 3);
    }

    #[test]
    fn keys_are_not_passed_on() {
        for (text, expected) in [
            ("Incorrect API key provided: sk-abc***************xyz. See x", "Incorrect API key provided: [key] See x"),
            ("a sk-1 b", "a sk-1 b"),
            ("key AIzaSyA1234567890 and Bearer abcdefghij!", "key [key] and [key]!"),
            ("", ""),
        ] {
            assert_eq!(without_keys(text), expected);
        }
    }
}
