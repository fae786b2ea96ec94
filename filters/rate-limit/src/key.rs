//! Whose limits a request counts against.

use crate::config::{ConsumersConfig, KeyPartConfig, SourceAddressConfig};
use filter_kit::matching::Request;
use filter_kit::{ConfigError, Env, address, head};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::Hasher;
use std::net::IpAddr;
use std::rc::Rc;

/// A key's place: what says which row, and what says which entry of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Spreads over rows.
    pub row: u64,
    /// Never 0.
    pub fingerprint: u64,
}

/// The secret that keys are hashed with: nobody can aim at a row or at another's entry.
pub type Secret = [u8; 16];

/// Who requests come from.
#[derive(Clone)]
pub struct Consumers {
    credential: KeyPartConfig,
    names: BTreeMap<Vec<u8>, String>,
}

/// Credentials stand in no log.
impl std::fmt::Debug for Consumers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consumers({} credentials)", self.names.len())
    }
}

const MAX_CREDENTIALS: usize = 10_000;

impl Consumers {
    /// Checks and compiles.
    ///
    /// # Errors
    /// With a path from `consumers` on.
    pub fn new(config: ConsumersConfig) -> Result<Self, ConfigError> {
        if config.credential == KeyPartConfig::Consumer {
            return Err(ConfigError::new("credential", "expected a part that is not \"consumer\" itself"));
        }
        check(&config.credential, true).map_err(|error| error.within("credential"))?;
        if !(1..=MAX_CREDENTIALS).contains(&config.names.len()) {
            let why = format!("expected 1 to {MAX_CREDENTIALS} credentials, found {}", config.names.len());
            return Err(ConfigError::new("names", why));
        }
        if config.names.values().any(String::is_empty) {
            return Err(ConfigError::new("names", "expected consumers with names, found an empty one"));
        }
        let names = config.names.into_iter().map(|(credential, name)| (credential.into_bytes(), name)).collect();
        Ok(Self { credential: config.credential, names })
    }

    /// The consumer that a request comes from.
    pub fn of(&self, request: &Request<'_>, env: &dyn Env) -> Option<&str> {
        let credential = value(&self.credential, request, env)?;
        self.names.get(credential.as_ref()).map(String::as_str)
    }
}

/// Compiled parts of a key.
#[derive(Debug, Clone)]
pub struct Key {
    parts: Vec<KeyPartConfig>,
    consumers: Option<Rc<Consumers>>,
}

const MAX_PARTS: usize = 8;

impl Key {
    /// Checks and compiles.
    ///
    /// # Errors
    /// With a path from `key` on.
    pub fn new(parts: Vec<KeyPartConfig>, consumers: Option<Rc<Consumers>>) -> Result<Self, ConfigError> {
        if parts.len() > MAX_PARTS {
            return Err(ConfigError::new("", format!("expected at most {MAX_PARTS} parts, found {}", parts.len())));
        }
        for (index, part) in parts.iter().enumerate() {
            check(part, consumers.is_some()).map_err(|error| error.within(&format!("[{index}]")))?;
        }
        Ok(Self { parts, consumers })
    }

    /// How many parts it has.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether it has none: all requests share it.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A part's value as text, if it is text; an address is written as one.
    pub fn text<'a>(&self, index: usize, value: &'a [u8]) -> Option<Cow<'a, str>> {
        let address = match (self.parts.get(index), value.len()) {
            (Some(KeyPartConfig::SourceAddress(_)), 4) => <[u8; 4]>::try_from(value).map(IpAddr::from).ok(),
            (Some(KeyPartConfig::SourceAddress(_)), 16) => <[u8; 16]>::try_from(value).map(IpAddr::from).ok(),
            _ => return std::str::from_utf8(value).ok().map(Cow::Borrowed),
        };
        address.map(|address| Cow::Owned(address.to_string()))
    }

    /// Whether all requests have the same key.
    pub fn is_constant(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, KeyPartConfig::Constant(_)))
    }

    /// Whether it depends on the request's head.
    pub fn reads_head(&self) -> bool {
        !self.parts.iter().all(|part| match part {
            KeyPartConfig::Constant(_) | KeyPartConfig::Property(_) => true,
            KeyPartConfig::SourceAddress(address) => address.trusted_hops == 0,
            _ => false,
        })
    }

    /// The parts of a request's key; `None` if it lacks one.
    pub fn values<'a>(&'a self, request: &Request<'a>, env: &dyn Env) -> Option<Vec<Cow<'a, [u8]>>> {
        let part = |part: &'a KeyPartConfig| match (part, &self.consumers) {
            (KeyPartConfig::Consumer, Some(consumers)) => {
                consumers.of(request, env).map(|name| Cow::Borrowed(name.as_bytes()))
            }
            _ => value(part, request, env),
        };
        self.parts.iter().map(part).collect()
    }
}

/// A value that stands for another, the same everywhere: what is too long for a service, no text, or a secret.
pub fn digest(value: &[u8]) -> String {
    let mut hasher = SipHasher24::new();
    hasher.write(value);
    let hash = hasher.finish128();
    format!("{:016x}{:016x}", hash.h1, hash.h2)
}

/// The place of a key. Parts are hashed with their lengths: `a`, `bc` is not `ab`, `c`.
pub fn place(parts: &[Cow<'_, [u8]>], secret: &Secret) -> Place {
    let mut hasher = SipHasher24::new_with_key(secret);
    for part in parts {
        hasher.write_u64(u64::try_from(part.len()).unwrap_or(u64::MAX));
        hasher.write(part);
    }
    let hash = hasher.finish128();
    Place { row: hash.h1, fingerprint: hash.h2.max(1) }
}

fn check(part: &KeyPartConfig, has_consumers: bool) -> Result<(), ConfigError> {
    match part {
        KeyPartConfig::Consumer if !has_consumers => Err(ConfigError::new(
            "",
            "expected \"consumers\" beside the policies, which say whose credentials are whose",
        )),
        KeyPartConfig::Header(name) if !head::is_header_name(name) => {
            Err(ConfigError::new("header", format!("expected a header name, found {name:?}")))
        }
        KeyPartConfig::QueryParameter(name) if name.is_empty() => {
            Err(ConfigError::new("query_parameter", "expected a name, found none"))
        }
        KeyPartConfig::Cookie(name) if name.is_empty() => {
            Err(ConfigError::new("cookie", "expected a name, found none"))
        }
        KeyPartConfig::Property(path)
            if path.is_empty() || path.iter().any(|step| step.is_empty() || step.contains('\0')) =>
        {
            Err(ConfigError::new("property", "expected steps of an attribute's path, as in [\"source\", \"address\"]"))
        }
        KeyPartConfig::SourceAddress(address) => {
            if !(1..=32).contains(&address.ipv4_bits) {
                let why = format!("expected 1 to 32, found {}", address.ipv4_bits);
                return Err(ConfigError::new("source_address.ipv4_bits", why));
            }
            if !(1..=128).contains(&address.ipv6_bits) {
                let why = format!("expected 1 to 128, found {}", address.ipv6_bits);
                return Err(ConfigError::new("source_address.ipv6_bits", why));
            }
            if address.trusted_hops > 32 {
                let why = format!("expected at most 32, found {}", address.trusted_hops);
                return Err(ConfigError::new("source_address.trusted_hops", why));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn value<'a>(part: &'a KeyPartConfig, request: &Request<'a>, env: &dyn Env) -> Option<Cow<'a, [u8]>> {
    match part {
        KeyPartConfig::Header(name) => request.header(name),
        KeyPartConfig::QueryParameter(name) => request.query_parameter(name),
        KeyPartConfig::Cookie(name) => request.cookie(name).map(Cow::Borrowed),
        KeyPartConfig::Path => Some(Cow::Borrowed(request.path)),
        KeyPartConfig::Method => Some(Cow::Borrowed(request.method)),
        KeyPartConfig::Host => Some(Cow::Owned(request.host.to_ascii_lowercase())),
        KeyPartConfig::SourceAddress(config) => {
            let address = match config.trusted_hops {
                0 => request.world.source_address(),
                hops => forwarded(request, hops),
            };
            address.map(|address| Cow::Owned(shortened(address, config)))
        }
        KeyPartConfig::Property(path) => {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            env.property(&path).map(Cow::Owned)
        }
        KeyPartConfig::Constant(text) => Some(Cow::Borrowed(text.as_bytes())),
        // found by the key, which knows the consumers
        KeyPartConfig::Consumer => None,
    }
}

/// The address that the outermost of so many trusted proxies has seen. What stands before it may be forged.
fn forwarded(request: &Request<'_>, hops: u32) -> Option<IpAddr> {
    let hops = usize::try_from(hops).ok()?;
    let values: Vec<&[u8]> = request.head.get_all("x-forwarded-for").collect();
    let entry = values.iter().rev().flat_map(|value| value.rsplit(|b| *b == b',')).nth(hops.checked_sub(1)?)?;
    address::parse(entry.trim_ascii())
}

fn shortened(address: IpAddr, config: &SourceAddressConfig) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - config.ipv4_bits.min(32)).unwrap_or(0);
            (u32::from(address) & mask).to_be_bytes().to_vec()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - config.ipv6_bits.min(128)).unwrap_or(0);
            (u128::from(address) & mask).to_be_bytes().to_vec()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_kit::matching::{MatchingConfig, World};
    use filter_kit::{FixedEnv, Head};

    fn values(json: &str, headers: &[(&str, &str)], path: &str) -> Option<Vec<String>> {
        let key = Key::new(filter_kit::config::parse(json.as_bytes()).unwrap(), None).unwrap();
        let head = Head::from_fields(headers.iter().copied());
        let env = FixedEnv::default().with_source_address("10.1.2.3".parse().unwrap());
        let (world, options) = (World::new(&env, None), MatchingConfig::default());
        let request = Request::new(&head, path.as_bytes(), &options, &world);
        let values = key.values(&request, &env)?;
        Some(values.iter().map(|value| value.escape_ascii().to_string()).collect())
    }

    #[test]
    fn parts_come_from_all_over_the_request() {
        let parts = r#"[{"header": "X-Key"}, {"query_parameter": "q"}, {"cookie": "c"}, "path", "method", "host",
                        {"source_address": {"ipv4_bits": 16}}, {"constant": "x"}]"#;
        let headers =
            [("x-key", "a"), ("x-key", "b"), ("cookie", "c=d"), (":method", "GET"), (":authority", "H.test:8")];
        assert_eq!(
            values(parts, &headers, "/p?q=1").unwrap(),
            ["a,b", "1", "d", "/p", "GET", "h.test", r"\n\x01\x00\x00", "x"]
        );
        assert_eq!(values(parts, &headers, "/p"), None);
    }

    #[test]
    fn only_what_trusted_proxies_have_written_counts() {
        let key = |hops: u32| format!(r#"[{{"source_address": {{"trusted_hops": {hops}}}}}]"#);
        let headers = [("x-forwarded-for", "6.6.6.6, 1.1.1.1"), ("x-forwarded-for", "2.2.2.2")];
        assert_eq!(values(&key(0), &headers, "/").unwrap(), [r"\n\x01\x02\x03"]);
        assert_eq!(values(&key(1), &headers, "/").unwrap(), [r"\x02\x02\x02\x02"]);
        assert_eq!(values(&key(2), &headers, "/").unwrap(), [r"\x01\x01\x01\x01"]);
        assert_eq!(values(&key(4), &headers, "/"), None);
        assert_eq!(values(&key(1), &[("x-forwarded-for", "junk")], "/"), None);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let place = |parts: &[&str]| {
            let parts: Vec<Cow<'_, [u8]>> = parts.iter().map(|part| Cow::Borrowed(part.as_bytes())).collect();
            place(&parts, &[7; 16])
        };
        assert_ne!(place(&["a", "bc"]), place(&["ab", "c"]));
        assert_ne!(place(&["a"]), place(&["a", ""]));
        assert_eq!(place(&["a", "b"]), place(&["a", "b"]));
    }
}
