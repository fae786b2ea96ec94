//! Looking up query parameters.

/// The first value of a parameter in a query without `?`, undecoded. `k` and `k=` both have the empty value; a value
/// runs to the next `&`, and `;` does not separate (as Envoy's `query_parameters` has it).
pub fn query_value<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|b| *b == b'&').find_map(|pair| match pair.strip_prefix(name)? {
        rest @ [] => Some(rest),
        [b'=', value @ ..] => Some(value),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_value_undecoded() {
        for (query, expected) in [
            ("k=v", Some("v")),
            ("a=1&k=v&k=w", Some("v")),
            ("k", Some("")),
            ("k=", Some("")),
            ("k=b=c", Some("b=c")),
            ("k=%76", Some("%76")),
            ("k=a;b=c", Some("a;b=c")),
            ("kk=v", None),
            ("K=v", None),
            ("a=k", None),
            ("&&k=1&", Some("1")),
            ("", None),
        ] {
            assert_eq!(query_value(query.as_bytes(), b"k"), expected.map(str::as_bytes), "{query}");
        }
    }
}
