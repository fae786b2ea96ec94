//! A worker: one thread's VMs and the streams that go through them. Data in, effects out; no input and output here.

use crate::attributes::Attributes;
use crate::chain::Chain;
use crate::context::{Action, CallResponse};
use crate::effect::{Answer, Callout, CalloutToken, Effect, LocalReply, StreamId};
use crate::fleet::{Fleet, StartError};
use crate::grpc::{GrpcAnswer, GrpcCallout};
use crate::headers::HeaderMap;
use crate::host::Host;
use crate::plugin::{FailurePolicy, PluginConfig};
use crate::report::{Meter, Misuse, TrapReport};
use crate::stream::{Filter, SharedVm, Side, Stream};
use crate::stream_data::{Both, Direction, Half, StreamData};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// One thread's filter chain. Not `Send`: give each thread its own.
pub struct Worker {
    host: Arc<Host>,
    number: u64,
    fleet: Fleet,
    streams: HashMap<u64, Stream>,
    next_stream: u64,
    next_callout: u64,
    pending: HashMap<u64, Pending>,
    outgoing: Vec<Callout>,
    outgoing_grpc: Vec<GrpcCallout>,
    cancelled: Vec<CalloutToken>,
    traps: Vec<TrapReport>,
    misuse: Vec<Misuse>,
    aside: Vec<(StreamId, Effect)>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("number", &self.number)
            .field("streams", &self.streams.len())
            .finish_non_exhaustive()
    }
}

/// A callout that waits for its answer: who made it.
struct Pending {
    vm: SharedVm,
    root: u32,
    guest_token: u32,
    is_grpc: bool,
}

/// What is left of a stream when it is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// What its callbacks have cost, the last ones included.
    pub meter: Meter,
    /// Why the response is what it is, when the host made it.
    pub details: Option<String>,
    /// Filter state by name; what guests set as a property has `wasm.` before it.
    pub filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Worker {
    /// Starts the chain's VMs and configures its plugins.
    ///
    /// # Errors
    /// When a module does not start or refuses its configuration.
    pub fn start(host: Arc<Host>, chain: &[PluginConfig]) -> Result<Self, StartError> {
        let number = host.next_worker();
        let fleet = Fleet::start(&host, number, chain)?;
        let mut worker = Self {
            host,
            number,
            fleet,
            streams: HashMap::new(),
            next_stream: 0,
            next_callout: 0,
            pending: HashMap::new(),
            outgoing: Vec::new(),
            outgoing_grpc: Vec::new(),
            cancelled: Vec::new(),
            traps: Vec::new(),
            misuse: Vec::new(),
            aside: Vec::new(),
        };
        worker.collect();
        Ok(worker)
    }

    /// Begins a stream.
    pub fn open(&mut self, attributes: Attributes) -> StreamId {
        self.fleet.reload();
        self.next_stream += 1;
        let id = self.next_stream;
        let data = Rc::new(RefCell::new(StreamData {
            id,
            attributes,
            halves: Both::default(),
            filter_state: Default::default(),
            route: None,
            meter: Meter::default(),
            start_wall: self.host.clock().wall(),
            start_monotonic: self.host.clock().monotonic(),
            received: 0,
            sent: 0,
            response_code: None,
            details: None,
        }));
        let mut filters = Vec::with_capacity(self.fleet.slots.len());
        for slot in &self.fleet.slots {
            let mut vm = slot.vm.borrow_mut();
            if vm.failed && slot.plugin.failure_policy == FailurePolicy::FailOpen {
                continue;
            }
            let context = vm.add_context(slot.root, Rc::clone(&slot.plugin), Some(Rc::clone(&data)));
            filters.push(Filter {
                plugin: Rc::clone(&slot.plugin),
                vm: Rc::clone(&slot.vm),
                root: slot.root,
                context,
                created: false,
                started: false,
                failure_answered: false,
                lanes: Both::default(),
            });
        }
        let stream = Stream {
            data,
            filters,
            sides: Both::<Side>::default(),
            prepared: None,
            replied: false,
            response_started: false,
            reset: false,
            is_head: false,
            is_grpc: false,
            effects: Vec::new(),
        };
        self.streams.insert(id, stream);
        StreamId(id)
    }

    /// The client's request headers.
    pub fn request_headers(&mut self, id: StreamId, headers: HeaderMap, end: bool) -> Vec<Effect> {
        self.run(id, |chain| {
            chain.stream.is_head = headers.get(b":method") == Some(b"HEAD");
            chain.stream.is_grpc = is_grpc(&headers);
            chain.stream.sides.of_mut(Direction::Request).ended = end;
            chain.with_half(Direction::Request, |half| half.headers = Some(headers));
            chain.headers(Direction::Request, 0, end);
        })
    }

    /// A piece of the client's request body.
    pub fn request_data(&mut self, id: StreamId, data: Vec<u8>, end: bool) -> Vec<Effect> {
        self.run(id, |chain| {
            chain.stream.data.borrow_mut().received += data.len() as u64;
            chain.take_data(Direction::Request, data, end);
        })
    }

    /// The client's request trailers; they end the request.
    pub fn request_trailers(&mut self, id: StreamId, trailers: HeaderMap) -> Vec<Effect> {
        self.run(id, |chain| chain.take_trailers(Direction::Request, trailers))
    }

    /// The upstream's response headers.
    pub fn response_headers(&mut self, id: StreamId, headers: HeaderMap, end: bool) -> Vec<Effect> {
        self.run(id, |chain| {
            if chain.stream.replied || chain.stream.response_started {
                return;
            }
            {
                let mut data = chain.stream.data.borrow_mut();
                data.response_code =
                    headers.get(b":status").and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
                data.details = Some("via_upstream".to_owned());
            }
            chain.stream.sides.of_mut(Direction::Response).ended = end;
            chain.with_half(Direction::Response, |half| half.headers = Some(headers));
            chain.headers(Direction::Response, 0, end);
        })
    }

    /// A piece of the upstream's response body.
    pub fn response_data(&mut self, id: StreamId, data: Vec<u8>, end: bool) -> Vec<Effect> {
        self.run(id, |chain| {
            if !chain.stream.replied {
                chain.take_data(Direction::Response, data, end);
            }
        })
    }

    /// The upstream's response trailers; they end the response.
    pub fn response_trailers(&mut self, id: StreamId, trailers: HeaderMap) -> Vec<Effect> {
        self.run(id, |chain| {
            if !chain.stream.replied {
                chain.take_trailers(Direction::Response, trailers);
            }
        })
    }

    /// Answers in place of the upstream (no route, no host, a timeout). The reply goes through the filters as any
    /// response; after the response headers have left it cuts the stream off.
    pub fn reply(&mut self, id: StreamId, reply: LocalReply) -> Vec<Effect> {
        self.run(id, |chain| chain.local_reply(reply))
    }

    /// Ends a stream, complete or not: all filters log, then each one is done and deleted.
    pub fn close(&mut self, id: StreamId) -> Closed {
        let Some(mut stream) = self.streams.remove(&id.0) else { return Closed::default() };
        let has_log = !stream.data.borrow().attributes.behind_routing;
        for filter in stream.filters.iter_mut().filter(|_| has_log) {
            filter.create();
            filter.view(|view| *view = crate::context::View { log: true, ..Default::default() });
            let context = filter.context;
            filter.vm.borrow_mut().call(context, |callbacks| &callbacks.log, context);
            filter.view(|view| view.log = false);
        }
        for filter in &stream.filters {
            let mut vm = filter.vm.borrow_mut();
            vm.call(filter.context, |callbacks| &callbacks.done, filter.context);
            vm.call(filter.context, |callbacks| &callbacks.delete, filter.context);
            let gone = vm.state().contexts.remove(&filter.context);
            drop(gone);
        }
        let mut elsewhere = Vec::new();
        for filter in &stream.filters {
            let actions = std::mem::take(&mut filter.vm.borrow_mut().state().actions);
            elsewhere.extend(actions.into_iter().map(|(context, action)| (Rc::clone(&filter.vm), context, action)));
        }
        let mut data = stream.data.borrow_mut();
        let filter_state = std::mem::take(&mut data.filter_state);
        let closed = Closed { meter: data.meter.clone(), details: data.details.clone(), filter_state };
        drop(data);
        drop(stream);
        self.carry_out(elsewhere);
        self.collect();
        self.fleet.sweep();
        closed
    }

    /// Runs the timers that are due and the notices of queues.
    pub fn tick(&mut self) -> Vec<(StreamId, Effect)> {
        let now = self.host.clock().monotonic();
        for vm in self.fleet.vms.clone() {
            for root in due_roots(&vm, now) {
                self.call_root(&vm, |vm| {
                    vm.call(root, |callbacks| &callbacks.tick, root);
                });
                // The next tick is counted from now, so ticks never overlap.
                let now = self.host.clock().monotonic();
                if let Some(timer) = vm.borrow_mut().context(root).and_then(|context| context.timer.as_mut()) {
                    timer.due = now.saturating_add(timer.period);
                }
            }
        }
        for (registrant, token) in self.host.queues.take_ready(self.number) {
            let vm = self.fleet.vms.iter().find(|vm| vm.borrow().peek().number == registrant.vm).cloned();
            if let Some(vm) = vm {
                self.call_root(&vm, |vm| {
                    vm.call(registrant.root, |callbacks| &callbacks.queue_ready, (registrant.root, token));
                });
            }
        }
        self.collect();
        std::mem::take(&mut self.aside)
    }

    /// How long until `tick` has something to do; `None` when nothing is planned.
    pub fn next_tick(&self) -> Option<Duration> {
        if self.host.queues.has_ready(self.number) {
            return Some(Duration::ZERO);
        }
        let now = self.host.clock().monotonic();
        let vms = self.fleet.vms.iter().map(|vm| vm.borrow());
        let due = vms.filter(|vm| !vm.failed).filter_map(|vm| {
            vm.peek().contexts.values().filter_map(|context| context.timer).map(|timer| timer.due).min()
        });
        due.min().map(|due| Duration::from_nanos(due.saturating_sub(now)))
    }

    /// Takes the callouts that guests have made since the last time.
    pub fn callouts(&mut self) -> Vec<Callout> {
        std::mem::take(&mut self.outgoing)
    }

    /// Takes the gRPC callouts that guests have made since the last time.
    pub fn grpc_callouts(&mut self) -> Vec<GrpcCallout> {
        std::mem::take(&mut self.outgoing_grpc)
    }

    /// Takes the tokens of callouts that nobody waits for any more: the guest has cancelled them, or its VM is dead.
    pub fn cancelled_callouts(&mut self) -> Vec<CalloutToken> {
        std::mem::take(&mut self.cancelled)
    }

    /// Gives a gRPC callout its answer. A token that is unknown, answered or cancelled, or that of an HTTP callout,
    /// changes nothing. Callouts that are never answered hold nothing up.
    pub fn answer_grpc(&mut self, token: CalloutToken, answer: GrpcAnswer) -> Vec<(StreamId, Effect)> {
        if let Some(Pending { vm, root, guest_token, .. }) = self.take_pending(token, true) {
            self.call_root(&vm, |vm| {
                vm.answer_grpc(root, guest_token, answer);
                vm.tell_of_failed_calls();
            });
            self.collect();
        }
        std::mem::take(&mut self.aside)
    }

    fn take_pending(&mut self, token: CalloutToken, is_grpc: bool) -> Option<Pending> {
        self.pending.get(&token.0).filter(|pending| pending.is_grpc == is_grpc)?;
        self.pending.remove(&token.0)
    }

    /// Gives an HTTP callout its answer. A token that is unknown or answered already, or that of a gRPC callout,
    /// changes nothing.
    pub fn answer_callout(&mut self, token: CalloutToken, answer: Answer) -> Vec<(StreamId, Effect)> {
        if let Some(Pending { vm, root, guest_token, .. }) = self.take_pending(token, false) {
            let (headers, body, trailers) = answer.into_response();
            let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let arguments = (root, guest_token, count(headers.len()), count(body.len()), count(trailers.len()));
            if let Some(context) = vm.borrow_mut().context(root) {
                context.call = Some(CallResponse { headers, body, trailers });
            }
            self.call_root(&vm, |vm| {
                vm.call(root, |callbacks| &callbacks.http_call_response, arguments);
                if let Some(context) = vm.context(root) {
                    context.call = None;
                }
            });
            self.collect();
        }
        std::mem::take(&mut self.aside)
    }

    /// Takes effects on streams other than the one just served (a filter resumed another stream).
    pub fn take_effects(&mut self) -> Vec<(StreamId, Effect)> {
        std::mem::take(&mut self.aside)
    }

    /// Why the response is what it is: the details of the reply that the host or a filter made, or `via_upstream`.
    pub fn reply_details(&self, id: StreamId) -> Option<String> {
        self.streams.get(&id.0)?.data.borrow().details.clone()
    }

    /// What the stream has cost so far.
    pub fn meter(&self, id: StreamId) -> Option<Meter> {
        Some(self.streams.get(&id.0)?.data.borrow().meter.clone())
    }

    /// The filters hold back more than the limit of this stream's request: read no further from the client for now.
    pub fn request_is_full(&self, id: StreamId) -> bool {
        self.streams.get(&id.0).is_some_and(|stream| stream.is_full(Direction::Request))
    }

    /// The same for the response and the upstream.
    pub fn response_is_full(&self, id: StreamId) -> bool {
        self.streams.get(&id.0).is_some_and(|stream| stream.is_full(Direction::Response))
    }

    /// Takes the reports of traps since the last time.
    pub fn take_traps(&mut self) -> Vec<TrapReport> {
        std::mem::take(&mut self.traps)
    }

    /// Takes the reports of lethal misuse since the last time.
    pub fn take_misuse(&mut self) -> Vec<Misuse> {
        std::mem::take(&mut self.misuse)
    }

    /// How many VMs were made anew after a trap.
    pub fn reloads(&self) -> u64 {
        self.fleet.reloads
    }

    /// The number of open streams.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    fn run(&mut self, id: StreamId, work: impl FnOnce(&mut Chain<'_>)) -> Vec<Effect> {
        let Some(mut stream) = self.streams.remove(&id.0) else { return Vec::new() };
        let mut elsewhere = Vec::new();
        work(&mut Chain { stream: &mut stream, elsewhere: &mut elsewhere });
        let effects = std::mem::take(&mut stream.effects);
        self.streams.insert(id.0, stream);
        self.carry_out(elsewhere);
        self.collect();
        effects
    }

    /// A callback of a root context; what it asks for concerns any stream.
    fn call_root(&mut self, vm: &SharedVm, call: impl FnOnce(&mut crate::vm::Vm)) {
        let actions = {
            let mut guard = vm.borrow_mut();
            call(&mut guard);
            std::mem::take(&mut guard.state().actions)
        };
        self.carry_out(actions.into_iter().map(|(context, action)| (Rc::clone(vm), context, action)).collect());
    }

    fn carry_out(&mut self, mut actions: Vec<(SharedVm, u32, Action)>) {
        while !actions.is_empty() {
            for (vm, context, action) in std::mem::take(&mut actions) {
                let stream = vm.borrow_mut().context(context).and_then(|context| context.stream.clone());
                let Some(id) = stream.map(|stream| stream.borrow().id) else { continue };
                let Some(mut stream) = self.streams.remove(&id) else { continue };
                if let Some(index) = stream.find(&vm, context) {
                    Chain { stream: &mut stream, elsewhere: &mut actions }.act(index, action);
                }
                self.aside.extend(std::mem::take(&mut stream.effects).into_iter().map(|effect| (StreamId(id), effect)));
                self.streams.insert(id, stream);
            }
        }
    }

    /// Takes from the VMs what they have for the outside.
    fn collect(&mut self) {
        for vm in &self.fleet.vms {
            let mut guard = vm.borrow_mut();
            let state = guard.state();
            let died = !state.traps.is_empty();
            self.traps.append(&mut state.traps);
            self.misuse.append(&mut state.misuse);
            for (guest_token, root, mut callout) in std::mem::take(&mut state.callouts) {
                self.next_callout += 1;
                callout.token = CalloutToken(self.next_callout);
                let pending = Pending { vm: Rc::clone(vm), root, guest_token, is_grpc: false };
                self.pending.insert(self.next_callout, pending);
                self.outgoing.push(callout);
            }
            for (guest_token, mut callout) in std::mem::take(&mut state.grpc.outgoing) {
                self.next_callout += 1;
                callout.token = CalloutToken(self.next_callout);
                let root = state.grpc.open.get(&guest_token).copied().unwrap_or(0);
                let pending = Pending { vm: Rc::clone(vm), root, guest_token, is_grpc: true };
                self.pending.insert(self.next_callout, pending);
                self.outgoing_grpc.push(callout);
            }
            let cancelled = std::mem::take(&mut state.grpc.cancelled);
            if died || !cancelled.is_empty() {
                let is_void = |pending: &Pending| {
                    Rc::ptr_eq(&pending.vm, vm)
                        && (died || (pending.is_grpc && cancelled.contains(&pending.guest_token)))
                };
                self.cancelled.extend(
                    self.pending.extract_if(|_, pending| is_void(pending)).map(|(token, _)| CalloutToken(token)),
                );
            }
        }
    }
}

impl Chain<'_> {
    fn take_data(&mut self, direction: Direction, data: Vec<u8>, end: bool) {
        if self.stream.reset || self.stream.sides.of(direction).ended {
            return;
        }
        self.stream.sides.of_mut(direction).ended = end;
        self.with_half(direction, |half| half.chunk = data);
        self.data(direction, 0, false, end);
        self.with_half(direction, |half: &mut Half| half.chunk.clear());
    }

    fn take_trailers(&mut self, direction: Direction, trailers: HeaderMap) {
        if self.stream.reset || self.stream.sides.of(direction).ended {
            return;
        }
        self.stream.sides.of_mut(direction).ended = true;
        self.with_half(direction, |half| half.trailers = Some(trailers));
        self.trailers(direction, 0);
    }
}

fn due_roots(vm: &SharedVm, now: u64) -> Vec<u32> {
    let guard = vm.borrow();
    let contexts = guard.peek().contexts.iter();
    let due = contexts.filter(|(_, context)| context.timer.is_some_and(|timer| timer.due <= now));
    let mut roots: Vec<u32> = due.map(|(id, _)| *id).collect();
    roots.sort_unstable();
    roots
}

/// Whether replies to this request have gRPC's form.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(rest) = headers.get(b"content-type").and_then(|value| value.strip_prefix(b"application/grpc")) else {
        return false;
    };
    matches!(rest.first(), None | Some(b'+' | b';'))
}

/// So that the compiler tells when the promise of the documentation breaks.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Host>();
    is_shared::<crate::module::Module>();
};
