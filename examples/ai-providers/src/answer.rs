//! What the model says: the same for the same request, whatever the provider.

use crate::media;
use crate::prompt::{Choice, Format, Prompt};
use crate::sample;
use crate::wishes::FinishWish;
use serde_json::{Value, json};

/// Input tokens that no cache knew.
pub const INPUT: u64 = 9;
/// Output tokens that are no reasoning.
pub const OUTPUT: u64 = 4;
/// Tokens of reasoning, if there is any.
pub const REASONING: u64 = 3;
/// What the model thinks.
pub const THOUGHT: &str = "Let me think: über alles.";

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// All is said.
    Stop,
    /// It calls tools.
    Calls,
    /// It may not be longer.
    Length,
    /// A filter stopped it.
    Filter,
    /// Something new.
    Unknown,
}

/// A tool that the model calls.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolUse {
    /// Which call of the conversation it is, from 1: ids are made of it.
    pub number: usize,
    /// The tool's name.
    pub name: String,
    /// An object.
    pub arguments: Value,
}

/// Counts, as no provider tells them: each has its own sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Input that no cache knew.
    pub input: u64,
    /// Input from a cache.
    pub cached: u64,
    /// Output without reasoning.
    pub output: u64,
    /// Reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// All input.
    pub const fn all_input(self) -> u64 {
        self.input + self.cached
    }

    /// All output.
    pub const fn all_output(self) -> u64 {
        self.output + self.reasoning
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it thinks first.
    pub thought: Option<String>,
    /// Whether the thought is hidden.
    pub redacted: bool,
    /// Its text, in pieces.
    pub deltas: Vec<String>,
    /// Whether the text declines.
    pub refusal: bool,
    /// The tools it calls.
    pub calls: Vec<ToolUse>,
    /// Why it ends.
    pub finish: Finish,
    /// The status of the error that may break its stream, if a certain one is wished for.
    pub breaks: Option<u16>,
    /// What it cost.
    pub usage: Usage,
}

impl Answer {
    /// The answer to a prompt.
    pub fn to(prompt: &Prompt) -> Self {
        let wishes = &prompt.wishes;
        let calls = calls(prompt);
        let deltas = match wishes.tokens {
            _ if !calls.is_empty() => Vec::new(),
            Some(count) => (0..count).map(|index| format!("t{index} ")).collect(),
            None => pieces(&said(prompt)),
        };
        let finish = match wishes.finish {
            Some(FinishWish::Length) => Finish::Length,
            Some(FinishWish::ContentFilter) => Finish::Filter,
            Some(FinishWish::Unknown) => Finish::Unknown,
            None if calls.is_empty() || wishes.stop_with_calls => Finish::Stop,
            None => Finish::Calls,
        };
        let usage = Usage {
            input: INPUT,
            cached: wishes.cached,
            output: wishes.tokens.map_or(OUTPUT, |count| count as u64),
            reasoning: if prompt.thinks { REASONING } else { 0 },
        };
        Self {
            thought: prompt.thinks.then(|| THOUGHT.to_owned()),
            redacted: wishes.redacted,
            deltas,
            refusal: wishes.refusal,
            calls,
            finish,
            breaks: wishes.mid_error.and_then(|error| error.0),
            usage,
        }
    }

    /// The text as a whole.
    pub fn text(&self) -> String {
        self.deltas.concat()
    }
}

/// The calls, if the request asks for some.
fn calls(prompt: &Prompt) -> Vec<ToolUse> {
    let asked = prompt.user.contains("use tools");
    let wanted = match &prompt.choice {
        Choice::None => return Vec::new(),
        Choice::Named(name) => prompt.tools.iter().filter(|tool| tool.name == *name).collect::<Vec<_>>(),
        // one that must call a tool does so after results as well
        Choice::Any => prompt.tools.iter().collect(),
        Choice::Auto if asked && prompt.results.is_empty() => prompt.tools.iter().collect(),
        Choice::Auto => return Vec::new(),
    };
    let several = prompt.user.contains("in parallel") && !prompt.one_call;
    let count = if several { 2 } else { 1 };
    wanted
        .iter()
        .cycle()
        .take(if wanted.is_empty() { 0 } else { count })
        .enumerate()
        .map(|(index, tool)| ToolUse {
            number: prompt.calls_before + index + 1,
            name: tool.name.clone(),
            arguments: sample::from_schema(&tool.schema),
        })
        .collect()
}

fn said(prompt: &Prompt) -> String {
    if prompt.wishes.refusal {
        return "I cannot help with that.".to_owned();
    }
    match &prompt.format {
        Format::Schema(schema) => return sample::from_schema(schema).to_string(),
        Format::Json => return json!({"said": prompt.user}).to_string(),
        Format::Text => {}
    }
    if prompt.wishes.system {
        format!("system: {}", prompt.system.join(" | "))
    } else if !prompt.results.is_empty() {
        format!("Results: {}", prompt.results.join("; "))
    } else if !prompt.media.is_empty() {
        media::describe(&prompt.media)
    } else {
        format!("You said: {}", prompt.user)
    }
}

/// Cuts a text before its spaces; the pieces together are the text.
pub fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for part in text.split_inclusive(' ') {
        // the space belongs to the word behind it, as with real tokens
        let word = part.strip_suffix(' ');
        match pieces.last_mut() {
            Some(open) => open.push_str(word.unwrap_or(part)),
            None => pieces.push(word.unwrap_or(part).to_owned()),
        }
        if word.is_some() {
            pieces.push(" ".to_owned());
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Cuts a text into three, wherever that is: the arguments of a call in a stream.
pub fn thirds(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(letters.len().div_ceil(3).max(1)).map(|part| part.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Tool;

    fn tool(name: &str) -> Tool {
        Tool { name: name.to_owned(), schema: json!({"properties": {"city": {"type": "string"}}}) }
    }

    fn prompt(user: &str) -> Prompt {
        Prompt { user: user.to_owned(), tools: vec![tool("a"), tool("b")], ..Prompt::default() }
    }

    fn names(prompt: &Prompt) -> Vec<(usize, String)> {
        Answer::to(prompt).calls.into_iter().map(|call| (call.number, call.name)).collect()
    }

    #[test]
    fn tools_are_called_when_they_are_asked_for() {
        let call = |number, name: &str| (number, name.to_owned());
        assert_eq!(names(&prompt("hi")), []);
        assert_eq!(names(&prompt("use tools")), [call(1, "a")]);
        assert_eq!(names(&prompt("use tools in parallel")), [call(1, "a"), call(2, "b")]);
        let named = Prompt { choice: Choice::Named("b".to_owned()), calls_before: 4, ..prompt("in parallel") };
        assert_eq!(names(&named), [call(5, "b"), call(6, "b")]);
        assert_eq!(names(&Prompt { choice: Choice::Any, one_call: true, ..prompt("in parallel") }), [call(1, "a")]);
        assert_eq!(names(&Prompt { choice: Choice::None, ..prompt("use tools") }), []);
        let after = Prompt { results: vec!["15 °C".to_owned()], ..prompt("use tools") };
        assert_eq!(Answer::to(&after).text(), "Results: 15 °C");
    }

    #[test]
    fn pieces_are_words_and_lose_nothing() {
        for (text, expected) in
            [("You said: hé", &["You", " said:", " hé"][..]), ("", &[]), (" a  b ", &[" a", " ", " b", " "])]
        {
            assert_eq!(pieces(text), expected);
            assert_eq!(pieces(text).concat(), text);
        }
        assert_eq!(thirds("{\"ü\":1}").concat(), "{\"ü\":1}");
        assert_eq!(thirds("").len(), 0);
    }
}
