//! Every system call that changes a file or makes it durable fails once: in a small sweep, and in the daemon.
//! What was acknowledged stays, nothing is acknowledged that is not there, and the next sweep is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::field::{Field, SWEEP};
use super::rounds::Rounds;
use super::verify::{every_tick_is_written_down, verify};
use crate::support::patience::wait_until;
use crate::support::sshd::{children, kill};
use crate::unattended::process::Daemon;

/// The calls, and how a disk fails them.
const CALLS: [(&str, &[&str]); 10] = [
    ("pwrite64", &["EIO", "ENOSPC"]),
    ("write", &["EIO", "ENOSPC"]),
    ("fdatasync", &["EIO", "ENOSPC"]),
    ("fsync", &["EIO"]),
    ("ftruncate", &["EIO"]),
    ("openat", &["EIO", "ENOSPC"]),
    ("mkdir", &["EIO", "ENOSPC"]),
    ("rename", &["EIO", "ENOSPC"]),
    ("unlink", &["EIO"]),
    ("pread64", &["EIO"]),
];

const CRON: &str = "* * * * * *";

fn field() -> Field {
    let mut field = Field::new();
    field.program.configure(&format!(
        "[[schedule]]\nname = \"often\"\ncron = {CRON:?}\nprobes = [\"hello\", \"noise\"]\n\
         [retention]\nreserve = \"1MiB\"\nlow_space = \"0B\"\n"
    ));
    field
}

/// The program under strace, which writes what it saw of these calls to a file.
fn traced(field: &Field, arguments: &[&str], (calls, inject): (&str, Option<&str>), seen: &Path) -> Command {
    let plain = field.program.command(arguments);
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-o"]).arg(seen).args(["-e", &format!("trace={calls}")]);
    command.args(["-e", "signal=none"]);
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    command.arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

/// For each call: which of the program's calls of that name were about its state directory, counted from 1.
fn counted(seen: &Path, state: &Path) -> BTreeMap<&'static str, Vec<u32>> {
    let text = fs::read_to_string(seen).expect("what strace saw");
    let state = state.to_str().expect("a path");
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut found: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.contains(" resumed>")) {
        let call = CALLS.iter().find(|(name, _)| {
            line.split_once(' ').is_some_and(|(_, rest)| rest.trim_start().starts_with(&format!("{name}(")))
        });
        let Some((name, _)) = call else { continue };
        let count = counts.entry(name).or_default();
        *count += 1;
        if line.contains(state) {
            found.entry(name).or_default().push(*count);
        }
    }
    found
}

/// Everything that can fail, once: the call, its number, the error.
fn failures(field: &mut Field, seen: &Path) -> Vec<(&'static str, u32, &'static str)> {
    let all = CALLS.map(|(name, _)| name).join(",");
    let command = traced(field, &SWEEP, (&all, None), seen);
    let run = field.run(command, None);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let found = counted(seen, &field.state());
    let of_call = |(name, errors): &(&'static str, &'static [&'static str])| {
        let numbers = found.get(name).cloned().unwrap_or_default();
        let (name, errors) = (*name, *errors);
        numbers.into_iter().flat_map(move |number| errors.iter().map(move |error| (name, number, *error)))
    };
    CALLS.iter().flat_map(of_call).collect()
}

#[test]
fn each_fails_once_in_a_sweep() {
    let mut rounds = Rounds::new("failing calls in a sweep", 20);
    let mut field = field();
    let folder = tempfile::tempdir().expect("a folder");
    let seen = folder.path().join("seen");
    let mut failures = failures(&mut field, &seen);
    for name in ["pwrite64", "fdatasync", "fsync", "openat", "mkdir"] {
        assert!(failures.iter().any(|(call, ..)| *call == name), "a sweep calls no {name}: {failures:?}");
    }
    rounds.shuffle(&mut failures);
    while rounds.next() {
        let at = usize::try_from(rounds.round() - 1).expect("a small number") % failures.len();
        let (call, number, error) = failures[at];
        // Most of them happen once in the life of a directory.
        field.fresh(None);
        let inject = format!("{call}:error={error}:when={number}");
        let command = traced(&field, &SWEEP, (call, Some(&inject)), &seen);
        let run = field.run(command, None);
        assert!(matches!(run.code, Some(0 | 1 | 3 | 4)), "{inject}: {run:#?}");
        // Loudly: a run that did not take all it was asked for says so.
        let complete = field.acknowledged.len() == 12;
        assert!(complete || run.code == Some(1) && !run.err.is_empty(), "{inject}: {run:#?}");
        if field.state().join("archive").is_dir() {
            verify(&field);
        }
        let next = field.run(field.program.command(&SWEEP), None);
        assert_eq!(next.code, Some(0), "after {inject}: {next:#?}");
        verify(&field);
    }
}

#[test]
fn each_fails_once_in_the_daemon() {
    let mut rounds = Rounds::new("failing calls in the daemon", 4);
    let mut field = field();
    let folder = tempfile::tempdir().expect("a folder");
    let seen = folder.path().join("seen");
    let mut failures = failures(&mut field, &seen);
    // A daemon that cannot open its directory does not start, and says why: not what is asked here.
    failures
        .retain(|(call, ..)| matches!(*call, "pwrite64" | "fdatasync" | "fsync" | "ftruncate" | "rename"));
    rounds.shuffle(&mut failures);
    while rounds.next() {
        let at = usize::try_from(rounds.round() - 1).expect("a small number") % failures.len();
        let (call, _, error) = failures[at];
        // Behind its start, in what it does for a sweep or the book.
        let number = 20 + rounds.below(60);
        field.fresh(None);
        run_daemon(&mut field, (call, &format!("{call}:error={error}:when={number}")), &seen);
        verify(&field);
        every_tick_is_written_down(&field, CRON);
    }
}

/// One that is hit sweeps on.
fn run_daemon(field: &mut Field, (call, inject): (&str, &str), seen: &PathBuf) {
    let _ = fs::remove_file(seen);
    let command = traced(field, &["daemon"], (call, Some(inject)), seen);
    let mut daemon = Daemon::spawn(command, &field.program);
    wait_until("it is ready, or has ended", || daemon.has_notice("READY=1") || daemon.has_ended());
    if daemon.has_ended() {
        // Hit before it was ready: whoever looks after it starts it again.
        assert_eq!(daemon.ended(), Some(1), "{inject}: {}", daemon.log());
        daemon.wait_for_log("dropsonde: ");
        daemon = Daemon::start(&field.program, &[]);
        wait_until("it sweeps", || daemon.log().contains(" of often: 8/8 ok"));
        field.note_log(&daemon.stop());
        return;
    }
    let hit = || fs::read_to_string(seen).unwrap_or_default().contains("(INJECTED)");
    let swept = |daemon: &Daemon| daemon.log().matches(" of often: 8/8 ok").count();
    // Some calls are rare: then it was a round without a failure.
    wait_until("it is hit or has swept often", || hit() || swept(&daemon) >= 8 || daemon.has_ended());
    let before = swept(&daemon);
    wait_until("it sweeps on", || swept(&daemon) >= before + 2 || daemon.has_ended());
    assert!(!daemon.has_ended(), "{inject}: {}", daemon.log());
    stop(daemon, field);
}

fn stop(mut daemon: Daemon, field: &mut Field) {
    // strace passes nothing on: its child is the daemon.
    let inside = children(daemon.pid());
    inside.iter().for_each(|pid| kill(*pid, "TERM"));
    assert_eq!(daemon.ended(), Some(0), "{}", daemon.log());
    field.note_log(&daemon.log());
}

/// What could not be synced is written again, and is not there twice.
#[test]
fn a_book_of_ticks_that_could_not_be_synced() {
    let mut rounds = Rounds::new("book not synced", 1);
    let mut field = field();
    let folder = tempfile::tempdir().expect("a folder");
    let seen = folder.path().join("seen");
    while rounds.next() {
        // Which of its syncs is one of the book's is seen first; now and then it is another one's turn.
        let mut hit = false;
        for _ in 0..10 {
            let of_book = syncs_of_book(&mut field, None, &seen);
            let when = rounds.pick(&of_book);
            syncs_of_book(&mut field, Some(when), &seen);
            verify(&field);
            every_tick_is_written_down(&field, CRON);
            let text = fs::read_to_string(&seen).expect("what strace saw");
            hit = text.lines().any(|line| line.contains("ticks.jsonl") && line.contains("(INJECTED)"));
            if hit {
                break;
            }
        }
        assert!(hit, "a sync of the book never failed");
    }
}

/// Runs a daemon for a few sweeps, of which one sync fails; which of its syncs were the book's.
fn syncs_of_book(field: &mut Field, fails: Option<u32>, seen: &Path) -> Vec<u32> {
    field.fresh(None);
    let inject = fails.map(|when| format!("fdatasync:error=EIO:when={when}"));
    let daemon =
        Daemon::spawn(traced(field, &["daemon"], ("fdatasync", inject.as_deref()), seen), &field.program);
    // What is refused is tried again after five seconds, and when the next tick comes.
    wait_until("it sweeps", || daemon.log().matches(" of often: 8/8 ok").count() >= 4);
    stop(daemon, field);
    let text = fs::read_to_string(seen).expect("what strace saw");
    let syncs = (1..).zip(text.lines().filter(|line| line.contains(" fdatasync(")));
    syncs.filter(|(_, line)| line.contains("ticks.jsonl")).map(|(number, _)| number).take(3).collect()
}
