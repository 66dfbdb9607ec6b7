//! docs/operations.md, typed from the top to the bottom on a machine where nothing is installed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;

use serde_json::Value;

use crate::support::machine::Machine;
use crate::support::sshd::{Setup, Sshd};

const PAGE: &str = include_str!("../../../docs/operations.md");

/// The page's blocks of commands, in their order.
fn blocks() -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in PAGE.lines() {
        match (line, &mut block) {
            ("```sh", None) => block = Some(String::new()),
            ("```", Some(_)) => blocks.extend(block.take()),
            (line, Some(text)) => text.push_str(&format!("{line}\n")),
            (_, None) => {}
        }
    }
    blocks
}

/// Types a block at a terminal, and says yes when it is asked.
fn typed(machine: &Machine, block: &str) -> String {
    machine.write("/root/typed.sh", block);
    let mut command = machine.command(&["script", "-qefc", "sh -e /root/typed.sh", "/dev/null"]);
    command.env("HOME", "/root").env("USER", "root").env("TERM", "dumb");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("nsenter");
    child.stdin.take().expect("stdin").write_all(b"y\n").expect("an answer");
    let output = child.wait_with_output().expect("wait");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{:?}\n{block}\n{said}\n{}", output.status, machine.journal());
    said
}

/// What the page takes for granted: hosts with these names, Grafana's group, and Prometheus's own tool.
fn surroundings(machine: &Machine) {
    machine.write("/etc/hosts", "127.0.0.1 localhost\n127.0.0.2 web01\n127.0.0.3 web02\n");
    machine.run(&["groupadd", "-f", "grafana"]);
    machine.write("/usr/bin/promtool", "#!/bin/sh\ntest \"$3\" = openmetrics && test -s \"$4\"\n");
    fs::set_permissions(machine.path("/usr/bin/promtool"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_page_works_as_it_is_typed() {
    let fleet = Sshd::start(Setup { fleet: true, ..Setup::default() });
    let machine = Machine::bare(&fleet);
    surroundings(&machine);
    let blocks = blocks();
    assert!(blocks.len() >= 12, "{blocks:#?}");
    for block in &blocks {
        // In the folder of the sources; the one thing that is not as it stands there is who logs in.
        let block = block.replace("user = \"probe\"", &format!("user = {:?}", fleet.user()));
        typed(&machine, &format!("cd /root/sources\n{block}"));
        if block.contains("ssh-keygen") {
            let key = fs::read(machine.path("/etc/dropsonde/ssh_key.pub")).unwrap();
            let mut keys = OpenOptions::new().append(true).open(fleet.dir().join("authorized_keys")).unwrap();
            keys.write_all(&key).unwrap();
        }
    }
    everything_is_as_it_should_be(&machine);
}

fn everything_is_as_it_should_be(machine: &Machine) {
    assert_eq!(machine.property("dropsonde.service", "ActiveState"), "active", "{}", machine.journal());
    let sweeps = machine.run(&["sudo", "-u", "dropsonde", "dropsonde", "sweeps", "--json"]);
    let sweeps: Value = serde_json::from_str(&sweeps).unwrap();
    let sweeps = sweeps["sweeps"].as_array().unwrap();
    assert!(sweeps.len() >= 2 && sweeps.iter().all(|sweep| sweep["planned"] == 6), "{sweeps:#?}");
    let text = fs::read_to_string(machine.path("/var/lib/prometheus/node-exporter/dropsonde.prom")).unwrap();
    assert!(text.contains("dropsonde_node_load1{host=\"web02\""), "{text}");
    assert!(fs::symlink_metadata(machine.path("/run/dropsonde/metrics.sock")).is_ok());
    // Nobody has left a file of root's among the service's own.
    let foreign = machine.run(&["find", "/var/lib/dropsonde", "!", "-user", "dropsonde"]);
    assert_eq!(foreign, "");
    let snapshot = fs::metadata(machine.path("/srv/grafana/fleet.sqlite")).unwrap();
    let group = machine.run(&["getent", "group", "grafana"]);
    assert_eq!(group.split(':').nth(2), Some(&*snapshot.gid().to_string()));
    assert_eq!(snapshot.mode() & 0o777, 0o640);
    // With the manual that the units name.
    let units = ["dropsonde.service", "dropsonde-sweep@hourly.service", "dropsonde-sweep@hourly.timer"];
    let verified =
        machine.output(&[&["systemd-analyze", "verify", "--recursive-errors=no"], &units[..]].concat());
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && said.is_empty(), "{said}");
}
