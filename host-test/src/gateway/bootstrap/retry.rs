//! Retry policies of routes and virtual hosts, as data. `gateway::retry` decides by them.

use std::time::Duration;

use super::InvalidBootstrap;
use super::reader::At;

/// `retry_policy`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// What is tried again.
    pub on: RetryOn,
    /// The statuses behind [`RetryOn::STATUSES`].
    pub statuses: Vec<u16>,
    /// How often at most, the first attempt not counted; Envoy's default is 1.
    pub retries: u32,
    /// How long each attempt may take; zero means as long as the whole.
    pub per_try_timeout: Duration,
    /// The pauses between attempts.
    pub back_off: BackOff,
}

/// `retry_back_off`: pauses are drawn up to a bound that doubles with each retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The bound of the first pause; Envoy's default is 25 ms.
    pub base: Duration,
    /// The bound beyond which it does not grow; Envoy's default is ten times the first.
    pub max: Duration,
}

/// A set of reasons to try again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(u32);

impl Default for BackOff {
    fn default() -> Self {
        Self { base: Duration::from_millis(25), max: Duration::from_millis(250) }
    }
}

impl RetryOn {
    /// `5xx`: such a status, or no answer at all.
    pub const SERVER_ERROR: Self = Self(1);
    /// `gateway-error`: 502, 503 or 504, or no answer at all.
    pub const GATEWAY_ERROR: Self = Self(1 << 1);
    /// `connect-failure`: no connection.
    pub const CONNECT_FAILURE: Self = Self(1 << 2);
    /// `refused-stream`: HTTP/2 streams that the upstream did not take.
    pub const REFUSED_STREAM: Self = Self(1 << 3);
    /// `reset`: no answer at all.
    pub const RESET: Self = Self(1 << 4);
    /// `retriable-4xx`: 409.
    pub const CONFLICT: Self = Self(1 << 5);
    /// `reset-before-request`: the request had not begun to go out.
    pub const BEFORE_REQUEST: Self = Self(1 << 6);
    /// `retriable-status-codes`
    pub const STATUSES: Self = Self(1 << 7);
    /// `envoy-ratelimited`: answers that are marked so, which otherwise are never tried again.
    pub const RATE_LIMITED: Self = Self(1 << 8);
    /// Of gRPC: `cancelled`, status 1.
    pub const CANCELLED: Self = Self(1 << 9);
    /// Of gRPC: `deadline-exceeded`, status 4.
    pub const DEADLINE_EXCEEDED: Self = Self(1 << 10);
    /// Of gRPC: `resource-exhausted`, status 8.
    pub const RESOURCE_EXHAUSTED: Self = Self(1 << 11);
    /// Of gRPC: `internal`, status 13.
    pub const INTERNAL: Self = Self(1 << 12);
    /// Of gRPC: `unavailable`, status 14.
    pub const UNAVAILABLE: Self = Self(1 << 13);
    /// No reason.
    pub const NEVER: Self = Self(0);

    /// Whether one of the reasons of `other` is in it.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The reasons of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The reason that has this name in `retry_on` and `x-envoy-retry-on`.
    pub fn http(name: &str) -> Option<Self> {
        Some(match name {
            "5xx" => Self::SERVER_ERROR,
            "gateway-error" => Self::GATEWAY_ERROR,
            "connect-failure" => Self::CONNECT_FAILURE,
            "refused-stream" => Self::REFUSED_STREAM,
            "reset" => Self::RESET,
            "retriable-4xx" => Self::CONFLICT,
            "reset-before-request" => Self::BEFORE_REQUEST,
            "retriable-status-codes" => Self::STATUSES,
            "envoy-ratelimited" => Self::RATE_LIMITED,
            // There is no HTTP/3.
            "http3-post-connect-failure" => Self::NEVER,
            _ => return None,
        })
    }

    /// The reason that has this name in `retry_on` and `x-envoy-retry-grpc-on`.
    pub fn grpc(name: &str) -> Option<Self> {
        Some(match name {
            "cancelled" => Self::CANCELLED,
            "deadline-exceeded" => Self::DEADLINE_EXCEEDED,
            "resource-exhausted" => Self::RESOURCE_EXHAUSTED,
            "internal" => Self::INTERNAL,
            "unavailable" => Self::UNAVAILABLE,
            _ => return None,
        })
    }
}

impl RetryPolicy {
    pub(super) fn read(at: At) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let mut on = RetryOn::NEVER;
        if let Some(list) = fields.take("retry_on") {
            for name in list.text()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let reason = RetryOn::http(name).or_else(|| RetryOn::grpc(name));
                on = on.and(reason.ok_or_else(|| list.not_served(&format!("`{name}`")))?);
            }
        }
        let mut statuses = Vec::new();
        if let Some(list) = fields.take("retriable_status_codes") {
            for item in list.list()? {
                statuses.push(u16::try_from(item.number(999)?).unwrap_or(0));
            }
        }
        let retries = match fields.take("num_retries") {
            None => 1,
            Some(number) => u32::try_from(number.number(u64::from(u32::MAX))?).unwrap_or(u32::MAX),
        };
        let per_try_timeout =
            fields.take("per_try_timeout").map_or(Ok(Duration::ZERO), |timeout| timeout.duration())?;
        let back_off = fields.take("retry_back_off").map_or(Ok(BackOff::default()), BackOff::read)?;
        let moves_on = "each attempt goes to the next endpoint of the round robin";
        fields.note("retry_host_predicate", moves_on);
        fields.note("host_selection_retry_max_attempts", moves_on);
        fields.finish()?;
        Ok(Self { on, statuses, retries, per_try_timeout, back_off })
    }
}

impl BackOff {
    fn read(at: At) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let base_at = fields.need("base_interval")?;
        let base = base_at.duration()?;
        if base.is_zero() {
            return Err(base_at.fault("must be longer than 0s"));
        }
        let max_at = fields.take("max_interval");
        let max = match &max_at {
            None => base * 10,
            Some(max) => max.duration()?,
        };
        if let Some(at) = max_at.filter(|_| max < base) {
            return Err(at.fault("must not be shorter than `base_interval`"));
        }
        fields.finish()?;
        // Envoy's timers know no less.
        Ok(Self { base: base.max(Duration::from_millis(1)), max: max.max(Duration::from_millis(1)) })
    }
}
