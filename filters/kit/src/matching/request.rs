//! A request as conditions look at it.

use super::host::host_of;
use super::named::{NamedMatch, Repeated, joined};
use super::query::{cookie_values, decoded_query_values, query_values};
use super::{MatchingConfig, split_query};
use crate::{Env, Head};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;

/// What is known of a request beside its head; looked up at most once, and only if a condition asks.
pub struct World<'a> {
    env: &'a dyn Env,
    /// The whole body, once it is there.
    pub body: Option<&'a [u8]>,
    source: OnceCell<Option<IpAddr>>,
    port: OnceCell<Option<u16>>,
}

impl<'a> World<'a> {
    /// Around an environment.
    pub fn new(env: &'a dyn Env, body: Option<&'a [u8]>) -> Self {
        Self { env, body, source: OnceCell::new(), port: OnceCell::new() }
    }

    /// The client's address.
    pub fn source_address(&self) -> Option<IpAddr> {
        *self.source.get_or_init(|| self.env.source_address())
    }

    /// The port that the connection came to.
    pub fn destination_port(&self) -> Option<u16> {
        *self.port.get_or_init(|| self.env.destination_port())
    }
}

/// The parts of a request that conditions look at. Cheap to make and to copy.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The head as it arrived.
    pub head: &'a Head,
    /// Path and query, as rules see them.
    pub target: &'a [u8],
    /// The part of `target` up to the first `?`.
    pub path: &'a [u8],
    /// What follows the first `?`, without it.
    pub query: Option<&'a [u8]>,
    /// Host and port.
    pub authority: &'a [u8],
    /// Host without port and without a dot at its end.
    pub host: &'a [u8],
    /// The method.
    pub method: &'a [u8],
    /// What else is known.
    pub world: &'a World<'a>,
    options: &'a MatchingConfig,
}

impl<'a> Request<'a> {
    /// Looks a head over. `target` is its `:path`, in the form that `options` ask for.
    pub fn new(head: &'a Head, target: &'a [u8], options: &'a MatchingConfig, world: &'a World<'a>) -> Self {
        let (path, query) = split_query(target);
        let authority = head.authority();
        let (host, method) = (host_of(authority), head.method());
        Self { head, target, path, query, authority, host, method, world, options }
    }

    /// The same request after a rewrite.
    #[must_use]
    pub fn rewritten(self, target: &'a [u8], authority: &'a [u8]) -> Self {
        let (path, query) = split_query(target);
        Self { target, path, query, authority, host: host_of(authority), ..self }
    }

    /// `:scheme`, or else what `x-forwarded-proto` says.
    pub fn scheme(&self) -> &'a [u8] {
        self.head.get(":scheme").or_else(|| self.head.get("x-forwarded-proto")).unwrap_or_default()
    }

    /// A header's value as text for templates and hashes: of a repeated one, all of them joined.
    pub fn header(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        match name {
            ":path" => return Some(Cow::Borrowed(self.target)),
            ":authority" | "host" => return Some(Cow::Borrowed(self.authority)),
            _ => {}
        }
        let mut values = self.head.get_all(name).peekable();
        values.peek().is_some().then(|| joined(values))
    }

    /// The first value of a query parameter, decoded if the options say so.
    pub fn query_parameter(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let query = self.query?;
        if self.options.decode_query_parameters {
            decoded_query_values(query, name.as_bytes()).next()
        } else {
            query_values(query, name.as_bytes()).next().map(Cow::Borrowed)
        }
    }

    /// The first value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&'a [u8]> {
        let mut headers = self.head.get_all("cookie");
        headers.find_map(|header| cookie_values(header, name.as_bytes()).next())
    }

    pub(super) fn header_fits(&self, wanted: &NamedMatch) -> bool {
        let repeated = self.options.repeated_headers;
        match wanted.name.as_str() {
            // a second table sees what the first has made of them
            ":path" => wanted.matches(std::iter::once(self.target), repeated),
            ":authority" | "host" => wanted.matches(std::iter::once(self.authority), repeated),
            name => wanted.matches(self.head.get_all(name), repeated),
        }
    }

    pub(super) fn query_parameter_fits(&self, wanted: &NamedMatch) -> bool {
        let (query, name) = (self.query.unwrap_or_default(), wanted.name.as_bytes());
        let repeated = self.options.repeated_query_parameters;
        if self.options.decode_query_parameters {
            let values: Vec<_> = decoded_query_values(query, name).collect();
            wanted.matches(values.iter().map(|value| value.as_ref()), repeated)
        } else {
            wanted.matches(query_values(query, name), repeated)
        }
    }

    pub(super) fn cookie_fits(&self, wanted: &NamedMatch) -> bool {
        let values = self.head.get_all("cookie").flat_map(|header| cookie_values(header, wanted.name.as_bytes()));
        wanted.matches(values, Repeated::First)
    }
}
