//! The index at 10,000 hosts × 300 metrics per sweep, beside a plain table of rows, in one run.
//! `cargo bench --bench index`; the figures in docs/archive-and-index.md are its output.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dropsonde::config::parse_probe;
use dropsonde::model::{
    CollectorTime, HostName, Kept, Kind, Outcome, Parsed, Plan, PlannedHost, Probe, Reading, Sample, Span,
    SweepEnd, SweepId, Trigger,
};
use dropsonde::store::StateDir;
use dropsonde::store::index::{Event, EventKind, QueryLimits, Reader, Writer};
use rusqlite::Connection;

/// Readings in one transaction: what a group commit takes at a concurrency of 256.
const GROUP: usize = 128;
const METRIC: &str = "bench_metric_7";

struct Shape {
    hosts: usize,
    metrics: usize,
    sweeps: usize,
}

impl Shape {
    fn values(&self) -> f64 {
        (self.hosts * self.metrics * self.sweeps) as f64
    }
}

/// A fleet: a third of its metrics are whole numbers, a third have two decimals, a third are rates.
struct Fleet {
    shape: Shape,
    probe: Arc<Probe>,
    hosts: Vec<HostName>,
    metrics: Vec<String>,
}

impl Fleet {
    fn new(shape: Shape) -> Self {
        let toml = "name = \"bench\"\nsummary = \"numbers\"\nscript = \"true\"\nformat = \"openmetrics\"\n";
        let probe = parse_probe("bench", "bench.toml", toml).expect("a probe that reads");
        let name = |n| HostName::new(&format!("node{n:05}")).expect("a name");
        Self {
            probe: Arc::new(probe),
            hosts: (0..shape.hosts).map(name).collect(),
            metrics: (0..shape.metrics).map(|n| format!("bench_metric_{n}")).collect(),
            shape,
        }
    }

    fn value(sweep: usize, host: usize, metric: usize) -> f64 {
        let mut x = (sweep as u64) << 40 ^ (host as u64) << 16 ^ metric as u64 ^ 0x9e37_79b9_7f4a_7c15;
        for _ in 0..3 {
            x ^= x >> 30;
            x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        }
        match metric % 3 {
            0 => (x % 5_000) as f64,
            1 => (x % 10_000) as f64 / 100.0,
            _ => (x % 1_000_000) as f64 / (0.9 + (x >> 40) as f64 / 1e8),
        }
    }

    fn parsed(&self, sweep: usize, host: usize) -> Parsed {
        let sample = |(n, metric): (usize, &String)| Sample {
            metric: metric.clone().into(),
            labels: Vec::new(),
            kind: Kind::Gauge,
            span: Span::Instant,
            value: Self::value(sweep, host, n),
        };
        Parsed { samples: self.metrics.iter().enumerate().map(sample).collect(), ..Parsed::default() }
    }

    fn plan(&self, sweep: usize) -> Plan {
        let started = CollectorTime::from_unix_s(1_795_381_200 + sweep as i64 * 3_600);
        let planned = |name: &HostName| PlannedHost {
            name: name.clone(),
            labels: Default::default(),
            probes: vec![self.probe.name.clone()],
        };
        Plan {
            sweep: SweepId::at(started, 0),
            trigger: Trigger::Scheduled,
            schedule: None,
            cause: None,
            started,
            hosts: self.hosts.iter().map(planned).collect(),
        }
    }

    fn reading(&self, host: usize, at: CollectorTime) -> Reading {
        Reading {
            host: self.hosts[host].clone(),
            probe: self.probe.name.clone(),
            probe_hash: self.probe.hash,
            outcome: Outcome::Ok,
            detail: None,
            exit: Some(0),
            started: at,
            elapsed: Duration::from_millis(90),
            clock: None,
            cpu: None,
            stderr: String::new(),
            cursor: None,
            wire: Bytes::new(),
            bytes_raw: 0,
        }
    }

    /// Hosts answer in no order.
    fn arrival(&self, at: usize) -> usize {
        at * 7_919 % self.shape.hosts
    }
}

/// Time spent in the index alone, and the bytes it came to.
struct Cost {
    seconds: f64,
    used: u64,
    file: u64,
}

fn fill(fleet: &Fleet, root: &Path) -> Cost {
    let state = StateDir::create(root).expect("a state directory");
    let mut index = Writer::open(&state).expect("an index");
    let mut seconds = 0.0;
    for sweep in 0..fleet.shape.sweeps {
        let plan = Arc::new(fleet.plan(sweep));
        let (id, at) = (plan.sweep.clone(), plan.started);
        let event = |kind| Event { seq: 0, sweep: id.clone(), archived: 0, kind };
        let begin = EventKind::Begin { plan, probes: [Arc::clone(&fleet.probe)].into(), kept: Kept::Raw };
        seconds += timed(|| index.ingest(&[event(begin)]).expect("the plan"));
        for first in (0..fleet.shape.hosts).step_by(GROUP) {
            let readings = (first..fleet.shape.hosts.min(first + GROUP)).map(|n| fleet.arrival(n));
            let events: Vec<Event> = readings
                .map(|host| {
                    event(EventKind::Reading {
                        reading: Box::new(fleet.reading(host, at)),
                        probe: Some(Arc::clone(&fleet.probe)),
                        parsed: Arc::new(fleet.parsed(sweep, host)),
                        truncated: false,
                        offset: 0,
                        digested: None,
                    })
                })
                .collect();
            seconds += timed(|| index.ingest(&events).expect("a group"));
        }
        let end =
            SweepEnd { ended: at, elapsed: Duration::ZERO, outcomes: Default::default(), interrupted: false };
        seconds += timed(|| {
            index.ingest(&[event(EventKind::End(end))]).expect("the end");
            index.pivot(&id).expect("blocks");
        });
    }
    drop(index);
    let (used, file) = sizes(&state.index());
    Cost { seconds, used, file }
}

/// What a first design would do: a row per value, as hosts answer.
fn fill_rows(fleet: &Fleet, path: &Path) -> Cost {
    let mut conn = Connection::open(path).expect("a database");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;
         CREATE TABLE sample (sweep INTEGER, metric INTEGER, host INTEGER, value REAL,
             PRIMARY KEY (sweep, metric, host)) WITHOUT ROWID;",
    )
    .expect("a table");
    let mut seconds = 0.0;
    for sweep in 0..fleet.shape.sweeps {
        for first in (0..fleet.shape.hosts).step_by(GROUP) {
            seconds += timed(|| {
                let tx = conn.transaction().expect("a transaction");
                {
                    let mut insert =
                        tx.prepare_cached("INSERT INTO sample VALUES (?1, ?2, ?3, ?4)").expect("a statement");
                    for host in (first..fleet.shape.hosts.min(first + GROUP)).map(|n| fleet.arrival(n)) {
                        for metric in 0..fleet.shape.metrics {
                            let value = Fleet::value(sweep, host, metric);
                            insert.execute((sweep as i64, metric as i64, host as i64, value)).expect("a row");
                        }
                    }
                }
                tx.commit().expect("a commit");
            });
        }
    }
    conn.close().expect("closed");
    let (used, file) = sizes(path);
    Cost { seconds, used, file }
}

fn timed(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64()
}

/// The median of seven, in milliseconds.
fn asked(mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..7).map(|_| timed(&mut work) * 1e3).collect();
    times.sort_by(f64::total_cmp);
    times[3]
}

/// Bytes that are in use, and those of the file: pages that a pivot frees serve the next sweep.
fn sizes(path: &Path) -> (u64, u64) {
    let conn = Connection::open(path).expect("the file");
    let pragma =
        |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect(name) as u64;
    let (pages, free, page) = (pragma("page_count"), pragma("freelist_count"), pragma("page_size"));
    ((pages - free) * page, pages * page)
}

/// Milliseconds for a question in SQL over the views, whose answer has `rows` rows.
fn sql(reader: &Reader, question: &str, rows: usize) -> f64 {
    asked(|| assert_eq!(reader.query(question, QueryLimits::default()).expect(question).rows.len(), rows))
}

fn rows_sql(path: &Path, question: &str, rows: usize) -> f64 {
    let conn = Connection::open(path).expect("the rows");
    asked(|| {
        let mut statement = conn.prepare_cached(question).expect(question);
        let found = statement.query_map([], |row| row.get::<_, f64>(0)).expect(question).count();
        assert_eq!(found, rows);
    })
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut out = std::io::stdout().lock();
    let mut line = |text: String| writeln!(out, "{text}").expect("stdout");

    let column = Fleet::new(Shape { hosts: 10_000, metrics: 300, sweeps: 2 });
    let root = folder.path().join("column");
    let ours = fill(&column, &root);
    let rows_path = folder.path().join("rows.sqlite");
    let rows = fill_rows(&column, &rows_path);
    let values = column.shape.values();
    let reader = Reader::open(&root).expect("the index");
    let sweep = column.plan(1).sweep;
    let typed = asked(|| assert_eq!(reader.metric_at(&sweep, METRIC).expect(METRIC).len(), 10_000));
    let question =
        format!("SELECT host, value FROM v_sample WHERE sweep = '{sweep}' AND metric = '{METRIC}'");
    let by_sql = sql(&reader, &question, 10_000);
    let by_rows =
        rows_sql(&rows_path, "SELECT value, host FROM sample WHERE sweep = 1 AND metric = 7", 10_000);
    let one = format!("SELECT value FROM v_sample WHERE sweep = '{sweep}' AND host = 'node00042'");
    let host_sweep = sql(&reader, &one, 300);

    let row = Fleet::new(Shape { hosts: 1_000, metrics: 10, sweeps: 720 });
    let long_root = folder.path().join("row");
    fill(&row, &long_root);
    let long_rows = folder.path().join("long-rows.sqlite");
    fill_rows(&row, &long_rows);
    let long = Reader::open(&long_root).expect("the index");
    let host = &row.hosts[42];
    let history = asked(|| assert_eq!(long.history(host, METRIC).expect(METRIC).len(), 720));
    let question = format!("SELECT sweep, value FROM v_sample WHERE host = '{host}' AND metric = '{METRIC}'");
    let history_sql = sql(&long, &question, 720);
    let history_rows = rows_sql(
        &long_rows,
        "WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 719)
            SELECT value FROM s CROSS JOIN sample ON sweep = n AND metric = 7 AND host = 42",
        720,
    );

    line("| 10,000 hosts × 300 metrics | rows | blocks | ratio |".to_owned());
    line("| --- | --- | --- | --- |".to_owned());
    let mut entry = |what: &str, rows: f64, ours: f64, unit: &str| {
        line(format!("| {what} | {rows:.1} {unit} | {ours:.1} {unit} | {:.2} |", ours / rows));
    };
    entry(
        "values per second in, ledger and pivot included",
        values / rows.seconds / 1e6,
        values / ours.seconds / 1e6,
        "M",
    );
    entry(
        "bytes per value in use, ledger included",
        rows.used as f64 / values,
        ours.used as f64 / values,
        "B",
    );
    entry(
        "bytes per value of the file after two sweeps",
        rows.file as f64 / values,
        ours.file as f64 / values,
        "B",
    );
    entry("one metric, all hosts, one sweep: typed", by_rows, typed, "ms");
    entry("the same in SQL over v_sample", by_rows, by_sql, "ms");
    entry("one host's metric, 720 sweeps: typed", history_rows, history, "ms");
    entry("the same in SQL over v_sample", history_rows, history_sql, "ms");
    line(format!("| all metrics of one host, one sweep, in SQL | – | {host_sweep:.1} ms | – |"));
}
