//! A small fleet's history, and the program run on it.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dropsonde::collect::{Options, Recorder};
use dropsonde::config::parse_probe;
use dropsonde::model::{
    CollectorTime, HostClock, HostName, HostTime, Labels, Outcome, Plan, PlannedHost, Probe, Reading,
    SweepEnd, SweepId, Trigger,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

pub const START_S: i64 = 1_795_381_200;

/// What a hostile host says wherever it can.
pub const HOSTILE: &str = "\x1b[2J\x1b]0;owned\x07\u{202e}\u{9b}31m";

const DISK: &str = r#"
name = "disk"
summary = "disks and a queue"
script = "cat /run/disk.metrics"
format = "openmetrics"

[[metric]]
name = "disk_await_seconds"
unit = "seconds"
kind = "gauge"
help = "how long a request takes"
worse = "higher"
warn = 0.005

[[metric]]
name = "disk_free_ratio"
unit = "ratio"
kind = "gauge"
help = "room left"
worse = "lower"

[[metric]]
name = "disk_busy_seconds_total"
unit = "seconds"
kind = "counter"
help = "time with a request in flight"
worse = "higher"

[[metric]]
name = "disk_nothing_seconds"
unit = "seconds"
kind = "gauge"
help = "three times nothing"
worse = "higher"

[[metric]]
name = "disk_wait_seconds"
unit = "seconds"
kind = "histogram"
help = "how requests waited"

[[metric]]
name = "disk_service_seconds"
unit = "seconds"
kind = "histogram"
help = "how long requests took"
worse = "higher"
"#;

const NOTES: &str = r#"
name = "notes"
summary = "what the machine says of itself"
script = "cat /etc/notes"
format = "text"
"#;

pub fn disk() -> Arc<Probe> {
    Arc::new(parse_probe("disk", "disk.toml", DISK).unwrap())
}

pub fn notes() -> Arc<Probe> {
    Arc::new(parse_probe("notes", "notes.toml", NOTES).unwrap())
}

/// web01 to web06, of which web06 has a slow disk; db01 has another role and is in the first sweep only.
pub const HOSTS: [&str; 7] = ["web01", "web02", "web03", "web04", "web05", "web06", "db01"];

pub fn sweep_id(n: u32) -> SweepId {
    SweepId::at(CollectorTime::from_unix_s(START_S + i64::from(n) * 3_600), n)
}

/// A state directory of `sweeps` hourly sweeps.
pub fn state(sweeps: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (recorder, _) = Recorder::open(folder.path(), Options::default()).unwrap();
        for n in 0..sweeps {
            record(&recorder, n).await;
        }
        recorder.close().await.unwrap();
    });
    folder
}

/// A sweep of two hosts, in which two probes measured the same.
pub fn twice_measured() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let again = DISK.replace("name = \"disk\"", "name = \"disk_again\"");
    let probes = [disk(), Arc::new(parse_probe("disk_again", "disk_again.toml", &again).unwrap())];
    let hosts = ["web01", "web06"];
    let planned = |host: &str| PlannedHost {
        name: HostName::new(host).unwrap(),
        labels: labels(host),
        probes: probes.iter().map(|probe| probe.name.clone()).collect(),
    };
    let started = CollectorTime::from_unix_s(START_S);
    let plan = Plan {
        sweep: sweep_id(0),
        trigger: Trigger::Scheduled,
        schedule: None,
        cause: None,
        started,
        hosts: hosts.map(planned).to_vec(),
    };
    let end = SweepEnd { ended: started, elapsed: Duration::ZERO, outcomes: [].into(), interrupted: false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (recorder, _) = Recorder::open(folder.path(), Options::default()).unwrap();
        let handle = recorder.begin(plan, probes.to_vec()).await.unwrap();
        for (host, probe) in hosts.iter().flat_map(|host| probes.iter().map(move |probe| (host, probe))) {
            let (reading, raw) = reading(probe, host, 0, disk_output(host, 0).into_bytes());
            handle.record(reading, raw).await.unwrap();
        }
        handle.finish(end).await.unwrap();
        recorder.close().await.unwrap();
    });
    folder
}

async fn record(recorder: &Recorder, n: u32) {
    let hosts: Vec<&str> = HOSTS.into_iter().filter(|host| *host != "db01" || n == 0).collect();
    let started = CollectorTime::from_unix_s(START_S + i64::from(n) * 3_600);
    let planned = |host: &&str| PlannedHost {
        name: HostName::new(host).unwrap(),
        labels: labels(host),
        probes: vec![disk().name.clone(), notes().name.clone()],
    };
    let plan = Plan {
        sweep: sweep_id(n),
        trigger: Trigger::Scheduled,
        schedule: Some("hourly".to_owned()),
        cause: None,
        started,
        hosts: hosts.iter().map(planned).collect(),
    };
    let handle = recorder.begin(plan, vec![disk(), notes()]).await.unwrap();
    for host in hosts {
        let (mut reading, raw) = reading(&disk(), host, n, disk_output(host, n).into_bytes());
        if host == "web05" {
            reading = Reading {
                outcome: Outcome::Unreachable,
                detail: Some(format!("connect to port 22: refused {HOSTILE}")),
                exit: None,
                clock: None,
                cpu: None,
                stderr: String::new(),
                wire: Bytes::new(),
                bytes_raw: 0,
                ..reading
            };
            handle.record(reading.clone(), Vec::new()).await.unwrap();
            let probe = notes();
            let other = Reading { probe: probe.name.clone(), probe_hash: probe.hash, ..reading };
            handle.record(other, Vec::new()).await.unwrap();
            continue;
        }
        handle.record(reading, raw).await.unwrap();
        let text = format!("{host} says {HOSTILE}\nsecond line\n");
        let (reading, raw) = self::reading(&notes(), host, n, text.into_bytes());
        handle.record(reading, raw).await.unwrap();
    }
    let end = SweepEnd {
        ended: CollectorTime::from_unix_ns(started.unix_ns() + 2_500_000_000),
        elapsed: Duration::from_millis(2_500),
        outcomes: [].into(),
        interrupted: false,
    };
    handle.finish(end).await.unwrap();
}

fn labels(host: &str) -> Labels {
    let role = if host.starts_with("web") { "web" } else { "db" };
    [("role".to_owned(), role.to_owned()), ("note".to_owned(), HOSTILE.to_owned())].into()
}

fn disk_output(host: &str, n: u32) -> String {
    let slow = host == "web06";
    let (await_s, nothing) = if slow { (0.008, 0.000_003) } else { (0.001, 0.000_001) };
    let free = if host == "web02" { 0.05 } else { 0.6 };
    // web06's disk is busy half of the time between two sweeps, the others a tenth.
    let busy_s = f64::from(n) * 3_600.0 * if slow { 0.5 } else { 0.1 };
    format!(
        "# TYPE disk_await_seconds gauge\n\
         disk_await_seconds{{device=\"sda\"}} {await_s}\n\
         disk_await_seconds{{device=\"sdb\"}} 0.0005\n\
         disk_free_ratio {free}\n\
         disk_busy_seconds_total {busy_s}\n\
         disk_nothing_seconds{{hostile=\"{}\"}} {nothing}\n\
         # TYPE disk_wait_seconds histogram\n\
         disk_wait_seconds_bucket{{le=\"0.01\"}} 30\n\
         disk_wait_seconds_bucket{{le=\"+Inf\"}} 40\n\
         disk_wait_seconds_sum 0.8\n\
         disk_wait_seconds_count 40\n\
         {}\
         this line {HOSTILE} is not one\n",
        HOSTILE,
        service(host)
    )
}

/// Two devices of one scheme; web06's are slow, db01 did little, and web04's tool knows other buckets.
fn service(host: &str) -> String {
    let (bounds, counts) = match host {
        "web06" => (["0.001", "0.002", "0.004", "+Inf"], [0, 20, 700, 1_000]),
        "web04" => (["0.001", "0.003", "0.004", "+Inf"], [900, 999, 1_000, 1_000]),
        "db01" => (["0.001", "0.002", "0.004", "+Inf"], [9, 9, 9, 9]),
        _ => (["0.001", "0.002", "0.004", "+Inf"], [900, 995, 1_000, 1_000]),
    };
    let mut text = "# TYPE disk_service_seconds histogram\n".to_owned();
    for device in ["sda", "sdb"] {
        for (le, count) in bounds.iter().zip(counts) {
            text += &format!("disk_service_seconds_bucket{{device=\"{device}\",le=\"{le}\"}} {count}\n");
        }
        text += &format!("disk_service_seconds_count{{device=\"{device}\"}} {}\n", counts[3]);
    }
    text
}

fn reading(probe: &Probe, host: &str, n: u32, raw: Vec<u8>) -> (Reading, Vec<u8>) {
    let at_s = START_S + i64::from(n) * 3_600;
    let uptime_end_s = 1_000.0 + f64::from(n) * 3_600.0;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut encoder, &raw).unwrap();
    let reading = Reading {
        host: HostName::new(host).unwrap(),
        probe: probe.name.clone(),
        probe_hash: probe.hash,
        outcome: Outcome::Ok,
        detail: None,
        exit: Some(0),
        started: CollectorTime::from_unix_s(at_s + 1),
        elapsed: Duration::from_millis(1_250),
        clock: Some(HostClock {
            boot_id: "b1".to_owned(),
            start: HostTime::from_unix_s(at_s + 2),
            end: HostTime::from_unix_s(at_s + 3),
            uptime_start_s: uptime_end_s - 1.0,
            uptime_end_s,
        }),
        cpu: Some(Duration::from_millis(6)),
        stderr: format!("warning {HOSTILE}\n"),
        cursor: None,
        wire: encoder.finish().unwrap().into(),
        bytes_raw: raw.len() as u64,
    };
    (reading, raw)
}

/// The program in an environment of its own.
pub fn program(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dropsonde"));
    command.env_clear().env("HOME", state).arg("--state").arg(state).stdin(Stdio::null());
    command
}

pub fn run(state: &Path, args: &[&str]) -> Output {
    program(state).args(args).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What the program prints when all is good.
pub fn text(state: &Path, args: &[&str]) -> String {
    let output = run(state, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    stdout(&output)
}

pub fn json(state: &Path, args: &[&str]) -> Value {
    let all: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&text(state, &all)).unwrap()
}

/// The exit status and what was said about it.
pub fn refusal(state: &Path, args: &[&str]) -> (i32, String) {
    let output = run(state, args);
    assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
    (output.status.code().unwrap(), stderr(&output))
}
