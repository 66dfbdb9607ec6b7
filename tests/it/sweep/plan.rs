//! What is decided before a host is called, and what of it is shown.

use std::time::Duration;

use dropsonde::collect::{request, wire_limits};
use dropsonde::config::Limits;
use dropsonde::model::{Host, HostName};
use dropsonde::wire::{Nonce, RunTag};

use super::*;
use crate::support::program::files_below;

#[test]
fn a_dry_run_shows_every_byte_and_leaves_no_trace() {
    let (sshd, mut program) = good("web[01-03]");
    program.configure("[[schedule]]\nname = \"hourly\"\ncron = \"0 * * * *\"\nhosts = \"web[01-02]\"\nprobes = [\"hello\", \"kernel_log\"]");
    let before = files_below(program.dir());
    let dry = program.run(&["sweep", "hourly", "--dry-run", "--json"]);
    dry.expect(0, &[]);
    let answer = dry.json();
    assert_eq!((&answer["planned"], answer["hosts"].as_array().map(Vec::len)), (&4.into(), Some(2)));
    assert_eq!(before, files_below(program.dir()));
    assert!(!sshd.log().contains("Connection from") && !sshd.log().contains("Accepted"), "{}", sshd.log());

    let text = fs::read_to_string(program.dir().join("probes.d/hello.toml")).unwrap();
    let probe = dropsonde::config::parse_probe("hello", "hello.toml", &text).unwrap();
    let name = HostName::new("web01").unwrap();
    let host = Host { address: "127.0.0.1".to_owned(), port: sshd.port(), ..Host::new(name, "root") };
    let tokens = (RunTag::new([0x11; 16]), Nonce::new([0x22; 16]));
    let sent = request((&host, &probe), tokens, wire_limits(&Limits::default()), None);
    let shown = &answer["hosts"][0]["probes"][0];
    assert_eq!(shown["stdin"].as_str().map(str::as_bytes), Some(&*sent.stdin()));
    assert_eq!((shown["probe"].as_str(), shown["command"].as_str()), (Some("hello"), Some(sent.command())));

    let text = program.run(&["sweep", "--probe", "hello", "--dry-run"]);
    text.expect(0, &["3 readings planned, nothing sent"]);
    assert!(
        text.out.contains("# hello on web[01-03]\n") && text.out.contains("hello_value 1"),
        "{}",
        text.out
    );
    assert_eq!(before, files_below(program.dir()));

    // After a sweep, too, when there is an index that knows cursors.
    program.run(&["sweep", "hourly", "--json"]).expect(0, &[]);
    let before = contents(&program);
    program.run(&["sweep", "hourly", "--dry-run"]).expect(0, &[]);
    assert_eq!(before, contents(&program));
}

/// Every file and its bytes, but for the two that SQLite needs beside an index to read it.
fn contents(program: &Program) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let all = files_below(program.dir()).into_iter();
    let own = all.filter(|path| !path.to_string_lossy().contains("index.sqlite-"));
    own.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_schedule_names_hosts_and_probes_and_a_flag_narrows_them() {
    let (_sshd, mut program) = good("web[01-03]");
    program.configure(
        "[[schedule]]\nname = \"hourly\"\ncron = \"0 * * * *\"\nhosts = \"web[01-02]\"\nprobes = [\"hello\"]",
    );
    let swept = program.run(&["sweep", "hourly", "-H", "web[02-03]", "--json"]);
    swept.expect(0, &[]);
    assert_eq!(swept.adds_up(), 1);
    assert_eq!(swept.json()["trigger"], "scheduled");
    swept.ended(("web02", "hello"), "ok", &[]);
    program.run(&["sweep", "hourly", "-H", "web03"]).expect(2, &["none of the hosts of -H"]);
}

#[test]
fn what_failed_is_run_again_and_nothing_else() {
    let (sshd, mut program) = good("web[01-02]");
    let key = program.dir().join("flag");
    program.probe(
        "moody",
        &format!("test -e {} && printf 'hello_value 2\\n'", key.display()),
        "format = \"openmetrics\"",
    );
    let (identity, known) = (sshd.identity(), sshd.known_hosts());
    program.host_block("down", Some("127.0.0.1"), (1, "root"), (&identity, &known));
    let sweep = ["sweep", "--probe", "hello", "--probe", "moody", "--json"];
    let first = program.run(&sweep);
    first.expect(3, &[]);
    first.ended(("web01", "moody"), "failed", &["status 1"]);
    first.ended(("down", "hello"), "unreachable", &["refused"]);
    assert_eq!(first.json()["outcomes"]["ok"], 2);

    fs::write(&key, "").unwrap();
    let only =
        program.run(&["sweep", "--retry-failed", "latest", "--probe", "moody", "-H", "web02", "--json"]);
    only.expect(0, &[]);
    assert_eq!(only.adds_up(), 1);
    // By its own word: two sweeps of one second sort by chance.
    let report = first.json();
    let id = report["sweep"].as_str().expect("the sweep's name");
    let again = program.run(&["sweep", "--retry-failed", id, "--json"]);
    again.expect(3, &[]);
    assert_eq!(again.adds_up(), 4);
    again.ended(("web01", "moody"), "ok", &[]);
    again.ended(("down", "moody"), "unreachable", &[]);
    let nothing = program.run(&["sweep", "--retry-failed", "latest", "-H", "web01"]);
    nothing.expect(2, &["nothing failed"]);
    program.run(&["sweep", "--retry-failed", "20200101T000000Z-00000000"]).expect(2, &["there is no sweep"]);
    program.run(&["sweep", "--retry-failed", "yesterday"]).expect(2, &["is not a sweep name"]);
    program.assert_clean();
}

#[test]
fn a_run_prints_samples_as_they_come_and_escapes_what_hosts_say() {
    let (_sshd, program) = good("web[01-02]");
    program.probe("rude", "printf 'a\\033[31mred\\007\\n\\033]0;title\\007'", "format = \"text\"");
    let run = program.run(&["run", "hello", "rude", "-H", "web[01-02]"]);
    run.expect(0, &["4/4 ok"]);
    assert_eq!(run.out.matches("hello_value").count(), 2, "{}", run.out);
    assert_eq!(run.out.matches("web01 hello ok").count(), 1, "{}", run.out);
    assert!(
        run.out.contains("red") && !run.out.contains('\u{1b}') && !run.out.contains('\u{7}'),
        "{:?}",
        run.out
    );
    let lines = program.run(&["run", "hello", "-H", "web01", "--ndjson"]);
    assert_eq!(lines.expect(0, &[]).lines()[0]["outcome"], "ok");

    // A reading is on the screen while a slower one is still awaited.
    program.probe("slow", "sleep 3; printf 'hello_value 3\\n'", "format = \"openmetrics\"");
    let mut child = program.command(&["run", "hello", "slow", "-H", "web01"]).spawn().unwrap();
    let mut first = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut first).unwrap();
    assert!(first.starts_with("web01 hello ok") && child.try_wait().unwrap().is_none(), "{first}");
    std::io::copy(&mut out, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn this_machine_needs_no_ssh() {
    let mut program = Program::new();
    program.configure("");
    let run = program.run(&["run", "hello", "proc", "--local", "--json"]);
    run.expect(0, &[]);
    run.ended(("localhost", "proc"), "ok", &[]);
    assert!(run.took < Duration::from_secs(30), "{:?}", run.took);
    program.assert_clean();
}
