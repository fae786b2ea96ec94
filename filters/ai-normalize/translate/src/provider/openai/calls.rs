//! Which call of a tool a piece of a stream belongs to.

use span_json::Value;

/// Most calls of one answer that are told apart.
const MAX_CALLS: usize = 4096;

/// Calls of one answer, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    index: Option<u64>,
    id: String,
}

/// Where a piece belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From 0 on, without gaps.
    pub(super) at: usize,
    /// It is the call's first piece.
    pub(super) is_new: bool,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// By the provider's index, from whichever number it counts; without one by its id; without both it goes on with the last call, unless it
    /// names a function. `None` if there are too many.
    pub(super) fn place(&mut self, piece: Value<'_>) -> Option<Place> {
        let id = piece.str_of("id").unwrap_or_default();
        let index = piece.u64_of("index");
        let name = piece.at(&["function", "name"]).and_then(|name| name.str()).unwrap_or_default();
        // some give all calls the same index
        let is_another = |call: &Call| !name.is_empty() && !id.is_empty() && !call.id.is_empty() && call.id != id;
        let known = match index {
            Some(_) => self.0.iter().rposition(|call| call.index == index && !is_another(call)),
            None if !id.is_empty() => self.0.iter().rposition(|call| call.id == id),
            None if !name.is_empty() => None,
            None => self.0.len().checked_sub(1),
        };
        if let Some(at) = known {
            return Some(Place { at, is_new: false });
        }
        if self.0.len() >= MAX_CALLS {
            return None;
        }
        self.0.push(Call { index, id: id.into_owned() });
        Some(Place { at: self.0.len() - 1, is_new: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use span_json::{Doc, Limits};

    #[test]
    fn pieces_find_their_call_however_it_is_numbered() {
        let start = |at| (at, true);
        let more = |at| (at, false);
        for (pieces, expected) in [
            // as OpenAI
            (
                r#"[{"index":0,"id":"a","function":{"name":"f"}},{"index":0},{"index":1,"id":"b","function":{"name":"f"}},{"index":0},{"index":1}]"#,
                vec![start(0), more(0), start(1), more(0), more(1)],
            ),
            // counted from 1, with gaps
            (
                r#"[{"index":1,"id":"a"},{"index":1},{"index":7,"id":"b"},{"index":7}]"#,
                vec![start(0), more(0), start(1), more(1)],
            ),
            // all with one index
            (
                r#"[{"index":0,"id":"a","function":{"name":"f"}},{"index":0,"id":"b","function":{"name":"g"}},{"index":0}]"#,
                vec![start(0), start(1), more(1)],
            ),
            // another id with each piece, as some versions of vLLM
            (r#"[{"index":0,"id":"a","function":{"name":"f"}},{"index":0,"id":"x"}]"#, vec![start(0), more(0)]),
            // without an index
            (r#"[{"id":"a"},{},{"id":"b"},{"id":"a"},{}]"#, vec![start(0), more(0), start(1), more(0), more(1)]),
            // without either
            (r#"[{"function":{"name":"f"}},{},{"function":{"name":"f"}}]"#, vec![start(0), more(0), start(1)]),
        ] {
            let doc = Doc::parse(pieces.as_bytes(), Limits::default()).unwrap();
            let mut calls = Calls::default();
            let places: Vec<_> = doc
                .root()
                .elements()
                .map(|piece| calls.place(piece).unwrap())
                .map(|place| (place.at, place.is_new))
                .collect();
            assert_eq!(places, expected, "{pieces}");
        }
        let mut calls = Calls::default();
        let doc = Doc::parse(br#"{"function":{"name":"f"}}"#, Limits::default()).unwrap();
        assert!((0..MAX_CALLS).all(|_| calls.place(doc.root()).is_some()));
        assert_eq!((calls.place(doc.root()), calls.len()), (None, MAX_CALLS));
    }
}
