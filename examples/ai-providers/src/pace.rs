//! A response body that comes in steps, with waits between them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// The trailer that is sent where one is wished for.
const TRAILER: HeaderName = HeaderName::from_static("x-mock-trailer");

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These bytes go out.
    Send(Bytes),
    /// All before goes out, then so long nothing.
    Wait(Duration),
    /// The connection breaks.
    Break,
    /// A trailer ends the body.
    Trailer,
}

/// The body.
#[derive(Debug)]
pub struct Paced {
    steps: VecDeque<Step>,
    length: Option<u64>,
    sleep: Option<Pin<Box<Sleep>>>,
    breaks: Arc<AtomicBool>,
}

impl Paced {
    /// These steps; the length is told before if it is known.
    pub fn new(steps: Vec<Step>, length: Option<u64>, breaks: Arc<AtomicBool>) -> Self {
        Self { steps: steps.into(), length, sleep: None, breaks }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        loop {
            if let Some(sleep) = &mut this.sleep {
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                this.sleep = None;
            }
            return Poll::Ready(match this.steps.pop_front() {
                None => None,
                Some(Step::Send(bytes)) => {
                    this.length = this.length.map(|length| length.saturating_sub(bytes.len() as u64));
                    Some(Ok(Frame::data(bytes)))
                }
                Some(Step::Wait(Duration::ZERO)) => {
                    // not ready once: what was sent before is written
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Wait(time)) => {
                    this.sleep = Some(Box::pin(tokio::time::sleep(time)));
                    continue;
                }
                Some(Step::Break) => {
                    this.breaks.store(true, Ordering::Relaxed);
                    Some(Err(io::Error::other("this connection was to break")))
                }
                Some(Step::Trailer) => {
                    let trailer = (TRAILER, HeaderValue::from_static("behind the body"));
                    Some(Ok(Frame::trailers(HeaderMap::from_iter([trailer]))))
                }
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.sleep.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map(SizeHint::with_exact).unwrap_or_default()
    }
}
