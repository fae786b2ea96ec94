//! A provider's stream, in any pieces, into a client's.

use crate::client::Emitter;
use crate::context::Context;
use crate::ir::{ApiError, Event, Usage};
use crate::provider::{Framing, Reader};
use ai_framing::{EventStreamDecoder, Frame, FramingError, SseDecoder, SseItem};

/// Most bytes of one event.
pub const MAX_EVENT_BYTES: usize = 1 << 20;
/// Most bytes of one AWS frame.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// One item of a stream, whatever frames it.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// An event.
    Event {
        /// Its name; empty if it has none.
        name: &'a [u8],
        /// Its data, not empty.
        data: &'a [u8],
    },
    /// An event that AWS calls an exception or an error.
    Exception {
        /// Which.
        name: &'a [u8],
        /// What it says.
        data: &'a [u8],
    },
    /// Something that only keeps the connection alive.
    Comment,
}

/// What is done with the items of a stream.
pub trait Stage {
    /// The next item; what it leads to is written at once.
    ///
    /// # Errors
    /// What the provider says went wrong, or what is not its dialect.
    fn item(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), ApiError>;

    /// There is no more.
    ///
    /// # Errors
    /// If that is too early.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), ApiError>;

    /// Tells the client that something went wrong, and that nothing comes any more.
    fn error(&mut self, error: &ApiError, out: &mut Vec<u8>);

    /// The answer is there as a whole: what comes behind it is nothing.
    fn is_done(&self) -> bool;

    /// What it cost so far.
    fn usage(&self) -> Option<Usage>;
}

/// How a stream has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not yet.
    Running,
    /// With a whole answer.
    Complete,
    /// With an error, which the client was told.
    Failed(ApiError),
}

enum Decoder {
    Sse(SseDecoder),
    Aws(EventStreamDecoder),
}

/// The stream of one answer. What comes out is the same however what comes in is split.
pub struct StreamPipe {
    decoder: Decoder,
    stage: Box<dyn Stage>,
    outcome: Outcome,
}

impl std::fmt::Debug for StreamPipe {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "StreamPipe({:?})", self.outcome)
    }
}

impl StreamPipe {
    /// From a way of framing and what is done with the items.
    pub fn new(framing: Framing, stage: Box<dyn Stage>) -> Self {
        let decoder = match framing {
            Framing::Sse => Decoder::Sse(SseDecoder::new(MAX_EVENT_BYTES)),
            Framing::AwsEventStream => Decoder::Aws(EventStreamDecoder::new(MAX_FRAME_BYTES)),
        };
        Self { decoder, stage, outcome: Outcome::Running }
    }

    /// Bytes of the provider in, bytes for the client out. Nothing is wanted any more once the stream has ended.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.run(out, |decoder, each| match decoder {
            Decoder::Sse(decoder) => decoder.feed(bytes, &mut |item| each(&sse(item))),
            Decoder::Aws(decoder) => decoder.feed(bytes, &mut |frame| with_frame(&frame, each)),
        });
    }

    /// The provider has ended its stream.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.run(out, |decoder, each| match decoder {
            Decoder::Sse(decoder) => decoder.end(&mut |item| each(&sse(item))),
            Decoder::Aws(decoder) => decoder.end(&mut |frame| with_frame(&frame, each)),
        });
        if self.outcome == Outcome::Running {
            match self.stage.end(out) {
                Ok(()) => self.outcome = Outcome::Complete,
                Err(error) => self.fail(error, out),
            }
        }
    }

    /// Tells the client of something that went wrong on the way, unless the answer has ended.
    pub fn fail(&mut self, error: ApiError, out: &mut Vec<u8>) {
        if self.outcome == Outcome::Running {
            self.stage.error(&error, out);
            self.outcome = Outcome::Failed(error);
        }
    }

    fn run(
        &mut self,
        out: &mut Vec<u8>,
        decode: impl FnOnce(&mut Decoder, &mut dyn FnMut(&Item<'_>)) -> Result<(), FramingError>,
    ) {
        if self.outcome != Outcome::Running {
            return;
        }
        let Self { decoder, stage, .. } = self;
        let mut failed = None;
        let framed = decode(decoder, &mut |item| {
            if failed.is_none() && !stage.is_done() {
                failed = stage.item(item, out).err();
            }
        });
        if let Some(error) = failed {
            self.fail(error, out);
        } else if self.stage.is_done() {
            self.outcome = Outcome::Complete;
        } else if let Err(error) = framed {
            self.fail(framing_error(error), out);
        }
    }

    /// How it has ended.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// What it cost so far.
    pub fn usage(&self) -> Option<Usage> {
        self.stage.usage()
    }
}

fn framing_error(error: FramingError) -> ApiError {
    match error {
        FramingError::Truncated => ApiError::truncated(),
        error => ApiError::unreadable(&error.to_string()),
    }
}

fn sse(item: SseItem<'_>) -> Item<'_> {
    match item {
        SseItem::Event { name, data } => Item::Event { name, data },
        SseItem::Comment(_) => Item::Comment,
    }
}

fn with_frame(frame: &Frame<'_>, each: &mut dyn FnMut(&Item<'_>)) {
    let header = |name: &str| frame.header(name).unwrap_or_default();
    let data = frame.payload();
    match header(":message-type") {
        b"exception" => each(&Item::Exception { name: header(":exception-type"), data }),
        b"error" => each(&Item::Exception { name: header(":error-code"), data: header(":error-message") }),
        _ => each(&Item::Event { name: header(":event-type"), data }),
    }
}

/// A reader and an emitter, and between them what the request's translation has to be taken back.
pub struct Translating {
    reader: Box<dyn Reader>,
    emitter: Box<dyn Emitter>,
    hints: crate::context::Hints,
    /// Calls of the tool whose arguments are the answer: (choice, slot).
    answer_slots: Vec<(u32, u32)>,
    usage: Option<Usage>,
    done: bool,
}

impl Translating {
    /// For one stream.
    pub fn new(reader: Box<dyn Reader>, emitter: Box<dyn Emitter>, context: &Context) -> Self {
        Self { reader, emitter, hints: context.hints.clone(), answer_slots: Vec::new(), usage: None, done: false }
    }

    fn run(
        &mut self,
        out: &mut Vec<u8>,
        read: impl FnOnce(&mut dyn Reader, &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let Self { reader, emitter, hints, answer_slots, usage, done } = self;
        read(reader.as_mut(), &mut |event| {
            if *done {
                return;
            }
            let event = match event {
                Event::ToolStart { choice, slot, name, .. }
                    if hints.answer_tool.as_deref().is_some_and(|tool| name == *tool) =>
                {
                    return answer_slots.push((choice, slot));
                }
                Event::ToolArguments { choice, slot, fragment } if answer_slots.contains(&(choice, slot)) => {
                    Event::Text { choice, text: fragment, logprobs: None }
                }
                Event::ToolEnd { choice, slot } if answer_slots.contains(&(choice, slot)) => return,
                Event::ToolStart { choice, slot, id, name, signature } if !hints.renamed_tools.is_empty() => {
                    let name = hints.tool_name(&name.decode()).to_owned().into();
                    Event::ToolStart { choice, slot, id, name, signature }
                }
                Event::Finish { choice, finish: crate::ir::Finish::ToolCalls, stop_sequence }
                    if answer_slots.iter().any(|(known, _)| *known == choice) =>
                {
                    Event::Finish { choice, finish: crate::ir::Finish::Stop, stop_sequence }
                }
                event => event,
            };
            match &event {
                Event::Usage(new) => *usage = Some(*new),
                Event::End => *done = true,
                _ => {}
            }
            emitter.event(event, out);
        })
    }
}

impl Stage for Translating {
    fn item(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
        self.run(out, |reader, each| reader.read(item, each))
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), ApiError> {
        self.run(out, |reader, each| reader.end(each))?;
        if self.done { Ok(()) } else { Err(ApiError::truncated()) }
    }

    fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        self.emitter.error(error, out);
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}
