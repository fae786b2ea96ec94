//! Every sample of a provider's stream, to every client: whole, in any pieces, and cut off anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use ai_fuzz::exchange::{Pair, check_stream, streamed};
use ai_translate::client::{self, Kind};
use ai_translate::provider;
use ai_translate::stream::Outcome;
use proptest::prelude::*;
use std::path::Path;

const SAMPLES: [&str; 8] = ["openai", "anthropic", "gemini", "bedrock", "cohere", "mistral", "deepseek", "groq"];

fn sample(provider: &str) -> Vec<u8> {
    let end = if provider == "bedrock" { "bin" } else { "txt" };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../samples/streams/{provider}.{end}"));
    std::fs::read(file).unwrap()
}

fn pairs() -> impl Iterator<Item = (Pair, Vec<u8>)> {
    SAMPLES.iter().flat_map(|name| {
        let provider = provider::find(name).unwrap();
        client::ALL.iter().map(move |client| {
            // who has responses is asked for them by those who speak them
            let is_native = client.kind() == Kind::Responses && *name == "openai";
            (Pair { client: *client, provider }, sample(if is_native { "responses" } else { name }))
        })
    })
}

fn blocks(out: &[u8]) -> usize {
    out.windows(2).filter(|pair| pair == b"\n\n").count()
}

#[test]
fn a_stream_that_is_cut_off_anywhere_is_no_success() {
    for (pair, stream) in pairs() {
        let answering = pair.plain(true);
        let whole = streamed(&answering, &[&stream]);
        assert_eq!(whole.outcome, Outcome::Complete, "{pair:?}");
        check_stream(&answering, &whole);
        let mut successes = 0;
        for at in 0..stream.len() {
            let cut = streamed(&answering, &[&stream[..at]]);
            check_stream(&answering, &cut);
            if cut.outcome == Outcome::Complete {
                // only where nothing is missing but what the answer has cost, and the mark of the end
                assert!(blocks(&cut.out) + 1 >= blocks(&whole.out), "{pair:?} cut at {at}");
                successes += 1;
            }
        }
        assert!(successes < stream.len() / 5, "{pair:?}: {successes} of {}", stream.len());
    }
}

#[test]
fn what_a_piece_leads_to_comes_with_it() {
    // of those who send more than a few pieces
    for (pair, stream) in pairs().filter(|(_, stream)| stream.len() > 1500) {
        let answering = pair.plain(true);
        let mut pipe = answering.stream();
        let (mut out, mut early) = (Vec::new(), 0);
        for piece in stream.chunks(64) {
            pipe.feed(piece, &mut out);
            early = if pipe.outcome() == &Outcome::Running { out.len() } else { early };
        }
        pipe.end(&mut out);
        assert!(early * 3 > out.len(), "{pair:?}: {early} of {} before the end", out.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_of_any_size_lead_to_the_same(
        number in 0..SAMPLES.len() * 3,
        sizes in prop::collection::vec(0_usize..200, 1..40),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let (pair, mut stream) = pairs().nth(number).unwrap();
        if let Some((at, byte)) = damage {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let answering = pair.plain(true);
        let whole = streamed(&answering, &[&stream]);
        check_stream(&answering, &whole);
        let (mut rest, mut pieces) = (&stream[..], Vec::new());
        for length in sizes.into_iter().chain([usize::MAX]) {
            let (piece, behind) = rest.split_at(length.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        prop_assert_eq!(streamed(&answering, &pieces), whole);
    }
}
