//! What routes do with requests, as data.

use std::time::Duration;

use super::reader::At;
use super::{Cluster, HostRewrite, InvalidBootstrap, Mirror, PathRewrite, Redirect, RetryPolicy};

/// Longest text of a `direct_response`, as in Envoy.
const MAX_BODY_BYTES: usize = 4096;

/// What is done with a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// It goes to a cluster.
    Proxy(Proxy),
    /// The client is sent elsewhere.
    Redirect(Redirect),
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
    /// What the path becomes, where it changes.
    pub path_rewrite: Option<PathRewrite>,
    /// What the host becomes, where it changes.
    pub host_rewrite: Option<HostRewrite>,
    /// How long the whole answer may take from the end of the request on; zero means for ever. Envoy's default is 15 s.
    pub timeout: Duration,
    /// How long a stream may be silent, where that is not what the connection manager says; zero means for ever.
    pub idle_timeout: Option<Duration>,
    /// What is tried again: the route's own policy, or else its virtual host's.
    pub retry: Option<RetryPolicy>,
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

impl Proxy {
    /// Everything to one place as it is, without a time limit.
    pub fn to(cluster: ClusterChoice) -> Self {
        Self {
            cluster,
            path_rewrite: None,
            host_rewrite: None,
            timeout: Duration::ZERO,
            idle_timeout: None,
            retry: None,
            mirrors: Vec::new(),
        }
    }

    pub(super) fn read(at: At, clusters: &[Cluster], retry: Option<&RetryPolicy>) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let retry = match fields.take("retry_policy") {
            None => retry.cloned(),
            Some(own) => Some(RetryPolicy::read(own)?),
        };
        let path_rewrite = PathRewrite::take(&mut fields)?;
        let host_rewrite = HostRewrite::take(&mut fields)?;
        let idle_timeout = fields.take("idle_timeout").map(|timeout| timeout.duration()).transpose()?;
        let timeout = fields.take("timeout").map_or(Ok(Duration::from_secs(15)), |timeout| timeout.duration())?;
        let (kind, choice) = fields.one_of(&["cluster", "cluster_header", "weighted_clusters"])?;
        let cluster = match kind {
            "cluster" => ClusterChoice::Named(known_cluster(&choice, clusters)?),
            "cluster_header" => ClusterChoice::FromHeader(choice.name()?.to_ascii_lowercase()),
            _ => ClusterChoice::Weighted(Split::read(choice, clusters)?),
        };
        let mirrors = Mirror::read_all(fields.take("request_mirror_policies"), clusters)?;
        fields.finish()?;
        Ok(Self { path_rewrite, host_rewrite, timeout, idle_timeout, retry, mirrors, ..Self::to(cluster) })
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

pub(super) fn read_response(at: At) -> Result<Action, InvalidBootstrap> {
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
