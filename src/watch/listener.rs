//! Answers Prometheus over HTTP/1.1, and nobody else: one path, read only, on this machine. It is so small
//! that a request can ask for nothing else, and so bounded that no client can hold it up.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::collect::Stop;
use crate::config::Listen;

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 8;

/// A request and its answer.
const EXCHANGE: Duration = Duration::from_secs(10);

/// The head of a request.
const HEAD: usize = 8 << 10;

/// Why nobody can be answered.
#[derive(Debug, thiserror::Error)]
#[error("listen on {at}: {source}")]
pub struct ListenError {
    at: String,
    source: io::Error,
}

/// What is answered; it may block.
pub type Answer = Arc<dyn Fn() -> String + Send + Sync>;

/// A place that is listened on.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    /// Its name goes with it.
    Unix(UnixListener, SocketFile),
}

#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be another's by now, who has taken it away and made a new one; then so be it.
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// `None` when it is switched off.
    pub async fn bind(listen: &Listen) -> Result<Option<Self>, ListenError> {
        match listen {
            Listen::Off => Ok(None),
            Listen::Tcp(address) => match TcpListener::bind(address).await {
                Ok(listener) => Ok(Some(Self::Tcp(listener))),
                Err(source) => Err(ListenError { at: address.to_string(), source }),
            },
            Listen::Unix(path) => match unix(path).await {
                Ok(listener) => Ok(Some(Self::Unix(listener, SocketFile(path.clone())))),
                Err(source) => Err(ListenError { at: path.display().to_string(), source }),
            },
        }
    }

    /// Where it can be reached.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(|at| at.to_string()).unwrap_or_default(),
            Self::Unix(_, file) => format!("unix:{}", file.0.display()),
        }
    }

    /// Answers until it is told to stop.
    pub async fn serve(self, answer: Answer, stop: &Stop) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut exchanges = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.finishing() => break,
                accepted = self.accept(&places) => accepted,
            };
            let (stream, place) = match accepted {
                Ok(accepted) => accepted,
                // Out of descriptors, most likely: that passes.
                Err(error) => {
                    tracing::warn!("a scrape could not be accepted: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let (answer, checks_host) = (Arc::clone(&answer), matches!(self, Self::Tcp(_)));
            exchanges.spawn(async move {
                let _place = place;
                // Who is too slow or goes away is not answered.
                let _ = timeout(EXCHANGE, exchange(stream, answer, checks_host)).await;
            });
            while exchanges.try_join_next().is_some() {}
        }
        exchanges.shutdown().await;
    }

    async fn accept(
        &self,
        places: &Arc<Semaphore>,
    ) -> io::Result<(Box<dyn Stream>, tokio::sync::OwnedSemaphorePermit)> {
        let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
        let stream: Box<dyn Stream> = match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener, _) => Box::new(listener.accept().await?.0),
        };
        Ok((stream, place))
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A socket that a collector has left behind is taken over; one that somebody listens on is not.
async fn unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        match tokio::net::UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            _ => return Err(io::Error::from(io::ErrorKind::AddrInUse)),
        }
    }
    let listener = UnixListener::bind(path)?;
    // Its group may read, as the folder around it allows.
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

async fn exchange(mut stream: Box<dyn Stream>, answer: Answer, checks_host: bool) -> io::Result<()> {
    let head = head(&mut stream).await?;
    let request = head.as_deref().map_or(Err(Refusal::TooLong), |head| read(head, checks_host));
    let (status, more, body, with_body) = match request {
        Ok(Method::Get) => ("200 OK", "", render(answer).await, true),
        Ok(Method::Head) => ("200 OK", "", render(answer).await, false),
        Err(refusal) => {
            let (status, more) = refusal.status();
            (status, more, format!("{status}\n"), true)
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         {more}X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if with_body {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

/// It reads the index: not on the thread that sweeps.
async fn render(answer: Answer) -> String {
    tokio::task::spawn_blocking(move || answer()).await.unwrap_or_default()
}

/// The bytes up to the empty line; `None` when there are too many.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1_024];
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&chunk[..count]);
        if bytes.len() > HEAD {
            return Ok(None);
        }
        if bytes.windows(4).any(|window| window == b"\r\n\r\n") {
            return Ok(Some(bytes));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NotHttp,
    TooLong,
    OtherMethod,
    OtherPath,
    OtherHost,
}

impl Refusal {
    fn status(self) -> (&'static str, &'static str) {
        match self {
            Self::NotHttp => ("400 Bad Request", ""),
            Self::TooLong => ("431 Request Header Fields Too Large", ""),
            Self::OtherMethod => ("405 Method Not Allowed", "Allow: GET, HEAD\r\n"),
            Self::OtherPath => ("404 Not Found", ""),
            Self::OtherHost => ("421 Misdirected Request", ""),
        }
    }
}

/// What is asked for. A page in somebody's browser can reach this address under a name of its own: such a
/// name is not answered.
fn read(head: &[u8], checks_host: bool) -> Result<Method, Refusal> {
    let text = std::str::from_utf8(head).map_err(|_| Refusal::NotHttp)?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::NotHttp);
    };
    if !version.starts_with("HTTP/1.") {
        return Err(Refusal::NotHttp);
    }
    let host = lines.filter_map(|line| line.split_once(':')).find(|it| it.0.eq_ignore_ascii_case("host"));
    if checks_host && host.is_some_and(|(_, host)| !is_this_machine(host.trim())) {
        return Err(Refusal::OtherHost);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Refusal::OtherMethod),
    };
    let path = target.split('?').next().unwrap_or_default();
    if path == "/metrics" { Ok(method) } else { Err(Refusal::OtherPath) }
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_read_of_the_one_path_is_answered() {
        let check = |head: &str, expected: Result<Method, Refusal>| {
            assert_eq!(read(head.as_bytes(), true), expected, "{head:?}");
        };
        check("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9877\r\n\r\n", Ok(Method::Get));
        check("GET /metrics?x=1 HTTP/1.0\r\n\r\n", Ok(Method::Get));
        check("HEAD /metrics HTTP/1.1\r\nhost: LOCALHOST\r\n\r\n", Ok(Method::Head));
        check("GET /metrics HTTP/1.1\r\nHost: [::1]:9877\r\n\r\n", Ok(Method::Get));
        check("POST /metrics HTTP/1.1\r\n\r\n", Err(Refusal::OtherMethod));
        check("GET / HTTP/1.1\r\n\r\n", Err(Refusal::OtherPath));
        check("GET /metrics/../x HTTP/1.1\r\n\r\n", Err(Refusal::OtherPath));
        check("GET /metrics HTTP/1.1\r\nHost: evil.example:9877\r\n\r\n", Err(Refusal::OtherHost));
        check("GET /metrics HTTP/2\r\n\r\n", Err(Refusal::NotHttp));
        check("GET  /metrics HTTP/1.1\r\n\r\n", Err(Refusal::NotHttp));
        check("\u{1}\r\n\r\n", Err(Refusal::NotHttp));
        assert_eq!(read(b"GET /m\xff HTTP/1.1\r\n\r\n", true), Err(Refusal::NotHttp));
        assert_eq!(read(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", false), Ok(Method::Get));
    }
}
