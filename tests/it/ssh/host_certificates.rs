//! Host certificates: what OpenSSH's client takes is taken, and what it refuses is refused.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dropsonde::model::{AlgorithmList, Algorithms, Host, ListChange, Outcome, SshOptions};
use dropsonde::transport::Transport;
use dropsonde::transport::ssh::{self, Introduction};

use super::{connect, host, keygen, public, refuses, settings};
use crate::support::sshd::{Setup, Sshd};

/// An authority, another one, and a host key to certify.
struct Office {
    dir: tempfile::TempDir,
    authority: PathBuf,
    other: PathBuf,
    key: PathBuf,
}

impl Office {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let make = |name, args: &[&str]| keygen(dir.path(), name, args);
        let ed25519 = ["-N", "", "-t", "ed25519"];
        let [authority, other, key] = ["authority", "other", "key"].map(|name| make(name, &ed25519));
        Self { dir, authority, other, key }
    }

    fn authority_of(&self, name: &str, args: &[&str]) -> PathBuf {
        keygen(self.dir.path(), name, &[&["-N", ""], args].concat())
    }

    /// An sshd that shows the key with a certificate as `ssh-keygen -s` makes it with `args`.
    fn certified(&self, authority: &Path, args: &[&str]) -> Sshd {
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-q", "-h", "-I", "a host", "-s"]).arg(authority).args(args);
        assert!(sign.arg(self.key.with_extension("pub")).status().expect("ssh-keygen").success());
        let certificate = self.dir.path().join("key-cert.pub");
        let lines = vec![
            format!("HostKey {}", self.key.display()),
            format!("HostCertificate {}", certificate.display()),
        ];
        Sshd::start(Setup { lines, ..Setup::default() })
    }
}

/// Whether OpenSSH's client connects to it, with its own known_hosts file.
fn openssh_connects(sshd: &Sshd, options: &[&str]) -> bool {
    let mut client = sshd.ssh("127.0.0.1");
    let mut all = vec!["-o", "GlobalKnownHostsFile=/dev/null"];
    all.extend(options);
    // The destination stands last but for the command, so options go before it.
    let output = client.args(all).arg("true").output().expect("ssh");
    output.status.success()
}

#[tokio::test]
async fn what_ssh_takes_is_taken_and_what_it_refuses_is_refused() {
    let office = Office::new();
    let (ours, others) = (public(&office.authority), public(&office.other));
    let everywhere = format!("@cert-authority * {ours}");
    let check = async |args: &[&str], known: &str, expected: Result<(), &str>| {
        let sshd = office.certified(&office.authority, args);
        std::fs::write(sshd.known_hosts(), known).unwrap();
        let ours = connect(&host(&sshd)).await.map(drop).map_err(|error| error.detail);
        assert_eq!(openssh_connects(&sshd, &[]), expected.is_ok(), "ssh, {args:?}, {known}");
        match (ours, expected) {
            (Ok(()), Ok(())) => {}
            (Err(detail), Err(part)) if detail.contains(part) => {
                let both = ["shows no certificate", "its certificate is not valid"];
                assert!(!both.iter().all(|words| detail.contains(words)), "{detail}");
            }
            (ours, _) => panic!("{args:?}, {known}: {ours:?} and not {expected:?}"),
        }
    };
    check(&["-n", "127.0.0.1"], &everywhere, Ok(())).await;
    check(&["-n", "web01,127.0.0.1"], &everywhere, Ok(())).await;
    check(&["-n", "web01,web02"], &everywhere, Err("it is for web01, web02, not for 127.0.0.1")).await;
    check(&["-n", "127.0.0.1", "-V", "-5m:+1h"], &everywhere, Ok(())).await;
    check(&["-n", "127.0.0.1", "-V", "-2d:-1d"], &everywhere, Err("it expired")).await;
    check(&["-n", "127.0.0.1", "-V", "+1d:+2d"], &everywhere, Err("it is not valid before 20")).await;
    check(&["-n", "127.0.0.1", "-O", "critical:x@y=z"], &everywhere, Err("critical option \"x@y\"")).await;
    // Which hosts an authority has.
    let only = |names: &str| format!("@cert-authority {names} {ours}");
    let stranger = "it shows no certificate";
    check(&["-n", "127.0.0.1"], &only("127.0.0.*"), Ok(())).await;
    check(&["-n", "127.0.0.1"], &only("[127.0.0.1]:*"), Ok(())).await;
    check(&["-n", "127.0.0.1"], &only("*,!127.0.0.1,![127.0.0.1]:*"), Err("hosts trust web01")).await;
    check(&["-n", "127.0.0.1"], &only("*.example"), Err("hosts trust web01")).await;
    check(&["-n", "127.0.0.1"], &format!("@cert-authority * {others}"), Err(stranger)).await;
    // An authority's key is nobody's host key.
    check(&["-n", "127.0.0.1"], &format!("* {ours}"), Err("hosts trust web01")).await;
    // What is revoked is so whatever else there is.
    let key = public(&office.key);
    check(&["-n", "127.0.0.1"], &format!("{everywhere}@revoked * {ours}"), Err("@revoked")).await;
    check(&["-n", "127.0.0.1"], &format!("{everywhere}@revoked * {key}"), Err("@revoked")).await;
    check(&["-n", "127.0.0.1"], &format!("{everywhere}* {key}@revoked * {ours}"), Err("@revoked")).await;
    // A certificate that does not hold leaves the key in it to be known by itself.
    check(&["-n", "web01"], &format!("{everywhere}* {key}"), Ok(())).await;
    check(&["-n", "127.0.0.1", "-V", "-2d:-1d"], &format!("{everywhere}* {key}"), Ok(())).await;
}

#[tokio::test]
async fn authorities_of_every_type_sign_but_not_with_sha1() {
    let office = Office::new();
    for (name, args, signing, good) in [
        ("ecdsa", &["-t", "ecdsa"][..], &[][..], true),
        ("rsa", &["-t", "rsa", "-b", "2048"], &["-t", "rsa-sha2-256"], true),
        ("sha1", &["-t", "rsa", "-b", "2048"], &["-t", "ssh-rsa"], false),
    ] {
        let authority = office.authority_of(name, args);
        let sshd = office.certified(&authority, &[&["-n", "127.0.0.1"], signing].concat());
        std::fs::write(sshd.known_hosts(), format!("@cert-authority * {}", public(&authority))).unwrap();
        assert_eq!(openssh_connects(&sshd, &[]), good, "ssh, {name}");
        match connect(&host(&sshd)).await {
            Ok(session) if good => session.close().await,
            Err(error) if !good => assert!(error.detail.contains("signed with ssh-rsa"), "{error}"),
            Ok(_) => panic!("{name} is accepted"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// Both of OpenSSH's minds about it: 9.2 takes them, 10.3 does not.
#[tokio::test]
async fn a_certificate_for_no_host_in_particular_is_for_none_and_one_with_a_wildcard_for_many() {
    let office = Office::new();
    let known = format!("@cert-authority * {}", public(&office.authority));
    let sshd = office.certified(&office.authority, &[]);
    std::fs::write(sshd.known_hosts(), &known).unwrap();
    refuses(&host(&sshd), &settings(), Outcome::HostKeyUnknown, &["it names no host"]).await;
    let sshd = office.certified(&office.authority, &["-n", "127.0.0.*"]);
    std::fs::write(sshd.known_hosts(), &known).unwrap();
    connect(&host(&sshd)).await.unwrap().close().await;
}

#[tokio::test]
async fn an_alias_is_the_name_that_counts() {
    let office = Office::new();
    let sshd = office.certified(&office.authority, &["-n", "db7"]);
    let aliased = |alias: &str| {
        let ssh = SshOptions { host_key_alias: Some(alias.to_owned()), ..SshOptions::default() };
        Host { ssh: Arc::new(ssh), ..host(&sshd) }
    };
    std::fs::write(sshd.known_hosts(), format!("@cert-authority db* {}", public(&office.authority))).unwrap();
    for (alias, good) in [("db7", true), ("DB7", true), ("db8", false), ("web", false)] {
        let option = format!("HostKeyAlias={alias}");
        let theirs = openssh_connects(&sshd, &["-o", &option]);
        let ours = connect(&aliased(alias)).await;
        assert_eq!(ours.is_ok(), good, "{alias}: {:?}", ours.err());
        // ssh has an alias as it is written; names in known_hosts are in small letters.
        assert!(theirs == good || alias == "DB7", "ssh, {alias}");
    }
}

#[tokio::test]
async fn an_ssh_config_says_what_an_authority_may_sign_with() {
    let office = Office::new();
    let sshd = office.certified(&office.authority, &["-n", "127.0.0.1"]);
    std::fs::write(sshd.known_hosts(), format!("@cert-authority * {}", public(&office.authority))).unwrap();
    let with = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let list = Some(AlgorithmList { change: ListChange::Replace, names });
        let algorithms = Algorithms { ca_signature: list, ..Algorithms::default() };
        Host { ssh: Arc::new(SshOptions { algorithms, ..SshOptions::default() }), ..host(&sshd) }
    };
    connect(&with(&["ssh-ed25519"])).await.unwrap().close().await;
    let parts = ["its authority signed with ssh-ed25519, which is not accepted"];
    refuses(&with(&["ecdsa-sha2-nistp256"]), &settings(), Outcome::HostKeyUnknown, &parts).await;
}

#[tokio::test]
async fn a_host_that_an_authority_vouches_for_need_not_be_learned() {
    let office = Office::new();
    let sshd = office.certified(&office.authority, &["-n", "127.0.0.1"]);
    std::fs::write(sshd.known_hosts(), format!("@cert-authority * {}", public(&office.authority))).unwrap();
    match ssh::introduce(&host(&sshd), &settings()).await.unwrap() {
        Introduction::Known(place) => assert_eq!((place.file, place.line), (sshd.known_hosts(), 1)),
        other => panic!("{other:?}"),
    }
}
