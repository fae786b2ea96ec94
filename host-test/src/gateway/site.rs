//! One listener's filter chain on one thread, in one generation of the configuration.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::access::AccessLogs;
use super::bootstrap;
use super::clusters::ThreadCluster;
use super::generation::Generation;
use super::log::Log;
use super::stats::HttpStats;
use crate::{CalloutToken, Closed, Effect, RouteResolver, StreamId, Worker};

/// How often queues of other threads are looked at.
const QUEUE_POLL: Duration = Duration::from_millis(100);

/// The clusters of one thread by name.
pub(crate) type ThreadClusters = Rc<HashMap<String, Rc<ThreadCluster>>>;

/// A listener's chain on a thread.
pub(crate) struct Site {
    pub(crate) generation: Arc<Generation>,
    /// Which listener of the generation.
    index: usize,
    worker: RefCell<Worker>,
    inboxes: RefCell<HashMap<StreamId, Rc<Inbox>>>,
    pub(crate) clusters: ThreadClusters,
    pub(crate) stats: Arc<HttpStats>,
    pub(crate) log: Log,
    /// Finds the route for attributes such as `xds.route_name`.
    pub(crate) resolver: RouteResolver,
    changed: Notify,
    ticker: Cell<Option<AbortHandle>>,
    /// Callouts under way.
    pub(super) callouts: RefCell<HashMap<CalloutToken, AbortHandle>>,
}

/// Effects on a stream that come from outside its own calls: timers, callouts, other streams.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    effects: RefCell<VecDeque<Effect>>,
    arrived: Notify,
}

impl Inbox {
    pub(crate) async fn arrived(&self) {
        if self.effects.borrow().is_empty() {
            self.arrived.notified().await;
        }
    }

    pub(crate) fn take(&self) -> Vec<Effect> {
        self.effects.borrow_mut().drain(..).collect()
    }
}

impl Site {
    pub(crate) fn new(
        generation: Arc<Generation>,
        index: usize,
        worker: Worker,
        clusters: ThreadClusters,
        stats: Arc<HttpStats>,
        log: Log,
    ) -> Rc<Self> {
        let resolver = super::generation::route_resolver(&generation, index);
        let site = Rc::new(Self {
            generation,
            index,
            worker: RefCell::new(worker),
            inboxes: RefCell::default(),
            clusters,
            stats,
            log,
            resolver,
            changed: Notify::new(),
            ticker: Cell::new(None),
            callouts: RefCell::default(),
        });
        site.after();
        let ticker = tokio::task::spawn_local(run_timers(Rc::downgrade(&site)));
        site.ticker.set(Some(ticker.abort_handle()));
        site
    }

    /// The listener's configuration.
    pub(crate) fn listener(&self) -> Option<&bootstrap::Listener> {
        self.generation.bootstrap.listeners.get(self.index)
    }

    /// The listener's access logs.
    pub(crate) fn access_logs(&self) -> Option<&AccessLogs> {
        self.generation.access_logs.get(self.index)
    }

    /// Begins a stream.
    pub(crate) fn open(self: &Rc<Self>, attributes: crate::Attributes) -> (StreamId, Rc<Inbox>) {
        let id = self.call(|worker| worker.open(attributes));
        let inbox = Rc::<Inbox>::default();
        self.inboxes.borrow_mut().insert(id, inbox.clone());
        (id, inbox)
    }

    /// Ends a stream.
    pub(crate) fn close(self: &Rc<Self>, id: StreamId) -> Closed {
        self.inboxes.borrow_mut().remove(&id);
        self.call(|worker| worker.close(id))
    }

    /// Calls into the worker and passes on what it has for others.
    pub(crate) fn call<R>(self: &Rc<Self>, work: impl FnOnce(&mut Worker) -> R) -> R {
        let result = work(&mut self.worker.borrow_mut());
        self.after();
        result
    }

    /// Whether the filters hold back as much of the request as they may.
    pub(crate) fn request_is_full(&self, id: StreamId) -> bool {
        self.worker.borrow().request_is_full(id)
    }

    /// Whether the filters hold back as much of the response as they may.
    pub(crate) fn response_is_full(&self, id: StreamId) -> bool {
        self.worker.borrow().response_is_full(id)
    }

    fn after(self: &Rc<Self>) {
        let mut worker = self.worker.borrow_mut();
        // The host has logged these; the gateway only counts.
        drop(worker.take_misuse());
        let (effects, traps) = (worker.take_effects(), worker.take_traps());
        let (callouts, grpc, cancelled) = (worker.callouts(), worker.grpc_callouts(), worker.cancelled_callouts());
        drop(worker);
        self.deliver(effects);
        self.call_out(callouts, grpc);
        // Behind those, for one that is made and void in one callback.
        for token in cancelled {
            if let Some(task) = self.callouts.borrow_mut().remove(&token) {
                task.abort();
            }
        }
        for trap in traps {
            self.generation.stats.counter(format!("wasm.{}.vm_traps", trap.plugin)).inc();
        }
        self.changed.notify_one();
    }

    pub(super) fn deliver(&self, effects: Vec<(StreamId, Effect)>) {
        let inboxes = self.inboxes.borrow();
        for (id, effect) in effects {
            if let Some(inbox) = inboxes.get(&id) {
                inbox.effects.borrow_mut().push_back(effect);
                inbox.arrived.notify_one();
            }
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(ticker) = self.ticker.take() {
            ticker.abort();
        }
        for task in self.callouts.get_mut().values() {
            task.abort();
        }
    }
}

/// Runs the guests' timers until the site is gone.
async fn run_timers(site: Weak<Site>) {
    loop {
        let Some(alive) = site.upgrade() else { return };
        let wait = alive.worker.borrow().next_tick();
        if wait.is_some_and(|wait| wait.is_zero()) {
            let effects = alive.call(Worker::tick);
            alive.deliver(effects);
            drop(alive);
            // Other tasks first, however short the period is.
            tokio::task::yield_now().await;
            continue;
        }
        let sleep = tokio::time::sleep(wait.unwrap_or(QUEUE_POLL).min(QUEUE_POLL));
        tokio::select! {
            () = sleep => {}
            () = alive.changed.notified() => {}
        }
    }
}
