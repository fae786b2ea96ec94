//! From a client's request to a provider's.

use crate::answer::Pending;
use crate::config::Config;
use crate::filter::Compiled;
use crate::models::{Model, Models, Provider};
use ai_translate::client::{Client, Kind};
use ai_translate::ir::ApiError;
use ai_translate::provider::openai::Quirks;
use ai_translate::translate::{self, Settings, Translated};
use ai_translate::{Answering, Context, Operation, Report, Target};
use filter_kit::{Body, Env, Head, InvalidHeader};
use std::cell::Cell;
use std::rc::Rc;

/// Bytes that are counted while they are waited for.
#[derive(Debug)]
pub(crate) struct Reserved {
    inflight: Rc<Cell<u64>>,
    bytes: u64,
}

impl Reserved {
    /// `None` if that would be more than the most.
    pub(crate) fn new(inflight: &Rc<Cell<u64>>, bytes: u64, most: u64) -> Option<Self> {
        let after = inflight.get().checked_add(bytes).filter(|after| *after <= most)?;
        inflight.set(after);
        Some(Self { inflight: Rc::clone(inflight), bytes })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.inflight.set(self.inflight.get().saturating_sub(self.bytes));
    }
}

/// A request whose body is not there yet.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) client: &'static dyn Client,
    operation: Operation,
    /// The model that a header or the path names.
    model: Option<String>,
    /// The provider that a header names.
    provider: Option<String>,
    /// The client takes a stream, as far as its head tells.
    accepts_stream: bool,
    /// Where the head has gone to, if it could not be held.
    sent_path: Option<String>,
}

/// A refusal: what it is counted as, and what it says.
pub(crate) type Refused = (&'static str, ApiError);

/// What of a client's request is of no use to a provider. Asked of every header of every request, so it is no list.
fn is_removed(name: &[u8]) -> bool {
    matches!(
        name,
        b"accept-encoding"
            | b"expect"
            | b"anthropic-version"
            | b"anthropic-beta"
            | b"anthropic-dangerous-direct-browser-access"
            | b"x-sluice-cluster"
            | b"x-sluice-route"
            | b"x-sluice-ai-provider"
            | b"x-sluice-ai-model"
    )
}

impl Asked {
    pub(crate) fn new(
        client: &'static dyn Client,
        operation: Operation,
        model: Option<String>,
        config: &Config,
        head: &Head,
    ) -> Result<Self, ApiError> {
        let named = |header: &Option<String>| match header.as_ref().and_then(|name| Some((name, head.get(name)?))) {
            None => Ok(None),
            Some((name, value)) => match str::from_utf8(value) {
                Ok(value) if !value.is_empty() => Ok(Some(value.to_owned())),
                _ => Err(ApiError::invalid(format!("the header {name}: expected a name"))),
            },
        };
        let accept = head.get("accept").unwrap_or_default();
        Ok(Self {
            client,
            operation,
            model: named(&config.model_header)?.or(model),
            provider: named(&config.provider_header)?,
            accepts_stream: accept.windows(17).any(|part| part.eq_ignore_ascii_case(b"text/event-stream")),
            sent_path: None,
        })
    }

    /// The head goes on before the body is there: as far as it can be told, it goes to the right place.
    pub(crate) fn send_head(mut self, compiled: &Compiled, head: &mut Head, env: &dyn Env) -> Result<Self, Refused> {
        let asked = self.model.clone();
        if asked.is_none() && self.provider.is_none() {
            let why = "this gateway takes the model from a header or from the path, and neither names one";
            return Err(("unknown_model", ApiError::invalid(why).param("model").code("model_not_named")));
        }
        let (model, provider) = self.find(&compiled.models, asked.as_deref())?;
        let name = model.sent(asked.as_deref().unwrap_or(&model.name));
        let target = target(name, &model.settings);
        // any request has the same path
        let probe = format!(
            r#"{{"model":"m","max_tokens":1,"stream":{},"input":"x","messages":[{{"role":"user","content":"x"}}]}}"#,
            self.accepts_stream
        );
        let doc = translate::parse(probe.as_bytes()).map_err(|error| ("internal", error))?;
        let mut report = Report::new(false);
        let made = translate::request(self.client, provider.dialect, self.operation, &doc, &target, &mut report);
        let made = made.map_err(|error| ("invalid", error))?;
        let path =
            provider.path(&made.outgoing.path, self.operation, made.stream, self.is_native_responses(&made), &target);
        direct(provider, model, &path, &made, compiled, head, env)?;
        self.sent_path = Some(path);
        Ok(self)
    }

    /// The body is there. With the head, everything is open; without it, it has gone on already.
    pub(crate) fn send(
        self,
        compiled: &Compiled,
        head: Option<&mut Head>,
        body: &mut Body,
        env: &dyn Env,
    ) -> Result<Pending, Refused> {
        let bytes = body.bytes();
        let doc = translate::parse(bytes).map_err(|error| ("invalid", error))?;
        let in_body = translate::model(doc.root()).map_err(|error| ("invalid", error))?;
        let asked = self.model.as_deref().or(in_body.as_deref());
        let (model, provider) = self.find(&compiled.models, asked)?;
        let name = model.sent(asked.unwrap_or(&model.name));
        let target = target(name, &model.settings);
        let mut report = Report::new(model.strict);
        let made = translate::request(self.client, provider.dialect, self.operation, &doc, &target, &mut report);
        let made = made.map_err(|error| ("invalid", error))?;
        let path =
            provider.path(&made.outgoing.path, self.operation, made.stream, self.is_native_responses(&made), &target);
        match (head, &self.sent_path) {
            (Some(head), _) => direct(provider, model, &path, &made, compiled, head, env)?,
            (None, Some(sent)) if *sent != path => {
                let why = "stream: this gateway decides by the header accept; send text/event-stream for a stream, and only then";
                return Err(("invalid", ApiError::invalid(why).param("stream")));
            }
            (None, _) => {}
        }
        let asked_model = asked.unwrap_or(&model.name).to_owned();
        if compiled.config.log_fields {
            env.set_log_field("sluice_ai_provider", provider.name.as_bytes());
            env.set_log_field("sluice_ai_model_requested", short(&asked_model).as_bytes());
            env.set_log_field("sluice_ai_model_sent", short(name).as_bytes());
        }
        let notes = report.into_notes();
        let dropped = notes.iter().filter(|note| note.dropped).count();
        provider.counters.changed(dropped, notes.len() - dropped, env);
        let context = Context {
            unique: format!("{:016x}{:08x}", env.random(), env.random() >> 32),
            created: env.wall() / 1_000_000_000,
            asked_model,
            sent_model: name.to_owned(),
            model_name: compiled.config.model_name,
            stream: made.stream,
            want_usage: made.want_usage,
            echo: made.echo,
            hints: made.outgoing.hints,
        };
        let answering = Answering {
            client: self.client,
            provider: provider.dialect,
            operation: self.operation,
            native: made.native,
            context,
            settings: model.settings.clone(),
        };
        let place = compiled.models.place(model);
        let held = self.sent_path.is_none();
        body.replace(made.outgoing.body);
        Ok(Pending::new(answering, place, notes, held))
    }

    /// The provider is asked for a response, not for a chat completion.
    fn is_native_responses(&self, made: &Translated) -> bool {
        made.native && self.client.kind() == Kind::Responses
    }

    fn find<'m>(&self, models: &'m Models, asked: Option<&str>) -> Result<(&'m Model, &'m Provider), Refused> {
        let model = match &self.provider {
            Some(name) => models.find_at(name, asked).ok_or_else(|| {
                (
                    "unknown_model",
                    ApiError::new(404, format!("there is no provider {name:?}")).code("provider_not_found"),
                )
            })?,
            None => models.find(asked).ok_or_else(|| ("unknown_model", unknown_model(models, asked)))?,
        };
        let provider =
            models.provider(model).ok_or_else(|| ("internal", ApiError::new(500, "the model has no provider")))?;
        Ok((model, provider))
    }
}

fn target<'a>(model: &'a str, settings: &'a Settings) -> Target<'a> {
    let Settings { capabilities, quirks, variables } = settings;
    let quirks: &Quirks = quirks;
    Target { model, capabilities, quirks, variables }
}

/// A name of any length may have been asked for.
fn short(name: &str) -> &str {
    let end = name.char_indices().nth(128).map_or(name.len(), |(end, _)| end);
    name.get(..end).unwrap_or_default()
}

/// 404 with names that are near, or 400 if none is named.
pub(crate) fn unknown_model(models: &Models, asked: Option<&str>) -> ApiError {
    let Some(asked) = asked else {
        return ApiError::invalid("model: expected a string").param("model").code("missing_model");
    };
    let shown = short(asked);
    let near = models.near(asked);
    let hint = match near.as_slice() {
        [] => String::new(),
        [name] => format!("; did you mean {name:?}?"),
        names => format!("; there are {}", names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")),
    };
    ApiError::new(404, format!("there is no model {shown:?}{hint}")).param("model").code("model_not_found")
}

/// Takes out all headers of these names, of which most requests have few.
pub(crate) fn remove(head: &mut Head, is_one: impl Fn(&[u8]) -> bool) {
    let found = head.iter().filter(|(name, _)| is_one(name));
    let found: Vec<String> = found.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    for name in found {
        head.remove(&name);
    }
}

/// Sets where a request goes, and as who.
fn direct(
    provider: &Provider,
    model: &Model,
    path: &str,
    made: &Translated,
    compiled: &Compiled,
    head: &mut Head,
    env: &dyn Env,
) -> Result<(), Refused> {
    provider.credentials.apply(&compiled.models.key_headers, head, env).map_err(|_| {
        let why = format!("the gateway has no key for the provider {:?}", provider.name);
        ("missing_key", ApiError::new(500, why).code("provider_key_missing"))
    })?;
    let own = [&compiled.config.model_header, &compiled.config.provider_header];
    let kept = |name: &[u8]| made.outgoing.kept.iter().any(|kept| kept.as_bytes() == name);
    for name in own.into_iter().flatten() {
        head.remove(name);
    }
    remove(head, |name| is_removed(name) && !kept(name));
    let set = |head: &mut Head| -> Result<(), InvalidHeader> {
        head.set(":path", path.as_bytes())?;
        if let Some(host) = &provider.host {
            head.set(":authority", host.as_bytes())?;
        }
        head.set("content-type", b"application/json")?;
        if head.get("accept").is_some() {
            // the client's, about another answer
            head.set("accept", b"*/*")?;
        }
        for (name, value) in &made.outgoing.headers {
            if !kept(name.as_bytes()) || head.get(name).is_none() {
                head.set(name, value.as_bytes())?;
            }
        }
        for (name, value) in &provider.headers {
            head.set(name, value.as_bytes())?;
        }
        head.set("x-sluice-cluster", provider.cluster.as_bytes())?;
        head.set("x-sluice-route", model.name.as_bytes())?;
        head.set("x-sluice-ai-provider", provider.name.as_bytes())
    };
    set(head).map_err(|_| ("invalid", ApiError::invalid("the model's name cannot stand in a path").param("model")))
}
