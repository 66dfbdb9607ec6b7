//! ProxyCommand: a process as the way to a host.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dropsonde::model::{Host, Outcome, Proxy, SshOptions};
use dropsonde::transport::Transport;
use dropsonde::transport::ssh::{self, Settings, Timeouts};
use dropsonde::wire::ExecEnd;

use super::{eventually, host, refuses, run, settings};
use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd, kill};

fn through(command: &str, sshd: &Sshd) -> Host {
    let ssh = SshOptions { proxy: Proxy::Command(command.to_owned()), ..SshOptions::default() };
    Host { ssh: Arc::new(ssh), ..host(sshd) }
}

/// The process whose number a command wrote down.
fn process(file: &Path) -> PathBuf {
    Path::new("/proc").join(fs::read_to_string(file).expect("the command ran").trim())
}

#[tokio::test]
async fn a_proxy_command_carries_the_connection_and_ends_with_it() {
    let (jump, target) = (Sshd::start(Setup::default()), Sshd::start(Setup::default()));
    let mark = target.dir().join("pid");
    let command = format!(
        "sh -c 'echo $$ > {}; exec ssh -F /dev/null -o BatchMode=yes -o UserKnownHostsFile={} -i {} -p {} \
         -W 127.0.0.1:{} root@127.0.0.1'",
        mark.display(),
        jump.known_hosts().display(),
        jump.identity().display(),
        jump.port(),
        target.port(),
    );
    let session = ssh::connect(&through(&command, &target), &settings()).await.unwrap();
    assert!(session.peer().ends_with("via its ProxyCommand"), "{}", session.peer());
    let (end, stdout, _) = run(&session, "head -c 3000000 /dev/zero").await;
    assert_eq!((end, stdout.len()), (ExecEnd::Exited(0), 3_000_000));
    let process = process(&mark);
    assert!(process.exists());
    session.close().await;
    // A zombie would still be there.
    eventually("the proxy to be gone", || !process.exists()).await;
}

#[tokio::test]
async fn what_a_proxy_command_says_is_why_it_failed() {
    let target = Sshd::start(Setup::default());
    let failing = through("sh -c 'echo \"no route today\" >&2; exit 3'", &target);
    let error =
        refuses(&failing, &settings(), Outcome::Unreachable, &["ProxyCommand", "no route today"]).await;
    assert!(!error.transient, "{error}");
    let missing = through("/no/such/proxy %h", &target);
    refuses(&missing, &settings(), Outcome::Unreachable, &["/no/such/proxy"]).await;
}

#[tokio::test]
async fn a_proxy_command_that_hangs_is_killed_with_all_it_started() {
    let target = Sshd::start(Setup::default());
    let [own, child] = ["own", "child"].map(|name| target.dir().join(name));
    // Neither of them minds a hangup.
    let command = format!(
        "sh -c 'trap \"\" HUP; echo $$ > {}; sleep 1000 & echo $! > {}; wait; sleep 1000'",
        own.display(),
        child.display()
    );
    let timeouts = Timeouts { banner: Duration::from_millis(700), ..Timeouts::default() };
    let settings = Settings::new(timeouts, None);
    refuses(&through(&command, &target), &settings, Outcome::TimedOut, &["the SSH banner of"]).await;
    let (own, child) = (process(&own), process(&child));
    eventually("both to be gone", || !own.exists() && !is_alive(&child)).await;
}

/// What it left behind would else hold a descriptor of ours for as long as it lives.
#[tokio::test]
async fn what_a_proxy_command_left_behind_goes_with_it_and_holds_nothing() {
    let target = Sshd::start(Setup::default());
    let [child, far] = ["child", "far"].map(|name| target.dir().join(name));
    // The process itself ends at once; what it started minds no hangup, or is in no group of ours.
    let command = format!(
        "sh -c '(trap \"\" HUP; exec sleep 1000) >/dev/null & echo $! > {child}; \
         setsid sh -c \"echo \\$\\$ > {far}; exec sleep 1000\" >/dev/null & \
         while [ ! -s {far} ]; do sleep 0.05; done; echo gone >&2'",
        child = child.display(),
        far = far.display()
    );
    let parts = ["the SSH banner of", "it said: gone"];
    refuses(&through(&command, &target), &settings(), Outcome::Unreachable, &parts).await;
    let (child, far) = (process(&child), process(&far));
    eventually("what it started to be gone", || !is_alive(&child)).await;
    let said = fs::read_link(far.join("fd/2")).expect("who left the group lives on");
    let is_ours = |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|to| to == said);
    eventually("its stderr to be read no more", || {
        !fs::read_dir("/proc/self/fd").unwrap().flatten().any(is_ours)
    })
    .await;
    let far = far.file_name().and_then(|id| id.to_str()?.parse().ok()).expect("a process");
    kill(far, "KILL");
}

/// The program's own end is no way out for them either.
#[test]
fn a_proxy_command_does_not_outlive_the_program() {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    let [own, child] = ["own", "child"].map(|name| program.dir().join(name));
    let command = format!(
        "sh -c 'trap \"\" HUP TERM; echo $$ > {}; sleep 1000 & echo $! > {}; wait; sleep 1000'",
        own.display(),
        child.display()
    );
    fs::create_dir_all(program.dir().join("home/.ssh")).unwrap();
    let text = format!("Host *\n  ProxyCommand {command}\n");
    fs::write(program.dir().join("home/.ssh/config"), text).unwrap();
    program.hosts("behind", &sshd);
    let limits = ["--set", "limits.key_exchange_timeout=1s"];
    let checked = program.run(&[&["hosts", "check"][..], &limits].concat());
    assert_eq!(checked.code, Some(4), "{checked:?}");
    let (own, child) = (process(&own), process(&child));
    let end = Instant::now() + Duration::from_secs(60);
    while is_alive(&own) || is_alive(&child) {
        assert!(Instant::now() < end, "{} {}", is_alive(&own), is_alive(&child));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whoever adopts a process that is killed need not reap it at once.
fn is_alive(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
