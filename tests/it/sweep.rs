//! Sweeps by the built program: a fleet of real sshds, servers that hang, bad input, full disks,
//! signals. What is printed, what is recorded and the exit status must say the same.

mod fleet;
mod input;
mod interrupted;
mod plan;
mod quarantine;
mod state;
mod trouble;

use std::fs;

use crate::support::program::{Program, ran};
use crate::support::sshd::{Setup, Sshd};

/// One sshd that plays `names`, and a program that knows them.
fn good(names: &str) -> (Sshd, Program) {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    program.hosts(names, &sshd);
    (sshd, program)
}
