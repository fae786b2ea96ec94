mod answer;
mod event_stream;
mod inflate;
mod json;
mod request;
mod sse;
mod stream;

use crate::Target;

/// All targets.
pub const TARGETS: &[Target] = &[
    sse::TARGET,
    event_stream::TARGET,
    inflate::TARGET,
    json::TARGET,
    request::TARGET,
    stream::TARGET,
    answer::TARGET,
];
