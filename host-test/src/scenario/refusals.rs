//! Configurations that a real Envoy has to refuse. One process is handed all of them as listeners of one update: it takes and
//! refuses each by itself, and says so in its log.

use super::bootstrap::{refused, socket};
use super::envoy::{BOUND, admin, folder, free_ports};
use super::format::FilterUse;
use super::wasm::Modules;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// For each filter, the lines that Envoy logs when it refuses it, or nothing if it takes it. Filters in `good` with a
/// configuration that is taken keep Envoy from compiling their modules anew for each that is not.
pub fn lines<'a>(
    binary: &Path,
    modules: &Modules,
    filters: &'a [FilterUse],
    good: impl Iterator<Item = &'a FilterUse>,
) -> Result<Vec<Option<Vec<String>>>, String> {
    if filters.is_empty() {
        return Ok(Vec::new());
    }
    let folder = folder().map_err(|error| error.to_string())?;
    let log = folder.join("envoy.log");
    let mut holders: Vec<&FilterUse> = Vec::new();
    for filter in good.filter(|good| filters.iter().any(|filter| filter.filter == good.filter)) {
        if !holders.iter().any(|holder| holder.filter == filter.filter) {
            holders.push(filter);
        }
    }
    let holders = holders.into_iter().enumerate().map(|(number, filter)| (format!("holder-{number}"), filter));
    let refused = filters.iter().enumerate().map(|(number, filter)| (format!("refusal-{number}"), filter));
    let all: Vec<(String, &FilterUse)> = holders.chain(refused).collect();
    let answer = update(binary, modules, &all, &folder, &log);
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    std::fs::remove_dir_all(&folder).ok();
    answer.map_err(|why| format!("{why}:\n{text}"))?;
    // what a filter says comes before the line that names it
    let mut refused = vec![None; filters.len()];
    let mut said = Vec::new();
    for line in text.lines() {
        said.push(line.to_owned());
        let number = line.split_once("Plugin refusal-").and_then(|(_, rest)| rest.strip_suffix("-0 failed to load"));
        if let Some(place) = number.and_then(|number| refused.get_mut(number.parse::<usize>().ok()?)) {
            *place = Some(std::mem::take(&mut said));
        }
    }
    Ok(refused)
}

/// Runs an Envoy until it has looked at all of them.
fn update(
    binary: &Path,
    modules: &Modules,
    filters: &[(String, &FilterUse)],
    folder: &Path,
    log: &Path,
) -> Result<(), String> {
    let port = free_ports(1).map_err(|error| error.to_string())?.pop().unwrap_or_default();
    let listeners = filters.iter().map(|(name, filter)| {
        let mut listener = refused(filter, modules, name);
        if let Some(fields) = listener.as_object_mut() {
            fields.insert("@type".to_owned(), json!("type.googleapis.com/envoy.config.listener.v3.Listener"));
        }
        listener
    });
    let resources = json!({"version_info": "1", "resources": listeners.collect::<Vec<Value>>()});
    let (list, bootstrap) = (folder.join("listeners.json"), folder.join("bootstrap.json"));
    std::fs::write(&list, resources.to_string()).map_err(|error| error.to_string())?;
    let content = json!({
        "node": {"id": "refusals", "cluster": "refusals"}, "admin": {"address": socket(port)},
        "dynamic_resources": {"lds_config": {"resource_api_version": "V3", "path_config_source": {"path": list}}}});
    std::fs::write(&bootstrap, content.to_string()).map_err(|error| error.to_string())?;
    let mut command = Command::new(binary);
    command.arg("-c").arg(&bootstrap).args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]);
    command.arg("--log-path").arg(log).args(["--file-flush-interval-msec", "20"]);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
    let mut process = Ended(process);
    let begin = Instant::now();
    while begin.elapsed() < BOUND * 3 {
        if let Ok(Some(status)) = process.0.try_wait() {
            return Err(format!("Envoy ended ({status})"));
        }
        let stats = admin(port, "/stats?filter=^listener_manager.lds.update_(rejected|success)$").unwrap_or_default();
        if String::from_utf8_lossy(&stats).lines().any(|line| line.contains(": ") && !line.ends_with(": 0")) {
            // what has been logged is written with the next flush
            process.end();
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Err("Envoy did not look at the configurations".to_owned())
}

/// A process that does not outlive this.
struct Ended(Child);

impl Ended {
    /// Lets it write its log out.
    fn end(&mut self) {
        std::thread::sleep(std::time::Duration::from_millis(100));
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
