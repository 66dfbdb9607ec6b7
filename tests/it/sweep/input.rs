//! What a person can get wrong: exit status 2, words that help, and no state directory.

use super::*;

#[test]
fn a_slip_is_named_and_nothing_is_begun() {
    let mut program = Program::new();
    program.configure(
        "[[hosts]]\nnames = \"web[01-09]\"\nlabels = { role = \"web\" }\n\
         [[schedule]]\nname = \"hourly\"\ncron = \"0 * * * *\"\nhosts = \"*\"\nprobes = [\"hello\"]",
    );
    let refused = |arguments: &[&str], parts: &[&str]| {
        let ran = program.run(arguments);
        ran.expect(2, parts);
        assert!(ran.out.is_empty() && !program.state().exists(), "{ran:?}");
    };
    refused(&["sweep", "-H", "wbe01", "--probe", "hello"], &["wbe01", "web01"]);
    refused(&["sweep", "-H", "web01,wbe02", "--probe", "hello"], &["wbe02", "web02"]);
    refused(&["sweep", "-H", "role=wbe", "--probe", "hello"], &["role=wbe"]);
    refused(&["sweep", "-H", "web*!web*", "--probe", "hello"], &["names no host"]);
    refused(&["sweep", "-H", "db*", "--probe", "hello"], &["db*"]);
    refused(&["sweep", "-H", "", "--probe", "hello"], &["selector"]);
    refused(&["sweep", "-H", "web[01-", "--probe", "hello"], &["selector", "^"]);
    refused(&["sweep", "-H", "@nosuch", "--probe", "hello"], &["@nosuch"]);
    refused(&["sweep", "--probe", "helo"], &["no probe helo", "hello"]);
    refused(&["sweep", "huorly"], &["no schedule huorly", "hourly"]);
    refused(&["sweep"], &["nothing to sweep", "hourly"]);
    refused(&["run", "helo", "-H", "web01"], &["hello"]);
    refused(&["run", "hello"], &["--hosts"]);
    refused(&["sweep", "--retry-failed", "latest"], &["nothing was recorded"]);
    refused(&["sweep", "hourly", "--set", "limits.concurrency=0"], &["limits.concurrency"]);
    refused(&["sweep", "hourly", "--set", "limits.concurency=1"], &["concurrency"]);
    refused(&["sweep", "hourly", "--json", "--ndjson"], &["--ndjson"]);
}

#[test]
fn without_a_host_the_way_to_name_one_is_shown() {
    let mut program = Program::new();
    program.configure("");
    program.run(&["sweep", "--probe", "hello"]).expect(2, &["[[hosts]]"]);
    assert!(!program.state().exists());
}

#[test]
fn a_stderr_that_takes_nothing_changes_no_status() {
    let mut program = Program::new();
    program.configure("");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ran = program.command(&["sweep", "nosuch"]).stderr(full).output().unwrap();
    assert_eq!((ran.status.code(), ran.stdout), (Some(2), Vec::new()));
}
