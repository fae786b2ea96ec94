//! The filters of a file, asked one after the other.

use crate::config_file::{self, Finding, Known, Plugin};
use crate::request::{Request, Surroundings};
use ai_normalize::AiNormalize;
use filter_kit::explain::{Detail, Stage};
use filter_kit::{Body, Filter, Flow, Stream, config};
use header_router::HeaderRouter;
use prefix_rewrite::PrefixRewrite;
use rate_limit::RateLimit;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;
use suite::FilterConfig;

/// Filters in the order of the request.
#[derive(Debug)]
pub struct Chain {
    members: Vec<Member>,
    /// Name and configuration of each filter.
    pub configs: Vec<(&'static str, Value)>,
}

#[derive(Debug)]
enum Member {
    AiNormalize(AiNormalize),
    HeaderRouter(HeaderRouter),
    PrefixRewrite(PrefixRewrite),
    RateLimit(RateLimit),
}

/// What becomes of a request.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// As the filter that decided has it.
    pub outcome: &'static str,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Path and query in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Host in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Of a redirect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// In a converted set: the object, field and place that the rule comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// In a converted set: the object that the cluster stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_source: Option<String>,
    /// What each filter said, if that is wanted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Told>,
}

/// What a filter said.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "filter", rename_all = "kebab-case")]
pub enum Told {
    AiNormalize(ai_normalize::Explanation),
    HeaderRouter(header_router::Explanation),
    PrefixRewrite(prefix_rewrite::Explanation),
    RateLimit(rate_limit::Explanation),
}

impl Chain {
    /// Reads the configurations in a file, or in one of git as in `HEAD:router.yaml`. `line` picks among several chains.
    ///
    /// # Errors
    /// With the place in the file.
    pub fn read(file: &Path, filter: Option<Known>, line: Option<usize>) -> Result<Self, String> {
        let text = config_file::read_or_show(file)?;
        Self::of(&text, filter, line).map_err(|finding| finding.in_file(file))
    }

    /// The filters of a file's text.
    ///
    /// # Errors
    /// The first mistake.
    pub fn of(text: &str, filter: Option<Known>, line: Option<usize>) -> Result<Self, Finding> {
        let root = config_file::parse(text)?;
        let plugins = one_chain(config_file::plugins(&root, filter)?, line)?;
        let (mut members, mut configs) = (Vec::new(), Vec::new());
        for plugin in &plugins {
            plugin.mistake().map_or(Ok(()), Err)?;
            let json = plugin.json();
            let told = |error| plugin.finding(&error);
            let value: Value = config::parse(&json).map_err(told)?;
            let alone = match plugin.filter {
                Known::AiNormalize => FilterConfig::AiNormalize(config::parse(&json).map_err(told)?),
                Known::HeaderRouter => FilterConfig::HeaderRouter(config::parse(&json).map_err(told)?),
                Known::PrefixRewrite => FilterConfig::PrefixRewrite(config::parse(&json).map_err(told)?),
                Known::RateLimit => FilterConfig::RateLimit(config::parse(&json).map_err(told)?),
                Known::Suite => {
                    let suite: suite::Config = config::parse(&json).map_err(told)?;
                    for (number, filter) in suite.filters.into_iter().enumerate() {
                        let member = Member::new(filter).map_err(told)?;
                        let inner = value.pointer(&format!("/filters/{number}")).and_then(Value::as_object);
                        let inner = inner.and_then(|inner| inner.values().next()).cloned().unwrap_or_default();
                        configs.push((member.name(), inner));
                        members.push(member);
                    }
                    continue;
                }
            };
            configs.push((plugin.filter.name(), value));
            members.push(Member::new(alone).map_err(told)?);
        }
        Ok(Self { members, configs })
    }

    /// Says what becomes of a request. Each filter sees what the one before made of it.
    pub fn explain(&self, request: &Request, seed: u64, detail: Detail) -> Report {
        let env = Surroundings::new(request, seed);
        let mut report = Report::default();
        let mut head = std::borrow::Cow::Borrowed(&request.head);
        let mut members = self.members.iter().zip(0u64..).peekable();
        while let Some((member, number)) = members.next() {
            // what one filter draws moves no draw of another
            let drawn = number << 32;
            env.rewind(drawn);
            let told = member.explain(&head, request.body.as_deref(), &env, detail);
            report.add(&told);
            let ends = !matches!(told.outcome(), "routed" | "default" | "rewritten" | "unchanged" | "counted");
            if detail != Detail::Outcome {
                report.filters.push(told);
            }
            if ends || members.peek().is_none() {
                break;
            }
            env.rewind(drawn);
            if !member.run(head.to_mut(), request.body.as_deref(), &env) {
                break;
            }
        }
        report
    }
}

/// The plugins of one list; of several with the same plugins, the first.
fn one_chain(plugins: Vec<Plugin<'_>>, line: Option<usize>) -> Result<Vec<Plugin<'_>>, Finding> {
    let mut chains: Vec<Vec<Plugin<'_>>> = Vec::new();
    for plugin in plugins {
        match chains.last_mut().filter(|chain| chain.last().is_some_and(|last| last.list == plugin.list)) {
            Some(chain) => chain.push(plugin),
            None => chains.push(vec![plugin]),
        }
    }
    if let Some(line) = line {
        let is_there = |chain: &Vec<Plugin<'_>>| chain.iter().any(|plugin| plugin.position.line == line);
        let all = lines(&chains);
        let chosen = chains.into_iter().find(is_there);
        let position = host_test::yaml::Position { line, column: 1 };
        return chosen.ok_or_else(|| Finding { position, why: format!("no plugin starts here; they start at {all}") });
    }
    let same =
        |chain: &Vec<Plugin<'_>>| chain.iter().map(|plugin| (plugin.filter.name(), plugin.json())).collect::<Vec<_>>();
    let mut different = chains.iter().map(same).collect::<Vec<_>>();
    different.dedup();
    match (chains.first(), different.as_slice()) {
        (Some(_), [_]) => Ok(chains.swap_remove(0)),
        (Some(first), _) => {
            let position = first.first().map_or_else(Default::default, |plugin| plugin.position);
            let why = format!(
                "several chains of filters; say which: --filter NAME or --line N, with N of {}",
                lines(&chains)
            );
            Err(Finding { position, why })
        }
        (None, _) => Err(Finding { position: Default::default(), why: "no plugins".to_owned() }),
    }
}

fn lines(chains: &[Vec<Plugin<'_>>]) -> String {
    let starts: Vec<_> =
        chains.iter().filter_map(|chain| chain.first()).map(|plugin| plugin.position.line.to_string()).collect();
    starts.join(", ")
}

impl Member {
    fn new(config: FilterConfig) -> Result<Self, filter_kit::ConfigError> {
        match config {
            FilterConfig::AiNormalize(config) => AiNormalize::new(config).map(Self::AiNormalize),
            FilterConfig::HeaderRouter(config) => HeaderRouter::new(config).map(Self::HeaderRouter),
            FilterConfig::PrefixRewrite(config) => PrefixRewrite::new(config).map(Self::PrefixRewrite),
            FilterConfig::RateLimit(config) => RateLimit::new(config).map(Self::RateLimit),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::AiNormalize(_) => AiNormalize::NAME,
            Self::HeaderRouter(_) => HeaderRouter::NAME,
            Self::PrefixRewrite(_) => PrefixRewrite::NAME,
            Self::RateLimit(_) => RateLimit::NAME,
        }
    }

    fn explain(&self, head: &filter_kit::Head, body: Option<&[u8]>, env: &Surroundings, detail: Detail) -> Told {
        match self {
            Self::AiNormalize(filter) => Told::AiNormalize(filter.explain(head, body, env)),
            Self::HeaderRouter(filter) => Told::HeaderRouter(filter.explain(head, body, env, detail)),
            Self::PrefixRewrite(filter) => Told::PrefixRewrite(filter.explain(head, body, env, detail)),
            Self::RateLimit(filter) => Told::RateLimit(filter.explain(head, env)),
        }
    }

    /// Lets the filter act on a head, and says whether the request goes on.
    fn run(&self, head: &mut filter_kit::Head, body: Option<&[u8]>, env: &Surroundings) -> bool {
        let mut stream: Box<dyn Stream> = match self {
            Self::AiNormalize(filter) => Box::new(filter.stream()),
            Self::HeaderRouter(filter) => Box::new(filter.stream()),
            Self::PrefixRewrite(filter) => Box::new(filter.stream()),
            Self::RateLimit(filter) => Box::new(filter.stream()),
        };
        let mut flow = stream.on_request_head(head, env);
        if matches!(flow, Flow::Hold { .. }) {
            let Some(body) = body else { return false };
            flow = stream.on_held_request(head, &mut Body::new(body.to_vec()), env);
        }
        flow == Flow::Continue
    }
}

impl Told {
    /// Name of the filter.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AiNormalize(_) => AiNormalize::NAME,
            Self::HeaderRouter(_) => HeaderRouter::NAME,
            Self::PrefixRewrite(_) => PrefixRewrite::NAME,
            Self::RateLimit(_) => RateLimit::NAME,
        }
    }

    fn outcome(&self) -> &'static str {
        match self {
            Self::AiNormalize(told) => told.outcome,
            Self::HeaderRouter(told) => told.outcome,
            Self::PrefixRewrite(told) => told.outcome,
            Self::RateLimit(told) => told.outcome,
        }
    }

    /// The tables that were asked.
    pub fn stages(&self) -> &[Stage] {
        match self {
            Self::HeaderRouter(told) => &told.stages,
            Self::PrefixRewrite(told) => &told.stages,
            Self::AiNormalize(_) | Self::RateLimit(_) => &[],
        }
    }
}

impl Report {
    /// A router has the last word on where a request goes, any filter on path, host and answers.
    fn add(&mut self, told: &Told) {
        match told {
            Told::AiNormalize(told) => {
                if told.outcome != "unchanged" || self.outcome.is_empty() {
                    (self.outcome, self.status) = (told.outcome, told.status);
                    (self.rule, self.target) = (told.rule.clone(), told.target.clone());
                    (self.path, self.host) = (told.path.clone(), told.host.clone());
                }
            }
            Told::HeaderRouter(told) => {
                let told = told.clone();
                (self.outcome, self.rule, self.target) = (told.outcome, told.rule, told.target);
                (self.path, self.host) = (told.path, told.host);
                (self.status, self.location) = (told.status, told.location);
            }
            Told::PrefixRewrite(told) => {
                (self.path, self.host) = (told.path.clone(), told.host.clone());
                let ends = told.status.is_some() || told.outcome == "needs_body";
                if ends || matches!(self.outcome, "" | "unchanged" | "rewritten") {
                    if ends || told.rule.is_some() || self.rule.is_none() {
                        self.outcome = told.outcome;
                        self.rule.clone_from(&told.rule);
                    }
                    self.status = told.status;
                }
                if ends {
                    self.target = None;
                }
            }
            Told::RateLimit(told) => {
                if told.status.is_some() {
                    (self.outcome, self.status) = (told.outcome, told.status);
                    (self.rule, self.target) = (None, None);
                } else if self.outcome.is_empty() {
                    self.outcome = told.outcome;
                }
            }
        }
    }
}
