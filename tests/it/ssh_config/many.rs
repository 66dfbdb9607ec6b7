//! Ten thousand hosts of one configuration: what they cost in processes.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use dropsonde::model::{Consult, Host, HostName};
use dropsonde::openssh::{Asked, Oracle};
use dropsonde::sshconfig::Query;

use super::{Bench, machine};

const HOSTS: usize = 10_000;
const RACKS: usize = 40;

/// Racks with a block each, and two commands: one for all, one that differs by rack.
fn configuration(dir: &str) -> String {
    let mut text = String::from("Match exec \"echo all >> DIR/ran\"\nConnectTimeout 7\n").replace("DIR", dir);
    for rack in 0..RACKS {
        let _ = write!(
            text,
            "Host r{rack:02}-*\nPort {}\nHostName %h.example.net\nHost r{rack:02}-??7\nUser odd\n",
            1000 + rack
        );
        if rack % 10 == 0 {
            let _ = write!(
                text,
                "Match host r{rack:02}-* exec \"echo {rack} >> {dir}/ran\"\nHostKeyAlias rack{rack}\n"
            );
        }
    }
    text
}

#[test]
fn ten_thousand_hosts_cost_a_handful_of_processes() {
    let bench = Bench::new();
    let dir = bench.dir.path().display().to_string();
    let file = bench.file("config", &configuration(&dir));
    let consult = Arc::new(Consult { files: Some(vec![file.clone()]), ..Consult::default() });
    let host = |number: usize| {
        let name = HostName::new(&format!("r{:02}-{:03}", number % RACKS, number / RACKS)).unwrap();
        Arc::new(Host { consult: Some(Arc::clone(&consult)), ..Host::new(name, "root") })
    };
    let hosts: Vec<Arc<Host>> = (0..HOSTS).map(host).collect();
    let machine = machine();
    let settled = machine.settle_all(&hosts);
    assert_eq!(settled.len(), HOSTS);
    let one = settled.iter().find(|host| host.name.as_str() == "r20-017").unwrap();
    assert_eq!((one.address.as_str(), one.port), ("r20-017.example.net", 1020));
    assert_eq!((one.user.as_str(), one.ssh.host_key_alias.as_deref()), ("odd", Some("rack20")));
    assert!(settled.iter().all(|host| host.consult.is_none() && host.ssh.refused.is_empty()));
    assert_eq!(machine.commands_run(), 5);
    let ran = std::fs::read_to_string(bench.dir.path().join("ran")).unwrap();
    assert_eq!(ran.lines().count(), 5, "{ran}");

    // Of ssh only one host of each kind is asked: two for each rack.
    let files: Vec<PathBuf> = vec![file];
    let asked = |host: &'_ Arc<Host>| -> String { host.name.to_string() };
    let names: Vec<String> = hosts.iter().map(asked).collect();
    let asked: Vec<Asked<'_>> = names
        .iter()
        .map(|name| {
            let query = Query { destination: name, hostname: None, port: None, user: None };
            Asked { query, files: Some(&files) }
        })
        .collect();
    let compared = Oracle::default().compare(&machine, &asked).unwrap();
    assert_eq!(compared.len(), 2 * RACKS);
    assert_eq!(compared.iter().map(|kind| kind.hosts.len()).sum::<usize>(), HOSTS);
    assert!(compared.iter().all(|kind| kind.differences.is_empty()), "{compared:?}");
}
