//! The chains of a file, or of an entry of a converted set; the port of a request picks one.

use super::{Chain, Report};
use crate::config_file::{self, Known};
use crate::request::Request;
use filter_kit::explain::Detail;
use sluice_convert::emit::Set;
use std::path::Path;

/// Chains, and what is known of their rules.
#[derive(Debug)]
pub struct Chains {
    /// Each with the ports that it is for; any if empty.
    pub all: Vec<(Vec<u16>, Chain)>,
    set: Option<(String, Set)>,
}

impl Chains {
    /// Reads a file, or the entry of a set if it is a folder that `sluice convert` has written.
    ///
    /// # Errors
    /// With the place in a file, or with the entries that there are.
    pub fn read(file: &Path, filter: Option<Known>, line: Option<usize>, entry: Option<&str>) -> Result<Self, String> {
        if !file.is_dir() {
            if entry.is_some() {
                return Err(format!("--entry: {} is no folder that `sluice convert` has written", file.display()));
            }
            return Ok(Self { all: vec![(Vec::new(), Chain::read(file, filter, line)?)], set: None });
        }
        let list = file.join("set.json");
        if !list.exists() {
            return Err(format!("{}: Is a directory, and none that `sluice convert` has written", file.display()));
        }
        let text = config_file::read(&list)?;
        let set: Set = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", list.display()))?;
        let found = match entry {
            Some(entry) => set.entries.iter().find(|found| found.entry == entry),
            None => {
                let mut served =
                    set.entries.iter().filter(|found| found.tables.iter().any(|table| !table.ports.is_empty()));
                served.next().filter(|_| served.next().is_none())
            }
        };
        let Some(found) = found else {
            let known: Vec<_> = set.entries.iter().map(|found| found.entry.as_str()).collect();
            let near = entry.and_then(|entry| sluice_convert::schema::nearest(entry, &known));
            let what = entry.map_or("say which entry is meant: --entry KIND/NAMESPACE/NAME".to_owned(), |entry| {
                format!("no entry {entry}")
            });
            let near = near.map_or(format!("there are {}", known.join(", ")), |near| format!("did you mean {near}?"));
            return Err(format!("{}: {what}; {near}", file.display()));
        };
        let mut all = Vec::new();
        for table in &found.tables {
            all.push((table.ports.clone(), Chain::read(&file.join(&table.config), Some(Known::HeaderRouter), None)?));
        }
        let entry = found.entry.clone();
        Ok(Self { all, set: Some((entry, set)) })
    }

    /// Says what becomes of a request, and where the rule and its target come from.
    pub fn explain(&self, request: &Request, seed: u64, detail: Detail) -> Report {
        let by_port = request.port.and_then(|port| self.all.iter().find(|(ports, _)| ports.contains(&port)));
        let Some((_, chain)) = by_port.or_else(|| self.all.first()) else { return Report::default() };
        let mut report = chain.explain(request, seed, detail);
        if let Some((entry, set)) = &self.set {
            report.source = report.rule.as_ref().and_then(|rule| set.rule(entry, rule)).map(str::to_owned);
            report.target_source = report.target.as_ref().and_then(|target| set.clusters.get(target)).cloned();
        }
        report
    }
}
