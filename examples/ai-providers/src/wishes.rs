//! What a request may wish for, to see how its sender takes it.

use crate::media::between;
use std::time::Duration;

/// No wait is longer than half a minute.
const MAX_MS: u64 = 30_000;

/// No answer has more pieces of text.
const MAX_TOKENS: usize = 100_000;

/// The form of an error's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorBody {
    /// A page, as a proxy before the provider writes it.
    Html,
    /// Plain text.
    Text,
    /// None.
    Empty,
    /// The provider's own, in an array (Google does so for streams).
    Array,
    /// The provider's own, compressed.
    Gzip,
}

/// Why the answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishWish {
    /// Too long.
    Length,
    /// Stopped by a filter.
    ContentFilter,
    /// For a reason that nobody has heard of.
    Unknown,
}

/// Where an answer breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// After half of its pieces.
    Half,
    /// After so many bytes.
    Bytes(usize),
}

/// An error in the middle of a stream: of this status, or the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MidError(pub Option<u16>);

/// What ends a line of a stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// Line feed.
    Lf,
    /// Carriage return.
    Cr,
    /// Both.
    CrLf,
}

/// All that is wished for; words that mean nothing are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `error=529`
    pub error: Option<u16>,
    /// `body=html`
    pub body: Option<ErrorBody>,
    /// `retry_after=3`
    pub retry_after: Option<u32>,
    /// `finish=length`
    pub finish: Option<FinishWish>,
    /// `mid_error`, `mid_error=429`: the stream ends with an error event, of this status.
    pub mid_error: Option<MidError>,
    /// `truncate`, `truncate=100`: the body ends early, and properly.
    pub truncate: Option<Cut>,
    /// `reset`, `reset=100`: the connection breaks.
    pub reset: Option<Cut>,
    /// `delay_ms=300`: before the answer.
    pub delay_ms: u64,
    /// `gap_ms=20`: between pieces.
    pub gap_ms: u64,
    /// `chunk=1`: pieces of so many bytes.
    pub chunk: Option<usize>,
    /// `gzip`
    pub gzip: bool,
    /// `deflate`
    pub deflate: bool,
    /// `trailers`
    pub trailers: bool,
    /// `tokens=50`: so many pieces of text.
    pub tokens: Option<usize>,
    /// `reasoning`
    pub reasoning: bool,
    /// `redacted`: with reasoning that nobody may read.
    pub redacted: bool,
    /// `cached=100`: so many more input tokens, from a cache.
    pub cached: u64,
    /// `garbage`: JSON that is none.
    pub garbage: bool,
    /// `bad_crc`: a frame whose checksum is wrong.
    pub bad_crc: bool,
    /// `hang`: no answer at all.
    pub hang: bool,
    /// `system`: the answer tells the system prompt.
    pub system: bool,
    /// `refusal`: the model declines.
    pub refusal: bool,
    /// `lines=cr`, `crlf`, `lf`: other ends of lines in a stream of events.
    pub lines: Option<LineEnd>,
    /// `no_event`: no `event:` lines.
    pub no_event: bool,
    /// `blocked`: the prompt is not answered at all, where a provider tells that without an error.
    pub blocked: bool,
    /// `no_done`: the stream has no `[DONE]`.
    pub no_done: bool,
    /// `stop_with_calls`: tool calls, and a finish reason that does not tell.
    pub stop_with_calls: bool,
}

impl Wishes {
    /// Reads `key=value;key`, and adds it to what is already wished for.
    #[must_use]
    pub fn and(mut self, text: &str) -> Self {
        for word in text.split([';', ',']).map(str::trim) {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            self.add(key, value);
        }
        self
    }

    /// Adds the `mock[..]` words of a text, which is left without them.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> (Self, String) {
        let mut rest = text.to_owned();
        while let Some((before, words, after)) = between(&rest, "mock[", "]") {
            self = self.and(words);
            rest = format!("{}{}", before.trim_end(), after);
        }
        (self, rest.trim().to_owned())
    }

    /// How long the answer waits.
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.min(MAX_MS))
    }

    /// How long each piece after the first waits.
    pub fn gap(&self) -> Duration {
        Duration::from_millis(self.gap_ms.min(MAX_MS))
    }

    fn add(&mut self, key: &str, value: &str) {
        match key {
            "error" => self.error = value.parse().ok().filter(is_error),
            "body" => self.body = ErrorBody::named(value),
            "retry_after" => self.retry_after = value.parse().ok(),
            "finish" => self.finish = FinishWish::named(value),
            "mid_error" => self.mid_error = Some(MidError(value.parse().ok().filter(is_error))),
            "truncate" => self.truncate = Some(Cut::named(value)),
            "reset" => self.reset = Some(Cut::named(value)),
            "delay_ms" => self.delay_ms = value.parse().unwrap_or(0),
            "gap_ms" => self.gap_ms = value.parse().unwrap_or(0),
            "chunk" => self.chunk = value.parse().ok().filter(|&size| size > 0),
            "gzip" => self.gzip = true,
            "deflate" => self.deflate = true,
            "trailers" => self.trailers = true,
            "tokens" => self.tokens = value.parse().ok().map(|count: usize| count.min(MAX_TOKENS)),
            "reasoning" => self.reasoning = true,
            "redacted" => self.redacted = true,
            "cached" => self.cached = value.parse().unwrap_or(0),
            "garbage" => self.garbage = true,
            "bad_crc" => self.bad_crc = true,
            "hang" => self.hang = true,
            "system" => self.system = true,
            "refusal" => self.refusal = true,
            "lines" => self.lines = LineEnd::named(value),
            "no_event" => self.no_event = true,
            "blocked" => self.blocked = true,
            "no_done" => self.no_done = true,
            "stop_with_calls" => self.stop_with_calls = true,
            _ => {}
        }
    }
}

impl ErrorBody {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "html" => Self::Html,
            "text" => Self::Text,
            "empty" => Self::Empty,
            "array" => Self::Array,
            "gzip" => Self::Gzip,
            _ => return None,
        })
    }
}

impl FinishWish {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "length" => Self::Length,
            "content_filter" => Self::ContentFilter,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }
}

fn is_error(status: &u16) -> bool {
    (400..600).contains(status)
}

impl LineEnd {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "lf" => Self::Lf,
            "cr" => Self::Cr,
            "crlf" => Self::CrLf,
            _ => return None,
        })
    }

    /// Its bytes.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::Cr => "\r",
            Self::CrLf => "\r\n",
        }
    }
}

impl Cut {
    fn named(value: &str) -> Self {
        value.parse().map_or(Self::Half, Self::Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_words_of_a_header_and_of_the_text() {
        let header = Wishes::default().and("error=529; body=html;retry_after=3 ,what=ever;chunk=0");
        assert_eq!(
            header,
            Wishes { error: Some(529), body: Some(ErrorBody::Html), retry_after: Some(3), ..Wishes::default() }
        );
        let (both, text) = header.clone().with_text("Grüezi mock[finish=length;reset=12] all mock[gzip]");
        assert_eq!(text, "Grüezi all");
        let finish = Some(FinishWish::Length);
        assert_eq!(both, Wishes { finish, reset: Some(Cut::Bytes(12)), gzip: true, ..header });
    }

    #[test]
    fn what_cannot_be_is_no_wish() {
        for words in ["error=200", "error=x", "body=pdf", "finish=", "tokens=-1", "", ";;", "mock"] {
            assert_eq!(Wishes::default().and(words), Wishes::default(), "{words}");
        }
        let (wishes, text) = Wishes::default().with_text("mock[ is open");
        assert_eq!((wishes, text.as_str()), (Wishes::default(), "mock[ is open"));
    }
}
