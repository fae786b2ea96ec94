//! Errors in the shapes that OpenAI and its likes have.

use crate::ir::{ApiError, ErrorKind};
use crate::provider::AnswerHead;
use crate::provider::failure::{self, Told};
use span_json::{Doc, Kind, Limits, Value};

pub(super) fn read(head: &AnswerHead<'_>, body: &[u8]) -> ApiError {
    failure::read(head, body, tell)
}

/// An error that stands in an answer, or in a stream, whose status says nothing of it.
pub(super) fn inside(answer: Value<'_>) -> Option<ApiError> {
    let is_error = answer.given("error").is_some() || answer.str_of("object").as_deref() == Some("error");
    is_error.then(|| of(answer))
}

/// An event that is called an error, whatever it says.
pub(super) fn event(data: &[u8]) -> ApiError {
    match Doc::parse(data, Limits::default()) {
        Ok(doc) => of(doc.root()),
        Err(_) => failure::from(502, Told::default()),
    }
}

/// An answer that ends with an error instead of a reason.
pub(super) fn of_choice(choice: Value<'_>) -> Option<ApiError> {
    (choice.str_of("finish_reason").as_deref() == Some("error")).then(|| {
        inside(choice)
            .unwrap_or_else(|| ApiError::new(502, "the provider ended its answer with an error").code("upstream_error"))
    })
}

fn of(answer: Value<'_>) -> ApiError {
    let mut told = Told::default();
    tell(answer, &mut told);
    let error = answer.given("error").unwrap_or(answer);
    let number = |name: &str| {
        let value = error.get(name)?;
        value.u64().or_else(|| value.str()?.parse().ok()).and_then(|number| u16::try_from(number).ok())
    };
    let status = number("status").or_else(|| number("code")).filter(|status| (400..600).contains(status));
    let by_kind = match error.str_of("type").as_deref() {
        Some("invalid_request_error") => Some(400),
        Some("authentication_error") => Some(401),
        Some("rate_limit_error" | "insufficient_quota" | "rate_limit_exceeded") => Some(429),
        Some("overloaded_error") => Some(503),
        _ => None,
    };
    failure::from(status.or(by_kind).unwrap_or(502), told)
}

/// `{"error": {message, type, param, code}}`, `{"error": "text"}`, `{"object": "error", "message": ..}`, `{"detail": ..}`.
fn tell(root: Value<'_>, told: &mut Told) {
    let error = root.given("error").unwrap_or(root);
    if let Some(text) = error.str() {
        told.message = Some(text.into_owned());
        // xAI has what went wrong beside it
        told.code = None;
        return;
    }
    let message = error.given("message").or_else(|| root.given("detail"));
    told.message = message.map(words);
    told.param = error.str_of("param").map(Into::into).or_else(|| message.and_then(place));
    let code = error.given("code");
    told.code = code.and_then(|code| code.str()).filter(|code| code.parse::<u16>().is_err()).map(Into::into);
    told.kind = match error.str_of("type").as_deref() {
        Some("insufficient_quota") => Some(ErrorKind::RateLimit),
        Some("overloaded_error") => Some(ErrorKind::Overloaded),
        _ => None,
    };
}

/// Where the first thing is that a validator found, without the word for the body.
fn place(message: Value<'_>) -> Option<String> {
    let list = message.given("detail").unwrap_or(message);
    let steps = list.elements().next()?.get("loc")?.elements().map(step).collect::<Vec<_>>();
    let steps = steps.strip_prefix(&["body".to_owned()]).unwrap_or(&steps);
    (!steps.is_empty()).then(|| steps.join("."))
}

fn step(step: Value<'_>) -> String {
    step.str().map_or_else(|| step.raw().to_owned(), Into::into)
}

/// A message: a text, or what a validator found (`[{loc, msg}]`, perhaps in `{detail: ..}`).
fn words(value: Value<'_>) -> String {
    if let Some(text) = value.str() {
        return text.into_owned();
    }
    let list = value.given("detail").unwrap_or(value);
    let finding = |entry: Value<'_>| {
        let place: Vec<String> = entry.get("loc").iter().flat_map(Value::elements).map(step).collect();
        let what = entry.str_of("msg").or_else(|| entry.str_of("message"))?;
        Some(if place.is_empty() { what.into_owned() } else { format!("{}: {what}", place.join(".")) })
    };
    match list.kind() {
        Kind::Array => list.elements().filter_map(finding).collect::<Vec<_>>().join("; "),
        Kind::String => list.str().unwrap_or_default().into_owned(),
        _ => String::new(),
    }
}
