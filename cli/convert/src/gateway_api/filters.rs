//! Filters of rules and backends.

use super::{backends, route::At};
use crate::convert::Converter;
use crate::parts::literal;
use crate::report::Section;
use crate::source::{Document, Field};
use filter_kit::header_edits::{HeaderEditsConfig, HeaderValueConfig};
use header_router::{MirrorConfig, RedirectConfig, RuleConfig};

/// The filters of a rule.
pub fn apply(
    converter: &mut Converter<'_>,
    document: &Document,
    filters: &[Field<'_>],
    at: &At<'_>,
    rule: &mut RuleConfig,
) {
    for filter in filters {
        match filter.text_of("type").as_deref() {
            Some("RequestHeaderModifier") => {
                if let Some(modifier) = filter.get("requestHeaderModifier") {
                    edits(&modifier, &mut rule.request_headers, Some(&mut rule.rewrite.host));
                }
            }
            Some("ResponseHeaderModifier") => {
                if let Some(modifier) = filter.get("responseHeaderModifier") {
                    edits(&modifier, &mut rule.response_headers, None);
                }
            }
            Some("URLRewrite") => {
                if let Some(rewrite) = filter.get("urlRewrite") {
                    rule.rewrite.host =
                        rewrite.text_of("hostname").map(|host| literal(&host)).or(rule.rewrite.host.take());
                    if let Some(path) = rewrite.get("path") {
                        path.mark();
                        rule.rewrite.path = path.text_of("replaceFullPath").map(|path| literal(&path));
                        rule.rewrite.prefix =
                            path.text_of("replacePrefixMatch").filter(|_| rule.rewrite.path.is_none());
                    }
                }
            }
            Some("RequestRedirect") => {
                if let Some(of) = filter.get("requestRedirect") {
                    rule.redirect = Some(redirect(&of, at));
                }
            }
            Some("RequestMirror") => {
                if let Some(of) = filter.get("requestMirror") {
                    mirror(converter, document, &of, rule);
                }
            }
            // rules of its own, in `cors`
            Some("CORS") => filter.mark(),
            other => {
                filter.mark();
                let text = format!("filter {} is not converted", other.unwrap_or("without a type"));
                converter.report.add(Section::NotSupported, filter, text);
            }
        }
    }
}

/// A header modifier. `Host` is set as a rewrite.
pub fn edits(modifier: &Field<'_>, edits: &mut HeaderEditsConfig, mut host: Option<&mut Option<String>>) {
    for (list, into) in [("set", &mut edits.set), ("add", &mut edits.add)] {
        for item in modifier.list(list) {
            let name = item.text_of("name").unwrap_or_default().to_ascii_lowercase();
            let value = literal(&item.text_of("value").unwrap_or_default());
            match (&mut host, name.as_str()) {
                (Some(host), "host") => **host = Some(value),
                _ => into.push(HeaderValueConfig { name, value }),
            }
        }
    }
    edits.remove.extend(modifier.list("remove").iter().filter_map(Field::text).map(|name| name.to_ascii_lowercase()));
}

fn redirect(of: &Field<'_>, at: &At<'_>) -> RedirectConfig {
    let scheme = of.text_of("scheme");
    let port = of.number_of("port").and_then(|port| u16::try_from(port).ok());
    // without port: that of the new scheme, else the listener's
    let port = port.or(match scheme.as_deref() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => Some(at.port),
    });
    let path = of.get("path");
    path.iter().for_each(Field::mark);
    let of_path = |name: &str| path.as_ref().and_then(|path| path.text_of(name));
    let whole = of_path("replaceFullPath").map(|path| literal(&path));
    RedirectConfig {
        scheme: scheme.or_else(|| Some(at.scheme.to_owned())),
        host: of.text_of("hostname").map(|host| literal(&host)),
        port,
        prefix: of_path("replacePrefixMatch").filter(|_| whole.is_none()),
        path: whole,
        strip_query: false,
        status: of.number_of("statusCode").and_then(|status| u16::try_from(status).ok()).unwrap_or(302),
    }
}

fn mirror(converter: &mut Converter<'_>, document: &Document, of: &Field<'_>, rule: &mut RuleConfig) {
    let Some(reference) = of.get("backendRef") else { return };
    let percent = of.number_of("percent").map(|percent| percent * 100);
    let fraction = of.get("fraction").map(|fraction| {
        let (top, bottom) =
            (fraction.number_of("numerator").unwrap_or(0), fraction.number_of("denominator").unwrap_or(100));
        fraction.mark();
        if bottom > 0 { top.saturating_mul(10_000) / bottom } else { 0 }
    });
    let share = percent.or(fraction).unwrap_or(10_000).clamp(0, 10_000);
    let share = u32::try_from(share).unwrap_or(10_000);
    match backends::cluster(converter, document, &reference, document.kind == "GRPCRoute") {
        Ok(_) if share == 0 => {}
        Ok(_) if rule.mirror.is_some() => {
            converter.report.add(Section::NotSupported, of, "a second copy of each request: a rule makes one");
        }
        Ok(cluster) => rule.mirror = Some(MirrorConfig { cluster, share }),
        Err(why) => {
            let text = format!("no copies: {}", why.0);
            converter.report.add(Section::NeedsADecision, &reference, text);
        }
    }
}
