//! How many hosts may be starting something at once: few at first, more as they prove quick. It knows
//! nothing of what they start.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// How many begin together when nothing is known of the hosts yet.
const AT_FIRST: usize = 8;

/// A host that is through by then was quick.
const QUICK: Duration = Duration::from_secs(1);

/// A host keeps its place among those that are starting something until its probes' first bytes are
/// here, but no longer than this: where many hosts are one machine, or share one, the sweep goes as fast
/// as that machine gets probes started, and a host that hangs costs the others little.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(3);

/// A full burst of connections is what accept queues and MaxStartups drop, and where many hosts share one
/// machine their probes would starve each other. So each host that is quick lets one more in, up to
/// the limit: a fleet that answers at once is at the limit after three round trips. One that does not answer
/// at all lets one more in, too, when it is given up: it costs nobody anything but its place. That ends with
/// the first that answers after all: then they are slow, and more of them would be slower.
#[derive(Debug)]
pub(super) struct Gate {
    places: Arc<Semaphore>,
    open: AtomicUsize,
    limit: usize,
    is_slow: AtomicBool,
}

impl Gate {
    pub fn new(limit: usize) -> Arc<Self> {
        let open = limit.min(AT_FIRST);
        Arc::new(Self {
            places: Arc::new(Semaphore::new(open)),
            open: AtomicUsize::new(open),
            limit,
            is_slow: AtomicBool::new(false),
        })
    }

    /// Waits for a place.
    pub async fn enter(self: &Arc<Self>) -> Turn {
        // Never closed, so it cannot fail; without a place it would only be less gentle.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        Turn { since: Instant::now(), place: Mutex::new(place), gate: Arc::clone(self) }
    }

    fn widen(&self) {
        let wider = |open: usize| (open < self.limit).then_some(open + 1);
        if self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wider).is_ok() {
            self.places.add_permits(1);
        }
    }
}

/// A host's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    place: Mutex<Option<OwnedSemaphorePermit>>,
    since: Instant,
    gate: Arc<Gate>,
}

impl Turn {
    /// Waits for what the host answers; its place is not kept for longer than [`START_PATIENCE`].
    pub async fn during<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => return answer,
            () = sleep(START_PATIENCE) => self.give_up(),
        }
        let answer = answer.await;
        if answer.is_ok() {
            self.was_slow();
        }
        answer
    }

    /// Gives the place back because the host has not answered.
    fn give_up(&self) {
        self.leave();
        if !self.gate.is_slow.load(Ordering::Relaxed) {
            self.gate.widen();
        }
    }

    /// It did answer, after it had been given up.
    fn was_slow(&self) {
        self.gate.is_slow.store(true, Ordering::Relaxed);
    }

    /// Gives the place back early: others have waited long enough for this host.
    pub fn leave(&self) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.since.elapsed() < QUICK {
            self.gate.widen();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many can enter at once.
    fn width(gate: &Arc<Gate>) -> usize {
        gate.places.available_permits()
    }

    #[tokio::test]
    async fn quick_hosts_let_more_in_and_slow_ones_do_not() {
        let gate = Gate::new(10);
        assert_eq!(width(&gate), 8);
        for _ in 0..5 {
            drop(gate.enter().await);
        }
        assert_eq!(width(&gate), 10);
        let narrow = Gate::new(3);
        drop(narrow.enter().await);
        assert_eq!(width(&narrow), 3);
        let slow = Gate::new(64);
        let mut turn = slow.enter().await;
        turn.since -= QUICK;
        turn.leave();
        assert_eq!(width(&slow), 8);
        drop(turn);
        assert_eq!(width(&slow), 8);
    }

    #[tokio::test]
    async fn silent_hosts_let_more_in_until_one_of_them_turns_out_to_be_slow() {
        let gate = Gate::new(64);
        let mut silent = Vec::new();
        for expected in 9..=12 {
            let mut turn = gate.enter().await;
            turn.since -= QUICK;
            turn.give_up();
            silent.push(turn);
            assert_eq!(width(&gate), expected);
        }
        silent[0].was_slow();
        let turn = gate.enter().await;
        turn.give_up();
        assert_eq!(width(&gate), 12);
        drop(silent);
        assert_eq!(width(&gate), 12);
    }
}
