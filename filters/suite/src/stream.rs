//! One exchange through several filters.

use crate::any::AnyStream;
use filter_kit::env::Step;
use filter_kit::{Answer, Body, Callout, Chunk, Contended, CounterId, Env, Flow, Head, Reply, Stream};
use std::net::IpAddr;

/// One exchange.
#[derive(Debug)]
pub struct SuiteStream<S = AnyStream> {
    filters: Vec<Running<S>>,
    /// How many filters the request has got to; the response passes only those.
    reached: usize,
    /// How many of them have got the body, if there is one to look at together with the head.
    settled: usize,
    /// The filter that waits for an answer.
    calling: Option<usize>,
    /// How many filters, from the outside, the head of the response has not got to.
    answered: usize,
}

#[derive(Debug)]
struct Running<S> {
    stream: S,
    place: Place,
    request: Option<Wanted>,
    response: Answered,
}

/// A request body that a filter asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    limit: usize,
    /// Together with the head.
    held: bool,
}

/// What a filter wants of the response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    Nothing,
    /// The whole of it, of at most this size.
    Body(usize),
    /// The same, together with the head.
    Held(usize),
    /// Each piece.
    Pieces,
}

/// Which of the filters it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: usize,
    /// Added to the filter's counter ids.
    pub(crate) offset: u32,
}

/// The suite's surroundings, seen by one of its filters.
pub(crate) struct Shifted<'a> {
    pub(crate) env: &'a dyn Env,
    pub(crate) place: Place,
}

/// Tags of calls have the filter's index in their last bits.
const INDEX_BITS: u32 = 4;

/// The filter that a tag belongs to, and what that filter calls it.
pub(crate) fn untag(tag: u64) -> (usize, u64) {
    let index = tag & ((1 << INDEX_BITS) - 1);
    (usize::try_from(index).unwrap_or(usize::MAX), tag >> INDEX_BITS)
}

impl Env for Shifted<'_> {
    fn random(&self) -> u64 {
        self.env.random()
    }

    fn count(&self, counter: CounterId, step: u64) {
        self.env.count(CounterId(counter.0.saturating_add(self.place.offset)), step);
    }

    fn source_address(&self) -> Option<IpAddr> {
        self.env.source_address()
    }

    fn destination_port(&self) -> Option<u16> {
        self.env.destination_port()
    }

    fn upstream_attempt(&self) -> Option<u64> {
        self.env.upstream_attempt()
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.env.property(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.env.variable(name)
    }

    fn monotonic(&self) -> u64 {
        self.env.monotonic()
    }

    fn wall(&self) -> u64 {
        self.env.wall()
    }

    fn update(&self, key: &str, step: &mut Step<'_>) -> Result<(), Contended> {
        self.env.update(key, step)
    }

    fn call(&self, callout: &Callout, tag: u64) -> bool {
        let index = u64::try_from(self.place.index).unwrap_or(0);
        self.env.call(callout, tag << INDEX_BITS | index)
    }

    fn set_log_field(&self, name: &str, value: &[u8]) {
        self.env.set_log_field(name, value);
    }

    fn log_error(&self, text: &str) {
        self.env.log_error(text);
    }
}

impl<S: Stream> Running<S> {
    /// Runs a callback; what it wants of the body is kept.
    fn run(&mut self, env: &dyn Env, call: impl FnOnce(&mut S, &dyn Env) -> Flow) -> Flow {
        let flow = call(&mut self.stream, &Shifted { env, place: self.place });
        match flow {
            Flow::Buffer { limit } => self.request = Some(Wanted { limit, held: false }),
            Flow::Hold { limit } => self.request = Some(Wanted { limit, held: true }),
            Flow::Continue | Flow::Call(_) | Flow::Reply(_) | Flow::Stream => {}
        }
        flow
    }
}

impl<S: Stream> SuiteStream<S> {
    /// From streams in the order of the request, each with what is added to its counter ids.
    pub(crate) fn new(streams: impl Iterator<Item = (S, u32)>) -> Self {
        let running = |(index, (stream, offset))| Running {
            stream,
            place: Place { index, offset },
            request: None,
            response: Answered::Nothing,
        };
        Self { filters: streams.enumerate().map(running).collect(), reached: 0, settled: 0, calling: None, answered: 0 }
    }

    /// Takes the request as far as it gets: each filter sees the head as those before it left it, so one behind a filter that holds
    /// it for the body, or for an answer, sees it only later; and it may hold it in turn.
    fn advance(&mut self, head: &mut Head, mut body: Option<&mut Body>, env: &dyn Env) -> Flow {
        loop {
            if let Some(body) = body.as_deref_mut() {
                while self.settled < self.reached {
                    let index = self.settled;
                    self.settled += 1;
                    let Some(running) = self.filters.get_mut(index) else { continue };
                    let Some(Wanted { limit, held }) = running.request else { continue };
                    if body.bytes().len() > limit {
                        return Flow::Reply(
                            running.stream.on_request_too_large(&Shifted { env, place: running.place }),
                        );
                    }
                    let flow = match held {
                        true => running.run(env, |stream, env| stream.on_held_request(head, body, env)),
                        false if body.came_empty() => Flow::Continue,
                        false => running.run(env, |stream, env| stream.on_request_body(body, env)),
                    };
                    match flow {
                        Flow::Reply(_) => return flow,
                        Flow::Call(_) if held => {
                            self.calling = Some(index);
                            return flow;
                        }
                        _ => {}
                    }
                }
            }
            let Some(running) = self.filters.get_mut(self.reached) else { break };
            self.reached += 1;
            match running.run(env, |stream, env| stream.on_request_head(head, env)) {
                flow @ Flow::Reply(_) => return flow,
                flow @ Flow::Call(_) => {
                    self.calling = Some(self.reached - 1);
                    return flow;
                }
                Flow::Hold { .. } if body.is_none() => break,
                _ => {}
            }
        }
        self.wanted(body.is_some())
    }

    /// What all filters together want of the body.
    fn wanted(&self, has_body: bool) -> Flow {
        // the first filter that gets the body is the one to limit it; the others look at what it made of it
        let first = self.filters.iter().find_map(|running| running.request).filter(|_| !has_body);
        let held = self.filters.iter().filter_map(|running| running.request).any(|wanted| wanted.held);
        match first {
            Some(Wanted { limit, .. }) if held => Flow::Hold { limit },
            Some(Wanted { limit, .. }) => Flow::Buffer { limit },
            None => Flow::Continue,
        }
    }
}

impl<S: Stream> Stream for SuiteStream<S> {
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        self.advance(head, None, env)
    }

    fn on_held_request(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        self.advance(head, Some(body), env)
    }

    fn on_answer(&mut self, head: &mut Head, mut body: Option<&mut Body>, answer: Answer, env: &dyn Env) -> Flow {
        let calling = self.calling.take().and_then(|index| self.filters.get_mut(index));
        let Some(running) = calling else { return Flow::Continue };
        let index = running.place.index;
        match running.run(env, |stream, env| stream.on_answer(head, body.as_deref_mut(), answer, env)) {
            flow @ Flow::Reply(_) => flow,
            flow @ Flow::Call(_) => {
                self.calling = Some(index);
                flow
            }
            Flow::Hold { .. } if body.is_none() => self.wanted(false),
            _ => self.advance(head, body, env),
        }
    }

    fn on_end(&mut self, env: &dyn Env) {
        for running in self.filters.iter_mut().take(self.reached).filter(|running| running.stream.lasts()) {
            running.stream.on_end(&Shifted { env, place: running.place });
        }
    }

    fn lasts(&self) -> bool {
        self.filters.iter().take(self.reached).any(|running| running.stream.lasts())
    }

    fn reads_response_head(&self) -> bool {
        let mut lasting = self.filters.iter().take(self.reached).filter(|running| running.stream.lasts());
        lasting.any(|running| running.stream.reads_response_head())
    }

    fn on_request_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        for running in &mut self.filters {
            let Some(Wanted { limit, .. }) = running.request else { continue };
            let env = Shifted { env, place: running.place };
            if body.bytes().len() > limit {
                return Flow::Reply(running.stream.on_request_too_large(&env));
            }
            if let reply @ Flow::Reply(_) = running.stream.on_request_body(body, &env) {
                return reply;
            }
        }
        Flow::Continue
    }

    fn on_request_too_large(&mut self, env: &dyn Env) -> Reply {
        let first = self.filters.iter_mut().find(|running| running.request.is_some());
        first.map_or_else(Reply::too_large, |running| {
            running.stream.on_request_too_large(&Shifted { env, place: running.place })
        })
    }

    fn on_response_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        self.answered = self.reached;
        self.outward(head, None, env)
    }

    fn on_held_response(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        self.outward(head, Some(body), env)
    }

    fn on_response_too_large(&mut self, env: &dyn Env) -> Reply {
        let mut outward = self.filters.iter_mut().take(self.reached).rev();
        let first = outward.find(|running| matches!(running.response, Answered::Body(_) | Answered::Held(_)));
        first.map_or_else(
            || Reply::status(502, "sluice_response_too_large"),
            |running| running.stream.on_response_too_large(&Shifted { env, place: running.place }),
        )
    }

    fn on_response_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        for running in self.filters.iter_mut().take(self.reached).rev() {
            if let reply @ Flow::Reply(_) = running.response_body(body, env) {
                return reply;
            }
        }
        Flow::Continue
    }

    fn on_response_chunk(&mut self, chunk: &mut Chunk, env: &dyn Env) -> Flow {
        for running in self.filters.iter_mut().take(self.reached).rev() {
            if running.response != Answered::Pieces {
                continue;
            }
            let env = Shifted { env, place: running.place };
            if let reply @ Flow::Reply(_) = running.stream.on_response_chunk(chunk, &env) {
                return reply;
            }
        }
        Flow::Continue
    }
}

impl<S: Stream> Running<S> {
    /// The whole body for a filter that does not want the head with it. One that wanted pieces gets one.
    fn response_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        let env = Shifted { env, place: self.place };
        match std::mem::replace(&mut self.response, Answered::Nothing) {
            Answered::Nothing => Flow::Continue,
            Answered::Body(limit) | Answered::Held(limit) if body.bytes().len() > limit => {
                Flow::Reply(self.stream.on_response_too_large(&env))
            }
            Answered::Body(_) | Answered::Held(_) => self.stream.on_response_body(body, &env),
            Answered::Pieces => {
                let mut chunk = Chunk::new(body.bytes().to_vec(), true);
                let flow = self.stream.on_response_chunk(&mut chunk, &env);
                if let Some(bytes) = chunk.into_replacement() {
                    body.replace(bytes);
                }
                flow
            }
        }
    }
}

impl<S: Stream> SuiteStream<S> {
    /// Takes the response as far as it gets, from the inside out: each filter sees the head as those before it left it, so one
    /// behind a filter that holds it for the body sees it only later.
    fn outward(&mut self, head: &mut Head, mut body: Option<&mut Body>, env: &dyn Env) -> Flow {
        // those that the head has passed look at the body first, the one that has held it with the head
        if let Some(body) = body.as_deref_mut() {
            for running in self.filters.iter_mut().take(self.reached).skip(self.answered).rev() {
                let flow = running.held_response(head, body, env);
                if let Flow::Reply(_) = flow {
                    return flow;
                }
            }
        }
        while let Some(index) = self.answered.checked_sub(1) {
            self.answered = index;
            let Some(running) = self.filters.get_mut(index) else { continue };
            let shifted = Shifted { env, place: running.place };
            running.response = match running.stream.on_response_head(head, &shifted) {
                reply @ Flow::Reply(_) => return reply,
                Flow::Continue | Flow::Call(_) => Answered::Nothing,
                Flow::Buffer { limit } => Answered::Body(limit),
                Flow::Hold { limit } => Answered::Held(limit),
                Flow::Stream => Answered::Pieces,
            };
            match body.as_deref_mut() {
                Some(body) => {
                    let flow = running.held_response(head, body, env);
                    if let Flow::Reply(_) = flow {
                        return flow;
                    }
                }
                None if matches!(running.response, Answered::Held(_)) => break,
                None => {}
            }
        }
        if body.is_some() {
            return Flow::Continue;
        }
        let all = || self.filters.iter().take(self.reached).map(|running| running.response);
        // the first to get the body is the one to limit it; the others look at what it made of it
        let first = all().rev().find_map(|wanted| match wanted {
            Answered::Body(limit) | Answered::Held(limit) => Some(limit),
            Answered::Nothing | Answered::Pieces => None,
        });
        let held = all().any(|wanted| matches!(wanted, Answered::Held(_)));
        match first {
            Some(limit) if held => Flow::Hold { limit },
            Some(limit) => Flow::Buffer { limit },
            None if all().any(|wanted| wanted == Answered::Pieces) => Flow::Stream,
            None => Flow::Continue,
        }
    }
}

impl<S: Stream> Running<S> {
    /// The whole body, together with the head for a filter that wanted both.
    fn held_response(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        let Answered::Held(limit) = self.response else { return self.response_body(body, env) };
        let env = Shifted { env, place: self.place };
        self.response = Answered::Nothing;
        if body.bytes().len() > limit {
            return Flow::Reply(self.stream.on_response_too_large(&env));
        }
        self.stream.on_held_response(head, body, &env)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_kit::FixedEnv;

    /// Tells in the head and in the body what it saw and when.
    struct Telling {
        name: &'static str,
        flow: Flow,
        refuses: bool,
        lasting: bool,
    }

    impl Telling {
        fn tell(&self, what: &str, head: &mut Head) {
            let before = String::from_utf8_lossy(head.get("x-told").unwrap_or_default()).into_owned();
            head.set("x-told", format!("{before} {}.{what}", self.name).trim().as_bytes()).unwrap();
        }

        fn mark(&self, body: &mut Body) -> Flow {
            body.replace([body.bytes(), self.name.as_bytes()].concat());
            if self.refuses { Flow::Reply(Reply::status(403, "refused")) } else { Flow::Hold { limit: 0 } }
        }
    }

    impl Stream for Telling {
        fn on_request_head(&mut self, head: &mut Head, _: &dyn Env) -> Flow {
            self.tell("head", head);
            self.flow.clone()
        }

        fn on_held_request(&mut self, head: &mut Head, body: &mut Body, _: &dyn Env) -> Flow {
            self.tell("held", head);
            self.mark(body)
        }

        fn on_request_body(&mut self, body: &mut Body, _: &dyn Env) -> Flow {
            self.mark(body)
        }

        fn on_response_head(&mut self, head: &mut Head, _: &dyn Env) -> Flow {
            self.tell("response", head);
            Flow::Continue
        }

        fn lasts(&self) -> bool {
            self.lasting
        }
    }

    const GOES: Flow = Flow::Continue;
    const BUFFERS: Flow = Flow::Buffer { limit: 9 };
    const HOLDS: Flow = Flow::Hold { limit: 5 };

    fn suite(flows: &[Flow]) -> SuiteStream<Telling> {
        let names = ["a", "b", "c", "d", "e"];
        let streams = flows.iter().zip(names);
        let stream = |(flow, name): (&Flow, _)| Telling { name, flow: flow.clone(), refuses: false, lasting: false };
        SuiteStream::new(streams.map(|each| (stream(each), 0)))
    }

    fn told(head: &Head) -> String {
        String::from_utf8_lossy(head.get("x-told").unwrap_or_default()).into_owned()
    }

    #[test]
    fn a_filter_behind_one_that_holds_sees_the_edited_head_and_may_hold_it_in_turn() {
        let env = FixedEnv::default();
        let mut suite = suite(&[GOES, BUFFERS, HOLDS, HOLDS, BUFFERS]);
        let mut head = Head::from_fields([(":path", "/")]);
        assert_eq!(suite.on_request_head(&mut head, &env), Flow::Hold { limit: 9 });
        assert_eq!(told(&head), "a.head b.head c.head");
        let mut body = Body::new(b"-".to_vec());
        assert_eq!(suite.on_held_request(&mut head, &mut body, &env), Flow::Continue);
        assert_eq!(told(&head), "a.head b.head c.head c.held d.head d.held e.head");
        assert_eq!(body.bytes(), b"-bcde");
    }

    #[test]
    fn without_a_body_only_those_who_hold_the_head_are_called() {
        let mut suite = suite(&[BUFFERS, HOLDS, BUFFERS]);
        let (mut head, mut body) = (Head::default(), Body::none());
        suite.on_request_head(&mut head, &FixedEnv::default());
        assert_eq!(suite.on_held_request(&mut head, &mut body, &FixedEnv::default()), Flow::Continue);
        assert_eq!((told(&head).as_str(), body.bytes()), ("a.head b.head b.held c.head", &b""[..]));
    }

    #[test]
    fn each_filter_limits_the_body_as_the_one_before_it_left_it() {
        for (size, expected) in [(4, GOES), (5, Flow::Reply(Reply::too_large()))] {
            let mut suite = suite(&[HOLDS, HOLDS]);
            let (mut head, mut body) = (Head::default(), Body::new(vec![b'x'; size]));
            assert_eq!(suite.on_request_head(&mut head, &FixedEnv::default()), HOLDS);
            assert_eq!(suite.on_held_request(&mut head, &mut body, &FixedEnv::default()), expected, "{size}");
        }
    }

    #[test]
    fn the_response_passes_only_those_that_the_request_got_to() {
        let env = FixedEnv::default();
        let mut suite = suite(&[GOES, HOLDS, GOES]);
        suite.filters[1].stream.refuses = true;
        suite.filters[2].stream.lasting = true;
        let (mut head, mut body) = (Head::default(), Body::new(b"x".to_vec()));
        suite.on_request_head(&mut head, &env);
        assert!(matches!(suite.on_held_request(&mut head, &mut body, &env), Flow::Reply(reply) if reply.status == 403));
        assert!(!suite.lasts());
        let mut head = Head::default();
        suite.on_response_head(&mut head, &env);
        assert_eq!(told(&head), "b.response a.response");
    }

    #[test]
    fn bodies_without_a_hold_are_buffered_up_to_the_first_limit() {
        let mut suite = suite(&[GOES, Flow::Buffer { limit: 3 }, BUFFERS]);
        assert_eq!(suite.on_request_head(&mut Head::default(), &FixedEnv::default()), Flow::Buffer { limit: 3 });
        let mut body = Body::new(b"x".to_vec());
        assert_eq!(suite.on_request_body(&mut body, &FixedEnv::default()), Flow::Continue);
        assert_eq!(body.bytes(), b"xbc");
    }
}
