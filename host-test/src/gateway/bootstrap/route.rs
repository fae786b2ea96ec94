//! The route table: virtual hosts, matches and actions, as data. `gateway::route` finds the route of a request.

use std::sync::Arc;

use regex_lite::Regex;

use super::action::read_response;
use super::condition::read_regex;
use super::header_edits::Edits;
use super::reader::At;
use super::{Action, Cluster, HeaderCondition, InvalidBootstrap, Proxy, QueryCondition, Redirect, RetryPolicy};
use crate::HeaderEdits;

/// `route_config`
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    /// Its name.
    pub name: String,
    /// The virtual hosts.
    pub hosts: Vec<VirtualHost>,
    /// Whether hosts are compared without their ports.
    pub ignore_port: bool,
}

/// One virtual host.
#[derive(Clone, Debug, Default)]
pub struct VirtualHost {
    /// Its name.
    pub name: String,
    /// The hosts that it serves.
    pub domains: Vec<Domain>,
    /// Its routes; the first that matches is taken.
    pub routes: Vec<Route>,
    /// Whether upstreams are told in `x-envoy-attempt-count` which attempt they see.
    pub attempt_count: bool,
}

/// A domain of a virtual host, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// `www.foo.com`
    Exact(String),
    /// `*.foo.com`: the part behind the star.
    Suffix(String),
    /// `foo.*`: the part before the star.
    Prefix(String),
    /// `*`
    Any,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, often empty.
    pub name: String,
    /// Condition on the path.
    pub path: PathTest,
    /// Whether the path is compared with its case.
    pub case_sensitive: bool,
    /// Conditions on headers; all must hold.
    pub headers: Vec<HeaderCondition>,
    /// Conditions on parameters of the query; all must hold.
    pub query: Vec<QueryCondition>,
    /// What is done to the head of a request that goes to a cluster: by the route, its host and the table.
    pub request_edits: Arc<[HeaderEdits]>,
    /// What is done to the heads of responses.
    pub response_edits: Arc<[HeaderEdits]>,
    /// How many bytes of a request may be held back (`request_body_buffer_limit`); otherwise as many as of the listener's connections.
    pub request_limit: Option<usize>,
    /// What is done.
    pub action: Action,
}

/// Condition on the path.
#[derive(Clone, Debug)]
pub enum PathTest {
    /// The path with its query starts with this.
    Prefix(String),
    /// The path without its query is this.
    Exact(String),
    /// The path without its query is this or goes on with a `/` behind it.
    Segments(String),
    /// The path without its query matches as a whole.
    Regex(Regex),
}

impl RouteTable {
    pub(super) fn read(at: At, clusters: &[Cluster]) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let name = fields.take("name").map_or(Ok(String::new()), |name| name.text())?;
        let ignore_port = fields.flag("ignore_port_in_host_matching", false)?;
        let edits = Edits::take(&mut fields)?;
        let mut hosts: Vec<VirtualHost> = Vec::new();
        if let Some(list) = fields.take("virtual_hosts") {
            for item in list.list()? {
                hosts.push(VirtualHost::read(item, clusters, &hosts, &edits)?);
            }
        }
        fields.finish()?;
        Ok(Self { name, hosts, ignore_port })
    }
}

impl VirtualHost {
    fn read(at: At, clusters: &[Cluster], others: &[VirtualHost], edits: &Edits) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let name = fields.need("name")?.name()?;
        let mut domains = Vec::new();
        for item in fields.need("domains")?.list()? {
            let domain = Domain::new(&item)?;
            if domains.contains(&domain) || others.iter().any(|other| other.domains.contains(&domain)) {
                return Err(item.fault("this domain stands twice in the route table"));
            }
            domains.push(domain);
        }
        if domains.is_empty() {
            return Err(fields.fault("`domains` must not be empty"));
        }
        let attempt_count = fields.flag("include_request_attempt_count", false)?;
        let retry = fields.take("retry_policy").map(RetryPolicy::read).transpose()?;
        let edits = Edits::take(&mut fields)?.then(edits);
        let mut routes = Vec::new();
        if let Some(list) = fields.take("routes") {
            for item in list.list()? {
                routes.push(Route::read(item, clusters, retry.as_ref(), &edits)?);
            }
        }
        fields.finish()?;
        Ok(Self { name, domains, routes, attempt_count })
    }
}

impl Domain {
    fn new(at: &At) -> Result<Self, InvalidBootstrap> {
        let text = at.name()?.to_ascii_lowercase();
        let domain = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => Self::Any,
            (Some(rest), _) => Self::Suffix(rest.to_owned()),
            (None, Some(rest)) => Self::Prefix(rest.to_owned()),
            (None, None) => Self::Exact(text),
        };
        let rest = match &domain {
            Self::Exact(rest) | Self::Suffix(rest) | Self::Prefix(rest) => rest.as_str(),
            Self::Any => "",
        };
        if rest.contains('*') {
            return Err(at.fault("a `*` may stand only at the start or at the end"));
        }
        Ok(domain)
    }
}

impl Route {
    /// Every request with such a path, without further conditions.
    pub fn new(path: PathTest, action: Action) -> Self {
        Self {
            name: String::new(),
            path,
            case_sensitive: true,
            headers: Vec::new(),
            query: Vec::new(),
            request_edits: Arc::new([]),
            response_edits: Arc::new([]),
            request_limit: None,
            action,
        }
    }

    fn read(
        at: At,
        clusters: &[Cluster],
        retry: Option<&RetryPolicy>,
        edits: &Edits,
    ) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let name = fields.take("name").map_or(Ok(String::new()), |name| name.text())?;
        let mut matched = fields.need("match")?.fields()?;
        let case_sensitive = matched.flag("case_sensitive", true)?;
        let mut headers = Vec::new();
        if let Some(list) = matched.take("headers") {
            for item in list.list()? {
                headers.push(HeaderCondition::read(item)?);
            }
        }
        let mut query = Vec::new();
        for item in matched.take("query_parameters").map_or(Ok(Vec::new()), At::list)? {
            query.push(QueryCondition::read(item)?);
        }
        let (kind, test) = matched.one_of(&["prefix", "path", "path_separated_prefix", "safe_regex"])?;
        let path = match kind {
            "prefix" => PathTest::Prefix(test.text()?),
            "path" => PathTest::Exact(test.text()?),
            "path_separated_prefix" => {
                let text = test.name()?;
                if !text.starts_with('/') || text.ends_with('/') || text.contains(['?', '#']) {
                    return Err(test.fault("must start with `/`, must not end with `/` and hold no `?` or `#`"));
                }
                PathTest::Segments(text)
            }
            _ if case_sensitive => PathTest::Regex(read_regex(test)?),
            _ => return Err(test.not_served("a regular expression with case_sensitive: false")),
        };
        matched.finish()?;
        let (kind, action) = fields.one_of(&["route", "direct_response", "redirect"])?;
        let action = match kind {
            "route" => Action::Proxy(Proxy::read(action, clusters, retry)?),
            "redirect" => Action::Redirect(Redirect::read(action)?),
            _ => read_response(action)?,
        };
        let edits = Edits::take(&mut fields)?.then(edits);
        let request_limit = match fields.take("request_body_buffer_limit") {
            Some(limit) => Some(usize::try_from(limit.number(u64::MAX)?).unwrap_or(usize::MAX)),
            None => None,
        };
        fields.finish()?;
        Ok(Self {
            name,
            case_sensitive,
            headers,
            query,
            request_edits: edits.request.into(),
            response_edits: edits.response.into(),
            request_limit,
            ..Self::new(path, action)
        })
    }
}
