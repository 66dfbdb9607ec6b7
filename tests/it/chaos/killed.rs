//! Killed with SIGKILL: at each named moment of its own, and at any other.

use std::process::Command;
use std::time::Duration;

use dropsonde::model::SweepId;

use super::field::{Field, SWEEP, remove};
use super::rounds::Rounds;
use super::verify::{every_tick_is_written_down, is_whole_copy, verify};
use crate::keeping::build::{DAY, hours};
use crate::support::patience::wait_until;
use crate::unattended::process::Daemon;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Sweep,
    Daemon,
    Prune,
    Backup,
    Reindex,
}

use Work::{Backup, Prune, Reindex, Sweep};

/// Where `store::crash` ends a process, and what comes there.
const POINTS: [(&str, Work); 25] = [
    ("claim.taken", Sweep),
    ("tar.made", Sweep),
    ("tar.appended", Sweep),
    ("tar.synced", Sweep),
    ("record.acknowledged", Sweep),
    ("record.indexed", Sweep),
    ("sweep.ended", Sweep),
    ("ticks.written", Work::Daemon),
    ("ticks.synced", Work::Daemon),
    ("tar.made", Work::Daemon),
    ("tar.synced", Work::Daemon),
    ("file.replaced", Prune),
    ("prune.decided", Prune),
    ("prune.baseline", Prune),
    ("prune.dropped", Prune),
    ("prune.one_removed", Prune),
    ("prune.one_renamed", Prune),
    ("prune.renamed", Prune),
    ("prune.done", Prune),
    ("backup.index", Backup),
    ("backup.tar", Backup),
    ("backup.whole", Backup),
    ("index.migrated", Reindex),
    ("index.removed", Reindex),
    ("index.swapped", Reindex),
];

const CRON: &str = "* * * * * *";

/// A field whose state directory can have a past: sweeps of some days ago, four a day.
struct Stage {
    field: Field,
    past: tempfile::TempDir,
    /// Those of them that no prune may drop.
    young: Vec<SweepId>,
}

impl Stage {
    fn new() -> Self {
        let mut field = Field::new();
        let probes = "probes = [\"hello\", \"noise\", \"slow\"]";
        field.program.configure(&format!(
            "[[schedule]]\nname = \"often\"\ncron = {CRON:?}\n{probes}\n\
             [retention]\nreserve = \"0B\"\nlow_space = \"0B\"\nraw = \"1d\"\ndownsample_after = \"2d\"\n\
             samples = \"4d\"\n"
        ));
        let past = tempfile::tempdir().expect("a folder");
        let now_s = dropsonde::collect::clock::now().unix_s();
        // Hours of five days ago, of three and of one and a half: to be dropped, merged and thinned.
        let hours = |ago_s| hours(&past.path().join("state"), now_s - ago_s, 4, 3);
        let [_, aged, young] = [5 * DAY, 3 * DAY, 3 * DAY / 2].map(hours);
        let mut stage = Self { field, past, young: [aged, young].concat() };
        stage.begin();
        stage
    }

    fn begin(&mut self) {
        self.field.fresh(Some(&self.past.path().join("state")));
        // The daemon and every sweep would prune it at once.
        let lock = std::fs::File::create(self.field.state().join("prune.lock")).expect("a lock file");
        lock.set_modified(std::time::SystemTime::now()).expect("a time");
    }

    fn command(&self, work: Work) -> Command {
        let backup = self.backup();
        match work {
            Sweep => self.field.program.command(&SWEEP),
            Work::Daemon => self.field.program.command(&["daemon"]),
            Prune => self.field.program.command(&["prune"]),
            Backup => self.field.program.command(&["backup", backup.to_str().expect("a path")]),
            Reindex => self.field.program.command(&["reindex"]),
        }
    }

    fn backup(&self) -> std::path::PathBuf {
        self.past.path().join("backup")
    }

    fn verify(&self) {
        verify(&self.field);
        let swept = self.field.program.sweeps();
        assert!(
            self.young.iter().all(|sweep| swept.contains(sweep)),
            "{:?} are not all in {swept:?}",
            self.young
        );
        if self.backup().exists() {
            // It has its name, so it is whole.
            is_whole_copy(&self.backup());
            remove(&self.backup());
        }
    }

    /// Runs it with a wish to be killed at the n-th time that it comes to a point.
    fn killed_at(&mut self, work: Work, point: &str, count: u64) -> bool {
        let mut command = self.command(work);
        command.env("DROPSONDE_CRASH_AT", format!("{point}:{count}"));
        if work == Work::Daemon {
            return self.daemon(command, None);
        }
        let run = self.field.run(command, None);
        assert!(run.killed || matches!(run.code, Some(0 | 3)), "{run:#?}");
        run.killed
    }

    /// A daemon until it is killed, or until it has swept twice and was not. Says whether it was killed.
    fn daemon(&mut self, command: Command, after: Option<Duration>) -> bool {
        let mut daemon = Daemon::spawn(command, &self.field.program);
        if let Some(after) = after {
            std::thread::sleep(after);
        } else {
            let swept = |daemon: &Daemon| daemon.log().matches(" of often: ").count() >= 2;
            wait_until("a daemon is killed, or sweeps", || daemon.has_ended() || swept(&daemon));
        }
        let killed = after.is_some() || daemon.has_ended();
        let log = if killed { daemon.kill() } else { daemon.stop() };
        self.field.note_log(&log);
        killed
    }
}

#[test]
fn at_each_named_moment() {
    let mut rounds = Rounds::new("killed at named moments", POINTS.len() as u64);
    let mut stage = Stage::new();
    while rounds.next() {
        // All of them once, then any of them later on its way.
        let first = usize::try_from(rounds.round() - 1).expect("a small number");
        let once = POINTS.get(first).copied();
        let (point, work) = once.unwrap_or_else(|| rounds.pick(&POINTS));
        let count = if once.is_some() { 1 } else { 1 + rounds.below(6) };
        stage.begin();
        let killed = stage.killed_at(work, point, count);
        assert!(killed || once.is_none(), "{work:?} never came to {point}");
        stage.verify();
    }
}

#[test]
fn at_any_moment() {
    let mut rounds = Rounds::new("killed at any moment", 20);
    let mut stage = Stage::new();
    let mut killed = 0;
    while rounds.next() {
        let all = [Sweep, Sweep, Sweep, Work::Daemon, Prune, Backup, Reindex];
        let work = rounds.pick(&all);
        // A handful of rounds go on in the same directory.
        if rounds.round() % 6 == 1 || work == Prune {
            stage.begin();
        }
        let longest_ms = if matches!(work, Sweep | Work::Daemon) { 1_500 } else { 150 };
        let after = Duration::from_millis(rounds.below(longest_ms));
        let command = stage.command(work);
        if work == Work::Daemon {
            killed += u64::from(stage.daemon(command, Some(after)));
        } else {
            let run = stage.field.run(command, Some(after));
            assert!(run.killed || matches!(run.code, Some(0 | 3)), "{work:?}: {run:#?}");
            killed += u64::from(run.killed);
        }
        stage.verify();
    }
    assert!(killed > 0, "nothing was killed");
}

/// Killed and started again and again, it decides every tick once.
#[test]
fn a_daemon_that_is_killed_decides_every_tick() {
    let mut rounds = Rounds::new("daemon killed", 4);
    let mut stage = Stage::new();
    stage.field.fresh(None);
    stage.young.clear();
    while rounds.next() {
        if rounds.one_in(2) {
            let point = rounds.pick(&["ticks.written", "ticks.synced", "tar.made", "tar.appended"]);
            stage.killed_at(Work::Daemon, point, 1 + rounds.below(3));
        } else {
            let command = stage.command(Work::Daemon);
            stage.daemon(command, Some(Duration::from_millis(rounds.below(3_000))));
        }
        stage.verify();
    }
    let daemon = Daemon::start(&stage.field.program, &[]);
    daemon.wait_for_log(" of often: ");
    daemon.stop();
    every_tick_is_written_down(&stage.field, CRON);
    stage.verify();
}

/// The tables of earlier versions, as the releases' own files say them.
const VERSIONS: [&str; 3] = [
    include_str!("../../../src/store/index/schema.sql"),
    include_str!("../../../src/store/index/schema_2.sql"),
    include_str!("../../../src/store/index/schema_3.sql"),
];

/// An archive beside an index of before: the upgrade may be killed, and all of it is there.
#[test]
fn while_an_index_of_before_is_brought_up() {
    let mut rounds = Rounds::new("killed in an upgrade", 3);
    let mut stage = Stage::new();
    while rounds.next() {
        stage.begin();
        let state = stage.field.state();
        for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
            let _ = std::fs::remove_file(state.join(name));
        }
        let version = 1 + usize::try_from(rounds.below(3)).expect("a small number");
        let schema = VERSIONS[..version].concat();
        let old = format!("PRAGMA journal_mode = WAL; {schema} PRAGMA user_version = {version};");
        let made =
            Command::new("sqlite3").arg(state.join("index.sqlite")).arg(old).output().expect("sqlite3");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut command = stage.command(Sweep);
        let after = match rounds.one_in(2) {
            true => Some(Duration::from_millis(rounds.below(200))),
            false => {
                command.env("DROPSONDE_CRASH_AT", format!("index.migrated:{}", 1 + rounds.below(3)));
                None
            }
        };
        let run = stage.field.run(command, after);
        assert!(run.killed || run.code == Some(0), "{run:#?}");
        stage.verify();
    }
}

#[test]
fn every_moment_in_the_program_is_in_the_list() {
    let mut named: Vec<String> = Vec::new();
    for file in crate::support::program::files_below(std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))) {
        let text = std::fs::read_to_string(file).expect("a source");
        let calls = text.split("crash::point(\"").skip(1);
        named.extend(calls.map(|rest| rest.split('"').next().expect("a name").to_owned()));
    }
    named.sort();
    named.dedup();
    let mut known: Vec<&str> = POINTS.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    known.dedup();
    assert_eq!(named, known);
}
