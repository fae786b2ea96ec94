//! VMs in one thread, and a hand that lets others act between a read of one and what it does next, in an order that a seed decides.

use crate::support::{dist, get, host, plugin};
use host_test::{Attributes, Effect, Host, Module, StreamId, Worker};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

thread_local! {
    /// Those that run in this thread: what the host calls has to be `Send`, and workers are not.
    pub static CAST: RefCell<Option<Rc<Cast>>> = const { RefCell::new(None) };
}

/// The VMs, and what is known of what they did.
pub struct Cast {
    pub host: Arc<Host>,
    pub workers: Vec<RefCell<Worker>>,
    random: Cell<u64>,
    act: Act,
    /// What was taken when each VM that is in the middle of something has read last, the innermost one at the end.
    seen: RefCell<Vec<Taken>>,
    pub taken: RefCell<Taken>,
    pub open: RefCell<Vec<(usize, StreamId, String)>>,
    pub interruptions: Cell<u32>,
    pub wrong: RefCell<Vec<String>>,
}

/// What a VM does that has nothing else to do.
pub type Act = Box<dyn Fn(&Cast, usize)>;
/// Units by key.
pub type Taken = BTreeMap<String, u32>;

impl Cast {
    pub fn new(vms: usize, seed: u64, configuration: &Value, act: impl Fn(&Self, usize) + 'static) -> Rc<Self> {
        static MODULE: LazyLock<Arc<Module>> =
            LazyLock::new(|| Arc::new(Module::load(&std::fs::read(dist().join("rate-limit.wasm")).unwrap()).unwrap()));
        let mut limiter = plugin("rate-limit", Arc::clone(&MODULE));
        limiter.configuration = configuration.to_string().into_bytes();
        let host = host();
        let workers = (0..vms).map(|_| RefCell::new(Worker::start(Arc::clone(&host), &[limiter.clone()]).unwrap()));
        let cast = Rc::new(Self {
            workers: workers.collect(),
            host,
            random: Cell::new(seed),
            act: Box::new(act),
            seen: RefCell::default(),
            taken: RefCell::default(),
            open: RefCell::default(),
            interruptions: Cell::new(0),
            wrong: RefCell::default(),
        });
        CAST.set(Some(Rc::clone(&cast)));
        cast.host.shared_data().run_after_reads(|_| {
            let cast = CAST.with_borrow(Clone::clone);
            if let Some(cast) = cast {
                cast.interrupt();
            }
        });
        cast
    }

    /// A number below `end` (splitmix64).
    pub fn below(&self, end: usize) -> usize {
        self.random.set(self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let z = self.random.get();
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }

    /// Somebody has read a row. Others may do what they want before the reader goes on.
    fn interrupt(&self) {
        if let Some(seen) = self.seen.borrow_mut().last_mut() {
            seen.clone_from(&self.taken.borrow());
        }
        while self.below(8) < 3 {
            let idle = |vm: &usize| self.workers[*vm].try_borrow_mut().is_ok();
            let idle: Vec<usize> = (0..self.workers.len()).filter(idle).collect();
            if idle.is_empty() {
                return;
            }
            self.interruptions.set(self.interruptions.get() + 1);
            (self.act)(self, idle[self.below(idle.len())]);
        }
    }

    /// A request; its status, and what was taken when its VM has looked last.
    pub fn ask(&self, vm: usize, path: &str, headers: &[(&str, &str)]) -> (u16, StreamId, Taken) {
        let mut worker = self.workers[vm].borrow_mut();
        self.seen.borrow_mut().push(Taken::new());
        let id = worker.open(Attributes::default());
        let mut request = get(headers);
        request.replace(":path", path);
        let status = match &worker.request_headers(id, request, true)[0] {
            Effect::RequestHeaders(..) => 200,
            Effect::ResponseHeaders(head, _) => {
                std::str::from_utf8(head.get(b":status").unwrap()).unwrap().parse().unwrap()
            }
            other => panic!("{other:?}"),
        };
        (status, id, self.seen.borrow_mut().pop().unwrap())
    }

    pub fn close(&self, vm: usize, id: StreamId) {
        self.seen.borrow_mut().push(Taken::new());
        self.workers[vm].borrow_mut().close(id);
        self.seen.borrow_mut().pop();
    }

    pub fn take(&self, key: &str) {
        *self.taken.borrow_mut().entry(key.to_owned()).or_default() += 1;
    }

    pub fn taken(&self, key: &str) -> u32 {
        self.taken.borrow().get(key).copied().unwrap_or(0)
    }

    pub fn wrong(&self, what: String) {
        self.wrong.borrow_mut().push(what);
    }

    /// Requests with this header until one is refused; nobody interrupts them.
    pub fn drain(&self, path: &str, name: &str, key: &str) {
        let drained = (0..1000).take_while(|turn| {
            let (status, id, _) = self.ask(turn % self.workers.len(), path, &[(name, key)]);
            self.close(turn % self.workers.len(), id);
            status == 200
        });
        let count = u32::try_from(drained.count()).unwrap();
        *self.taken.borrow_mut().entry(key.to_owned()).or_default() += count;
    }
}
