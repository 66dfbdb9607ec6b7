//! Memory for what hosts send, shared by all runs that are in flight. Each run has caps of its own; this
//! keeps a thousand of them together from filling the collector. It waits for nobody: what does not fit is
//! cut, because runs that hold a part each and wait for the rest would wait for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::ByteSize;

/// Of what is not set apart, one run may hold a quarter of what is left: few large outputs have all the room
/// that they want, and one alone does not take it from all others.
const PART: u64 = 4;

/// What all runs together may hold.
#[derive(Debug)]
pub struct Budget {
    all: ByteSize,
    /// What each run has for itself, whatever the others do.
    own_bytes: u64,
    /// What is set apart for runs that have not begun yet.
    apart_bytes: AtomicU64,
    left_bytes: AtomicU64,
}

impl Budget {
    /// Half of it is divided among as many runs as there can be at once, the other half is shared.
    pub fn new(all: ByteSize, runs: u64) -> Arc<Self> {
        let half = all.0 / 2;
        Arc::new(Self {
            all,
            own_bytes: half / runs.max(1),
            apart_bytes: AtomicU64::new(half),
            left_bytes: AtomicU64::new(half),
        })
    }

    /// One run's part. One run too many has nothing of its own.
    pub fn share(self: &Arc<Self>) -> Share {
        let has_own = take_from(&self.apart_bytes, |apart| apart.checked_sub(self.own_bytes));
        let own_bytes = if has_own { self.own_bytes } else { 0 };
        Share(Arc::new(Held { budget: Arc::clone(self), own_bytes, bytes: AtomicU64::new(0) }))
    }
}

fn take_from(bytes: &AtomicU64, rest: impl Fn(u64) -> Option<u64>) -> bool {
    bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_ok()
}

/// What one run holds. It is given back when the last copy is dropped: keep one for as long as the bytes
/// that it stands for.
#[derive(Debug, Clone)]
pub struct Share(Arc<Held>);

#[derive(Debug)]
struct Held {
    budget: Arc<Budget>,
    own_bytes: u64,
    bytes: AtomicU64,
}

impl Held {
    /// What of so many bytes is not its own.
    const fn shared(&self, bytes: u64) -> u64 {
        bytes.saturating_sub(self.own_bytes)
    }
}

impl Share {
    /// Takes room for `more` bytes; `false` when there is too little left.
    pub(super) fn take(&self, more: usize) -> bool {
        let held = &self.0;
        // Only its own run takes for a share, so nobody changes this meanwhile.
        let bytes = held.bytes.load(Ordering::Relaxed);
        let wanted = bytes.saturating_add(more as u64);
        let (has, wants) = (held.shared(bytes), held.shared(wanted));
        let rest = |left: u64| (wants <= left / PART).then(|| left - (wants - has));
        let taken = wants == 0 || take_from(&held.budget.left_bytes, rest);
        if taken {
            held.bytes.store(wanted, Ordering::Relaxed);
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
        let bytes = *self.bytes.get_mut();
        self.budget.left_bytes.fetch_add(self.shared(bytes), Ordering::Relaxed);
        self.budget.apart_bytes.fetch_add(self.own_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes_all(share: &Share) -> u64 {
        std::iter::repeat_with(|| share.take(64)).take_while(|taken| *taken).count() as u64 * 64
    }

    #[test]
    fn whatever_others_take_each_run_has_its_own_part() {
        const RUNS: u64 = 64;
        let budget = Budget::new(ByteSize(1 << 20), RUNS);
        // One after the other takes what it can get and keeps it.
        let shares: Vec<Share> = (0..RUNS).map(|_| budget.share()).collect();
        let sums: Vec<u64> = shares.iter().map(takes_all).collect();
        assert!(sums[0] > 100 << 10, "the first has a fifth of what is shared: {sums:?}");
        assert!(sums.iter().all(|sum| *sum >= 8 << 10), "{sums:?}");
        assert!(sums.iter().sum::<u64>() <= 1 << 20);
        // One more than there can be has at most what is left.
        assert!(takes_all(&budget.share()) < 1 << 10);
    }

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = Budget::new(ByteSize(2 << 10), 4);
        let (own, shared) = (256, 100);
        for _ in 0..3 {
            let share = budget.share();
            assert!(share.take(own) && share.take(shared) && share.take(shared));
            assert!(!share.take(shared));
            let copy = share.clone();
            drop(share);
            assert_eq!(budget.left_bytes.load(Ordering::Relaxed), 824);
            assert_eq!(budget.apart_bytes.load(Ordering::Relaxed), 768);
            drop(copy);
            assert_eq!(budget.left_bytes.load(Ordering::Relaxed), 1 << 10);
            assert_eq!(budget.apart_bytes.load(Ordering::Relaxed), 1 << 10);
        }
    }
}
