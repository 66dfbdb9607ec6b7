//! A receiver of alerts: an HTTP server that can be down, slow, or say no. It keeps what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// What it answers from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A status line without the version, and further header lines.
    Say(&'static str),
    /// Takes the request and never answers.
    Silence,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Whether it was answered with a 2xx.
    pub taken: bool,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Its address, which stays while servers come and go.
#[derive(Debug, Clone)]
pub struct Place {
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Place {
    /// An address that nobody else is given, so that its port is free whenever a server comes back.
    pub fn reserve() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 64 | (high & 0x3f), low, NEXT.fetch_add(1, Ordering::Relaxed));
        let listener = TcpListener::bind((address, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        Self { address, tls: None, requests: Arc::default() }
    }

    /// The same over TLS; clients must show a certificate, too. The files are made in `folder`.
    pub fn over_tls(self, folder: &Path) -> Self {
        certificates(folder, self.address.ip());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).expect("ca.pem")).expect("a CA");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).expect("server.pem")];
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("server.key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(chain, key)
            .expect("a server's certificate");
        Self { tls: Some(Arc::new(config)), ..self }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http{}://{}{path}", if self.tls.is_some() { "s" } else { "" }, self.address)
    }

    /// Everything that was sent here, to whichever server.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("nobody panicked").clone()
    }

    /// Those that were taken.
    pub fn taken(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.taken).collect()
    }

    /// Starts a server here. It is down again when the value is dropped.
    pub fn open(&self, answer: Answer) -> Receiver {
        let address = self.address;
        let listener = TcpListener::bind(address).expect("the reserved address");
        let (place, answer) = (self.clone(), Arc::new(Mutex::new(answer)));
        let closed = Arc::new(AtomicBool::new(false));
        let serving = {
            let (place, answer, closed) = (place.clone(), Arc::clone(&answer), Arc::clone(&closed));
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if closed.load(Ordering::SeqCst) {
                        return;
                    }
                    let (place, answer) = (place.clone(), Arc::clone(&answer));
                    let stream = stream.expect("accept");
                    std::thread::spawn(move || place.serve(stream, &answer));
                }
            })
        };
        Receiver { address, answer, closed, serving: Some(serving) }
    }

    fn serve(&self, stream: TcpStream, answer: &Mutex<Answer>) {
        // Who goes away in the middle is what some tests are about.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
        match &self.tls {
            None => self.exchange(stream, answer),
            Some(config) => {
                let session = ServerConnection::new(Arc::clone(config)).expect("a TLS session");
                self.exchange(StreamOwned::new(session, stream), answer);
            }
        }
    }

    fn exchange(&self, stream: impl Read + Write, answer: &Mutex<Answer>) {
        let mut stream = BufReader::new(stream);
        let Some(mut request) = read(&mut stream) else { return };
        let answer = answer.lock().expect("nobody panicked").clone();
        match answer {
            Answer::Silence => {
                self.requests.lock().expect("nobody panicked").push(request);
                // Until the client has had enough.
                let _ = stream.read(&mut [0]);
            }
            Answer::Say(status) => {
                request.taken = status.starts_with('2');
                self.requests.lock().expect("nobody panicked").push(request);
                let text = format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsaid");
                let _ = stream.get_mut().write_all(text.as_bytes());
                let _ = stream.get_mut().flush();
            }
        }
    }
}

fn read(stream: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    Some(Request { line: line.trim_end().to_owned(), headers, body, taken: false })
}

/// A server that is up.
pub struct Receiver {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    closed: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Receiver {
    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().expect("nobody panicked") = answer;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Its own call is what lets it see that.
        let _ = TcpStream::connect(self.address);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// Makes a CA, a server's certificate and a client's, all in `folder`.
fn certificates(folder: &Path, address: IpAddr) {
    let openssl = |arguments: &str| {
        let mut command = std::process::Command::new("openssl");
        let output =
            command.args(arguments.split(' ')).current_dir(folder).output().expect("openssl is installed");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {KEY} -keyout ca.key -out ca.pem -days 2 -subj /CN=tests"));
    for (name, usage) in [("server", "serverAuth"), ("client", "clientAuth")] {
        std::fs::write(
            folder.join(format!("{name}.ext")),
            format!("subjectAltName=IP:{address}\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n"),
        )
        .expect("extensions");
        openssl(&format!("req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile {name}.ext"
        ));
    }
}
