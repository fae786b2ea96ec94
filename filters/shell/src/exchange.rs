//! One HTTP exchange: what a filter's outcomes mean in host calls.

use crate::call;
use crate::raw::{self, Buffer, Map, Status};
use crate::runtime::Action;
use crate::wait::{Wait, Watch};
use filter_kit::{Body, Env, Flow, Head, Reply, Stream};

/// The state of one exchange beyond a single callback.
pub(crate) struct Exchange<S> {
    stream: S,
    request: Wanted,
    /// Limit of a body that is being buffered.
    response: Option<usize>,
}

/// What is waited for of a request.
enum Wanted {
    Nothing,
    /// The whole body, of at most this size; the head has gone on.
    Body(usize),
    /// The whole body, while the head is held.
    Held(usize, Wait),
}

impl<S: Stream> Exchange<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, request: Wanted::Nothing, response: None }
    }

    /// Whether further callbacks of this exchange matter.
    pub(crate) fn lasts(&self) -> bool {
        !matches!(self.request, Wanted::Nothing) || self.stream.lasts()
    }

    /// While the head is held.
    pub(crate) fn wait(&mut self) -> Option<&mut Wait> {
        match &mut self.request {
            Wanted::Held(_, wait) => Some(wait),
            Wanted::Nothing | Wanted::Body(_) => None,
        }
    }

    /// Answers a request whose body the host does not show.
    pub(crate) fn give_up(&mut self) -> Result<Action, Status> {
        self.request = Wanted::Nothing;
        answer(&Reply::status(500, "sluice_body_not_shown"))
    }

    /// `watch` is there if this module has callbacks for what comes after a held head.
    pub(crate) fn request_head(
        &mut self,
        end: bool,
        env: &dyn Env,
        watch: Option<&mut Watch>,
    ) -> Result<Action, Status> {
        let mut head = call::head(Map::RequestHead)?;
        match (self.stream.on_request_head(&mut head, env), watch) {
            (Flow::Hold { .. }, _) if end => self.release(head, Body::none(), env),
            (Flow::Hold { limit }, Some(watch)) => {
                call::write(Map::RequestHead, &head)?;
                self.request = Wanted::Held(limit, watch.begin());
                Ok(Action::Pause)
            }
            (Flow::Hold { .. }, None) => answer(&Reply::status(500, "sluice_hold_not_exported")),
            (flow, _) => {
                let (action, limit) = after_head(Map::RequestHead, head, flow, end)?;
                self.request = limit.map_or(Wanted::Nothing, Wanted::Body);
                Ok(action)
            }
        }
    }

    /// The head goes on, as the stream leaves it now that the body is there.
    fn release(&mut self, mut head: Head, mut body: Body, env: &dyn Env) -> Result<Action, Status> {
        let empty = body.bytes().is_empty();
        if let Flow::Reply(reply) = self.stream.on_held_request(&mut head, &mut body, env) {
            return answer(&reply);
        }
        let size = body.bytes().len();
        let replacement = body.into_replacement();
        if !empty && head.get("content-length").is_some() {
            // what has another length than its head says ends within the next request, or takes it in
            head.set("content-length", size.to_string().as_bytes()).map_err(|_| Status(2))?;
        }
        call::write(Map::RequestHead, &head)?;
        if let Some(bytes) = replacement {
            raw::replace_buffer(Buffer::RequestBody, &bytes)?;
        }
        Ok(Action::Continue)
    }

    pub(crate) fn response_head(&mut self, end: bool, env: &dyn Env) -> Result<Action, Status> {
        let mut head = call::head(Map::ResponseHead)?;
        let flow = self.stream.on_response_head(&mut head, env);
        let (action, limit) = after_head(Map::ResponseHead, head, flow, end)?;
        self.response = limit;
        Ok(action)
    }

    /// Bytes of the request body: `size` so far, and none after them if `end`.
    pub(crate) fn request_body(&mut self, size: usize, end: bool, env: &dyn Env) -> Result<Action, Status> {
        match self.request {
            Wanted::Nothing => Ok(Action::Continue),
            Wanted::Body(limit) | Wanted::Held(limit, _) if size > limit => {
                self.request = Wanted::Nothing;
                answer(&Reply::too_large())
            }
            _ if !end => Ok(Action::Pause),
            _ => self.whole_request(env),
        }
    }

    /// Trailers end a body as well; a callback with its end never comes then.
    pub(crate) fn whole_request(&mut self, env: &dyn Env) -> Result<Action, Status> {
        let (limit, held) = match std::mem::replace(&mut self.request, Wanted::Nothing) {
            Wanted::Nothing => return Ok(Action::Continue),
            Wanted::Body(limit) => (limit, false),
            Wanted::Held(limit, _) => (limit, true),
        };
        let mut body = body(Buffer::RequestBody, limit)?;
        if body.bytes().len() > limit {
            return answer(&Reply::too_large());
        }
        if held {
            let head = call::head(Map::RequestHead)?;
            // a host that has let the head go shows an empty one
            return if head.iter().next().is_some() { self.release(head, body, env) } else { Err(Status(2)) };
        }
        match self.stream.on_request_body(&mut body, env) {
            Flow::Reply(reply) => answer(&reply),
            _ => write_body(Buffer::RequestBody, body),
        }
    }

    /// As [`Exchange::request_body`]; the head has gone out, so a body over the limit can only be cut off.
    pub(crate) fn response_body(&mut self, size: usize, end: bool, env: &dyn Env) -> Result<Action, Status> {
        match self.response {
            None => Ok(Action::Continue),
            Some(limit) if size > limit => {
                self.response = None;
                cut_off()
            }
            Some(_) if !end => Ok(Action::Pause),
            Some(_) => self.whole_response(env),
        }
    }

    /// As [`Exchange::whole_request`].
    pub(crate) fn whole_response(&mut self, env: &dyn Env) -> Result<Action, Status> {
        let Some(limit) = self.response.take() else { return Ok(Action::Continue) };
        let mut body = body(Buffer::ResponseBody, limit)?;
        if body.bytes().len() > limit {
            return cut_off();
        }
        match self.stream.on_response_body(&mut body, env) {
            Flow::Reply(_) => cut_off(),
            _ => write_body(Buffer::ResponseBody, body),
        }
    }
}

/// Carries out what a head callback wants; the number is the limit of a body to buffer.
fn after_head(map: Map, mut head: Head, flow: Flow, end: bool) -> Result<(Action, Option<usize>), Status> {
    match flow {
        Flow::Reply(reply) => return Ok((answer(&reply)?, None)),
        Flow::Continue | Flow::Hold { .. } => call::write(map, &head)?,
        Flow::Buffer { .. } if end => call::write(map, &head)?,
        Flow::Buffer { limit } => {
            // no host mends the framing of a body that changes after its head has gone on
            head.remove("content-length");
            call::write(map, &head)?;
            return Ok((Action::Continue, Some(limit)));
        }
    }
    Ok((Action::Continue, None))
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
