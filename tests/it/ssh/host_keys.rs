//! Whether the server is the one that it should be, and whether it is there at all.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use dropsonde::model::{Host, Outcome};
use dropsonde::transport::Transport;
use dropsonde::transport::known_hosts::append;
use dropsonde::transport::ssh::{self, Settings, Timeouts};

use super::{SOON, connect, host, keygen, public, refuses, settings};
use crate::support::sshd::{Setup, Sshd};

#[tokio::test]
async fn an_unknown_host_is_learned_on_purpose() {
    let rsa = tempfile::tempdir().unwrap();
    let rsa_key = keygen(rsa.path(), "host_rsa", &["-N", "", "-t", "rsa", "-b", "2048"]);
    let ecdsa_key = keygen(rsa.path(), "host_ecdsa", &["-N", "", "-t", "ecdsa"]);
    let keys = [&rsa_key, &ecdsa_key].map(|path| format!("HostKey {}", path.display()));
    let sshd = Sshd::start(Setup { lines: keys.to_vec(), ..Setup::default() });
    let file = sshd.dir().join("new/known_hosts");
    let stranger = Host { known_hosts: vec![file.clone()], ..host(&sshd) };
    let parts = ["shows the key SHA256:", "run dropsonde hosts trust web01", file.to_str().unwrap()];
    refuses(&stranger, &settings(), Outcome::HostKeyUnknown, &parts).await;
    let none = Host { known_hosts: Vec::new(), ..host(&sshd) };
    refuses(&none, &settings(), Outcome::HostKeyUnknown, &["no known_hosts file is configured"]).await;

    let found = ssh::scan_host_key(&stranger, &settings()).await.unwrap();
    let algorithms: Vec<&str> = found.iter().map(|key| key.algorithm.as_str()).collect();
    assert_eq!(algorithms, ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]);
    for (key, path) in found.iter().skip(1).zip([&ecdsa_key, &rsa_key]) {
        let listed = Command::new("ssh-keygen").arg("-lf").arg(path).output().expect("ssh-keygen").stdout;
        assert!(String::from_utf8_lossy(&listed).contains(&key.fingerprint_sha256));
    }
    let lines: Vec<String> = found.into_iter().map(|key| key.line).collect();
    assert_eq!(append(&file, &lines).unwrap(), 3);
    connect(&stranger).await.unwrap().close().await;
    // OpenSSH reads them the same way.
    let mut client = sshd.ssh("127.0.0.1");
    client.arg("-o").arg(format!("UserKnownHostsFile={}", file.display())).arg("true");
    assert!(client.status().unwrap().success());
}
#[tokio::test]
async fn a_changed_key_names_the_line_and_the_command_that_mends_it() {
    let sshd = Sshd::start(Setup::default());
    let other = keygen(sshd.dir(), "other", &["-N", "", "-t", "ed25519"]);
    let file = sshd.dir().join("old hosts");
    let id = format!("[127.0.0.1]:{}", sshd.port());
    fs::write(&file, format!("# old\n{id} {}", public(&other))).unwrap();
    let changed = Host { known_hosts: vec![file.clone()], ..host(&sshd) };
    let mend = format!("ssh-keygen -R '{id}' -f '{}'", file.display());
    let place = format!("{}:2 has SHA256:", file.display());
    refuses(&changed, &settings(), Outcome::HostKeyChanged, &[&mend, &place, "hosts trust web01"]).await;
    // The command in the message does what the message says.
    assert!(Command::new("sh").args(["-c", &mend]).output().unwrap().status.success());
    refuses(&changed, &settings(), Outcome::HostKeyUnknown, &[]).await;
}
#[tokio::test]
async fn host_keys_in_every_kind_of_line() {
    let keys = tempfile::tempdir().unwrap();
    let ecdsa = keygen(keys.path(), "ecdsa", &["-N", "", "-t", "ecdsa"]);
    let sshd = Sshd::start(Setup { lines: vec![format!("HostKey {}", ecdsa.display())], ..Setup::default() });
    let id = format!("[127.0.0.1]:{}", sshd.port());
    let (mine, other) = (sshd.host_key(), public(&ecdsa));
    let elsewhere = keygen(keys.path(), "elsewhere", &["-N", "", "-t", "ed25519"]);
    let check = async |text: &str, hash: bool, expected: Result<(), Outcome>| {
        let file = sshd.dir().join("hosts");
        fs::write(&file, text).unwrap();
        if hash {
            let hashed = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output();
            assert!(hashed.unwrap().status.success());
            assert!(!fs::read_to_string(&file).unwrap().contains("127.0.0.1"));
        }
        let host = Host { known_hosts: vec![sshd.dir().join("missing"), file], ..host(&sshd) };
        let got = connect(&host).await.map(drop).map_err(|error| error.outcome);
        assert_eq!(got, expected, "{text}");
    };
    check(&format!("{id} {mine}\n"), true, Ok(())).await;
    check(&format!("[127.0.0.*]:* {mine}\n"), false, Ok(())).await;
    check(&format!("127.0.0.1 {mine}\n"), false, Ok(())).await;
    // The server prefers ed25519 and so do we, but ecdsa is what is known.
    check(&format!("{id} {other}"), false, Ok(())).await;
    check(&format!("{id} {other}"), true, Ok(())).await;
    // Hashed lines of several types do not say which one is this host's until its key is wrong.
    check(&format!("elsewhere {}{id} {other}", public(&elsewhere)), true, Ok(())).await;
    check(&format!("{id} {}", public(&elsewhere)), true, Err(Outcome::HostKeyChanged)).await;
    check(&format!("@revoked {id} {mine}\n{id} {mine}\n"), false, Err(Outcome::HostKeyChanged)).await;
    check(&format!("@cert-authority * {mine}\n"), false, Err(Outcome::HostKeyUnknown)).await;
    check(&format!("nonsense\n@what\n{id} {mine}\n"), false, Ok(())).await;
}
#[tokio::test]
async fn a_host_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let sshd = Sshd::start(Setup::default());
    let closed = Host { port, ..host(&sshd) };
    refuses(
        &closed,
        &settings(),
        Outcome::Unreachable,
        &["connection refused", &format!("127.0.0.1:{port}")],
    )
    .await;
    let nameless = Host { address: "no-such-host.invalid".to_owned(), ..host(&sshd) };
    let timeouts = Timeouts { resolve: SOON, ..Timeouts::default() };
    let parts = ["resolving no-such-host.invalid"];
    refuses(&nameless, &Settings::new(timeouts, None), Outcome::Unreachable, &parts).await;
}
#[tokio::test]
async fn a_server_with_nothing_in_common_says_what_it_has() {
    let lines = vec!["KexAlgorithms diffie-hellman-group14-sha256".to_owned()];
    let sshd = Sshd::start(Setup { lines, ..Setup::default() });
    let parts = ["no key exchange in common", "diffie-hellman-group14-sha256"];
    refuses(&host(&sshd), &settings(), Outcome::Unreachable, &parts).await;
    for lines in [
        "KexAlgorithms ecdh-sha2-nistp384",
        "KexAlgorithms curve25519-sha256@libssh.org",
        "Ciphers chacha20-poly1305@openssh.com",
        "Ciphers aes256-gcm@openssh.com",
    ] {
        let sshd = Sshd::start(Setup { lines: vec![lines.to_owned()], ..Setup::default() });
        connect(&host(&sshd)).await.unwrap_or_else(|error| panic!("{lines}: {error}")).close().await;
    }
}
