//! User certificates, several keys, and keys on tokens.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use data_encoding::BASE64;
use dropsonde::model::{Agent as Where, AlgorithmList, Algorithms, Host, ListChange, Outcome, SshOptions};
use dropsonde::transport::Transport;
use dropsonde::transport::ssh::{self, Settings, Timeouts};
use russh::keys::key::safe_rng;
use russh::keys::signature::Signer;
use russh::keys::ssh_key::Signature;
use russh::keys::{Algorithm, PrivateKey};
use sha2::{Digest, Sha256};

use super::login::Agent;
use super::{authorize, connect, host, keygen, public, refuses, settings};
use crate::support::sshd::{Setup, Sshd};

const PLAIN: [&str; 4] = ["-N", "", "-t", "ed25519"];

/// An sshd that knows no key, only an authority.
fn certifying() -> (Sshd, PathBuf) {
    let sshd = Sshd::start(Setup::default());
    let authority = keygen(sshd.dir(), "authority", &PLAIN);
    fs::write(sshd.dir().join("authorized_keys"), format!("cert-authority {}", public(&authority))).unwrap();
    (sshd, authority)
}

/// Certifies `key`; the certificate stands beside it.
fn certify(authority: &Path, key: &Path, args: &[&str]) -> PathBuf {
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-I", "a person", "-n", "root", "-s"]).arg(authority).args(args);
    assert!(sign.arg(key.with_extension("pub")).status().expect("ssh-keygen").success());
    PathBuf::from(format!("{}-cert.pub", key.display()))
}

fn with_options(sshd: &Sshd, keys: &[&Path], ssh: SshOptions) -> Host {
    let identity_files = keys.iter().map(|key| key.to_path_buf()).collect();
    Host { identity_files, ssh: Arc::new(ssh), ..host(sshd) }
}

#[tokio::test]
async fn a_certificate_beside_its_key_logs_in() {
    let (sshd, authority) = certifying();
    for (name, args) in [
        ("ed25519", &["-N", "", "-t", "ed25519"][..]),
        ("ecdsa", &["-N", "", "-t", "ecdsa"]),
        ("rsa", &["-N", "", "-t", "rsa", "-b", "2048"]),
    ] {
        let key = keygen(sshd.dir(), name, args);
        let there = with_options(&sshd, &[&key], SshOptions::default());
        let plain = refuses(&there, &settings(), Outcome::AuthFailed, &[name]).await;
        assert!(!plain.detail.contains("cert"), "{plain}");
        certify(&authority, &key, &[]);
        connect(&there).await.unwrap_or_else(|error| panic!("{name}: {error}")).close().await;
    }
    // What is over is not offered, and said.
    let key = keygen(sshd.dir(), "late", &PLAIN);
    certify(&authority, &key, &["-V", "-2d:-1d"]);
    let there = with_options(&sshd, &[&key], SshOptions::default());
    refuses(&there, &settings(), Outcome::AuthFailed, &["late-cert.pub is of no use: it expired on 20"])
        .await;
}

#[tokio::test]
async fn a_certificate_elsewhere_finds_its_key_in_a_file_or_in_the_agent() {
    let (sshd, authority) = certifying();
    let agent = Agent::start(sshd.dir());
    let elsewhere = |key: &Path| {
        let file = key.with_extension("elsewhere");
        fs::rename(certify(&authority, key, &[]), &file).unwrap();
        SshOptions { certificate_files: vec![file], ..SshOptions::default() }
    };
    let plain = keygen(sshd.dir(), "plain", &PLAIN);
    let options = elsewhere(&plain);
    connect(&with_options(&sshd, &[&plain], options.clone())).await.unwrap().close().await;
    let alone = with_options(&sshd, &[], options);
    refuses(&alone, &agent.settings(), Outcome::AuthFailed, &["there is no private key for"]).await;
    // Encrypted, so the agent has to sign; only its certificate lets it in.
    for (name, kind) in [("locked", "ed25519"), ("locked_rsa", "rsa")] {
        let locked = keygen(sshd.dir(), name, &["-N", "secret", "-t", kind]);
        agent.add(&locked);
        let options = SshOptions { identities_only: true, ..elsewhere(&locked) };
        for keys in [&[&*locked][..], &[]] {
            let there = with_options(&sshd, keys, options.clone());
            ssh::connect(&there, &agent.settings()).await.unwrap().close().await;
        }
    }
}

#[tokio::test]
async fn the_keys_that_are_named_come_before_the_agents_others() {
    let lines = vec!["MaxAuthTries 2".to_owned()];
    let sshd = Sshd::start(Setup { lines, ..Setup::default() });
    let agent = Agent::start(sshd.dir());
    for n in 0..4 {
        agent.add(&keygen(sshd.dir(), &format!("stray{n}"), &PLAIN));
    }
    let wanted = keygen(sshd.dir(), "wanted", &["-N", "secret", "-t", "ed25519"]);
    authorize(&sshd, &wanted);
    agent.add(&wanted);
    let all = with_options(&sshd, &[], SshOptions::default());
    refuses(&all, &agent.settings(), Outcome::AuthFailed, &["Too many authentication failures"]).await;
    let named = with_options(&sshd, &[&wanted], SshOptions::default());
    ssh::connect(&named, &agent.settings()).await.unwrap().close().await;
    // By its public half alone.
    let half = with_options(&sshd, &[&wanted.with_extension("pub")], SshOptions::default());
    ssh::connect(&half, &agent.settings()).await.unwrap().close().await;
    // And the others not at all.
    let stranger = keygen(sshd.dir(), "stranger", &PLAIN);
    let only = SshOptions { identities_only: true, ..SshOptions::default() };
    let there = with_options(&sshd, &[&stranger], only);
    let error = refuses(&there, &agent.settings(), Outcome::AuthFailed, &["stranger"]).await;
    assert!(!error.detail.contains("stray"), "{error}");
    // Another agent than the usual one, or none.
    let socket = SshOptions { agent: Where::Socket(agent.socket.clone()), ..SshOptions::default() };
    ssh::connect(&with_options(&sshd, &[&wanted], socket), &settings()).await.unwrap().close().await;
    let off = SshOptions { agent: Where::Off, ..SshOptions::default() };
    let there = with_options(&sshd, &[&wanted], off);
    refuses(&there, &agent.settings(), Outcome::AuthFailed, &["add it to ssh-agent (ssh-add"]).await;
}

#[tokio::test]
async fn an_ssh_config_says_what_may_be_signed_with() {
    let sshd = Sshd::start(Setup::default());
    let rsa = keygen(sshd.dir(), "rsa", &["-N", "", "-t", "rsa", "-b", "2048"]);
    authorize(&sshd, &rsa);
    let with = |names: &[&str], min_rsa_bits| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let pubkey = Some(AlgorithmList { change: ListChange::Replace, names });
        let algorithms = Algorithms { pubkey, min_rsa_bits, ..Algorithms::default() };
        with_options(&sshd, &[&rsa], SshOptions { algorithms, ..SshOptions::default() })
    };
    connect(&with(&["rsa-sha2-256"], None)).await.unwrap().close().await;
    let parts = ["PubkeyAcceptedAlgorithms has no rsa-sha2-512"];
    refuses(&with(&["ssh-ed25519"], None), &settings(), Outcome::AuthFailed, &parts).await;
    refuses(&with(&["ssh-rsa"], None), &settings(), Outcome::AuthFailed, &["leaves nothing to use"]).await;
    let parts = ["RSA key of fewer than 3072 bits"];
    refuses(&with(&["rsa-sha2-256"], Some(3072)), &settings(), Outcome::AuthFailed, &parts).await;
}

#[tokio::test]
async fn passwords_and_questions_are_for_people() {
    let lines = vec!["AuthenticationMethods keyboard-interactive".to_owned()];
    let lines =
        lines.into_iter().chain(["KbdInteractiveAuthentication yes".to_owned(), "UsePAM yes".to_owned()]);
    let sshd = Sshd::start(Setup { lines: lines.collect(), ..Setup::default() });
    let parts = ["it accepts keyboard-interactive", "logs in with keys only"];
    refuses(&host(&sshd), &settings(), Outcome::AuthFailed, &parts).await;
}

/// An agent with one key on a token that is made of software: it signs as a FIDO key does, which the
/// real sshd verifies. Without the token it lists the key and refuses to sign, as OpenSSH's agent does.
struct Token {
    socket: PathBuf,
    public: Vec<u8>,
}

impl Token {
    const KIND: &str = "sk-ssh-ed25519@openssh.com";

    fn start(dir: &Path, plugged_in: bool) -> Self {
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let point = key.public_key().key_data().ed25519().unwrap().0;
        let public = [string(Self::KIND.as_bytes()), string(&point), string(b"ssh:")].concat();
        let socket = dir.join(format!("token-{plugged_in}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        let served = public.clone();
        // It ends with the test's process, as do those that it serves.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, &served, plugged_in.then_some(&key));
            }
        });
        Self { socket, public }
    }

    fn line(&self) -> String {
        format!("{} {} token\n", Self::KIND, BASE64.encode(&self.public))
    }
}

fn serve(mut stream: UnixStream, public: &[u8], key: Option<&PrivateKey>) -> std::io::Result<()> {
    const FAILURE: u8 = 5;
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request)?;
        let answer = match (request[0], key) {
            (11, _) => [&[12, 0, 0, 0, 1][..], &string(public), &string(b"token")].concat(),
            (13, Some(key)) => {
                let blob = u32::from_be_bytes(request[1..5].try_into().unwrap()) as usize;
                assert_eq!(&request[5..5 + blob], public);
                let rest = &request[5 + blob..];
                let data = &rest[4..4 + u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize];
                [vec![14], string(&signature(key, data))].concat()
            }
            _ => vec![FAILURE],
        };
        stream.write_all(&string(&answer))?;
    }
}

/// As a token signs: the application's hash, a flag that it was touched, a counter, the data's hash.
fn signature(key: &PrivateKey, data: &[u8]) -> Vec<u8> {
    let state = [1, 0, 0, 0, 7];
    let signed = [&Sha256::digest(b"ssh:")[..], &state, &Sha256::digest(data)].concat();
    let made: Signature = key.try_sign(&signed).unwrap();
    [string(Token::KIND.as_bytes()), string(made.as_bytes()), state.to_vec()].concat()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

#[tokio::test]
async fn a_key_on_a_token_signs_through_the_agent() {
    let sshd = Sshd::start(Setup::default());
    let alone = with_options(&sshd, &[], SshOptions::default());
    let authorized = sshd.dir().join("authorized_keys");
    let settings = |token: &Token| Settings::new(Timeouts::default(), Some(token.socket.clone()));
    let token = Token::start(sshd.dir(), true);
    let parts = ["refused token SHA256:", " from ssh-agent (sk-ssh-ed25519@openssh.com)"];
    refuses(&alone, &settings(&token), Outcome::AuthFailed, &parts).await;
    fs::write(&authorized, token.line()).unwrap();
    ssh::connect(&alone, &settings(&token)).await.unwrap().close().await;

    let unplugged = Token::start(sshd.dir(), false);
    fs::write(&authorized, unplugged.line()).unwrap();
    let parts = ["token SHA256:", " from ssh-agent did not sign", "token is plugged in"];
    refuses(&alone, &settings(&unplugged), Outcome::AuthFailed, &parts).await;
}
