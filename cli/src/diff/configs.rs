//! Two configurations, rule by rule and field by field.

use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What differs in one thing of a filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Which filter of the chain, from 0.
    pub number: usize,
    /// Its name.
    pub filter: &'static str,
    /// A rule, a service, or a field of the filter.
    pub what: String,
    /// `added`, `removed`, `changed`, `moved` or `renamed`.
    pub change: &'static str,
    /// For what was moved: the rule that it stands behind now; nothing for the first place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// The fields that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// Its path.
    pub path: String,
    /// What stood there.
    pub old: Value,
    /// What stands there.
    pub new: Value,
}

impl Change {
    /// The change on a line.
    pub fn line(&self, several: bool) -> String {
        let filter = if several { format!("{} {}: ", self.filter, self.number + 1) } else { String::new() };
        let fields: Vec<_> = self.fields.iter().map(|field| field.text(&self.what)).collect();
        let told = match (self.change, fields.as_slice()) {
            ("moved", _) => match &self.behind {
                Some(behind) => format!("moved behind {behind}"),
                None => "moved to the start".to_owned(),
            },
            ("changed", fields) => fields.join(", "),
            (change, []) => change.to_owned(),
            (change, fields) => format!("{change}, {}", fields.join(", ")),
        };
        format!("{filter}{}: {told}\n", self.what)
    }
}

impl Field {
    /// The field in words; `what` stands before it.
    fn text(&self, what: &str) -> String {
        let path = self.path.strip_prefix(what).map_or(self.path.as_str(), |rest| rest.trim_start_matches('.'));
        let path = if path.is_empty() { String::new() } else { format!("{path} ") };
        format!("{path}{} -> {}", shown(&self.old), shown(&self.new))
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) => text.clone(),
        other => other.to_string(),
    }
}

type Config = (&'static str, Value);

/// Everything that differs between two chains of filters.
pub fn compare(old: &[Config], new: &[Config]) -> Vec<Change> {
    let mut changes = Vec::new();
    // filters of one name are compared in their order
    let mut taken = vec![false; new.len()];
    for (number, (filter, config)) in old.iter().enumerate() {
        let free = |at: usize| taken.get(at) == Some(&false);
        let partner = new.iter().enumerate().find(|(at, (name, _))| free(*at) && name == filter);
        let Some((at, (_, other))) = partner else {
            changes.push(of_filter(number, filter, "removed"));
            continue;
        };
        if let Some(taken) = taken.get_mut(at) {
            *taken = true;
        }
        Compared { number: at, filter, changes: &mut changes }.configs(config, other);
    }
    for (number, (filter, _)) in new.iter().enumerate() {
        if taken.get(number) == Some(&false) {
            changes.push(of_filter(number, filter, "added"));
        }
    }
    let order = |configs: &[Config]| configs.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let (before, after) = (order(old), order(new));
    let sorted = |names: &[&'static str]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    if before != after && sorted(&before) == sorted(&after) {
        let field = Field { path: String::new(), old: before.join(", ").into(), new: after.join(", ").into() };
        let what = "order of the filters".to_owned();
        changes.push(Change { number: 0, filter: "", what, change: "changed", behind: None, fields: vec![field] });
    }
    changes
}

fn of_filter(number: usize, filter: &'static str, change: &'static str) -> Change {
    Change { number, filter, what: "filter".to_owned(), change, behind: None, fields: Vec::new() }
}

struct Compared<'a> {
    number: usize,
    filter: &'static str,
    changes: &'a mut Vec<Change>,
}

impl Compared<'_> {
    fn add(&mut self, what: String, change: &'static str, fields: Vec<Field>) {
        self.changes.push(Change { number: self.number, filter: self.filter, what, change, behind: None, fields });
    }

    fn configs(&mut self, old: &Value, new: &Value) {
        self.lists("rule ", "", old.get("rules"), new.get("rules"), true);
        self.lists("service ", "", old.get("services"), new.get("services"), false);
        let (none, mut names) = (Map::new(), Vec::new());
        let (old, new) = (old.as_object().unwrap_or(&none), new.as_object().unwrap_or(&none));
        names.extend(old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))));
        for name in names.into_iter().filter(|name| !matches!(name.as_str(), "rules" | "services")) {
            let mut fields = Vec::new();
            values("", name, old.get(name), new.get(name), &mut fields);
            if !fields.is_empty() {
                self.add(name.clone(), "changed", fields);
            }
        }
    }

    /// Two lists of things with names.
    fn lists(&mut self, kind: &str, outer: &str, old: Option<&Value>, new: Option<&Value>, are_rules: bool) {
        let (old, new) = (items(old), items(new));
        let by_name = |items: &[&'_ Value]| -> HashMap<String, usize> {
            items.iter().enumerate().map(|(at, item)| (name(item), at)).collect()
        };
        let (old_names, new_names) = (by_name(&old), by_name(&new));
        // of what is gone, by its content
        let mut gone: HashMap<String, &Value> = HashMap::new();
        for item in old.iter().filter(|item| !new_names.contains_key(&name(item))) {
            gone.insert(content(item), item);
        }
        let renamed: HashMap<String, String> = new
            .iter()
            .filter(|item| !old_names.contains_key(&name(item)))
            .filter_map(|item| Some((name(gone.remove(&content(item))?), name(item))))
            .collect();
        for item in &old {
            let what = format!("{kind}{outer}{}", name(item));
            match new_names.get(&name(item)).and_then(|at| new.get(*at)) {
                None => match renamed.get(&name(item)) {
                    Some(now) => {
                        let field = Field { path: "name".to_owned(), old: name(item).into(), new: now.as_str().into() };
                        self.add(what, "renamed", vec![field]);
                    }
                    None => self.add(what, "removed", Vec::new()),
                },
                Some(other) if are_rules => {
                    let fields = rule(item, other);
                    if !fields.is_empty() {
                        self.add(what, "changed", fields);
                    }
                }
                Some(other) => self.service(&name(item), what, item, other),
            }
        }
        let is_new =
            |item: &&&Value| !old_names.contains_key(&name(item)) && !renamed.values().any(|now| *now == name(item));
        for item in new.iter().filter(is_new) {
            self.add(format!("{kind}{outer}{}", name(item)), "added", Vec::new());
        }
        if !are_rules {
            return;
        }
        let places: Vec<(usize, usize)> =
            new.iter().enumerate().filter_map(|(at, item)| Some((at, *old_names.get(&name(item))?))).collect();
        for at in moved(&places) {
            let behind = at.checked_sub(1).and_then(|before| new.get(before)).map(|before| name(before));
            let Some(item) = new.get(at) else { continue };
            let what = format!("{kind}{outer}{}", name(item));
            let (number, filter) = (self.number, self.filter);
            self.changes.push(Change { number, filter, what, change: "moved", behind, fields: Vec::new() });
        }
    }

    fn service(&mut self, service: &str, what: String, old: &Value, new: &Value) {
        let without_rules = |value: &Value| {
            let mut value = value.clone();
            value.as_object_mut().and_then(|map| map.remove("rules"));
            value
        };
        let mut fields = Vec::new();
        values("", "", Some(&without_rules(old)), Some(&without_rules(new)), &mut fields);
        if !fields.is_empty() {
            self.add(what, "changed", fields);
        }
        self.lists("rule ", &format!("{service}/"), old.get("rules"), new.get("rules"), true);
    }
}

fn items(list: Option<&Value>) -> Vec<&Value> {
    list.and_then(Value::as_array).map(|items| items.iter().collect()).unwrap_or_default()
}

fn name(item: &Value) -> String {
    item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// All but the name, as text.
fn content(item: &Value) -> String {
    let mut item = item.clone();
    item.as_object_mut().and_then(|map| map.remove("name"));
    item.to_string()
}

/// Of pairs of a new and an old place, in the order of the new ones, the new places of as few as can be moved to make the
/// old order into the new one.
fn moved(places: &[(usize, usize)]) -> Vec<usize> {
    // the longest increasing run of old places stays: `ends` holds, for each length, the pair that ends one lowest
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(places.len());
    let old = |at: usize| places.get(at).map_or(0, |(_, old)| *old);
    for at in 0..places.len() {
        let length = ends.partition_point(|end| old(*end) < old(at));
        before.push(length.checked_sub(1).and_then(|shorter| ends.get(shorter).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut stays = vec![false; places.len()];
    let mut at = ends.last().copied();
    while let Some(here) = at {
        if let Some(stays) = stays.get_mut(here) {
            *stays = true;
        }
        at = before.get(here).copied().flatten();
    }
    places.iter().zip(stays).filter(|(_, stays)| !stays).map(|((new, _), _)| *new).collect()
}

/// The fields in which two rules differ; targets go by their clusters.
fn rule(old: &Value, new: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    let split = |value: &Value| {
        let mut rest = value.clone();
        let targets = rest.as_object_mut().and_then(|map| map.remove("targets"));
        (rest, targets)
    };
    let ((old, old_targets), (new, new_targets)) = (split(old), split(new));
    match (by_cluster(old_targets.as_ref()), by_cluster(new_targets.as_ref())) {
        (Some(before), Some(after)) => {
            let mut names: Vec<&String> = before.iter().map(|(name, _)| name).collect();
            names.extend(after.iter().map(|(name, _)| name).filter(|name| !before.iter().any(|(old, _)| old == *name)));
            let of = |list: &[(String, Value)], name: &String| {
                list.iter().find(|(other, _)| other == name).map(|(_, target)| target.clone())
            };
            for name in names {
                let weight = |target: &Option<Value>| {
                    target
                        .as_ref()
                        .map_or(Value::Null, |target| target.get("weight").cloned().unwrap_or_else(|| 1.into()))
                };
                let (from, to) = (of(&before, name), of(&after, name));
                let (from_weight, to_weight) = (weight(&from), weight(&to));
                if from_weight != to_weight {
                    fields.push(Field { path: name.clone(), old: from_weight, new: to_weight });
                }
                let host = |target: &Option<Value>| target.as_ref().and_then(|target| target.get("host").cloned());
                if from.is_some() && to.is_some() {
                    values(name, "host", host(&from).as_ref(), host(&to).as_ref(), &mut fields);
                }
            }
            let order = |list: &[(String, Value)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            if fields.is_empty() && order(&before) != order(&after) {
                let told = |list| Value::from(order(list).join(", "));
                fields.push(Field { path: "order of targets".to_owned(), old: told(&before), new: told(&after) });
            }
        }
        _ => values("", "targets", old_targets.as_ref(), new_targets.as_ref(), &mut fields),
    }
    values("", "", Some(&old), Some(&new), &mut fields);
    fields
}

/// Targets with names, if no name stands there twice.
fn by_cluster(targets: Option<&Value>) -> Option<Vec<(String, Value)>> {
    let label = |target: &Value| match (target.get("cluster"), target.get("status")) {
        (Some(Value::String(cluster)), _) => Some(cluster.clone()),
        (_, Some(status)) => Some(format!("status {status}")),
        _ => None,
    };
    let all: Option<Vec<_>> = items(targets).into_iter().map(|target| Some((label(target)?, target.clone()))).collect();
    let all = all?;
    let unique = all.iter().enumerate().all(|(at, (name, _))| !all.iter().take(at).any(|(other, _)| other == name));
    unique.then_some(all)
}

/// What stands for a field that is not there.
fn default(name: &str) -> Value {
    match name {
        "priority" => 1000.into(),
        "weight" => 1.into(),
        "share" => 10_000.into(),
        "no_rule_status" => 404.into(),
        "max_body_bytes" => (64 * 1024).into(),
        "mode" => "plain".into(),
        "repeated_headers" => "each".into(),
        "repeated_query_parameters" => "first".into(),
        _ => Value::Null,
    }
}

/// Whether a value says no more than its absence.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn values(outer: &str, name: &str, old: Option<&Value>, new: Option<&Value>, fields: &mut Vec<Field>) {
    let or_default =
        |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned().unwrap_or_else(|| default(name));
    let (old, new) = (or_default(old), or_default(new));
    let path = match (outer, name) {
        ("", name) => name.to_owned(),
        (outer, "") => outer.to_owned(),
        (outer, name) if name.starts_with('[') => format!("{outer}{name}"),
        (outer, name) => format!("{outer}.{name}"),
    };
    match (&old, &new) {
        (one, other) if one == other || is_nothing(one) && is_nothing(other) && one.is_null() | other.is_null() => {}
        (Value::Object(before), Value::Object(after)) => {
            for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
                values(&path, key, before.get(key), after.get(key), fields);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for at in 0..before.len().max(after.len()) {
                values(&path, &format!("[{at}]"), before.get(at), after.get(at), fields);
            }
        }
        _ => fields.push(Field { path, old: hidden(name, old), new: hidden(name, new) }),
    }
}

/// Secrets stand in no output.
fn hidden(name: &str, value: Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if name == "secret" => "(hidden)".into(),
        Value::Object(map) => map.into_iter().map(|(name, value)| (name.clone(), hidden(&name, value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests;
