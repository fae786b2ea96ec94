//! The listeners of a class, and their certificates.

use crate::convert::Converter;
use crate::model::{Listener, TlsChain};
use crate::parts::{certificate, downstream_tls};
use crate::report::Section;
use crate::source::{Document, Field};
use serde_json::{Map, json};

/// Port 80, and 443 if an Ingress names a certificate.
pub fn listeners(converter: &mut Converter<'_>, class: &str, ingresses: &[&Document]) -> Vec<Listener> {
    let mut chains: Vec<TlsChain> = Vec::new();
    for ingress in ingresses {
        for tls in ingress.root().get("spec").map(|spec| spec.list("tls")).unwrap_or_default() {
            tls.mark();
            let names: Vec<String> = tls.list("hosts").iter().filter_map(Field::text).collect();
            let Some(secret) = tls.text_of("secretName").filter(|name| !name.is_empty()) else {
                let text = "TLS without a secret: the controller's default certificate is not known; add one";
                converter.report.add(Section::NeedsADecision, &tls, text);
                continue;
            };
            let namespace = &ingress.namespace;
            let text = format!(
                "certificate: put `tls.crt` and `tls.key` of Secret {namespace}/{secret} into `tls/{namespace}/{secret}` where Envoy runs"
            );
            converter.report.add(Section::Kept, &tls, text);
            let names: Vec<String> =
                names.into_iter().filter(|name| !chains.iter().any(|chain| chain.names.contains(name))).collect();
            if !names.is_empty() || chains.is_empty() {
                let socket = downstream_tls(&json!([certificate(namespace, &secret)]));
                chains.push(TlsChain { names, socket });
            }
        }
    }
    let mut manager = Map::new();
    manager.insert("normalize_path".to_owned(), json!(true));
    manager.insert("merge_slashes".to_owned(), json!(true));
    let one = |port: u16, tls: Vec<TlsChain>| Listener {
        name: format!("IngressClass/{class}:{port}"),
        port,
        moved: None,
        table: 0,
        http2: true,
        tls,
        plain_too: false,
        access_log: Vec::new(),
        manager: manager.clone(),
    };
    let mut all = vec![one(80, Vec::new())];
    if !chains.is_empty() {
        all.push(one(443, chains));
    }
    all
}
