//! The demo's past: what is recorded of it, and what the lenses find there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use dropsonde::collect::{Caps, Options, Recorder, backfill, reindex};
use dropsonde::config::Library;
use dropsonde::demo::{FleetShape, History, Incident, Mark, PAST_PROBES, fleet, hours};
use dropsonde::model::{CollectorTime, Probe, Trigger};
use dropsonde::store::index::{HostSample, QueryLimits, Reader, Value as Cell};
use serde_json::Value;

use super::support::program::Program;

const NOW_S: i64 = 1_795_381_601;

const HOSTS: usize = 24;

fn now() -> CollectorTime {
    CollectorTime::from_unix_s(NOW_S)
}

fn probes() -> Vec<Arc<Probe>> {
    let library = Library::built_in().unwrap();
    PAST_PROBES.iter().map(|name| library.get(name).unwrap().clone()).collect()
}

fn history(seed: u64) -> History {
    History::new(HOSTS, seed, Mark::new(HOSTS, seed, now()), probes()).unwrap()
}

/// Two days of a fleet, as the demo records them.
fn record(history: &History, root: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (recorder, _) = Recorder::open(root, Options::default()).unwrap();
    runtime.block_on(async {
        let mut cursors = BTreeMap::new();
        for at in hours(now(), 48) {
            let past = history
                .sweep(at, |host, probe| cursors.get(&(host.clone(), probe.clone())).map(String::as_str));
            let keys: Vec<_> =
                past.readings.iter().map(|(it, _)| (it.host.clone(), it.probe.clone())).collect();
            let planned = past.plan.planned();
            let (recorded, finished) =
                backfill(&recorder, (past.plan, probes()), past.readings).await.unwrap();
            assert_eq!((recorded.len(), finished.unindexed.is_none()), (planned, true));
            for (key, recorded) in keys.into_iter().zip(recorded) {
                if let Some(cursor) = &recorded.parsed.cursor {
                    cursors.insert(key, cursor.clone());
                }
            }
        }
        recorder.close().await.unwrap();
    });
}

/// The one number that `sql` asks for.
fn number(root: &Path, sql: &str) -> i64 {
    let table = Reader::open(root).unwrap().query(sql, QueryLimits::default()).unwrap();
    let [[Cell::Integer(number)]] = table.rows.iter().map(Vec::as_slice).collect::<Vec<_>>()[..] else {
        panic!("{sql}: {:?}", table.rows)
    };
    *number
}

/// Every sample, as the index has it.
fn samples(root: &Path) -> Vec<HostSample> {
    let reader = Reader::open(root).unwrap();
    let mut samples = Vec::new();
    for row in reader.sweeps(100).unwrap() {
        reader.each_sample(&row.sweep, &mut |sample| samples.push(sample)).unwrap();
    }
    samples
}

/// Who has a part in what.
fn in_trouble(seed: u64) -> Vec<(Incident, BTreeSet<String>)> {
    let fleet = fleet(FleetShape { hosts: HOSTS, seed, now: now() }).unwrap();
    let hosts = |incident| {
        let of = fleet.iter().filter(|host| host.incident == Some(incident));
        (incident, of.map(|host| host.name.to_string()).collect())
    };
    [Incident::SlowKernel, Incident::DyingDisk, Incident::NoisyNeighbour].map(hosts).to_vec()
}

fn names(hosts: &Value) -> BTreeSet<String> {
    hosts.as_array().unwrap().iter().map(|host| host.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_same_seed_gives_the_same_past() {
    let (one, other) = (history(1), history(1));
    for at in hours(now(), 3) {
        let (one, other) = (one.sweep(at, |_, _| None), other.sweep(at, |_, _| None));
        assert_eq!(one.plan, other.plan);
        assert_eq!(one.readings, other.readings);
    }
    let at = hours(now(), 1)[0];
    assert_ne!(history(1).sweep(at, |_, _| None).readings, history(2).sweep(at, |_, _| None).readings);
}

#[test]
fn the_three_incidents_come_first_with_their_hosts_and_causes() {
    for seed in [1, 2] {
        let program = Program::new();
        record(&history(seed), &program.state());
        let found = program.run(&["outliers", "--json"]);
        found.expect(0, &[]);
        let found = found.json();
        let findings = found["findings"].as_array().unwrap();
        let incidents = in_trouble(seed);
        let of = |finding: &Value| {
            let hosts = names(&finding["hosts"]);
            incidents
                .iter()
                .find(|(_, ill)| hosts.is_subset(ill))
                .map(|(incident, ill)| (*incident, hosts == *ill))
        };
        // Nobody healthy is named, and nobody for another's trouble.
        let parts: Vec<(Incident, bool)> =
            findings.iter().map(|it| of(it).unwrap_or_else(|| panic!("seed {seed}: {it}"))).collect();
        // Each incident's most important line names all of its hosts.
        for (incident, _) in &incidents {
            assert_eq!(
                parts.iter().find(|part| part.0 == *incident),
                Some(&(*incident, true)),
                "seed {seed}"
            );
        }
        for (metric, incident) in [
            ("scheduler_runqueue_wait_per_slice_seconds", Incident::SlowKernel),
            ("disk_r_await_seconds", Incident::DyingDisk),
            ("kernel_log_events_total", Incident::DyingDisk),
            ("cpu_steal_ratio", Incident::NoisyNeighbour),
        ] {
            let at = findings.iter().position(|it| it["metric"] == metric);
            let at = at.unwrap_or_else(|| panic!("seed {seed}: {metric} is not found"));
            assert_eq!((parts[at], &findings[at]["lens"]), ((incident, true), &"changed".into()), "{metric}");
        }
        causes(&program, seed);
    }
}

/// What `explain` puts first is what was planted.
fn causes(program: &Program, seed: u64) {
    let explain = |metric: &str| program.run(&["explain", metric, "--json"]).expect(0, &[]).json();
    let kernel = explain("scheduler_runqueue_wait_per_slice_seconds");
    let first = &kernel["shared"][0];
    assert_eq!((&first["label"], &first["value"]), (&"kernel".into(), &"6.8.0-58-generic".into()), "{seed}");
    assert_eq!((&first["outliers"], &first["rest"]), (&vec![4, 4].into(), &vec![0, 20].into()));

    let steal = explain("cpu_steal_ratio");
    let first = &steal["shared"][0];
    assert_eq!((&first["label"], &first["value"]), (&"hypervisor".into(), &"hv-00".into()), "{seed}");

    // One host alone shares nothing; its kernel says what it is.
    let disk = explain("disk_r_await_seconds");
    assert_eq!(disk["shared"].as_array().unwrap().len(), 0);
    let text = program.run(&["explain", "disk_r_await_seconds"]).out;
    let said = text.split("Their kernels said:").nth(1).unwrap_or_else(|| panic!("{text}"));
    assert!(said.lines().nth(2).unwrap().contains("critical medium error, dev "), "{said}");
}

#[test]
fn a_past_is_recorded_like_any_sweep() {
    let dir = tempfile::tempdir().unwrap();
    record(&history(1), dir.path());
    let report = dropsonde::store::check(dir.path(), true).unwrap();
    assert!(report.is_clean() && report.readings == 48 * HOSTS as u64 * 3, "{report:?}");
    let sweeps = Reader::open(dir.path()).unwrap().sweeps(100).unwrap();
    assert!(sweeps.iter().all(|row| row.trigger == Trigger::Backfill && row.ok == row.planned));
    let started: Vec<i64> = sweeps.iter().rev().map(|row| row.started.unix_s()).collect();
    assert_eq!(started, hours(now(), 48).iter().map(|at| at.unix_s()).collect::<Vec<_>>());

    // Five hosts were booted, of which four into another kernel; for their sake one rate each is missing.
    let changes = "SELECT count(*) FROM v_host_label WHERE label = '{}' AND since > (SELECT min(since) + 3600 FROM v_host_label)";
    let count = |label: &str| number(dir.path(), &changes.replace("{}", label));
    assert_eq!((count("boot_id"), count("kernel"), count("nic_driver")), (5, 4, 0));
    let between = number(
        dir.path(),
        "SELECT count(*) FROM v_sample WHERE metric = 'node_context_switches_total' AND span = 'between'",
    );
    assert_eq!(between, 47 * HOSTS as i64 - 5);

    let before = samples(dir.path());
    reindex(dir.path(), Caps::default(), &mut |_| {}).unwrap();
    assert!(before == samples(dir.path()) && before.len() > 100_000, "{}", before.len());
}

#[test]
fn a_demo_goes_on_with_its_past() {
    let program = Program::alone();
    let demo = |arguments: &[&str]| program.run(&[&["demo", "--once", "--hosts", "12"], arguments].concat());
    let first = demo(&[]);
    first.expect(0, &["recorded 48 hourly sweeps of the past", "12 synthetic hosts", "is sick"]);
    let sick = first.err.split(" is sick").next().unwrap().rsplit(' ').next().unwrap();
    for (verb, must) in
        [("top ", sick), ("compare ", sick), ("outliers", "changed"), ("explain ", "changed since")]
    {
        let shown =
            first.out.split("\n$ dropsonde").find(|shown| first_line(shown).contains(&format!(" {verb}")));
        assert!(shown.is_some_and(|shown| shown.contains(must)), "{verb}: {}", first.out);
    }
    let top = first.out.split(" top ").nth(1).unwrap();
    let leads = top.lines().skip_while(|line| !line.starts_with("HOST")).nth(1).unwrap();
    assert!(leads.starts_with(sick), "{sick} does not lead in {top}");
    assert!(first.out.contains("All of this data is synthetic"));
    // The live sweep goes on where the past ended: its counters have rates since then.
    let live = program.sweeps().last().unwrap().clone();
    let sql = format!("SELECT count(*) AS n FROM v_sample WHERE sweep = '{live}' AND span = 'between'");
    let rates = program.run(&["query", "--json", &sql]).json()[0]["n"].as_u64();
    assert!(rates.is_some_and(|rates| rates > 12 * 100), "{rates:?}");
    program.assert_clean();

    let sweeps = program.sweeps().len();
    assert_eq!(sweeps, 49);
    // The same fleet again; at the turn of the hour there is one more to fill in.
    let again = demo(&[]);
    again.expect(0, &["12 synthetic hosts"]);
    assert!((1..=2).contains(&(program.sweeps().len() - sweeps)), "{again:?}");
    assert_eq!(again.err.contains("hourly sweep of the past"), program.sweeps().len() == sweeps + 2);
    // Another fleet's hosts have other pasts.
    let sweeps = program.sweeps().len();
    demo(&["--seed", "2"]).expect(2, &["the history of another demo fleet", "--dir"]);
    assert_eq!(program.sweeps().len(), sweeps);
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[test]
fn a_demo_needs_no_past() {
    let program = Program::alone();
    let ran = program.run(&["demo", "--once", "--hosts", "2", "--backfill", "0"]);
    ran.expect(0, &["2 synthetic hosts"]);
    assert_eq!(program.sweeps().len(), 1);
    program.run(&["demo", "--once", "--backfill", "169"]).expect(2, &["169"]);
    // None can be put before what is there, and without one there would be nothing to find.
    program.run(&["demo", "--once", "--hosts", "2"]).expect(2, &["without a past", "--dir"]);
    assert_eq!(program.sweeps().len(), 1);
}
