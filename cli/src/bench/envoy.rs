//! The measured Envoy.

use super::listener::Setup;
use serde_json::{Value, json};
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running Envoy; it ends with this value.
#[derive(Debug)]
pub struct Envoy {
    process: Child,
    ports: Vec<u16>,
    folder: tempfile::TempDir,
    /// `/proc` file of the first worker thread.
    worker: PathBuf,
}

/// Longest wait for the listeners: every VM reads its filter's configuration, of up to 10,000 rules.
const START: Duration = Duration::from_secs(300);

impl Envoy {
    /// Starts Envoy with a listener for each variant.
    pub fn start(binary: &Path, setup: &Setup) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let ports = free_ports(setup.variants.len())?;
        let bootstrap = folder.path().join("bootstrap.json");
        let text = bootstrap_for(setup, &ports).to_string();
        fs::write(&bootstrap, &text).map_err(|e| e.to_string())?;
        let log = folder.path().join("envoy.log");
        // several workers are there to run at the same time
        let mut command = if setup.workers == 1 { pinned(binary) } else { Command::new(binary) };
        command.arg("-c").arg(&bootstrap).args(["--use-dynamic-base-id", "-l", "warn"]);
        command.arg("--concurrency").arg(setup.workers.to_string());
        command.arg("--log-path").arg(&log).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let begin = Instant::now();
        let process = command.spawn().map_err(|e| format!("{}: {e}", binary.display()))?;
        let mut envoy = Self { process, ports, folder, worker: PathBuf::new() };
        envoy.wait(&log)?;
        let (seconds, size) = (begin.elapsed().as_secs_f64(), text.len() as f64 / 1e6);
        eprintln!("{} listeners, {size:.1} MB of bootstrap: serving after {seconds:.1} s", setup.variants.len());
        envoy.worker = worker_thread(envoy.process.id())?;
        Ok(envoy)
    }

    /// Listener ports, in the order of the variants.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// CPU time that the worker thread has spent, in nanoseconds.
    pub fn worker_nanoseconds(&self) -> Result<u64, String> {
        let text = fs::read_to_string(&self.worker).map_err(|e| format!("{}: {e}", self.worker.display()))?;
        let spent = text.split_whitespace().next().and_then(|first| first.parse().ok());
        spent.ok_or_else(|| format!("{}: expected a number", self.worker.display()))
    }

    /// Memory that the process has, in KiB.
    pub fn resident(&self) -> Result<u64, String> {
        let file = format!("/proc/{}/status", self.process.id());
        let text = fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let size = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        size.ok_or_else(|| format!("{file}: expected a line VmRSS"))
    }

    /// Ends it.
    pub fn stop(self) {
        drop(self);
    }

    fn wait(&mut self, log: &Path) -> Result<(), String> {
        let begin = Instant::now();
        while begin.elapsed() < START {
            if let Ok(Some(status)) = self.process.try_wait() {
                let log = fs::read_to_string(log).unwrap_or_default();
                return Err(format!("Envoy ended ({status}) before it listened:\n{log}"));
            }
            if self.ports.iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("Envoy does not listen".to_owned())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = &self.folder;
    }
}

/// On its own processor where `taskset` exists; the load keeps the other ones.
fn pinned(binary: &Path) -> Command {
    let taskset = Command::new("taskset").args(["-c", "0", "true"]).status().is_ok_and(|status| status.success());
    if taskset {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(binary);
        command
    } else {
        Command::new(binary)
    }
}

fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners: Vec<TcpListener> = (0..count).map(bind).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    listeners.iter().map(|listener| Ok(listener.local_addr().map_err(|e| e.to_string())?.port())).collect()
}

/// The thread that serves requests. `taskset` and Envoy share the process id: one executes the other.
fn worker_thread(process: u32) -> Result<PathBuf, String> {
    let tasks = PathBuf::from(format!("/proc/{process}/task"));
    let entries = fs::read_dir(&tasks).map_err(|e| format!("{}: {e} (bench needs Linux)", tasks.display()))?;
    for entry in entries.flatten() {
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.starts_with("wrk:worker_0") {
            return Ok(entry.path().join("schedstat"));
        }
    }
    Err("Envoy has no thread named wrk:worker_0".to_owned())
}

fn bootstrap_for(setup: &Setup, ports: &[u16]) -> Value {
    let listeners: Vec<Value> =
        setup.variants.iter().zip(ports).map(|(variant, port)| variant.listener(*port)).collect();
    json!({"static_resources": {"listeners": listeners, "clusters": setup.clusters}})
}
