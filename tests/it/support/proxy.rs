//! A line to a real server that breaks in the middle of what the server says.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// What becomes of a connection after so many bytes from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    Stall,
    Reset,
}

/// Passes bytes on to a local port for as long as it lives.
pub struct Proxy {
    accepting: JoinHandle<()>,
    pub port: u16,
}

impl Proxy {
    pub async fn start(to: u16, after_bytes: usize, then: Break) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let accepting = tokio::spawn(async move {
            let mut lines = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.expect("accept");
                let far = TcpStream::connect(("127.0.0.1", to)).await.expect("the server behind it");
                lines.spawn(pass(near, far, after_bytes, then));
            }
        });
        Self { accepting, port }
    }
}

impl Proxy {
    /// A line to a place far away, half a round trip in each direction. A lost packet is what TCP makes of it:
    /// one piece in sixteen comes a retransmission later, and all behind it with it.
    pub async fn far(to: u16, round_trip: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let accepting = tokio::spawn(async move {
            let mut lines = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.expect("accept");
                let far = TcpStream::connect(("127.0.0.1", to)).await.expect("the server behind it");
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                lines.spawn(carry(from_near, to_far, round_trip / 2));
                lines.spawn(carry(from_far, to_near, round_trip / 2));
            }
        });
        Self { accepting, port }
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, takes: Duration) {
    const LOSS: usize = 16;
    // What is on its way at once: a sender is not held back by the distance.
    let (sender, mut on_its_way) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    let leaving = async move {
        let mut buffer = vec![0; 16 << 10];
        for piece in 1_usize.. {
            let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
            let again = if piece.is_multiple_of(LOSS) { takes * 2 } else { Duration::ZERO };
            let due = Instant::now() + takes + again;
            if sender.send((due, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let arriving = async move {
        while let Some((due, bytes)) = on_its_way.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(leaving, arriving);
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(near: TcpStream, far: TcpStream, mut left: usize, then: Break) {
    let near = Arc::new(near);
    let (mut from_far, mut to_far) = far.into_split();
    let upstream = {
        let near = Arc::clone(&near);
        async move {
            let mut buffer = vec![0; 16 << 10];
            loop {
                if near.readable().await.is_err() {
                    return;
                }
                match near.try_read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) if to_far.write_all(&buffer[..count]).await.is_ok() => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    _ => return,
                }
            }
        }
    };
    let downstream = async {
        let mut buffer = vec![0; 16 << 10];
        while left > 0 {
            let room = buffer.len().min(left);
            let Ok(count @ 1..) = from_far.read(&mut buffer[..room]).await else { return };
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                if near.writable().await.is_err() {
                    return;
                }
                match near.try_write(rest) {
                    Ok(count) => rest = &rest[count..],
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
            left -= count;
        }
        match then {
            // Far longer than any deadline that is tried.
            Break::Stall => tokio::time::sleep(Duration::from_secs(120)).await,
            Break::Reset => near.set_zero_linger().expect("a socket option"),
        }
    };
    tokio::select! {
        () = upstream => {}
        () = downstream => {}
    }
}
