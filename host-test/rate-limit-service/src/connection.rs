//! Connections that a handler can end.

use std::io;
use std::net::{Shutdown, TcpStream as Socket};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::Connected;

/// A connection of a client.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    end: End,
}

/// What a handler finds among the extensions of its request: the same connection once more.
#[derive(Debug, Clone)]
pub(crate) struct End(Arc<Socket>);

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        let socket = Socket::from(stream.as_fd().try_clone_to_owned()?);
        Ok(Self { stream, end: End(Arc::new(socket)) })
    }
}

impl End {
    /// Ends it in both directions, whatever is under way.
    pub(crate) fn end(&self) {
        // one that has ended already is as good
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Connected for Connection {
    type ConnectInfo = End;

    fn connect_info(&self) -> End {
        self.end.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
