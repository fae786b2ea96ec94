//! Looking up query parameters and cookies.

use std::borrow::Cow;

/// The values of a parameter in a query without `?`, undecoded. `k` and `k=` both have the empty value; a value
/// runs to the next `&`, and `;` does not separate (as Envoy's `query_parameters` has it).
pub fn query_values<'a, 'n>(query: &'a [u8], name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
    query.split(|b| *b == b'&').filter_map(move |pair| match pair.strip_prefix(name)? {
        rest @ [] => Some(rest),
        [b'=', value @ ..] => Some(value),
        _ => None,
    })
}

/// The same, with names and values decoded: `%XX` is a byte, `+` a blank.
pub fn decoded_query_values<'a, 'n>(
    query: &'a [u8],
    name: &'n [u8],
) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, 'n> {
    query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).filter_map(move |pair| {
        let (key, value) = match pair.iter().position(|b| *b == b'=') {
            Some(at) => (pair.get(..at)?, pair.get(at + 1..)?),
            None => (pair, &[][..]),
        };
        (*form_decode(key) == *name).then(|| form_decode(value))
    })
}

/// Decodes `%XX` and `+`. A `%` without two hexadecimal digits stays.
pub fn form_decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|b| matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                decoded.push(hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0));
                rest = after;
            }
            (b'+', _) => decoded.push(b' '),
            (other, _) => decoded.push(*other),
        }
    }
    Cow::Owned(decoded)
}

/// Value of a hexadecimal digit.
pub fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The values of a cookie in one `cookie` header: pairs stand between `;`, blanks around names and values do not count,
/// nor do double quotes around a value. Nothing is decoded.
pub fn cookie_values<'a, 'n>(header: &'a [u8], name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
    header.split(|b| *b == b';').filter_map(move |pair| {
        let at = pair.iter().position(|b| *b == b'=')?;
        let value = pair.get(at + 1..)?.trim_ascii();
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        (pair.get(..at)?.trim_ascii() == name).then_some(bare.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    #[test]
    fn raw_and_decoded_values_in_order() {
        for (query, raw, decoded) in [
            ("k=v", &["v"][..], &["v"][..]),
            ("a=1&k=v&k=w", &["v", "w"], &["v", "w"]),
            ("k", &[""], &[""]),
            ("k=", &[""], &[""]),
            ("k=b=c", &["b=c"], &["b=c"]),
            ("k=%76", &["%76"], &["v"]),
            ("k=a+b%2Bc", &["a+b%2Bc"], &["a b+c"]),
            ("k=%", &["%"], &["%"]),
            ("k=%4", &["%4"], &["%4"]),
            ("k=%zz%41", &["%zz%41"], &["%zzA"]),
            ("%6B=x", &[], &["x"]),
            ("k=a;b=c", &["a;b=c"], &["a;b=c"]),
            ("kk=v", &[], &[]),
            ("K=v", &[], &[]),
            ("a=k", &[], &[]),
            ("&&k=1&", &["1"], &["1"]),
            ("", &[], &[]),
        ] {
            assert_eq!(text(query_values(query.as_bytes(), b"k")), raw, "{query}");
            let found: Vec<_> = decoded_query_values(query.as_bytes(), b"k").collect();
            assert_eq!(text(found.iter().map(|value| value.as_ref())), decoded, "{query}");
        }
    }

    #[test]
    fn cookies_in_one_header() {
        for (header, expected) in [
            ("k=v", &["v"][..]),
            ("a=1; k=v; k=w", &["v", "w"]),
            (" k = v ", &["v"]),
            ("k=\"v w\"", &["v w"]),
            ("k=\"", &["\""]),
            ("k=a=b", &["a=b"]),
            ("k=", &[""]),
            ("k", &[]),
            ("K=v", &[]),
            ("kk=v;;=;", &[]),
        ] {
            assert_eq!(text(cookie_values(header.as_bytes(), b"k")), expected, "{header}");
        }
    }
}
