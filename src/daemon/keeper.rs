//! The loop: one place that waits, for orders, for sweeps that end and for the next tick. Nothing in it
//! blocks, so that a watchdog which is fed here is fed only while it turns.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet, spawn_blocking};

use super::DaemonError;
use super::book::Book;
use super::follow::{Event, Follower, Mail};
use super::lane::{Decision, Lane};
use super::outfit::Outfit;
use super::renewal::Renewal;
use super::round::{Ended, Round};
use super::run::{Decided, Order, Outside, keep_inventories};
use super::scrape::Scrape;
use crate::collect::clock::{self, Clocks};
use crate::collect::{Recorder, Start, Stop, keep};
use crate::config::{Faults, Schedule, Settings};
use crate::model::{CollectorTime, Fate, OwnAlert, SweepId, Tick, duration_text};
use crate::render::counted;
use crate::schedule::Moment;
use crate::watch::{Trouble, Unkept};

/// The clocks are looked at at least this often: one that is set wakes nobody.
const BEAT: Duration = Duration::from_secs(1);

type Loading = JoinHandle<Result<Settings, Faults>>;

pub(super) struct Keeper {
    outside: Outside,
    outfit: Arc<Outfit>,
    recorder: Arc<Recorder>,
    book: Book,
    lanes: BTreeMap<String, Lane>,
    rounds: JoinSet<Ended>,
    /// What follows sweeps, beside the schedules.
    followed: JoinSet<()>,
    mail: Arc<Mail>,
    /// What was told while the disk took nothing.
    unkept: Arc<Unkept>,
    couriers: JoinSet<()>,
    scrape: Scrape,
    /// Whose round a task is, for one that panics.
    owners: HashMap<Id, (String, SweepId)>,
    loading: Option<Loading>,
    /// Looks after the state directory; a prune may take minutes.
    upkeep: Option<JoinHandle<()>>,
    /// Asked for while one is under way.
    again: bool,
    renewal: Renewal,
    stop: Stop,
    /// Until when what is in flight may finish.
    grace: Option<Instant>,
    /// How the latest sweep ended.
    latest: Option<String>,
    /// When the watchdog was fed.
    fed: Instant,
    began: Instant,
}

impl Keeper {
    pub fn new(
        outside: Outside,
        settings: Settings,
        (recorder, book): (Recorder, Book),
        decided: &Decided,
    ) -> Self {
        let now = Instant::now();
        let mut couriers = JoinSet::new();
        let mail = Mail::start(&settings, outside.credentials.clone(), &mut couriers);
        let outfit = Arc::new(Outfit::new(settings, outside.agent.clone()));
        let renewal = Renewal::new(&outfit.settings);
        let mut keeper = Self {
            scrape: Scrape::start(&outfit),
            followed: JoinSet::new(),
            mail,
            unkept: Arc::default(),
            couriers,
            outfit,
            outside,
            recorder: Arc::new(recorder),
            book,
            lanes: BTreeMap::new(),
            rounds: JoinSet::new(),
            owners: HashMap::new(),
            loading: None,
            upkeep: None,
            again: false,
            renewal,
            stop: Stop::default(),
            grace: None,
            latest: None,
            fed: now,
            began: now,
        };
        keeper.take_lanes(decided);
        keeper
    }

    /// Turns until it is stopped and the last sweep has ended.
    pub async fn turn(&mut self, mut orders: mpsc::Receiver<Order>) -> Result<(), DaemonError> {
        let settings = &self.outfit.settings;
        tracing::info!("running {}", extent(settings));
        self.outside.notify.ready(&self.status());
        self.look_after();
        loop {
            self.feed();
            match self.grace {
                None => {
                    self.look();
                    self.renewal.look(&self.outfit);
                }
                Some(_) if self.rounds.is_empty() && self.followed.is_empty() => return Ok(()),
                Some(grace) if Instant::now() >= grace => self.stop.abort(),
                Some(_) => {}
            }
            let rest = self.rest();
            tokio::select! {
                // Without anybody who could order anything there is nothing left to wait for.
                order = orders.recv() => self.obey(order.unwrap_or(Order::Stop)),
                ended = self.rounds.join_next_with_id(), if !self.rounds.is_empty() => {
                    if let Some(ended) = ended {
                        self.settle(ended)?;
                    }
                }
                Some(done) = self.followed.join_next(), if !self.followed.is_empty() => {
                    if let Err(error) = done {
                        tracing::error!("what follows a sweep broke off; this is a bug: {error}");
                    }
                }
                loaded = loaded(&mut self.loading), if self.loading.is_some() => self.adopt(loaded),
                renewed = self.renewal.done(), if self.renewal.is_running() => self.renewed(renewed),
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Stops what still runs and closes the archive and the book.
    pub async fn close(self) -> Result<(), DaemonError> {
        let Self {
            mut rounds,
            mut followed,
            mut couriers,
            scrape,
            recorder,
            book,
            stop,
            outside,
            upkeep,
            renewal,
            ..
        } = self;
        stop.abort();
        while rounds.join_next().await.is_some() {}
        while followed.join_next().await.is_some() {}
        // Whatever a receiver has not taken waits in the queue for the next start.
        couriers.shutdown().await;
        scrape.close().await;
        if let Some(upkeep) = upkeep {
            let _ = upkeep.await;
        }
        renewal.close().await;
        let closed = match Arc::into_inner(recorder) {
            Some(recorder) => recorder.close().await.map_err(|_| DaemonError::RecorderStopped),
            None => Err(DaemonError::RecorderStopped),
        };
        let _ = spawn_blocking(move || book.close()).await;
        outside.notify.status("stopped");
        tracing::info!("stopped");
        closed
    }

    fn now(&self) -> Moment {
        Moment { wall: clock::now(), steady: self.began.elapsed() }
    }

    /// How long until something may be due.
    fn rest(&self) -> Duration {
        let next = self.lanes.values().filter_map(|lane| lane.course.next()).min();
        let now = clock::now();
        let until = next.map_or(BEAT, |next| {
            Duration::from_nanos(u64::try_from(next.unix_ns().saturating_sub(now.unix_ns())).unwrap_or(0))
        });
        // Half a watchdog's time is what its manual asks for; a third survives a slow turn.
        let beat = self.outside.watchdog.map_or(BEAT, |watchdog| BEAT.min(watchdog / 3));
        if self.grace.is_some() { beat } else { until.min(beat).min(self.renewal.rest()) }
    }

    fn feed(&mut self) {
        let Some(watchdog) = self.outside.watchdog else { return };
        if self.fed.elapsed() >= BEAT.min(watchdog / 3) {
            self.outside.notify.alive();
            self.fed = Instant::now();
        }
    }

    /// Decides what is due.
    fn look(&mut self) {
        let now = self.now();
        let outfit = Arc::clone(&self.outfit);
        let mut started = false;
        let mut troubles = Vec::new();
        for schedule in &outfit.settings.schedules {
            let Some(lane) = self.lanes.get_mut(&schedule.name) else { continue };
            let Some(Decision { ticks, start }) = lane.look(&schedule.name, now, Start::now) else {
                continue;
            };
            ticks.iter().for_each(say);
            troubles.extend(ticks.iter().filter_map(trouble));
            let late = ticks.iter().any(|tick| tick.lateness_s().is_some());
            let tick = ticks.last().cloned();
            let written = self.book.write(ticks);
            let Some((start, tick)) = start.zip(tick) else { continue };
            let owner = (schedule.name.clone(), start.sweep.clone());
            let round = Round {
                outfit: Arc::clone(&outfit),
                schedule: Schedule::clone(schedule),
                start,
                tick,
                late,
                recorder: Arc::clone(&self.recorder),
                stop: self.stop.clone(),
                written,
            };
            let task = self.rounds.spawn(round.run());
            self.owners.insert(task.id(), owner);
            started = true;
        }
        if !troubles.is_empty() {
            self.follow(Event::Troubles(troubles));
        }
        if started {
            self.outside.notify.status(&self.status());
        }
    }

    fn settle(&mut self, ended: Result<(Id, Ended), JoinError>) -> Result<(), DaemonError> {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, Some(ended)),
            Err(error) => {
                tracing::error!("a sweep's task failed; this is a bug: {error}");
                (error.id(), None)
            }
        };
        let name = self.owners.remove(&id).map(|owner| owner.0).unwrap_or_default();
        if let Some(lane) = self.lanes.get_mut(&name) {
            lane.running = None;
        }
        let Some(Ended { summary, swept, fatal, unbegun }) = ended else { return Ok(()) };
        self.latest = Some(summary);
        if let Some(tick) = unbegun {
            // Nobody waits for it: the next round's ticks come after it.
            drop(self.book.write(vec![tick]));
        }
        match swept {
            Ok(swept) if swept.finished.end.interrupted => {}
            Ok(swept) => self.follow(Event::Swept(swept)),
            Err(detail) => {
                let alert = OwnAlert::SweepFailed;
                self.follow(Event::Troubles(vec![Trouble { alert, schedule: name, detail }]));
            }
        }
        if fatal {
            return Err(DaemonError::RecorderStopped);
        }
        if self.grace.is_none() {
            self.outside.notify.status(&self.status());
            self.look_after();
        }
        Ok(())
    }

    /// Looks after the state directory, unless it is being done.
    fn look_after(&mut self) {
        if self.upkeep.as_ref().is_some_and(|upkeep| !upkeep.is_finished()) {
            return;
        }
        let (outfit, stop) = (Arc::clone(&self.outfit), self.stop.clone());
        self.upkeep = Some(spawn_blocking(move || {
            let settings = &outfit.settings;
            match keep::upkeep(&settings.state_dir, &settings.retention, &Clocks::now(), &stop) {
                Ok(upkeep) => {
                    upkeep.done().iter().for_each(|done| tracing::info!("{done}"));
                    upkeep.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
                }
                Err(error) => tracing::error!("the state directory is not looked after: {error}"),
            }
        }));
    }

    fn follow(&mut self, event: Event) {
        let follower = Follower {
            outfit: Arc::clone(&self.outfit),
            recorder: Arc::clone(&self.recorder),
            stop: self.stop.clone(),
            mail: Arc::clone(&self.mail),
            unkept: Arc::clone(&self.unkept),
        };
        self.followed.spawn(follower.follow(event));
    }

    fn obey(&mut self, order: Order) {
        match (order, self.grace) {
            (Order::Reload, None) if self.loading.is_none() => {
                self.outside.notify.reloading();
                let load = Arc::clone(&self.outside.load);
                self.loading = Some(spawn_blocking(move || load().inspect(keep_inventories)));
            }
            // The one under way may have read the file before it was changed: once more after it.
            (Order::Reload, None) => self.again = true,
            (Order::Reload, Some(_)) => {}
            (Order::Stop, None) => {
                let grace = self.outfit.settings.limits.signal_grace;
                let (running, within) = (counted(self.rounds.len(), "sweep"), duration_text(grace));
                tracing::info!("stopping; {running} in flight, {within} to finish, a second signal aborts");
                self.outside.notify.stopping("stopping; what is in flight may finish");
                self.outside.notify.extend(grace + Duration::from_secs(30));
                self.grace = Some(Instant::now() + grace);
                self.stop.finish();
            }
            (Order::Stop, Some(_)) => {
                tracing::warn!("stopping at once; what arrived is recorded");
                self.stop.abort();
            }
        }
    }

    /// Takes a new configuration, or keeps the old one and says why.
    fn adopt(&mut self, loaded: Result<Result<Settings, Faults>, JoinError>) {
        match loaded {
            _ if self.grace.is_some() => return,
            Ok(Ok(mut settings)) => {
                let state = &self.outfit.settings.state_dir;
                if settings.state_dir != *state {
                    let new = settings.state_dir.display();
                    tracing::warn!(
                        "the state directory stays {} until a restart, not {new}",
                        state.display()
                    );
                    settings.state_dir.clone_from(state);
                }
                let extent = extent(&settings);
                self.mail.stop();
                while self.couriers.try_join_next().is_some() {}
                self.mail = Mail::start(&settings, self.outside.credentials.clone(), &mut self.couriers);
                self.renewal.restart(&settings);
                self.outfit = Arc::new(Outfit::new(settings, self.outside.agent.clone()));
                self.scrape.show(&self.outfit);
                self.take_lanes(&Decided::new());
                // Incidents of what was taken out end with it.
                self.follow(Event::Troubles(Vec::new()));
                tracing::info!("configuration reloaded: {extent}");
                self.outside.notify.ready(&self.status());
            }
            Ok(Err(faults)) => {
                faults.iter().for_each(|fault| tracing::error!("{fault}"));
                let count = counted(faults.iter().count(), "fault");
                let text = format!("the new configuration has {count} and is not used; the old one stays");
                tracing::error!("{text}");
                self.outside.notify.ready(&format!("{text}; {}", self.status()));
            }
            Err(error) => {
                tracing::error!(
                    "the configuration could not be loaded; this is a bug, and the old one stays: {error}"
                );
                self.outside.notify.ready(&self.status());
            }
        }
        if std::mem::take(&mut self.again) {
            self.obey(Order::Reload);
        }
    }

    /// Takes other programs' lists of hosts as they are now. Schedules, receivers and all else stay.
    fn renewed(&mut self, renewed: Option<Settings>) {
        let Some(settings) = renewed.filter(|_| self.grace.is_none()) else { return };
        self.outfit = Arc::new(Outfit::new(settings, self.outside.agent.clone()));
        self.scrape.show(&self.outfit);
    }

    /// A lane for each schedule. One whose times did not change goes on where it is.
    fn take_lanes(&mut self, decided: &Decided) {
        let now = self.now();
        let mut old = std::mem::take(&mut self.lanes);
        for schedule in &self.outfit.settings.schedules {
            let known = old.remove(&schedule.name);
            let lane = match known {
                Some(lane) if *lane.course.timetable() == schedule.timetable => lane,
                _ => {
                    let key = (schedule.name.clone(), schedule.timetable.text().to_owned());
                    let mut lane = Lane::new(schedule.timetable.clone(), decided.get(&key).copied(), now);
                    // Asked of those who run: the schedule may have been taken out meanwhile.
                    let mut owners = self.owners.values();
                    lane.running = owners.find(|it| it.0 == schedule.name).map(|it| it.1.clone());
                    lane
                }
            };
            self.lanes.insert(schedule.name.clone(), lane);
        }
        if self.lanes.is_empty() {
            tracing::warn!("the configuration has no schedule, so nothing will run; SIGHUP loads it again");
        }
    }

    /// For `systemctl status`.
    fn status(&self) -> String {
        let next = self
            .lanes
            .iter()
            .filter_map(|(name, lane)| Some((lane.course.next()?, name, lane)))
            .min_by_key(|it| it.0);
        let mut parts = vec![match next {
            Some((at, name, lane)) => format!("next: {name} at {}", lane.course.timetable().local(at)),
            None => "nothing to run".to_owned(),
        }];
        let running: Vec<&str> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.running.is_some())
            .map(|(name, _)| name.as_str())
            .collect();
        if !running.is_empty() {
            parts.push(format!("running: {}", running.join(", ")));
        }
        parts.extend(self.latest.as_ref().map(|latest| format!("last: {latest}")));
        parts.join("; ")
    }
}

async fn loaded(loading: &mut Option<Loading>) -> Result<Result<Settings, Faults>, JoinError> {
    match loading {
        Some(task) => {
            let loaded = task.await;
            *loading = None;
            loaded
        }
        None => std::future::pending().await,
    }
}

/// `2 schedules over 48 hosts`.
fn extent(settings: &Settings) -> String {
    let (schedules, hosts) = (settings.schedules.len(), settings.fleet.hosts.len());
    format!("{} over {}", counted(schedules, "schedule"), counted(hosts, "host"))
}

/// What an alert says of a tick that did not run.
fn trouble(tick: &Tick) -> Option<Trouble> {
    let (schedule, due) = (tick.schedule.clone(), tick.due.rfc3339());
    let detail = match &tick.fate {
        // What failed is told with its sweep.
        Fate::Ran { .. } | Fate::Failed { .. } => return None,
        Fate::Skipped { why } => format!("schedule {schedule}, due at {due}: {why}"),
        Fate::Missed { last, count, why } => {
            let last = last.rfc3339();
            format!("schedule {schedule}, {count} times, due from {due} to {last}: {why}")
        }
    };
    Some(Trouble { alert: OwnAlert::SweepMissed, schedule, detail })
}

/// A tick that did not run has no other line in the log.
fn say(tick: &Tick) {
    let (schedule, due) = (tick.schedule.as_str(), tick.due.rfc3339());
    match &tick.fate {
        Fate::Ran { .. } | Fate::Failed { .. } => {}
        Fate::Skipped { why } => {
            tracing::warn!(schedule, "skipped the sweep of {schedule} that was due at {due}: {why}");
        }
        Fate::Missed { last, count, why } => {
            let last = CollectorTime::rfc3339(*last);
            let count = counted(usize::try_from(*count).unwrap_or(usize::MAX), "sweep");
            tracing::warn!(schedule, "missed {count} of {schedule}, due from {due} to {last}: {why}");
        }
    }
}
