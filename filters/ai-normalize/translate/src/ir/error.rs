//! Errors, in no dialect.

use std::borrow::Cow;

/// What a client is told went wrong, by a provider or by us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// What kind of mistake.
    pub kind: ErrorKind,
    /// For people; one sentence.
    pub message: String,
    /// For programs, if there is a word for it.
    pub code: Option<Cow<'static, str>>,
    /// The parameter that is wrong.
    pub param: Option<String>,
    /// Value of the header `retry-after`, if the provider tells it elsewhere.
    pub retry_after: Option<String>,
}

/// Kinds of mistakes that dialects have words for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ErrorKind {
    InvalidRequest,
    Authentication,
    Billing,
    Permission,
    NotFound,
    Conflict,
    TooLarge,
    RateLimit,
    Overloaded,
    Timeout,
    Server,
}

impl ErrorKind {
    /// What a status means.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            503 | 529 => Self::Overloaded,
            408 | 504 => Self::Timeout,
            500.. => Self::Server,
            _ => Self::InvalidRequest,
        }
    }
}

impl ApiError {
    /// One of the kind that its status says.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        let kind = ErrorKind::of_status(status);
        Self { status, kind, message: message.into(), code: None, param: None, retry_after: None }
    }

    /// 400: the client's mistake.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// The same with a parameter's name.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same with a word for programs.
    #[must_use]
    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// A parameter that the provider cannot do.
    pub fn unsupported(param: impl Into<String>, why: &str) -> Self {
        let param = param.into();
        Self::invalid(format!("{param}: {why}")).code("unsupported_parameter").param(param)
    }

    /// What a provider sent is not what its dialect says.
    pub fn unreadable(why: &str) -> Self {
        Self::new(502, format!("the provider's answer could not be read: {why}")).code("upstream_unreadable")
    }

    /// A stream that ends before its answer does.
    pub fn truncated() -> Self {
        Self::new(502, "the provider ended the stream before the end of its answer").code("upstream_truncated")
    }
}
