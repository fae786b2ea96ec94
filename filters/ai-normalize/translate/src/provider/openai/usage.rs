//! What an answer cost, in the shapes that servers tell it.

use crate::ir::Usage;
use span_json::{Value, Writer};

/// OpenAI's `usage`, and what others make of it. Numbers that are none count as 0.
pub(super) fn read(usage: Value<'_>) -> Usage {
    let input = usage.u64_of("prompt_tokens").or_else(|| usage.u64_of("input_tokens")).unwrap_or(0);
    let mut output = usage.u64_of("completion_tokens").or_else(|| usage.u64_of("output_tokens")).unwrap_or(0);
    let number = |path: &[&str]| usage.at(path).and_then(|value| value.u64());
    let cached = number(&["prompt_tokens_details", "cached_tokens"])
        .or_else(|| number(&["input_tokens_details", "cached_tokens"]))
        // DeepSeek's
        .or_else(|| number(&["prompt_cache_hit_tokens"]))
        .unwrap_or(0);
    let reasoning = number(&["completion_tokens_details", "reasoning_tokens"])
        .or_else(|| number(&["output_tokens_details", "reasoning_tokens"]))
        .unwrap_or(0);
    // xAI leaves out of the answer's tokens those that were thought
    if let Some(total) = usage.u64_of("total_tokens")
        && total == input.saturating_add(output).saturating_add(reasoning)
    {
        output = output.saturating_add(reasoning);
    }
    let cache_write = number(&["prompt_tokens_details", "cache_write_tokens"]).unwrap_or(0);
    Usage { input, cached, cache_write, output, reasoning }
}

/// The `usage` of a chunk or an answer, wherever it is: Groq has it in a member of its own.
pub(super) fn find<'a>(answer: Value<'a>) -> Option<Value<'a>> {
    answer.given("usage").or_else(|| answer.at(&["x_groq", "usage"]).filter(|usage| !usage.is_null()))
}

/// The same in numbers that add up, and what else it says as it stands.
pub(super) fn mended(usage: Value<'_>) -> String {
    const TOTALS: [&str; 3] = ["prompt_tokens", "completion_tokens", "total_tokens"];
    const DETAILS: &str = "prompt_tokens_details";
    if adds_up(usage) {
        return usage.raw().to_owned();
    }
    let read = read(usage);
    let details = usage.given(DETAILS);
    let lacks_cached = read.cached > 0 && details.is_none_or(|details| details.get("cached_tokens").is_none());
    let mut out = Writer::default();
    out.object(|out| {
        for (name, number) in TOTALS.into_iter().zip([read.input, read.output, read.total()]) {
            out.key(name).number(number);
        }
        if lacks_cached {
            out.key(DETAILS).object(|out| {
                for (name, value) in details.iter().flat_map(Value::members) {
                    out.key_text(&name).value(value);
                }
                out.key("cached_tokens").number(read.cached);
            });
        }
        for (name, value) in usage.members() {
            let is_written = TOTALS.iter().any(|known| name == **known) || (lacks_cached && name == *DETAILS);
            if !is_written {
                out.key_text(&name).value(value);
            }
        }
    });
    String::from_utf8(out.finish()).unwrap_or_default()
}

/// Whether the parts of a `usage` add up to its total as they stand.
pub(super) fn adds_up(usage: Value<'_>) -> bool {
    let read = read(usage);
    usage.u64_of("prompt_tokens") == Some(read.input)
        && usage.u64_of("completion_tokens") == Some(read.output)
        && usage.u64_of("total_tokens") == Some(read.total())
        && (read.cached == 0 || usage.at(&["prompt_tokens_details", "cached_tokens"]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use span_json::{Doc, Limits};

    #[test]
    fn what_does_not_add_up_is_mended_and_the_rest_stays() {
        for (text, expected) in [
            (
                r#"{"prompt_tokens":9, "completion_tokens":4,"total_tokens":13}"#,
                r#"{"prompt_tokens":9, "completion_tokens":4,"total_tokens":13}"#,
            ),
            (
                r#"{"cost":0.10,"prompt_tokens":9,"completion_tokens":4}"#,
                r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"cost":0.10}"#,
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_cache_hit_tokens":5,"prompt_tokens_details":{"x":1}}"#,
                r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"x":1,"cached_tokens":5},"prompt_cache_hit_tokens":5}"#,
            ),
            ("7", r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#),
        ] {
            let doc = Doc::parse(text.as_bytes(), Limits::default()).unwrap();
            assert_eq!(mended(doc.root()), expected);
        }
    }

    #[test]
    fn each_shape_tells_the_same() {
        for (text, expected, as_it_is) in [
            (r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}"#, (9, 0, 4, 0), true),
            (r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":99}"#, (9, 0, 4, 0), false),
            (
                r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_cache_hit_tokens":5}"#,
                (9, 5, 4, 0),
                false,
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":16,"completion_tokens_details":{"reasoning_tokens":3}}"#,
                (9, 0, 7, 3),
                false,
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16,"completion_tokens_details":{"reasoning_tokens":3}}"#,
                (9, 0, 7, 3),
                true,
            ),
            (r#"{"prompt_tokens":null,"completion_tokens":-4}"#, (0, 0, 0, 0), false),
            ("[]", (0, 0, 0, 0), false),
        ] {
            let doc = Doc::parse(text.as_bytes(), Limits::default()).unwrap();
            let usage = read(doc.root());
            assert_eq!((usage.input, usage.cached, usage.output, usage.reasoning), expected, "{text}");
            assert_eq!(adds_up(doc.root()), as_it_is, "{text}");
        }
    }
}
