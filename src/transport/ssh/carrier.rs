//! What carries a connection's bytes: a socket, a channel of a jump host, or a ProxyCommand.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::jump::Lane;
use super::proxy::Process;

/// Dropping it closes whatever it is.
pub(super) enum Carrier {
    Tcp(TcpStream),
    Lane(Box<Lane>),
    Process(Box<Process>),
}

impl AsyncRead for Carrier {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, out),
            Self::Lane(lane) => Pin::new(&mut lane.stream).poll_read(cx, out),
            Self::Process(process) => Pin::new(&mut process.stdout).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            // A channel takes an empty write for a mistake.
            Self::Lane(_) if bytes.is_empty() => Poll::Ready(Ok(0)),
            Self::Lane(lane) => Pin::new(&mut lane.stream).poll_write(cx, bytes),
            Self::Process(process) => Pin::new(&mut process.stdin).poll_write(cx, bytes),
        }
    }

    /// None of the three holds bytes back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Dropping it closes it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
