//! One instance of a module: its callbacks, and the state that its host calls work on.

use crate::abi::LogLevel;
use crate::context::{Action, Context};
use crate::effect::Callout;
use crate::grpc::{GrpcAnswer, GrpcCalls};
use crate::host::{Host, LogRecord};
use crate::metrics::MetricIds;
use crate::plugin::PluginConfig;
use crate::report::{Misuse, Ring, TrapReport};
use crate::stream_data::SharedStream;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use wasmtime::{Memory, Store, StoreLimits, StoreLimitsBuilder, TypedFunc, WasmBacktrace, WasmParams, WasmResults};

/// Envoy's cap on a guest's memory.
const MAX_MEMORY: usize = 1 << 30;
/// How many gRPC callouts may fail at once behind one callback.
const MAX_FAILED_CALLS: u32 = 1024;

pub(crate) struct VmState {
    pub(crate) host: Arc<Host>,
    pub(crate) worker: u64,
    pub(crate) number: u64,
    pub(crate) vm_id: String,
    /// Tells one code from another.
    pub(crate) code: u64,
    pub(crate) vm_configuration: Vec<u8>,
    pub(crate) environment: Vec<(String, String)>,
    limits: StoreLimits,
    pub(crate) memory: Option<Memory>,
    pub(crate) allocate: Option<TypedFunc<u32, u32>>,
    pub(crate) contexts: HashMap<u32, Context>,
    /// The context whose callback runs; 0 during start.
    pub(crate) current: u32,
    /// The context that the guest switched to; 0 for none.
    pub(crate) effective: u32,
    pub(crate) callback: &'static str,
    /// During start and allocation most host calls trap.
    pub(crate) restricted: bool,
    /// A local reply was sent: the callback's result is "stop".
    pub(crate) stop: bool,
    pub(crate) actions: Vec<(u32, Action)>,
    pub(crate) ring: Ring,
    pub(crate) traps: Vec<TrapReport>,
    pub(crate) misuse: Vec<Misuse>,
    /// While a plugin starts: what is logged at error level or above.
    pub(crate) captured: RefCell<Option<Vec<LogRecord>>>,
    pub(crate) metrics: MetricIds,
    pub(crate) next_call: u32,
    /// Callouts to send, with the guest's token and the root context that gets the answer.
    pub(crate) callouts: Vec<(u32, u32, Callout)>,
    pub(crate) grpc: GrpcCalls,
}

impl VmState {
    /// The context that host calls work on.
    pub(crate) fn context(&self) -> Option<&Context> {
        self.contexts.get(&self.effective).or_else(|| self.contexts.get(&self.current))
    }

    pub(crate) fn context_id(&self) -> u32 {
        if self.contexts.contains_key(&self.effective) { self.effective } else { self.current }
    }

    pub(crate) fn root_of_context(&self) -> u32 {
        self.context().map_or(0, |context| context.root)
    }

    pub(crate) fn root_context(&self) -> Option<&Context> {
        self.contexts.get(&self.root_of_context())
    }

    pub(crate) fn current_stream(&self) -> Option<u64> {
        let stream = self.contexts.get(&self.current)?.stream.as_ref()?;
        Some(stream.borrow().id)
    }

    pub(crate) fn log(&self, level: LogLevel, text: String) {
        let plugin = self.context().map(|context| Rc::clone(&context.plugin));
        let record = LogRecord {
            level,
            plugin: plugin.as_ref().map(|plugin| plugin.name.clone()).unwrap_or_default(),
            root_id: plugin.as_ref().map(|plugin| plugin.root_id.clone()).unwrap_or_default(),
            vm_id: self.vm_id.clone(),
            stream: self.current_stream(),
            text,
        };
        if let Some(captured) = self.captured.borrow_mut().as_mut().filter(|_| level >= LogLevel::Error) {
            captured.push(record.clone());
        }
        self.host.log(record);
    }

    /// Reports a call that would kill or corrupt Envoy.
    pub(crate) fn misuse(&mut self, what: &'static str) {
        let plugin = self.context().map(|context| context.plugin.name.clone()).unwrap_or_default();
        let misuse = Misuse { plugin, callback: self.callback, stream: self.current_stream(), what };
        self.log(LogLevel::Critical, format!("lethal misuse of the host, not carried out: {misuse}"));
        self.misuse.push(misuse);
    }
}

macro_rules! callbacks {
    ($($field:ident = $name:literal: ($params:ty) -> $result:ty;)*) => {
        /// The callbacks that the module exports.
        #[derive(Default)]
        pub(crate) struct Callbacks {
            $(pub(crate) $field: Option<Callback<$params, $result>>,)*
        }

        impl Callbacks {
            fn find(instance: &wasmtime::Instance, store: &mut Store<VmState>) -> Result<Self, String> {
                $(let $field = Callback::find(instance, store, $name)?;)*
                Ok(Self { $($field,)* })
            }
        }
    };
}

callbacks! {
    context_create = "proxy_on_context_create": ((u32, u32)) -> ();
    vm_start = "proxy_on_vm_start": ((u32, u32)) -> u32;
    configure = "proxy_on_configure": ((u32, u32)) -> u32;
    tick = "proxy_on_tick": (u32) -> ();
    queue_ready = "proxy_on_queue_ready": ((u32, u32)) -> ();
    request_headers = "proxy_on_request_headers": ((u32, u32, u32)) -> u32;
    request_body = "proxy_on_request_body": ((u32, u32, u32)) -> u32;
    request_trailers = "proxy_on_request_trailers": ((u32, u32)) -> u32;
    response_headers = "proxy_on_response_headers": ((u32, u32, u32)) -> u32;
    response_body = "proxy_on_response_body": ((u32, u32, u32)) -> u32;
    response_trailers = "proxy_on_response_trailers": ((u32, u32)) -> u32;
    http_call_response = "proxy_on_http_call_response": ((u32, u32, u32, u32, u32)) -> ();
    grpc_receive = "proxy_on_grpc_receive": ((u32, u32, u32)) -> ();
    grpc_close = "proxy_on_grpc_close": ((u32, u32, u32)) -> ();
    log = "proxy_on_log": (u32) -> ();
    done = "proxy_on_done": (u32) -> u32;
    delete = "proxy_on_delete": (u32) -> ();
}

pub(crate) struct Callback<P, R> {
    name: &'static str,
    function: TypedFunc<P, R>,
}

impl<P, R> Clone for Callback<P, R> {
    fn clone(&self) -> Self {
        Self { name: self.name, function: self.function.clone() }
    }
}

impl<P: WasmParams, R: WasmResults> Callback<P, R> {
    fn find(
        instance: &wasmtime::Instance,
        store: &mut Store<VmState>,
        name: &'static str,
    ) -> Result<Option<Self>, String> {
        match instance.get_func(&mut *store, name) {
            None => Ok(None),
            Some(function) => match function.typed(&*store) {
                Ok(function) => Ok(Some(Self { name, function })),
                Err(error) => Err(format!("{name} has another signature than the ABI says: {error:#}")),
            },
        }
    }
}

pub(crate) struct Vm {
    store: Store<VmState>,
    pub(crate) callbacks: Callbacks,
    pub(crate) failed: bool,
    next_context: u32,
}

impl Vm {
    /// Instantiates the plugin's module and runs its start functions.
    pub(crate) fn start(host: &Arc<Host>, worker: u64, number: u64, plugin: &PluginConfig) -> Result<Self, String> {
        let module = &plugin.module;
        let state = VmState {
            host: Arc::clone(host),
            worker,
            number,
            vm_id: plugin.vm_id.clone(),
            code: module.digest,
            vm_configuration: plugin.vm_configuration.clone(),
            environment: environment(&plugin.environment),
            limits: StoreLimitsBuilder::new().memory_size(MAX_MEMORY).build(),
            memory: None,
            allocate: None,
            contexts: HashMap::new(),
            current: 0,
            effective: 0,
            callback: "_initialize",
            restricted: true,
            stop: false,
            actions: Vec::new(),
            ring: Ring::default(),
            traps: Vec::new(),
            misuse: Vec::new(),
            captured: RefCell::default(),
            metrics: MetricIds::default(),
            next_call: 0,
            callouts: Vec::new(),
            grpc: GrpcCalls::default(),
        };
        let mut store = Store::new(&module.engine, state);
        store.limiter(|state| &mut state.limits);
        let describe = |error: wasmtime::Error| format!("the module does not start: {}", cause(&error));
        store.set_fuel(host.fuel_per_callback()).map_err(describe)?;
        let instance = module.pre.instantiate(&mut store).map_err(describe)?;
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        let allocator =
            ["malloc", "proxy_on_memory_allocate"].iter().find_map(|name| instance.get_func(&mut store, name));
        let allocator = allocator.ok_or("no allocator")?.typed::<u32, u32>(&store).map_err(describe)?;
        store.data_mut().allocate = Some(allocator);
        let callbacks = Callbacks::find(&instance, &mut store)?;
        for name in start_functions(&instance, &mut store) {
            let Some(function) = instance.get_func(&mut store, name) else { continue };
            if let Ok(function) = function.typed::<(), ()>(&store) {
                function.call(&mut store, ()).map_err(describe)?;
            } else if let Ok(function) = function.typed::<(i32, i32), i32>(&store) {
                function.call(&mut store, (0, 0)).map_err(describe)?;
            } else {
                let function = function.typed::<(), i32>(&store).map_err(describe)?;
                function.call(&mut store, ()).map_err(describe)?;
            }
        }
        store.data_mut().restricted = false;
        Ok(Self { store, callbacks, failed: false, next_context: 1 })
    }

    pub(crate) fn state(&mut self) -> &mut VmState {
        self.store.data_mut()
    }

    pub(crate) fn peek(&self) -> &VmState {
        self.store.data()
    }

    /// Makes the host's side of a context; `root` 0 makes a root context.
    pub(crate) fn add_context(&mut self, root: u32, plugin: Rc<PluginConfig>, stream: Option<SharedStream>) -> u32 {
        let id = self.next_context;
        self.next_context = self.next_context.wrapping_add(1).max(1);
        let root = if root == 0 { id } else { root };
        self.state().contexts.insert(id, Context::new(root, plugin, stream));
        id
    }

    pub(crate) fn context(&mut self, id: u32) -> Option<&mut Context> {
        self.state().contexts.get_mut(&id)
    }

    /// Runs a callback of a context. `None` when the module does not export it, the VM is dead, or the callback trapped.
    pub(crate) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        context: u32,
        callback: impl FnOnce(&Callbacks) -> &Option<Callback<P, R>>,
        params: P,
    ) -> Option<R> {
        let result = self.call_once(context, callback, params);
        self.tell_of_failed_calls();
        result
    }

    /// Tells the guest how a gRPC callout ended.
    pub(crate) fn answer_grpc(&mut self, root: u32, token: u32, answer: GrpcAnswer) {
        let told = match &answer {
            GrpcAnswer::Message(message) => Ok(u32::try_from(message.len()).unwrap_or(u32::MAX)),
            GrpcAnswer::Failed { status, .. } => Err(*status),
        };
        let Some(context) = self.context(root) else { return };
        context.grpc = Some(answer);
        if let Err(status) = told {
            context.grpc_status = status;
        }
        match told {
            Ok(size) => self.call_once(root, |callbacks| &callbacks.grpc_receive, (root, token, size)),
            Err(status) => self.call_once(root, |callbacks| &callbacks.grpc_close, (root, token, status)),
        };
        if let Some(context) = self.context(root) {
            context.grpc = None;
        }
        self.state().grpc.open.remove(&token);
    }

    /// Tells the guest of gRPC callouts that failed while it made them, now that its callback has returned.
    pub(crate) fn tell_of_failed_calls(&mut self) {
        if self.peek().grpc.failed.is_empty() {
            return;
        }
        let stop = self.peek().stop;
        for _ in 0..MAX_FAILED_CALLS {
            let Some((root, token, answer)) = self.state().grpc.failed.pop_front() else { break };
            self.answer_grpc(root, token, answer);
        }
        let state = self.state();
        if !std::mem::take(&mut state.grpc.failed).is_empty() {
            state.misuse(
                "a gRPC callout that fails at once from each proxy_on_grpc_close; Envoy never gets out of that",
            );
        }
        state.stop = stop;
    }

    fn call_once<P: WasmParams, R: WasmResults>(
        &mut self,
        context: u32,
        callback: impl FnOnce(&Callbacks) -> &Option<Callback<P, R>>,
        params: P,
    ) -> Option<R> {
        if self.failed {
            return None;
        }
        let callback = callback(&self.callbacks).clone()?;
        let state = self.store.data_mut();
        state.current = context;
        state.effective = 0;
        state.stop = false;
        state.callback = callback.name;
        let fuel = state.host.fuel_per_callback();
        let stream = state.contexts.get(&context).and_then(|context| context.stream.clone());
        let result = self.store.set_fuel(fuel).and_then(|()| callback.function.call(&mut self.store, params));
        let left = self.store.get_fuel().unwrap_or(0);
        if let Some(stream) = stream {
            let meter = &mut stream.borrow_mut().meter;
            meter.callbacks += 1;
            meter.fuel += fuel.saturating_sub(left);
        }
        let result = match result {
            Ok(result) => Some(result),
            Err(error) => {
                self.fail(callback.name, &error);
                None
            }
        };
        let state = self.store.data_mut();
        state.current = 0;
        state.effective = 0;
        state.restricted = false;
        result
    }

    fn fail(&mut self, callback: &'static str, error: &wasmtime::Error) {
        self.failed = true;
        let state = self.store.data_mut();
        state.actions.clear();
        state.grpc.failed.clear();
        let report = TrapReport {
            plugin: state.contexts.get(&state.current).map(|context| context.plugin.name.clone()).unwrap_or_default(),
            callback,
            stream: state.current_stream(),
            cause: cause(error),
            backtrace: backtrace(error),
            host_calls: state.ring.lines(),
        };
        state.log(LogLevel::Critical, report.to_string());
        state.traps.push(report);
    }
}

/// `_initialize` and then `main`, else `_start`.
fn start_functions(instance: &wasmtime::Instance, store: &mut Store<VmState>) -> Vec<&'static str> {
    let mut has = |name| instance.get_func(&mut *store, name).is_some();
    if !has("_initialize") {
        return vec!["_start"];
    }
    let main = if has("main") { "main" } else { "__main_void" };
    vec!["_initialize", main]
}

fn environment(variables: &BTreeMap<String, String>) -> Vec<(String, String)> {
    variables.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn cause(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::OutOfFuel) => {
            "the callback burnt all its fuel: an endless loop, or too much work".to_owned()
        }
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    }
}

fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let frame = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    };
    trace.frames().iter().map(frame).collect()
}
