//! Ingresses, with the annotations of ingress-nginx and of the AWS load balancer controller; an entry for each class.

mod alb;
mod annotations;
mod canary;
mod defaults;
mod guards;
mod limits;
mod listeners;
mod paths;
mod redirects;
mod rewrites;
mod tables;

use crate::convert::Converter;
use crate::report::Section;
use crate::source::{Document, Field};
use std::collections::BTreeMap;

/// Kinds that are read.
pub const KINDS: [&str; 2] = ["Ingress", "IngressClass"];

const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
const LEGACY: &str = "kubernetes.io/ingress.class";
/// Class of Ingresses when no document says anything of classes.
const NO_CLASS: &str = "default";

/// Converts all of it.
pub fn convert(converter: &mut Converter<'_>) {
    let classes = converter.objects.all("IngressClass").to_vec();
    let is_default =
        |class: &&&Document| class.annotation(IS_DEFAULT).and_then(|flag| flag.text()).as_deref() == Some("true");
    let defaults: Vec<_> = classes.iter().filter(is_default).collect();
    if let [_, second, ..] = defaults.as_slice() {
        let text = "a second default class: an API server refuses Ingresses without class then; the first counts here";
        converter.report.object(Section::NeedsADecision, second, text);
    }
    let default = defaults.first().map(|class| class.name.clone());
    let ingresses = converter.objects.all("Ingress").to_vec();
    let named = |ingress: &Document| {
        let spec = ingress.root().get("spec");
        let by_field = spec.and_then(|spec| spec.text_of("ingressClassName"));
        by_field.or_else(|| ingress.annotation(LEGACY).and_then(|class| class.text()))
    };
    let nobody_names_one = classes.is_empty() && ingresses.iter().all(|ingress| named(ingress).is_none());
    let mut by_class: BTreeMap<String, Vec<&Document>> = BTreeMap::new();
    for class in &classes {
        by_class.entry(class.name.clone()).or_default();
    }
    for ingress in ingresses {
        let by_name = named(ingress);
        let class = by_name.clone().or_else(|| default.clone()).or_else(|| {
            nobody_names_one.then(|| converter.options.class.clone().unwrap_or_else(|| NO_CLASS.to_owned()))
        });
        let Some(class) = class else {
            skip(ingress);
            let text = "no class and no default class: nobody serves it; say `ingressClassName`";
            converter.report.object(Section::NeedsADecision, ingress, text);
            continue;
        };
        if converter.options.class.as_ref().is_some_and(|only| *only != class) {
            skip(ingress);
            converter.report.object(Section::Skipped, ingress, format!("of class {class}, which --class leaves out"));
            continue;
        }
        let is_known = classes.iter().any(|known| known.name == class);
        let is_legacy = ingress.annotation(LEGACY).is_some();
        if !is_known && !classes.is_empty() && !is_legacy {
            skip(ingress);
            let text = format!("of class {class}, which is not among the IngressClasses: nobody serves it");
            converter.report.object(Section::NeedsADecision, ingress, text);
            continue;
        }
        if by_name.is_none() && default.is_some() {
            converter.report.object(Section::AppliedDefaults, ingress, format!("no class: the default class {class}"));
        }
        by_class.entry(class).or_default().push(ingress);
    }
    for (name, mut ingresses) in by_class {
        let class = classes.iter().find(|class| class.name == name).copied();
        if let Some(class) = class {
            let spec = class.root().get("spec");
            if let Some(parameters) = spec.as_ref().and_then(|spec| spec.get("parameters")) {
                parameters.mark();
                converter.report.add(Section::NotSupported, &parameters, "parameters of a class are not converted");
            }
            spec.iter().for_each(Field::mark);
            if converter.options.class.as_ref().is_some_and(|only| *only != name) {
                converter.report.object(Section::Skipped, class, "a class that --class leaves out");
                continue;
            }
            converter.report.object(Section::Kept, class, "class: an entry point");
        }
        let age = |ingress: &Document| (ingress.created().is_empty(), ingress.created());
        ingresses.sort_by_cached_key(|ingress| (age(ingress), ingress.namespace.clone(), ingress.name.clone()));
        let controller = class.and_then(|class| class.root().get("spec")?.text_of("controller")).unwrap_or_default();
        let is_alb = controller.contains("alb") || name == "alb";
        tables::convert(converter, &name, &ingresses, is_alb);
    }
}

fn skip(ingress: &Document) {
    ingress.root().get("spec").iter().for_each(Field::mark);
}
