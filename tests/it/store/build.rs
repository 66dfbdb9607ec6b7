//! Plans, readings and state directories for the tests of the store.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dropsonde::collect::{Finished, Options, Recorder, SweepHandle};
use dropsonde::config::parse_probe;
use dropsonde::model::{
    CollectorTime, HostClock, HostName, HostTime, Labels, Outcome, Plan, PlannedHost, Probe, Reading,
    SweepEnd, SweepId, Trigger,
};
use dropsonde::store::index::{QueryLimits, Reader, Value};

pub const START_S: i64 = 1_795_381_200;

const PROBE: &str = r#"
name = "spool"
summary = "jobs in the local spool"
script = "cat /var/spool/jobs.metrics"
format = "openmetrics"

[[metric]]
name = "spool_jobs_waiting"
unit = "jobs"
kind = "gauge"
help = "jobs waiting"
worse = "higher"
warn = 100

[[metric]]
name = "spool_jobs_total"
unit = "jobs"
kind = "counter"
help = "jobs taken"

[[metric]]
name = "spool_wait_seconds"
unit = "seconds"
kind = "histogram"
help = "how long jobs waited"
"#;

pub fn probe() -> Arc<Probe> {
    Arc::new(parse_probe("spool", "spool.toml", PROBE).unwrap())
}

pub fn hosts(count: usize) -> Vec<HostName> {
    (0..count).map(|n| HostName::new(&format!("web{n:04}")).unwrap()).collect()
}

pub fn plan(salt: u32, at_s: i64, hosts: &[HostName]) -> Plan {
    let started = CollectorTime::from_unix_s(at_s);
    let labels: Labels = [("role".to_owned(), "web".to_owned())].into();
    let planned = |name: &HostName| PlannedHost {
        name: name.clone(),
        labels: labels.clone(),
        probes: vec![probe().name.clone()],
    };
    Plan {
        sweep: SweepId::at(started, salt),
        trigger: Trigger::Adhoc,
        schedule: None,
        cause: None,
        started,
        hosts: hosts.iter().map(planned).collect(),
    }
}

/// A reading that says `waiting` and `total`, taken `at_s` on a host that is up for `uptime_s`.
pub struct Said {
    pub at_s: i64,
    pub boot: &'static str,
    pub uptime_s: f64,
    pub waiting: f64,
    pub total: u64,
}

impl Said {
    pub fn simple(at_s: i64, waiting: f64) -> Self {
        Self { at_s, boot: "b1", uptime_s: at_s as f64 - 1e9 + 0.37, waiting, total: at_s as u64 / 7 }
    }

    pub fn reading(&self, host: &HostName) -> (Reading, Vec<u8>) {
        let raw = format!(
            "spool_jobs_waiting{{queue=\"a\"}} {}\nspool_jobs_total {}\n\
             # TYPE spool_wait_seconds histogram\nspool_wait_seconds_bucket{{le=\"0.1\"}} 3\nspool_wait_seconds_bucket{{le=\"+Inf\"}} 5\n\
             spool_wait_seconds_sum 0.7\nspool_wait_seconds_count 5\n",
            self.waiting, self.total
        );
        let started = CollectorTime::from_unix_s(self.at_s);
        let probe = probe();
        let clock = HostClock {
            boot_id: self.boot.to_owned(),
            start: HostTime::from_unix_s(self.at_s + 2),
            end: HostTime::from_unix_s(self.at_s + 3),
            uptime_start_s: self.uptime_s - 1.0,
            uptime_end_s: self.uptime_s,
        };
        let reading = Reading {
            host: host.clone(),
            probe: probe.name.clone(),
            probe_hash: probe.hash,
            outcome: Outcome::Ok,
            detail: None,
            exit: Some(0),
            started,
            elapsed: Duration::from_millis(1_250),
            clock: Some(clock),
            cpu: Some(Duration::from_millis(6)),
            stderr: "one line\n".to_owned(),
            cursor: None,
            wire: gzip(raw.as_bytes()),
            bytes_raw: raw.len() as u64,
        };
        (reading, raw.into_bytes())
    }
}

pub fn gzip(raw: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(raw).unwrap();
    encoder.finish().unwrap().into()
}

pub fn end() -> SweepEnd {
    SweepEnd {
        ended: CollectorTime::from_unix_s(START_S + 60),
        elapsed: Duration::from_secs(60),
        outcomes: [].into(),
        interrupted: false,
    }
}

/// Runs `work` on a runtime as the program has it: one thread.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

pub fn open(root: &Path) -> Recorder {
    Recorder::open(root, Options::default()).unwrap().0
}

/// A whole sweep, in which every host says `waiting`.
pub async fn sweep(recorder: &Recorder, salt: u32, at_s: i64, hosts: &[HostName]) -> Finished {
    let handle = recorder.begin(plan(salt, at_s, hosts), vec![probe()]).await.unwrap();
    for (n, host) in hosts.iter().enumerate() {
        record(&handle, host, &Said::simple(at_s + 1, n as f64)).await;
    }
    handle.finish(end()).await.unwrap()
}

pub async fn record(handle: &SweepHandle, host: &HostName, said: &Said) {
    let (reading, raw) = said.reading(host);
    handle.record(reading, raw).await.unwrap();
}

/// A folder in memory: for tests that sync a thousand times.
pub fn memory_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

pub fn ask(root: &Path, sql: &str) -> Vec<Vec<Value>> {
    Reader::open(root).unwrap().query(sql, QueryLimits::default()).unwrap().rows
}

pub fn number(root: &Path, sql: &str) -> i64 {
    match ask(root, sql).as_slice() {
        [row] => match row.as_slice() {
            [Value::Integer(number)] => *number,
            other => panic!("{sql}: {other:?}"),
        },
        other => panic!("{sql}: {other:?}"),
    }
}

/// Every row of every table and view, in one order.
pub fn dump(root: &Path) -> Vec<(String, Vec<String>)> {
    let names = ask(root, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name");
    let name = |row: &Vec<Value>| match &row[0] {
        Value::Text(name) => name.clone(),
        other => panic!("{other:?}"),
    };
    let rows = |table: &str| {
        let mut rows: Vec<String> =
            ask(root, &format!("SELECT * FROM {table}")).iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        rows
    };
    names.iter().map(name).map(|table| (table.clone(), rows(&table))).collect()
}

/// Rebuilds the index and compares every row with what stood there.
pub fn assert_reindex_is_identical(root: &Path) {
    let before = dump(root);
    dropsonde::collect::reindex(root, dropsonde::collect::Caps::default(), &mut |_| {}).unwrap();
    let after = dump(root);
    assert_eq!(before.len(), after.len());
    for ((table, before), (_, after)) in before.iter().zip(&after) {
        let differing = before.iter().zip(after).find(|(before, after)| before != after);
        assert_eq!(before.len(), after.len(), "{table}: another number of rows");
        assert!(differing.is_none(), "{table}: {differing:#?}");
    }
}

pub fn assert_clean(root: &Path) {
    let report = dropsonde::store::check(root, true).unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}
