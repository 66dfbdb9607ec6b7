//! The trees of a fleet, and the task that keeps them moving while somebody reads them: synthetic hosts
//! that nobody looks at cost nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::model::CollectorTime;
use crate::transport::served::Around;

use super::host::HostModel;
use super::tree::{Tree, TreeError};

/// How often a tree moves while somebody reads it. A snapshot that catches a move in the middle is off by
/// at most this much.
const MOVE_EVERY: Duration = Duration::from_millis(100);
/// Moving many trees takes at most half of one CPU, for as long as that does not make them older than this.
const MOVE_AT_LATEST: Duration = Duration::from_millis(400);

/// One host of the fleet. Its tree is there while somebody reads it: a thousand trees would be a hundred
/// thousand files.
#[derive(Debug)]
pub(super) struct Actor {
    pub model: HostModel,
    root: PathBuf,
    attendance: Mutex<Attendance>,
}

#[derive(Debug, Default)]
struct Attendance {
    tree: Option<Tree>,
    readers: usize,
}

impl Actor {
    /// What its server tells a probe about where to look.
    pub(super) fn env(&self) -> Vec<(&'static str, PathBuf)> {
        vec![("PROC", Tree::proc(&self.root)), ("SYS", Tree::sys(&self.root))]
    }

    /// The tree as of now, for one reader more.
    fn enter(&self) -> Result<(), TreeError> {
        let mut attendance = locked(&self.attendance);
        match &mut attendance.tree {
            Some(tree) => tree.refresh(&self.model, now())?,
            none => *none = Some(Tree::create(self.root.clone(), &self.model, now())?),
        }
        attendance.readers += 1;
        Ok(())
    }

    fn leave(&self) {
        let mut attendance = locked(&self.attendance);
        attendance.readers = attendance.readers.saturating_sub(1);
    }

    /// Moves the tree if somebody reads it, removes it if nobody does; says whether it is still there.
    fn move_on(&self) -> bool {
        let mut attendance = locked(&self.attendance);
        let read = attendance.readers > 0;
        let done = match attendance.tree.take() {
            Some(mut tree) if read => {
                let moved = tree.refresh(&self.model, now());
                attendance.tree = Some(tree);
                moved
            }
            Some(tree) => tree.remove(),
            None => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(host = %self.model.name, %error, "a synthetic host stands still");
        }
        attendance.tree.is_some()
    }
}

/// The fleet's trees, and which of them are there.
#[derive(Debug)]
pub(super) struct Stage {
    pub actors: Vec<Actor>,
    awake: Mutex<BTreeSet<usize>>,
    reader_came: Notify,
}

impl Stage {
    pub(super) fn new(models: Vec<HostModel>, root: &Path) -> Arc<Self> {
        let actor = |model: HostModel| Actor {
            root: root.join(model.name.as_str()),
            model,
            attendance: Mutex::default(),
        };
        let actors = models.into_iter().map(actor).collect();
        Arc::new(Self { actors, awake: Mutex::default(), reader_came: Notify::new() })
    }

    /// A tree is there, and up to the present, before a probe starts; then it moves until the probe is done.
    pub(super) fn around(self: &Arc<Self>, index: usize) -> Around {
        let stage = self.clone();
        Arc::new(move || {
            stage.actors[index].enter().map_err(|error| error.to_string())?;
            let reader = Reader { stage: stage.clone(), index };
            locked(&stage.awake).insert(index);
            stage.reader_came.notify_one();
            Ok(Box::new(reader))
        })
    }

    /// Moves the trees that are read until `stop`; a move that has begun is waited for, so that nothing
    /// writes into a folder that is being removed.
    pub(super) async fn keep_moving(self: Arc<Self>, stop: CancellationToken) {
        let mut rest = MOVE_EVERY;
        loop {
            let turn = async {
                self.somebody_reads().await;
                sleep(rest).await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = turn => {}
            }
            let (stage, started) = (self.clone(), Instant::now());
            if let Err(error) = tokio::task::spawn_blocking(move || stage.move_on()).await {
                tracing::warn!(%error, "the synthetic hosts stand still");
            }
            rest = started.elapsed().clamp(MOVE_EVERY, MOVE_AT_LATEST);
        }
    }

    async fn somebody_reads(&self) {
        while locked(&self.awake).is_empty() {
            self.reader_came.notified().await;
        }
    }

    fn move_on(&self) {
        let awake: Vec<usize> = locked(&self.awake).iter().copied().collect();
        for index in awake {
            // Taken out before the look at its tree: a reader who comes after it puts it back.
            locked(&self.awake).remove(&index);
            if self.actors[index].move_on() {
                locked(&self.awake).insert(index);
            }
        }
    }
}

/// Somebody who reads a tree, for as long as this lives.
struct Reader {
    stage: Arc<Stage>,
    index: usize,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stage.actors[self.index].leave();
    }
}

/// A lock whose holder panicked still guards whole values: each is changed in one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This machine's clock, which the synthetic hosts share.
fn now() -> CollectorTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    CollectorTime::from_unix_ns(i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX))
}
