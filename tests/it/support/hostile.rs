//! SSH servers that misbehave on purpose, in this process. Each keeps to the protocol as far as it
//! must to get to the point where it does not.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use dropsonde::model::{Host, HostName, Reach, RootBy};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, Disconnect, Preferred, cipher, kex};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How a server behaves towards everybody who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Accepts and says nothing.
    Silent,
    HalfBanner,
    /// Lines before the banner, without end.
    EndlessLines,
    /// One line without end.
    EndlessLine,
    NotSsh,
    /// Never silent for long, and never done: a line before the banner, a byte at a time.
    Drips,
    /// The same with packets that mean nothing, once the banner is said.
    DripsPackets,
    /// The banner, and nothing after it.
    BannerOnly,
    /// The banner and an offer of algorithms, and nothing after it.
    KexInitOnly,
    /// The banner, and then bytes that are no packets.
    Garbage,
    /// The banner, and then valid packets that mean nothing, without end.
    EndlessIgnores,
    /// Resets the connection as soon as it is there.
    Reset,
    /// A whole server, up to a point.
    Ssh(Act),
    /// A well-behaved server behind a line that breaks after so many bytes.
    Faulty {
        after: usize,
        fault: Fault,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Stall,
    Reset,
    Garble,
}

/// Where a whole server goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It does not: it prints `hello` and exits with 0.
    Honest,
    NeverAuthenticates,
    NeverOpensAChannel,
    NeverAnswersTheRequest,
    RefusesTheRequest,
    SendsNoFirstByte,
    StallsMidStream,
    NeverCloses,
    StallsAfterTheStatus,
    /// A byte at a time, without end, or after the status.
    DripsOutput,
    DripsAfterTheStatus,
    SendsMoreAfterTheStatus,
    SendsNoStatus,
    NeverStops,
    NeverStopsOnStderr,
    /// Takes no byte of stdin.
    TakesNoInput,
    /// Opens channels of its own towards the client, and prints how many it was granted.
    OpensChannels,
    SaysGoodbye,
    /// Sends 1 MiB that are valid and mean nothing, and then nothing more.
    Babbles,
    /// chacha20-poly1305 without strict key exchange.
    IsOpenToTerrapin,
}

/// A misbehaving server on a port of its own, for as long as the value lives.
pub struct Hostile {
    accepting: JoinHandle<()>,
    port: u16,
    dir: TempDir,
    sent: Arc<AtomicU64>,
}

impl Hostile {
    pub async fn start(conduct: Conduct) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let [host_key, user_key] =
            [(); 2].map(|()| PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).expect("a key"));
        let identity = dir.path().join("id");
        fs::write(&identity, user_key.to_openssh(LineEnding::LF).expect("text").as_bytes()).expect("write");
        fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).expect("chmod");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let public = host_key.public_key().to_openssh().expect("text");
        fs::write(dir.path().join("known_hosts"), format!("[127.0.0.1]:{port} {public}\n")).expect("write");
        let sent = Arc::new(AtomicU64::new(0));
        let config = Arc::new(config(conduct, host_key));
        let accepting = tokio::spawn(accept(listener, conduct, config, Arc::clone(&sent)));
        Self { accepting, port, dir, sent }
    }

    pub fn host(&self) -> Host {
        Host {
            name: HostName::new("hostile").expect("a name"),
            address: "127.0.0.1".to_owned(),
            port: self.port,
            user: "probe".to_owned(),
            labels: BTreeMap::new(),
            reach: Reach::Ssh,
            identity_files: vec![self.dir.path().join("id")],
            known_hosts: vec![self.dir.path().join("known_hosts")],
            ssh: Arc::default(),
            consult: None,
            root_by: RootBy::default(),
            proc_root: None,
            sys_root: None,
        }
    }

    /// The bytes that it got rid of by now.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The sockets to this server that this process still holds. A child that is just being started
    /// holds them too until it executes its program, so the kernel's table alone would not do.
    pub fn held_sockets(&self) -> usize {
        let table = fs::read_to_string("/proc/self/net/tcp").expect("/proc/self/net/tcp");
        let suffix = format!(":{:04X}", self.port);
        let to_here = table.lines().skip(1).filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(2)?.ends_with(&suffix).then(|| format!("socket:[{}]", fields[9]))
        });
        let to_here: BTreeSet<String> = to_here.collect();
        let held = fs::read_dir("/proc/self/fd").expect("/proc/self/fd").flatten();
        let targets =
            held.filter_map(|entry| fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok());
        targets.filter(|target| to_here.contains(target)).count()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn config(conduct: Conduct, host_key: PrivateKey) -> Config {
    let mut config = Config {
        keys: vec![host_key],
        auth_rejection_time: Duration::ZERO,
        inactivity_timeout: Some(Duration::from_secs(60)),
        nodelay: true,
        ..Config::default()
    };
    match conduct {
        Conduct::Ssh(Act::IsOpenToTerrapin) => {
            config.preferred = Preferred {
                kex: Cow::Borrowed(&[kex::CURVE25519]),
                cipher: Cow::Borrowed(&[cipher::CHACHA20_POLY1305]),
                ..Preferred::DEFAULT
            };
        }
        Conduct::Ssh(Act::TakesNoInput) => config.window_size = 0,
        _ => {}
    }
    config
}

async fn accept(listener: TcpListener, conduct: Conduct, config: Arc<Config>, sent: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.expect("accept");
        let (config, sent) = (Arc::clone(&config), Arc::clone(&sent));
        connections.spawn(async move {
            // What becomes of a hostile server's connection is the client's business.
            let _ = serve(socket, conduct, config, sent).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(
    mut socket: TcpStream,
    conduct: Conduct,
    config: Arc<Config>,
    sent: Arc<AtomicU64>,
) -> io::Result<()> {
    const BANNER: &[u8] = b"SSH-2.0-hostile\r\n";
    let flood = async |socket: &mut TcpStream, piece: &[u8]| -> io::Result<()> {
        loop {
            socket.write_all(piece).await?;
            sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    };
    match conduct {
        Conduct::Silent => {}
        Conduct::HalfBanner => socket.write_all(b"SSH-2.").await?,
        Conduct::EndlessLines => flood(&mut socket, &b"a line of chatter\r\n".repeat(64)).await?,
        Conduct::EndlessLine => flood(&mut socket, &[b'x'; 4096]).await?,
        Conduct::NotSsh => socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?,
        Conduct::Drips => drip(&mut socket, b"x").await?,
        Conduct::DripsPackets => {
            socket.write_all(BANNER).await?;
            drip(&mut socket, &packet(&[2, 0, 0, 0, 0])).await?;
        }
        Conduct::BannerOnly => socket.write_all(BANNER).await?,
        Conduct::KexInitOnly => socket.write_all(&[BANNER, &kexinit()].concat()).await?,
        Conduct::Garbage => socket.write_all(&[BANNER, &[0xa5; 4096]].concat()).await?,
        Conduct::EndlessIgnores => {
            socket.write_all(BANNER).await?;
            flood(&mut socket, &packet(&[&[2, 0, 0, 4, 0], &[0; 1024][..]].concat())).await?;
        }
        Conduct::Reset => {
            socket.set_zero_linger()?;
            return Ok(());
        }
        Conduct::Ssh(act) => return whole(socket, config, act, sent).await,
        Conduct::Faulty { after, fault } => {
            let stream = Faulty { socket, left: after, fault };
            return whole(stream, config, Act::Honest, sent).await;
        }
    }
    // Until the client gives up; whatever it says is of no interest.
    while socket.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

/// Far more often than any deadline that is tried.
const DRIP: Duration = Duration::from_millis(100);

async fn drip(socket: &mut TcpStream, piece: &[u8]) -> io::Result<()> {
    loop {
        socket.write_all(piece).await?;
        tokio::time::sleep(DRIP).await;
    }
}

async fn whole<S>(stream: S, config: Arc<Config>, act: Act, sent: Arc<AtomicU64>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let server = Server { act, sent, held: Vec::new() };
    let running = russh::server::run_stream(config, stream, server).await.map_err(io::Error::other)?;
    running.await.map_err(io::Error::other)
}

/// A packet before encryption: length, padding length, payload, padding.
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (payload.len() + 5 + 4) % 8) % 8;
    let length = u32::try_from(1 + payload.len() + padding).expect("a small packet");
    [&length.to_be_bytes()[..], &[u8::try_from(padding).expect("little")], payload, &[0; 12][..padding]]
        .concat()
}

fn kexinit() -> Vec<u8> {
    let mut payload = [&[20][..], &[7; 16]].concat();
    let (cipher, mac) = ("aes256-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com");
    for names in ["curve25519-sha256", "ssh-ed25519", cipher, cipher, mac, mac, "none", "none", "", ""] {
        payload.extend(u32::try_from(names.len()).expect("short").to_be_bytes());
        payload.extend(names.bytes());
    }
    payload.extend([0; 5]);
    packet(&payload)
}

/// A stream whose sending side breaks after a number of bytes.
struct Faulty {
    socket: TcpStream,
    left: usize,
    fault: Fault,
}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, into)
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.left > 0 {
            let count = bytes.len().min(self.left);
            let written = Pin::new(&mut self.socket).poll_write(cx, &bytes[..count]);
            if let Poll::Ready(Ok(count)) = written {
                self.left -= count;
            }
            return written;
        }
        match self.fault {
            // Nobody is woken: it stands still until the client is gone and this task is aborted.
            Fault::Stall => Poll::Pending,
            Fault::Reset => {
                self.socket.set_zero_linger()?;
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Fault::Garble => {
                let garbled: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x55).collect();
                Pin::new(&mut self.socket).poll_write(cx, &garbled)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

struct Server {
    act: Act,
    sent: Arc<AtomicU64>,
    /// Requests that are never answered: dropping them would refuse them.
    held: Vec<ChannelOpenHandle>,
}

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        if self.act == Act::NeverAuthenticates {
            // Longer than any deadline that is tried; not for ever, or the task would never end.
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.act == Act::NeverOpensAChannel {
            self.held.push(reply);
        } else {
            reply.accept().await;
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match self.act {
            Act::NeverAnswersTheRequest => return Ok(()),
            Act::RefusesTheRequest => return session.channel_failure(id),
            Act::SaysGoodbye => {
                return session.disconnect(Disconnect::ByApplication, "maintenance\u{1b}[31m", "");
            }
            Act::Babbles => {
                session.channel_success(id)?;
                return (0..1024).try_for_each(|_| session.debug(false, &"x".repeat(1024), ""));
            }
            _ => session.channel_success(id)?,
        }
        let (handle, act, sent) = (session.handle(), self.act, Arc::clone(&self.sent));
        tokio::spawn(async move { perform(&handle, id, act, &sent).await });
        Ok(())
    }
}

/// The output of a command; errors mean that the client has gone.
async fn perform(handle: &Handle, id: ChannelId, act: Act, sent: &AtomicU64) -> Option<()> {
    let piece = bytes::Bytes::from_static(&[b'x'; 16 << 10]);
    match act {
        Act::SendsNoFirstByte => return Some(()),
        Act::NeverStops | Act::NeverStopsOnStderr => loop {
            match act {
                Act::NeverStops => handle.data(id, piece.clone()).await.ok()?,
                _ => handle.extended_data(id, 1, piece.clone()).await.ok()?,
            }
            sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        },
        Act::DripsOutput => loop {
            handle.data(id, "x").await.ok()?;
            tokio::time::sleep(DRIP).await;
        },
        Act::OpensChannels => {
            let mut granted = 0;
            granted += u32::from(handle.channel_open_agent().await.is_ok());
            granted += u32::from(handle.channel_open_x11("here", 1).await.is_ok());
            granted += u32::from(handle.channel_open_session().await.is_ok());
            granted += u32::from(handle.channel_open_forwarded_tcpip("a", 1, "b", 2).await.is_ok());
            granted += u32::from(handle.channel_open_direct_tcpip("a", 1, "b", 2).await.is_ok());
            granted += u32::from(handle.channel_open_direct_streamlocal("/a").await.is_ok());
            granted += u32::from(handle.channel_open_forwarded_streamlocal("/a").await.is_ok());
            handle.data(id, format!("granted {granted}\n")).await.ok()?;
        }
        _ => handle.data(id, "hello\n").await.ok()?,
    }
    if act == Act::StallsMidStream {
        return Some(());
    }
    if act != Act::SendsNoStatus {
        handle.exit_status_request(id, 0).await.ok()?;
    }
    match act {
        Act::StallsAfterTheStatus => return Some(()),
        Act::SendsMoreAfterTheStatus => handle.data(id, "more\n").await.ok()?,
        Act::DripsAfterTheStatus => loop {
            handle.data(id, "x").await.ok()?;
            tokio::time::sleep(DRIP).await;
        },
        _ => {}
    }
    handle.eof(id).await.ok()?;
    if act != Act::NeverCloses {
        handle.close(id).await.ok()?;
    }
    Some(())
}
