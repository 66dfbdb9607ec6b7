//! A sweep: visits fanned out under a cap, every planned reading recorded once, whatever happens. It
//! prints nothing; whoever wants to watch reads the events.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::errand::Errand;
use super::event::Event;
use super::gate::Gate;
use super::stop::Stop;
use super::visit::{Shared, visit};
use super::{Finished, Recorder, clock};
use crate::config::Limits;
use crate::model::{CollectorTime, SweepEnd, SweepId};
use crate::schedule;
use crate::store::StoreError;
use crate::transport::ssh;
use crate::wire;

/// Everything that a sweep needs beside its errand.
#[derive(Debug, Clone)]
pub struct Sweeper {
    pub limits: Limits,
    /// What the output of all readings in flight may take. Sweeps that run at the same time share one.
    pub memory: Arc<wire::Budget>,
    pub ssh: Arc<ssh::Settings>,
    pub stop: Stop,
    pub pace: Pace,
}

/// When the visits of a sweep begin, and when all of them must have ended. By default at once, and never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Visits begin spread over this time, each host's always at the same place in it.
    pub splay: Duration,
    pub deadline: Option<Duration>,
}

/// A sweep's name and beginning, for whoever has to write both down before it runs.
#[derive(Debug, Clone)]
pub struct Start {
    pub sweep: SweepId,
    pub at: CollectorTime,
    began: Instant,
}

impl Start {
    pub fn now() -> Self {
        let at = clock::now();
        Self { sweep: SweepId::at(at, salt()), at, began: Instant::now() }
    }
}

/// A sweep that is over.
#[derive(Debug, Clone)]
pub struct Swept {
    pub sweep: SweepId,
    pub started: CollectorTime,
    pub planned: usize,
    /// Hosts that let us in.
    pub reached: usize,
    pub finished: Finished,
}

type Visits = JoinSet<Result<(), StoreError>>;

impl Sweeper {
    /// Runs `errand`. An error is the store's: what was acknowledged before it is kept, and the sweep
    /// is closed as interrupted by whoever opens the state directory next.
    pub async fn sweep(
        &self,
        recorder: &Recorder,
        errand: Errand,
        events: mpsc::Sender<Event>,
    ) -> Result<Swept, StoreError> {
        self.sweep_as(Start::now(), recorder, errand, events).await
    }

    /// The same under a name that was given to it before.
    pub async fn sweep_as(
        &self,
        Start { sweep, at: started, began }: Start,
        recorder: &Recorder,
        errand: Errand,
        events: mpsc::Sender<Event>,
    ) -> Result<Swept, StoreError> {
        let (plan, probes) = errand.plan(sweep.clone(), started);
        let planned = plan.planned();
        let handle = recorder.begin(plan, probes).await?;
        let shared = Arc::new(Shared {
            wire: wire_limits(&self.limits),
            opening: Gate::new(self.limits.opening as usize),
            limits: self.limits.clone(),
            memory: Arc::clone(&self.memory),
            ssh: Arc::clone(&self.ssh),
            errand,
            handle,
            events,
            // Its own: a deadline or a broken archive ends this sweep and no other.
            stop: self.stop.child(),
            overdue: OnceLock::new(),
            reached: AtomicUsize::new(0),
            cut: AtomicBool::new(false),
        });
        self.fan_out_in_time(&shared, began).await?;
        self.ssh.close().await;
        // Every task has ended, so nobody else holds it.
        let Shared { handle, reached, cut, .. } = Arc::into_inner(shared).ok_or(StoreError::Stopped)?;
        let end = SweepEnd {
            ended: clock::now(),
            elapsed: began.elapsed(),
            outcomes: BTreeMap::new(),
            // One that finished within the grace period is as good as any.
            interrupted: cut.into_inner(),
        };
        let finished = handle.finish(end).await?;
        Ok(Swept { sweep, started, planned, reached: reached.into_inner(), finished })
    }

    /// Fans out until all is done, or drops what is not when the deadline is over.
    async fn fan_out_in_time(&self, shared: &Arc<Shared>, began: Instant) -> Result<(), StoreError> {
        let all = self.fan_out(shared, began);
        tokio::pin!(all);
        if let Some(deadline) = self.pace.deadline {
            tokio::select! {
                done = &mut all => return done,
                () = sleep_until(began + deadline) => {}
            }
            let _ = shared.overdue.set(deadline);
            shared.stop.abort();
        }
        all.await
    }

    async fn fan_out(&self, shared: &Arc<Shared>, began: Instant) -> Result<(), StoreError> {
        let places = Arc::new(Semaphore::new(self.limits.concurrency as usize));
        let begins = |index: usize| {
            let host = &shared.errand.targets[index].host;
            schedule::offset(&host.name, self.pace.splay)
        };
        let mut order: Vec<(Duration, usize)> =
            (0..shared.errand.targets.len()).map(|index| (begins(index), index)).collect();
        order.sort();
        let mut visits = Visits::new();
        let mut owners: HashMap<Id, usize> = HashMap::new();
        let mut result = Ok(());
        for (offset, index) in order {
            let place = tokio::select! {
                biased;
                () = shared.stop.finishing() => None,
                place = place(&places, began, offset) => place,
            };
            let shared_too = Arc::clone(shared);
            let task = visits.spawn(async move {
                match place {
                    Some(_place) => visit(shared_too, index).await,
                    // Nothing new is begun; what was planned still gets its outcome. All at once, so
                    // that ten thousand of them share a few syncs of the disk.
                    None => shared_too.skip(index).await,
                }
            });
            owners.insert(task.id(), index);
            while let Some(ended) = visits.try_join_next_with_id() {
                result = result.and(self.settle(shared, &mut owners, ended).await);
            }
        }
        while let Some(ended) = visits.join_next_with_id().await {
            result = result.and(self.settle(shared, &mut owners, ended).await);
        }
        result
    }

    /// One visit's end. A store that fails takes nothing more, so the rest of the sweep is dropped.
    async fn settle(
        &self,
        shared: &Shared,
        owners: &mut HashMap<Id, usize>,
        ended: Result<(Id, Result<(), StoreError>), JoinError>,
    ) -> Result<(), StoreError> {
        let result = match ended {
            Ok((id, result)) => {
                owners.remove(&id);
                result
            }
            Err(error) => match owners.remove(&error.id()) {
                Some(index) => shared.give_up(index).await,
                None => Ok(()),
            },
        };
        if result.is_err() {
            shared.stop.abort();
        }
        result
    }
}

/// A place among the visits in flight, not before the host's own moment.
async fn place(places: &Arc<Semaphore>, began: Instant, offset: Duration) -> Option<OwnedSemaphorePermit> {
    if !offset.is_zero() {
        sleep_until(began + offset).await;
    }
    Arc::clone(places).acquire_owned().await.ok()
}

/// What the remote contract is told of the limits.
pub fn wire_limits(limits: &Limits) -> wire::Limits {
    wire::Limits {
        heartbeat: limits.heartbeat_limit,
        grace: limits.kill_grace,
        max_wire: limits.max_wire,
        max_ratio: limits.max_ratio,
        max_stderr: limits.max_stderr,
    }
}

/// The memory for output that the limits allow.
pub fn memory(limits: &Limits) -> Arc<wire::Budget> {
    let runs = u64::from(limits.concurrency) * u64::from(limits.channels_per_host);
    wire::Budget::new(limits.max_memory, runs)
}

/// Keeps sweeps that start in the same second apart.
fn salt() -> u32 {
    // Without randomness the process and the clock are different enough.
    getrandom::u32().unwrap_or_else(|_| {
        let nanos = clock::now().unix_ns();
        std::process::id() ^ u32::try_from(nanos.rem_euclid(1 << 32)).unwrap_or_default()
    })
}
