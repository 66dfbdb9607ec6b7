//! One sweep, held against conditions: which hosts meet one, with which value, and which hosts could say
//! that they do not. A host without a value of a metric says nothing about it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::compare::{Lens, Outlier};
use crate::model::{CollectorTime, Condition, HostName, Kind, Labels, Threshold, Trigger};
use crate::select::matches_mask;
use crate::store::StoreError;
use crate::store::index::{Reader, SweepRow};
use crate::survey::{self, Question};

/// A host that meets a condition, with the value of it that says so most.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Met {
    pub host: HostName,
    pub metric: String,
    pub kind: Kind,
    pub unit: String,
    pub labels: Labels,
    pub value: f64,
    /// What it would be as ever, and since when it is not: where that was asked.
    pub expected: Option<f64>,
    pub since: Option<CollectorTime>,
}

#[derive(Debug)]
pub(super) struct Sight {
    reader: Reader,
    pub sweep: SweepRow,
    changed: Vec<Outlier>,
}

impl Sight {
    /// Looks at a sweep that has ended. What changed is asked once for all conditions, and only of a
    /// sweep that has a history: an escalation looks at hosts that were in trouble already.
    pub fn open<'a>(
        root: &Path,
        sweep: SweepRow,
        conditions: impl Iterator<Item = &'a Condition>,
    ) -> Result<Self, StoreError> {
        let mut metrics: Vec<String> = conditions
            .filter_map(|condition| match condition {
                Condition::Changed(mask) => Some(mask.clone()),
                Condition::Threshold(_) => None,
            })
            .collect();
        metrics.sort();
        metrics.dedup();
        let mut changed = Vec::new();
        if !metrics.is_empty() && sweep.trigger != Trigger::Escalated {
            let question = Question {
                root,
                sweep: sweep.clone(),
                hosts: None,
                peers_by: None,
                metrics,
                lens: Some(Lens::Changed),
            };
            changed = survey::outliers(&question)?.findings;
        }
        Ok(Self { reader: Reader::open(root)?, sweep, changed })
    }

    /// The hosts that meet a condition, metric by metric, those that are worst off first.
    pub fn met(&self, condition: &Condition) -> Result<BTreeMap<String, Vec<Met>>, StoreError> {
        match condition {
            Condition::Threshold(threshold) => self.beyond(threshold),
            Condition::Changed(mask) => Ok(self.otherwise(mask)),
        }
    }

    fn beyond(&self, threshold: &Threshold) -> Result<BTreeMap<String, Vec<Met>>, StoreError> {
        let mut worst: HashMap<HostName, Met> = HashMap::new();
        for sample in self.reader.metric_at(&self.sweep.sweep, &threshold.metric)? {
            if !is_meant(threshold, &sample.series.labels) || !threshold.holds(sample.value) {
                continue;
            }
            let known = worst.get(&sample.host);
            if known.is_some_and(|known| !threshold.is_worse(sample.value, known.value)) {
                continue;
            }
            let met = Met {
                host: sample.host.clone(),
                metric: threshold.metric.clone(),
                kind: sample.series.kind,
                unit: String::new(),
                labels: sample.series.labels.clone(),
                value: sample.value,
                expected: None,
                since: None,
            };
            worst.insert(sample.host, met);
        }
        if worst.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = self.reader.metrics(Some(&threshold.metric))?;
        let mut met: Vec<Met> = worst.into_values().collect();
        for it in &mut met {
            let row = rows.iter().rev().find(|row| row.kind == it.kind);
            it.unit = row.map(|row| row.unit.clone()).unwrap_or_default();
        }
        met.sort_by(|a, b| {
            let (first, second) =
                (threshold.is_worse(a.value, b.value), threshold.is_worse(b.value, a.value));
            second.cmp(&first).then_with(|| a.host.cmp(&b.host))
        });
        Ok(BTreeMap::from([(threshold.metric.clone(), met)]))
    }

    fn otherwise(&self, mask: &str) -> BTreeMap<String, Vec<Met>> {
        let mut met: BTreeMap<String, Vec<Met>> = BTreeMap::new();
        for outlier in self.changed.iter().filter(|it| matches_mask(mask, &it.subject.metric)) {
            let hosts = met.entry(outlier.subject.metric.clone()).or_default();
            for it in &outlier.hosts {
                // Another line of the same metric is weaker: the findings are in their order.
                if hosts.iter().any(|known| known.host == it.host) {
                    continue;
                }
                hosts.push(Met {
                    host: it.host.clone(),
                    metric: outlier.subject.metric.clone(),
                    kind: outlier.subject.kind,
                    unit: outlier.about.unit.clone(),
                    labels: outlier.subject.labels.clone(),
                    value: it.value,
                    expected: Some(it.expected),
                    since: it.since,
                });
            }
        }
        met
    }

    /// The hosts that have a value in the sweep which the condition could be met by, of this metric.
    pub fn with_a_value(
        &self,
        condition: &Condition,
        metric: &str,
    ) -> Result<BTreeSet<HostName>, StoreError> {
        let sweep = &self.sweep.sweep;
        let mut hosts = BTreeSet::new();
        for sample in self.reader.metric_at(sweep, metric)? {
            let meant = match condition {
                Condition::Threshold(threshold) => is_meant(threshold, &sample.series.labels),
                Condition::Changed(_) => true,
            };
            if meant {
                hosts.insert(sample.host);
            }
        }
        if matches!(condition, Condition::Changed(_)) {
            // Whose change was not looked for has not gone away.
            if self.sweep.trigger == Trigger::Escalated {
                return Ok(BTreeSet::new());
            }
            hosts.extend(self.reader.histograms_at(sweep, metric)?.into_iter().map(|it| it.host));
        }
        Ok(hosts)
    }
}

fn is_meant(threshold: &Threshold, labels: &Labels) -> bool {
    threshold.labels.iter().all(|(label, value)| labels.get(label) == Some(value))
}
