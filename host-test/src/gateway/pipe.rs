//! A bounded hand-over of body data between two tasks of one thread, and the HTTP body that reads from it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A writer waits while this many bytes lie unread. Envoy's watermark is its 1 MiB buffer limit; less is enough here.
const HIGH_WATERMARK: usize = 64 * 1024;

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    end: Option<Ending>,
    reader_gone: bool,
    /// The reader has had a turn to send what it read before the body breaks off.
    warned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Complete,
    Broken,
}

/// The writing end. Dropped without [`Sender::finish`], the body breaks off.
#[derive(Debug)]
pub(crate) struct Sender(Rc<RefCell<State>>);

/// The reading end: an HTTP body.
#[derive(Debug)]
pub(crate) struct Reader {
    state: Rc<RefCell<State>>,
    /// Nothing will ever come: the message has no body.
    empty: bool,
}

/// The body broke off; the connection is cut, so that the other side sees that something is missing.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body broke off")
    }
}

impl std::error::Error for BrokenOff {}

/// A new pipe.
pub(crate) fn pipe() -> (Sender, Reader) {
    let state = Rc::new(RefCell::new(State::default()));
    (Sender(state.clone()), Reader { state, empty: false })
}

impl Sender {
    /// Puts data in, whatever lies there already; callers look at [`Sender::is_full`] before they produce more.
    pub(crate) fn push(&self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let mut state = self.0.borrow_mut();
        if state.reader_gone || state.end.is_some() {
            return;
        }
        state.bytes += data.len();
        state.chunks.push_back(data);
        wake(&mut state.reader);
    }

    /// The body is complete.
    pub(crate) fn finish(&self) {
        self.end(Ending::Complete);
    }

    /// The body breaks off here.
    pub(crate) fn abort(&self) {
        self.end(Ending::Broken);
    }

    fn end(&self, ending: Ending) {
        let mut state = self.0.borrow_mut();
        if state.end.is_none() {
            state.end = Some(ending);
            wake(&mut state.reader);
        }
    }

    /// How many bytes lie unread.
    pub(crate) fn waiting(&self) -> usize {
        self.0.borrow().bytes
    }

    /// Whether the reader has enough to do.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.0.borrow();
        state.bytes >= HIGH_WATERMARK && !state.reader_gone
    }

    /// Waits until there is room.
    pub(crate) async fn room(&self) {
        poll_fn(|context| {
            if self.is_full() {
                self.0.borrow_mut().writer = Some(context.waker().clone());
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// Waits until nobody reads any more.
    pub(crate) async fn reader_gone(&self) {
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            if state.reader_gone {
                Poll::Ready(())
            } else {
                state.writer = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await;
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Reader {
    /// A message without a body.
    pub(crate) fn empty() -> Self {
        let state = State { end: Some(Ending::Complete), ..State::default() };
        Self { state: Rc::new(RefCell::new(state)), empty: true }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.state.borrow_mut();
        state.reader_gone = true;
        state.chunks.clear();
        state.bytes = 0;
        wake(&mut state.writer);
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let mut state = self.state.borrow_mut();
        if let Some(chunk) = state.chunks.pop_front() {
            state.bytes -= chunk.len();
            if state.bytes < HIGH_WATERMARK {
                wake(&mut state.writer);
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.end {
            Some(Ending::Complete) => Poll::Ready(None),
            Some(Ending::Broken) if state.warned => Poll::Ready(Some(Err(BrokenOff))),
            Some(Ending::Broken) => {
                // hyper drops what it has not flushed; the head and the data so far shall go out first.
                state.warned = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state.borrow();
        state.chunks.is_empty() && state.end == Some(Ending::Complete)
    }

    fn size_hint(&self) -> SizeHint {
        if self.empty { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(reader: &mut Reader) -> Option<Option<Result<Vec<u8>, ()>>> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(reader).poll_frame(&mut context) {
            Poll::Pending => None,
            Poll::Ready(None) => Some(None),
            Poll::Ready(Some(Ok(frame))) => Some(Some(Ok(frame.into_data().unwrap().to_vec()))),
            Poll::Ready(Some(Err(BrokenOff))) => Some(Some(Err(()))),
        }
    }

    #[test]
    fn chunks_arrive_in_order_and_then_the_end() {
        let (sender, mut reader) = pipe();
        assert_eq!(next(&mut reader), None);
        sender.push(Bytes::from_static(b"a"));
        sender.push(Bytes::from_static(b"b"));
        sender.finish();
        drop(sender);
        assert_eq!(next(&mut reader), Some(Some(Ok(b"a".to_vec()))));
        assert_eq!(next(&mut reader), Some(Some(Ok(b"b".to_vec()))));
        assert_eq!(next(&mut reader), Some(None));
    }

    #[test]
    fn a_dropped_sender_breaks_the_body_off() {
        let (sender, mut reader) = pipe();
        sender.push(Bytes::from_static(b"a"));
        drop(sender);
        assert_eq!(next(&mut reader), Some(Some(Ok(b"a".to_vec()))));
        assert_eq!(next(&mut reader), None, "time to flush");
        assert_eq!(next(&mut reader), Some(Some(Err(()))));
    }

    #[test]
    fn the_writer_waits_at_the_watermark_and_not_for_a_reader_that_left() {
        let (sender, mut reader) = pipe();
        sender.push(Bytes::from(vec![0; HIGH_WATERMARK - 1]));
        assert!(!sender.is_full());
        sender.push(Bytes::from_static(b"x"));
        assert!(sender.is_full());
        next(&mut reader);
        assert!(!sender.is_full());
        sender.push(Bytes::from(vec![0; HIGH_WATERMARK]));
        assert!(sender.is_full());
        drop(reader);
        assert!(!sender.is_full());
    }
}
