//! Header maps: ordered multimaps of bytes with Envoy's rules for order, aliases and repeated names.

/// An ordered multimap of header names (lower case) and values. Pseudo headers (`:path`) stay in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderMap {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    pseudo: usize,
}

/// Whose map it is: decides about aliases and about names that hold one value only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Request headers: `host` is another name for `:authority`.
    Request,
    /// Response headers.
    Response,
    /// Trailers and everything else: every value is its own entry.
    Plain,
}

impl HeaderMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value of `name` (any case).
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All values of `name` (any case), in order.
    pub fn get_all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Appends an entry of its own, whatever is there already. The name is lower-cased, nothing is checked.
    pub fn add(&mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let mut name = name.into();
        name.make_ascii_lowercase();
        if name.first() == Some(&b':') {
            self.entries.insert(self.pseudo, (name, value.into()));
            self.pseudo += 1;
        } else {
            self.entries.push((name, value.into()));
        }
    }

    /// Removes all values of `name` and appends the new one.
    pub fn replace(&mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let name = name.into();
        self.remove(&name);
        self.add(name, value);
    }

    /// Removes all values of `name` (any case). Tells how many there were.
    pub fn remove(&mut self, name: &[u8]) -> usize {
        let before = self.entries.len();
        self.entries.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        let removed = before - self.entries.len();
        if removed > 0 && name.first() == Some(&b':') {
            self.pseudo -= removed;
        }
        removed
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.entries.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all names and values together.
    pub fn byte_size(&self) -> usize {
        self.entries.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.pseudo = 0;
    }

    /// Adds as Envoy's header map of that role does: a name that holds one value only is joined with the value
    /// that is there, any other name gets an entry of its own.
    pub fn append(&mut self, role: Role, name: &[u8], value: &[u8]) {
        let name = canonical(role, name);
        if let Some(delimiter) = single_valued(role, &name)
            && let Some((_, old)) = self.entries.iter_mut().find(|(key, _)| *key == name)
        {
            if !old.is_empty() && !value.is_empty() {
                old.extend_from_slice(delimiter);
            }
            old.extend_from_slice(value);
            return;
        }
        self.add(name, value);
    }

    /// The first value of `name`, with the role's aliases.
    pub fn get_as(&self, role: Role, name: &[u8]) -> Option<&[u8]> {
        self.get(&canonical(role, name))
    }

    /// `replace` with the role's aliases.
    pub fn replace_as(&mut self, role: Role, name: &[u8], value: &[u8]) {
        self.replace(canonical(role, name), value);
    }

    /// `remove` with the role's aliases.
    pub fn remove_as(&mut self, role: Role, name: &[u8]) {
        self.remove(&canonical(role, name));
    }
}

impl<N: Into<Vec<u8>>, V: Into<Vec<u8>>> FromIterator<(N, V)> for HeaderMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (name, value) in entries {
            map.add(name, value);
        }
        map
    }
}

fn canonical(role: Role, name: &[u8]) -> Vec<u8> {
    let name = name.to_ascii_lowercase();
    if role == Role::Request && name == b"host" { b":authority".to_vec() } else { name }
}

/// The names for which Envoy keeps one entry and joins further values (measured, see docs/envoy-notes.md).
fn single_valued(role: Role, name: &[u8]) -> Option<&'static [u8]> {
    #[rustfmt::skip]
    const BOTH: &[&str] = &[
        "cache-control", "connection", "content-encoding", "content-length", "content-type", "keep-alive",
        "proxy-connection", "transfer-encoding", "upgrade", "via", "x-envoy-attempt-count",
        "x-envoy-decorator-operation", "x-request-id",
    ];
    #[rustfmt::skip]
    const REQUEST: &[&str] = &[
        ":authority", ":method", ":path", ":protocol", ":scheme", "accept", "accept-encoding",
        "access-control-request-headers", "access-control-request-method", "authorization", "expect",
        "grpc-accept-encoding", "grpc-timeout", "if-match", "if-modified-since", "if-none-match", "if-range",
        "if-unmodified-since", "origin", "pragma", "referer", "te", "user-agent", "x-client-trace-id",
        "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node", "x-envoy-expected-rq-timeout-ms",
        "x-envoy-external-address", "x-envoy-force-trace", "x-envoy-internal", "x-envoy-ip-tags",
        "x-envoy-max-retries", "x-envoy-original-path", "x-envoy-retry-grpc-on", "x-envoy-retry-on",
        "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-rq-timeout-ms", "x-forwarded-client-cert",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto",
    ];
    #[rustfmt::skip]
    const RESPONSE: &[&str] = &[
        ":status", "access-control-allow-credentials", "access-control-allow-headers",
        "access-control-allow-methods", "access-control-allow-origin", "access-control-expose-headers",
        "access-control-max-age", "age", "date", "etag", "expires", "grpc-message", "grpc-status", "last-modified",
        "location", "proxy-status", "server", "vary", "x-envoy-degraded", "x-envoy-immediate-health-check-fail",
        "x-envoy-ratelimited", "x-envoy-upstream-service-time",
    ];
    let own: &[&str] = match role {
        Role::Request => REQUEST,
        Role::Response => RESPONSE,
        Role::Plain => return None,
    };
    (BOTH.iter().chain(own).any(|known| known.as_bytes() == name)).then_some(b",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(map: &HeaderMap) -> String {
        map.iter().map(|(n, v)| format!("{}={};", String::from_utf8_lossy(n), String::from_utf8_lossy(v))).collect()
    }

    #[test]
    fn pseudo_headers_stay_in_front_and_replace_moves_to_the_end() {
        let mut map: HeaderMap = [(":path", "/a"), ("x", "1"), ("Y", "2"), ("x", "3")].into_iter().collect();
        map.add(":method", "GET");
        map.replace("X", "4");
        map.replace(":path", "/b");
        assert_eq!(text(&map), ":method=GET;:path=/b;y=2;x=4;");
        assert_eq!(map.byte_size(), 7 + 3 + 5 + 2 + 2 + 2);
        assert_eq!(map.remove(b":PATH"), 1);
        map.add(":scheme", "http");
        assert_eq!(text(&map), ":method=GET;:scheme=http;y=2;x=4;");
    }

    #[test]
    fn host_is_the_authority_of_a_request_only() {
        let mut map: HeaderMap = [(":authority", "a")].into_iter().collect();
        assert_eq!(map.get_as(Role::Request, b"Host"), Some(&b"a"[..]));
        assert_eq!(map.get_as(Role::Response, b"host"), None);
        map.replace_as(Role::Request, b"host", b"b");
        assert_eq!(text(&map), ":authority=b;");
    }

    #[test]
    fn single_valued_names_are_joined_and_others_are_not() {
        let mut map = HeaderMap::new();
        for value in ["a", "b"] {
            map.append(Role::Request, b"user-agent", value.as_bytes());
            map.append(Role::Request, b"x-own", value.as_bytes());
            map.append(Role::Plain, b"x-request-id", value.as_bytes());
        }
        assert_eq!(text(&map), "user-agent=a,b;x-own=a;x-request-id=a;x-own=b;x-request-id=b;");
    }
}
