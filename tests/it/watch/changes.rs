//! `outliers.changed(METRIC)`: what a rule is met by is what `outliers` names.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dropsonde::collect::{Finished, Swept};
use dropsonde::config::{Settings, Sources, load};
use dropsonde::model::{CollectorTime, SweepEnd};
use dropsonde::store::index::Reader;
use dropsonde::watch::alerts::{State, book};
use dropsonde::watch::{Unkept, after_sweep};

use crate::lenses::fleet::{SLOW, names, three_incidents};

const RULES: &str = r#"
[[hosts]]
names = "web[01-48]"
[[escalate]]
when = "outliers.changed(runq_latency_seconds)"
run = ["proc"]
per_hour = 3
[[alert]]
name = "something changed"
when = "outliers.changed(*)"
[[receiver]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:9/"
[retention]
low_space = "0B"
"#;

/// The fleet with three incidents, in a state directory of this test's own.
fn settings(folder: &Path) -> Settings {
    let recorded = three_incidents();
    let state = folder.join("state");
    let status = Command::new("cp").arg("-r").arg(&*recorded).arg(&state).status().unwrap();
    assert!(status.success());
    let config = folder.join("config.toml");
    std::fs::create_dir(folder.join("probes.d")).unwrap();
    let probe = "name = \"rules\"\nsummary = \"a test\"\nscript = \"true\"\nformat = \"openmetrics\"\n\
                 [[metric]]\nname = \"runq_latency_seconds\"\nkind = \"gauge\"\nunit = \"seconds\"\nhelp = \"a test\"\n";
    std::fs::write(folder.join("probes.d/rules.toml"), probe).unwrap();
    std::fs::write(&config, RULES).unwrap();
    let environment = [("USER".to_owned(), "root".to_owned())].into();
    let sources = Sources { config: Some(config), state: Some(state), environment, ..Sources::default() };
    load(&sources).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn hosts_that_changed_are_visited_and_told_of_metric_by_metric() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let latest = Reader::open(&settings.state_dir).unwrap().sweeps(1).unwrap().remove(0);
    let end = SweepEnd {
        ended: latest.started,
        elapsed: Duration::ZERO,
        outcomes: Default::default(),
        interrupted: false,
    };
    let swept = Swept {
        sweep: latest.sweep.clone(),
        started: latest.started,
        planned: 1,
        reached: 1,
        finished: Finished { end, unindexed: None },
    };
    let now = CollectorTime::from_unix_s(latest.started.unix_s() + 60);
    let followed = after_sweep(&settings, &swept, now, &Unkept::default()).unwrap();
    let [errand] = followed.errands.as_slice() else { panic!("{followed:?}") };
    let cause = errand.cause.clone().unwrap();
    assert_eq!((cause.metric.as_str(), &cause.sweep), ("runq_latency_seconds", &latest.sweep));
    let visited: Vec<String> = errand.targets.iter().map(|it| it.host.name.to_string()).collect();
    assert_eq!(visited.len(), 3);
    assert!(visited.iter().all(|host| names(&SLOW).contains(host)), "{visited:?}");
    assert_eq!(visited[0], cause.host.to_string());
    assert!(followed.remarks[0].contains("1 over its budget of this hour"), "{:?}", followed.remarks);

    // One incident for each metric, with its hosts folded.
    let told = book(&settings.state_dir).unwrap();
    let of = |metric: &str| {
        told.queue.iter().filter(|it| it.notice.metric.as_deref() == Some(metric)).collect::<Vec<_>>()
    };
    let [queued] = of("runq_latency_seconds")[..] else { panic!("{told:?}") };
    let mut hosts: Vec<String> = queued.notice.hosts.iter().map(ToString::to_string).collect();
    hosts.sort();
    assert_eq!((hosts, queued.notice.state), (names(&SLOW), State::Firing));
    let summary = queued.notice.summary();
    assert!(summary.starts_with("something changed, runq_latency_seconds on web["), "{summary}");
    assert!(
        summary.contains(&format!("({} hosts): ", SLOW.len())) && summary.contains(", usually "),
        "{summary}"
    );
    assert_eq!((of("disk_await_seconds").len(), of("steal_ratio").len()), (1, 0));
    // The same sweep again is no news, and the cooldown holds.
    let again = after_sweep(&settings, &swept, now, &Unkept::default()).unwrap();
    assert!(
        again.errands.is_empty() && again.remarks[0].contains("3 visited within its cooldown"),
        "{again:?}"
    );
    assert_eq!(book(&settings.state_dir).unwrap().queue.len(), told.queue.len());
}
