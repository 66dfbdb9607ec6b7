//! The synthetic fleet, reached with OpenSSH's client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use dropsonde::demo::{Demo, DemoOptions};
use dropsonde::model::{ByteSize, Cost, Format, Host, Privilege, Probe, ProbeHash, ProbeName};
use tokio::process::Command;

fn probe(script: &str) -> Arc<Probe> {
    Arc::new(Probe {
        name: ProbeName::new("proc").unwrap(),
        summary: String::new(),
        script: script.to_owned(),
        format: Format::Text,
        timeout: Duration::from_secs(10),
        max_output: ByteSize(1 << 20),
        cost: Cost::Cheap,
        privilege: Privilege::None,
        needs: Vec::new(),
        metrics: Vec::new(),
        source: "".into(),
        hash: ProbeHash([0; 32]),
    })
}

fn ssh(host: &Host) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"])
        .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i"])
        .arg(&host.identity_files[0])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", host.known_hosts[0].display()))
        .args(["-p", &host.port.to_string(), &format!("{}@{}", host.user, host.address)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    ssh
}

const TWICE: &str = "cat $PROC/uptime; sleep 1; cat $PROC/uptime; cat $PROC/sys/kernel/random/boot_id\n";

#[tokio::test]
async fn time_passes_on_every_host_while_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let options = DemoOptions { hosts: 12, seed: 1, dir: dir.path().to_owned(), probes: vec![probe(TWICE)] };
    let demo = Demo::start(options).await.unwrap();
    assert_eq!(demo.hosts.len(), 12);
    for host in &demo.hosts {
        let mut c = ssh(host).arg("exec /bin/sh -s").spawn().unwrap();
        use tokio::io::AsyncWriteExt;
        c.stdin.as_mut().unwrap().write_all(TWICE.as_bytes()).await.unwrap();
        let out = c.wait_with_output().await.unwrap();
        println!("{out:?}");
    }
    demo.shutdown().await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
