//! Fingerprints of host keys as DNS has them (SSHFP: RFC 4255 and 6594), and only those that a validating
//! resolver vouches for. We validate nothing ourselves: as the C library does, we believe the resolver's
//! word where resolv.conf says `trust-ad`, for whoever wrote that knows it and the way to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64_NOPAD;
use hickory_proto::ProtoError;
use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::sshfp::{Algorithm, FingerprintType, SSHFP};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ssh::HostKey;

pub const RESOLV_CONF: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// The C library asks no more of them either.
const MOST_SERVERS: usize = 3;
/// Questions that are under way at once.
const AT_ONCE: usize = 16;

/// Why there are no fingerprints, for all names or for one.
#[derive(Debug, thiserror::Error)]
pub enum SshfpError {
    #[error("read {path}, which says who answers for DNS: {source}")]
    Unread {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "fingerprints from DNS are worth something where DNSSEC was validated, and {path} does not say that its \
         resolvers do it and can be believed: add \"options trust-ad\" there if they are this machine's own, or \
         take --fingerprint SHA256:…"
    )]
    Untrusted { path: PathBuf },
    #[error(
        "{}:{line}: {word:?} is no address of a name server that can be asked: give an IP address without a port \
         or an interface, or take --fingerprint SHA256:…",
        path.display()
    )]
    Nameserver { path: PathBuf, line: usize, word: String },
    #[error("an address has no SSHFP records: give the host's name as its address")]
    Address,
    #[error("not a name that DNS can have: {0}")]
    Name(#[source] ProtoError),
    #[error("asking {server} for SSHFP records: {why}")]
    NoAnswer { server: SocketAddr, why: String },
    #[error("{server} could not say which SSHFP records it has: {code}")]
    Refused { server: SocketAddr, code: ResponseCode },
    #[error("DNS has no SSHFP records with a SHA-256 fingerprint of it")]
    None,
    #[error(
        "its SSHFP records are not believed: {server} did not validate them, or its zone is not signed (DNSSEC)"
    )]
    Unvalidated { server: SocketAddr },
}

/// The fingerprints of one host's keys, validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprints(Vec<(Algorithm, String)>);

impl Fingerprints {
    pub fn have(&self, key: &HostKey) -> bool {
        let algorithm = match key.algorithm.as_str() {
            "ssh-ed25519" => Algorithm::Ed25519,
            "ssh-rsa" => Algorithm::RSA,
            ecdsa if ecdsa.starts_with("ecdsa-sha2-") => Algorithm::ECDSA,
            _ => return false,
        };
        self.0.iter().any(|(of, print)| *of == algorithm && *print == key.fingerprint_sha256)
    }
}

/// Who is asked: resolvers that are trusted to have validated what they say they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolvers(Vec<SocketAddr>);

impl Resolvers {
    pub fn from_file(path: &Path) -> Result<Self, SshfpError> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|source| SshfpError::Unread { path: path.to_owned(), source })?;
        Self::from_text(&text, path)
    }

    /// Only those of a file that says that they are trusted.
    fn from_text(text: &str, path: &Path) -> Result<Self, SshfpError> {
        let (mut servers, mut trusted) = (Vec::new(), false);
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                // One that is passed over would leave its place to another, in the end to this machine, whom
                // nobody has said to believe.
                Some("nameserver") if servers.len() < MOST_SERVERS => {
                    let word = words.next().unwrap_or_default();
                    let server = word.parse::<IpAddr>();
                    servers.push(server.map_err(|_| SshfpError::Nameserver {
                        path: path.to_owned(),
                        line: number + 1,
                        word: word.to_owned(),
                    })?);
                }
                Some("options") => trusted |= words.any(|word| word == "trust-ad"),
                _ => {}
            }
        }
        // What the C library takes where none is named.
        if servers.is_empty() {
            servers.push(Ipv4Addr::LOCALHOST.into());
        }
        match trusted {
            true => Ok(Self(servers.into_iter().map(|server| SocketAddr::new(server, PORT)).collect())),
            false => Err(SshfpError::Untrusted { path: path.to_owned() }),
        }
    }

    /// What DNS says of each of these names, some at a time; each server has `limit` for an answer.
    pub async fn ask(
        &self,
        names: BTreeSet<String>,
        limit: Duration,
    ) -> BTreeMap<String, Result<Fingerprints, SshfpError>> {
        let (servers, mut answers, mut asking) = (Arc::new(self.clone()), BTreeMap::new(), JoinSet::new());
        for name in names {
            if asking.len() >= AT_ONCE {
                answers.extend(asking.join_next().await.and_then(Result::ok));
            }
            let servers = Arc::clone(&servers);
            asking.spawn(async move {
                let answer = servers.fingerprints(&name, limit).await;
                (name, answer)
            });
        }
        while let Some(answer) = asking.join_next().await {
            answers.extend(answer.ok());
        }
        answers
    }

    async fn fingerprints(&self, name: &str, limit: Duration) -> Result<Fingerprints, SshfpError> {
        if name.parse::<IpAddr>().is_ok() {
            return Err(SshfpError::Address);
        }
        let mut wanted = Name::from_ascii(name).map_err(SshfpError::Name)?;
        wanted.set_fqdn(true);
        let mut last = Err(SshfpError::None);
        for server in &self.0 {
            let answer = timeout(limit, exchange(*server, &wanted)).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            last = match answer {
                Ok(message) => match judged(*server, &wanted, message) {
                    // It has said nothing about the name; the next one may know it.
                    Err(SshfpError::Refused { server, code }) => Err(SshfpError::Refused { server, code }),
                    judged => return judged,
                },
                Err(why) => Err(SshfpError::NoAnswer { server: *server, why }),
            };
        }
        last
    }
}

/// Over TCP at once: several keys' records are more than a datagram's worth, and nobody forges a reply.
async fn exchange(server: SocketAddr, name: &Name) -> Result<Message, String> {
    let words = |error: io::Error| error.to_string();
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    // That we understand the flag in the answer (RFC 6840).
    question.metadata.authentic_data = true;
    question.add_query(Query::query(name.clone(), RecordType::SSHFP));
    let bytes = question.to_vec().map_err(|error| error.to_string())?;
    let length = u16::try_from(bytes.len()).map_err(|error| error.to_string())?;
    let mut stream = TcpStream::connect(server).await.map_err(words)?;
    stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await.map_err(words)?;
    let length = stream.read_u16().await.map_err(words)?;
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await.map_err(words)?;
    let answer = Message::from_vec(&bytes).map_err(|error| error.to_string())?;
    let header = &answer.metadata;
    let ours = header.id == question.metadata.id && header.message_type == MessageType::Response;
    if ours && answer.queries == question.queries {
        Ok(answer)
    } else {
        Err("it answered another question".to_owned())
    }
}

fn judged(server: SocketAddr, wanted: &Name, answer: Message) -> Result<Fingerprints, SshfpError> {
    match answer.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err(SshfpError::None),
        code => return Err(SshfpError::Refused { server, code }),
    }
    let owner = owner(wanted, &answer.answers);
    let own = answer.answers.iter().filter(|record| record.name == *owner);
    let prints: Vec<(Algorithm, String)> = own.filter_map(|record| print(&record.data)).collect();
    if prints.is_empty() {
        return Err(SshfpError::None);
    }
    if !answer.metadata.authentic_data {
        return Err(SshfpError::Unvalidated { server });
    }
    Ok(Fingerprints(prints))
}

/// Whose records count: the name that was asked for, or the one that it is another name of.
fn owner<'a>(wanted: &'a Name, answers: &'a [Record]) -> &'a Name {
    let mut owner = wanted;
    // So many steps at most: names may be other names of each other in a circle.
    for _ in answers {
        let next = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *owner => Some(&target.0),
            _ => None,
        });
        match next {
            Some(next) => owner = next,
            None => break,
        }
    }
    owner
}

/// As `ssh-keygen -l` prints it. SHA-1 convinces nobody any more.
fn print(data: &RData) -> Option<(Algorithm, String)> {
    let RData::SSHFP(SSHFP { algorithm, fingerprint_type: FingerprintType::SHA256, fingerprint, .. }) = data
    else {
        return None;
    };
    Some((*algorithm, format!("SHA256:{}", BASE64_NOPAD.encode(fingerprint))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_says_so_makes_a_resolver_trusted() {
        let read = |text: &str| Resolvers::from_text(text, Path::new("resolv.conf"));
        let refused = |text: &str| read(text).unwrap_err().to_string();
        assert!(matches!(read("nameserver 127.0.0.53\noptions edns0\n"), Err(SshfpError::Untrusted { .. })));
        let trusted = |text: &str| read(text).unwrap().0.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(trusted("options edns0 trust-ad\n# nameserver 1.2.3.4\n"), ["127.0.0.1:53"]);
        let four = "nameserver ::1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver x\n";
        assert_eq!(trusted(&format!("{four}options trust-ad")), ["[::1]:53", "127.0.0.2:53", "127.0.0.3:53"]);
        for bad in ["fe80::1%eth0", "127.0.0.53#53", ""] {
            let text = refused(&format!("options trust-ad\nnameserver {bad}\n"));
            assert!(text.starts_with(&format!("resolv.conf:2: {bad:?} is no address")), "{text}");
        }
    }

    #[test]
    fn only_the_names_own_records_count() {
        use hickory_proto::rr::rdata::CNAME;
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let alias = |from: &str, to: &str| Record::from_rdata(name(from), 60, RData::CNAME(CNAME(name(to))));
        let records = [alias("B.test.", "c.test."), alias("a.test.", "b.test."), alias("x.test.", "y.test.")];
        assert_eq!(owner(&name("a.test."), &records), &name("c.test."));
        assert_eq!(owner(&name("d.test."), &records), &name("d.test."));
        let circle = [alias("a.test.", "b.test."), alias("b.test.", "a.test.")];
        owner(&name("a.test."), &circle);
    }
}
