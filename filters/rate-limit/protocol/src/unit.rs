//! Units of time.

/// `envoy.type.v3.RateLimitUnit`, and the same numbers in `RateLimitResponse.RateLimit.Unit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Unit {
    /// None; also what a number beyond these is read as.
    Unknown = 0,
    /// Second.
    Second = 1,
    /// Minute.
    Minute = 2,
    /// Hour.
    Hour = 3,
    /// Day.
    Day = 4,
    /// 30 days.
    Month = 5,
    /// 365 days.
    Year = 6,
    /// Seven days; newer than the others, and in the response only.
    Week = 7,
}

impl Unit {
    /// Length in seconds as envoyproxy/ratelimit counts, whose windows begin at multiples of it since 1970; 0 if unknown.
    pub const fn seconds(self) -> u64 {
        const DAY: u64 = 24 * 60 * 60;
        match self {
            Self::Unknown => 0,
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Year => 365 * DAY,
        }
    }
}
