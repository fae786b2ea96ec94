//! Keys of providers. They go from where they are into the request, and nowhere else.

use crate::config::{Auth, KeySource};
use filter_kit::head::is_header_name;
use filter_kit::{ConfigError, Env, Head};

/// Headers in which clients say who they are, to any provider.
const CLIENT_AUTH: &[&str] = &[
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-goog-user-project",
    "openai-organization",
    "openai-project",
    "proxy-authorization",
    "cookie",
    "x-amz-security-token",
    "x-amz-date",
    "x-amz-content-sha256",
];

/// How a provider knows who asks.
#[derive(Debug)]
pub(crate) struct Credentials(Auth);

/// There is no key where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MissingKey;

impl Credentials {
    pub(crate) fn new(auth: &Auth) -> Result<Self, ConfigError> {
        let check = |at: &str, source: &KeySource| match source {
            KeySource::Env(name) if name.is_empty() || name.contains(['=', '\0']) => {
                Err(ConfigError::new(format!("{at}.env"), "expected the name of an environment variable"))
            }
            KeySource::Header(name) if !is_header_name(name) || name.starts_with(':') => {
                Err(ConfigError::new(format!("{at}.header"), "expected the lower-case name of a header"))
            }
            _ => Ok(()),
        };
        match auth {
            Auth::Bearer(source) => check("bearer", source)?,
            Auth::Header { name, .. } if !is_header_name(name) || name.starts_with(':') => {
                return Err(ConfigError::new("header.name", "expected the lower-case name of a header"));
            }
            Auth::Header { key, .. } => check("header.key", key)?,
            Auth::None | Auth::Client => {}
        }
        Ok(Self(auth.clone()))
    }

    /// Takes what the client said of itself out of a request, and puts in what the provider is told.
    pub(crate) fn apply(&self, head: &mut Head, env: &dyn Env) -> Result<(), MissingKey> {
        let key = |source: &KeySource, head: &mut Head| match source {
            KeySource::Env(name) => env.variable(name).map(String::into_bytes),
            KeySource::Header(name) => {
                let value = head.get(name).map(<[u8]>::to_vec);
                head.remove(name);
                value.filter(|value| !value.is_empty())
            }
        };
        let set = match &self.0 {
            Auth::Client => return Ok(()),
            Auth::None => None,
            Auth::Bearer(source) => {
                let key = key(source, head).ok_or(MissingKey)?;
                // what Envoy injects may have the word already
                let is_whole = key.get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"bearer "));
                Some(("authorization", if is_whole { key } else { [b"Bearer ", key.as_slice()].concat() }))
            }
            Auth::Header { name, key: source } => Some((name.as_str(), key(source, head).ok_or(MissingKey)?)),
        };
        for name in CLIENT_AUTH {
            head.remove(name);
        }
        match set {
            // a key with control characters is none
            Some((name, value)) => head.set(name, &value).map_err(|_| MissingKey),
            None => Ok(()),
        }
    }
}
