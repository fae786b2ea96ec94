//! A chain of pure filters, and messages on their way through it.

use super::observe::{Message, Observation};
use super::service::{Ask, Services};
use filter_kit::{Answer, Body, Chunk, Env, Filter, FixedEnv, Flow, Head, Reply, Stream};
use std::collections::VecDeque;
use std::time::Duration;

/// A filter as a value of one type.
pub trait Native {
    /// As in [`Filter`].
    fn stream(&self) -> Box<dyn Stream>;
    /// Names of its counters.
    fn names(&self) -> &[String];
    /// As in [`Filter`].
    fn on_answer(&self, tag: u64, answer: Answer, env: &dyn Env);
}

impl<F: Filter> Native for F {
    fn stream(&self) -> Box<dyn Stream> {
        Box::new(Filter::stream(self))
    }

    fn names(&self) -> &[String] {
        self.metrics().names()
    }

    fn on_answer(&self, tag: u64, answer: Answer, env: &dyn Env) {
        Filter::on_answer(self, tag, answer, env);
    }
}

/// A filter at work.
pub struct Running {
    pub native: Box<dyn Native>,
    stream: Box<dyn Stream>,
    pub env: FixedEnv,
    services: Services,
    /// The client leaves at the first call that holds the request up.
    leaves: bool,
    request: Wanted,
    /// It has seen the head.
    begun: bool,
    /// Answers of calls that nothing waits for.
    answers: VecDeque<(u64, Answer)>,
}

/// What a filter waits for of a request.
enum Wanted {
    Nothing,
    /// The body, of at most this size.
    Body(usize),
    /// The same, and the head is held.
    Held(usize),
}

/// Why a request does not get through a chain.
pub enum Stopped {
    /// A filter answers it; the number of filters that the answer has to pass.
    Replied(usize, Reply),
    /// The client has left.
    Left,
}

/// The client has left.
struct Left;

/// Answers after which a filter that asks again at every answer is stopped.
const MAX_ANSWERS: usize = 10_000;

impl Running {
    pub fn new(native: Box<dyn Native>, env: FixedEnv, services: Services, leaves: bool) -> Self {
        let stream = native.stream();
        let (request, answers) = (Wanted::Nothing, VecDeque::new());
        Self { native, stream, env, services, leaves, request, begun: false, answers }
    }

    /// The next stream of the same filter.
    pub fn begin_anew(&mut self) {
        self.stream = self.native.stream();
        (self.request, self.begun) = (Wanted::Nothing, false);
    }

    /// The exchange is over; then the answers come that nothing has waited for.
    pub fn end(&mut self) -> Result<(), String> {
        if self.lasts() {
            self.stream.on_end(&self.env);
        }
        for _ in 0..MAX_ANSWERS {
            self.send();
            let Some((tag, answer)) = self.answers.pop_front() else { return Ok(()) };
            self.native.on_answer(tag, answer, &self.env);
        }
        Err("a filter asks again and again".to_owned())
    }

    fn lasts(&self) -> bool {
        self.begun && self.stream.lasts()
    }

    /// Makes the calls that nothing waits for.
    fn send(&mut self) {
        for (callout, tag) in self.env.take_calls() {
            self.answers.push_back((tag, ask(&self.services, &callout)));
        }
    }

    /// Asks as often as the filter wants.
    fn asked(&mut self, mut flow: Flow, head: &mut Head, mut body: Option<&mut Body>) -> Result<Flow, Left> {
        self.send();
        while let Flow::Call(callout) = flow {
            // a call that cannot be made does not hold anything up
            let known = self.services.clusters().contains(&callout.cluster.as_str());
            let answer = ask(&self.services, &callout);
            if self.leaves && known {
                return Err(Left);
            }
            flow = self.stream.on_answer(head, body.as_deref_mut(), answer, &self.env);
            self.send();
        }
        Ok(flow)
    }

    /// The whole body, if the filter asked for it.
    fn body(&mut self, head: &mut Head, bytes: &mut Vec<u8>) -> Result<Option<Reply>, Left> {
        let (Wanted::Body(limit) | Wanted::Held(limit)) = self.request else { return Ok(None) };
        if bytes.len() > limit {
            return Ok(Some(self.stream.on_request_too_large(&self.env)));
        }
        let mut body = Body::new(bytes.clone());
        let held = matches!(self.request, Wanted::Held(_));
        let flow = match held {
            true => {
                let flow = self.stream.on_held_request(head, &mut body, &self.env);
                self.asked(flow, head, Some(&mut body))?
            }
            false => self.stream.on_request_body(&mut body, &self.env),
        };
        self.send();
        if let Flow::Reply(reply) = flow {
            return Ok(Some(reply));
        }
        let empty = bytes.is_empty();
        *bytes = body.bytes().to_vec();
        if held && !empty && head.get("content-length").is_some() {
            // digits are always a header's value
            let _ = head.set("content-length", bytes.len().to_string().as_bytes());
        }
        Ok(None)
    }
}

fn ask(services: &Services, callout: &filter_kit::Callout) -> Answer {
    if !services.clusters().contains(&callout.cluster.as_str()) {
        return Answer::UNAVAILABLE;
    }
    let timeout = Duration::from_millis(callout.timeout_ms.max(1).into());
    services.ask(&Ask { service: callout.service, method: callout.method, message: &callout.message, timeout })
}

/// The way in through a chain.
pub fn inward(
    chain: &mut [Running],
    mut head: Head,
    mut bytes: Vec<u8>,
    no_trailers: bool,
) -> Result<(Head, Vec<u8>), Stopped> {
    // a message of no bytes ends with its head
    let ended = no_trailers && bytes.is_empty();
    let mut reached = 0;
    while reached < chain.len() {
        let from = reached;
        match heads(chain, &mut reached, &mut head, ended) {
            Ok(None) => {}
            Ok(Some(reply)) => return Err(Stopped::Replied(reached, reply)),
            Err(Left) => return Err(Stopped::Left),
        }
        for (index, running) in chain.iter_mut().enumerate().take(reached).skip(from) {
            match running.body(&mut head, &mut bytes) {
                Ok(None) => {}
                Ok(Some(reply)) => return Err(Stopped::Replied(index + 1, reply)),
                Err(Left) => return Err(Stopped::Left),
            }
        }
    }
    Ok((head, bytes))
}

/// Shows the head to further filters, up to one that replies or waits for the body.
fn heads(chain: &mut [Running], reached: &mut usize, head: &mut Head, ended: bool) -> Result<Option<Reply>, Left> {
    for running in chain.iter_mut().skip(*reached) {
        *reached += 1;
        running.begun = true;
        let flow = running.stream.on_request_head(head, &running.env);
        match running.asked(flow, head, None)? {
            Flow::Reply(reply) => return Ok(Some(reply)),
            Flow::Hold { .. } if ended => {
                let mut none = Body::none();
                let flow = running.stream.on_held_request(head, &mut none, &running.env);
                if let Flow::Reply(reply) = running.asked(flow, head, Some(&mut none))? {
                    return Ok(Some(reply));
                }
            }
            Flow::Hold { limit } => {
                running.request = Wanted::Held(limit);
                return Ok(None);
            }
            Flow::Buffer { limit } if !ended => {
                head.remove("content-length");
                running.request = Wanted::Body(limit);
            }
            Flow::Continue | Flow::Buffer { .. } | Flow::Call(_) | Flow::Stream => {}
        }
    }
    Ok(None)
}

/// The way out; `reply` makes a message of a filter's own answer.
pub fn respond<'a>(
    outward: impl Iterator<Item = &'a mut Running>,
    is_head: bool,
    reply: &dyn Fn(&Reply) -> Message,
    seen: &mut Observation,
) {
    let mut head = Head::from_fields(seen.client.headers.iter().map(|(name, value)| (name, value)));
    let ended = is_head || seen.client.body.is_empty() && seen.client.trailers.is_empty();
    let mut body = Body::new(std::mem::take(&mut seen.client.body));
    for running in outward.filter(|running| running.lasts()) {
        match running.answer(&mut head, &mut body, (ended, seen.client.trailers.is_empty())) {
            Ok(()) => {}
            // no filter further out sees it
            Err(Cut::Replied(own)) => {
                seen.client = reply(&own);
                return;
            }
            Err(Cut::Reset { sent }) => {
                body = Body::new(sent);
                seen.reset = true;
            }
        }
    }
    seen.client.headers = fields(&head);
    seen.client.body = body.bytes().to_vec();
}

/// Why a response does not go on.
enum Cut {
    Replied(Reply),
    Reset {
        /// What has gone out of its body.
        sent: Vec<u8>,
    },
}

impl Cut {
    /// The head alone has gone out.
    fn head() -> Self {
        Self::Reset { sent: Vec::new() }
    }
}

impl Running {
    /// The response, as far as the filter wants to see it.
    fn answer(&mut self, head: &mut Head, body: &mut Body, (ended, no_trailers): (bool, bool)) -> Result<(), Cut> {
        let flow = self.stream.on_response_head(head, &self.env);
        self.send();
        let after = match flow {
            Flow::Reply(reply) => return Err(Cut::Replied(reply)),
            Flow::Hold { limit } if body.bytes().len() > limit => {
                return Err(Cut::Replied(self.stream.on_response_too_large(&self.env)));
            }
            Flow::Hold { .. } => {
                let flow = self.stream.on_held_response(head, body, &self.env);
                if let Flow::Reply(reply) = flow {
                    self.send();
                    return Err(Cut::Replied(reply));
                }
                if !body.came_empty() && head.get("content-length").is_some() {
                    let _ = head.set("content-length", body.bytes().len().to_string().as_bytes());
                }
                flow
            }
            Flow::Buffer { .. } | Flow::Stream if ended => Flow::Continue,
            Flow::Buffer { limit } => {
                head.remove("content-length");
                if body.bytes().len() > limit {
                    return Err(Cut::head());
                }
                self.stream.on_response_body(body, &self.env)
            }
            Flow::Stream => {
                head.remove("content-length");
                return self.pieces(body, no_trailers);
            }
            flow @ (Flow::Continue | Flow::Call(_)) => flow,
        };
        self.send();
        if matches!(after, Flow::Reply(_)) { Err(Cut::head()) } else { Ok(()) }
    }

    /// The body in one piece, and behind it the end that comes by itself.
    fn pieces(&mut self, body: &mut Body, no_trailers: bool) -> Result<(), Cut> {
        let mut written = Vec::new();
        let bytes = body.bytes().to_vec();
        for (bytes, last) in [(bytes, false), (Vec::new(), true)] {
            let mut chunk = Chunk::new(bytes, last);
            let flow = self.stream.on_response_chunk(&mut chunk, &self.env);
            self.send();
            let is_written = !chunk.bytes().is_empty();
            if matches!(flow, Flow::Reply(_)) || last && !no_trailers && is_written {
                return Err(Cut::Reset { sent: written });
            }
            written.extend_from_slice(chunk.bytes());
        }
        // a stream may write behind a body of no bytes
        *body = Body::new(written);
        Ok(())
    }
}

/// A head as the fields of a message.
pub fn fields(head: &Head) -> Vec<(String, Vec<u8>)> {
    head.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
}
