//! User keys, from files and from ssh-agent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dropsonde::model::{Host, Outcome};
use dropsonde::transport::Transport;
use dropsonde::transport::ssh::{self, Settings, Timeouts};
use dropsonde::wire::ExecEnd;

use super::{SOON, authorize, connect, host, keygen, public, refuses, run, settings};
use crate::support::hostile::{Act, Conduct, Hostile};
use crate::support::sshd::{Setup, Sshd};

#[tokio::test]
async fn every_type_of_key_logs_in() {
    let sshd = Sshd::start(Setup::default());
    for (name, args) in [
        ("ed25519", &["-N", "", "-t", "ed25519"][..]),
        ("ecdsa256", &["-N", "", "-t", "ecdsa", "-b", "256"]),
        ("ecdsa384", &["-N", "", "-t", "ecdsa", "-b", "384"]),
        ("ecdsa521", &["-N", "", "-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-N", "", "-t", "rsa", "-b", "3072"]),
        ("rsa_pem", &["-N", "", "-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("ecdsa_pkcs8", &["-N", "", "-t", "ecdsa", "-m", "PKCS8"]),
    ] {
        let key = keygen(sshd.dir(), name, args);
        authorize(&sshd, &key);
        let host = Host { identity_files: vec![key], ..host(&sshd) };
        let session = connect(&host).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(run(&session, "true").await.0, ExecEnd::Exited(0), "{name}");
        session.close().await;
    }
}
#[tokio::test]
async fn rsa_keys_never_sign_with_sha1() {
    let old = "PubkeyAcceptedAlgorithms ssh-rsa".to_owned();
    let sshd = Sshd::start(Setup { lines: vec![old], ..Setup::default() });
    let key = keygen(sshd.dir(), "rsa", &["-N", "", "-t", "rsa", "-b", "2048"]);
    authorize(&sshd, &key);
    let with_rsa = Host { identity_files: vec![key], ..host(&sshd) };
    refuses(
        &with_rsa,
        &settings(),
        Outcome::AuthFailed,
        &["(rsa-sha2-512)", "RSA keys with SHA-1 only (ssh-rsa)"],
    )
    .await;
    // And the same with its own key.
    let host_key = keygen(sshd.dir(), "host_rsa", &["-N", "", "-t", "rsa", "-b", "2048"]);
    let lines = vec![format!("HostKey {}", host_key.display()), "HostKeyAlgorithms ssh-rsa".to_owned()];
    let sshd = Sshd::start(Setup { lines, ..Setup::default() });
    let parts = ["no host key algorithm in common; it offers ssh-rsa; ssh-rsa signs with SHA-1"];
    refuses(&host(&sshd), &settings(), Outcome::Unreachable, &parts).await;
}
#[tokio::test]
async fn a_refused_key_is_named_with_what_the_server_accepts() {
    let sshd = Sshd::start(Setup::default());
    let other = keygen(sshd.dir(), "other", &["-N", "", "-t", "ed25519"]);
    let stranger = Host { identity_files: vec![other.clone()], ..host(&sshd) };
    let parts = [other.to_str().unwrap(), "(ssh-ed25519)", "it accepts publickey", "root@127.0.0.1:"];
    refuses(&stranger, &settings(), Outcome::AuthFailed, &parts).await;
    // The second key is tried after the first.
    let both = Host { identity_files: vec![other.clone(), sshd.identity()], ..host(&sshd) };
    connect(&both).await.unwrap().close().await;

    let sshd = Sshd::start(Setup { lines: vec!["MaxAuthTries 1".to_owned()], ..Setup::default() });
    let both = Host { identity_files: vec![other, sshd.identity()], ..host(&sshd) };
    refuses(
        &both,
        &settings(),
        Outcome::AuthFailed,
        &["Too many authentication failures: it counts", "IdentitiesOnly yes"],
    )
    .await;

    let lines = vec!["AuthenticationMethods publickey,keyboard-interactive".to_owned()];
    let lines =
        lines.into_iter().chain(["KbdInteractiveAuthentication yes".to_owned(), "UsePAM yes".to_owned()]);
    let sshd = Sshd::start(Setup { lines: lines.collect(), ..Setup::default() });
    let took = format!("took {} (ssh-ed25519), which is not enough by itself", sshd.identity().display());
    let parts = [took.as_str(), "it accepts keyboard-interactive"];
    let error = refuses(&host(&sshd), &settings(), Outcome::AuthFailed, &parts).await;
    assert!(!error.detail.contains("refused"), "{error}");
}
#[tokio::test]
async fn a_key_that_cannot_be_used_says_why() {
    let sshd = Sshd::start(Setup::default());
    let dir = sshd.dir();
    let with = |path: &Path| Host { identity_files: vec![path.to_owned()], ..host(&sshd) };
    let nothing = "no key to offer";
    let encrypted = ["-N", "secret", "-t", "rsa", "-b", "2048", "-m"];
    for format in ["RFC4716", "PEM", "PKCS8"] {
        let key = keygen(dir, &format!("encrypted-{format}"), &[&encrypted[..], &[format]].concat());
        let words = format!("{} is encrypted: add it to ssh-agent", key.display());
        refuses(&with(&key), &settings(), Outcome::AuthFailed, &[nothing, &words]).await;
    }
    let exposed = keygen(dir, "exposed", &["-N", "", "-t", "ed25519"]);
    fs::set_permissions(&exposed, fs::Permissions::from_mode(0o640)).unwrap();
    let words = format!("{} is open to others (mode 0640): chmod 600 it", exposed.display());
    refuses(&with(&exposed), &settings(), Outcome::AuthFailed, &[nothing, &words]).await;

    let half = exposed.with_extension("pub");
    fs::set_permissions(&half, fs::Permissions::from_mode(0o600)).unwrap();
    refuses(&with(&half), &settings(), Outcome::AuthFailed, &["it is the public half"]).await;
    // It is for others to read.
    fs::set_permissions(&half, fs::Permissions::from_mode(0o644)).unwrap();
    let error = refuses(&with(&half), &settings(), Outcome::AuthFailed, &["it is the public half"]).await;
    assert!(!error.detail.contains("chmod"), "{error}");
    refuses(&with(&dir.join("missing")), &settings(), Outcome::AuthFailed, &["cannot be read: No such file"])
        .await;
    refuses(&with(dir), &settings(), Outcome::AuthFailed, &["is a folder"]).await;
    for (name, text) in
        [("garbage", "\u{1b}[2Jnot a key"), ("torn", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")]
    {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        refuses(&with(&path), &settings(), Outcome::AuthFailed, &["is not a private key"]).await;
    }
    // A good key behind a bad one is still tried.
    let both = Host { identity_files: vec![exposed, sshd.identity()], ..host(&sshd) };
    connect(&both).await.unwrap().close().await;
}
/// A real ssh-agent, ended with the test.
pub(super) struct Agent {
    child: Child,
    pub(super) socket: PathBuf,
}
impl Agent {
    pub(super) fn start(dir: &Path) -> Self {
        let socket = dir.join("agent.sock");
        let mut command = Command::new("ssh-agent");
        let child =
            command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().expect("ssh-agent");
        let limit = std::time::Instant::now() + SOON;
        while !socket.exists() {
            assert!(std::time::Instant::now() < limit, "ssh-agent made no socket");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, socket }
    }

    pub(super) fn add(&self, key: &Path) {
        let mut command = Command::new("ssh-add");
        // An askpass program is how a passphrase gets in without a terminal.
        command.env("SSH_AUTH_SOCK", &self.socket).env("SSH_ASKPASS_REQUIRE", "force");
        let askpass = key.with_extension("askpass");
        fs::write(&askpass, "#!/bin/sh\necho secret\n").unwrap();
        fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700)).unwrap();
        let added = command.env("SSH_ASKPASS", askpass).arg("-q").arg(key).status();
        assert!(added.expect("ssh-add").success());
    }

    pub(super) fn settings(&self) -> Settings {
        // Hundreds may log in at once, on a machine that is busy with something else.
        let timeouts = Timeouts { authentication: SOON, key_exchange: SOON, ..Timeouts::default() };
        Settings::new(timeouts, Some(self.socket.clone()))
    }
}
impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
#[tokio::test]
async fn the_agent_signs_after_the_files_or_alone() {
    let sshd = Sshd::start(Setup::default());
    let agent = Agent::start(sshd.dir());
    let alone = Host { identity_files: Vec::new(), ..host(&sshd) };
    refuses(&alone, &agent.settings(), Outcome::AuthFailed, &["no key to offer", "holds no key"]).await;

    let unknown = keygen(sshd.dir(), "unknown", &["-N", "", "-t", "ed25519"]);
    agent.add(&unknown);
    let parts = ["refused unknown SHA256:", " from ssh-agent (ssh-ed25519)"];
    refuses(&alone, &agent.settings(), Outcome::AuthFailed, &parts).await;
    // A key that was refused as a file is not offered once more by the agent.
    let again = Host { identity_files: vec![unknown], ..host(&sshd) };
    let error = refuses(&again, &agent.settings(), Outcome::AuthFailed, &[]).await;
    assert!(!error.detail.contains("from ssh-agent"), "{error}");
    // Which of its keys an encrypted PEM file is, only the public half beside it says.
    let locked = keygen(sshd.dir(), "locked", &["-N", "secret", "-t", "rsa", "-b", "2048", "-m", "PEM"]);
    agent.add(&locked);
    fs::remove_file(locked.with_extension("pub")).unwrap();
    let pem = Host { identity_files: vec![locked.clone()], ..host(&sshd) };
    let parts = [format!("ssh-keygen -y -f {0} > {0}.pub", locked.display())];
    refuses(&pem, &agent.settings(), Outcome::AuthFailed, &[&parts[0]]).await;

    for (name, args) in [
        ("encrypted", &["-N", "secret", "-t", "ed25519"][..]),
        ("agent_rsa", &["-N", "", "-t", "rsa", "-b", "2048"]),
    ] {
        let key = keygen(sshd.dir(), name, args);
        authorize(&sshd, &key);
        agent.add(&key);
        let host = Host { identity_files: vec![key.clone()], ..host(&sshd) };
        let session = ssh::connect(&host, &agent.settings()).await;
        session.unwrap_or_else(|error| panic!("{name}: {error}")).close().await;
        let removed = Command::new("ssh-add")
            .env("SSH_AUTH_SOCK", &agent.socket)
            .arg("-q")
            .arg("-d")
            .arg(&key)
            .status();
        assert!(removed.expect("ssh-add").success());
    }
    let settings = agent.settings();
    drop(agent);
    refuses(&alone, &settings, Outcome::AuthFailed, &["ssh-agent at", "does not answer"]).await;
}
/// An agent's socket queues 128 connections and turns the next one away.
#[tokio::test]
async fn a_fleet_shares_one_agent() {
    let server = Hostile::start(Conduct::Ssh(Act::Honest)).await;
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path());
    agent.add(&keygen(dir.path(), "key", &["-N", "", "-t", "ed25519"]));
    let settings = Arc::new(agent.settings());
    let host = Arc::new(Host { identity_files: Vec::new(), ..server.host() });
    let mut visits = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let (settings, host) = (Arc::clone(&settings), Arc::clone(&host));
        visits.spawn(async move { ssh::connect(&host, &settings).await.unwrap().close().await });
    }
    while let Some(visit) = visits.join_next().await {
        visit.unwrap();
    }
}
#[tokio::test]
async fn a_certificate_in_the_agent_logs_in() {
    let sshd = Sshd::start(Setup::default());
    let authority = keygen(sshd.dir(), "authority", &["-N", "", "-t", "ed25519"]);
    let key = keygen(sshd.dir(), "certified", &["-N", "", "-t", "ed25519"]);
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-I", "test", "-n", "root", "-V", "-5m:+1h", "-s"]).arg(&authority);
    assert!(sign.arg(key.with_extension("pub")).status().expect("ssh-keygen").success());
    let file = sshd.dir().join("authorized_keys");
    fs::write(file, format!("cert-authority {}", public(&authority))).unwrap();
    let agent = Agent::start(sshd.dir());
    agent.add(&key);
    let alone = Host { identity_files: Vec::new(), ..host(&sshd) };
    ssh::connect(&alone, &agent.settings()).await.unwrap().close().await;
}
