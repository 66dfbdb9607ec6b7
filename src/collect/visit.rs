//! One host's part of a sweep: connect once, run its probes side by side, record how each ended. A
//! host that fails is data; the only error that leaves a visit is one of the store.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::dial::patiently;
use super::errand::{Errand, Target, becomes_root, request, root_refused};
use super::event::{Event, Kept};
use super::gate::{Gate, START_PATIENCE, Turn};
use super::lanes::{Lanes, Place};
use super::stop::Stop;
use super::{SweepHandle, clock};
use crate::config::Limits;
use crate::model::{CollectorTime, Format, Host, Outcome, Probe, Reach, Reading, duration_text};
use crate::store::{Claim, Claimed, StoreError};
use crate::transport::ssh::ConnectError;
use crate::transport::{Exec, Transport, local, ssh};
use crate::wire::{self, Decoder, ExecEnd, Nonce, RunTag};

/// What all visits of a sweep share.
pub(super) struct Shared {
    pub limits: Limits,
    pub wire: wire::Limits,
    pub memory: Arc<wire::Budget>,
    pub ssh: Arc<ssh::Settings>,
    pub errand: Errand,
    pub handle: SweepHandle,
    pub events: mpsc::Sender<Event>,
    pub stop: Stop,
    /// The sweep's deadline, once it is over.
    pub overdue: OnceLock<Duration>,
    /// Connections being opened: a burst of them is what accept queues and MaxStartups drop.
    pub opening: Arc<Gate>,
    /// Hosts that let us in.
    pub reached: AtomicUsize,
    /// Whether somebody's signal kept anything from being done.
    pub cut: AtomicBool,
}

/// How one probe ended, before it is a reading.
struct Ended {
    outcome: Outcome,
    detail: Option<String>,
}

impl Ended {
    fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { outcome, detail: Some(detail.into()) }
    }
}

/// What a reading has beside its facts.
#[derive(Default)]
struct Output {
    raw: Bytes,
    /// It is all that the reading has to show.
    is_shown: bool,
    /// The memory that it is in.
    room: Option<wire::Share>,
}

/// On top of all that a host may take to run a probe and end it.
const LATE: Duration = Duration::from_secs(5);

pub(super) async fn visit(shared: Arc<Shared>, index: usize) -> Result<(), StoreError> {
    let target = &shared.errand.targets[index];
    let began = Instant::now();
    shared.tell(Event::Visiting(target.host.name.clone())).await;
    let done = match target.host.reach {
        // A host on which nothing may run is left in peace.
        _ if shared.record_held(target).await? == target.probes.len() => Ok(()),
        Reach::Local => {
            let deadline = Instant::now() + shared.limits.visit_timeout + queueing(&shared.limits, target);
            run_all(&shared, index, (local::Machine, None), deadline).await
        }
        Reach::Ssh => match dial(&shared, target).await {
            Ok(Let { session, deadline, turn }) => {
                run_all(&shared, index, (session, Some(turn)), deadline).await
            }
            Err(ended) => shared.record_all(target, &ended, began).await,
        },
    };
    shared.tell(Event::Left { host: target.host.name.clone(), after: began.elapsed() }).await;
    done
}

/// A session, until when it may last, and the place among the hosts that start something.
struct Let {
    session: ssh::Session,
    deadline: Instant,
    turn: Turn,
}

/// Connects, as often as it makes sense. The visit's time begins when it is this host's turn to be
/// connected to: hosts that hang before it in the line are not its fault.
async fn dial(shared: &Shared, target: &Target) -> Result<Let, Ended> {
    approach(shared, target).await?;
    let turn = tokio::select! {
        biased;
        () = shared.stop.finishing() => return Err(shared.interrupted("it began")),
        turn = shared.opening.enter() => turn,
    };
    let deadline = Instant::now() + shared.limits.visit_timeout + queueing(&shared.limits, target);
    let attempts = turn.during(async {
        match timeout_at(deadline, connect(shared, target)).await {
            Ok(answer) => answer.map_err(|error| Ended::new(error.outcome, error.detail)),
            Err(_) => Err(shared.no_session()),
        }
    });
    let session = tokio::select! {
        biased;
        () = shared.stop.aborting() => return Err(shared.interrupted("it was connected to")),
        answer = attempts => answer?,
    };
    Ok(Let { session, deadline, turn })
}

/// Waits for the host's jump hosts before it is the host's turn: one that hangs must not keep the places of
/// hosts that are reached another way.
async fn approach(shared: &Shared, target: &Target) -> Result<(), Ended> {
    let approach = timeout(shared.limits.visit_timeout, ssh::approach(&target.host, &shared.ssh));
    let answer = tokio::select! {
        biased;
        () = shared.stop.finishing() => return Err(shared.interrupted("it began")),
        answer = approach => answer,
    };
    match answer {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Ended::new(error.outcome, error.detail)),
        Err(_) => Err(shared.no_session()),
    }
}

/// What a visit's time is longer by because tracers wait for each other: all that they may take but for
/// the longest, which would have had to be waited for anyway.
fn queueing(limits: &Limits, target: &Target) -> Duration {
    let tracers = target.probes.iter().filter(|probe| probe.tracer);
    let (mut all, mut longest) = (Duration::ZERO, Duration::ZERO);
    for probe in tracers {
        let patience = patience(limits, probe);
        (all, longest) = (all + patience, longest.max(patience));
    }
    all - longest
}

/// How long a probe is waited for. The host counts its time from when its supervisor has started, and ends
/// it itself; it is given up only when it does not.
pub(super) fn patience(limits: &Limits, probe: &Probe) -> Duration {
    limits.first_byte_timeout + probe.timeout + limits.kill_grace + LATE
}

async fn connect(shared: &Shared, target: &Target) -> Result<ssh::Session, ConnectError> {
    let goes_on = || {
        let stops = shared.stop.is_finishing();
        if stops {
            shared.is_cut();
        }
        !stops
    };
    patiently(&target.host.name, goes_on, || ssh::connect(&target.host, &shared.ssh)).await
}

/// Runs every probe of a host, a few at a time, each in a task of its own: a panic in one is that
/// probe's outcome.
async fn run_all<T: Transport + 'static>(
    shared: &Arc<Shared>,
    index: usize,
    (transport, turn): (T, Option<Turn>),
    deadline: Instant,
) -> Result<(), StoreError> {
    shared.reached.fetch_add(1, Ordering::Relaxed);
    let transport = Arc::new(transport);
    let lanes = Lanes::new(shared.limits.channels_per_host);
    let (mut has_tracer, mut has_rooted) = (false, false);
    let turn = turn.map(Arc::new);
    let mut runs = JoinSet::new();
    let mut owners = std::collections::HashMap::new();
    let target = &shared.errand.targets[index];
    let may_run = |probe: &Probe| shared.errand.held(&target.host.name, &probe.name).is_none();
    for (at, probe) in target.probes.iter().enumerate().filter(|(_, probe)| may_run(probe)) {
        let (shared, transport, lanes) = (Arc::clone(shared), Arc::clone(&transport), Arc::clone(&lanes));
        // The probes behind the first few start when others have ended: the turn is not for them.
        let rooted = becomes_root(&target.host, probe);
        let behind = (probe.tracer && has_tracer) || (rooted && has_rooted);
        let waits = at >= shared.limits.channels_per_host as usize || behind;
        let turn = turn.clone().filter(|_| !waits);
        (has_tracer, has_rooted) = (has_tracer | probe.tracer, has_rooted | rooted);
        let run = runs.spawn(async move {
            let target = &shared.errand.targets[index];
            match lanes.enter(&target.host, &target.probes[at]).await {
                Ok(place) => run_one(&shared, (index, at), (&*transport, &place, turn), deadline).await,
                Err((outcome, detail)) => {
                    let (ended, times) = (Ended::new(outcome, detail), (clock::now(), Duration::ZERO));
                    shared.record_plain(target, &target.probes[at], &ended, times).await
                }
            }
        });
        owners.insert(run.id(), Arc::clone(probe));
    }
    let patience = Instant::now() + START_PATIENCE;
    // Held by those that still wait for a first byte; this only takes it from them in the end.
    let mut held = turn.as_ref().map(Arc::downgrade);
    drop(turn);
    let mut result = Ok(());
    loop {
        let run = tokio::select! {
            run = runs.join_next_with_id() => run,
            () = sleep_until(patience), if held.is_some() => {
                if let Some(turn) = held.take().and_then(|held| held.upgrade()) {
                    turn.leave();
                }
                continue;
            }
        };
        let Some(run) = run else { break };
        let recorded = match run {
            Ok((_, recorded)) => recorded,
            Err(error) => match owners.get(&error.id()) {
                Some(probe) => shared.record_panic(&shared.errand.targets[index], probe).await,
                None => Ok(()),
            },
        };
        result = result.and(recorded);
    }
    if let Some(transport) = Arc::into_inner(transport) {
        tokio::select! {
            () = shared.stop.aborting() => {}
            () = transport.close() => {}
        }
    }
    result
}

/// Runs one probe and records its reading.
async fn run_one<T: Transport>(
    shared: &Shared,
    (index, at): (usize, usize),
    (transport, place, turn): (&T, &Place, Option<Arc<Turn>>),
    visit_deadline: Instant,
) -> Result<(), StoreError> {
    let target = &shared.errand.targets[index];
    let (host, probe) = (&target.host, &target.probes[at]);
    let (began, started) = (Instant::now(), clock::now());
    if shared.stop.is_finishing() {
        let ended = shared.interrupted("it began");
        return shared.record_plain(target, probe, &ended, (started, Duration::ZERO)).await;
    }
    let (_claim, tokens) = match permission(shared, host, probe) {
        Ok(both) => both,
        Err(ended) => return shared.record_plain(target, probe, &ended, (started, Duration::ZERO)).await,
    };
    let cursor = shared.errand.cursor(&host.name, &probe.name);
    let request = request((host, probe), tokens, shared.wire, cursor);
    let limits = &shared.limits;
    let own_deadline = began + patience(limits, probe);
    let exec = Exec {
        command: request.command(),
        in_english: request.become_root,
        stdin: request.stdin(),
        heartbeat: limits.heartbeat_interval,
        first_byte: limits.first_byte_timeout,
        idle: probe.timeout + limits.idle_timeout,
        deadline: visit_deadline.min(own_deadline),
    };
    let mut decoder = Decoder::new(&request);
    let room = shared.memory.share();
    decoder.draw_on(room.clone());
    decoder.hold_until_first_byte(turn);
    if let Some(tell) = place.begun() {
        decoder.when_begun(tell);
    }
    let end = tokio::select! {
        biased;
        () = shared.stop.aborting() => shared.aborted(),
        end = transport.exec(exec, &mut decoder) => match end {
            // Which of the two was the shorter, and not how late it is now: ending a command takes time.
            ExecEnd::TimedOut(_) if visit_deadline <= own_deadline.min(Instant::now()) => {
                ExecEnd::TimedOut("visit")
            }
            end => end,
        },
    };
    let mut decoded = decoder.finish(end);
    place.ended(&decoded);
    if decoded.outcome == Outcome::Incomplete && shared.stop.is_aborting() && shared.overdue.get().is_none() {
        decoded.detail = Some("interrupted before it had ended".to_owned());
    }
    let reading = Reading {
        host: host.name.clone(),
        probe: probe.name.clone(),
        probe_hash: probe.hash,
        outcome: decoded.outcome,
        detail: decoded.detail,
        exit: decoded.exit,
        started,
        elapsed: began.elapsed(),
        clock: decoded.clock,
        cpu: decoded.cpu,
        stderr: decoded.stderr,
        cursor: cursor.map(str::to_owned),
        bytes_raw: decoded.raw.len() as u64,
        wire: decoded.wire,
    };
    let is_shown = probe.format == Format::Text;
    shared.record(reading, Output { raw: decoded.raw.into(), is_shown, room: Some(room) }).await
}

/// What has to be had before a probe may run: that nobody else runs it there, and how its run is told
/// from every other. The claim is held until the reading is recorded.
fn permission(shared: &Shared, host: &Host, probe: &Probe) -> Result<(Claim, (RunTag, Nonce)), Ended> {
    let skipped = |why: String| Ended::new(Outcome::Skipped, why);
    if let Some(refusal) = root_refused(host, probe) {
        return Err(Ended::new(Outcome::Denied, wire::refused(refusal)));
    }
    let claim = match shared.handle.claim(&host.name, &probe.name) {
        Ok(Claimed::Ours(claim)) => claim,
        Ok(Claimed::Theirs(Some(sweep))) => return Err(skipped(format!("already running in sweep {sweep}"))),
        Ok(Claimed::Theirs(None)) => return Err(skipped("already running in another sweep".to_owned())),
        // Twice at once would be worse than not at all.
        Err(error) => return Err(skipped(format!("not sure that nobody else runs it: {error}"))),
    };
    let tokens = tokens().map_err(|error| skipped(format!("no randomness for the run's tag: {error}")))?;
    Ok((claim, tokens))
}

pub(super) fn tokens() -> Result<(RunTag, Nonce), getrandom::Error> {
    let (mut tag, mut nonce) = ([0; 16], [0; 16]);
    getrandom::fill(&mut tag)?;
    getrandom::fill(&mut nonce)?;
    Ok((RunTag::new(tag), Nonce::new(nonce)))
}

impl Shared {
    /// Something is not done because the sweep ends: a signal says so, or else its own deadline.
    fn is_cut(&self) {
        if self.overdue.get().is_none() {
            self.cut.store(true, Ordering::Relaxed);
        }
    }

    /// Not run, because the sweep ends before `what`.
    fn interrupted(&self, what: &str) -> Ended {
        self.is_cut();
        Ended::new(
            Outcome::Skipped,
            match self.overdue.get() {
                Some(deadline) => {
                    format!("the sweep's deadline of {} was over before {what}", duration_text(*deadline))
                }
                None => format!("interrupted before {what}"),
            },
        )
    }

    /// How a run ends that is not waited for any longer.
    fn aborted(&self) -> ExecEnd {
        self.is_cut();
        match self.overdue.get() {
            Some(_) => ExecEnd::TimedOut("sweep"),
            None => ExecEnd::Lost("interrupted".to_owned()),
        }
    }

    fn no_session(&self) -> Ended {
        let limit = duration_text(self.limits.visit_timeout);
        Ended::new(Outcome::TimedOut, format!("no session within the visit's {limit}"))
    }

    async fn tell(&self, event: Event) {
        // Nobody watches any more; the sweep goes on.
        let _ = self.events.send(event).await;
    }

    async fn record(&self, reading: Reading, output: Output) -> Result<(), StoreError> {
        let Output { raw, is_shown, room } = output;
        let text = is_shown.then(|| raw.clone());
        // The bytes are shared, not copied; what is told must not keep them alive.
        let told = Reading { wire: Bytes::new(), ..reading.clone() };
        let bytes_wire = reading.wire.len() as u64;
        let recorded = match self.handle.record(reading, raw).await {
            // A visit that failed as a whole records for all its probes, those that were done included.
            Err(StoreError::Twice { .. }) => return Ok(()),
            Err(error) => {
                // A store that fails takes nothing more: no host need work for it any longer.
                self.stop.abort();
                return Err(error);
            }
            Ok(recorded) => recorded,
        };
        let (parsed, samples) = (recorded.parsed, recorded.samples);
        // Given back with the bytes that it stands for.
        let room = room.filter(|_| is_shown);
        let kept = Kept { reading: told, bytes_wire, parsed, samples, text, room };
        self.tell(Event::Recorded(Box::new(kept))).await;
        Ok(())
    }

    /// Records a reading without bytes.
    async fn record_plain(
        &self,
        target: &Target,
        probe: &Probe,
        ended: &Ended,
        (started, elapsed): (CollectorTime, Duration),
    ) -> Result<(), StoreError> {
        let reading = Reading {
            host: target.host.name.clone(),
            probe: probe.name.clone(),
            probe_hash: probe.hash,
            outcome: ended.outcome,
            detail: ended.detail.clone(),
            exit: None,
            started,
            elapsed,
            clock: None,
            cpu: None,
            stderr: String::new(),
            cursor: self.errand.cursor(&target.host.name, &probe.name).map(str::to_owned),
            wire: Bytes::new(),
            bytes_raw: 0,
        };
        self.record(reading, Output::default()).await
    }

    /// Records the probes that are in quarantine on this host; returns how many.
    async fn record_held(&self, target: &Target) -> Result<usize, StoreError> {
        let mut held = 0;
        for probe in &target.probes {
            let Some(why) = self.errand.held(&target.host.name, &probe.name) else { continue };
            let ended = Ended::new(Outcome::Skipped, why);
            self.record_plain(target, probe, &ended, (clock::now(), Duration::ZERO)).await?;
            held += 1;
        }
        Ok(held)
    }

    async fn record_all(&self, target: &Target, ended: &Ended, began: Instant) -> Result<(), StoreError> {
        let times = (clock::before(began.elapsed()), began.elapsed());
        for probe in &target.probes {
            self.record_plain(target, probe, ended, times).await?;
        }
        Ok(())
    }

    async fn record_panic(&self, target: &Target, probe: &Probe) -> Result<(), StoreError> {
        let ended = Ended::new(Outcome::Incomplete, "the collector's own code failed on it; this is a bug");
        self.record_plain(target, probe, &ended, (clock::now(), Duration::ZERO)).await
    }

    /// Gives every probe of a host that has no reading yet one that says it was never begun.
    pub(super) async fn skip(&self, index: usize) -> Result<(), StoreError> {
        self.record_all(&self.errand.targets[index], &self.interrupted("it began"), Instant::now()).await
    }

    /// The same for a visit whose own task failed.
    pub(super) async fn give_up(&self, index: usize) -> Result<(), StoreError> {
        for probe in &self.errand.targets[index].probes {
            self.record_panic(&self.errand.targets[index], probe).await?;
        }
        Ok(())
    }
}
