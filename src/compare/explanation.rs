//! What the outliers of a metric have in common. A label is named only where chance does not explain it:
//! with many labels some fit by luck, and a wrong cause costs more than none.

use std::collections::{BTreeMap, BTreeSet};

use super::outliers::{Outlier, Subject};
use super::{Lens, fisher_exact, holm};
use crate::model::{CollectorTime, HostName, Labels, ProbeName, SweepId};

/// A smaller chance than this is no coincidence.
pub const UNLIKELY: f64 = 0.05;

/// The answer of `explain`.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub metric: String,
    pub sweep: SweepId,
    pub started: CollectorTime,
    /// The metric's outliers, the most important first; empty when no host differs.
    pub outliers: Vec<Outlier>,
    /// All hosts of those.
    pub hosts: Vec<HostName>,
    pub since: Option<CollectorTime>,
    pub shared: Shared,
    /// Other metrics in which mostly the same hosts began to differ at about the same time.
    pub companions: Vec<Companion>,
    /// What their kernels said around the onset.
    pub kernel: Vec<KernelLine>,
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
    /// When the sweep that brought it started.
    pub started: CollectorTime,
    pub text: String,
}

/// Which labels the outliers share, of hosts with their labels at the time.
///
/// Values that split the hosts alike are one question and count once; those that no count of outliers
/// could make unlikely, like a serial number, are none.
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
    let mut tested = Vec::new();
    for (hosts, values) in splits {
        let having = hosts.len() as u64;
        let with = hosts.iter().filter(|at| outliers.contains(all[**at])).count() as u64;
        let table = |with: u64| [[with, bad - with], [having - with, all_count - bad - (having - with)]];
        // The most telling outcome that these sums allow.
        if having < all_count && fisher_exact(table(bad.min(having))) <= UNLIKELY {
            tested.push((hosts, values, table(with), fisher_exact(table(with))));
        }
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
