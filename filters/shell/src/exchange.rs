//! One HTTP exchange: what a filter's outcomes mean in host calls.

use crate::call;
use crate::raw::{self, Buffer, Map, Status};
use crate::runtime::Action;
use filter_kit::{Body, Env, Flow, Head, Reply, Stream};

/// The state of one exchange beyond a single callback.
pub(crate) struct Exchange<S> {
    stream: S,
    /// Limits of bodies that are being buffered.
    request: Option<usize>,
    response: Option<usize>,
}

impl<S: Stream> Exchange<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, request: None, response: None }
    }

    pub(crate) fn request_head(&mut self, end: bool, env: &dyn Env) -> Result<Action, Status> {
        let mut head = call::head(Map::RequestHead)?;
        let flow = self.stream.on_request_head(&mut head, env);
        let (action, limit) = after_head(Map::RequestHead, head, flow, end)?;
        self.request = limit;
        Ok(action)
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
            None => Ok(Action::Continue),
            Some(limit) if size > limit => {
                self.request = None;
                answer(&Reply::too_large())
            }
            Some(_) if !end => Ok(Action::Pause),
            Some(_) => self.whole_request(env),
        }
    }

    /// Trailers end a body as well; a callback with its end never comes then.
    pub(crate) fn whole_request(&mut self, env: &dyn Env) -> Result<Action, Status> {
        let Some(limit) = self.request.take() else { return Ok(Action::Continue) };
        let mut body = body(Buffer::RequestBody, limit)?;
        if body.bytes().len() > limit {
            return answer(&Reply::too_large());
        }
        match self.stream.on_request_body(&mut body, env) {
            Flow::Reply(reply) => answer(&reply),
            Flow::Continue | Flow::Buffer { .. } => write_body(Buffer::RequestBody, body),
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
            Flow::Continue | Flow::Buffer { .. } => write_body(Buffer::ResponseBody, body),
        }
    }
}

/// Carries out what a head callback wants; the number is the limit of a body to buffer.
fn after_head(map: Map, mut head: Head, flow: Flow, end: bool) -> Result<(Action, Option<usize>), Status> {
    match flow {
        Flow::Reply(reply) => return Ok((answer(&reply)?, None)),
        Flow::Continue => call::write(map, &head)?,
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
