//! Models and providers by their names.

use crate::auth::Credentials;
use crate::config::{Config, ModelConfig, ProviderConfig, Unsupported, check_header};
use crate::metrics::{ModelCounters, ProviderCounters};
use ai_translate::provider::{self, Provider as Dialect};
use ai_translate::target::template_names;
use ai_translate::translate::Settings;
use ai_translate::{Capabilities, Operation};
use filter_kit::config::nearest;
use filter_kit::head::is_header_value;
use filter_kit::{ConfigError, MetricTable};
use std::collections::{BTreeMap, HashMap};

/// A configured provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) dialect: &'static dyn Dialect,
    pub(crate) cluster: String,
    pub(crate) host: Option<String>,
    pub(crate) credentials: Credentials,
    pub(crate) headers: Vec<(String, String)>,
    path_prefix: String,
    paths: crate::config::Paths,
    pub(crate) counters: ProviderCounters,
}

/// A configured model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    is_prefix: bool,
    /// By its place among the providers.
    pub(crate) provider: usize,
    sent: Option<String>,
    pub(crate) settings: Settings,
    pub(crate) strict: bool,
    pub(crate) counters: ModelCounters,
}

impl Model {
    /// What the provider is told for a name that a client asked for.
    pub(crate) fn sent<'n>(&'n self, asked: &'n str) -> &'n str {
        self.sent.as_deref().unwrap_or(asked)
    }

    /// Whether it is one that a list can name.
    pub(crate) fn is_listed(&self) -> bool {
        !self.is_prefix
    }
}

impl Provider {
    /// The path for a request, from the one that the dialect has made.
    pub(crate) fn path(
        &self,
        made: &str,
        operation: Operation,
        stream: bool,
        is_responses: bool,
        target: &ai_translate::Target<'_>,
    ) -> String {
        let own = match operation {
            Operation::Chat if is_responses => &self.paths.responses,
            Operation::Embeddings => &self.paths.embeddings,
            Operation::CountTokens => &self.paths.count_tokens,
            Operation::Chat if stream && self.paths.stream.is_some() => &self.paths.stream,
            Operation::Chat => &self.paths.chat,
        };
        match own {
            Some(template) => target.path(template),
            None => format!("{}{made}", self.path_prefix),
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Models {
    providers: Vec<Provider>,
    models: Vec<Model>,
    /// Names and aliases.
    exact: HashMap<String, usize>,
    /// Longest first.
    prefixes: Vec<(String, usize)>,
    /// For models that no entry has, at a provider that a header names: by the provider's place.
    any: Vec<Model>,
    default: Option<usize>,
    /// Headers that keys of any provider come in.
    pub(crate) key_headers: Vec<String>,
}

const MAX_PROVIDERS: usize = 100;
const MAX_MODELS: usize = 1000;
const MAX_ALIASES: usize = 32;
/// Most names that an error lists.
const MAX_NEAR: usize = 5;

impl Models {
    pub(crate) fn new(config: &Config, metrics: &mut MetricTable) -> Result<Self, ConfigError> {
        count("providers", config.providers.len(), MAX_PROVIDERS)?;
        count("models", config.models.len(), MAX_MODELS)?;
        let mut providers: Vec<Provider> = Vec::new();
        let mut settings = Vec::new();
        for (place, provider) in config.providers.iter().enumerate() {
            let within = |error: ConfigError| error.within(&format!("providers[{place}]"));
            if providers.iter().any(|known| known.name == provider.name) {
                return Err(within(ConfigError::new("name", format!("\"{}\" is there twice", provider.name))));
            }
            settings.push(provider_settings(provider).map_err(within)?);
            providers.push(Provider::new(provider, metrics).map_err(within)?);
        }
        let key_headers = providers.iter().filter_map(|provider| provider.credentials.key_header());
        let mut models = Self {
            key_headers: key_headers.map(str::to_owned).collect(),
            any: Vec::new(),
            providers,
            models: Vec::new(),
            exact: HashMap::new(),
            prefixes: Vec::new(),
            default: None,
        };
        for (place, model) in config.models.iter().enumerate() {
            models.add(model, config, &settings, metrics).map_err(|error| error.within(&format!("models[{place}]")))?;
        }
        if config.provider_header.is_some() {
            for (place, settings) in settings.into_iter().enumerate() {
                let provider = models.providers.get(place).map_or("", |provider| &provider.name);
                let counters = ModelCounters::new(provider, "other", metrics);
                models.any.push(Model {
                    name: "other".to_owned(),
                    is_prefix: true,
                    provider: place,
                    sent: None,
                    settings,
                    strict: config.unsupported == Unsupported::Strict,
                    counters,
                });
            }
        }
        models.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        if let Some(name) = &config.default_model {
            let found = models.exact.get(name).copied();
            models.default = Some(found.ok_or_else(|| unknown("default_model", name, models.exact.keys()))?);
        }
        Ok(models)
    }

    fn add(
        &mut self,
        config: &ModelConfig,
        all: &Config,
        settings: &[Settings],
        metrics: &mut MetricTable,
    ) -> Result<(), ConfigError> {
        let place = self.models.len();
        check_model_name("name", &config.name)?;
        count_up_to("aliases", config.aliases.len(), MAX_ALIASES)?;
        let provider = self.providers.iter().position(|provider| provider.name == config.provider);
        let names = self.providers.iter().map(|provider| &provider.name);
        let provider = provider.ok_or_else(|| unknown("provider", &config.provider, names))?;
        if let Some("") = config.model.as_deref() {
            return Err(ConfigError::new("model", "expected a name, found none"));
        }
        if config.prefix {
            if self.prefixes.iter().any(|(known, _)| *known == config.name) {
                return Err(ConfigError::new("name", format!("the prefix \"{}\" is there twice", config.name)));
            }
            self.prefixes.push((config.name.clone(), place));
        } else {
            self.name("name", &config.name, place)?;
        }
        for (index, alias) in config.aliases.iter().enumerate() {
            let at = format!("aliases[{index}]");
            check_model_name(&at, alias)?;
            self.name(&at, alias, place)?;
        }
        let mut settings = settings.get(provider).cloned().unwrap_or_default();
        settings.capabilities = settings.capabilities.with(&config.capabilities);
        let provider_name = self.providers.get(provider).map_or("", |provider| &provider.name);
        self.models.push(Model {
            counters: ModelCounters::new(provider_name, &config.name, metrics),
            name: config.name.clone(),
            is_prefix: config.prefix,
            provider,
            sent: config.model.clone(),
            settings,
            strict: config.unsupported.unwrap_or(all.unsupported) == Unsupported::Strict,
        });
        Ok(())
    }

    fn name(&mut self, at: &str, name: &str, place: usize) -> Result<(), ConfigError> {
        match self.exact.insert(name.to_owned(), place) {
            Some(_) => Err(ConfigError::new(at, format!("\"{name}\" is there twice"))),
            None => Ok(()),
        }
    }

    /// The model of that name, or the one for all others.
    pub(crate) fn find(&self, asked: Option<&str>) -> Option<&Model> {
        let exact = asked.and_then(|name| self.exact.get(name).copied());
        let by_prefix = || {
            let name = asked?;
            self.prefixes.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, place)| *place)
        };
        exact.or_else(by_prefix).or(self.default).and_then(|place| self.models.get(place))
    }

    /// The model of that name at that provider, known or not; `None` if there is no such provider.
    pub(crate) fn find_at(&self, provider: &str, asked: Option<&str>) -> Option<&Model> {
        let place = self.providers.iter().position(|known| known.name == provider)?;
        let known = asked.and_then(|name| self.exact.get(name).copied()).and_then(|place| self.models.get(place));
        known.filter(|model| model.provider == place).or_else(|| self.any.get(place))
    }

    /// The provider of a model.
    pub(crate) fn provider(&self, model: &Model) -> Option<&Provider> {
        self.providers.get(model.provider)
    }

    /// A model by its place, which [`Models::place`] tells.
    pub(crate) fn get(&self, place: Place) -> Option<&Model> {
        match place {
            Place::Listed(place) => self.models.get(place),
            Place::Any(place) => self.any.get(place),
        }
    }

    /// Where a model is, for those who cannot borrow it.
    pub(crate) fn place(&self, model: &Model) -> Option<Place> {
        let is_it = |known: &Model| std::ptr::eq(known, model);
        let listed = self.models.iter().position(is_it).map(Place::Listed);
        listed.or_else(|| self.any.iter().position(is_it).map(Place::Any))
    }

    /// All models that a list can name, with what clients ask for.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (&str, &Model)> {
        let mut names: Vec<(&str, usize)> = self.exact.iter().map(|(name, place)| (name.as_str(), *place)).collect();
        names.sort_unstable();
        names
            .into_iter()
            .filter_map(|(name, place)| Some((name, self.models.get(place)?)))
            .filter(|(_, model)| model.is_listed())
    }

    /// Names near one that is unknown; the first ones of all if none is near.
    pub(crate) fn near(&self, asked: &str) -> Vec<&str> {
        let names: Vec<&str> = self.listed().map(|(name, _)| name).collect();
        match nearest(asked, &names) {
            Some(name) => vec![name],
            None => names.into_iter().take(MAX_NEAR).collect(),
        }
    }
}

/// Where a model is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Listed(usize),
    Any(usize),
}

impl Provider {
    fn new(config: &ProviderConfig, metrics: &mut MetricTable) -> Result<Self, ConfigError> {
        let is_label =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if config.name.is_empty() || config.name.len() > 64 || !is_label(&config.name) {
            let why = format!("expected 1 to 64 letters, digits and -_., found \"{}\"", config.name);
            return Err(ConfigError::new("name", why));
        }
        if !is_header_value(config.cluster.as_bytes()) || config.cluster.is_empty() {
            return Err(ConfigError::new("cluster", "expected the name of a cluster"));
        }
        if let Some(host) = &config.host
            && (host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@\\".contains(&byte)))
        {
            return Err(ConfigError::new("host", format!("expected a host, found \"{host}\"")));
        }
        check_prefix("path_prefix", &config.path_prefix)?;
        if config.headers.len() > 32 {
            return Err(ConfigError::new(
                "headers",
                format!("expected at most 32 headers, found {}", config.headers.len()),
            ));
        }
        for (name, value) in &config.headers {
            let at = format!("headers.{name}");
            check_header(&at, name)?;
            if name == "content-length" || name == "transfer-encoding" {
                return Err(ConfigError::new(at, "expected a header that does not frame the message"));
            }
            if !is_header_value(value.as_bytes()) {
                return Err(ConfigError::new(at, "expected a value without control characters"));
            }
        }
        Ok(Self {
            dialect: dialect(&config.dialect)?,
            credentials: Credentials::new(&config.auth).map_err(|error| error.within("auth"))?,
            counters: ProviderCounters::new(&config.name, metrics),
            name: config.name.clone(),
            cluster: config.cluster.clone(),
            host: config.host.clone(),
            headers: config.headers.clone().into_iter().collect(),
            path_prefix: config.path_prefix.clone(),
            paths: config.paths.clone(),
        })
    }
}

fn dialect(name: &str) -> Result<&'static dyn Dialect, ConfigError> {
    provider::find(name).ok_or_else(|| unknown("dialect", name, provider::ALL.iter().map(|provider| provider.name())))
}

fn provider_settings(config: &ProviderConfig) -> Result<Settings, ConfigError> {
    let dialect = dialect(&config.dialect)?;
    let variables: BTreeMap<String, String> = config.variables.clone();
    if let Some(missing) = dialect.variables().iter().find(|name| variables.get(**name).is_none_or(String::is_empty)) {
        let why = format!("expected \"{missing}\", which paths of the dialect \"{}\" name", config.dialect);
        return Err(ConfigError::new("variables", why));
    }
    let paths = [
        ("chat", &config.paths.chat),
        ("stream", &config.paths.stream),
        ("responses", &config.paths.responses),
        ("embeddings", &config.paths.embeddings),
        ("count_tokens", &config.paths.count_tokens),
    ];
    for (name, path) in paths {
        let Some(path) = path else { continue };
        let at = format!("paths.{name}");
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::new(at, format!("expected a path that begins with a slash, found \"{path}\"")));
        }
        if let Some(name) = template_names(path).find(|name| *name != "model" && !variables.contains_key(*name)) {
            return Err(unknown(&at, name, variables.keys()));
        }
    }
    let capabilities: Capabilities = dialect.capabilities().with(&config.capabilities);
    let quirks = config.quirks.clone().unwrap_or_else(|| dialect.quirks());
    Ok(Settings { capabilities, quirks, variables })
}

/// Empty, or with a slash at its begin and none at its end.
pub(crate) fn check_prefix(at: &str, prefix: &str) -> Result<(), ConfigError> {
    let is_one =
        prefix.starts_with('/') && !prefix.ends_with('/') && prefix.bytes().all(|byte| byte.is_ascii_graphic());
    if prefix.is_empty() || is_one && !prefix.contains(['?', '#']) {
        return Ok(());
    }
    Err(ConfigError::new(
        at,
        format!("expected a path with a slash at its begin and none at its end, found \"{prefix}\""),
    ))
}

fn check_model_name(at: &str, name: &str) -> Result<(), ConfigError> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@".contains(&byte);
    if (1..=128).contains(&name.len()) && name.bytes().all(is_known) {
        return Ok(());
    }
    Err(ConfigError::new(at, format!("expected 1 to 128 letters, digits and -_.:/@, found \"{name}\"")))
}

fn count(at: &str, found: usize, most: usize) -> Result<(), ConfigError> {
    if found == 0 {
        return Err(ConfigError::new(at, format!("expected 1 to {most} entries, found none")));
    }
    count_up_to(at, found, most)
}

fn count_up_to(at: &str, found: usize, most: usize) -> Result<(), ConfigError> {
    if found > most {
        return Err(ConfigError::new(at, format!("expected at most {most} entries, found {found}")));
    }
    Ok(())
}

fn unknown<N: AsRef<str>>(at: &str, name: &str, names: impl Iterator<Item = N>) -> ConfigError {
    let names: Vec<N> = names.collect();
    let mut names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    names.sort_unstable();
    let hint = match nearest(name, &names) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => {
            format!("expected one of {}", names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "))
        }
    };
    ConfigError::new(at, format!("unknown name \"{name}\", {hint}"))
}
