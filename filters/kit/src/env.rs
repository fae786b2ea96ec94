//! The world as a filter may see it.

use crate::callout::Callout;
use crate::metrics::CounterId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

/// What a filter may ask of its surroundings. Two implementations ship: the shell's, on host calls, and [`FixedEnv`].
pub trait Env {
    /// A uniformly distributed number, for weighted choices. Not for secrets.
    fn random(&self) -> u64;
    /// Adds to a counter of the filter's [`crate::MetricTable`]. A step of zero is ignored.
    fn count(&self, counter: CounterId, step: u64);
    /// The address of the client as the host trusts it; `None` if it is not known or no IP address. Costs a host call.
    fn source_address(&self) -> Option<IpAddr>;
    /// The port that the connection came to. Costs a host call.
    fn destination_port(&self) -> Option<u16>;
    /// In an upstream filter, the number of the attempt to reach an upstream, from 1 on; `None` in any other position. An
    /// attempt after the first one gets the head as the one before has left it, edits and all.
    fn upstream_attempt(&self) -> Option<u64>;
    /// An attribute of the host by the steps of its path, as the host writes it: text, or eight bytes for a number, the lowest
    /// first. `None` if there is none. Costs a host call.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// An environment variable of the VM; `None` if it is not there, empty, or no UTF-8.
    fn variable(&self, name: &str) -> Option<String>;
    /// Nanoseconds of a clock that never goes back, the same in all workers of a process. Costs a host call.
    fn monotonic(&self) -> u64;
    /// Nanoseconds since 1970. Costs a host call.
    fn wall(&self) -> u64;
    /// Changes a value of the store that all workers of a process share, and sees what the others do. `step` gets the value,
    /// if there is one, and returns the one to put in its place, or `None` to leave it. If another worker was faster, `step`
    /// runs again on what that one has written: the last run is the one that counts. A store never forgets a key, so keys
    /// have to be bounded by the configuration. Two host calls, or one if nothing changes.
    ///
    /// # Errors
    /// If others were faster too often, or the store refuses: nothing has been written then.
    fn update(&self, key: &str, step: &mut Step<'_>) -> Result<(), Contended>;
    /// Asks a service and does not wait: [`crate::Filter::on_answer`] gets the answer with the tag, unless the worker ends before. `false` if
    /// the call could not be made.
    fn call(&self, callout: &Callout, tag: u64) -> bool;
    /// A field for the access log; in Envoy the filter state `wasm.<name>`. Best effort: a host may have no such thing.
    fn set_log_field(&self, name: &str, value: &[u8]);
    /// A line in the host's log, at a level that every host prints. The caller bounds how often.
    fn log_error(&self, text: &str);
}

/// What [`Env::update`] runs: from the value that is there to the one to put in its place, if any.
pub type Step<'a> = dyn FnMut(Option<&[u8]>) -> Option<Vec<u8>> + 'a;

/// A change of a shared value that could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contended;

/// How often [`Env::update`] tries.
pub const MAX_TRIES: u32 = 16;

/// The values that environments share.
pub type Store = Rc<RefCell<BTreeMap<String, Vec<u8>>>>;

/// An environment without a host: what it tells is given, what it is told is kept.
#[derive(Debug, Default)]
pub struct FixedEnv {
    random: Cell<u64>,
    counts: RefCell<BTreeMap<CounterId, u64>>,
    source_address: Option<IpAddr>,
    destination_port: Option<u16>,
    upstream_attempt: Option<u64>,
    properties: BTreeMap<Vec<String>, Vec<u8>>,
    variables: BTreeMap<String, String>,
    monotonic: Cell<u64>,
    wall: Cell<u64>,
    store: Store,
    contended: Cell<u32>,
    clusters: Option<Vec<String>>,
    calls: RefCell<Vec<(Callout, u64)>>,
    log_fields: RefCell<BTreeMap<String, Vec<u8>>>,
    errors: RefCell<Vec<String>>,
}

impl FixedEnv {
    /// Every draw yields `random`.
    pub fn new(random: u64) -> Self {
        Self { random: Cell::new(random), ..Self::default() }
    }

    /// The same with a client's address.
    #[must_use]
    pub fn with_source_address(mut self, address: IpAddr) -> Self {
        self.source_address = Some(address);
        self
    }

    /// The same with a port that connections came to.
    #[must_use]
    pub fn with_destination_port(mut self, port: u16) -> Self {
        self.destination_port = Some(port);
        self
    }

    /// The same for an upstream filter, in this attempt.
    #[must_use]
    pub fn with_upstream_attempt(mut self, attempt: u64) -> Self {
        self.upstream_attempt = Some(attempt);
        self
    }

    /// The same with an attribute.
    #[must_use]
    pub fn with_property(mut self, path: &[&str], value: &[u8]) -> Self {
        self.properties.insert(path.iter().map(ToString::to_string).collect(), value.to_vec());
        self
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same with a store that other environments share.
    #[must_use]
    pub fn with_store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// The same where only these clusters can be asked; otherwise any can.
    #[must_use]
    pub fn with_clusters(mut self, names: &[&str]) -> Self {
        self.clusters = Some(names.iter().map(ToString::to_string).collect());
        self
    }

    /// Sets both clocks.
    pub fn set_clocks(&self, monotonic: u64, wall: u64) {
        self.monotonic.set(monotonic);
        self.wall.set(wall);
    }

    /// The next tries to write to the store find that somebody else was faster, though with the same outcome.
    pub fn contend(&self, tries: u32) {
        self.contended.set(tries);
    }

    /// Changes what the next draws yield.
    pub fn set_random(&self, random: u64) {
        self.random.set(random);
    }

    /// The sum of all steps of one counter.
    pub fn counted(&self, counter: CounterId) -> u64 {
        self.counts.borrow().get(&counter).copied().unwrap_or(0)
    }

    /// Takes the calls made so far that nobody waits for, with their tags.
    pub fn take_calls(&self) -> Vec<(Callout, u64)> {
        self.calls.take()
    }

    /// The fields for the access log, each as last set.
    pub fn log_fields(&self) -> BTreeMap<String, Vec<u8>> {
        self.log_fields.borrow().clone()
    }

    /// The lines logged so far.
    pub fn errors(&self) -> Vec<String> {
        self.errors.borrow().clone()
    }
}

impl Env for FixedEnv {
    fn random(&self) -> u64 {
        self.random.get()
    }

    fn count(&self, counter: CounterId, step: u64) {
        if step > 0 {
            *self.counts.borrow_mut().entry(counter).or_default() += step;
        }
    }

    fn source_address(&self) -> Option<IpAddr> {
        self.source_address
    }

    fn destination_port(&self) -> Option<u16> {
        self.destination_port
    }

    fn upstream_attempt(&self) -> Option<u64> {
        self.upstream_attempt
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        self.properties.get(&path).cloned()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).filter(|value| !value.is_empty()).cloned()
    }

    fn monotonic(&self) -> u64 {
        self.monotonic.get()
    }

    fn wall(&self) -> u64 {
        self.wall.get()
    }

    fn update(&self, key: &str, step: &mut Step<'_>) -> Result<(), Contended> {
        for _ in 0..MAX_TRIES {
            let value = self.store.borrow().get(key).cloned();
            let Some(new) = step(value.as_deref()) else { return Ok(()) };
            match self.contended.get().checked_sub(1) {
                Some(left) => self.contended.set(left),
                None => {
                    self.store.borrow_mut().insert(key.to_owned(), new);
                    return Ok(());
                }
            }
        }
        Err(Contended)
    }

    fn call(&self, callout: &Callout, tag: u64) -> bool {
        let known = self.clusters.as_ref().is_none_or(|clusters| clusters.contains(&callout.cluster));
        if known {
            self.calls.borrow_mut().push((callout.clone(), tag));
        }
        known
    }

    fn set_log_field(&self, name: &str, value: &[u8]) {
        self.log_fields.borrow_mut().insert(name.to_owned(), value.to_vec());
    }

    fn log_error(&self, text: &str) {
        self.errors.borrow_mut().push(text.to_owned());
    }
}
