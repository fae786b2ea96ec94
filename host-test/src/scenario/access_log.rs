//! What Envoy's access log shows of the fields that filters set.

use super::format::File;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The log of one listener.
pub struct AccessLog {
    path: PathBuf,
    /// In the order of the columns.
    names: Vec<String>,
}

/// Between columns; no value holds it.
const SEPARATOR: char = '\u{1f}';

impl AccessLog {
    /// A log of the fields that the cases of this file look at, if they look at any.
    pub fn new(file: &File, folder: &Path, port: u16) -> Option<Self> {
        let names: BTreeSet<&String> = file.cases.iter().flat_map(|case| case.log.keys()).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        (!names.is_empty()).then(|| Self { path: folder.join(format!("access-{port}.log")), names })
    }

    /// For the connection manager.
    pub fn config(&self) -> Value {
        let columns = self.names.iter().map(|name| format!("%FILTER_STATE(wasm.{name}:PLAIN)%{SEPARATOR}"));
        let line = columns.collect::<String>() + "\n";
        json!({"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": self.path, "log_format": {"text_format_source": {"inline_string": line}}}})
    }

    /// How many requests have been logged.
    pub fn lines(&self) -> usize {
        self.read().matches('\n').count()
    }

    /// The fields of the first request behind `lines` others.
    pub fn fields(&self, lines: usize, bound: Duration) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let begin = Instant::now();
        loop {
            let text = self.read();
            if let Some(line) = text.lines().nth(lines).filter(|_| text.matches('\n').count() > lines) {
                let set = self.names.iter().zip(line.split(SEPARATOR)).filter(|(_, value)| *value != "-");
                return Ok(set.map(|(name, value)| (name.clone(), value.as_bytes().to_vec())).collect());
            }
            if begin.elapsed() > bound {
                return Err("the access log has no line of this request".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn read(&self) -> String {
        std::fs::read(&self.path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}
