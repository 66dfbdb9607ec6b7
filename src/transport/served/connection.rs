//! One accepted connection: who it is, the channels it opened, and its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::server::{
    Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, PublicKeyOffer, RunningSession, Session,
    VerifiedPublicKey, run_stream,
};
use russh::{Channel, ChannelOpenFailure, Disconnect};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::ServerSpec;
use super::child;

/// Channels at a time on one connection: sshd's own default.
const MAX_CHANNELS: usize = 10;
/// From the accepted socket to a user we know: sshd's LoginGraceTime, for a client on this machine.
const LOGIN: Duration = Duration::from_secs(30);
/// What a client has for its side of the goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

struct Opened {
    channel: Channel<Msg>,
    place: OwnedSemaphorePermit,
}

/// Serves one connection until either side ends it, and returns when its channels' processes are gone.
pub(super) async fn serve(
    stream: TcpStream,
    config: Arc<Config>,
    spec: Arc<ServerSpec>,
    stop: CancellationToken,
) {
    // russh runs the session on a task of its own. Whatever way this function is left, also by being
    // dropped, cutting the stream ends that task too.
    let cut = CancellationToken::new();
    let _cut_at_the_end = cut.clone().drop_guard();
    let stream = Severable { stream, cut: Box::pin(cut.clone().cancelled_owned()) };

    let (opened, mut channels) = mpsc::channel::<Opened>(MAX_CHANNELS);
    let known = CancellationToken::new();
    let handler = Doorman {
        spec: spec.clone(),
        places: Arc::new(Semaphore::new(MAX_CHANNELS)),
        opened,
        known: known.clone(),
    };
    let greeted = tokio::select! {
        () = stop.cancelled() => return,
        greeted = timeout(LOGIN, run_stream(config, stream, handler)) => greeted,
    };
    let Ok(Ok(mut session)) = greeted else { return };
    let handle = session.handle();

    let runs = serve_channels(&mut session, &mut channels, &spec, &stop);
    let over = tokio::select! {
        over = runs => over,
        () = strangeness(&known) => false,
    };
    if !over {
        say_goodbye(session, &handle, &cut).await;
    }
}

/// Ends when a client had its time and did not become one we know.
async fn strangeness(known: &CancellationToken) {
    if timeout(LOGIN, known.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Serves the channels of a session until it ends or is stopped, then ends what they run; says whether
/// the session is over.
async fn serve_channels(
    session: &mut RunningSession<Doorman>,
    channels: &mut mpsc::Receiver<Opened>,
    spec: &Arc<ServerSpec>,
    stop: &CancellationToken,
) -> bool {
    let hangup = stop.child_token();
    let handle = session.handle();
    let mut runs = JoinSet::new();
    let over = loop {
        tokio::select! {
            _ = &mut *session => break true,
            () = stop.cancelled() => break false,
            Some(Opened { channel, place }) = channels.recv() => {
                let run = child::serve(channel, handle.clone(), spec.clone(), hangup.clone());
                runs.spawn(async move {
                    run.await;
                    drop(place);
                });
            }
            Some(_) = runs.join_next() => {}
        }
    };
    hangup.cancel();
    while runs.join_next().await.is_some() {}
    over
}

/// Tells the client, gives it a moment for its own goodbye, and cuts the connection if it takes longer.
async fn say_goodbye(mut session: RunningSession<Doorman>, handle: &Handle, cut: &CancellationToken) {
    let leave = async {
        if handle.disconnect(Disconnect::ByApplication, String::new(), String::new()).await.is_ok() {
            // How the session ended no longer matters to anybody.
            let _ = (&mut session).await;
        }
    };
    if timeout(GOODBYE, leave).await.is_err() {
        cut.cancel();
        let _ = session.await;
    }
}

/// Lets the one user in, and opens sessions for it; every other request of the protocol is refused by
/// russh's own defaults or in [`child::serve`].
struct Doorman {
    spec: Arc<ServerSpec>,
    places: Arc<Semaphore>,
    opened: mpsc::Sender<Opened>,
    known: CancellationToken,
}

impl Handler for Doorman {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(if self.spec.authorized.is(offer.public_key) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(if self.spec.authorized.is(key.public_key) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        self.known.cancel();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        match self.opened.try_send(Opened { channel, place }) {
            Ok(()) => reply.accept().await,
            Err(_) => reply.reject(ChannelOpenFailure::ResourceShortage).await,
        }
        Ok(())
    }
}

/// A socket that fails as soon as it is cut, also under a reader that is waiting for it.
struct Severable {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Severable {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Severable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Severable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
