//! Hosts that share a jump host's connection with hostile ones: what those send, or do not take, is nobody
//! else's trouble.

use std::fs;

use super::cast::Cast;
use super::plays::{Opening, Play, Running};
use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd};

const HONEST: usize = 10;

/// Longer than it takes those who take nothing to be in everybody's way, and with a word every second.
const SLOW: &str = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do echo $i; sleep 1; done";

#[test]
fn who_asks_without_end_and_takes_no_answer_holds_up_nobody_behind_the_same_jump_host() {
    let sshd = Sshd::start(Setup::default());
    let (mut program, cast) = (Program::alone(), Cast::new());
    let jump = format!("jump = \"root@127.0.0.1:{}\"", sshd.port());
    let known = program.dir().join("known_hosts");
    fs::copy(sshd.known_hosts(), &known).unwrap();
    for n in 0..HONEST {
        let login = ((sshd.port(), "root"), (&*sshd.identity(), &*known));
        program.host_block(&format!("good{n}"), Some("127.0.0.1"), login.0, login.1).configure(&jump);
    }
    let plays = [
        ("globals", Play::Opening(Opening::Globals)),
        ("strange", Play::Opening(Opening::Strange)),
        ("requests", Play::Running(Running::Requests)),
    ];
    for play in plays {
        cast.add(&mut program, play, &sshd.identity());
        program.configure(&jump);
    }
    program.probe("slow", SLOW, "format = \"text\"\ntimeout = \"30s\"");
    let limits = [
        "limits.channel_timeout=40s",
        "limits.first_byte_timeout=40s",
        "limits.heartbeat_interval=1s",
        "limits.heartbeat_limit=8s",
    ];
    let mut arguments = vec!["sweep", "--probe", "slow", "--json"];
    arguments.extend(limits.iter().flat_map(|limit| ["--set", limit]));
    let swept = program.run(&arguments);
    swept.expect(3, &[]);
    for n in 0..HONEST {
        swept.ended((&format!("good{n}"), "slow"), "ok", &[]);
    }
    for (name, _) in plays {
        swept.ended((name, "slow"), "incomplete", &["takes nothing"]);
    }
    program.assert_clean();
}
