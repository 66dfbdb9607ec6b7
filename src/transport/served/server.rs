//! One served host: its listener and the connections it accepted.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use russh::server::Config;
use russh::{MethodKind, MethodSet, SshId};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection;
use super::{KeyPair, PublicKey};

/// Connections one host serves at a time; the next ones wait in the listener's queue.
const MAX_CONNECTIONS: usize = 16;
/// A connection that says nothing for this long is over. Heartbeats come far more often.
const SILENCE: Duration = Duration::from_secs(60);
/// How long accepting rests when the process is out of descriptors: trying at once would spin.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// What a [`Gate`] says about the bytes that came on stdin so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Not all is there yet that is needed to judge.
    NeedMore,
    Run,
    /// The reason, for stderr.
    Refused(String),
}

/// Judges a payload before a shell sees any of it.
pub type Gate = Arc<dyn Fn(&[u8]) -> Admission + Send + Sync>;

/// Called before each run, on a thread that may block; what it returns is dropped when the run is over,
/// and an error, in words, refuses the run.
pub type Around = Arc<dyn Fn() -> Result<Box<dyn Send>, String> + Send + Sync>;

/// What a served host is and whom it lets do what.
#[derive(Clone)]
pub struct ServerSpec {
    pub host_key: KeyPair,
    /// The one user key that opens it.
    pub authorized: PublicKey,
    /// The one exec string it answers to; whatever the client wrote, `/bin/sh -s` is what runs.
    pub command: &'static str,
    pub gate: Gate,
    pub around: Around,
    /// What a shell whose client is gone has for ending by itself, before it is killed.
    pub grace: Duration,
    /// The whole environment of what runs.
    pub env: Vec<(&'static str, PathBuf)>,
}

impl fmt::Debug for ServerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSpec")
            .field("command", &self.command)
            .field("env", &self.env)
            .finish_non_exhaustive()
    }
}

/// A host being served; dropping it ends it at once, [`ServedHost::shutdown`] in good order.
#[derive(Debug)]
pub struct ServedHost {
    pub address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl ServedHost {
    /// Accepts no more, ends what runs, and returns when every task and child process is gone.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Asks it to stop without waiting: many hosts stop in the time of one.
    pub fn begin_shutdown(&self) {
        self.stop.cancel();
    }
}

/// Serves `spec` on `listener` until the returned host is shut down or dropped.
pub fn serve(listener: TcpListener, spec: ServerSpec) -> io::Result<ServedHost> {
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(listener, Arc::new(spec), stop.clone()));
    Ok(ServedHost { address, stop, tasks })
}

async fn accept(listener: TcpListener, spec: Arc<ServerSpec>, stop: CancellationToken) {
    let config = Arc::new(config(&spec));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>((stream, place))
        };
        tokio::select! {
            () = stop.cancelled() => break,
            // A connection that panicked took only itself down.
            Some(_) = connections.join_next() => {}
            accepted = next => match accepted {
                Ok((stream, place)) => {
                    let connection = connection::serve(stream, config.clone(), spec.clone(), stop.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a served host could not accept");
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn config(spec: &ServerSpec) -> Config {
    Config {
        server_id: SshId::Standard(concat!("SSH-2.0-dropsonde_", env!("CARGO_PKG_VERSION")).into()),
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        auth_rejection_time: Duration::from_millis(250),
        // The `none` method that clients open with only asks what there is.
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: 6,
        keys: vec![spec.host_key.private()],
        window_size: 256 * 1024,
        channel_buffer_size: 8,
        event_buffer_size: 8,
        inactivity_timeout: Some(SILENCE),
        nodelay: true,
        ..Config::default()
    }
}
