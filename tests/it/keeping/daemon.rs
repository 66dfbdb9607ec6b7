//! The daemon looks after its state directory without being asked.

use dropsonde::collect::clock::Clocks;
use dropsonde::collect::keep::vouch;
use dropsonde::model::Kept;
use dropsonde::store::StateDir;

use super::build::*;
use crate::support::program::Program;
use crate::unattended::process::Daemon;

#[test]
fn the_daemon_prunes_what_is_due_and_stops_in_peace() {
    let mut program = Program::new();
    program.configure("[retention]\nraw = \"1d\"\nsamples = \"30000d\"\ndownsample_to = \"0s\"");
    // Long ago by every clock, and a person has said that this one is right.
    hours(&program.state(), NOW - 20_000 * 3_600, 3, 3);
    vouch(&StateDir::at(&program.state()), &Clocks::now()).unwrap();
    let daemon = Daemon::start(&program, &[]);
    daemon.wait_for_log("pruned: 0 sweeps dropped, 3 without their bytes now");
    assert_eq!(kept(&program.state()), [Kept::Numbers; 3]);
    let log = daemon.stop();
    assert!(!log.contains("not looked after"), "{log}");
    assert_clean(&program.state());
}
