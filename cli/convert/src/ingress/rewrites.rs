//! `rewrite-target` and what goes with it.

use super::annotations::nginx;
use super::paths::{self, Path};
use crate::convert::Converter;
use crate::parts::literal;
use crate::report::Section;
use filter_kit::header_edits::HeaderValueConfig;
use header_router::RuleConfig;

/// What a path's annotations say of path, host and prefix.
pub fn rewrite(converter: &mut Converter<'_>, path: &Path<'_>, is_regex: bool, base: &mut RuleConfig) {
    if let Some(target) = nginx(path.ingress, "rewrite-target").filter(|_| paths::rewrites(path)) {
        let groups = if is_regex {
            regex_lite::Regex::new(&path.path).map_or(0, |pattern| pattern.captures_len() - 1)
        } else {
            0
        };
        match template(&target, groups) {
            Ok(template) => {
                base.rewrite.path = Some(if template.starts_with('/') { template } else { format!("/{template}") })
            }
            Err(variable) => {
                let text = format!("rewrite-target with nginx's variable {variable}: the path stays");
                converter.report.add(Section::NotSupported, &path.field, text);
            }
        }
    }
    base.rewrite.host =
        nginx(path.ingress, "upstream-vhost").filter(|host| !host.is_empty()).map(|host| literal(&host));
    if let Some(prefix) =
        nginx(path.ingress, "x-forwarded-prefix").filter(|prefix| !prefix.is_empty() && paths::rewrites(path))
    {
        let value = template(&prefix, 0).unwrap_or_else(|_| literal(&prefix));
        base.request_headers.set.push(HeaderValueConfig { name: "x-forwarded-prefix".to_owned(), value });
    }
}

/// nginx's `$1` and variables as a template; groups that are not there are empty, as in nginx.
pub fn template(text: &str, groups: usize) -> Result<String, String> {
    let (mut made, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        made.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let end = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len();
        let (name, left) = braced.unwrap_or_else(|| {
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            after.split_at(if digits > 0 { 1 } else { end })
        });
        rest = left;
        match (name, name.parse::<usize>()) {
            (_, Ok(group)) if group <= groups => made.push_str(&format!("${{{group}}}")),
            (_, Ok(_)) => {}
            ("host" | "http_host", _) => made.push_str("${host}"),
            ("scheme", _) => made.push_str("${scheme}"),
            ("uri", _) => made.push_str("${path}"),
            ("args" | "query_string", _) => made.push_str("${query}"),
            ("remote_addr", _) => made.push_str("${source_address}"),
            ("", _) => made.push_str("$$"),
            (other, _) => return Err(format!("${other}")),
        }
    }
    made.push_str(rest);
    Ok(made)
}
