//! Memory for what hosts send, shared by all runs that are in flight. Each run has caps of its own; this
//! keeps a thousand of them together from filling the collector. It waits for nobody: what does not fit is
//! cut, because runs that hold a part each and wait for the rest would wait for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::ByteSize;

/// One run may hold a quarter of what is left. So few large outputs have all the room that they want, many
/// share it evenly, and there is always some left for the next: of `n` runs that want all they can get each
/// has at least `1 / (n + 4)` of the whole.
const PART: u64 = 4;

/// What all runs together may hold.
#[derive(Debug)]
pub struct Budget {
    all: ByteSize,
    left_bytes: AtomicU64,
}

impl Budget {
    pub fn new(all: ByteSize) -> Arc<Self> {
        Arc::new(Self { all, left_bytes: AtomicU64::new(all.0) })
    }

    /// One run's part, which is nothing yet.
    pub fn share(self: &Arc<Self>) -> Share {
        Share(Arc::new(Held { budget: Arc::clone(self), bytes: AtomicU64::new(0) }))
    }
}

/// What one run holds. It is given back when the last copy is dropped: keep one for as long as the bytes
/// that it stands for.
#[derive(Debug, Clone)]
pub struct Share(Arc<Held>);

#[derive(Debug)]
struct Held {
    budget: Arc<Budget>,
    bytes: AtomicU64,
}

impl Share {
    /// Takes room for `more` bytes; `false` when there is too little left.
    pub(super) fn take(&self, more: usize) -> bool {
        let more = more as u64;
        // Only its own run takes for a share, so nobody changes this meanwhile.
        let wanted = self.0.bytes.load(Ordering::Relaxed).saturating_add(more);
        let fits = |left: u64| (wanted <= left / PART).then(|| left - more);
        let taken = self.0.budget.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if taken {
            self.0.bytes.store(wanted, Ordering::Relaxed);
        }
        taken
    }

    /// What there is for all.
    pub(super) fn all(&self) -> ByteSize {
        self.0.budget.all
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.left_bytes.fetch_add(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_want_everything_share_evenly_and_leave_some() {
        const RUNS: usize = 100;
        let budget = Budget::new(ByteSize(1 << 20));
        let shares: Vec<Share> = (0..RUNS).map(|_| budget.share()).collect();
        let mut sums = vec![0_u64; RUNS];
        // In turns, as bytes arrive, until nobody gets any more.
        while shares.iter().zip(&mut sums).fold(false, |any, (share, sum)| {
            let taken = share.take(64);
            *sum += u64::from(taken) * 64;
            any | taken
        }) {}
        let least = (1 << 20) / (RUNS as u64 + PART) - 64;
        assert!(sums.iter().all(|sum| *sum >= least), "{least}: {sums:?}");
        // Whoever comes now has as much as each of them.
        let late = budget.share();
        assert!((0..least / 64 - 1).all(|_| late.take(64)));
        assert!(sums.iter().sum::<u64>() + least < 1 << 20);
    }

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = Budget::new(ByteSize(1 << 10));
        let share = budget.share();
        assert!(share.take(256) && !share.take(1));
        let copy = share.clone();
        drop(share);
        assert_eq!(budget.left_bytes.load(Ordering::Relaxed), 768);
        drop(copy);
        assert_eq!(budget.left_bytes.load(Ordering::Relaxed), 1 << 10);
        assert!(budget.share().take(256));
    }
}
