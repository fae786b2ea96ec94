//! Default backends.

use super::alb;
use super::paths::{self, Kind, Path};
use super::tables::backend;
use crate::convert::Converter;
use crate::model::{Source, Table};
use crate::parts::{rule, short};
use crate::report::Section;
use crate::source::Document;
use filter_kit::matching::RequestMatchConfig;

/// Rules for what no rule takes: by host with ingress-nginx, of everything with the AWS controller.
pub fn default_backends<'d>(
    converter: &mut Converter<'d>,
    ingresses: &[&'d Document],
    mains: &[Path<'d>],
    is_alb: bool,
    table: &mut Table,
) {
    let mut catch_all: Option<String> = None;
    for ingress in ingresses {
        let Some(default) = ingress.root().get("spec").and_then(|spec| spec.get("defaultBackend")) else { continue };
        let rules = ingress.root().get("spec").map(|spec| spec.list("rules")).unwrap_or_default();
        let mut hosts: Vec<String> =
            rules.iter().map(|rule| rule.text_of("host").unwrap_or_default().to_ascii_lowercase()).collect();
        hosts.sort();
        hosts.dedup();
        if hosts.is_empty() || is_alb {
            hosts = vec![String::new()];
        }
        let mut base = rule(&short(&format!("{}/{}/default", ingress.namespace, ingress.name)));
        if !(is_alb && alb::default_action(converter, ingress, &default, &mut base)) {
            base.targets = vec![backend(converter, ingress, &default)];
        }
        for (number, host) in hosts.into_iter().enumerate() {
            let first = mains.iter().find(|path| path.host == host).map(|path| path.ingress.id());
            let is_first = is_alb || first.as_ref().is_none_or(|first| *first == ingress.id());
            let is_taken = mains.iter().any(|path| path.host == host && path.path == "/" && path.kind != Kind::Exact);
            if host.is_empty() && catch_all.as_ref().is_some_and(|other| *other != ingress.id())
                || !is_first
                || is_taken
            {
                let text = "another, older Ingress or a rule for `/` takes what no rule takes: this default does not count there";
                converter.report.add(Section::Changed, &default, text);
                continue;
            }
            if host.is_empty() {
                catch_all = Some(ingress.id());
            }
            let mut made = base.clone();
            made.name = short(&format!("{}-{number}", base.name));
            if !host.is_empty() {
                made.r#match = Some(RequestMatchConfig { hosts: paths::host(&host), ..RequestMatchConfig::default() });
            }
            converter.add_rule(&mut table.router.rules, made, Source::of(&default), None);
        }
    }
}
