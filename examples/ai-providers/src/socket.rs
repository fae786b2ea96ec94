//! A connection that can be broken: closed with a reset instead of a farewell.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The server's end of a connection.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    breaks: Arc<AtomicBool>,
}

impl Socket {
    /// Takes a connection; if the flag is set when it ends, the peer gets a reset.
    pub fn new(stream: TcpStream, breaks: Arc<AtomicBool>) -> Self {
        Self { stream, breaks }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.breaks.load(Ordering::Relaxed) {
            // if it cannot be set, the peer gets an end in the middle of a body, which is as broken
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.breaks.load(Ordering::Relaxed) {
            // a shutdown would say farewell before the reset
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
