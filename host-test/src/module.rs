//! Compiled modules.

use crate::imports;
use crate::vm::VmState;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use wasmtime::{Config, Engine, InstancePre, Linker};

/// A compiled module, ready to be instantiated in any worker.
pub struct Module {
    pub(crate) pre: InstancePre<VmState>,
    pub(crate) engine: Engine,
    /// Tells one code from another.
    pub(crate) digest: u64,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Why a module cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// Not a valid .wasm, or one with features that are not supported.
    Invalid(String),
    /// No `proxy_abi_version_0_2_0` or `proxy_abi_version_0_2_1` among the exports.
    UnknownAbi,
    /// Neither `malloc` nor `proxy_on_memory_allocate` is exported.
    NoAllocator,
    /// No memory is exported.
    NoMemory,
    /// An import that the host does not offer, or with another signature.
    Import(String),
    /// The host itself cannot start.
    Host(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "not a usable .wasm: {why}"),
            Self::UnknownAbi => write!(
                f,
                "missing or unknown proxy-wasm ABI version: the module must export proxy_abi_version_0_2_1 or proxy_abi_version_0_2_0"
            ),
            Self::NoAllocator => write!(f, "the module exports neither malloc nor proxy_on_memory_allocate"),
            Self::NoMemory => write!(f, "the module exports no memory"),
            Self::Import(why) => write!(f, "the module cannot be linked: {why}"),
            Self::Host(why) => write!(f, "the wasm engine cannot start: {why}"),
        }
    }
}

impl std::error::Error for LoadError {}

struct Runtime {
    engine: Engine,
    linker: Linker<VmState>,
}

/// The engine and the host calls are made once in a process.
fn runtime() -> Result<&'static Runtime, LoadError> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config).map_err(|error| format!("{error:#}"))?;
        let mut linker = Linker::new(&engine);
        imports::define(&mut linker).map_err(|error| format!("{error:#}"))?;
        Ok(Runtime { engine, linker })
    });
    made.as_ref().map_err(|why| LoadError::Host(why.clone()))
}

impl Module {
    /// Compiles a module and checks what Envoy checks: ABI marker, allocator, imports.
    ///
    /// # Errors
    /// See `LoadError`.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let runtime = runtime()?;
        let module = wasmtime::Module::from_binary(&runtime.engine, bytes)
            .map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        let exports = |name: &str| module.get_export(name).is_some();
        let newest = exports("proxy_abi_version_0_2_1");
        if !newest && !exports("proxy_abi_version_0_2_0") {
            return Err(LoadError::UnknownAbi);
        }
        if !newest && module.imports().any(|import| import.name() == "proxy_get_log_level") {
            return Err(LoadError::Import("proxy_get_log_level needs proxy_abi_version_0_2_1".to_owned()));
        }
        if !exports("malloc") && !exports("proxy_on_memory_allocate") {
            return Err(LoadError::NoAllocator);
        }
        if module.get_export("memory").is_none_or(|export| export.memory().is_none()) {
            return Err(LoadError::NoMemory);
        }
        let pre = runtime.linker.instantiate_pre(&module).map_err(|error| LoadError::Import(format!("{error:#}")))?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Ok(Self { pre, engine: runtime.engine.clone(), digest: hasher.finish() })
    }
}
