//! One HTTP exchange: what a filter's outcomes mean in host calls.

use crate::call;
use crate::raw::{self, Buffer, Map, Status};
use crate::runtime::Action;
use crate::wait::{Note, Wait, Watch};
use filter_kit::{Answer, Body, Chunk, Env, Flow, Head, Reply, Stream};

/// The state of one exchange beyond a single callback.
pub(crate) struct Exchange<S> {
    stream: S,
    request: Wanted,
    calling: Option<Calling>,
    response: Response,
}

/// What is waited for of a response.
enum Response {
    Nothing,
    /// The whole body, of at most this size.
    Body(usize),
    /// The whole body, while the head is held.
    Held(usize),
    /// Each piece of the body.
    Pieces,
}

/// What is waited for of a request.
enum Wanted {
    Nothing,
    /// The whole body, of at most this size.
    Body(usize),
    /// The whole body, while the head is held.
    Held(usize, Wait),
    /// The same, and the head is done with: it has waited for a call. Envoy would lose a body between here and the trailers if the head
    /// went on first, where it has stopped everything for the call.
    Behind(usize, Wait),
}

/// A call that holds the head.
struct Calling {
    /// The host's number of it.
    token: u32,
    bytes: Bytes,
    /// There if somebody may have to know what comes meanwhile.
    note: Option<Note>,
}

/// What has come of the body behind a head that is held for a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    /// There is none.
    None,
    /// Nothing yet: a host that stops everything shows nothing.
    Unseen,
    /// A piece.
    Begun,
    /// All of it, and nobody has looked at it yet.
    Ended,
    /// A piece, or all of it, that was stalled. Envoy then keeps a pointer to what has gone: whoever looks ends its process.
    OutOfReach,
    /// All of it, of at most this size, and the stream has it.
    Whole(usize),
}

/// What a request callback works with.
pub(crate) struct Surroundings<'a> {
    pub(crate) env: &'a dyn Env,
    /// There if this module has callbacks for what comes after a held head.
    pub(crate) watch: Option<&'a mut Watch>,
    /// Whether it has those that a call needs.
    pub(crate) calling: bool,
}

impl<S: Stream> Exchange<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, request: Wanted::Nothing, calling: None, response: Response::Nothing }
    }

    /// Whether further callbacks of this exchange matter.
    pub(crate) fn lasts(&self) -> bool {
        self.calling.is_some() || !matches!(self.request, Wanted::Nothing) || self.stream.lasts()
    }

    /// While the head is held for its body.
    pub(crate) fn wait(&mut self) -> Option<&mut Wait> {
        match &mut self.request {
            Wanted::Held(_, wait) | Wanted::Behind(_, wait) => Some(wait),
            Wanted::Nothing | Wanted::Body(_) => None,
        }
    }

    /// The call that is waited for.
    pub(crate) fn token(&self) -> Option<u32> {
        self.calling.as_ref().map(|calling| calling.token)
    }

    /// Answers a request whose body the host does not show.
    pub(crate) fn give_up(&mut self) -> Result<Action, Status> {
        self.request = Wanted::Nothing;
        answer(&Reply::status(500, "sluice_body_not_shown"))
    }

    pub(crate) fn end(mut self, env: &dyn Env) {
        if self.stream.lasts() {
            self.stream.on_end(env);
        }
    }

    pub(crate) fn request_head(&mut self, end: bool, around: Surroundings<'_>) -> Result<Action, Status> {
        let mut head = if self.stream.reads_head() { call::head(Map::RequestHead)? } else { Head::default() };
        let flow = self.stream.on_request_head(&mut head, around.env);
        self.go_on(head, None, flow, (if end { Bytes::None } else { Bytes::Unseen }, None), around)
    }

    /// The service has answered. What is returned has to be carried out with host calls, as this is no callback of the request.
    pub(crate) fn answered(&mut self, said: Answer, around: Surroundings<'_>) -> Result<Action, Status> {
        let Some(Calling { bytes, note, .. }) = self.calling.take() else { return Ok(Action::Pause) };
        let came = note.map_or(0, Note::came);
        let mut head = self.held_head()?;
        let mut whole = match bytes {
            Bytes::Whole(limit) => Some(body(Buffer::RequestBody, limit)?),
            _ => None,
        };
        let flow = self.stream.on_answer(&mut head, whole.as_mut(), said, around.env);
        self.go_on(head, whole, flow, (bytes, Some(came)), around)
    }

    /// Carries out what the stream wants of a request whose head has not gone on. `whole` is there if the stream has got the body;
    /// `behind` is there if a call has held the head: how many bytes of the body came meanwhile.
    fn go_on(
        &mut self,
        mut head: Head,
        mut whole: Option<Body>,
        mut flow: Flow,
        (bytes, behind): (Bytes, Option<u64>),
        around: Surroundings<'_>,
    ) -> Result<Action, Status> {
        while let Flow::Call(callout) = &flow {
            if !around.calling {
                return answer(&Reply::status(500, "sluice_call_not_exported"));
            }
            if let Ok(token) = call::ask(callout) {
                let size = whole.as_ref().map(|body| body.bytes().len());
                write_held(&mut head, whole)?;
                let note = around.watch.map(|watch| watch.note(behind.unwrap_or(0)));
                self.calling = Some(Calling { token, bytes: size.map_or(bytes, Bytes::Whole), note });
                return Ok(Action::Pause);
            }
            flow = self.stream.on_answer(&mut head, whole.as_mut(), Answer::UNAVAILABLE, around.env);
        }
        match (flow, bytes) {
            (Flow::Reply(reply), _) => return answer(&reply),
            (Flow::Hold { .. } | Flow::Buffer { .. }, Bytes::OutOfReach) => {
                return answer(&Reply::status(500, "sluice_body_not_kept"));
            }
            (Flow::Hold { .. }, Bytes::None) => return self.release(head, Body::none(), around),
            (Flow::Hold { limit }, Bytes::Ended) => {
                let body = body(Buffer::RequestBody, limit)?;
                return match body.bytes().len() > limit {
                    true => answer(&self.stream.on_request_too_large(around.env)),
                    false => self.release(head, body, around),
                };
            }
            (Flow::Hold { limit }, Bytes::Unseen | Bytes::Begun) => {
                let Some(watch) = around.watch else {
                    return answer(&Reply::status(500, "sluice_hold_not_exported"));
                };
                call::write(Map::RequestHead, &head)?;
                self.request = Wanted::Held(limit, watch.begin(behind.unwrap_or(0)));
                return Ok(Action::Pause);
            }
            (Flow::Buffer { limit }, Bytes::Unseen | Bytes::Begun) => {
                // no host mends the framing of a body that changes after its head has gone on
                head.remove("content-length");
                call::write(Map::RequestHead, &head)?;
                let Some(came) = behind else {
                    self.request = Wanted::Body(limit);
                    return Ok(Action::Continue);
                };
                let Some(watch) = around.watch else {
                    return answer(&Reply::status(500, "sluice_hold_not_exported"));
                };
                self.request = Wanted::Behind(limit, watch.begin(came));
                return Ok(Action::Pause);
            }
            (Flow::Buffer { limit }, Bytes::Ended) => {
                head.remove("content-length");
                call::write(Map::RequestHead, &head)?;
                self.request = Wanted::Body(limit);
                return self.whole_request(around);
            }
            (Flow::Continue | Flow::Call(_) | Flow::Hold { .. } | Flow::Buffer { .. } | Flow::Stream, _) => {}
        }
        write_held(&mut head, whole)?;
        Ok(Action::Continue)
    }

    /// The head goes on, as the stream leaves it now that the body is there.
    fn release(&mut self, mut head: Head, mut body: Body, around: Surroundings<'_>) -> Result<Action, Status> {
        let bytes = Bytes::Whole(body.bytes().len());
        let flow = self.stream.on_held_request(&mut head, &mut body, around.env);
        self.go_on(head, Some(body), flow, (bytes, None), around)
    }

    /// The head that is held; a host that has let it go shows an empty one.
    fn held_head(&self) -> Result<Head, Status> {
        let head = call::head(Map::RequestHead)?;
        if head.iter().next().is_some() { Ok(head) } else { Err(Status(2)) }
    }

    pub(crate) fn response_head(&mut self, end: bool, env: &dyn Env) -> Result<Action, Status> {
        let mut head = if self.stream.reads_response_head() { call::head(Map::ResponseHead)? } else { Head::default() };
        let flow = self.stream.on_response_head(&mut head, env);
        match flow {
            Flow::Reply(reply) => return answer(&reply),
            Flow::Hold { .. } if end => return self.release_response(head, Body::none(), env),
            Flow::Hold { limit } => {
                call::write(Map::ResponseHead, &head)?;
                self.response = Response::Held(limit);
                return Ok(Action::Pause);
            }
            // no host mends the framing of a body that changes after its head has gone on
            Flow::Buffer { limit } if !end => {
                head.remove("content-length");
                self.response = Response::Body(limit);
            }
            Flow::Stream if !end => {
                head.remove("content-length");
                self.response = Response::Pieces;
            }
            Flow::Continue | Flow::Call(_) | Flow::Buffer { .. } | Flow::Stream => {}
        }
        call::write(Map::ResponseHead, &head)?;
        Ok(Action::Continue)
    }

    /// Bytes of the request body: `size` so far, and none after them if `end`. `holds` says whether the stream may look at a
    /// body behind a call.
    pub(crate) fn request_body(
        &mut self,
        size: usize,
        end: bool,
        around: Surroundings<'_>,
        holds: bool,
    ) -> Result<Action, Status> {
        if let Some(Calling { bytes, .. }) = &mut self.calling {
            match bytes {
                Bytes::Whole(_) => {}
                _ if !holds => *bytes = Bytes::OutOfReach,
                _ => *bytes = if end { Bytes::Ended } else { Bytes::Begun },
            }
            return Ok(if holds { Action::Pause } else { Action::Stall });
        }
        match self.request {
            Wanted::Nothing => Ok(Action::Continue),
            Wanted::Body(limit) | Wanted::Held(limit, _) | Wanted::Behind(limit, _) if size > limit => {
                self.request = Wanted::Nothing;
                answer(&self.stream.on_request_too_large(around.env))
            }
            _ if !end => Ok(Action::Pause),
            _ => self.whole_request(around),
        }
    }

    /// Trailers end a body as well; a callback with its end never comes then.
    pub(crate) fn request_trailers(&mut self, around: Surroundings<'_>) -> Result<Action, Status> {
        if let Some(Calling { bytes, .. }) = &mut self.calling {
            if !matches!(bytes, Bytes::Whole(_) | Bytes::OutOfReach) {
                *bytes = Bytes::Ended;
            }
            return Ok(Action::Pause);
        }
        self.whole_request(around)
    }

    fn whole_request(&mut self, around: Surroundings<'_>) -> Result<Action, Status> {
        let (limit, held) = match std::mem::replace(&mut self.request, Wanted::Nothing) {
            Wanted::Nothing => return Ok(Action::Continue),
            Wanted::Body(limit) | Wanted::Behind(limit, _) => (limit, false),
            Wanted::Held(limit, _) => (limit, true),
        };
        let mut body = body(Buffer::RequestBody, limit)?;
        if body.bytes().len() > limit {
            return answer(&self.stream.on_request_too_large(around.env));
        }
        if held {
            return self.release(self.held_head()?, body, around);
        }
        match self.stream.on_request_body(&mut body, around.env) {
            Flow::Reply(reply) => answer(&reply),
            _ => write_body(Buffer::RequestBody, body),
        }
    }

    /// The head of the response goes out, as the stream leaves it now that the body is there.
    fn release_response(&mut self, mut head: Head, mut body: Body, env: &dyn Env) -> Result<Action, Status> {
        self.response = Response::Nothing;
        match self.stream.on_held_response(&mut head, &mut body, env) {
            Flow::Reply(reply) => answer(&reply),
            _ => {
                write_both(Map::ResponseHead, Buffer::ResponseBody, &mut head, Some(body))?;
                Ok(Action::Continue)
            }
        }
    }

    /// As [`Exchange::request_body`]. A body over its limit can only be cut off if the head has gone out.
    pub(crate) fn response_body(&mut self, size: usize, end: bool, env: &dyn Env) -> Result<Action, Status> {
        match self.response {
            Response::Nothing => Ok(Action::Continue),
            Response::Body(limit) if size > limit => {
                self.response = Response::Nothing;
                cut_off()
            }
            Response::Held(limit) if size > limit => {
                self.response = Response::Nothing;
                answer(&self.stream.on_response_too_large(env))
            }
            Response::Pieces => self.piece(size, end, env),
            _ if !end => Ok(Action::Pause),
            _ => self.whole_response(env),
        }
    }

    fn piece(&mut self, size: usize, end: bool, env: &dyn Env) -> Result<Action, Status> {
        let bytes = if size == 0 { Vec::new() } else { raw::buffer_bytes(Buffer::ResponseBody, size)? };
        let mut chunk = Chunk::new(bytes, end);
        if end {
            self.response = Response::Nothing;
        }
        if let Flow::Reply(_) = self.stream.on_response_chunk(&mut chunk, env) {
            self.response = Response::Nothing;
            return cut_off();
        }
        if let Some(bytes) = chunk.into_replacement() {
            raw::replace_buffer(Buffer::ResponseBody, &bytes)?;
        }
        Ok(Action::Continue)
    }

    /// Trailers end a body as well. Nothing can be written behind one that has gone out already: what a stream would have to say there must not
    /// be missed, so the response is cut off.
    pub(crate) fn response_trailers(&mut self, env: &dyn Env) -> Result<Action, Status> {
        if !matches!(self.response, Response::Pieces) {
            return self.whole_response(env);
        }
        self.response = Response::Nothing;
        let mut chunk = Chunk::new(Vec::new(), true);
        let flow = self.stream.on_response_chunk(&mut chunk, env);
        if matches!(flow, Flow::Reply(_)) || chunk.into_replacement().is_some() {
            cut_off()
        } else {
            Ok(Action::Continue)
        }
    }

    /// As [`Exchange::whole_request`].
    fn whole_response(&mut self, env: &dyn Env) -> Result<Action, Status> {
        let (limit, held) = match std::mem::replace(&mut self.response, Response::Nothing) {
            Response::Nothing | Response::Pieces => return Ok(Action::Continue),
            Response::Body(limit) => (limit, false),
            Response::Held(limit) => (limit, true),
        };
        let mut body = body(Buffer::ResponseBody, limit)?;
        let is_too_long = body.bytes().len() > limit;
        match held {
            true if is_too_long => answer(&self.stream.on_response_too_large(env)),
            false if is_too_long => cut_off(),
            true => self.release_response(call::head(Map::ResponseHead)?, body, env),
            false => match self.stream.on_response_body(&mut body, env) {
                Flow::Reply(_) => cut_off(),
                _ => write_body(Buffer::ResponseBody, body),
            },
        }
    }
}

/// Writes back what changed of a request's head and, if it is there, of its body.
fn write_held(head: &mut Head, body: Option<Body>) -> Result<(), Status> {
    write_both(Map::RequestHead, Buffer::RequestBody, head, body)
}

fn write_both(map: Map, buffer: Buffer, head: &mut Head, body: Option<Body>) -> Result<(), Status> {
    if let Some(body) = body.as_ref().filter(|body| !body.came_empty())
        && head.get("content-length").is_some()
    {
        // what has another length than its head says ends within the next request, or takes it in
        let size = body.bytes().len().to_string();
        head.set("content-length", size.as_bytes()).map_err(|_| Status(2))?;
    }
    call::write(map, head)?;
    match body.and_then(Body::into_replacement) {
        Some(bytes) => raw::replace_buffer(buffer, &bytes),
        None => Ok(()),
    }
}

/// Reads a body, and one byte more than it may have.
fn body(buffer: Buffer, limit: usize) -> Result<Body, Status> {
    raw::buffer_bytes(buffer, limit.saturating_add(1)).map(Body::new)
}

fn write_body(buffer: Buffer, body: Body) -> Result<Action, Status> {
    if let Some(bytes) = body.into_replacement() {
        raw::replace_buffer(buffer, &bytes)?;
    }
    Ok(Action::Continue)
}

fn answer(reply: &Reply) -> Result<Action, Status> {
    call::reply(reply)?;
    Ok(Action::Pause)
}

fn cut_off() -> Result<Action, Status> {
    call::reset_response()?;
    Ok(Action::Pause)
}
