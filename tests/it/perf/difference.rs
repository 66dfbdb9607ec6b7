//! `flame --vs`: two hosts' profiles over a real connection, one of them with names that would break a page.

use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd};

use super::svg::assert_well_formed;

const FIRST: &str = r"</svg><script>alert(1)</script> 7 [000] 1.000000: cpu-clock: \n\tffffffff81 spin_lock ([kernel.kallsyms])\n\t10 main (/bin/x)\n\napp 8 [001] 1.0: cpu-clock: \n\t10 main (/bin/app)\n\nswapper 0 [001] 1.0: cpu-clock: \n\tffffffff81 default_idle ([kernel.kallsyms])\n\n";
const SECOND: &str = r"app 9 [000] 1.000000: cpu-clock: \n\t10 main (/bin/app)\n\napp 9 [000] 1.1: cpu-clock: \n\t20 only_here (/bin/app)\n\t10 main (/bin/app)\n\n";

/// A program with two hosts, whose profile is FIRST the first time it is taken and SECOND from then on.
fn profiled() -> (Sshd, Program) {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    program.hosts("web[01-03]", &sshd);
    let mark = program.dir().join("taken").display().to_string();
    let script = format!("if [ -e {mark} ]; then printf '{SECOND}'; else : >{mark}; printf '{FIRST}'; fi");
    program.probe("cpu_profile", &script, "format = \"perf_script\"");
    for host in ["web01", "web02"] {
        program.run(&["run", "cpu_profile", "-H", host, "--json"]).ended((host, "cpu_profile"), "ok", &[]);
    }
    // Known, and without a profile.
    program.run(&["run", "hello", "-H", "web03"]).expect(0, &[]);
    (sshd, program)
}

#[test]
fn two_hosts_differ_in_both_directions() {
    let (_sshd, program) = profiled();
    let more = program.run(&["flame", "web01", "--vs", "web[01-02]"]);
    more.expect(0, &["left out as idle: 1 of 3 samples"]);
    assert_well_formed(&more.out);
    assert!(more.out.contains("web01 against web02: red is more on web01"), "{}", more.out);
    // Half of web01's two samples, none of web02's.
    assert!(more.out.contains("<title>spin_lock (1 samples, 50.00%; +50.00%)"), "{}", more.out);
    assert!(more.out.contains("<title>app (1 samples, 50.00%; 0.00%)"), "{}", more.out);
    assert!(more.out.contains("&lt;/svg&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "{}", more.out);
    assert!(!more.out.contains("only_here"), "{}", more.out);

    let less = program.run(&["flame", "web01", "--vs", "web[01-03]", "--reverse"]);
    less.expect(0, &["without web03"]);
    assert_well_formed(&less.out);
    assert!(less.out.contains("<title>only_here (1 samples, 50.00%; -50.00%)"), "{}", less.out);
    assert!(!less.out.contains("spin_lock"), "{}", less.out);
}

#[test]
fn what_is_not_there_is_said_with_what_to_run() {
    let (_sshd, program) = profiled();
    let take = "`dropsonde run cpu_profile -H web03` takes one";
    program.run(&["flame", "web03"]).expect(2, &["no cpu_profile of web03 was recorded", take]);
    program.run(&["flame", "web01", "--vs", "web03"]).expect(2, &["no profile of web03 to compare", take]);
    let folded = program.run(&["flame", "web02", "--folded"]);
    folded.expect(0, &[]);
    assert_eq!(folded.out, "app;main 1\napp;main;only_here 1\n");
}
