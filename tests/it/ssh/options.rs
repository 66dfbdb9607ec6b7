//! What an ssh_config says of the connection itself.

use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use dropsonde::model::{
    AddressFamily, AlgorithmList, Algorithms, Host, ListChange, Outcome, Refusal, SshOptions, Written,
};
use dropsonde::transport::Transport;
use dropsonde::transport::ssh::{Settings, Timeouts};
use dropsonde::wire::ExecEnd;

use super::{SOON, collect, connect, eventually, exec, host, refuses, settings};
use crate::support::sshd::{Setup, Sshd, kill};

fn with(sshd: &Sshd, ssh: SshOptions) -> Host {
    Host { ssh: Arc::new(ssh), ..host(sshd) }
}

fn list(names: &[&str]) -> Option<AlgorithmList> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Some(AlgorithmList { change: ListChange::Replace, names })
}

#[tokio::test]
async fn connections_leave_from_where_they_should() {
    let sshd = Sshd::start(Setup::default());
    let from = |address: &str| SshOptions { bind_address: Some(address.to_owned()), ..SshOptions::default() };
    connect(&with(&sshd, from("127.0.0.77"))).await.unwrap().close().await;
    assert!(sshd.log().contains("Accepted publickey for root from 127.0.0.77 "), "{}", sshd.log());
    let parts = ["BindAddress 192.0.2.1 is not one of this machine's"];
    refuses(&with(&sshd, from("192.0.2.1")), &settings(), Outcome::Unreachable, &parts).await;
    let parts = ["BindAddress ::1 is of another address family"];
    refuses(&with(&sshd, from("::1")), &settings(), Outcome::Unreachable, &parts).await;

    let through = |name: &str| SshOptions { bind_interface: Some(name.to_owned()), ..SshOptions::default() };
    connect(&with(&sshd, through("lo"))).await.unwrap().close().await;
    let parts = ["BindInterface nosuch0"];
    refuses(&with(&sshd, through("nosuch0")), &settings(), Outcome::Unreachable, &parts).await;

    let family = |address_family| SshOptions { address_family, ..SshOptions::default() };
    connect(&with(&sshd, family(AddressFamily::Inet))).await.unwrap().close().await;
    let parts = ["127.0.0.1 has no IPv6 address"];
    refuses(&with(&sshd, family(AddressFamily::Inet6)), &settings(), Outcome::Unreachable, &parts).await;
}

#[tokio::test]
async fn lists_of_algorithms_choose_among_ours() {
    let sshd = Sshd::start(Setup { lines: vec!["LogLevel DEBUG1".to_owned()], ..Setup::default() });
    let algorithms = Algorithms {
        ciphers: list(&["aes128-ctr", "chacha20-poly1305@openssh.com"]),
        key_exchange: list(&["ecdh-sha2-nistp384"]),
        macs: list(&["hmac-sha1"]),
        ..Algorithms::default()
    };
    connect(&with(&sshd, SshOptions { algorithms, ..SshOptions::default() })).await.unwrap().close().await;
    for said in ["kex: algorithm: ecdh-sha2-nistp384", "cipher: chacha20-poly1305@openssh.com"] {
        assert!(sshd.log().contains(said), "{}", sshd.log());
    }
    let algorithms = Algorithms { ciphers: list(&["aes128-cbc", "3des-cbc"]), ..Algorithms::default() };
    let none = with(&sshd, SshOptions { algorithms, ..SshOptions::default() });
    let parts = ["Ciphers of the ssh_config leaves nothing to use", "aes256-gcm@openssh.com"];
    refuses(&none, &settings(), Outcome::Unreachable, &parts).await;
    // It has no ecdsa key.
    let algorithms = Algorithms { host_key: list(&["ecdsa-sha2-nistp256"]), ..Algorithms::default() };
    let other = with(&sshd, SshOptions { algorithms, ..SshOptions::default() });
    refuses(&other, &settings(), Outcome::Unreachable, &["no host key algorithm in common"]).await;
}

#[tokio::test]
async fn a_timeout_and_attempts_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sshd = Sshd::start(Setup::default());
    let patient = Timeouts { banner: SOON, ..Timeouts::default() };
    let hasty = SshOptions { connect_timeout: Some(Duration::from_secs(1)), ..SshOptions::default() };
    let silent = Host { port, ..with(&sshd, hasty) };
    let parts = ["the SSH banner of", "took longer than 1s"];
    refuses(&silent, &Settings::new(patient, None), Outcome::TimedOut, &parts).await;
    drop(listener);

    let attempts = SshOptions { connection_attempts: 120, ..SshOptions::default() };
    let later = Host { port, ..with(&sshd, attempts) };
    let server = async {
        // Refused at least once by then.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        drop(listener.accept().await.unwrap());
    };
    let settings = settings();
    let (error, ()) =
        tokio::join!(refuses(&later, &settings, Outcome::Unreachable, &["the SSH banner"]), server);
    assert!(error.transient, "{error}");
}

#[tokio::test]
async fn a_server_that_gives_no_sign_of_life_is_lost() {
    let sshd = Sshd::start(Setup::default());
    let options = SshOptions {
        server_alive_interval: Some(Duration::from_millis(300)),
        server_alive_count: 2,
        ..SshOptions::default()
    };
    let session = connect(&with(&sshd, options)).await.unwrap();
    let stuck = sshd.sessions();
    stuck.iter().for_each(|pid| kill(*pid, "STOP"));
    let (end, ..) = collect(&session, exec("echo never", SOON)).await;
    stuck.iter().for_each(|pid| kill(*pid, "CONT"));
    assert!(matches!(end, ExecEnd::Lost(_)), "{end:?}");
    drop(session);
    eventually("the session to end", || sshd.sessions().is_empty()).await;
}

#[tokio::test]
async fn a_short_rsa_host_key_is_refused_where_an_ssh_config_wants_longer_ones() {
    let dir = tempfile::tempdir().unwrap();
    let key = super::keygen(dir.path(), "host", &["-N", "", "-t", "rsa", "-b", "2048"]);
    let lines = vec![format!("HostKey {}", key.display()), "HostKeyAlgorithms rsa-sha2-512".to_owned()];
    let sshd = Sshd::start(Setup { lines, ..Setup::default() });
    fs::write(sshd.known_hosts(), format!("* {}", super::public(&key))).unwrap();
    connect(&host(&sshd)).await.unwrap().close().await;
    let algorithms = Algorithms { min_rsa_bits: Some(3072), ..Algorithms::default() };
    let strict = with(&sshd, SshOptions { algorithms, ..SshOptions::default() });
    let parts = ["its RSA host key is shorter than RequiredRSASize allows"];
    refuses(&strict, &settings(), Outcome::Unreachable, &parts).await;
}

#[tokio::test]
async fn what_is_refused_bars_the_way() {
    let sshd = Sshd::start(Setup::default());
    let refusal = Refusal {
        at: Written { file: "/home/x/.ssh/config".into(), line: 7 },
        directive: "CheckHostIP yes".to_owned(),
        reason: "not supported: say no".to_owned(),
    };
    let barred = with(&sshd, SshOptions { refused: vec![refusal], ..SshOptions::default() });
    let parts = ["/home/x/.ssh/config:7: CheckHostIP yes: not supported"];
    refuses(&barred, &settings(), Outcome::Unreachable, &parts).await;
    assert!(!sshd.log().contains("Connection from"), "{}", sshd.log());
}
