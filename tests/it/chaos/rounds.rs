//! How often something goes wrong, and at random how. The same seed makes the same choices; what the
//! machine makes of them is its own affair.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// What all the rounds of the test command add up to, roughly: what the wish for more is measured by.
const USUAL: u64 = 100;

pub struct Rounds {
    name: &'static str,
    seed: u64,
    state: u64,
    count: u64,
    round: u64,
}

impl Rounds {
    /// So many of the suite's hundred are this test's.
    pub fn new(name: &'static str, usual: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos();
        let seed = wish("DROPSONDE_CHAOS_SEED").unwrap_or(now as u64 % 1_000_000_000);
        let count = (usual * wish("DROPSONDE_CHAOS_ROUNDS").unwrap_or(USUAL)).div_ceil(USUAL).max(1);
        // Past the tests' own capture: whoever reads the log of a run that passed wants the seed, too.
        say(&format!("chaos: {name}: {count} rounds, seed {seed}"));
        let state = name.bytes().fold(seed, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
        Self { name, seed, state, count, round: 0 }
    }

    /// Whether there is one more.
    pub fn next(&mut self) -> bool {
        self.round += 1;
        self.round <= self.count
    }

    pub fn round(&self) -> u64 {
        self.round
    }

    /// Less than `limit`, which is not 0 (SplitMix64).
    pub fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        let at = self.below(all.len() as u64);
        all[at as usize].clone()
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            let other = self.below(at as u64 + 1);
            all.swap(at, other as usize);
        }
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { name, seed, count, round, .. } = self;
            say(&format!(
                "chaos: {name}: failed in round {round} of {count}; again: DROPSONDE_CHAOS_SEED={seed}"
            ));
        }
    }
}

fn wish(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
