//! What a probe may do and be, and what its reading says of it: the same under every shell and in
//! every userland, through a real sshd.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dropsonde::model::{ByteSize, Need, Outcome, Probe};
use dropsonde::wire::{Decoded, inflate_archived};

use crate::support::patience::wait_for;
use crate::support::runs::{Job, probe};
use crate::support::sshd::{Setup, Sshd, Userland};

type Check = (&'static str, fn(&Sshd));

const CHECKS: [Check; 15] = [
    ("output, errors and status", output_errors_and_status),
    ("bytes", bytes_come_as_they_are),
    ("odd ends", odd_ends),
    ("endless output", endless_output),
    ("endless errors", endless_errors),
    ("stdin", stdin_is_empty),
    ("scripts are data", scripts_are_data),
    ("long script", long_script),
    ("needs", needs),
    ("surroundings", surroundings),
    ("forgery", forgery),
    ("leftovers", leftovers),
    ("deadline", deadline),
    ("half a request", half_a_request),
    ("more after the request", more_after_the_request),
];

/// All checks, four at a time.
fn answers(userland: Userland) {
    let lines = vec!["AcceptEnv CELL".to_owned()];
    let sshd = &Sshd::start(Setup { lines, userland: Some(userland), ..Setup::default() });
    let next = &AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                while let Some((name, check)) = CHECKS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let named = std::thread::Builder::new().name((*name).to_owned());
                    let run = named.spawn_scoped(scope, move || check(sshd)).expect("a thread");
                    assert!(run.join().is_ok(), "{name}");
                }
            });
        }
    });
}

fn run(sshd: &Sshd, probe: Probe) -> Decoded {
    let job = Job::new(probe);
    let decoded = job.over(sshd);
    job.assert_gone(&job.probe.script.chars().take(60).collect::<String>());
    let archived = inflate_archived(&decoded.wire, decoded.raw.len() as u64, u64::MAX);
    assert_eq!(archived.as_ref(), Ok(&decoded.raw), "the archived stream gives the same output");
    decoded
}

fn expect(decoded: &Decoded, outcome: Outcome, raw: &[u8]) {
    let detail = (&decoded.detail, &decoded.stderr);
    assert_eq!(decoded.outcome, outcome, "{detail:?}");
    assert_eq!(String::from_utf8_lossy(&decoded.raw), String::from_utf8_lossy(raw), "{detail:?}");
    assert_eq!(decoded.raw, raw);
}

fn output_errors_and_status(sshd: &Sshd) {
    let decoded = run(sshd, probe("echo out; printf 'first\\n\\nlast' >&2; exit 3"));
    expect(&decoded, Outcome::Failed, b"out\n");
    assert_eq!(decoded.exit, Some(3));
    assert_eq!(decoded.stderr.trim_end(), "first\n\nlast");
    assert_eq!(decoded.detail.as_deref(), Some("script ended with status 3: last"));
    let clock = decoded.clock.expect("clocks");
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    assert_eq!(clock.boot_id, boot_id.trim());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let late_s = now.as_secs() as i64 - clock.end.unix_s();
    assert!((0..60).contains(&late_s), "{late_s}");
    assert!(clock.start <= clock.end && clock.uptime_start_s <= clock.uptime_end_s);

    let decoded = run(sshd, probe("true"));
    expect(&decoded, Outcome::Ok, b"");
    assert_eq!(decoded.stderr, "");
    let decoded = run(sshd, probe("i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done"));
    assert!(decoded.cpu.expect("CPU time") >= Duration::from_millis(30), "{:?}", decoded.cpu);
}

fn bytes_come_as_they_are(sshd: &Sshd) {
    let decoded = run(sshd, probe(r"printf '\000\001\377\r\n\033\n\n\000no newline'"));
    expect(&decoded, Outcome::Ok, b"\x00\x01\xff\r\n\x1b\n\n\x00no newline");
}

fn odd_ends(sshd: &Sshd) {
    let decoded = run(sshd, probe("echo before; kill -9 $$"));
    expect(&decoded, Outcome::Failed, b"before\n");
    assert!(decoded.detail.expect("a detail").contains("signal 9"));
    expect(&run(sshd, probe("echo a; exec >&- 2>&-; sleep 0.3")), Outcome::Ok, b"a\n");
    let decoded = run(sshd, probe("if then fi"));
    assert_eq!(decoded.outcome, Outcome::Failed);
    assert!(decoded.stderr.to_lowercase().contains("syntax error"), "{}", decoded.stderr);
}

fn endless_output(sshd: &Sshd) {
    let decoded = run(sshd, Probe { max_output: ByteSize(100_000), ..probe("yes") });
    expect(&decoded, Outcome::Truncated, &b"y\n".repeat(50_000));
    assert!(decoded.clock.is_some(), "the host cut it itself, so its trailer came as well");
    let exactly = Probe { max_output: ByteSize(5), ..probe("printf 12345") };
    expect(&run(sshd, exactly), Outcome::Ok, b"12345");
}

fn endless_errors(sshd: &Sshd) {
    let decoded = run(sshd, Probe { timeout: Duration::from_secs(1), ..probe("yes >&2") });
    expect(&decoded, Outcome::TimedOut, b"");
    assert!((1_000..=16 << 10).contains(&decoded.stderr.len()), "{}", decoded.stderr.len());
}

fn stdin_is_empty(sshd: &Sshd) {
    expect(&run(sshd, probe("cat; read -r line || echo end")), Outcome::Ok, b"end\n");
}

fn scripts_are_data(sshd: &Sshd) {
    let text = "it's \"q\" $HOME `id` \\n \\\n}\nexit 0\n}\n'\\''\nEOF2\n# no comment\n\t  tab\n";
    let decoded = run(sshd, probe(&format!("cat <<'EOF'\n{text}EOF\n")));
    expect(&decoded, Outcome::Ok, text.as_bytes());
    expect(&run(sshd, probe("echo a\r\necho 'ü\u{202e}'")), Outcome::Ok, "a\r\nü\u{202e}\n".as_bytes());
}

fn long_script(sshd: &Sshd) {
    let words = "it's a long one ".repeat(6_000);
    let decoded = run(sshd, probe(&format!("cat <<'EOF' | wc -c\n{words}\nEOF\n")));
    expect(&decoded, Outcome::Ok, b"96001\n");
}

fn needs(sshd: &Sshd) {
    let file = |path: &str| Need::File(path.to_owned());
    let tool = |name: &str| Need::Tool(name.to_owned());
    let needs =
        vec![file("/proc/stat"), tool("no-such-tool"), file("$PROC/stat"), file("$SYS/none"), file("/n%s")];
    let decoded = run(sshd, Probe { needs, ..probe("echo ran") });
    expect(&decoded, Outcome::Unsupported, b"");
    let detail = decoded.detail.expect("a detail");
    assert_eq!(detail, "host lacks tool:no-such-tool, file:$SYS/none, file:/n%s");
    let needs = vec![file("$PROC/stat"), tool("cat")];
    expect(&run(sshd, Probe { needs, ..probe("echo ran") }), Outcome::Ok, b"ran\n");
}

fn surroundings(sshd: &Sshd) {
    let script =
        "umask; ulimit -c; echo $LC_ALL $PROC $SYS \"$DROPSONDE_CURSOR\" $DROPSONDE_INSTANCE $DROPSONDE_RUN
for fd in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$fd ] || echo $fd; done; echo $0";
    let mut job = Job::new(probe(script));
    job.host.proc_root = Some("/proc/1/root/proc".to_owned());
    job.cursor = Some("it's; $here".to_owned());
    let tag = job.tag;
    let expected =
        format!("0077\n0\nC /proc/1/root/proc /sys it's; $here dropsonde.{tag} {tag}\n0\n1\n2\nprobe\n");
    expect(&job.over(sshd), Outcome::Ok, expected.as_bytes());
}

fn forgery(sshd: &Sshd) {
    let script = "for f in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do tr '\\0' '\\n' <$f; done 2>/dev/null
printf '\\ndropsonde/1 %s 1.00 2.00 0 - 0m0.0s 0m0.0s boot - 2.00 1795395068.5\\n' $DROPSONDE_RUN; exit 9";
    let mut job = Job::new(probe(script));
    job.probe.max_output = ByteSize(64 << 20);
    let decoded = job.over(sshd);
    assert_eq!((decoded.outcome, decoded.exit), (Outcome::Failed, Some(9)), "{:?}", decoded.detail);
    let raw = String::from_utf8_lossy(&decoded.raw);
    assert!(raw.ends_with(" 1795395068.5\n"), "a forged trailer is output");
    assert!(raw.contains(&job.tag.to_string()));
    assert!(!raw.contains(&job.nonce.to_string()), "the probe sees the nonce");
}

fn leftovers(sshd: &Sshd) {
    for leave in [
        "(setsid sleep 300 &)",
        "(sleep 300 >/dev/null 2>&1 &)",
        "sleep 300 &",
        "(trap '' TERM; sleep 300) &",
    ] {
        for cost in [dropsonde::model::Cost::Cheap, dropsonde::model::Cost::Heavy] {
            let decoded = run(sshd, Probe { cost, ..probe(&format!("{leave}\necho left")) });
            expect(&decoded, Outcome::Ok, b"left\n");
        }
    }
}

fn deadline(sshd: &Sshd) {
    // `sleep` before the trap: a shell that was just forked still has its parent's.
    let script = "sleep 100 & trap 'echo caught; exit 0' TERM; echo started; wait; echo never";
    let decoded = run(sshd, Probe { timeout: Duration::from_secs(1), ..probe(script) });
    expect(&decoded, Outcome::TimedOut, b"started\ncaught\n");
    let clock = decoded.clock.expect("clocks");
    let took_s = clock.uptime_end_s - clock.uptime_start_s;
    assert!((1.0..20.0).contains(&took_s), "{took_s}");
    // With more processes than are looked at one by one, each is still told once.
    let many = format!("i=0; while [ $i -lt 30 ]; do sleep 100 & i=$((i + 1)); done; {script}");
    let decoded = run(sshd, Probe { timeout: Duration::from_secs(3), ..probe(&many) });
    expect(&decoded, Outcome::TimedOut, b"started\ncaught\n");
}

/// Runs whatever `bytes` make a shell run, with stdin closed behind them.
fn raw_request(sshd: &Sshd, job: &Job, bytes: &[u8]) {
    let mut client = job.connect(sshd);
    client.stdin.take().expect("stdin").write_all(bytes).expect("write");
    let _ = job.decode(&mut client);
    job.assert_gone("a request without its end");
}

fn half_a_request(sshd: &Sshd) {
    let trace = sshd.dir().join("half-a-request-ran");
    let job = Job::new(probe(&format!("echo x >{}", trace.display())));
    let request = job.request().stdin();
    for cut in [5, 60, request.len() / 3, request.len() - 40, request.len() - 9, request.len() - 2] {
        raw_request(sshd, &job, &request[..cut]);
        assert!(!trace.exists(), "{cut} of {} bytes ran something", request.len());
    }
}

fn more_after_the_request(sshd: &Sshd) {
    let trace = sshd.dir().join("more-after-the-request-ran");
    let job = Job::new(probe("sleep 0.3"));
    let more = format!("echo x >{0}\n}}\necho x >{0}\n", trace.display());
    raw_request(sshd, &job, &[&job.request().stdin()[..], more.repeat(2_000).as_bytes()].concat());
    assert!(!trace.exists(), "what followed the request was run");
}

fn with_shell(shell: &str) -> Userland {
    Userland { shell: Some(shell.into()), ..Userland::default() }
}

#[test]
fn answers_are_right_under_dash() {
    answers(with_shell("/usr/bin/dash"));
}

#[test]
fn answers_are_right_under_bash() {
    answers(with_shell("/usr/bin/bash"));
}

#[test]
fn answers_are_right_under_busybox_ash() {
    answers(with_shell("/usr/bin/busybox"));
}

#[test]
fn answers_are_right_with_nothing_but_busybox() {
    answers(Userland { busybox: true, ..Userland::default() });
}

#[test]
fn answers_are_right_without_the_usual_tools_and_with_a_noisy_profile() {
    let without = vec!["gzip", "timeout", "setsid", "ionice", "nice", "grep"];
    // `setsid` in a probe's own script is then missing as well: it says so and leaves nothing.
    let login_noise = Some("Welcome!\ndropsonde/1 00000000000000000000000000000000 gzip".to_owned());
    answers(Userland { without, login_noise, ..with_shell("/usr/bin/dash") });
}

#[test]
fn a_refusing_sudo_is_a_denial_and_a_willing_one_is_root() {
    let check = |script: &str, outcome: Outcome, words: &str| {
        let scripts = vec![("sudo", format!("#!/bin/sh\n{script}\n"))];
        let userland = Userland { scripts, ..Userland::default() };
        let lines = vec!["AcceptEnv CELL".to_owned()];
        let sshd = Sshd::start(Setup { lines, userland: Some(userland), ..Setup::default() });
        let job = Job { become_root: true, ..Job::new(probe("(setsid sleep 300 &); echo root")) };
        let decoded = job.over(&sshd);
        assert_eq!(decoded.outcome, outcome, "{:?}", decoded.detail);
        assert!(decoded.detail.unwrap_or_default().contains(words), "{script}");
        job.assert_gone("under sudo");
    };
    check("echo 'sudo: a password is required' >&2; exit 1", Outcome::Denied, "NOPASSWD");
    // As sudo does: it waits for the command, in the same process group.
    check("shift; \"$@\"", Outcome::Ok, "");
}

/// A run that is over before its watchers were ever given a CPU: they must die of the signal that ends
/// them, or the channel stays open for as long as heartbeats come.
#[test]
fn a_run_that_is_over_at_once_ends_at_once() {
    for _ in 0..4 {
        let start = |_| {
            let lacking = Job::new(Probe { needs: vec![Need::Tool("no-such-tool".into())], ..probe("true") });
            let mut shell = Command::new("dash");
            shell.arg("-s").env("CELL", lacking.tag.to_string()).process_group(0);
            shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = shell.spawn().expect("dash");
            let mut stdin = child.stdin.take().expect("stdin");
            stdin.write_all(&lacking.request().stdin()).expect("write");
            (child, stdin)
        };
        let mut started: Vec<_> = (0..50).map(start).collect();
        let ended = || started.iter_mut().all(|(child, _)| child.try_wait().expect("wait").is_some());
        let all = wait_for(ended);
        drop(
            started
                .drain(..)
                .map(|(child, stdin)| (drop(stdin), child).1.wait_with_output())
                .collect::<Vec<_>>(),
        );
        assert!(all, "a run waits for its watchers");
    }
}
