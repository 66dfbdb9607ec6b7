//! `hosts trust --from-dns`: a real sshd whose keys a small DNS server has, as `ssh-keygen -r` writes them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::sshfp::{Algorithm, FingerprintType};
use hickory_proto::rr::rdata::{CNAME, SSHFP};
use hickory_proto::rr::{Name, RData, Record};
use serde_json::Value;

use crate::support::sshd::{Setup, Sshd};

/// Nothing else of these tests is there. The port is that of DNS: resolv.conf cannot say another.
const SERVER: &str = "127.53.0.53";

/// One that can say nothing of any name, and is asked first.
const LAME: &str = "127.53.0.54";

/// Another name of the host that has the records.
const ALIAS: &str = "alias.test.";
/// The answer has records, of another name.
const STRAY: &str = "stray.test.";

/// Algorithm, type of digest, digest.
type Records = Vec<(u8, u8, Vec<u8>)>;
/// What each name has, and whether it is validated.
type Zone = Vec<(&'static str, bool, Records)>;

/// A DNS server that has SSHFP records for some names.
struct Dns {
    address: &'static str,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    fn start(address: &'static str, zone: Zone) -> Self {
        let listener = TcpListener::bind((address, 53)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut question = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut question).unwrap();
                let answer = answer(&zone, &Message::from_vec(&question).unwrap()).to_vec().unwrap();
                stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
                stream.write_all(&answer).unwrap();
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = std::net::TcpStream::connect((self.address, 53));
        let _ = self.thread.take().unwrap().join();
    }
}

fn answer(zone: &[(&str, bool, Records)], question: &Message) -> Message {
    let query = question.queries[0].clone();
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    let asked = query.name().to_ascii();
    answer.add_query(query.clone());
    match zone.iter().find(|(name, ..)| asked == format!("{name}.")) {
        Some((_, validated, records)) => {
            answer.metadata.authentic_data = *validated;
            let owner = match asked.as_str() {
                ALIAS => {
                    let target = Name::from_ascii("real.test.").unwrap();
                    let data = RData::CNAME(CNAME(target.clone()));
                    answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
                    target
                }
                STRAY => Name::from_ascii("other.test.").unwrap(),
                _ => query.name().clone(),
            };
            for (algorithm, digest, bytes) in records {
                let data =
                    SSHFP::new(Algorithm::from(*algorithm), FingerprintType::from(*digest), bytes.clone());
                answer.add_answer(Record::from_rdata(owner.clone(), 60, RData::SSHFP(data)));
            }
        }
        None if zone.is_empty() => answer.metadata.response_code = ResponseCode::ServFail,
        None => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    answer
}

/// What `ssh-keygen -r` would have in DNS.
fn records(sshd: &Sshd) -> Records {
    let made =
        Command::new("ssh-keygen").args(["-r", "x", "-f"]).arg(sshd.dir().join("host_key.pub")).output();
    let text = String::from_utf8(made.unwrap().stdout).unwrap();
    let record = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[..3], ["x", "IN", "SSHFP"], "{line}");
        let digest = data_encoding::HEXLOWER_PERMISSIVE.decode(words[5].as_bytes()).unwrap();
        (words[3].parse().unwrap(), words[4].parse().unwrap(), digest)
    };
    let records: Vec<_> = text.lines().map(record).collect();
    assert_eq!(records.len(), 2, "{text}");
    records
}

#[test]
fn keys_are_believed_where_a_trusted_resolver_has_validated_their_records() {
    let sshd = Sshd::start(Setup::default());
    let (true_ones, mut other) = (records(&sshd), records(&sshd));
    other.iter_mut().for_each(|record| record.2[0] ^= 1);
    let only_sha1 = true_ones.iter().filter(|record| record.1 == 1).cloned().collect();
    let zone = vec![
        ("signed.test", true, true_ones.clone()),
        ("alias.test", true, true_ones.clone()),
        ("stray.test", true, true_ones.clone()),
        ("unsigned.test", false, true_ones),
        ("moved.test", true, other),
        ("old.test", true, only_sha1),
    ];
    let names: Vec<&str> = zone.iter().map(|(name, ..)| *name).chain(["absent.test"]).collect();
    let (dns, _lame) = (Dns::start(SERVER, zone), Dns::start(LAME, Vec::new()));
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let mut config = format!(
        "[defaults]\nuser = \"root\"\nport = {}\nagent = false\nidentity_files = [{:?}]\nknown_hosts = [{:?}]\n",
        sshd.port(),
        sshd.identity(),
        file("known_hosts"),
    );
    for name in names.iter().chain(&["127.0.0.1"]) {
        config += &format!("[[hosts]]\nnames = \"{}\"\naddress = \"{name}\"\n", name.replace('.', "-"));
    }
    fs::write(file("config.toml"), config).unwrap();
    let hosts: String = names.iter().map(|name| format!("127.0.0.1 {name}\n")).collect();
    fs::write(file("hosts"), hosts).unwrap();
    let trust = |options: &str| {
        fs::write(
            file("resolv.conf"),
            format!("nameserver {LAME}\nnameserver {SERVER}\noptions {options}\n"),
        )
        .unwrap();
        let script =
            "mount --bind resolv.conf /etc/resolv.conf && mount --bind hosts /etc/hosts && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c", script, "sh"]);
        command.arg(env!("CARGO_BIN_EXE_dropsonde")).args(["--config", "config.toml", "--json"]);
        command.args(["hosts", "trust", "--from-dns"]).current_dir(dir.path()).env("HOME", dir.path());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };

    let (exit, out, err) = trust("edns0");
    assert_eq!((exit, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("options trust-ad"), "{err}");

    let (exit, out, err) = trust("edns0 trust-ad");
    assert_eq!(exit, 3, "{out}{err}");
    let json: Value = serde_json::from_str(&out).unwrap();
    let said = |name: &str| {
        let host = json["hosts"].as_array().unwrap().iter().find(|host| host["name"] == name).unwrap();
        format!("{}: {}", host["state"].as_str().unwrap(), host["detail"].as_str().unwrap())
    };
    for (name, expected) in [
        ("signed-test", "added: added to "),
        ("alias-test", "added: added to "),
        ("stray-test", "declined: DNS has no SSHFP records"),
        (
            "unsigned-test",
            "declined: its SSHFP records are not believed: 127.53.0.53:53 did not validate them",
        ),
        ("moved-test", "declined: none of its keys is among its SSHFP records"),
        ("old-test", "declined: DNS has no SSHFP records with a SHA-256 fingerprint"),
        ("absent-test", "declined: DNS has no SSHFP records"),
        ("127-0-0-1", "declined: an address has no SSHFP records"),
    ] {
        assert!(said(name).starts_with(expected), "{name}: {}", said(name));
    }
    let known = fs::read_to_string(file("known_hosts")).unwrap();
    let line = |name: &str| format!("[{name}.test]:{} {}\n", sshd.port(), sshd.host_key());
    assert_eq!(known, line("signed") + &line("alias"));

    drop(dns);
    let (exit, out, _) = trust("trust-ad");
    assert_eq!(exit, 3, "{out}");
    assert!(out.contains("asking 127.53.0.53:53 for SSHFP records: Connection refused"), "{out}");
}
