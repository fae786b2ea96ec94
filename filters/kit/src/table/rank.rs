//! The one order in which rules are tried.

use crate::matching::{Before, HostMatch, PathKind, RequestMatch};
use serde::Deserialize;
use std::cmp::Reverse;

/// How rules of one priority are ordered before their order in the file decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As the Gateway API ranks routes: exact hosts, then longer wildcards; exact paths, then patterns (longer ones first),
    /// then longer prefixes; a method; more headers; more query parameters; more of other conditions.
    #[default]
    Specificity,
    /// As App Mesh does: longer path texts, of equal ones exact before prefix before pattern; then as above.
    Length,
    /// Only the order in the file.
    File,
}

/// Place of a rule in the order; smaller ones are tried first. Equal ranks are tried in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    priority: u16,
    specificity: Option<Specificity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Specificity {
    host: Reverse<(u8, usize, u8)>,
    path: Reverse<(usize, usize, u8)>,
    method: Reverse<bool>,
    headers: Reverse<usize>,
    query_parameters: Reverse<usize>,
    others: Reverse<usize>,
}

impl Rank {
    /// The rank of a rule of this priority, for requests to `host`.
    pub fn new(priority: u16, host: Option<&HostMatch>, matched: &RequestMatch, order: Order) -> Self {
        let specificity = match order {
            Order::File => None,
            Order::Specificity | Order::Length => Some(Specificity {
                host: Reverse(host_rank(host)),
                path: Reverse(path_rank(matched, order)),
                method: Reverse(has_method(matched)),
                headers: Reverse(matched.headers.len()),
                query_parameters: Reverse(matched.query_parameters.len()),
                others: Reverse(
                    matched.cookies.len()
                        + matched.json_body.len()
                        + usize::from(!matched.ports.is_empty())
                        + usize::from(!matched.schemes.is_empty())
                        + usize::from(!matched.source_addresses.is_empty())
                        + usize::from(matched.grpc.is_some()),
                ),
            }),
        };
        Self { priority, specificity }
    }

    /// The priority.
    pub fn priority(&self) -> u16 {
        self.priority
    }

    /// Whether only priority and the order in the file count.
    pub fn is_by_file(&self) -> bool {
        self.specificity.is_none()
    }

    /// What puts this before `other`, in words.
    pub fn ahead_of(&self, other: &Self) -> &'static str {
        let by = |this: Option<Specificity>, that: Option<Specificity>| {
            let (this, that) = (this?, that?);
            Some(if this.host != that.host {
                "more specific host"
            } else if this.path != that.path {
                "more specific path"
            } else if this.method != that.method {
                "has a method"
            } else if this.headers != that.headers {
                "more headers"
            } else if this.query_parameters != that.query_parameters {
                "more query parameters"
            } else if this.others != that.others {
                "more conditions"
            } else {
                "earlier in the file"
            })
        };
        if self.priority != other.priority {
            return "lower priority number";
        }
        by(self.specificity, other.specificity).unwrap_or("earlier in the file")
    }
}

/// A method of HTTP, or one of gRPC that the path does not tell already.
fn has_method(matched: &RequestMatch) -> bool {
    !matched.methods.is_empty() || matched.grpc.as_ref().is_some_and(|grpc| grpc.method.is_some())
}

/// Kind, length, and for equal lengths whether it stands for less.
fn host_rank(host: Option<&HostMatch>) -> (u8, usize, u8) {
    match host {
        None => (0, 0, 0),
        Some(HostMatch::Suffix(text, Before::Anything)) => (1, text.len(), 0),
        Some(HostMatch::Suffix(text, Before::Labels)) => (1, text.len(), 1),
        Some(HostMatch::Suffix(text, Before::OneLabel)) => (1, text.len(), 2),
        Some(HostMatch::Exact(text)) => (2, text.len(), 0),
    }
}

fn path_rank(matched: &RequestMatch, order: Order) -> (usize, usize, u8) {
    let Some(path) = &matched.path else { return (0, 0, 0) };
    let case = u8::from(!path.ignore_case);
    // kind in the Gateway API's order, length, kind in App Mesh's order
    let (kind, length, other_kind, narrow) = match &path.kind {
        PathKind::Exact(text) => (4, text.len(), 4, 1),
        PathKind::Regex(pattern) => (3, pattern.text().len(), 2, 1),
        PathKind::RegexPrefix(pattern) => (2, pattern.text().len(), 1, 0),
        // the slash that a prefix has lost counts where texts are compared
        PathKind::Prefix(text) => (1, text.len().max(1), 3, 1),
        PathKind::StringPrefix(text) => (1, text.len(), 3, 0),
    };
    match order {
        Order::Length => (length, other_kind, narrow * 2 + case),
        _ => (kind, length, narrow * 2 + case),
    }
}
