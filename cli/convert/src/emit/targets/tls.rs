//! Certificates of listeners as Secrets.

use super::Manifests;
use crate::model::{Entry, Listener, TlsChain};
use serde_json::Value;

/// A Secret of type `kubernetes.io/tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The Secrets of a chain; one has to be made of files that are no Secret's.
pub fn secrets(entry: &Entry, listener: &Listener, chain: &TlsChain, made: &mut Manifests) -> Vec<Secret> {
    let context = chain.socket.pointer("/typed_config/common_tls_context");
    let certificates = context.and_then(|context| context.get("tls_certificates")).and_then(Value::as_array);
    let (namespace, name) = super::namespace_and_name(entry);
    let mut found = Vec::new();
    for certificate in certificates.into_iter().flatten() {
        let file = certificate.pointer("/certificate_chain/filename").and_then(Value::as_str).unwrap_or_default();
        let parts: Vec<&str> = file.split('/').collect();
        if let ["tls", namespace, name, "tls.crt"] = parts.as_slice() {
            found.push(Secret { namespace: (*namespace).to_owned(), name: (*name).to_owned() });
        } else {
            let name = super::label(&format!("{name}-{}-tls", listener.port));
            made.notes.push(format!("{}: make Secret {namespace}/{name} of the certificate {file:?}", entry.id));
            found.push(Secret { namespace: namespace.clone(), name });
        }
    }
    if found.is_empty() {
        let name = super::label(&format!("{name}-{}-tls", listener.port));
        made.notes.push(format!("{}: make Secret {namespace}/{name}: the certificate comes from elsewhere", entry.id));
        found.push(Secret { namespace, name });
    }
    let checks_clients = context.is_some_and(|context| {
        context.as_object().is_some_and(|fields| fields.keys().any(|key| key.contains("validation_context")))
    });
    if checks_clients {
        made.notes
            .push(format!("{}: listener {} does not check certificates of clients here", entry.id, listener.name));
    }
    found
}
