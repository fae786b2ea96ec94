//! All contexts of one module: roots with their configured filter, and exchanges.

use crate::call;
use crate::env::HostEnv;
use crate::exchange::{Exchange, Surroundings};
use crate::raw::{self, Status};
use crate::wait::Watch;
use filter_kit::{Answer, Filter, Reply};
use std::collections::HashMap;

/// What a callback returns to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// Go on.
    Continue = 0,
    /// Wait; in a body callback, buffer.
    Pause = 1,
    /// In a body callback: wait, and let the host slow the sender down. Unlike a pause it is no reason to refuse a long body.
    Stall = 2,
}

/// The state of a module. A host may configure several roots in one VM, and a new one beside an old one on a reload.
pub struct Runtime<F: Filter> {
    /// Whether callbacks beyond the request head are exported.
    lasting: bool,
    /// Whether those are exported that a held head needs.
    holding: bool,
    /// Whether those are exported that a call needs.
    calling: bool,
    roots: Vec<Root<F>>,
    /// Exchanges that last beyond their request head, and the roots of exchanges where there are several.
    exchanges: HashMap<u32, Slot<F>>,
    /// Exchanges that wait for an answer, by the host's number of the call.
    calls: HashMap<u32, u32>,
}

struct Root<F: Filter> {
    id: u32,
    configured: Option<(F, HostEnv)>,
    watch: Watch,
}

struct Slot<F: Filter> {
    root: u32,
    exchange: Option<Exchange<F::Stream>>,
}

impl<F: Filter> Runtime<F> {
    /// `phases` are those of [`crate::main!`].
    pub fn new(phases: &[&str]) -> Self {
        let (lasting, has) = (!phases.is_empty(), |phase| phases.contains(&phase));
        let calling = has("call") && (has("hold") || has("request_body"));
        Self {
            lasting,
            holding: has("hold"),
            calling,
            roots: Vec::new(),
            exchanges: HashMap::new(),
            calls: HashMap::new(),
        }
    }

    /// A new root (`parent` 0) or exchange.
    pub fn create(&mut self, id: u32, parent: u32) {
        if parent == 0 {
            self.roots.push(Root { id, configured: None, watch: Watch::default() });
        } else if self.roots.len() > 1 {
            self.exchanges.insert(id, Slot { root: parent, exchange: None });
        }
    }

    /// Reads the configuration of a root; `false` refuses it.
    pub fn configure(&mut self, id: u32) -> bool {
        let json = match call::configuration() {
            Ok(json) => json,
            Err(status) => {
                call::log_error(&format!("no configuration: status {}", status.0));
                return false;
            }
        };
        match F::from_config(&json) {
            Ok(filter) if filter.holds() && !self.holding => {
                call::log_error("configuration refused: this module has no callbacks for held requests");
                false
            }
            Ok(filter) => {
                let env = HostEnv::new(filter.metrics());
                call::tell_configuration(F::NAME, &json);
                if let Some(root) = self.roots.iter_mut().find(|root| root.id == id) {
                    root.configured = Some((filter, env));
                }
                true
            }
            Err(error) => {
                call::log_error(&format!("configuration refused: {error}"));
                false
            }
        }
    }

    /// A context is gone.
    pub fn delete(&mut self, id: u32) {
        let Some(Slot { root, exchange }) = self.exchanges.remove(&id) else {
            if self.roots.len() > 1 {
                self.roots.retain(|root| root.id != id);
            }
            return;
        };
        let root = self.roots.iter().find(|known| known.id == root);
        if let (Some(exchange), Some(Root { configured: Some((_, env)), .. })) = (exchange, root) {
            exchange.end(env);
        }
    }

    /// The request head.
    pub fn request_head(&mut self, id: u32, end: bool) -> Action {
        let root = match self.exchanges.get(&id).map(|slot| slot.root) {
            Some(known) => self.roots.iter_mut().find(|root| root.id == known),
            None => self.roots.first_mut(),
        };
        let Some(Root { id: root, configured: Some((filter, env)), watch }) = root else { return Action::Continue };
        let mut exchange = Exchange::new(filter.stream());
        let surroundings = Surroundings { env, watch: self.holding.then_some(watch), calling: self.calling };
        let action = settled(exchange.request_head(end, surroundings));
        self.calls.extend(exchange.token().map(|token| (token, id)));
        if self.lasting && exchange.lasts() {
            self.exchanges.insert(id, Slot { root: *root, exchange: Some(exchange) });
        }
        action
    }

    /// A piece of the request body, or what has been buffered of it.
    pub fn request_body(&mut self, id: u32, size: usize, end: bool) -> Action {
        self.on_request(id, |exchange, surroundings, holds| exchange.request_body(size, end, surroundings, holds))
    }

    /// The request's trailers.
    pub fn request_trailers(&mut self, id: u32) -> Action {
        self.on_request(id, |exchange, surroundings, _| exchange.request_trailers(surroundings))
    }

    fn on_request(
        &mut self,
        id: u32,
        call: impl FnOnce(&mut Exchange<F::Stream>, Surroundings<'_>, bool) -> Result<Action, Status>,
    ) -> Action {
        let Some(Slot { root, exchange: Some(exchange) }) = self.exchanges.get_mut(&id) else {
            return Action::Continue;
        };
        let root = self.roots.iter_mut().find(|known| known.id == *root);
        let Some(Root { configured: Some((filter, env)), watch, .. }) = root else { return Action::Continue };
        if !watch.shown && (exchange.wait().is_some() || exchange.token().is_some()) {
            watch.settle();
        }
        let surroundings = Surroundings { env, watch: self.holding.then_some(watch), calling: self.calling };
        let action = settled(call(exchange, surroundings, filter.holds()));
        self.calls.extend(exchange.token().map(|token| (token, id)));
        if !exchange.lasts() {
            self.exchanges.remove(&id);
        }
        action
    }

    /// A service has answered.
    pub fn answer(&mut self, token: u32) {
        self.answered(token, call::answer());
    }

    /// A call has ended without a message. A status of 0 belongs to a message that came before.
    pub fn failure(&mut self, token: u32, status: u32) {
        if status != 0 {
            self.answered(token, Answer::Failed(status));
        }
    }

    fn answered(&mut self, token: u32, answer: Answer) {
        let Some(id) = self.calls.remove(&token) else {
            for root in &self.roots {
                let Some((filter, env)) = &root.configured else { continue };
                if let Some(tag) = env.take_call(token) {
                    return filter.on_answer(tag, answer, env);
                }
            }
            return;
        };
        // the client may have left meanwhile
        let Some(Slot { root, exchange: Some(exchange) }) = self.exchanges.get_mut(&id) else { return };
        let root = self.roots.iter_mut().find(|known| known.id == *root);
        let Some(Root { configured: Some((_, env)), watch, .. }) = root else { return };
        if raw::select(id).is_err() {
            return;
        }
        let surroundings = Surroundings { env, watch: self.holding.then_some(watch), calling: self.calling };
        let outcome = exchange.answered(answer, surroundings);
        // a call of its own: nothing of the head can be read any more afterwards
        let resumed = outcome.and_then(|action| if action == Action::Continue { raw::resume() } else { Ok(()) });
        settled(resumed.map(|()| Action::Pause));
        self.calls.extend(exchange.token().map(|token| (token, id)));
        if !exchange.lasts() {
            self.exchanges.remove(&id);
        }
    }

    /// Time has passed: looks at the held heads of a root.
    pub fn tick(&mut self, id: u32) {
        let Some(root) = self.roots.iter_mut().find(|root| root.id == id) else { return };
        let mut waiting = false;
        for (exchange_id, slot) in self.exchanges.iter_mut().filter(|(_, slot)| slot.root == id) {
            let Some(exchange) = &mut slot.exchange else { continue };
            let Some(wait) = exchange.wait() else { continue };
            match wait.tick(*exchange_id) {
                Ok(true) => {
                    root.watch.tell();
                    settled(exchange.give_up());
                }
                Ok(false) => waiting = true,
                // an exchange that the host no longer knows
                Err(_) => {}
            }
        }
        if !waiting {
            root.watch.tick(false);
        }
    }

    /// The response head. Also for a reply of a filter before the request reached this one: then there is no exchange
    /// yet.
    pub fn response_head(&mut self, id: u32, end: bool) -> Action {
        self.on(id, |exchange, env| exchange.response_head(end, env))
    }

    /// A piece of the response body, or what has been buffered of it.
    pub fn response_body(&mut self, id: u32, size: usize, end: bool) -> Action {
        self.on(id, |exchange, env| exchange.response_body(size, end, env))
    }

    /// The response's trailers.
    pub fn response_trailers(&mut self, id: u32) -> Action {
        self.on(id, |exchange, env| exchange.response_trailers(env))
    }

    fn on(
        &mut self,
        id: u32,
        call: impl FnOnce(&mut Exchange<F::Stream>, &HostEnv) -> Result<Action, Status>,
    ) -> Action {
        let Some(slot) = self.exchanges.get_mut(&id) else { return Action::Continue };
        let root = self.roots.iter().find(|root| root.id == slot.root);
        let configured = root.and_then(|root| root.configured.as_ref());
        let (Some(exchange), Some((_, env))) = (&mut slot.exchange, configured) else { return Action::Continue };
        settled(call(exchange, env))
    }
}

/// A host call that must not fail has failed: the exchange ends with 500, and nothing half-edited goes on.
fn settled(outcome: Result<Action, Status>) -> Action {
    outcome.unwrap_or_else(|Status(status)| {
        call::log_error(&format!("host call refused with status {status}"));
        // if even this is refused, the pause keeps the exchange from going on
        let _ = call::reply(&Reply::status(500, "sluice_host_call_refused"));
        Action::Pause
    })
}
