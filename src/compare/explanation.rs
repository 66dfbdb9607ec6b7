//! What the outliers of a metric have in common. A label is named only where chance does not explain it:
//! with many labels some fit by luck, and a wrong cause costs more than none.

use std::collections::{BTreeMap, BTreeSet};

use super::outliers::{Moment, Outlier, Shortage, Subject};
use super::{Lens, fisher_exact, holm};
use crate::model::{CollectorTime, HostName, Labels, ProbeName, SweepId};

/// A smaller chance than this is no coincidence. Smaller than usual: nobody checks a cause that was named.
pub const UNLIKELY: f64 = 0.01;

/// The answer of `explain`.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub metric: String,
    pub sweep: SweepId,
    pub started: CollectorTime,
    pub standing: Standing,
    /// The metric's outliers, the one that is explained first; empty when no host differs.
    pub outliers: Vec<Outlier>,
    /// The hosts of the first of those, the strongest first; empty when none of them is explained.
    pub hosts: Vec<HostName>,
    pub since: Option<CollectorTime>,
    pub shared: Shared,
    /// Other metrics in which mostly the same hosts began to differ at about the same time.
    pub companions: Vec<Companion>,
    /// What their kernels said around the onset.
    pub kernel: Vec<KernelLine>,
    /// Hosts that have the metric.
    pub looked_at: usize,
    /// The sweeps of the history, the oldest first.
    pub sweeps: Vec<Moment>,
    /// What the metric could not be judged for.
    pub lacking: Vec<Shortage>,
}

/// Whether a metric could have had outliers at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Judged,
    /// Its probe says that nobody is named for it.
    Unjudged,
    /// Nobody who was asked has it in this sweep; where it was read last.
    Unread {
        last: Option<Moment>,
    },
}

/// Labels that the outliers have and the rest lacks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shared {
    /// Where chance is no explanation, the strongest first.
    pub labels: Vec<SharedLabel>,
    /// How many different splits of the hosts were looked at.
    pub tested: usize,
}

/// A label's value and who has it.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedLabel {
    pub label: String,
    pub value: String,
    /// How many have it, of how many.
    pub outliers: [u64; 2],
    pub rest: [u64; 2],
    /// Fisher's exact test, and after Holm's correction for all that were tested.
    pub p: f64,
    pub p_holm: f64,
    /// Hosts of the rest that have it.
    pub without_trouble: Vec<HostName>,
}

/// Another metric that moved with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Companion {
    pub subject: Subject,
    pub unit: String,
    pub lens: Lens,
    /// Outliers of both.
    pub hosts: Vec<HostName>,
    pub value: f64,
    pub peers: f64,
    pub ratio: Option<f64>,
    pub since: Option<CollectorTime>,
    pub score: f64,
}

/// A message of a host's kernel, as it came: to be escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelLine {
    pub host: HostName,
    pub probe: ProbeName,
    pub sweep: SweepId,
    /// About when it came, on our clock.
    pub at: CollectorTime,
    /// What it means, where that is known: `io_error`.
    pub event: Option<&'static str>,
    pub text: String,
}

/// Which labels the outliers share, of hosts with their labels at the time.
///
/// Values that split the hosts alike are one question and count once.
pub fn shared(outliers: &BTreeSet<HostName>, labels: &BTreeMap<HostName, Labels>) -> Shared {
    let all: Vec<&HostName> = labels.keys().collect();
    let total = [outliers.iter().filter(|host| labels.contains_key(*host)).count() as u64, all.len() as u64];
    let [bad, all_count] = total;
    if bad == 0 || bad == all_count {
        return Shared::default();
    }
    let mut splits: BTreeMap<Vec<usize>, Vec<(&String, &String)>> = BTreeMap::new();
    let mut values: BTreeMap<(&String, &String), Vec<usize>> = BTreeMap::new();
    for (at, host) in all.iter().enumerate() {
        for (label, value) in &labels[*host] {
            values.entry((label, value)).or_default().push(at);
        }
    }
    for (value, hosts) in values {
        splits.entry(hosts).or_default().push(value);
    }
    // What one host has, several cannot share: serial numbers are no question.
    let asked = |hosts: &[usize]| (hosts.len() as u64) < all_count && (hosts.len() > 1 || bad == 1);
    let mut tested = Vec::new();
    for (hosts, values) in splits.into_iter().filter(|(hosts, _)| asked(hosts)) {
        let having = hosts.len() as u64;
        let with = hosts.iter().filter(|at| outliers.contains(all[**at])).count() as u64;
        let table = [[with, bad - with], [having - with, all_count - bad - (having - with)]];
        tested.push((hosts, values, table, fisher_exact(table)));
    }
    let adjusted = holm(&tested.iter().map(|it| it.3).collect::<Vec<_>>());
    let mut found = Shared { labels: Vec::new(), tested: tested.len() };
    for ((hosts, values, [[with, _], [others, _]], p), p_holm) in tested.into_iter().zip(adjusted) {
        // That outliers lack a value is said by the value that they have.
        let more = with * (all_count - bad) > others * bad;
        if p_holm > UNLIKELY || !more {
            continue;
        }
        let calm = hosts.iter().map(|at| all[*at]).filter(|host| !outliers.contains(*host));
        let without_trouble: Vec<HostName> = calm.cloned().collect();
        found.labels.extend(values.into_iter().map(|(label, value)| SharedLabel {
            label: label.clone(),
            value: value.clone(),
            outliers: [with, bad],
            rest: [others, all_count - bad],
            p,
            p_holm,
            without_trouble: without_trouble.clone(),
        }));
    }
    found
        .labels
        .sort_by(|a, b| a.p.total_cmp(&b.p).then_with(|| (&a.label, &a.value).cmp(&(&b.label, &b.value))));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(hosts: u32, labels: impl Fn(u32) -> Vec<(&'static str, String)>) -> BTreeMap<HostName, Labels> {
        let name = |n: u32| HostName::new(&format!("web{n:02}")).unwrap();
        let of = |n| labels(n).into_iter().map(|(label, value)| (label.to_owned(), value)).collect();
        (1..=hosts).map(|n| (name(n), of(n))).collect()
    }

    fn names(hosts: &[u32]) -> BTreeSet<HostName> {
        hosts.iter().map(|n| HostName::new(&format!("web{n:02}")).unwrap()).collect()
    }

    #[test]
    fn what_all_outliers_have_and_hardly_anyone_else() {
        let slow = [6, 18, 30, 42];
        let labels = fleet(48, |n| {
            let new = slow.contains(&n) || n == 34;
            let one = slow.contains(&n) || n % 4 == 1;
            vec![
                ("kernel", if new { "new" } else { "old" }.to_owned()),
                ("microcode", if new { "0x2" } else { "0x1" }.to_owned()),
                ("nic", if one { "2.13" } else { "2.12" }.to_owned()),
                ("serial", n.to_string()),
                ("role", "web".to_owned()),
                ("rack", (n % 6).to_string()),
            ]
        });
        let found = shared(&names(&slow), &labels);
        let shown: Vec<(&str, &str)> =
            found.labels.iter().map(|it| (it.label.as_str(), it.value.as_str())).collect();
        assert_eq!(shown[..2], [("kernel", "new"), ("microcode", "0x2")]);
        let first = &found.labels[0];
        assert_eq!((first.outliers, first.rest), ([4, 4], [1, 44]));
        assert!((first.p - 5.0 / 194_580.0).abs() < 1e-12 && first.p_holm >= first.p, "{first:?}");
        assert_eq!(first.without_trouble, names(&[34]).into_iter().collect::<Vec<_>>());
        // Two labels that split the hosts alike, and those with one value for all, are no further tests.
        assert_eq!(found.tested, 10, "{found:?}");
    }

    #[test]
    fn a_coincidence_is_not_shown() {
        let slow = [6, 18, 30, 42];
        // 4 of 4 against 12 of 44, among twenty labels of one kind or another.
        let labels = fleet(48, |n| {
            let mut labels =
                vec![("card", if slow.contains(&n) || n % 4 == 1 { "a" } else { "b" }.to_owned())];
            let more =
                ["l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9", "m1", "m2", "m3", "m4", "m5", "m6"];
            let bit = |at: usize| (((u64::from(n) * 2_654_435_761) >> (at + 4)) & 1).to_string();
            labels.extend(more.into_iter().enumerate().map(|(at, label)| (label, bit(at))));
            labels
        });
        let found = shared(&names(&slow), &labels);
        assert!(found.labels.iter().all(|it| it.label != "card"), "{found:#?}");
        assert!(found.tested >= 10, "{}", found.tested);
    }

    #[test]
    fn one_host_and_all_hosts_share_nothing() {
        let labels = fleet(12, |n| vec![("serial", n.to_string()), ("role", "web".to_owned())]);
        assert_eq!(shared(&names(&[3]), &labels).labels, []);
        assert_eq!(shared(&names(&[]), &labels), Shared::default());
        let all: Vec<u32> = (1..=12).collect();
        assert_eq!(shared(&names(&all), &labels), Shared::default());
        assert_eq!(shared(&names(&[1]), &BTreeMap::new()), Shared::default());
    }
}
