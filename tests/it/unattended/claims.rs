//! The same probe never runs twice at once on a host, not even for two processes that share a state
//! directory, and whoever was second says so in its ledger.

use std::fs;
use std::time::Instant;

use crate::support::patience::wait_until;
use crate::support::program::{Program, ended, files_below, ran};
use crate::support::sshd::{Setup, Sshd};

/// A host whose probe `slow` writes down when it runs, and takes its time.
fn host(seconds: &str) -> (Sshd, Program) {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    program.hosts("web01", &sshd);
    let log = program.dir().join("runs");
    let script = format!("echo begin >> {0}\nsleep {seconds}\necho end >> {0}\necho done", log.display());
    program.probe("slow", &script, "format = \"text\"\ntimeout = \"50s\"");
    (sshd, program)
}

fn runs(program: &Program) -> Vec<String> {
    let text = fs::read_to_string(program.dir().join("runs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

const SWEEP: [&str; 5] = ["sweep", "--probe", "slow", "--probe", "hello"];

#[test]
fn two_processes_never_run_a_probe_at_once() {
    let (_sshd, program) = host("0.3");
    let mut children = Vec::new();
    for _ in 0..6 {
        let since = Instant::now();
        children.push((program.command(&SWEEP).arg("--json").spawn().unwrap(), since));
    }
    let (mut ok, mut refused) = (0, 0);
    for (child, since) in children {
        let run = ended(child, since);
        assert_eq!(run.adds_up(), 2);
        let slow = run.reading("web01", "slow");
        match slow["outcome"].as_str().unwrap() {
            "ok" => ok += 1,
            "skipped" => {
                refused += 1;
                let detail = slow["detail"].as_str().unwrap();
                let sweep =
                    detail.strip_prefix("already running in sweep ").unwrap_or_else(|| panic!("{detail}"));
                assert!(program.sweeps().iter().any(|known| known.as_str() == sweep), "{detail}");
            }
            other => panic!("{other}"),
        }
    }
    let log = runs(&program);
    assert_eq!(log.len(), 2 * ok);
    assert!(log.chunks(2).all(|pair| pair == ["begin", "end"]), "{log:?}");
    assert_eq!(ok + refused, 6);
    assert_eq!(files_below(&program.state().join("run")), Vec::<std::path::PathBuf>::new());
    program.assert_clean();
}

#[test]
fn the_second_is_refused_while_the_first_runs_and_not_afterwards() {
    let (_sshd, program) = host("8");
    let first = program.command(&SWEEP).arg("--json").spawn().unwrap();
    let since = Instant::now();
    wait_until("the probe begins", || !runs(&program).is_empty());
    // And the other one has ended.
    wait_until("only the slow probe still runs", || files_below(&program.state().join("run")).len() == 1);
    let second = program.run(&["sweep", "--probe", "slow", "--probe", "hello", "--json"]);
    second.expect(3, &[]);
    let first = ended(first, since);
    first.expect(0, &[]);
    let sweep = first.json()["sweep"].as_str().unwrap().to_owned();
    second.ended(("web01", "slow"), "skipped", &[&format!("already running in sweep {sweep}")]);
    second.ended(("web01", "hello"), "ok", &[]);
    program.run(&SWEEP).expect(0, &[]);
}

#[test]
fn a_claim_ends_with_its_process_and_leaves_nothing() {
    let (_sshd, program) = host("30");
    let mut child = program.command(&SWEEP).spawn().unwrap();
    wait_until("the probe begins", || !runs(&program).is_empty());
    let claims = || files_below(&program.state().join("run"));
    wait_until("only the slow probe still runs", || claims().len() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(claims().len(), 1);
    let command = program.command(&["sweep", "--probe", "hello"]);
    ran(command).expect(0, &["closed sweep"]);
    assert_eq!(claims().len(), 0);
}
