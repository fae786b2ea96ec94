//! How the conditions of two rules relate, beside host and path. Both answers err on the side of `false`.

use super::{Cidr, GrpcMatch, NamedMatch, RequestMatch, ValueMatch};

impl RequestMatch {
    /// Whether these conditions hold wherever those of `other` do; hosts and paths are not looked at.
    pub fn covers_beside_path(&self, other: &Self) -> bool {
        all_in(&self.ports, &other.ports)
            && all_in(&self.methods, &other.methods)
            && all_in(&self.schemes, &other.schemes)
            && named_cover(&self.headers, &other.headers)
            && named_cover(&self.query_parameters, &other.query_parameters)
            && named_cover(&self.cookies, &other.cookies)
            && (self.source_addresses.is_empty()
                || !other.source_addresses.is_empty() && {
                    let held = |block: &Cidr| self.source_addresses.iter().any(|wide| wide.covers(block));
                    other.source_addresses.iter().all(held)
                })
            && match (&self.grpc, &other.grpc) {
                (None, _) => true,
                (Some(this), Some(other)) => this.covers(other),
                (Some(_), None) => false,
            }
            && {
                let field = |wanted: &NamedMatch| {
                    let mut others = other.json_body.iter().filter(|field| field.field.name == wanted.name);
                    others.any(|other| wanted.covers(&other.field))
                };
                self.json_body.iter().all(|wanted| field(&wanted.field))
            }
    }

    /// Whether these conditions and those of `other` never hold together, given single values; hosts and paths are not
    /// looked at.
    pub fn excludes_beside_path(&self, other: &Self) -> bool {
        disjoint(&self.ports, &other.ports)
            || disjoint(&self.methods, &other.methods)
            || disjoint(&self.schemes, &other.schemes)
            || named_exclude(self.headers.iter(), || other.headers.iter())
            || named_exclude(self.query_parameters.iter(), || other.query_parameters.iter())
            || named_exclude(self.cookies.iter(), || other.cookies.iter())
            || named_exclude(self.json_body.iter().map(|f| &f.field), || other.json_body.iter().map(|f| &f.field))
            || addresses_exclude(&self.source_addresses, &other.source_addresses)
            || match (&self.grpc, &other.grpc) {
                (Some(this), Some(other)) => grpc_exclude(this, other),
                _ => false,
            }
    }
}

/// Of lists of which one has to fit, where an empty one stands for everything.
fn all_in<T: PartialEq>(wide: &[T], narrow: &[T]) -> bool {
    wide.is_empty() || !narrow.is_empty() && narrow.iter().all(|item| wide.contains(item))
}

fn disjoint<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    !one.is_empty() && !other.is_empty() && !one.iter().any(|item| other.contains(item))
}

fn named_cover(wide: &[NamedMatch], narrow: &[NamedMatch]) -> bool {
    wide.iter().all(|wanted| narrow.iter().any(|other| other.name == wanted.name && wanted.covers(other)))
}

fn named_exclude<'a, B: Iterator<Item = &'a NamedMatch>>(
    mut one: impl Iterator<Item = &'a NamedMatch>,
    other: impl Fn() -> B,
) -> bool {
    one.any(|this| other().any(|other| other.name == this.name && this.excludes(other)))
}

fn addresses_exclude(one: &[Cidr], other: &[Cidr]) -> bool {
    let meet = |a: &Cidr, b: &Cidr| a.covers(b) || b.covers(a);
    !one.is_empty() && !other.is_empty() && !one.iter().any(|a| other.iter().any(|b| meet(a, b)))
}

fn grpc_exclude(one: &GrpcMatch, other: &GrpcMatch) -> bool {
    let excludes = |this: &Option<ValueMatch>, other: &Option<ValueMatch>| match (this, other) {
        (Some(this), Some(other)) => this.excludes(other),
        _ => false,
    };
    excludes(&one.service, &other.service) || excludes(&one.method, &other.method)
}
