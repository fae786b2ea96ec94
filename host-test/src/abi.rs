//! The numbers of the proxy-wasm ABI 0.2.1: statuses, map types, buffer types.

/// What a host call returns. The numbers are those that Envoy 1.40 uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// No such key, property, token or function.
    NotFound = 1,
    /// An argument is out of range, or the map or buffer cannot be used now.
    BadArgument = 2,
    /// A value that has no byte form.
    SerializationFailure = 3,
    /// Bytes that are not what they should encode.
    ParseFailure = 4,
    /// A pointer outside the guest's memory.
    InvalidMemoryAccess = 6,
    /// Nothing in the queue.
    Empty = 7,
    /// The entry was changed by somebody else.
    CasMismatch = 8,
    /// The host failed.
    InternalFailure = 10,
    /// The host does not do that.
    Unimplemented = 12,
}

/// The header maps a guest can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapType {
    RequestHeaders,
    RequestTrailers,
    ResponseHeaders,
    ResponseTrailers,
    GrpcInitialMetadata,
    GrpcTrailingMetadata,
    CallResponseHeaders,
    CallResponseTrailers,
}

impl MapType {
    pub(crate) fn from_raw(raw: u32) -> Result<Self, Status> {
        Ok(match raw {
            0 => Self::RequestHeaders,
            1 => Self::RequestTrailers,
            2 => Self::ResponseHeaders,
            3 => Self::ResponseTrailers,
            4 => Self::GrpcInitialMetadata,
            5 => Self::GrpcTrailingMetadata,
            6 => Self::CallResponseHeaders,
            7 => Self::CallResponseTrailers,
            _ => return Err(Status::BadArgument),
        })
    }
}

/// The buffers a guest can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BufferType {
    RequestBody,
    ResponseBody,
    DownstreamData,
    UpstreamData,
    CallResponseBody,
    GrpcReceive,
    VmConfiguration,
    PluginConfiguration,
    CallData,
}

impl BufferType {
    pub(crate) fn from_raw(raw: u32) -> Result<Self, Status> {
        Ok(match raw {
            0 => Self::RequestBody,
            1 => Self::ResponseBody,
            2 => Self::DownstreamData,
            3 => Self::UpstreamData,
            4 => Self::CallResponseBody,
            5 => Self::GrpcReceive,
            6 => Self::VmConfiguration,
            7 => Self::PluginConfiguration,
            8 => Self::CallData,
            _ => return Err(Status::BadArgument),
        })
    }
}

/// How grave a log line is, with the ABI's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum LogLevel {
    /// Finest detail.
    Trace = 0,
    /// For developers.
    Debug = 1,
    /// Normal operation; also what a guest writes to standard output.
    Info = 2,
    /// Something odd.
    Warn = 3,
    /// Something failed; also what a guest writes to standard error.
    Error = 4,
    /// The module cannot go on.
    Critical = 5,
}

impl LogLevel {
    pub(crate) fn from_raw(raw: u32) -> Result<Self, Status> {
        Ok(match raw {
            0 => Self::Trace,
            1 => Self::Debug,
            2 => Self::Info,
            3 => Self::Warn,
            4 => Self::Error,
            5 => Self::Critical,
            _ => return Err(Status::BadArgument),
        })
    }

    /// The level's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}
