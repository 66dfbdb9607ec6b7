//! The link between collector and hosts goes down in the middle of a sweep, and comes up again: two network
//! namespaces with a pair of virtual interfaces between them.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::field::{Field, HOSTS, SWEEP};
use super::rounds::Rounds;
use super::verify::verify;
use crate::support::patience::wait_until;
use crate::support::sshd::Setup;

/// A network namespace of the collector's own, joined to that of the hosts.
struct Link {
    holder: Child,
}

impl Link {
    fn new(hosts: u32) -> Self {
        let holder = Command::new("unshare")
            .args(["--net", "--", "sleep", "infinity"])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare");
        let link = Self { holder };
        // Until it has its namespace, it is in ours.
        let ours = fs::read_link("/proc/self/ns/net").expect("a namespace");
        let path = format!("/proc/{}/ns/net", link.holder.id());
        wait_until("it has its namespace", || fs::read_link(&path).is_ok_and(|its| its != ours));
        let peer = hosts.to_string();
        link.ip(&["link", "add", "c0", "type", "veth", "peer", "name", "h0", "netns", &peer]);
        link.ip(&["address", "add", "10.99.0.1/24", "dev", "c0"]);
        link.ip(&["link", "set", "c0", "up"]);
        for number in 11..=14 {
            ip(hosts, &["address", "add", &format!("10.99.0.{number}/24"), "dev", "h0"]);
        }
        ip(hosts, &["link", "set", "h0", "up"]);
        link
    }

    fn ip(&self, words: &[&str]) {
        ip(self.holder.id(), words);
    }

    /// A command on the collector's side.
    fn within(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg("--");
        inside.arg(command.get_program()).args(command.get_args()).env_clear();
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        inside
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn ip(inside: u32, words: &[&str]) {
    let net = format!("--net=/proc/{inside}/ns/net");
    let status = Command::new("nsenter").args([&net, "--", "ip"]).args(words).status().expect("nsenter");
    assert!(status.success(), "ip {words:?}");
}

#[test]
fn down_in_the_middle_of_a_sweep_and_up_again() {
    let mut rounds = Rounds::new("link down", 2);
    let mut field = Field::with(Setup { fleet: true, ..Setup::default() });
    let link = Link::new(field.sshd.pid());
    let known = field.program.dir().join("known_hosts");
    fs::write(&known, format!("10.99.0.* {}\n", field.sshd.host_key())).expect("known_hosts");
    let identity = field.sshd.identity();
    for number in 1..=4 {
        let (name, address) = (format!("web{number:02}"), format!("10.99.0.{}", number + 10));
        field.program.host_block(&name, Some(&address), (22, "root"), (&identity, &known));
    }
    field.program.probe("slow", "sleep 2; echo done", "format = \"text\"\ntimeout = \"3s\"");
    // Given up soon: who hears nothing for so long has no link.
    let patience = ["--set", "limits.idle_timeout=2s", "--set", "limits.connect_timeout=3s"];
    let phases = ["key_exchange", "auth", "channel", "first_byte"];
    let phases = phases.map(|phase| format!("limits.{phase}_timeout=3s"));
    let phases: Vec<&str> = phases.iter().flat_map(|phase| ["--set", phase]).collect();
    let rest = ["--set", "limits.visit_timeout=12s", "--set", "limits.heartbeat_limit=4s", "-H", HOSTS];
    while rounds.next() {
        if rounds.one_in(3) {
            field.fresh(None);
        }
        let plain = field.program.command(&[&SWEEP[..], &patience, &phases, &rest].concat());
        let started = field.start(link.within(&plain));
        // Before it connects, while it logs in, while the probes run, when all is done.
        std::thread::sleep(Duration::from_millis(rounds.below(2_000)));
        link.ip(&["link", "set", "c0", "down"]);
        let back_soon = rounds.one_in(2);
        if back_soon {
            std::thread::sleep(Duration::from_millis(rounds.below(1_500)));
            link.ip(&["link", "set", "c0", "up"]);
        }
        let run = field.ended(started);
        // What could not be asked is an outcome, and no error.
        assert!(matches!(run.code, Some(0 | 3 | 4)), "{run:#?}");
        assert_eq!(field.acknowledged.len() % 12, 0, "{run:#?}");
        link.ip(&["link", "set", "c0", "up"]);
        verify(&field);
        let next = field.run(link.within(&field.program.command(&SWEEP)), None);
        assert_eq!(next.code, Some(0), "{next:#?}");
        verify(&field);
    }
}
