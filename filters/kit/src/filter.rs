//! The seam between a filter and whatever drives it.

use crate::{Answer, Body, Chunk, ConfigError, Env, Flow, Head, MetricTable, Reply};

/// A configured filter. Making a stream is cheap: compiled configuration is shared.
pub trait Filter: Sized + 'static {
    /// The state of one HTTP exchange.
    type Stream: Stream;

    /// What the filter is called: in configurations, and in the names of the gauges that tell which one is in force.
    const NAME: &'static str;

    /// Checks and compiles a JSON configuration.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    fn from_config(json: &[u8]) -> Result<Self, ConfigError>;

    /// The counters that this filter steps.
    fn metrics(&self) -> &MetricTable;

    /// Whether some request may be answered with [`Flow::Hold`], which a host has to be set up for, or with [`Flow::Buffer`] behind a
    /// call: bodies that come before the answer are then kept, and those refused that are too long for the host to keep. Otherwise
    /// the host slows their senders down.
    fn holds(&self) -> bool {
        false
    }

    /// A call that was made with [`Env::call`] has ended. `tag` is what the caller gave.
    fn on_answer(&self, tag: u64, answer: Answer, env: &dyn Env) {
        let _ = (tag, answer, env);
    }

    /// State for one exchange.
    fn stream(&self) -> Self::Stream;
}

/// One HTTP exchange as a filter sees it. Each callback runs at most once, `on_answer` once for each call and
/// `on_response_chunk` once for each piece.
pub trait Stream {
    /// Whether [`Stream::on_request_head`] looks at the head, or edits it. Reading one costs a host more than most filters do; a stream that
    /// needs none may get an empty one.
    fn reads_head(&self) -> bool {
        true
    }

    /// The request head arrived. Edits to `head` are written back after the callback.
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        let _ = (head, env);
        Flow::Continue
    }

    /// The head as it left [`Stream::on_request_head`], and the whole body, after [`Flow::Hold`]. Edits to both are
    /// written back, and a `content-length` is made true.
    fn on_held_request(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        let _ = (head, body, env);
        Flow::Continue
    }

    /// The service has answered, after [`Flow::Call`]. `head` is as it left the callback that called, and edits to it are written
    /// back. `body` is there if it was there then. What is returned means what it would have meant in the callback that
    /// called.
    fn on_answer(&mut self, head: &mut Head, body: Option<&mut Body>, answer: Answer, env: &dyn Env) -> Flow {
        let _ = (head, body, answer, env);
        Flow::Continue
    }

    /// Whether callbacks of the response, and the end, are wanted; asked after [`Stream::on_request_head`], and again after a body
    /// or an answer that was waited for. A stream that does not last costs a host nothing beyond the request.
    fn lasts(&self) -> bool {
        true
    }

    /// The whole request body, after [`Flow::Buffer`] from [`Stream::on_request_head`].
    fn on_request_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        let _ = (body, env);
        Flow::Continue
    }

    /// The request's body is longer than the limit that the stream has set, with [`Flow::Buffer`] or [`Flow::Hold`]: the answer.
    fn on_request_too_large(&mut self, env: &dyn Env) -> Reply {
        let _ = env;
        Reply::too_large()
    }

    /// The response head arrived, from an upstream or from a reply of a filter closer to it.
    fn on_response_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        let _ = (head, env);
        Flow::Continue
    }

    /// Whether [`Stream::on_response_head`] looks at the head; one that only adds fields may get an empty
    /// one. A stream that does not last is not asked, and has nothing to say of a response.
    fn reads_response_head(&self) -> bool {
        true
    }

    /// The whole response body, after [`Flow::Buffer`] from [`Stream::on_response_head`].
    fn on_response_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        let _ = (body, env);
        Flow::Continue
    }

    /// The head as it left [`Stream::on_response_head`], and the whole body, after [`Flow::Hold`]. Edits to both are written back, and a
    /// `content-length` is made true. A [`Flow::Reply`] takes the place of the response.
    fn on_held_response(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        let _ = (head, body, env);
        Flow::Continue
    }

    /// The body of a held response is longer than the limit that the stream has set: the answer.
    fn on_response_too_large(&mut self, env: &dyn Env) -> Reply {
        let _ = env;
        Reply::status(502, "sluice_response_too_large")
    }

    /// A piece of the response body, after [`Flow::Stream`]; runs for each of them, the last one included, and for an end without bytes. Behind trailers
    /// nothing can be written any more: what is put in place of the end then resets the response, and so does [`Flow::Reply`].
    fn on_response_chunk(&mut self, chunk: &mut Chunk, env: &dyn Env) -> Flow {
        let _ = (chunk, env);
        Flow::Continue
    }

    /// The exchange is over, however it ended: answered, cut off, left by its client. Runs for streams that last.
    fn on_end(&mut self, env: &dyn Env) {
        let _ = env;
    }
}
