//! The route table: virtual hosts, matches and actions, as data. `gateway::route` finds the route of a request.

use std::time::Duration;

use regex_lite::{Regex, RegexBuilder};

use super::reader::At;
use super::{Cluster, InvalidBootstrap, Mirror};

/// Longest text of a `direct_response`, as in Envoy.
const MAX_BODY_BYTES: usize = 4096;
/// Largest compiled regular expression.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// `route_config`
#[derive(Clone, Debug)]
pub struct RouteTable {
    /// Its name.
    pub name: String,
    /// The virtual hosts.
    pub hosts: Vec<VirtualHost>,
}

/// One virtual host.
#[derive(Clone, Debug)]
pub struct VirtualHost {
    /// Its name.
    pub name: String,
    /// The hosts that it serves.
    pub domains: Vec<Domain>,
    /// Its routes; the first that matches is taken.
    pub routes: Vec<Route>,
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

/// Condition on a header.
#[derive(Clone, Debug)]
pub struct HeaderCondition {
    /// Lower-case name.
    pub name: String,
    /// The test on its value.
    pub test: HeaderTest,
    /// Whether the outcome is turned round.
    pub invert: bool,
    /// Whether an absent header counts as an empty one.
    pub missing_as_empty: bool,
}

/// Test on a header.
#[derive(Clone, Debug)]
pub enum HeaderTest {
    /// The header is there (`true`) or not (`false`).
    Present(bool),
    /// The value is a decimal integer in `start..end`.
    Range(i64, i64),
    /// Test on the text.
    Text(TextTest, bool),
}

/// Test on a text; the flag beside it in [`HeaderTest::Text`] ignores ASCII case.
#[derive(Clone, Debug)]
pub enum TextTest {
    /// Equal.
    Exact(String),
    /// Starts with.
    Prefix(String),
    /// Ends with.
    Suffix(String),
    /// Contains.
    Contains(String),
    /// Matches as a whole.
    Regex(Regex),
}

/// What is done with a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// It goes to a cluster.
    Proxy(Proxy),
    /// It is answered.
    Respond {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
}

/// `route:` of a route.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Which cluster.
    pub cluster: ClusterChoice,
    /// What the matched prefix or path becomes.
    pub prefix_rewrite: Option<String>,
    /// What the host becomes.
    pub host_rewrite: Option<String>,
    /// How long the whole answer may take from the end of the request on; zero means for ever. Envoy's default is 15 s.
    pub timeout: Duration,
    /// Who else gets a copy.
    pub mirrors: Vec<Mirror>,
}

/// How the cluster is found.
#[derive(Clone, Debug)]
pub enum ClusterChoice {
    /// By name.
    Named(String),
    /// A request header holds the name.
    FromHeader(String),
    /// By weight.
    Weighted(Split),
}

/// Clusters with weights.
#[derive(Clone, Debug)]
pub struct Split {
    /// The parts.
    pub parts: Vec<WeightedCluster>,
    /// The sum of the weights, from 1 on.
    pub total: u64,
}

/// A part of a split.
#[derive(Clone, Debug)]
pub struct WeightedCluster {
    /// The cluster.
    pub cluster: String,
    /// Its share of the total.
    pub weight: u32,
}

impl RouteTable {
    pub(super) fn read(at: At, clusters: &[Cluster]) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let name = fields.take("name").map_or(Ok(String::new()), |name| name.text())?;
        let mut hosts: Vec<VirtualHost> = Vec::new();
        if let Some(list) = fields.take("virtual_hosts") {
            for item in list.list()? {
                hosts.push(VirtualHost::read(item, clusters, &hosts)?);
            }
        }
        fields.finish()?;
        Ok(Self { name, hosts })
    }
}

impl VirtualHost {
    fn read(at: At, clusters: &[Cluster], others: &[VirtualHost]) -> Result<Self, InvalidBootstrap> {
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
        let mut routes = Vec::new();
        if let Some(list) = fields.take("routes") {
            for item in list.list()? {
                routes.push(Route::read(item, clusters)?);
            }
        }
        fields.finish()?;
        Ok(Self { name, domains, routes })
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
    fn read(at: At, clusters: &[Cluster]) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let name = fields.take("name").map_or(Ok(String::new()), |name| name.text())?;
        let mut matched = fields.need("match")?.fields()?;
        let case_sensitive = matched.take("case_sensitive").map_or(Ok(true), |flag| flag.flag())?;
        let mut headers = Vec::new();
        if let Some(list) = matched.take("headers") {
            for item in list.list()? {
                headers.push(HeaderCondition::read(item)?);
            }
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
        let (kind, action) = fields.one_of(&["route", "direct_response"])?;
        let action =
            if kind == "route" { Action::Proxy(Proxy::read(action, clusters)?) } else { read_response(action)? };
        let request_limit = match fields.take("request_body_buffer_limit") {
            Some(limit) => Some(usize::try_from(limit.number(u64::MAX)?).unwrap_or(usize::MAX)),
            None => None,
        };
        fields.finish()?;
        Ok(Self { name, path, case_sensitive, headers, request_limit, action })
    }
}

impl HeaderCondition {
    fn read(at: At) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let name = fields.need("name")?.name()?.to_ascii_lowercase();
        let invert = fields.take("invert_match").map_or(Ok(false), |flag| flag.flag())?;
        let missing_as_empty = fields.take("treat_missing_header_as_empty").map_or(Ok(false), |flag| flag.flag())?;
        let mut test = HeaderTest::Present(true);
        let mut seen = None;
        for kind in ["present_match", "range_match", "string_match"] {
            let Some(value) = fields.take(kind) else { continue };
            if let Some(other) = seen.replace(kind) {
                return Err(value.fault(format!("stands beside `{other}`; only one of them may be set")));
            }
            test = match kind {
                "present_match" => HeaderTest::Present(value.flag()?),
                "range_match" => {
                    let mut range = value.fields()?;
                    let start = range.take("start").map_or(Ok(0), |start| start.signed())?;
                    let end = range.take("end").map_or(Ok(0), |end| end.signed())?;
                    if end <= start {
                        return Err(range.fault("`end` must be greater than `start`"));
                    }
                    range.finish()?;
                    HeaderTest::Range(start, end)
                }
                _ => read_text_test(value)?,
            };
        }
        fields.finish()?;
        Ok(Self { name, test, invert, missing_as_empty })
    }
}

fn read_text_test(at: At) -> Result<HeaderTest, InvalidBootstrap> {
    let mut fields = at.fields()?;
    let ignore_case = fields.take("ignore_case").map_or(Ok(false), |flag| flag.flag())?;
    let (kind, value) = fields.one_of(&["exact", "prefix", "suffix", "contains", "safe_regex"])?;
    let fold = |text: String| if ignore_case { text.to_ascii_lowercase() } else { text };
    let test = match kind {
        "exact" => TextTest::Exact(fold(value.text()?)),
        "prefix" => TextTest::Prefix(fold(value.name()?)),
        "suffix" => TextTest::Suffix(fold(value.name()?)),
        "contains" => TextTest::Contains(fold(value.name()?)),
        _ if ignore_case => return Err(value.fault("ignore_case has no effect on a regular expression; write (?i)")),
        _ => TextTest::Regex(read_regex(value)?),
    };
    fields.finish()?;
    Ok(HeaderTest::Text(test, ignore_case))
}

/// `safe_regex: {regex: ...}`; the whole text must match.
fn read_regex(at: At) -> Result<Regex, InvalidBootstrap> {
    let mut fields = at.fields()?;
    if let Some(engine) = fields.take("google_re2") {
        engine.fields()?.finish()?;
    }
    let text = fields.need("regex")?;
    fields.finish()?;
    let pattern = text.name()?;
    // First alone, so that an unbalanced group cannot close the one around it.
    let alone = RegexBuilder::new(&pattern).size_limit(MAX_REGEX_BYTES).build();
    alone
        .and_then(|_| RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(MAX_REGEX_BYTES).build())
        .map_err(|error| text.fault(format!("not a regular expression that this gateway knows: {error}")))
}

impl Proxy {
    fn read(at: At, clusters: &[Cluster]) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let prefix_rewrite = fields.take("prefix_rewrite").map(|text| text.name()).transpose()?;
        let host_rewrite = fields.take("host_rewrite_literal").map(|text| text.name()).transpose()?;
        let timeout = fields.take("timeout").map_or(Ok(Duration::from_secs(15)), |timeout| timeout.duration())?;
        let (kind, choice) = fields.one_of(&["cluster", "cluster_header", "weighted_clusters"])?;
        let cluster = match kind {
            "cluster" => ClusterChoice::Named(known_cluster(&choice, clusters)?),
            "cluster_header" => ClusterChoice::FromHeader(choice.name()?.to_ascii_lowercase()),
            _ => ClusterChoice::Weighted(Split::read(choice, clusters)?),
        };
        let mirrors = Mirror::read_all(fields.take("request_mirror_policies"), clusters)?;
        fields.finish()?;
        Ok(Self { cluster, prefix_rewrite, host_rewrite, timeout, mirrors })
    }
}

impl Split {
    fn read(at: At, clusters: &[Cluster]) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let mut parts = Vec::new();
        for item in fields.need("clusters")?.list()? {
            let mut item = item.fields()?;
            let cluster = known_cluster(&item.need("name")?, clusters)?;
            let weight = item.take("weight").map_or(Ok(0), |weight| weight.number(u64::from(u32::MAX)))?;
            item.finish()?;
            parts.push(WeightedCluster { cluster, weight: u32::try_from(weight).unwrap_or(u32::MAX) });
        }
        let total = parts.iter().map(|part| u64::from(part.weight)).sum();
        if total == 0 || total > u64::from(u32::MAX) {
            return Err(fields.fault("the sum of the weights must be from 1 to 4294967295"));
        }
        fields.finish()?;
        Ok(Self { parts, total })
    }
}

pub(super) fn known_cluster(at: &At, clusters: &[Cluster]) -> Result<String, InvalidBootstrap> {
    let name = at.name()?;
    if clusters.iter().any(|cluster| cluster.name == name) {
        return Ok(name);
    }
    let near = clusters
        .iter()
        .map(|cluster| (strsim::damerau_levenshtein(&cluster.name, &name), &cluster.name))
        .filter(|(distance, _)| *distance <= 3)
        .min();
    Err(at.fault(match near {
        Some((_, near)) => format!("unknown cluster `{name}`; did you mean `{near}`?"),
        None => format!("unknown cluster `{name}`"),
    }))
}

fn read_response(at: At) -> Result<Action, InvalidBootstrap> {
    let mut fields = at.fields()?;
    let status_at = fields.need("status")?;
    let status = status_at.number(599)?;
    if status < 200 {
        return Err(status_at.fault("expected a status from 200 to 599"));
    }
    let mut body = String::new();
    if let Some(source) = fields.take("body") {
        let mut source = source.fields()?;
        let text = source.need("inline_string")?;
        body = text.text()?;
        if body.len() > MAX_BODY_BYTES {
            return Err(text.fault(format!("longer than {MAX_BODY_BYTES} bytes")));
        }
        source.finish()?;
    }
    fields.finish()?;
    Ok(Action::Respond { status: u16::try_from(status).unwrap_or(500), body })
}
