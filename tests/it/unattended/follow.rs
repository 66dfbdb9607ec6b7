//! What follows a sweep, when it is the daemon that ran it: a dear probe where it hurts, and one message.

use std::fs;

use crate::support::program::Program;
use crate::support::receiver::{Answer, Place};
use crate::support::sshd::{Setup, Sshd};

use super::process::{Daemon, book, wait_until};

#[test]
fn the_daemon_escalates_alerts_and_says_that_it_is_over() {
    let sshd = Sshd::start(Setup::default());
    let place = Place::reserve();
    let server = place.open(Answer::Say("204 No Content"));
    let mut program = Program::new();
    program.hosts("web[01-02]", &sshd);
    let load = program.dir().join("load");
    fs::write(&load, "9").unwrap();
    program.probe("load", &format!("echo hello_value $(cat {})", load.display()), "format = \"openmetrics\"");
    let visits = program.dir().join("visits");
    program.probe(
        "heavy",
        &format!("echo visit >> {}; echo done", visits.display()),
        "format = \"text\"\ncost = \"heavy\"",
    );
    program.configure(&format!(
        "[[schedule]]\nname = \"often\"\ncron = \"*/2 * * * * *\"\nprobes = [\"load\"]\n\
         [[escalate]]\nwhen = \"hello_value > 5\"\nrun = [\"heavy\"]\ncooldown = \"1h\"\nper_hour = 1\n\
         [[alert]]\nname = \"too hot\"\nwhen = \"hello_value > 5\"\n\
         [[receiver]]\nname = \"hook\"\nkind = \"webhook\"\nurl = {:?}\nonly = [\"too hot\"]\n\
         [retention]\nlow_space = \"0B\"",
        place.url("/hook")
    ));
    let daemon = Daemon::start(&program, &[]);
    daemon.wait_for_log("that hello_value > 5 led to: 1/1 ok in ");
    wait_until("the message arrived", || !place.taken().is_empty());
    fs::write(&load, "1").unwrap();
    wait_until("it is over", || place.taken().len() >= 2);
    daemon.stop();
    let states: Vec<String> =
        place.taken().iter().map(|it| it.json()["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["firing", "resolved"]);
    // Within its budget: once, however many sweeps saw it.
    assert_eq!(fs::read_to_string(&visits).unwrap(), "visit\n");
    let escalated = program.run(&["sweeps", "--json"]).json()["sweeps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|sweep| sweep["trigger"] == "escalated")
        .count();
    assert_eq!(escalated, 1);
    assert!(book(&program).len() >= 2);
    program.assert_clean();
    drop(server);
}
