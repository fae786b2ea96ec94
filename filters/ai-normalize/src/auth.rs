//! Keys of providers. They go from where they are into the request, and nowhere else.

use crate::config::{Auth, KeySource, check_header};
use crate::request::remove;
use filter_kit::{ConfigError, Env, Head};

/// Headers in which clients say who they are, to any provider. Asked of every header of every request, so it is no list.
fn is_client_auth(name: &[u8]) -> bool {
    matches!(
        name,
        b"authorization"
            | b"x-api-key"
            | b"api-key"
            | b"x-goog-api-key"
            | b"x-goog-user-project"
            | b"openai-organization"
            | b"openai-project"
            | b"proxy-authorization"
            | b"cookie"
            | b"x-amz-security-token"
            | b"x-amz-date"
            | b"x-amz-content-sha256"
    )
}

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
            KeySource::Header(name) => check_header(&format!("{at}.header"), name),
            KeySource::Env(_) => Ok(()),
        };
        match auth {
            Auth::Bearer(source) => check("bearer", source)?,
            Auth::Header { name, key } => {
                check_header("header.name", name)?;
                check("header.key", key)?;
            }
            Auth::None | Auth::Client => {}
        }
        Ok(Self(auth.clone()))
    }

    /// The header that its key comes in.
    pub(crate) fn key_header(&self) -> Option<&str> {
        match &self.0 {
            Auth::Bearer(KeySource::Header(name)) | Auth::Header { key: KeySource::Header(name), .. } => Some(name),
            _ => None,
        }
    }

    /// Takes what the client said of itself out of a request, and puts in what the provider is told. Keys of other providers, which
    /// come in these headers, do not go on either.
    pub(crate) fn apply(&self, key_headers: &[String], head: &mut Head, env: &dyn Env) -> Result<(), MissingKey> {
        let key = |source: &KeySource, head: &Head| match source {
            KeySource::Env(name) => env.variable(name).map(String::into_bytes),
            KeySource::Header(name) => head.get(name).map(<[u8]>::to_vec).filter(|value| !value.is_empty()),
        };
        let is_key = |name: &[u8]| key_headers.iter().any(|known| known.as_bytes() == name);
        let set = match &self.0 {
            Auth::Client => {
                remove(head, |name| is_key(name) && !is_client_auth(name));
                return Ok(());
            }
            Auth::None => None,
            Auth::Bearer(source) => {
                let key = key(source, head).ok_or(MissingKey)?;
                // what Envoy injects may have the word already
                let is_whole = key.get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"bearer "));
                Some(("authorization", if is_whole { key } else { [b"Bearer ", key.as_slice()].concat() }))
            }
            Auth::Header { name, key: source } => Some((name.as_str(), key(source, head).ok_or(MissingKey)?)),
        };
        remove(head, |name| is_client_auth(name) || is_key(name));
        match set {
            // a key with control characters is none
            Some((name, value)) => head.set(name, &value).map_err(|_| MissingKey),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_kit::FixedEnv;

    fn head() -> Head {
        Head::from_fields([
            (&b":method"[..], &b"POST"[..]),
            (b":path", b"/"),
            (b"authorization", b"Bearer of-the-client"),
            (b"cookie", b"a=b"),
            (b"x-key-a", b"ka"),
            (b"x-key-b", b"kb"),
        ])
    }

    fn names(head: &Head) -> Vec<String> {
        let names = head.iter().map(|(name, _)| String::from_utf8(name.to_vec()).unwrap());
        names.filter(|name| !name.starts_with(':')).collect()
    }

    #[test]
    fn a_provider_gets_its_own_key_and_nobody_elses() {
        let all = ["x-key-a".to_owned(), "x-key-b".to_owned()];
        let own = KeySource::Header("x-key-a".to_owned());
        let env = FixedEnv::default();
        for (auth, expected) in [
            (Auth::Bearer(own.clone()), &["authorization"][..]),
            (Auth::Header { name: "x-api-key".to_owned(), key: own.clone() }, &["x-api-key"]),
            // under its own name as well
            (Auth::Header { name: "x-key-a".to_owned(), key: own }, &["x-key-a"]),
            (Auth::None, &[]),
            (Auth::Client, &["authorization", "cookie"]),
        ] {
            let mut head = head();
            Credentials::new(&auth).unwrap().apply(&all, &mut head, &env).unwrap();
            assert_eq!(names(&head), expected, "{auth:?}");
            assert_ne!(head.get("x-key-a"), Some(&b"kb"[..]));
        }
    }

    #[test]
    fn no_key_is_told() {
        let auth = Auth::Bearer(KeySource::Env("KEY".to_owned()));
        let credentials = Credentials::new(&auth).unwrap();
        assert_eq!(credentials.apply(&[], &mut head(), &FixedEnv::default()), Err(MissingKey));
        let env = FixedEnv::default().with_variable("KEY", "a\nb");
        assert_eq!(credentials.apply(&[], &mut head(), &env), Err(MissingKey));
        let env = FixedEnv::default().with_variable("KEY", "secret");
        let mut sent = head();
        credentials.apply(&[], &mut sent, &env).unwrap();
        assert_eq!(sent.get("authorization"), Some(&b"Bearer secret"[..]));
    }
}
