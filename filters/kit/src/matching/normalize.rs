//! Putting paths into one form before rules see them.

use super::query::hex;
use super::split_query;
use std::borrow::Cow;

/// Which changes a path goes through. What comes out is what rules see, and what goes on to the upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathForm {
    /// Resolves `.` and `..` segments, also written as `%2e`; a backslash is a slash, as it is for Envoy and browsers.
    pub dots: bool,
    /// Makes one slash of several.
    pub slashes: bool,
    /// Decodes escaped letters, digits, `-`, `.`, `_` and `~` (RFC 3986, section 6.2.2.2); all other escapes stay as
    /// they are, `%2F` among them.
    pub unreserved: bool,
}

impl PathForm {
    /// Changes the path of a request target; its query stays. Targets that are no absolute paths stay as well.
    pub fn apply<'a>(&self, target: &'a [u8]) -> Cow<'a, [u8]> {
        if *self == Self::default() || !target.starts_with(b"/") {
            return Cow::Borrowed(target);
        }
        let (path, query) = split_query(target);
        let mut new = Cow::Borrowed(path);
        if self.unreserved && path.contains(&b'%') {
            new = Cow::Owned(decode_unreserved(path));
        }
        if self.dots && new.contains(&b'\\') {
            new = Cow::Owned(new.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect());
        }
        if self.slashes && new.windows(2).any(|pair| pair == b"//") {
            new = Cow::Owned(merge_slashes(&new));
        }
        if self.dots && new.split(|b| *b == b'/').any(is_dots) {
            new = Cow::Owned(resolve_dots(&new));
        }
        if *new == *path {
            return Cow::Borrowed(target);
        }
        let mut whole = new.into_owned();
        if let Some(query) = query {
            whole.push(b'?');
            whole.extend_from_slice(query);
        }
        Cow::Owned(whole)
    }
}

fn decode_unreserved(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        rest = after;
        if let (b'%', [high, low, after @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            let byte = high * 16 + low;
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                decoded.push(byte);
                rest = after;
                continue;
            }
        }
        decoded.push(*first);
    }
    decoded
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|a, b| *a == b'/' && *b == b'/');
    merged
}

/// Whether a segment is `.` or `..`, perhaps escaped.
pub(crate) fn is_dots(segment: &[u8]) -> bool {
    dots(segment).is_some()
}

/// How many dots a segment of dots has.
fn dots(segment: &[u8]) -> Option<u8> {
    let mut count = 0;
    let mut rest = segment;
    while !rest.is_empty() {
        rest = match rest {
            [b'.', after @ ..] | [b'%', b'2', b'e' | b'E', after @ ..] if count < 2 => after,
            _ => return None,
        };
        count += 1;
    }
    (count > 0).then_some(count)
}

/// RFC 3986, section 5.2.4; there is nothing above the root.
fn resolve_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut open = false;
    for segment in path.split(|b| *b == b'/').skip(1) {
        let count = dots(segment);
        match count {
            Some(1) => {}
            Some(_) => {
                kept.pop();
            }
            None => kept.push(segment),
        }
        open = count.is_some();
    }
    let mut resolved = Vec::with_capacity(path.len());
    for segment in kept {
        resolved.push(b'/');
        resolved.extend_from_slice(segment);
    }
    if open || resolved.is_empty() {
        resolved.push(b'/');
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_alone_and_all_together() {
        let dots = PathForm { dots: true, ..PathForm::default() };
        let slashes = PathForm { slashes: true, ..PathForm::default() };
        let unreserved = PathForm { unreserved: true, ..PathForm::default() };
        let all = PathForm { dots: true, slashes: true, unreserved: true };
        for (form, target, expected) in [
            (dots, "/a/../b", "/b"),
            (dots, "/a/./b", "/a/b"),
            (dots, "/a/..", "/"),
            (dots, "/a/b/..", "/a/"),
            (dots, "/a/b/.", "/a/b/"),
            (dots, "/../../a", "/a"),
            (dots, "/%2e%2E/a", "/a"),
            (dots, "/a//../b", "/a/b"),
            (dots, "/...", "/..."),
            (dots, r"/a\..\b\c", "/b/c"),
            (dots, r"/a%5C..?x=\", r"/a%5C..?x=\"),
            (slashes, r"/a\\b", r"/a\\b"),
            (all, r"/\\x", "/x"),
            (dots, "/a/..?x=/../", "/?x=/../"),
            (slashes, "//a///b/", "/a/b/"),
            (slashes, "/a?b=//", "/a?b=//"),
            (unreserved, "/%66oo/%2F%2f%7e%2d%zz%", "/foo/%2F%2f~-%zz%"),
            (unreserved, "/a?%66", "/a?%66"),
            (all, "//x/%2e%2e//%66oo", "/foo"),
            (all, "*", "*"),
            (all, "", ""),
            (PathForm::default(), "//a/../b", "//a/../b"),
        ] {
            assert_eq!(form.apply(target.as_bytes()), expected.as_bytes(), "{form:?} {target}");
        }
    }
}
