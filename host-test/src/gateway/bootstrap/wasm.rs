//! `envoy.filters.http.wasm`: which module, which plugin, which configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::{At, Fields};
use super::{InvalidBootstrap, any};

const STRING: &str = "google.protobuf.StringValue";
const STRUCT: &str = "google.protobuf.Struct";

/// A wasm filter of the chain.
#[derive(Clone, Debug)]
pub struct WasmFilter {
    /// Name of the plugin (`config.name`), or of the HTTP filter.
    pub name: String,
    /// Which root context of the module this plugin is.
    pub root_id: String,
    /// Namespace of shared data; plugins with the same id, code and configuration share a VM.
    pub vm_id: String,
    /// What `proxy_on_configure` gets.
    pub configuration: Vec<u8>,
    /// What `proxy_on_vm_start` gets.
    pub vm_configuration: Vec<u8>,
    /// The environment of the module.
    pub environment: BTreeMap<String, String>,
    /// What happens when the module traps.
    pub when_failed: WhenFailed,
    /// Whether Pause in a header callback still lets the body callbacks run.
    pub allow_on_headers_stop_iteration: bool,
    /// The `.wasm` file, relative to the working directory.
    pub code: PathBuf,
}

/// `failure_policy`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFailed {
    /// 503 from then on.
    FailClosed,
    /// The filter is skipped from then on.
    FailOpen,
    /// A new VM after a pause.
    FailReload(Reload),
}

/// `reload_config.backoff`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// The first pause; Envoy's default is 1 s.
    pub base: Duration,
    /// The longest pause; Envoy's default is ten times the first.
    pub max: Duration,
}

impl WasmFilter {
    pub(super) fn read(mut message: Fields, filter_name: &str) -> Result<Self, InvalidBootstrap> {
        let mut config = message.need("config")?.fields()?;
        message.finish()?;
        let name = config.take("name").map_or(Ok(filter_name.to_owned()), |name| name.text())?;
        let root_id = config.take("root_id").map_or(Ok(String::new()), |id| id.text())?;
        let configuration = config.take("configuration").map_or(Ok(Vec::new()), read_bytes)?;
        let stop_iteration = config.flag("allow_on_headers_stop_iteration", false)?;
        let reload = read_reload(config.take("reload_config"))?;
        let when_failed = match config.take("failure_policy") {
            None => WhenFailed::FailClosed,
            Some(policy) => policy.choice(&[
                ("UNSPECIFIED", WhenFailed::FailClosed),
                ("FAIL_CLOSED", WhenFailed::FailClosed),
                ("FAIL_OPEN", WhenFailed::FailOpen),
                ("FAIL_RELOAD", WhenFailed::FailReload(reload)),
            ])?,
        };
        let mut vm = config.need("vm_config")?.fields()?;
        config.finish()?;
        let vm_id = vm.take("vm_id").map_or(Ok(String::new()), |id| id.text())?;
        if let Some(runtime) = vm.take("runtime") {
            runtime.choice(&[("envoy.wasm.runtime.v8", ())])?;
        }
        let vm_configuration = vm.take("configuration").map_or(Ok(Vec::new()), read_bytes)?;
        let environment = vm.take("environment_variables").map_or(Ok(BTreeMap::new()), read_environment)?;
        let mut code = vm.need("code")?.fields()?;
        vm.finish()?;
        let mut local = code.need("local")?.fields()?;
        code.finish()?;
        let code = PathBuf::from(local.need("filename")?.name()?);
        local.finish()?;
        Ok(Self {
            name,
            root_id,
            vm_id,
            configuration,
            vm_configuration,
            environment,
            when_failed,
            allow_on_headers_stop_iteration: stop_iteration,
            code,
        })
    }
}

/// A `StringValue` raw, a `Struct` serialized: what Envoy hands to the plugin.
fn read_bytes(at: At) -> Result<Vec<u8>, InvalidBootstrap> {
    let (kind, mut message) = any(at, &[STRING, STRUCT])?;
    let value = message.take("value");
    message.finish()?;
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    if kind == STRING { Ok(value.text()?.into_bytes()) } else { value.protobuf_struct() }
}

fn read_reload(at: Option<At>) -> Result<Reload, InvalidBootstrap> {
    let mut base = Duration::from_secs(1);
    let mut max = None;
    if let Some(at) = at {
        let mut fields = at.fields()?;
        if let Some(backoff) = fields.take("backoff") {
            let mut backoff = backoff.fields()?;
            let at = backoff.need("base_interval")?;
            base = at.duration()?;
            if base < Duration::from_millis(1) {
                return Err(at.fault("must be 0.001s or longer"));
            }
            if let Some(at) = backoff.take("max_interval") {
                let longest = at.duration()?;
                if longest < base {
                    return Err(at.fault("must not be shorter than base_interval"));
                }
                max = Some(longest);
            }
            backoff.finish()?;
        }
        fields.finish()?;
    }
    Ok(Reload { base, max: max.unwrap_or(base.saturating_mul(10)) })
}

fn read_environment(at: At) -> Result<BTreeMap<String, String>, InvalidBootstrap> {
    let mut fields = at.fields()?;
    let mut environment = BTreeMap::new();
    if let Some(pairs) = fields.take("key_values") {
        for (key, value) in pairs.entries()? {
            environment.insert(key, value.text()?);
        }
    }
    if let Some(keys) = fields.take("host_env_keys") {
        for at in keys.list()? {
            let key = at.name()?;
            if environment.contains_key(&key) {
                return Err(at.fault(format!("`{key}` stands in key_values too")));
            }
            if let Ok(value) = std::env::var(&key) {
                environment.insert(key, value);
            }
        }
    }
    fields.finish()?;
    Ok(environment)
}
