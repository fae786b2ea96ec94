//! The Gateway API: Gateways, and the HTTPRoutes and GRPCRoutes that are attached to their listeners.

mod attach;
mod backends;
mod cors;
mod filters;
mod listeners;
mod route;

use crate::convert::Converter;
use crate::report::Section;
use crate::source::Field;

/// Kinds that are read.
pub const KINDS: [&str; 6] =
    ["Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute", "ReferenceGrant", "BackendTLSPolicy"];

/// Converts all of it.
pub fn convert(converter: &mut Converter<'_>) {
    for class in converter.objects.all("GatewayClass").to_vec() {
        class.root().get("spec").iter().for_each(Field::mark);
        converter.report.object(Section::Kept, class, "class of gateways: all Gateways that were given are converted");
    }
    for grant in converter.objects.all("ReferenceGrant").to_vec() {
        grant.root().get("spec").iter().for_each(Field::mark);
        converter.report.object(Section::Kept, grant, "grants references");
    }
    for gateway in converter.objects.all("Gateway").to_vec() {
        listeners::convert(converter, gateway);
    }
    for kind in ["HTTPRoute", "GRPCRoute"] {
        for route in converter.objects.all(kind).to_vec() {
            if !converter.used.contains(&route.id()) {
                route.root().get("spec").iter().for_each(Field::mark);
                let text = "no listener of the Gateways that were given takes it: look at parentRefs, hostnames and allowedRoutes";
                converter.report.object(Section::NeedsADecision, route, text);
            }
        }
    }
    backends::tls(converter);
}
