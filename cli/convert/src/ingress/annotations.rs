//! Annotations by what is done with them.

use crate::convert::Converter;
use crate::report::Section;
use crate::source::Document;

/// Prefix of ingress-nginx.
pub const NGINX: &str = "nginx.ingress.kubernetes.io/";
/// Prefix of the AWS load balancer controller.
pub const ALB: &str = "alb.ingress.kubernetes.io/";

/// What is converted.
const CONVERTED: &[&str] = &[
    "rewrite-target",
    "use-regex",
    "app-root",
    "permanent-redirect",
    "permanent-redirect-code",
    "temporal-redirect",
    "temporal-redirect-code",
    "upstream-vhost",
    "x-forwarded-prefix",
    "server-alias",
    "ssl-redirect",
    "force-ssl-redirect",
    "from-to-www-redirect",
    "canary",
    "canary-by-header",
    "canary-by-header-value",
    "canary-by-header-pattern",
    "canary-by-cookie",
    "canary-weight",
    "canary-weight-total",
    "limit-rps",
    "limit-rpm",
    "limit-connections",
    "limit-burst-multiplier",
    "limit-whitelist",
    "limit-allowlist",
    "proxy-body-size",
    "proxy-read-timeout",
    "proxy-send-timeout",
    "proxy-connect-timeout",
    "proxy-next-upstream",
    "proxy-next-upstream-tries",
    "backend-protocol",
    "whitelist-source-range",
    "allowlist-source-range",
    "denylist-source-range",
];

/// What is about how nginx works inside, and has no counterpart that a client would notice.
const OF_NGINX: &[&str] = &[
    "proxy-buffering",
    "proxy-buffer-size",
    "proxy-buffers-number",
    "proxy-busy-buffers-size",
    "proxy-max-temp-file-size",
    "client-body-buffer-size",
    "proxy-request-buffering",
    "proxy-http-version",
    "service-upstream",
    "load-balance",
    "enable-access-log",
    "enable-rewrite-log",
    "preserve-trailing-slash",
];

/// Annotations of tools, which say nothing about requests.
const OF_TOOLS: &[&str] = &[
    "kubectl.kubernetes.io/",
    "kubernetes.io/",
    "cert-manager.io/",
    "acme.cert-manager.io/",
    "external-dns.alpha.kubernetes.io/",
    "meta.helm.sh/",
    "argocd.argoproj.io/",
    "field.cattle.io/",
    "ingressclass.kubernetes.io/",
];

/// The value of an annotation of ingress-nginx.
pub fn nginx(ingress: &Document, name: &str) -> Option<String> {
    ingress.annotation(&format!("{NGINX}{name}"))?.text().map(|text| text.trim().to_owned())
}

/// Whether one says `true`.
pub fn flag(ingress: &Document, name: &str) -> Option<bool> {
    match nginx(ingress, name)?.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Says what becomes of each annotation that is not converted.
pub fn account(converter: &mut Converter<'_>, ingress: &Document, is_alb: bool) {
    for (name, field) in ingress.annotations() {
        field.mark();
        let report = &mut converter.report;
        if OF_TOOLS.iter().any(|tool| name.starts_with(tool)) {
            continue;
        }
        if let Some(short) = name.strip_prefix(NGINX) {
            if CONVERTED.contains(&short) {
                report.add(Section::Kept, &field, format!("annotation {short}"));
            } else if OF_NGINX.contains(&short) {
                let text = format!("annotation {short}: about nginx itself; Envoy has its own way");
                report.add(Section::Changed, &field, text);
            } else {
                report.add(Section::NotSupported, &field, format!("annotation {name} is not converted"));
            }
        } else if let Some(short) = name.strip_prefix(ALB) {
            if short.starts_with("actions.") || short.starts_with("conditions.") {
                report.add(Section::Kept, &field, format!("annotation {short}"));
            } else if short == "ssl-redirect" {
                report.add(Section::Kept, &field, "annotation ssl-redirect");
            } else if short == "certificate-arn" {
                let text = "certificate-arn: a certificate of ACM cannot leave AWS; let the load balancer end TLS, or name a Secret under `tls`";
                report.add(Section::NeedsADecision, &field, text);
            } else if matches!(
                short,
                "scheme"
                    | "listen-ports"
                    | "target-type"
                    | "ip-address-type"
                    | "subnets"
                    | "security-groups"
                    | "tags"
                    | "load-balancer-name"
            ) {
                let text = format!("annotation {short}: about the load balancer itself");
                report.add(Section::Changed, &field, text);
            } else {
                report.add(Section::NotSupported, &field, format!("annotation {name} is not converted"));
            }
        } else if name.ends_with(".ingress.kubernetes.io") || name.contains("ingress") || is_alb && name.contains("alb")
        {
            report.add(Section::NotSupported, &field, format!("annotation {name} is not converted"));
        } else {
            report.add(Section::Changed, &field, format!("annotation {name}: of a tool that is not known here"));
        }
    }
}
