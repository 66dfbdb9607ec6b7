//! What the index says of what was recorded.

use dropsonde::collect::Recorder;
use dropsonde::model::{CollectorTime, HostName, Outcome, ProbeName, Span};
use dropsonde::store::index::{QueryLimits, Reader, Value};
use dropsonde::store::{StateDir, StoreError, archive};

use super::build::*;
use crate::support::patience::PATIENCE;

#[test]
fn a_reading_is_stored_once_and_read_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = hosts(3);
    let long = HostName::new(&"x".repeat(253)).unwrap();
    let all: Vec<HostName> = hosts.iter().cloned().chain([long.clone()]).collect();
    let plan = plan(1, START_S, &all);
    let (sweep, probe_name) = (plan.sweep.clone(), probe().name.clone());
    let state = StateDir::at(folder.path());
    block_on(async {
        let recorder = open(folder.path());
        let handle = recorder.begin(plan, vec![probe()]).await.unwrap();
        for host in [&hosts[0], &long] {
            let (reading, raw) = Said::simple(START_S, 5.0).reading(host);
            let recorded = handle.record(reading.clone(), raw.clone()).await.unwrap();
            assert_eq!(recorded.samples, 1, "{:?}", recorded.parsed);
            assert!(matches!(handle.record(reading.clone(), raw).await, Err(StoreError::Twice { .. })));
            assert_eq!(archive::read_member(&state, &sweep, host, &probe_name).unwrap(), reading);
        }
        let stranger = HostName::new("stranger").unwrap();
        let (reading, raw) = Said::simple(START_S, 5.0).reading(&stranger);
        assert!(matches!(handle.record(reading, raw).await, Err(StoreError::NotPlanned { .. })));
        let finished = handle.finish(end()).await.unwrap();
        assert_eq!(finished.end.outcomes, [(Outcome::Ok, 2), (Outcome::Skipped, 2)].into());
        assert!(finished.unindexed.is_none());
        recorder.close().await.unwrap();
    });
    let reader = Reader::open(folder.path()).unwrap();
    let row = reader.reading(&sweep, &long, &probe_name).unwrap().unwrap();
    let tar = archive::TarFile::open(&state, &sweep).unwrap();
    assert_eq!(tar.reading_at(row.offset, &long, &probe_name).unwrap().stderr, "one line\n");
    let skipped = reader.latest(&hosts[1], &probe_name).unwrap().unwrap();
    assert_eq!((skipped.outcome, skipped.bytes_wire), (Outcome::Skipped, 0));
    assert!(skipped.detail.is_some());
    let ledger = reader.sweep(&sweep).unwrap().unwrap();
    assert_eq!((ledger.planned, ledger.readings, ledger.ok), (4, 4, 2));
    let numbers = reader.numbers(&sweep, &hosts[0], &probe_name).unwrap();
    assert_eq!(numbers.samples.len(), 1);
    assert_eq!(numbers.samples[0].value, 5.0);
    assert_eq!(numbers.histograms.len(), 1);
    assert_eq!(reader.facts(&hosts[0], CollectorTime::from_unix_s(START_S)).unwrap()["role"], "web");
    assert!(reader.facts(&hosts[0], CollectorTime::from_unix_s(START_S - 1)).unwrap().is_empty());
    assert_clean(folder.path());
    assert_reindex_is_identical(folder.path());
}

#[test]
fn a_sweep_that_nobody_finishes_ends_as_interrupted() {
    let folder = memory_folder();
    let hosts = hosts(3);
    block_on(async {
        let recorder = open(folder.path());
        for (salt, dropped) in [(1, true), (2, false)] {
            let handle = recorder.begin(plan(salt, START_S, &hosts), vec![probe()]).await.unwrap();
            record(&handle, &hosts[1], &Said::simple(START_S, 5.0)).await;
            if dropped {
                drop(handle);
            } else {
                // Its owner still holds it when the recorder is closed.
                recorder.close().await.unwrap();
                let (reading, raw) = Said::simple(START_S, 5.0).reading(&hosts[0]);
                assert!(matches!(handle.record(reading, raw).await, Err(StoreError::Stopped)));
                break;
            }
        }
    });
    let ledger = Reader::open(folder.path()).unwrap().sweeps(9).unwrap();
    let counts: Vec<_> =
        ledger.iter().map(|row| (row.planned, row.readings, row.ok, row.interrupted)).collect();
    assert_eq!(counts, [(3, 3, 1, true), (3, 3, 1, true)]);
    assert_clean(folder.path());
    assert_reindex_is_identical(folder.path());
}

#[test]
fn two_readings_of_one_boot_give_the_rate_between_them_and_no_other_do() {
    let folder = tempfile::tempdir().unwrap();
    let host = hosts(1);
    let said = [
        ("b1", 1_000.0, 50_u64),
        ("b1", 4_600.0, 7_250),
        ("b1", 8_200.0, 7_000),
        ("b1", 11_800.0, 7_360),
        ("b2", 15_000.0, 9_999),
    ];
    block_on(async {
        let recorder = open(folder.path());
        for (n, (boot, uptime_s, total)) in said.into_iter().enumerate() {
            let at_s = START_S + n as i64 * 3_600;
            let handle = recorder.begin(plan(7, at_s, &host), vec![probe()]).await.unwrap();
            record(&handle, &host[0], &Said { at_s, boot, uptime_s, waiting: 1.0, total }).await;
            handle.finish(end()).await.unwrap();
        }
        recorder.close().await.unwrap();
    });
    let history = Reader::open(folder.path()).unwrap().history(&host[0], "spool_jobs_total").unwrap();
    let rates: Vec<(i64, Span, f64)> = history
        .iter()
        .map(|point| ((point.started.unix_s() - START_S) / 3_600, point.series.span, point.value))
        .collect();
    // The second fell, the last is of another boot.
    assert_eq!(rates, [(1, Span::Between, 2.0), (3, Span::Between, 0.1)]);
    assert_reindex_is_identical(folder.path());
}

#[test]
fn a_running_sweep_is_seen_as_an_ended_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = hosts(1_200);
    let sql = "SELECT host, ts, metric, labels, kind, span, value FROM v_sample ORDER BY host, metric, span";
    block_on(async {
        let recorder = open(folder.path());
        sweep(&recorder, 1, START_S - 60, &hosts).await;
        let plan = plan(2, START_S, &hosts);
        let id = plan.sweep.clone();
        let handle = recorder.begin(plan, vec![probe()]).await.unwrap();
        for (n, host) in hosts.iter().enumerate().rev() {
            record(&handle, host, &Said::simple(START_S + 1, n as f64 / 8.0)).await;
        }
        // The last reading was acknowledged before the index was told of it.
        let running = wait_for_rows(folder.path(), &format!("{sql} "), 3_600);
        let reader = Reader::open(folder.path()).unwrap();
        let at = reader.metric_at(&id, "spool_jobs_waiting").unwrap();
        let history = reader.history(&hosts[3], "spool_jobs_waiting").unwrap();
        assert_eq!(reader.latest_sweep(Some("spool_jobs_waiting")).unwrap().unwrap().sweep, id);
        handle.finish(end()).await.unwrap();
        assert_eq!(ask(folder.path(), sql), running);
        let mut pivoted = reader.metric_at(&id, "spool_jobs_waiting").unwrap();
        pivoted.sort_by(|a, b| a.host.cmp(&b.host));
        assert_eq!(pivoted, at);
        assert_eq!(reader.history(&hosts[3], "spool_jobs_waiting").unwrap(), history);
        assert_eq!(history.len(), 2);
        assert_eq!(reader.latest_sweep(Some("spool_jobs_waiting")).unwrap().unwrap().sweep, id);
        assert_eq!(number(folder.path(), "SELECT count(*) FROM stage"), 0);
        recorder.close().await.unwrap();
    });
    assert_eq!(number(folder.path(), "SELECT count(*) FROM v_sample WHERE host = 'web0007'"), 3);
    assert_reindex_is_identical(folder.path());
}

fn wait_for_rows(root: &std::path::Path, sql: &str, rows: usize) -> Vec<Vec<Value>> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let found = ask(root, sql);
        if found.len() == rows || std::time::Instant::now() > deadline {
            assert_eq!(found.len(), rows);
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn one_hosts_samples_are_found_by_key() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let recorder = open(folder.path());
        sweep(&recorder, 1, START_S, &hosts(20)).await;
        recorder.close().await.unwrap();
    });
    let plan_of = |sql: &str| format!("{:?}", ask(folder.path(), &format!("EXPLAIN QUERY PLAN {sql}")));
    for filter in [
        "metric = 'spool_jobs_waiting' AND host = 'web0001'",
        "metric = 'spool_jobs_waiting' AND sweep = 'x'",
        "sweep = 'x'",
        "host = 'web0001' AND sweep = 'x'",
    ] {
        let plan = plan_of(&format!("SELECT value FROM v_sample WHERE {filter}"));
        assert!(plan.contains("SEARCH b USING PRIMARY KEY (series=? AND chunk=?"), "{filter}: {plan}");
        assert!(!plan.contains("AUTOMATIC"), "{filter}: {plan}");
        let by_sweep = filter.contains("sweep") && !plan.contains("(series=? AND chunk=? AND sweep=?)");
        assert!(!by_sweep, "{filter}: {plan}");
    }
}

#[test]
fn a_question_can_only_read_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let recorder = open(folder.path());
        sweep(&recorder, 1, START_S, &hosts(2)).await;
        recorder.close().await.unwrap();
    });
    let reader = Reader::open(folder.path()).unwrap();
    let other = folder.path().join("other.sqlite");
    for sql in [
        "DELETE FROM reading",
        "CREATE TABLE x (y)",
        "PRAGMA query_only = 0",
        "PRAGMA journal_mode = DELETE",
        &format!("ATTACH '{}' AS other", other.display()),
        "SELECT load_extension('x')",
        "VACUUM INTO 'x'",
        "SELECT 1; DELETE FROM reading",
        "BEGIN",
        "",
        "nonsense",
    ] {
        let answer = reader.query(sql, QueryLimits::default());
        assert!(matches!(answer, Err(StoreError::Query(_))), "{sql}: {answer:?}");
    }
    assert!(!other.exists());
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let limits = QueryLimits { max_rows: 1, timeout: std::time::Duration::from_millis(200) };
    assert!(matches!(reader.query(endless, limits), Err(StoreError::QueryTimeout(_))));
    let table = reader.query("SELECT host, outcome FROM v_reading ORDER BY host", limits).unwrap();
    assert_eq!(table.columns, ["host", "outcome"]);
    assert_eq!(table.rows, [[Value::Text("web0000".into()), Value::Text("ok".into())]]);
    assert!(table.cut);
}

#[test]
fn a_reindex_does_not_disturb_a_collector_at_work() {
    let folder = memory_folder();
    let hosts = hosts(50);
    block_on(async {
        let recorder: Recorder = open(folder.path());
        sweep(&recorder, 1, START_S, &hosts).await;
        let handle = recorder.begin(plan(2, START_S + 60, &hosts), vec![probe()]).await.unwrap();
        for (n, host) in hosts.iter().enumerate() {
            if n % 10 == 0 {
                let root = folder.path().to_owned();
                let caps = dropsonde::collect::Caps::default();
                let rebuild = move || dropsonde::collect::reindex(&root, caps, &mut |_| {}).unwrap();
                tokio::task::spawn_blocking(rebuild).await.unwrap();
            }
            record(&handle, host, &Said::simple(START_S + 61, n as f64)).await;
        }
        assert!(handle.finish(end()).await.unwrap().unindexed.is_none());
        recorder.close().await.unwrap();
    });
    let probe = ProbeName::new("spool").unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.latest(&hosts[49], &probe).unwrap().unwrap().outcome, Outcome::Ok);
    assert_eq!(number(folder.path(), "SELECT count(*) FROM reading"), 100);
    assert_clean(folder.path());
    assert_reindex_is_identical(folder.path());
}

/// Each that opens a state directory finishes what it finds unfinished in the index, beside whoever is at it.
#[test]
fn several_collectors_finish_the_same_sweep_beside_each_other() {
    let folder = memory_folder();
    let root = folder.path();
    block_on(async { open(root).close().await.unwrap() });
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    block_on(async { open(root).close().await.unwrap() });
                }
            });
        }
        block_on(async {
            let recorder = open(root);
            for n in 0..60 {
                let hosts = hosts(40);
                let handle =
                    recorder.begin(plan(n, START_S + i64::from(n), &hosts), vec![probe()]).await.unwrap();
                for host in &hosts {
                    record(&handle, host, &Said::simple(START_S, 5.0)).await;
                }
                let finished = handle.finish(end()).await.unwrap();
                assert!(finished.unindexed.is_none(), "{n}: {:?}", finished.unindexed);
            }
            recorder.close().await.unwrap();
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_clean(root);
}
