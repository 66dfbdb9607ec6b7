//! How far off healthy hosts are now and then, from a week of theirs. What is seldom is not in it, so the
//! tail is extended to where one of a whole group is named that seldom.

/// The share of comparisons of a whole group in which a healthy host may be named. Less than one in a
/// hundred, as the tail is only an estimate.
const FALSE_FINDINGS: f64 = 0.007;

/// One of so many hosts may have had a bad week without today's limits rising for it.
const LEFT_OUT: usize = 8;

/// What each host did in one of so many sweeps is common.
const COMMON: usize = 20;

/// What is seldom is extrapolated; real tails grow a little longer than straight ones.
const CAUTION: f64 = 1.5;

/// What some hosts did.
#[derive(Debug, Default)]
pub(super) struct Wildness {
    farthest: Vec<f64>,
    common: Vec<f64>,
    sweeps: usize,
    /// How many sweeps were beyond the common, in how many runs.
    beyond: usize,
    runs: usize,
}

impl Wildness {
    /// Takes in one host: how far off it was, sweep by sweep; not empty.
    pub(super) fn add(&mut self, off: &[f64]) {
        let mut sorted = off.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len() - 1;
        let common = sorted[last - sorted.len() / COMMON];
        self.farthest.push(sorted[last]);
        self.common.push(common);
        self.sweeps += off.len();
        let mut before = false;
        for off in off {
            let beyond = *off > common;
            self.beyond += usize::from(beyond);
            self.runs += usize::from(beyond && !before);
            before = beyond;
        }
    }

    /// How far off is too far for a group of so many hosts. The farthest hosts are left out: an incident of
    /// some last week is no measure for today.
    pub(super) fn limit(mut self, group: usize) -> f64 {
        let hosts = self.farthest.len();
        if hosts == 0 {
            return 0.0;
        }
        let left_out = (hosts / LEFT_OUT).max(1).min(hosts - 1);
        let nth =
            |values: &mut Vec<f64>| *values.select_nth_unstable_by(hosts - 1 - left_out, f64::total_cmp).1;
        let (far, near) = (nth(&mut self.farthest), nth(&mut self.common));
        // Sweeps far off follow each other: each host left out had as many as one run has.
        let run = self.beyond.max(1) as f64 / self.runs.max(1) as f64;
        let seen_chance = left_out.max(1) as f64 * run / self.sweeps as f64;
        let wanted = FALSE_FINDINGS / group as f64;
        // What is seldom seen in this history is as much farther as its tail is long.
        let slope =
            (far - near).max(0.0) / (1.0 / (COMMON as f64 * seen_chance)).max(std::f64::consts::E).ln();
        far + CAUTION * slope * (seen_chance / wanted).ln().max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(hosts: usize, off: impl Fn(usize, usize) -> f64) -> f64 {
        let mut wildness = Wildness::default();
        for host in 0..hosts {
            let off: Vec<f64> = (0..160).map(|sweep| off(host, sweep)).collect();
            wildness.add(&off);
        }
        wildness.limit(hosts)
    }

    /// From 0 to 1, as good as by chance.
    fn chance(host: usize, sweep: usize) -> f64 {
        ((host * 7919 + sweep * 104_729 + host * sweep * 31) % 1009) as f64 / 1009.0
    }

    #[test]
    fn the_wilder_and_the_more_hosts_the_higher() {
        assert_eq!(limit(0, |_, _| 0.0), 0.0);
        assert_eq!(limit(12, |_, _| 0.0), 0.0);
        let tail = |host, sweep| -(1.0 - chance(host, sweep)).ln();
        let (few, many, wild) = (limit(12, tail), limit(64, tail), limit(12, |a, b| 3.0 * tail(a, b)));
        assert!(few > 3.0 && many > few && (wild / few - 3.0).abs() < 1e-9, "{few} {many} {wild}");
        // Runs are fewer accidents than their sweeps are.
        assert!(limit(12, |host, sweep| tail(host, sweep / 4)) > few * 1.05);
        // One host's bad week changes little.
        let sick = limit(12, |host, sweep| if host == 3 && sweep > 100 { 50.0 } else { tail(host, sweep) });
        assert!((sick / few - 1.0).abs() < 0.3, "{sick} {few}");
    }
}
