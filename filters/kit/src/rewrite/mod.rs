//! Rewriting paths and hosts without losing the query.

mod path;

use crate::matching::{PathKind, Request, RequestMatch};
use crate::template::{Encoding, Template, Values};
use crate::{ConfigError, Head, InvalidHeader};
use path::PathRewrite;
use serde::Deserialize;

/// What becomes of path and host, as configured. At most one of `prefix`, `path` and `regex`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct RewriteConfig {
    /// Replaces the part that the rule's `path.prefix` or `path.string_prefix` matched; the rest meets it in exactly
    /// one slash. Empty means `/`.
    pub prefix: Option<String>,
    /// Replaces the whole path; a template, as in `/users/$1`.
    pub path: Option<String>,
    /// Replaces the part of the path that a pattern matches.
    pub regex: Option<RegexRewriteConfig>,
    /// Replaces the host, port included; a template. If it comes out empty, the host stays.
    #[cfg_attr(feature = "schema", schemars(length(max = 255)))]
    pub host: Option<String>,
}

/// A replacement by pattern.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct RegexRewriteConfig {
    /// A regular expression of up to 1024 characters; the first place in the path that fits is replaced. A path beyond
    /// 8 KiB, or one that is not UTF-8, stays.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub pattern: String,
    /// What stands there then: a template, with the groups of this pattern.
    pub substitution: String,
}

/// A compiled rewrite.
#[derive(Debug, Clone, Default)]
pub struct Rewrite {
    path: Option<PathRewrite>,
    host: Option<Template>,
}

/// What a rewrite makes of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The new path and query, if they change.
    pub target: Option<Vec<u8>>,
    /// The new host, if it changes.
    pub authority: Option<Vec<u8>>,
}

impl Rewrite {
    /// Checks and compiles a rewrite for the requests that one of `alternatives` takes.
    ///
    /// # Errors
    /// With a path relative to the configuration.
    pub fn new(config: RewriteConfig, alternatives: &[RequestMatch]) -> Result<Self, ConfigError> {
        let kinds = [config.prefix.is_some(), config.path.is_some(), config.regex.is_some()];
        if kinds.iter().filter(|there| **there).count() > 1 {
            return Err(ConfigError::new("", "expected one of \"prefix\", \"path\" and \"regex\", found several"));
        }
        let groups = groups(alternatives);
        let path = if let Some(prefix) = config.prefix {
            let prefixed = |matched: &RequestMatch| {
                let path = matched.path.as_ref().filter(|_| matched.grpc.is_none());
                path.is_some_and(|path| matches!(path.kind, PathKind::Prefix(_) | PathKind::StringPrefix(_)))
            };
            if alternatives.is_empty() || !alternatives.iter().all(prefixed) {
                let why = "expected a rule that matches \"path.prefix\" or \"path.string_prefix\"";
                return Err(ConfigError::new("prefix", why));
            }
            Some(PathRewrite::prefix(prefix).map_err(|error| error.within("prefix"))?)
        } else if let Some(path) = config.path {
            Some(PathRewrite::whole(&path, groups.as_deref()).map_err(|error| error.within("path"))?)
        } else if let Some(regex) = config.regex {
            Some(PathRewrite::regex(&regex).map_err(|error| error.within("regex"))?)
        } else {
            None
        };
        let host = config.host.map(|text| host(&text, groups.as_deref()).map_err(|error| error.within("host")));
        Ok(Self { path, host: host.transpose()? })
    }

    /// Lets the prefix that a rule matched give way to `/`.
    pub fn prefix_to_root(&mut self) {
        self.path = Some(PathRewrite::Prefix(Vec::new()));
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.path.is_none() && self.host.is_none()
    }

    /// Whether the path may change.
    pub fn changes_path(&self) -> bool {
        self.path.is_some()
    }

    /// Whether the host may change.
    pub fn changes_host(&self) -> bool {
        self.host.is_some()
    }

    /// Whether templates draw on groups of the rule's pattern.
    pub fn uses_captures(&self) -> bool {
        self.path.as_ref().is_some_and(PathRewrite::uses_captures)
            || self.host.as_ref().is_some_and(Template::uses_captures)
    }

    /// What becomes of a request that `matched` took.
    ///
    /// # Errors
    /// If what the client sent cannot stand in a path or host.
    pub fn rewritten(&self, values: &Values<'_>, matched: &RequestMatch) -> Result<Rewritten, InvalidHeader> {
        let mut done = Rewritten::default();
        if let Some(path) = &self.path {
            let target = path.target(values, matched.path.as_ref())?;
            done.target = target.filter(|target| target != values.request.target);
        }
        if let Some(host) = &self.host {
            let mut authority = Vec::new();
            host.render(values, Encoding::Raw, &mut authority).map_err(|_| InvalidHeader::Value)?;
            if !authority.iter().all(|byte| is_host_byte(*byte)) {
                return Err(InvalidHeader::Value);
            }
            done.authority = Some(authority).filter(|new| !new.is_empty() && new != values.request.authority);
        }
        Ok(done)
    }
}

impl Rewritten {
    /// Writes the changes into a head.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn write(&self, head: &mut Head) -> Result<(), InvalidHeader> {
        if let Some(target) = &self.target {
            head.set(":path", target)?;
        }
        if let Some(authority) = &self.authority {
            head.set(":authority", authority)?;
        }
        Ok(())
    }
}

/// The groups that a rule's templates may name: those of its alternatives' patterns, if all have the same ones.
pub fn groups(alternatives: &[RequestMatch]) -> Option<Vec<Option<String>>> {
    let mut all = alternatives.iter().map(|matched| Some(matched.path.as_ref()?.pattern()?.groups()));
    let first = all.next()??;
    all.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)
}

fn host(text: &str, groups: Option<&[Option<String>]>) -> Result<Template, ConfigError> {
    let template = Template::new(text, groups)?;
    let good = template.texts().all(|text| text.bytes().all(is_host_byte)) && template.constant() != Some("");
    if good && text.len() <= 255 {
        return Ok(template);
    }
    Err(ConfigError::new("", format!("expected a host, with a port if needed, found {text:?}")))
}

/// Rewrites a request by itself, for filters that do no more.
///
/// # Errors
/// As [`Rewrite::rewritten`].
pub fn rewrite(
    rewrite: &Rewrite,
    rule: &str,
    matched: &RequestMatch,
    request: &Request<'_>,
) -> Result<Rewritten, InvalidHeader> {
    let captures =
        if rewrite.uses_captures() { matched.path.as_ref().and_then(|path| path.captures(request.path)) } else { None };
    let captures = captures.as_ref().map(|captures| (captures, request.path));
    rewrite.rewritten(&Values { request, captures, rule, target: "" }, matched)
}

#[cfg(test)]
mod tests;
