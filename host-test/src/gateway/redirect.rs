//! Where a redirect sends the client, as Envoy says it (measured on 1.40).

use super::bootstrap::{PathRedirect, PathTest, Redirect};
use super::route::without_query;
use crate::HeaderMap;

impl Redirect {
    /// The value of `location` for a request that matched.
    pub(crate) fn location(&self, matched: &PathTest, request: &HeaderMap) -> Vec<u8> {
        let header = |name: &str| request.get(name.as_bytes()).unwrap_or_default();
        let scheme = self.scheme.as_deref().map_or(header(":scheme"), str::as_bytes);
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let host = match &self.host {
            Some(host) => host.as_bytes(),
            None => self.kept_host(header(":authority"), scheme, header("x-forwarded-proto")),
        };
        let old = header(":path");
        let query = old.get(without_query(old).len()..).unwrap_or_default();
        let (path, has_own_query) = match &self.path {
            PathRedirect::Keep => (old.to_vec(), false),
            PathRedirect::To(path) if path.contains('?') => (path.clone().into_bytes(), true),
            PathRedirect::To(path) => ([path.as_bytes(), query].concat(), false),
            PathRedirect::Rewrite(rewrite) => (rewrite.apply(matched, old), false),
        };
        let path = if self.strip_query && !has_own_query { without_query(&path) } else { path.as_slice() };
        [scheme, b"://", host, port.as_bytes(), path].concat()
    }

    /// The request's host, without its port where the redirect sets one or the old scheme's own is not the new one's.
    fn kept_host<'a>(&self, host: &'a [u8], scheme: &[u8], old_scheme: &[u8]) -> &'a [u8] {
        let Some(at) = host.iter().rposition(|byte| *byte == b':') else { return host };
        let (name, port) = host.split_at(at);
        if name.starts_with(b"[") && !name.ends_with(b"]") {
            // The colon stands within an IPv6 address.
            return host;
        }
        let of_the_old = matches!((old_scheme, port), (b"http", b":80") | (b"https", b":443"));
        if self.port.is_some() || (scheme != old_scheme && of_the_old) { name } else { host }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bootstrap::{PathRewrite, Redirect};
    use super::*;

    fn redirect() -> Redirect {
        Redirect { scheme: None, host: None, port: None, path: PathRedirect::Keep, strip_query: false, status: 301 }
    }

    #[test]
    fn locations_are_made_as_envoy_makes_them() {
        let https = || Redirect { scheme: Some("https".into()), ..redirect() };
        let path = |path: PathRedirect| Redirect { path, ..redirect() };
        let prefix = |text: &str| path(PathRedirect::Rewrite(PathRewrite::Prefix(text.into())));
        let whole = || PathTest::Exact("/a".into());
        for (redirect, matched, host, request_path, expected) in [
            (https(), whole(), "a.test", "/a?b", "https://a.test/a?b"),
            (https(), whole(), "a.test:80", "/a", "https://a.test/a"),
            (https(), whole(), "a.test:8080", "/a", "https://a.test:8080/a"),
            (https(), whole(), "[::1]:80", "/a", "https://[::1]/a"),
            (https(), whole(), "[::1]", "/a", "https://[::1]/a"),
            (redirect(), whole(), "a.test:80", "/a", "http://a.test:80/a"),
            (Redirect { port: Some(8443), ..https() }, whole(), "a.test:81", "/a?q", "https://a.test:8443/a?q"),
            (
                Redirect { host: Some("new".into()), ..path(PathRedirect::To("/p".into())) },
                whole(),
                "a:1",
                "/a?q",
                "http://new/p?q",
            ),
            (
                Redirect { strip_query: true, ..path(PathRedirect::To("/p?z=1".into())) },
                whole(),
                "a",
                "/a?q",
                "http://a/p?z=1",
            ),
            (Redirect { strip_query: true, ..redirect() }, whole(), "a:81", "/a?q", "http://a:81/a"),
            (prefix("/new"), PathTest::Prefix("/a".into()), "a", "/a/x?q", "http://a/new/x?q"),
            (prefix("/"), PathTest::Segments("/a".into()), "a", "/a/x?q", "http://a//x?q"),
            (prefix("/q"), whole(), "a", "/a?q", "http://a/q?q"),
        ] {
            let request: HeaderMap =
                [(":authority", host), (":path", request_path), (":scheme", "http"), ("x-forwarded-proto", "http")]
                    .into_iter()
                    .collect();
            let location = redirect.location(&matched, &request);
            assert_eq!(String::from_utf8_lossy(&location), expected, "{redirect:?}");
        }
        let request: HeaderMap =
            [(":authority", "a:443"), (":path", "/"), (":scheme", "https"), ("x-forwarded-proto", "https")]
                .into_iter()
                .collect();
        let plain = Redirect { scheme: Some("http".into()), ..redirect() };
        assert_eq!(plain.location(&whole(), &request), b"http://a/");
        assert_eq!(redirect_to_itself(&request), b"https://a:443/");
    }

    fn redirect_to_itself(request: &HeaderMap) -> Vec<u8> {
        redirect().location(&PathTest::Exact("/".into()), request)
    }
}
