//! A set: the files that `sluice convert` writes, and what `sluice explain` and `sluice diff` read of them.

use super::bootstrap::{Place, bootstrap, router_config};
use super::{native, scenarios, yaml};
use crate::convert::{Converted, Style};
use crate::model::{Entry, Source};
use crate::report::{Line, Section};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The list of a set, `set.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Set {
    /// 1
    pub version: u32,
    /// Where requests come in.
    pub entries: Vec<SetEntry>,
    /// The object and place of each rule, by the name in `x-sluice-route`; those of an entry without listeners with the entry before it.
    pub rules: BTreeMap<String, String>,
    /// The object of each cluster.
    pub clusters: BTreeMap<String, String>,
}

/// An entry of a set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetEntry {
    /// `VirtualGateway/default/shop`
    pub entry: String,
    /// Its tables.
    pub tables: Vec<SetTable>,
}

/// A table of an entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetTable {
    /// The file with the configuration, relative to `set.json`.
    pub config: String,
    /// The ports of its listeners; none if it has no listener.
    pub ports: Vec<u16>,
}

impl Set {
    /// Where a rule comes from.
    pub fn rule(&self, entry: &str, rule: &str) -> Option<&str> {
        self.rules.get(&format!("{entry}/{rule}")).or_else(|| self.rules.get(rule)).map(String::as_str)
    }
}

/// The files by name, and the report with what writing them brought up.
///
/// # Errors
/// If the header-router refuses a table that it should not.
pub fn files(converted: &mut Converted, place: &Place, title: &str) -> Result<BTreeMap<String, String>, String> {
    let mut files = BTreeMap::new();
    let mut set = Set { version: 1, ..Set::default() };
    let mut unpinned = Vec::new();
    for entry in &converted.model.entries {
        let mut tables = Vec::new();
        let place = &entry.place(place);
        for (number, table) in entry.tables.iter().enumerate() {
            let file =
                format!("{}{}", slug(entry), if number == 0 { String::new() } else { format!("-{}", number + 1) });
            let config = format!("routers/{file}.yaml");
            files.insert(config.clone(), yaml::text(&router_config(table, place)));
            if let Some(limits) = &table.rate_limit {
                files.insert(format!("limits/{file}.yaml"), yaml::text(limits));
            }
            let found = scenarios::scenarios(&entry.id, table, place).map_err(|why| format!("{}: {why}", entry.id))?;
            unpinned.extend(found.unpinned.into_iter().map(|(rule, why)| (entry.id.clone(), rule, why)));
            files.insert(format!("scenarios/{file}.yaml"), yaml::text(&found.file));
            let listeners = entry.listeners.iter().filter(|listener| listener.table == number);
            tables.push(SetTable { config, ports: listeners.map(|listener| place.port(listener.port)).collect() });
        }
        set.entries.push(SetEntry { entry: entry.id.clone(), tables });
    }
    for line in styled(converted) {
        converted.report.line(line);
    }
    for (entry, rule, why) in unpinned {
        let sources = &converted.model.sources;
        let source = sources.get(&format!("{entry}/{rule}")).or_else(|| sources.get(&rule)).cloned();
        if let Some(source) = source {
            converted.say(Section::Changed, &source, format!("no scenario: {why}"));
        }
    }
    converted.report.finish();
    let told = |source: &Source| format!("{} {} ({}:{})", source.object, source.field, source.file, source.line);
    set.rules = converted.model.sources.iter().map(|(rule, source)| (rule.clone(), told(source))).collect();
    set.clusters =
        converted.model.clusters.iter().map(|(name, cluster)| (name.clone(), cluster.source.clone())).collect();
    files.insert("envoy.yaml".to_owned(), yaml::text(&bootstrap(&converted.model, place, converted.style)));
    files.insert("REPORT.md".to_owned(), converted.report.markdown(title));
    let json = |value: serde_json::Result<String>| value.map(|text| text + "\n").map_err(|error| error.to_string());
    files.insert("report.json".to_owned(), json(serde_json::to_string_pretty(converted.report.lines()))?);
    files.insert("set.json".to_owned(), json(serde_json::to_string_pretty(&set))?);
    Ok(files)
}

/// A name for files: `virtualgateway-default-shop`.
fn slug(entry: &Entry) -> String {
    entry.id.to_ascii_lowercase().replace('/', "-")
}

/// What style native says of each table that is served.
fn styled(converted: &Converted) -> Vec<Line> {
    let mut lines = Vec::new();
    if converted.style == Style::Filter {
        return lines;
    }
    for entry in converted.model.entries.iter().filter(|entry| !entry.listeners.is_empty()) {
        for table in &entry.tables {
            let mut line = |section: Section, text: String| {
                let (object, field, file) = (entry.id.clone(), String::new(), "envoy.yaml".to_owned());
                lines.push(Line { section, text, object, field, file, line: 1 });
            };
            match native::routes(table) {
                Ok(_) => line(Section::Kept, "routes of Envoy itself, without a filter".to_owned()),
                Err(reasons) => {
                    for reason in reasons {
                        line(
                            Section::Changed,
                            format!("the header-router stays, since Envoy's routes cannot say {reason}"),
                        );
                    }
                }
            }
        }
    }
    lines
}
