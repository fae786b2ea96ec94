mod event_stream;
mod inflate;
mod sse;

use crate::Target;

/// All targets.
pub const TARGETS: &[Target] = &[sse::TARGET, event_stream::TARGET, inflate::TARGET];
