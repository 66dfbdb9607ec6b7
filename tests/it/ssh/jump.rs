//! Jump hosts: real ones, dead ones, and those that die on the way.

use std::io::BufRead;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dropsonde::model::{ByteSize, Host, Outcome, Proxy, SshOptions};
use dropsonde::transport::Transport;
use dropsonde::transport::ssh::{self, Settings, Timeouts};
use dropsonde::wire::ExecEnd;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{SOON, collect, eventually, exec, host, refuses, run, settings};
use crate::support::program::{Program, ran};
use crate::support::sshd::{Setup, Sshd, kill};

/// A jump host whose log says what was asked of it.
fn jump_host(lines: &[&str]) -> Sshd {
    let lines = lines.iter().chain(&["LogLevel DEBUG1"]).map(|line| (*line).to_owned()).collect();
    Sshd::start(Setup { lines, ..Setup::default() })
}

/// What `sshd` plays, behind those.
fn behind(sshd: &Sshd, chain: &[Host]) -> Host {
    let chain = chain.iter().cloned().map(Arc::new).collect();
    let ssh = Arc::new(SshOptions { proxy: Proxy::Jump(chain), ..SshOptions::default() });
    Host { ssh, ..host(sshd) }
}

/// Whether that jump host was asked to connect to `target`.
fn forwarded(jump: &Sshd, target: &Sshd) -> bool {
    let log = jump.log();
    log.lines().any(|line| line.contains(&format!("target 127.0.0.1 port {}", target.port())))
}

fn logins(sshd: &Sshd) -> usize {
    sshd.log().matches("Accepted publickey").count()
}

#[tokio::test]
async fn two_hops_each_with_its_own_key_and_known_hosts() {
    let (first, second, target) = (jump_host(&[]), jump_host(&[]), Sshd::start(Setup::default()));
    let settings = settings();
    let there = behind(&target, &[host(&first), host(&second)]);
    let session = ssh::connect(&there, &settings).await.unwrap();
    assert!(
        session.peer().ends_with(&format!("via web01 (127.0.0.1:{})", second.port())),
        "{}",
        session.peer()
    );
    let (end, stdout, _) = run(&session, "echo here; head -c 3000000 /dev/zero").await;
    assert_eq!((end, stdout.len()), (ExecEnd::Exited(0), 3_000_005));
    assert!(forwarded(&first, &second) && forwarded(&second, &target));
    assert!(!forwarded(&first, &target));
    session.close().await;
    eventually("the target's session to end", || target.sessions().is_empty()).await;
    // The way stays open for others until the sweep is over.
    assert_eq!((first.sessions().len(), second.sessions().len()), (1, 1));
    settings.close().await;
    eventually("the jump hosts' sessions to end", || {
        first.sessions().is_empty() && second.sessions().is_empty()
    })
    .await;
}

#[tokio::test]
async fn many_targets_share_few_connections() {
    let (jump, target) =
        (jump_host(&["MaxStartups 10:30:100", "MaxSessions 10"]), Sshd::start(Setup::default()));
    let settings = Arc::new(settings());
    let there = Arc::new(behind(&target, &[host(&jump)]));
    let (mut visits, meet) = (JoinSet::new(), Arc::new(tokio::sync::Barrier::new(140)));
    for n in 0..140 {
        let (settings, there, meet) = (Arc::clone(&settings), Arc::clone(&there), Arc::clone(&meet));
        visits.spawn(async move {
            let session = ssh::connect(&there, &settings).await.unwrap();
            // All are connected at once.
            meet.wait().await;
            let (end, stdout, _) = run(&session, &format!("echo {n}")).await;
            assert_eq!((end, stdout), (ExecEnd::Exited(0), format!("{n}\n").into_bytes()));
            session.close().await;
        });
    }
    while let Some(visit) = visits.join_next().await {
        visit.unwrap();
    }
    assert_eq!((logins(&jump), logins(&target)), (3, 140));
}

/// What a connection may receive is for one host's visit: a jump host's carries those of many.
#[tokio::test]
async fn a_jump_host_may_send_as_much_for_each_target_as_the_target_itself() {
    let (first, second, target) = (jump_host(&[]), jump_host(&[]), Sshd::start(Setup::default()));
    let mut settings = settings();
    settings.max_received = ByteSize(2 << 20);
    let there = behind(&target, &[host(&first), host(&second)]);
    for _ in 0..6 {
        let session = ssh::connect(&there, &settings).await.unwrap();
        let (end, stdout, _) = run(&session, "head -c 1500000 /dev/zero").await;
        assert_eq!((end, stdout.len()), (ExecEnd::Exited(0), 1_500_000));
        session.close().await;
    }
    assert_eq!([logins(&first), logins(&second), logins(&target)], [1, 1, 6]);
}

#[tokio::test]
async fn a_dead_jump_host_has_the_same_words_for_all() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let target = Sshd::start(Setup::default());
    let dead = Host { port, ..host(&target) };
    let settings = settings();
    let there = behind(&target, std::slice::from_ref(&dead));
    let via = format!("unreachable via web01 (127.0.0.1:{port}): ");
    let parts = [via.as_str(), "connection refused"];
    let first = refuses(&there, &settings, Outcome::Unreachable, &parts).await;
    let again = refuses(&there, &settings, Outcome::Unreachable, &[]).await;
    assert_eq!((&first, first.transient, first.on_the_way), (&again, false, true));
    // Behind it is another one, and what is behind that is told of the one that is dead.
    let living = jump_host(&[]);
    let further = behind(&target, &[dead, host(&living)]);
    assert_eq!(refuses(&further, &settings, Outcome::Unreachable, &parts).await.detail, first.detail);
    assert_eq!(logins(&living) + logins(&target), 0);
}

#[tokio::test]
async fn a_jump_host_that_says_nothing_costs_one_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = Sshd::start(Setup::default());
    let there = behind(&target, &[Host { port, ..host(&target) }]);
    let timeouts = Timeouts { banner: Duration::from_millis(700), ..Timeouts::default() };
    let settings = Settings::new(timeouts, None);
    let parts = ["unreachable via", "the SSH banner of", "took longer than"];
    for _ in 0..50 {
        refuses(&there, &settings, Outcome::Unreachable, &parts).await;
    }
    // Asked anew for each of them, it would have been connected to fifty times.
    listener.set_nonblocking(true).unwrap();
    assert_eq!(std::iter::from_fn(|| listener.accept().ok()).count(), 1);
}

#[tokio::test]
async fn a_jump_host_must_be_the_right_one_and_let_us_in() {
    let (jump, target) = (jump_host(&[]), Sshd::start(Setup::default()));
    let stranger = Host { known_hosts: vec![target.known_hosts()], ..host(&jump) };
    let parts = ["unreachable via", "shows the key SHA256:", "hosts trust"];
    refuses(&behind(&target, &[stranger]), &settings(), Outcome::Unreachable, &parts).await;
    let keyless = Host { identity_files: vec![target.identity()], ..host(&jump) };
    let parts = ["unreachable via", "root@127.0.0.1:", "refused"];
    refuses(&behind(&target, &[keyless]), &settings(), Outcome::Unreachable, &parts).await;
    // And the target behind it must be, too.
    let changed = Host { known_hosts: vec![jump.known_hosts()], ..behind(&target, &[host(&jump)]) };
    refuses(&changed, &settings(), Outcome::HostKeyUnknown, &["shows the key SHA256:"]).await;
}

#[tokio::test]
async fn a_jump_host_that_does_not_forward_says_where_to_look() {
    let (jump, target) = (jump_host(&["AllowTcpForwarding no"]), Sshd::start(Setup::default()));
    let parts = ["unreachable via", "does not forward", "AllowTcpForwarding"];
    refuses(&behind(&target, &[host(&jump)]), &settings(), Outcome::Unreachable, &parts).await;
}

#[tokio::test]
async fn a_target_that_is_down_is_its_own_trouble() {
    let (jump, target) = (jump_host(&[]), Sshd::start(Setup::default()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = settings();
    let there = behind(&target, &[host(&jump)]);
    let down = Host { port, ..there.clone() };
    let parts = [format!("connecting to 127.0.0.1:{port} via web01 (127.0.0.1:{})", jump.port())];
    let error = refuses(&down, &settings, Outcome::Unreachable, &[&parts[0]]).await;
    assert!(!error.on_the_way, "{error}");
    ssh::connect(&there, &settings).await.unwrap().close().await;
    assert_eq!(logins(&jump), 1);
}

#[tokio::test]
async fn a_jump_host_that_dies_takes_its_sessions_and_is_opened_again() {
    let (jump, target) = (jump_host(&[]), Sshd::start(Setup::default()));
    let settings = settings();
    let there = behind(&target, &[host(&jump)]);
    let die = async |how: &dyn Fn()| {
        let session = ssh::connect(&there, &settings).await.unwrap();
        let arrived = Notify::new();
        let running = session.run(exec("echo before; sleep 60", SOON), |_| {
            arrived.notify_one();
            dropsonde::wire::Flow::Continue
        });
        let (end, ()) = tokio::join!(running, async {
            arrived.notified().await;
            how();
        });
        let ExecEnd::Lost(text) = end else { panic!("{end:?}") };
        let name = format!("the jump host web01 (127.0.0.1:{}) was lost", jump.port());
        assert!(text.contains(&name), "{text}");
    };
    die(&|| jump.sessions().into_iter().for_each(|pid| kill(pid, "KILL"))).await;
    // Its sshd is well, so the way is opened anew, and then that is gone, too.
    die(&|| {
        // Without their parent, its sessions could not be told from others.
        let sessions = jump.sessions();
        kill(jump.pid(), "KILL");
        sessions.into_iter().for_each(|pid| kill(pid, "KILL"));
    })
    .await;
    let parts = ["unreachable via web01 (127.0.0.1:", "connection refused"];
    refuses(&there, &settings, Outcome::Unreachable, &parts).await;
    assert_eq!(logins(&jump), 2);
}

#[tokio::test]
async fn a_stuck_jump_host_is_noticed() {
    let (jump, target) = (jump_host(&[]), Sshd::start(Setup::default()));
    let options = SshOptions {
        server_alive_interval: Some(Duration::from_millis(300)),
        server_alive_count: 2,
        ..SshOptions::default()
    };
    let there = behind(&target, &[Host { ssh: Arc::new(options), ..host(&jump) }]);
    let settings = settings();
    let session = ssh::connect(&there, &settings).await.unwrap();
    let stuck = jump.sessions();
    stuck.iter().for_each(|pid| kill(*pid, "STOP"));
    let (end, ..) = collect(&session, exec("echo never", SOON)).await;
    stuck.iter().for_each(|pid| kill(*pid, "CONT"));
    assert!(matches!(&end, ExecEnd::Lost(text) if text.contains("the jump host")), "{end:?}");
}

/// Five hundred hosts on loopback addresses, and the jump host beside them, in one network namespace.
struct Site {
    fleet: Sshd,
    jump: Sshd,
    program: Program,
}

impl Site {
    fn new(names: &str) -> Self {
        let fleet = Sshd::start(Setup { fleet: true, ..Setup::default() });
        let lines =
            ["MaxStartups 10:30:100", "MaxSessions 10", "LogLevel DEBUG1"].map(str::to_owned).to_vec();
        let jump = Sshd::start(Setup { lines, beside: Some(fleet.pid()), ..Setup::default() });
        super::authorize(&jump, &fleet.identity());
        append(&fleet.known_hosts(), &jump.known_hosts());
        let mut program = Program::alone();
        program.fleet(names, &fleet);
        program.configure("jump = \"root@127.0.0.1:2222\"");
        Self { fleet, jump, program }
    }

    fn sweep(&self) -> crate::support::program::Ran {
        let limits = "limits.visit_timeout=5m";
        let arguments = ["sweep", "-H", "*", "--json", "--probe", "hello", "--set", limits];
        ran(self.program.command_in(&self.fleet, &arguments))
    }
}

fn append(to: &Path, from: &Path) {
    let both = [to, from].map(|path| std::fs::read_to_string(path).unwrap()).concat();
    std::fs::write(to, both).unwrap();
}

#[test]
fn five_hundred_targets_behind_one_jump_host() {
    let site = Site::new("127.0.[1-2].[1-250]");
    let swept = site.sweep();
    swept.expect(0, &[]);
    assert_eq!(swept.adds_up(), 500);
    assert_eq!(swept.json()["outcomes"]["ok"], 500);
    // All of them through it, and all of that over a few connections.
    let log = site.jump.log();
    assert_eq!(log.matches("server_request_direct_tcpip: originator").count(), 500);
    assert!((1..=8).contains(&logins(&site.jump)), "{}", logins(&site.jump));
    assert!(!log.contains("beginning MaxStartups throttling"), "{log}");
}

#[test]
fn a_dead_jump_host_is_named_once_for_its_whole_fleet() {
    let site = Site::new("127.0.1.[1-60]");
    kill(site.jump.pid(), "KILL");
    let swept = site.sweep();
    swept.expect(4, &["unreachable via 127.0.0.1:2222: "]);
    assert_eq!(swept.adds_up(), 60);
    assert_eq!(swept.json()["outcomes"]["unreachable"], 60);
    swept.ended(("127.0.1.7", "hello"), "unreachable", &["unreachable via 127.0.0.1:2222: "]);
    let warnings = swept.err.lines().filter(|line| line.contains("hosts are unreachable via")).count();
    assert_eq!(warnings, 1, "{}", swept.err);
}

/// Hosts that wait for a jump host have nothing to do: they must not keep the places of those that have.
#[test]
fn hosts_behind_a_mute_jump_host_do_not_keep_others_waiting() {
    let sshd = Sshd::start(Setup::default());
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut program = Program::new();
    program.hosts("behind[001-200]", &sshd).hosts("direct[1-4]", &sshd);
    let jump = format!("root@127.0.0.1:{}", mute.local_addr().unwrap().port());
    let text = std::fs::read_to_string(program.dir().join("config.toml")).unwrap();
    let behind = |line: &str| match line.starts_with("names = \"behind") {
        true => format!("{line}\njump = {jump:?}\n"),
        false => format!("{line}\n"),
    };
    let text: String = text.lines().map(behind).collect();
    std::fs::write(program.dir().join("config.toml"), text).unwrap();
    // Eight places for three seconds each: two hundred hosts would keep them for longer than that.
    let limits = "limits.key_exchange_timeout=40s";
    let arguments = ["sweep", "-H", "*", "--probe", "hello", "--ndjson", "--set", limits];
    let mut sweep = program.command(&arguments).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(sweep.stdout.take().unwrap()).lines();
    for _ in 0..4 {
        let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let host = line["host"].as_str().unwrap();
        assert!(host.starts_with("direct") && line["outcome"] == "ok", "{line}");
    }
    // What was waited for ends at once, as do those who waited.
    drop(mute);
    assert_eq!(lines.filter(|line| line.as_ref().unwrap().contains("unreachable via")).count(), 200);
    assert!(sweep.wait().unwrap().code() == Some(3) || sweep.wait().unwrap().code() == Some(4));
}

/// The same for whoever asks who is there.
#[test]
fn a_check_of_hosts_behind_a_mute_jump_host_does_not_keep_others_waiting() {
    let sshd = Sshd::start(Setup::default());
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut program = Program::new();
    let files = (&*sshd.identity(), &*sshd.known_hosts());
    for at in 0..100 {
        program.host_block(&format!("behind{at:03}"), Some("127.0.0.1"), (sshd.port(), "root"), files);
        program.configure(&format!("jump = \"root@127.0.0.1:{}\"", mute.local_addr().unwrap().port()));
    }
    program.hosts("direct[1-4]", &sshd);
    let limits = ["--set", "limits.key_exchange_timeout=3m", "--set", "limits.visit_timeout=4m"];
    for verb in [&["hosts", "check"][..], &["doctor", "--probe", "hello"]] {
        let before = sshd.log().matches("Accepted publickey").count();
        let mut check = program.command(&[verb, &limits].concat());
        let mut check = check.stdout(std::process::Stdio::null()).spawn().unwrap();
        let let_in = || sshd.log().matches("Accepted publickey").count() - before == 4;
        let look = |_| {
            std::thread::sleep(Duration::from_millis(50));
            let_in()
        };
        assert!((0..1_200).any(look), "{}", sshd.log());
        assert!(check.try_wait().unwrap().is_none());
        kill(check.id(), "KILL");
        check.wait().unwrap();
    }
    drop(mute);
}
