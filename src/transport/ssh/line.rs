//! The stream below a connection, whatever carries it. russh's own timeouts leave out the banner, and a
//! connection that is dropped in the key exchange lives on in russh's task; so the stream is ours: it is
//! closed when its guard says so or goes away, whatever russh is waiting for.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::carrier::Carrier;
use super::connect::Role;
use super::failure::Phase;
use super::settings::Timeouts;

/// russh reads a length and then a packet; through this buffer one receive serves both. A longer packet
/// is received into its own place, and every visit in flight has one of these.
const BUFFER_BYTES: usize = 4 << 10;

/// What a target may leave untaken of what it is sent: more than all that four probes are sent, of which each may
/// have a script of 96 KiB.
const MAX_UNTAKEN: usize = 512 << 10;

/// Wraps what carries a connection for russh, and returns what watches over it.
pub(super) fn watch(carrier: Carrier, role: Role) -> (Line, Guard) {
    let state = State {
        carrier: Some(carrier),
        untaken: (role == Role::Target).then(BytesMut::new),
        phase: Phase::Banner,
        since: Instant::now(),
        left_bytes: allowance(Phase::Banner),
        banner: BannerScan::default(),
        reader: None,
        writer: None,
        cut: None,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), advanced: Notify::new() });
    let line = Line { shared: Arc::clone(&shared), buffer: vec![0; BUFFER_BYTES].into(), start: 0, end: 0 };
    (line, Guard { shared })
}

/// What a server may send in a phase before it is taken for hostile: many times what real ones send.
const fn allowance(phase: Phase) -> u64 {
    match phase {
        Phase::Resolve | Phase::Connect | Phase::Banner => 16 << 10,
        Phase::KeyExchange => 128 << 10,
        Phase::Authentication => 512 << 10,
        Phase::Session => u64::MAX,
    }
}

struct Shared {
    state: Mutex<State>,
    advanced: Notify,
}

struct State {
    /// Gone once the line is cut.
    carrier: Option<Carrier>,
    /// What a target is still to be sent. russh reads nothing while it waits to write, and what it does not read
    /// holds up all others on the same connection of a jump host: a target that asks without end and takes no
    /// answer would stop them. A jump host that takes nothing stops nobody but those behind it.
    untaken: Option<BytesMut>,
    phase: Phase,
    since: Instant,
    left_bytes: u64,
    banner: BannerScan,
    reader: Option<Waker>,
    writer: Option<Waker>,
    cut: Option<&'static str>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase, left_bytes: u64) {
        let mut state = self.lock();
        (state.phase, state.since, state.left_bytes) = (phase, Instant::now(), left_bytes);
        drop(state);
        self.advanced.notify_one();
    }

    /// Closes what carries it now. Whoever waits on it is woken and finds out why.
    fn cut(&self, reason: &'static str) {
        let mut state = self.lock();
        if state.cut.is_none() {
            state.cut = Some(reason);
        }
        let (carrier, reader, writer) = (state.carrier.take(), state.reader.take(), state.writer.take());
        drop(state);
        drop(carrier);
        for waker in [reader, writer].into_iter().flatten() {
            waker.wake();
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        let before = into.filled().len();
        // Nobody else would: for russh it is written. Why it cannot be, the next write finds out.
        let _ = state.send_untaken(cx);
        let carrier = state.carrier()?;
        if Pin::new(carrier).poll_read(cx, into)?.is_pending() {
            remember(&mut state.reader, cx);
            return Poll::Pending;
        }
        let arrived = &into.filled()[before..];
        let advances = state.phase == Phase::Banner && state.banner.ends_in(arrived);
        let left = state.left_bytes.checked_sub(arrived.len() as u64);
        state.left_bytes = left.unwrap_or_default();
        drop(state);
        if left.is_none() {
            self.cut("it sent more than a server has to say here");
            return Poll::Ready(Err(self.lock().reason()));
        }
        if advances {
            self.enter(Phase::KeyExchange, allowance(Phase::KeyExchange));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        let written = match state.send_untaken(cx)? {
            Poll::Ready(()) => Pin::new(state.carrier()?).poll_write(cx, bytes),
            Poll::Pending => Poll::Pending,
        };
        if written.is_ready() {
            return written;
        }
        remember(&mut state.writer, cx);
        let Some(untaken) = &mut state.untaken else { return Poll::Pending };
        if untaken.len() + bytes.len() <= MAX_UNTAKEN {
            untaken.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        drop(state);
        self.cut("it takes nothing of what it is sent");
        Poll::Ready(Err(self.lock().reason()))
    }
}

impl State {
    fn carrier(&mut self) -> io::Result<&mut Carrier> {
        if self.carrier.is_none() {
            return Err(self.reason());
        }
        self.carrier.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Ready when none is left. A carrier that could not take some bytes is offered them again, whatever has come
    /// to stand behind them.
    fn send_untaken(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        while let Some(untaken) = self.untaken.as_mut().filter(|untaken| !untaken.is_empty()) {
            let Some(carrier) = &mut self.carrier else { return Err(self.reason()) };
            match Pin::new(carrier).poll_write(cx, untaken)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => untaken.advance(count),
                Poll::Pending => {
                    remember(&mut self.writer, cx);
                    return Ok(Poll::Pending);
                }
            }
        }
        Ok(Poll::Ready(()))
    }

    fn reason(&self) -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionAborted, self.cut.unwrap_or("the line is closed"))
    }
}

/// A dropped stream does not wake those who wait for it, so the line keeps their wakers itself.
fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Finds the end of the first line that starts with `SSH-`; lines before it are chatter.
#[derive(Debug, Default)]
struct BannerScan {
    column: usize,
    differs: bool,
    /// What of the line fits in a banner.
    line: Vec<u8>,
}

/// The longest banner that a server may have, with its line end.
const BANNER_BYTES: usize = 255;

impl BannerScan {
    fn ends_in(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if *byte == b'\n' {
                if !self.differs && self.column >= 4 {
                    return true;
                }
                *self = Self::default();
            } else {
                if self.line.len() < BANNER_BYTES && *byte != b'\r' {
                    self.line.push(*byte);
                }
                self.differs |= b"SSH-".get(self.column).is_some_and(|expected| expected != byte);
                self.column += 1;
            }
        }
        false
    }
}

/// Holds the line. Dropping it closes what carries it.
pub(super) struct Guard {
    shared: Arc<Shared>,
}

impl Guard {
    pub fn enter(&self, phase: Phase) {
        self.shared.enter(phase, allowance(phase));
    }

    /// The last phase, with what a whole visit may receive.
    pub fn enter_session(&self, max_bytes: u64) {
        self.shared.enter(Phase::Session, max_bytes);
    }

    /// It may send so many bytes more.
    pub fn allow(&self, more_bytes: u64) {
        let mut state = self.shared.lock();
        state.left_bytes = state.left_bytes.saturating_add(more_bytes);
    }

    /// How the server introduced itself, without the line's end.
    pub fn banner(&self) -> Vec<u8> {
        self.shared.lock().banner.line.clone()
    }

    pub fn phase(&self) -> Phase {
        self.shared.lock().phase
    }

    pub fn cut(&self, reason: &'static str) {
        self.shared.cut(reason);
    }

    /// Does `work`, or cuts the line when the phase that it is in then has lasted too long.
    pub async fn within<T>(&self, timeouts: &Timeouts, work: impl Future<Output = T>) -> Result<T, Phase> {
        tokio::pin!(work);
        loop {
            let (phase, since) = {
                let state = self.shared.lock();
                (state.phase, state.since)
            };
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = self.shared.advanced.notified() => {}
                () = sleep_until(since + phase.limit(timeouts)) => {
                    if self.shared.lock().phase == phase {
                        self.shared.cut("it took too long");
                        return Err(phase);
                    }
                }
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.cut("the visit is over");
    }
}

impl Phase {
    pub(super) const fn limit(self, timeouts: &Timeouts) -> std::time::Duration {
        match self {
            Self::Resolve => timeouts.resolve,
            Self::Connect => timeouts.connect,
            Self::Banner => timeouts.banner,
            Self::KeyExchange => timeouts.key_exchange,
            Self::Authentication => timeouts.authentication,
            Self::Session => timeouts.close,
        }
    }
}

/// The stream that russh reads and writes.
pub(super) struct Line {
    shared: Arc<Shared>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        if line.start == line.end {
            if out.remaining() >= line.buffer.len() {
                return line.shared.poll_read(cx, out);
            }
            let mut into = ReadBuf::new(&mut line.buffer);
            ready!(line.shared.poll_read(cx, &mut into))?;
            (line.start, line.end) = (0, into.filled().len());
        }
        let count = out.remaining().min(line.end - line.start);
        out.put_slice(&line.buffer[line.start..line.start + count]);
        line.start += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Nothing to do: russh drops the line right after this, and that closes it. An error here
    /// would keep it from telling why the connection ended.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Line {
    /// russh is done with it: the guard may live on, what carried it need not.
    fn drop(&mut self) {
        self.shared.cut("it is closed");
    }
}

#[cfg(test)]
mod tests {
    use super::BannerScan;

    #[test]
    fn a_banner_ends_with_its_own_line() {
        let check = |text: &str, expected: bool| {
            assert_eq!(BannerScan::default().ends_in(text.as_bytes()), expected, "{text:?}");
            // The same, byte by byte, as a slow server sends it.
            let mut scan = BannerScan::default();
            assert_eq!(text.bytes().any(|byte| scan.ends_in(&[byte])), expected, "{text:?}");
        };
        check("SSH-2.0-x\r\n", true);
        check("hello\nSSH-2.0-x\n", true);
        check("SSH-2.0-x", false);
        check("SSH\n", false);
        check("xSSH-2.0\n", false);
        check("\n\nSSH-1.99-y\n", true);
    }
}
