//! A collector that is killed at any moment, and two at once. The test binary runs itself as the
//! collector: it records sweeps and prints each reading once it is acknowledged.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dropsonde::model::{HostName, ProbeName};
use dropsonde::store::index::Reader;
use tokio::task::JoinSet;

use super::build::*;

/// Set for the collector: its state directory.
pub const STATE: &str = "DROPSONDE_TEST_STATE";
/// How many sweeps it records.
pub const SWEEPS: &str = "DROPSONDE_TEST_SWEEPS";

const HOSTS: usize = 120;
const IN_FLIGHT: usize = 24;

/// This test binary as a collector, by way of the test `name` that calls [`collector`] first.
pub fn collector_command(program: &[&str], name: &str, root: &Path, sweeps: u32) -> Command {
    let myself = std::env::current_exe().unwrap();
    let mut command = match program {
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(myself);
            command
        }
        [] => Command::new(myself),
    };
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(STATE, root)
        .env(SWEEPS, sweeps.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Is the collector when this process was started as one; says whether it was.
pub fn collector() -> bool {
    let Some(root) = std::env::var_os(STATE) else { return false };
    let sweeps: u32 = std::env::var(SWEEPS).unwrap().parse().unwrap();
    block_on(async {
        let recorder = match dropsonde::collect::Recorder::open(Path::new(&root), Default::default()) {
            Ok((recorder, _)) => recorder,
            Err(error) => return say(&format!("error open {error}")),
        };
        for n in 0..sweeps {
            record_sweep(&recorder, n).await;
        }
        if let Err(error) = recorder.close().await {
            say(&format!("error close {error}"));
        }
        say("closed");
    });
    true
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(format!("{line}\n").as_bytes()).unwrap();
    stdout.flush().unwrap();
}

async fn record_sweep(recorder: &dropsonde::collect::Recorder, n: u32) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at_s = now.as_secs() as i64;
    let salt = now.subsec_nanos() ^ std::process::id() << 8 ^ n;
    let hosts = hosts(HOSTS);
    let handle = match recorder.begin(plan(salt, at_s, &hosts), vec![probe()]).await {
        Ok(handle) => Arc::new(handle),
        Err(error) => return say(&format!("error begin {error}")),
    };
    let mut visits = JoinSet::new();
    for host in hosts {
        while visits.len() >= IN_FLIGHT {
            visits.join_next().await;
        }
        let handle = Arc::clone(&handle);
        visits.spawn(async move {
            let (reading, raw) = Said::simple(at_s, f64::from(n)).reading(&host);
            match handle.record(reading, raw).await {
                Ok(_) => say(&format!("ack {} {host}", handle.sweep())),
                Err(error) => say(&format!("error record {error}")),
            }
        });
    }
    while visits.join_next().await.is_some() {}
    if let Some(handle) = Arc::into_inner(handle)
        && let Err(error) = handle.finish(end()).await
    {
        say(&format!("error finish {error}"));
    }
}

/// Reads what a collector said until its output ends.
pub fn heard(child: &mut Child) -> Vec<String> {
    let stdout = child.stdout.take().unwrap();
    // A line that the kill cut in half was not said.
    let mut text = String::new();
    BufReader::new(stdout).read_to_string(&mut text).unwrap();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

pub fn acknowledged(lines: &[String]) -> BTreeSet<(String, String)> {
    let pair = |line: &String| {
        // The test harness may have written before it on the same line.
        let mut words = line[line.find("ack ")?..].split(' ').skip(1);
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    lines.iter().filter_map(pair).collect()
}

/// Every acknowledged reading is in the index, with its numbers, and can be read from the archive.
pub fn assert_all_there(root: &Path, acknowledged: &BTreeSet<(String, String)>) {
    let there: BTreeSet<(String, String)> =
        ask(root, "SELECT sweep, host FROM v_reading WHERE outcome = 'ok' AND samples = 1")
            .into_iter()
            .map(|row| match row.as_slice() {
                [dropsonde::store::index::Value::Text(sweep), dropsonde::store::index::Value::Text(host)] => {
                    (sweep.clone(), host.clone())
                }
                other => panic!("{other:?}"),
            })
            .collect();
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

#[test]
fn kill_9_at_any_moment_loses_nothing_that_was_acknowledged() {
    if collector() {
        return;
    }
    const ROUNDS: u32 = 60;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let seed = random;
    let mut all = BTreeSet::new();
    for round in 0..ROUNDS * 10 {
        // On a machine so busy that most are killed before they acknowledge anything, it goes on.
        if round >= ROUNDS && all.len() > ROUNDS as usize {
            break;
        }
        let name = "store::crash::kill_9_at_any_moment_loses_nothing_that_was_acknowledged";
        let mut child = collector_command(&[], name, root, u32::MAX).spawn().unwrap();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_micros(random % 200_000));
        child.kill().unwrap();
        let lines = heard(&mut child);
        child.wait().unwrap();
        assert!(!lines.iter().any(|line| line.contains("error ")), "round {round}, seed {seed}: {lines:?}");
        all.extend(acknowledged(&lines));
        if round % 10 == 9 {
            // Straight after the kill: what it left is what the next start mends, and nothing worse.
            let report = dropsonde::store::check(root, false).unwrap();
            assert!(report.is_clean(), "round {round}, seed {seed}: {:#?}", report.findings);
        }
        if round % 20 == 19 {
            block_on(open(root).close()).unwrap();
            assert_all_there(root, &all);
            assert_clean(root);
        }
    }
    assert!(all.len() > ROUNDS as usize, "only {} readings were acknowledged", all.len());
    assert_reindex_is_identical(root);
    assert_all_there(root, &all);
    assert_clean(root);
    let twice =
        "SELECT count(*) FROM (SELECT 1 FROM v_reading GROUP BY sweep, host, probe HAVING count(*) > 1)";
    assert_eq!(number(root, twice), 0);
}

#[test]
fn two_collectors_share_one_state_directory() {
    if collector() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "store::crash::two_collectors_share_one_state_directory";
    let spawn = |sweeps| collector_command(&[], name, folder.path(), sweeps).spawn().unwrap();
    let mut both = [spawn(4), spawn(4)];
    // A third comes and is killed while they work.
    let mut third = spawn(u32::MAX);
    let stdout = third.stdout.take().unwrap();
    let first = BufReader::new(stdout).lines().map_while(Result::ok).find(|line| line.contains("ack "));
    assert!(first.is_some(), "the third collector recorded nothing");
    third.kill().unwrap();
    third.wait().unwrap();
    let mut all = BTreeSet::new();
    for child in &mut both {
        let lines = heard(child);
        assert!(child.wait().unwrap().success(), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("closed")), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("error ")), "{lines:?}");
        all.extend(acknowledged(&lines));
    }
    assert_eq!(all.len(), 8 * HOSTS);
    block_on(open(folder.path()).close()).unwrap();
    assert_all_there(folder.path(), &all);
    assert_clean(folder.path());
    // Overlapping sweeps of the same hosts: the rates between readings depend on their order.
    assert_reindex_is_identical(folder.path());
    let reader = Reader::open(folder.path()).unwrap();
    let (host, probe) = (HostName::new("web0000").unwrap(), ProbeName::new("spool").unwrap());
    assert!(reader.latest(&host, &probe).unwrap().is_some());
}
