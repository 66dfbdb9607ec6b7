//! What a host says, in every place where it may say anything, and everybody to whom that is shown: the
//! terminal, JSON, other programs, the page, the log.

use std::fs;

use super::cast::Cast;
use super::outputs::Output;
use super::plays::{Greeting, Login, Opening, Play, Running};
use super::program::harmless;
use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd};
use crate::unattended::process::Daemon;

const PLAYS: [(&str, Play); 13] = [
    ("output", Play::Output(Output::Evil)),
    ("failure", Play::Output(Output::EvilFailure)),
    ("refusal", Play::Output(Output::EvilRefusal)),
    ("boot", Play::Output(Output::EvilBoot)),
    ("lack", Play::Output(Output::EvilLack)),
    ("goodbye", Play::Running(Running::EvilGoodbye)),
    ("signal", Play::Running(Running::EvilSignal)),
    ("channel", Play::Opening(Opening::EvilRefusal)),
    ("names", Play::Greeting(Greeting::EvilNames)),
    ("early", Play::Greeting(Greeting::EvilGoodbye)),
    ("login", Play::Login(Login::EvilGoodbye)),
    ("banners", Play::Login(Login::EvilBanners)),
    ("methods", Play::Login(Login::EvilMethods)),
];

const PROBES: [&str; 4] = ["hello", "words", "kernel_log", "host_context"];

fn program() -> (Sshd, Cast, Program) {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    let cast = Cast::new();
    for (name, play) in PLAYS {
        cast.add(&mut program, (name, play), &sshd.identity());
    }
    program.probe("words", "echo said", "format = \"text\"");
    // The servers answer one command after another.
    program.configure("[limits]\nchannels_per_host = 1\nauth_timeout = \"8s\"");
    (sshd, cast, program)
}

#[test]
fn nothing_that_a_host_says_reaches_anybody_as_it_is() {
    let (_sshd, _cast, mut program) = program();
    program.configure("[[schedule]]\nname = \"all\"\ncron = \"0 4 * * *\"\nprobes = [\"hello\", \"words\", \"kernel_log\", \"host_context\"]");
    let textfile = program.dir().join("samples.prom");
    program.configure(&format!("[metrics]\ntextfile = {textfile:?}"));
    let page = program.dir().join("page.html");
    let page_name = page.to_str().unwrap().to_owned();
    let run: Vec<&str> = ["run"].into_iter().chain(PROBES).chain(["-H", "*"]).collect();
    let with = |more: &[&'static str]| run.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    let asked: Vec<Vec<&str>> = [
        vec!["sweep", "all"],
        vec!["sweep", "all", "--json"],
        with(&["--all"]),
        with(&["--json"]),
        with(&["--ndjson"]),
        vec!["hosts", "check"],
        vec!["hosts", "check", "--json"],
        vec!["doctor"],
        vec!["doctor", "--json"],
        vec!["sweeps", "latest"],
        vec!["sweeps", "latest", "-v"],
        vec!["sweeps", "latest", "--json"],
    ]
    .into_iter()
    .chain(PROBES.map(|probe| vec!["show", "output", probe]))
    .chain(PROBES.map(|probe| vec!["show", "output", probe, "--json"]))
    .chain(["failure", "refusal", "goodbye"].map(|host| vec!["show", host, "hello"]))
    .chain([
        vec!["fold", "words"],
        vec!["fold", "host_context"],
        vec!["fold", "words", "--json"],
        vec!["top", "hello_value"],
        vec!["top", "hello_value", "--json"],
        vec!["outliers"],
        vec!["explain", "hello_value"],
        vec!["history", "hello_value", "-H", "*"],
        vec!["query", "SELECT * FROM v_reading"],
        vec!["query", "--json", "SELECT * FROM v_sample"],
        vec!["query", "--csv", "SELECT * FROM v_host_label"],
        vec!["query", "SELECT * FROM v_fault"],
        vec!["export", "--format", "csv"],
        vec!["export", "--format", "ndjson"],
        vec!["report", "--out", &page_name],
        vec!["check", "--deep"],
        vec!["reindex"],
    ])
    .collect();
    let mut said = 0;
    for arguments in &asked {
        let ran = program.run(arguments);
        assert!(ran.code != Some(2) && ran.code != Some(1) && ran.code.is_some(), "{arguments:?}: {ran:?}");
        harmless(&ran.out, &format!("{arguments:?}: stdout"));
        harmless(&ran.err, &format!("{arguments:?}: stderr"));
        said += usize::from(ran.out.contains("txt.exe"));
    }
    // It was said, only harmlessly.
    assert!(said >= 20, "{said} of {}", asked.len());
    let page = fs::read_to_string(&page).unwrap();
    harmless(&page, "the page");
    assert!(page.contains("txt.exe") && !page.contains("<script>alert"), "{page}");
    let samples = fs::read_to_string(&textfile).unwrap();
    harmless(&samples, "the textfile");
    assert!(samples.contains("txt.exe"), "{samples}");
    program.assert_clean();
}

#[test]
fn nothing_that_a_host_says_reaches_a_log_as_it_is() {
    for format in ["text", "json"] {
        let (_sshd, _cast, mut program) = program();
        program.configure(
            "[[schedule]]\nname = \"all\"\ncron = \"* * * * * *\"\nprobes = [\"hello\", \"words\"]",
        );
        let daemon = Daemon::start(&program, &["--log", format]);
        daemon.wait_for_log(" of all: ");
        let log = daemon.stop();
        harmless(&log, format);
        assert!(log.contains("txt.exe") && log.contains("it disconnected: "), "{log}");
        let forged = log.lines().filter(|line| line.starts_with("ok ")).count();
        assert_eq!(forged, 0, "{log}");
    }
}
