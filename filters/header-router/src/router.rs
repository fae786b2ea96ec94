//! A configured router.

use crate::config::{Config, DEBUG_HEADER, DebugConfig, DefaultConfig, Mode, RuleConfig, ServiceConfig};
use crate::rule::{Rule, Surroundings, count};
use crate::target::checked_cluster;
use filter_kit::header_edits::removable;
use filter_kit::matching::{MatchingConfig, Repeated};
use filter_kit::rule::{self, MAX_RULES};
use filter_kit::table::{Order, Table};
use filter_kit::{ConfigError, CounterId, MetricTable};
use std::collections::HashMap;

/// Everything that a configuration compiles to.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) rules: Rules,
    pub(crate) services: Vec<Service>,
    pub(crate) default: Default,
    pub(crate) default_count: CounterId,
    pub(crate) errors: Errors,
    pub(crate) max_body_bytes: usize,
    pub(crate) log_fields: bool,
    pub(crate) debug: Option<DebugConfig>,
    pub(crate) metrics: MetricTable,
}

/// Rules, and the table that finds them.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) table: Table,
    pub(crate) rules: Vec<Rule>,
}

/// A second table.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) host: Vec<u8>,
    pub(crate) rules: Rules,
    pub(crate) no_rule_status: u16,
}

#[derive(Debug)]
pub(crate) enum Default {
    Continue,
    Cluster(String),
    Status(u16),
}

/// What goes wrong at run time, counted.
#[derive(Debug)]
pub(crate) struct Errors {
    /// Paths or hosts that could not be rewritten.
    pub(crate) rewrite: CounterId,
    /// Header values that could not be written.
    pub(crate) header: CounterId,
}

const MAX_SERVICES: usize = 1000;

impl Router {
    pub(crate) fn new(mut config: Config) -> Result<Self, ConfigError> {
        let total = config.rules.len() + config.services.iter().map(|service| service.rules.len()).sum::<usize>();
        if total > MAX_RULES {
            return Err(ConfigError::new("rules", format!("expected at most {MAX_RULES} rules in all, found {total}")));
        }
        rule::check_body_limit(config.max_body_bytes)?;
        if config.mode == Mode::AppMesh {
            config.matching.repeated_headers = Repeated::Joined;
        }
        let order = config.order.unwrap_or(match config.mode {
            Mode::Plain => Order::Specificity,
            Mode::AppMesh => Order::Length,
        });
        let names = service_names(&config.services)?;
        let mut metrics = MetricTable::default();
        let around = Surroundings { mode: config.mode, matching: &config.matching, services: &names, service: None };
        let rules = Rules::new(config.rules, &around, order, &mut metrics)?;
        let mut services = Vec::with_capacity(config.services.len());
        for (index, service) in config.services.into_iter().enumerate() {
            let at = format!("services[{index}]");
            let service = Service::new(service, config.mode, &config.matching, order, &mut metrics);
            services.push(service.map_err(|error| error.within(&at))?);
        }
        check_names(&rules, &services)?;
        let (default, target, outcome) = default(config.default).map_err(|error| error.within("default"))?;
        let default_count = count(&mut metrics, "", &target, outcome);
        let mut error = |place: &str| {
            let labels = [("filter", "header-router"), ("where", place)];
            metrics.counter("sluice", &labels, "internal_errors_total")
        };
        let errors = Errors { rewrite: error("rewrite"), header: error("header") };
        metrics.check()?;
        let debug = config.debug.map(debug).transpose().map_err(|error| error.within("debug"))?;
        Ok(Self {
            rules,
            services,
            default,
            default_count,
            errors,
            max_body_bytes: config.max_body_bytes,
            log_fields: config.log_fields,
            debug,
            metrics,
        })
    }

    pub(crate) fn wants_body(&self) -> bool {
        self.rules.table.wants_body() || self.services.iter().any(|service| service.rules.table.wants_body())
    }

    pub(crate) fn matching(&self) -> &MatchingConfig {
        self.rules.table.options()
    }
}

impl Rules {
    fn new(
        configs: Vec<RuleConfig>,
        around: &Surroundings<'_>,
        order: Order,
        metrics: &mut MetricTable,
    ) -> Result<Self, ConfigError> {
        let compiled = rule::compile(configs, |config| Rule::new(config, around, metrics))?;
        let mut rules = Vec::with_capacity(compiled.len());
        let mut conditions = Vec::with_capacity(compiled.len());
        for (priority, (rule, alternatives)) in compiled {
            rules.push(rule);
            conditions.push((priority, alternatives));
        }
        let table = Table::new(conditions, order, around.matching.clone()).map_err(|error| error.within("rules"))?;
        Ok(Self { table, rules })
    }
}

impl Service {
    fn new(
        config: ServiceConfig,
        mode: Mode,
        matching: &MatchingConfig,
        order: Order,
        metrics: &mut MetricTable,
    ) -> Result<Self, ConfigError> {
        if !(400..=599).contains(&config.no_rule_status) {
            let why = format!("expected 400 to 599, found {}", config.no_rule_status);
            return Err(ConfigError::new("no_rule_status", why));
        }
        let host = if config.host.is_empty() { config.name.clone() } else { config.host };
        let host = if mode == Mode::AppMesh {
            crate::target::checked_host(host).map_err(|error| error.within("host"))?
        } else {
            host.into_bytes()
        };
        let around = Surroundings { mode, matching, services: &HashMap::new(), service: Some(&config.name) };
        let rules = Rules::new(config.rules, &around, order, metrics)?;
        Ok(Self { rules, host, no_rule_status: config.no_rule_status, name: config.name })
    }
}

fn service_names(services: &[ServiceConfig]) -> Result<HashMap<String, usize>, ConfigError> {
    if services.len() > MAX_SERVICES {
        let why = format!("expected at most {MAX_SERVICES} services, found {}", services.len());
        return Err(ConfigError::new("services", why));
    }
    let mut names = HashMap::new();
    for (index, service) in services.iter().enumerate() {
        rule::check_name(&service.name).map_err(|error| error.within(&format!("services[{index}]")))?;
        if let Some(first) = names.insert(service.name.clone(), index) {
            let why = format!("expected a unique name, found {:?} as in services[{first}]", service.name);
            return Err(ConfigError::new(format!("services[{index}].name"), why));
        }
    }
    Ok(names)
}

/// A rule of a service is known by the names of both, and no other rule may be known by that.
fn check_names(rules: &Rules, services: &[Service]) -> Result<(), ConfigError> {
    let mut places: HashMap<&str, String> = HashMap::new();
    let own = rules.rules.iter().enumerate().map(|(index, rule)| (rule, format!("rules[{index}]")));
    let theirs = services.iter().enumerate().flat_map(|(service, Service { rules, .. })| {
        let rules = rules.rules.iter().enumerate();
        rules.map(move |(index, rule)| (rule, format!("services[{service}].rules[{index}]")))
    });
    for (rule, place) in own.chain(theirs) {
        if let Some(first) = places.get(rule.name.as_str()) {
            let why = format!("expected a unique name, found {:?} as in {first}", rule.name);
            return Err(ConfigError::new(format!("{place}.name"), why));
        }
        places.insert(&rule.name, place);
    }
    Ok(())
}

/// The default, and how it is counted.
fn default(config: DefaultConfig) -> Result<(Default, String, &'static str), ConfigError> {
    match config {
        DefaultConfig::Continue => Ok((Default::Continue, String::new(), "default")),
        DefaultConfig::Target(target) => {
            let cluster = checked_cluster(target.cluster).map_err(|error| error.within("target.cluster"))?;
            Ok((Default::Cluster(cluster.clone()), cluster, "default"))
        }
        DefaultConfig::Status(status) if (400..=599).contains(&status) => {
            Ok((Default::Status(status), String::new(), "rejected"))
        }
        DefaultConfig::Status(status) => {
            Err(ConfigError::new("status", format!("expected a status from 400 to 599, found {status}")))
        }
    }
}

fn debug(config: DebugConfig) -> Result<DebugConfig, ConfigError> {
    let mut header = config.header.to_ascii_lowercase();
    if header != DEBUG_HEADER {
        header = removable(&header).map_err(|error| error.within("header"))?;
    }
    // the secret stands in no error
    if !(16..=256).contains(&config.secret.len()) || !config.secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ConfigError::new("secret", "expected 16 to 256 visible ASCII characters without blanks"));
    }
    Ok(DebugConfig { header, secret: config.secret })
}
