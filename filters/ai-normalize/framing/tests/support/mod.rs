//! Ways to cut an input.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

use std::fmt::Debug;

/// Asserts that `run` gives the same whatever pieces it gets: all at once, byte by byte, in two at every position, and in three.
pub fn same_under_any_split<T: PartialEq + Debug>(input: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let whole = run(&[input]);
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(&bytes), whole, "byte by byte");
    for first in 0..=input.len() {
        let (head, tail) = input.split_at(first);
        assert_eq!(run(&[head, tail]), whole, "split at {first}");
        assert_eq!(run(&[head, b"", tail]), whole, "split at {first} with an empty feed");
        for second in 0..=tail.len().min(24) {
            let (middle, last) = tail.split_at(second);
            assert_eq!(run(&[head, middle, last]), whole, "split at {first} and {second} further");
        }
    }
    whole
}

/// Cuts `input` into pieces of these lengths, over and over.
pub fn pieces<'a>(input: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = input;
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() || lengths.iter().all(|length| *length == 0) {
            break;
        }
        let (piece, tail) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}
