//! One compiled rule.

use crate::answer::{DirectResponse, Redirect};
use crate::config::{MirrorConfig, Mode, RuleConfig};
use crate::target::{Target, Targets, To, WHOLE, checked_cluster};
use filter_kit::head::is_header_value;
use filter_kit::header_edits::HeaderEdits;
use filter_kit::matching::{MatchingConfig, PathKind, PathMatchConfig, RequestMatch, RequestMatchConfig};
use filter_kit::rewrite::{Rewrite, groups};
use filter_kit::template::Template;
use filter_kit::{ConfigError, CounterId, MetricTable, rule};
use std::collections::HashMap;

/// What a rule does.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Value of `x-sluice-route`.
    pub(crate) name: String,
    pub(crate) action: Action,
    pub(crate) rewrite: Rewrite,
    /// In mode `app_mesh`: the host becomes that of the service or target.
    pub(crate) takes_host: bool,
    pub(crate) request_headers: HeaderEdits,
    pub(crate) response_headers: HeaderEdits,
    pub(crate) mirror: Option<MirrorConfig>,
    pub(crate) tags: Vec<(String, Template)>,
    /// One for each target; one for an answer.
    pub(crate) counts: Vec<CounterId>,
    pub(crate) uses_captures: bool,
}

#[derive(Debug)]
pub(crate) enum Action {
    Targets(Targets),
    /// Number of a service.
    Service(usize),
    Redirect(Redirect),
    Answer(DirectResponse),
}

/// What rules are compiled against.
pub(crate) struct Surroundings<'a> {
    pub(crate) mode: Mode,
    pub(crate) matching: &'a MatchingConfig,
    /// Numbers of services by name; empty for the rules of a service.
    pub(crate) services: &'a HashMap<String, usize>,
    /// Name of the service that the rules belong to.
    pub(crate) service: Option<&'a str>,
}

const MAX_TAGS: usize = 16;
/// Prefix of this filter's metrics.
pub(crate) const METRIC_PREFIX: &str = "sluice_router";

impl Rule {
    /// The rule, and the conditions under which it takes requests.
    pub(crate) fn new(
        config: RuleConfig,
        around: &Surroundings<'_>,
        metrics: &mut MetricTable,
    ) -> Result<(Self, Vec<RequestMatch>), ConfigError> {
        let name = around.service.map_or_else(|| config.name.clone(), |service| format!("{service}/{}", config.name));
        let one = config.r#match.map(|config| as_text(config, around.mode));
        let several = config.matches.into_iter().map(|config| as_text(config, around.mode)).collect();
        let alternatives = rule::alternatives(one, several, around.matching)?;
        let groups = groups(&alternatives);
        let groups = groups.as_deref();
        let at = |path: &'static str| move |error: ConfigError| error.within(path);

        let app_mesh = around.mode == Mode::AppMesh;
        for (at, kept) in [("keep_prefix", config.keep_prefix), ("keep_host", config.keep_host)] {
            if kept && !app_mesh {
                return Err(ConfigError::new(at, "expected mode \"app_mesh\": nothing is rewritten by default"));
            }
        }
        let mut rewrite = Rewrite::new(config.rewrite, &alternatives).map_err(at("rewrite"))?;
        let is_prefix = |matched: &RequestMatch| {
            let path = matched.path.as_ref().filter(|_| matched.grpc.is_none());
            path.is_some_and(|path| matches!(path.kind, PathKind::StringPrefix(_)))
        };
        // the rules of a router rewrite nothing, only those of a gateway
        let answers = config.redirect.is_some() || config.direct_response.is_some();
        let is_gateway_rule = app_mesh && around.service.is_none() && !answers;
        if is_gateway_rule && !config.keep_prefix && !rewrite.changes_path() && alternatives.iter().all(is_prefix) {
            rewrite.prefix_to_root();
        }
        let takes_host = is_gateway_rule && !config.keep_host && !rewrite.changes_host();

        let given = [
            ("targets", !config.targets.is_empty()),
            ("service", config.service.is_some()),
            ("redirect", config.redirect.is_some()),
            ("direct_response", config.direct_response.is_some()),
        ];
        let given: Vec<_> = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
        if given.len() != 1 {
            let found = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
            let why = "expected one of \"targets\", \"service\", \"redirect\" and \"direct_response\"";
            return Err(ConfigError::new("", format!("{why}, found {found}")));
        }
        if given != ["targets"] && (config.sticky.is_some() || config.fallback.is_some()) {
            let at = if config.sticky.is_some() { "sticky" } else { "fallback" };
            return Err(ConfigError::new(at, "expected it together with \"targets\""));
        }
        let action = if let Some(service) = config.service {
            Action::Service(around.number_of(&service).map_err(at("service"))?)
        } else if let Some(redirect) = config.redirect {
            Action::Redirect(Redirect::new(redirect, &alternatives).map_err(at("redirect"))?)
        } else if let Some(answer) = config.direct_response {
            Action::Answer(DirectResponse::new(answer, groups).map_err(at("direct_response"))?)
        } else {
            Action::Targets(Targets::new(config.targets, config.fallback, config.sticky)?)
        };

        let request_headers = HeaderEdits::new(config.request_headers, groups).map_err(at("request_headers"))?;
        let response_headers = HeaderEdits::new(config.response_headers, groups).map_err(at("response_headers"))?;
        if answers {
            let idle = [
                ("rewrite", !rewrite.is_empty()),
                ("request_headers", !request_headers.is_empty()),
                ("response_headers", !response_headers.is_empty()),
                ("mirror", config.mirror.is_some()),
            ];
            if let Some((at, _)) = idle.iter().find(|(_, given)| *given) {
                return Err(ConfigError::new(*at, "expected it together with \"targets\" or \"service\""));
            }
        }
        let mirror = config.mirror.map(mirror).transpose().map_err(at("mirror"))?;
        if config.tags.len() > MAX_TAGS {
            let why = format!("expected at most {MAX_TAGS} tags, found {}", config.tags.len());
            return Err(ConfigError::new("tags", why));
        }
        let tags = config.tags.into_iter().map(|(name, value)| tag(&name, &value, groups));
        let tags = tags.collect::<Result<Vec<_>, _>>().map_err(at("tags"))?;

        let counts = match &action {
            Action::Targets(targets) => {
                targets.targets.iter().map(|target| count(metrics, &name, &target.label(), target.outcome())).collect()
            }
            Action::Service(_) => vec![count(metrics, &name, "", "rejected")],
            Action::Redirect(_) => vec![count(metrics, &name, "", "redirected")],
            Action::Answer(_) => vec![count(metrics, &name, "", "answered")],
        };
        let uses_captures = rewrite.uses_captures()
            || request_headers.uses_captures()
            || response_headers.uses_captures()
            || tags.iter().any(|(_, template)| template.uses_captures())
            || match &action {
                Action::Redirect(redirect) => redirect.uses_captures(),
                Action::Answer(answer) => answer.uses_captures(),
                Action::Targets(_) | Action::Service(_) => false,
            };
        let rule = Self {
            name,
            action,
            rewrite,
            takes_host,
            request_headers,
            response_headers,
            mirror,
            tags,
            counts,
            uses_captures,
        };
        Ok((rule, alternatives))
    }
}

impl Surroundings<'_> {
    fn number_of(&self, service: &str) -> Result<usize, ConfigError> {
        if self.service.is_some() {
            return Err(ConfigError::new("", "expected \"targets\": the rules of a service cannot pick another"));
        }
        self.services.get(service).copied().ok_or_else(|| {
            let known: Vec<&str> = self.services.keys().map(String::as_str).collect();
            let near = filter_kit::config::nearest(service, &known);
            let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            ConfigError::new("", format!("expected the name of a service, found {service:?}{near}"))
        })
    }
}

impl Target {
    /// Metric label.
    pub(crate) fn label(&self) -> String {
        match &self.to {
            To::Cluster(cluster) => cluster.clone(),
            To::Status(status) => format!("status-{status}"),
        }
    }

    fn outcome(&self) -> &'static str {
        match &self.to {
            To::Cluster(_) => "matched",
            To::Status(_) => "answered",
        }
    }
}

/// Declares a counter of decisions.
pub(crate) fn count(metrics: &mut MetricTable, rule: &str, target: &str, outcome: &str) -> CounterId {
    let labels = [("rule", rule), ("target", target), ("outcome", outcome)];
    metrics.counter(METRIC_PREFIX, &labels, "decisions_total")
}

/// In mode `app_mesh` a prefix is text.
fn as_text(mut config: RequestMatchConfig, mode: Mode) -> RequestMatchConfig {
    config.path = config.path.map(|path| match path {
        PathMatchConfig::Prefix(text) if mode == Mode::AppMesh => PathMatchConfig::StringPrefix(text),
        other => other,
    });
    config
}

fn mirror(config: MirrorConfig) -> Result<MirrorConfig, ConfigError> {
    if !(1..=WHOLE).contains(&config.share) {
        return Err(ConfigError::new("share", format!("expected 1 to {WHOLE}, found {}", config.share)));
    }
    let cluster = checked_cluster(config.cluster).map_err(|error| error.within("cluster"))?;
    Ok(MirrorConfig { cluster, share: config.share })
}

fn tag(name: &str, value: &str, groups: Option<&[Option<String>]>) -> Result<(String, Template), ConfigError> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(good) {
        let why = format!("expected a name of 1 to 64 lower case letters, digits and \"_\", found {name:?}");
        return Err(ConfigError::new("", why));
    }
    let template = Template::new(value, groups).map_err(|error| error.within(name))?;
    // a line break would make another line of the log
    if let Some(text) = template.texts().find(|text| !is_header_value(text.as_bytes())) {
        return Err(ConfigError::new(name, format!("expected text without control characters, found {text:?}")));
    }
    Ok((format!("sluice_tag_{name}"), template))
}
