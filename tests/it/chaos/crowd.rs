//! A daemon, people who sweep the same hosts, a prune and a backup, all at once in one state directory.

use std::collections::BTreeMap;
use std::fs;
use std::process::Child;
use std::time::Duration;

use super::field::{Field, SWEEP};
use super::rounds::Rounds;
use super::verify::{every_tick_is_written_down, is_whole_copy, verify};
use crate::support::patience::wait_until;
use crate::support::sshd::Setup;
use crate::unattended::process::Daemon;

const CRON: &str = "* * * * * *";

/// Four hosts, each with an address of its own, whose probes write down when they begin and end.
fn field() -> Field {
    let addresses: Vec<String> = (1..=4).map(|number| format!("127.0.0.{number}")).collect();
    let mut field = Field::with(Setup { addresses: addresses.clone(), ..Setup::default() });
    let log = field.program.dir().join("runs");
    for name in ["noise", "slow"] {
        let log = log.display();
        let script = format!(
            "set -- $SSH_CONNECTION\necho \"begin $3 {name}\" >>{log}\ntrap 'echo \"end $3 {name}\" >>{log}' EXIT\n\
             sleep 0.2\nhead -c 700 /dev/urandom | od -An -v -tx1"
        );
        field.program.probe(name, &script, "format = \"text\"");
    }
    let (identity, known, port) = (field.sshd.identity(), field.sshd.known_hosts(), field.sshd.port());
    for (number, address) in (11..).zip(&addresses) {
        let name = format!("db{number}");
        field.program.host_block(&name, Some(address), (port, "root"), (&identity, &known));
    }
    field.program.configure(&format!(
        "[[schedule]]\nname = \"often\"\ncron = {CRON:?}\nhosts = \"db*\"\n\
         probes = [\"hello\", \"noise\", \"slow\"]\n\
         [retention]\nlow_space = \"0B\"\nreserve = \"1MiB\"\n"
    ));
    field
}

/// No probe began on a host while it ran there.
fn never_twice_at_once(field: &Field) {
    let text = fs::read_to_string(field.program.dir().join("runs")).expect("the probes' own log");
    let mut running: BTreeMap<&str, bool> = BTreeMap::new();
    for line in text.lines() {
        let (what, of) = line.split_once(' ').expect("two words");
        let runs = running.entry(of).or_default();
        assert_eq!(*runs, what == "end", "{line}: twice at once, or never begun\n{text}");
        *runs = !*runs;
    }
    assert_eq!(running.len(), 8, "{running:?}");
}

#[test]
fn all_at_once_in_one_state_directory() {
    let mut rounds = Rounds::new("all at once", 2);
    let mut field = field();
    while rounds.next() {
        field.fresh(None);
        let _ = fs::remove_file(field.program.dir().join("runs"));
        let daemon = Daemon::start(&field.program, &[]);
        let backups: Vec<_> = (0..2).map(|n| field.program.dir().join(format!("backup-{n}"))).collect();
        let mut sweeps: Vec<Child> = Vec::new();
        let mut others: Vec<(&str, Child)> = Vec::new();
        for backup in &backups {
            for _ in 0..2 {
                let sweep = [&SWEEP[..7], &["--json", "-H", "db*"]].concat();
                sweeps.push(field.program.command(&sweep).spawn().expect("a sweep"));
                std::thread::sleep(Duration::from_millis(rounds.below(500)));
            }
            let path = backup.to_str().expect("a path");
            others.push(("backup", field.program.command(&["backup", path]).spawn().expect("a backup")));
            // Bytes go after two seconds, sweeps after six.
            let prune = ["prune", "--set", "retention.raw=2s", "--set", "retention.samples=6s"];
            others.push(("prune", field.program.command(&prune).spawn().expect("a prune")));
        }
        for sweep in sweeps {
            let output = sweep.wait_with_output().expect("its output");
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(0 | 3)), "{err}");
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let readings = report["readings"].as_array().expect("readings");
            assert_eq!((readings.len(), &report["planned"]), (12, &12.into()), "{report}");
            for reading in readings {
                let detail = reading["detail"].as_str().unwrap_or_default();
                let left = reading["outcome"] == "skipped" && detail.starts_with("already running in sweep ");
                assert!(reading["outcome"] == "ok" || left, "{reading}");
            }
        }
        for (name, child) in others {
            let output = child.wait_with_output().expect("its output");
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let swept = || daemon.log().matches(" of often: ").count();
        let before = swept();
        wait_until("the daemon sweeps on", || swept() >= before + 2);
        daemon.stop();
        never_twice_at_once(&field);
        for backup in &backups {
            is_whole_copy(backup);
            super::field::remove(backup);
        }
        verify(&field);
        every_tick_is_written_down(&field, CRON);
    }
}
