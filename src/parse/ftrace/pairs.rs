//! Begins that wait for their ends. It refuses to pair across a gap: a duration that was put together from
//! two others would be the longest of all and draw every eye.

use std::collections::HashMap;
use std::hash::Hash;

/// Begins that may wait at once. A disk has thousands in flight, a host some hundred thousand tasks.
const MAX_OPEN: usize = 200_000;

/// An end this soon after the window's begin, or after a gap, may belong to a begin before it.
const EDGE_NS: u64 = 1_000_000_000;

#[derive(Debug, Clone, Copy)]
struct Begin<V> {
    at_ns: u64,
    cpu: u64,
    /// How many gaps there had been for it.
    gaps: u64,
    what: V,
}

/// The pairs of one kind; `V` is what a begin says that its end does not.
#[derive(Debug)]
pub(super) struct Pairs<K, V> {
    /// The metrics' label.
    pub kind: &'static str,
    /// Whether the host was asked for it, or it came.
    pub wanted: bool,
    /// Pairs that were put together.
    pub whole: u64,
    /// Ends without a begin and begins without an end that no edge and no gap explains.
    pub unmatched: u64,
    /// Begins that were given up at a gap, as far as it has shown.
    voided: u64,
    /// Begins over the limit.
    pub dropped: u64,
    open: HashMap<K, Begin<V>>,
    /// Gaps on all CPUs, and on one. What waits is not looked through at each: a trace may be all gaps.
    gaps: u64,
    gaps_on: HashMap<u64, u64>,
    /// Where the window began, or the last gap ended.
    edge_ns: u64,
}

impl<K: Eq + Hash, V: Copy> Pairs<K, V> {
    pub fn new(kind: &'static str) -> Self {
        Self {
            kind,
            wanted: false,
            whole: 0,
            unmatched: 0,
            voided: 0,
            dropped: 0,
            open: HashMap::new(),
            gaps: 0,
            gaps_on: HashMap::new(),
            edge_ns: 0,
        }
    }

    /// Nothing before `at_ns` was seen.
    pub fn starts_at(&mut self, at_ns: u64) {
        self.edge_ns = at_ns;
    }

    /// A begin; one that still waits under this key is not going to end any more.
    pub fn begin(&mut self, key: K, at_ns: u64, cpu: u64, what: V) {
        self.wanted = true;
        if self.open.len() >= MAX_OPEN && !self.open.contains_key(&key) {
            self.dropped += 1;
            return;
        }
        let begin = Begin { at_ns, cpu, gaps: self.gaps_for(cpu), what };
        match self.open.insert(key, begin) {
            None => {}
            Some(before) if self.is_void(&before) => self.voided += 1,
            Some(_) => self.unmatched += 1,
        }
    }

    /// A begin of something that stays begun when it is asked for again.
    pub fn begin_once(&mut self, key: K, at_ns: u64, cpu: u64, what: V) {
        if self.open.get(&key).is_none_or(|begin| self.is_void(begin)) {
            self.begin(key, at_ns, cpu, what);
        }
    }

    /// An end: how many nanoseconds since its begin, and what that said.
    pub fn end(&mut self, key: &K, at_ns: u64) -> Option<(u64, V)> {
        self.wanted = true;
        let begin = self.open.remove(key);
        if begin.is_some_and(|begin| self.is_void(&begin)) {
            self.voided += 1;
            return None;
        }
        let took = begin.and_then(|begin| Some((at_ns.checked_sub(begin.at_ns)?, begin.what)));
        match took {
            Some(_) => self.whole += 1,
            None if at_ns.saturating_sub(self.edge_ns) <= EDGE_NS => {}
            None => self.unmatched += 1,
        }
        took
    }

    /// Like [`Pairs::end`] for a begin that need not have been.
    pub fn end_if_begun(&mut self, key: &K, at_ns: u64) -> Option<(u64, V)> {
        if self.open.contains_key(key) { self.end(key, at_ns) } else { None }
    }

    /// A begin that will have no end of its own.
    pub fn forget(&mut self, key: &K) {
        self.open.remove(key);
    }

    /// Events were lost before `at_ns`: on one CPU when begin and end stay on theirs, else everywhere.
    pub fn gap(&mut self, at_ns: u64, on: Option<u64>) {
        self.edge_ns = at_ns;
        match on {
            Some(cpu) => *self.gaps_on.entry(cpu).or_default() += 1,
            None => self.gaps += 1,
        }
    }

    /// When the oldest of those began that have not ended.
    pub fn oldest_open_ns(&self) -> Option<u64> {
        self.open.values().filter(|begin| !self.is_void(begin)).map(|begin| begin.at_ns).min()
    }

    /// How many begins were given up at a gap.
    pub fn voided(&self) -> u64 {
        self.voided + self.open.values().filter(|begin| self.is_void(begin)).count() as u64
    }

    fn is_void(&self, begin: &Begin<V>) -> bool {
        begin.gaps != self.gaps_for(begin.cpu)
    }

    fn gaps_for(&self, cpu: u64) -> u64 {
        self.gaps + self.gaps_on.get(&cpu).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: u64 = 5 * EDGE_NS;

    #[test]
    fn a_begin_and_its_end_are_a_duration() {
        let mut pairs = Pairs::new("test");
        pairs.begin(1, 100, 0, 'a');
        pairs.begin(2, 150, 0, 'b');
        assert_eq!(pairs.end(&1, 300), Some((200, 'a')));
        assert_eq!(pairs.oldest_open_ns(), Some(150));
        assert_eq!((pairs.whole, pairs.unmatched), (1, 0));
    }

    #[test]
    fn what_no_edge_explains_is_unmatched() {
        let mut pairs = Pairs::new("test");
        assert_eq!(pairs.end(&1, EDGE_NS), None);
        assert_eq!(pairs.unmatched, 0);
        assert_eq!(pairs.end(&1, LATE), None);
        pairs.begin(2, LATE, 0, ());
        pairs.begin(2, LATE + 1, 0, ());
        assert_eq!(pairs.unmatched, 2);
        // The clock went back: no duration is made of it.
        assert_eq!(pairs.end(&2, LATE), None);
        assert_eq!(pairs.unmatched, 3);
    }

    #[test]
    fn nothing_is_paired_across_a_gap() {
        let mut pairs = Pairs::new("test");
        pairs.begin(1, LATE, 0, ());
        pairs.begin(2, LATE, 1, ());
        pairs.gap(LATE + 10, Some(0));
        assert_eq!(pairs.end(&1, LATE + 20), None);
        assert_eq!(pairs.end(&2, LATE + 20), Some((20, ())));
        assert_eq!((pairs.voided(), pairs.unmatched, pairs.whole), (1, 0, 1));
        pairs.begin(3, LATE, 1, ());
        pairs.gap(LATE + 30, None);
        assert_eq!((pairs.oldest_open_ns(), pairs.voided()), (None, 2));
        // What is asked for again after the gap begins then.
        pairs.begin_once(3, LATE + 40, 1, ());
        assert_eq!(pairs.end_if_begun(&3, LATE + 50), Some((10, ())));
        assert_eq!((pairs.voided(), pairs.unmatched), (2, 0));
    }

    #[test]
    fn those_that_wait_are_limited() {
        let mut pairs = Pairs::new("test");
        (0..MAX_OPEN as u64 + 5).for_each(|key| pairs.begin(key, 1, 0, ()));
        assert_eq!((pairs.dropped, pairs.open.len()), (5, MAX_OPEN));
    }
}
