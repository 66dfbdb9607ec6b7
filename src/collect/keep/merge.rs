//! A schedule's sweeps of one stretch of time, with one set of numbers for all of them: of each host and
//! probe the last reading that had numbers gets the means, distributions are added up, and the other
//! readings keep their place in the ledger, their labels and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use crate::collect::replay::Opening;
use crate::model::{Bucket, Histogram, HostName, Kept, LabelPairs, Parsed, ProbeName, Sample, Span, SweepId};
use crate::store::archive::{Digest, Entry, Member, Rewrite, TarFile};
use crate::store::{StateDir, StoreError};

type Key = (HostName, ProbeName);

/// Numbers of one host and probe over all the sweeps.
#[derive(Default)]
struct Sum {
    /// The last sweep that had any.
    last: usize,
    /// By series: the sum and how many went into it.
    samples: Vec<(u32, f64, u32)>,
    histograms: Vec<(u32, Histogram)>,
}

/// Names as numbers: ten thousand hosts have the same ones.
#[derive(Default)]
struct Names {
    numbers: HashMap<(String, LabelPairs, u8), u32>,
    /// A sample of each, whatever its value.
    samples: HashMap<u32, Sample>,
}

impl Names {
    fn number(&mut self, metric: &str, labels: &LabelPairs, kind: u8) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry((metric.to_owned(), labels.clone(), kind)).or_insert(next)
    }

    fn sample(&mut self, sample: &Sample) -> u32 {
        let kind = sample.kind as u8 * 8 + sample.span as u8;
        let number = self.number(&sample.metric, &sample.labels, kind);
        self.samples.entry(number).or_insert_with(|| sample.clone());
        number
    }

    fn histogram(&mut self, histogram: &Histogram) -> u32 {
        self.number(&histogram.metric, &histogram.labels, u8::MAX)
    }
}

/// Writes the sweeps' new tars, and decides nothing. `None`: not all of them have lost their bytes.
pub(super) fn merge(state: &StateDir, sweeps: &[SweepId]) -> Result<Option<u64>, StoreError> {
    let mut files = Vec::with_capacity(sweeps.len());
    for sweep in sweeps {
        let tar = TarFile::open(state, sweep)?;
        match Opening::read(&tar, tar.size()?)? {
            Some(opening) if opening.kept != Kept::Raw => files.push((tar, opening)),
            _ => return Ok(None),
        }
    }
    let mut names = Names::default();
    let mut sums: HashMap<Key, Sum> = HashMap::new();
    for (at, (tar, opening)) in files.iter().enumerate() {
        each(tar, opening, &mut |digest| {
            if has_numbers(&digest) {
                sums.entry((digest.host.clone(), digest.probe.clone()))
                    .or_default()
                    .add(at, &digest, &mut names);
            }
            Ok(())
        })?;
    }
    let mut saved_bytes = 0_u64;
    for (at, ((tar, opening), sweep)) in files.iter().zip(sweeps).enumerate() {
        let mut rewrite = Rewrite::begin(state, sweep, (tar, &opening.first, opening.end), true)?;
        let end = each(tar, opening, &mut |digest| {
            let sum = sums.get(&(digest.host.clone(), digest.probe.clone()));
            rewrite.push(&match sum {
                Some(sum) if sum.last == at => sum.mean(digest, &names),
                _ => emptied(digest),
            })
        })?;
        let archived = rewrite.finish(tar, &end)?;
        saved_bytes += tar.size()?.saturating_sub(archived);
    }
    Ok(Some(saved_bytes))
}

/// Totals count: the next reading's rates are made from the last ones.
fn has_numbers(digest: &Digest) -> bool {
    let Parsed { samples, totals, histograms, .. } = &digest.parsed;
    !(samples.is_empty() && totals.is_empty() && histograms.is_empty() && digest.between.is_empty())
}

/// Every digest of a tar; returns its end.
fn each(
    tar: &Arc<TarFile>,
    opening: &Opening,
    take: &mut dyn FnMut(Digest) -> Result<(), StoreError>,
) -> Result<Member, StoreError> {
    let damaged =
        |offset: u64, what: String| StoreError::Damaged { path: tar.path().to_owned(), offset, what };
    let mut end = None;
    for step in tar.walk(opening.end, tar.size()?) {
        let member = step?.map_err(|damage| damaged(damage.offset, damage.what))?;
        match &member.entry {
            Entry::Digest(_) | Entry::Merged(_) => {
                tar.digests(&member)?.into_iter().try_for_each(&mut *take)?
            }
            Entry::End => end = Some(member),
            _ => return Err(damaged(member.offset, "not expected among digests".to_owned())),
        }
    }
    end.ok_or_else(|| damaged(opening.end, "it has no end".to_owned()))
}

/// The reading without numbers. What it said about later ones stays.
fn emptied(digest: Digest) -> Digest {
    let Parsed { facts, cursor, faults, .. } = digest.parsed;
    let parsed = Parsed { facts, cursor, faults, ..Parsed::default() };
    Digest { parsed, between: Vec::new(), ..digest }
}

impl Sum {
    fn add(&mut self, at: usize, digest: &Digest, names: &mut Names) {
        self.last = at;
        for sample in digest.parsed.samples.iter().chain(&digest.between) {
            let series = names.sample(sample);
            match self.samples.binary_search_by_key(&series, |(known, ..)| *known) {
                Ok(place) => {
                    self.samples[place].1 += sample.value;
                    self.samples[place].2 += 1;
                }
                Err(place) => self.samples.insert(place, (series, sample.value, 1)),
            }
        }
        for histogram in &digest.parsed.histograms {
            let series = names.histogram(histogram);
            match self.histograms.iter_mut().find(|(known, _)| *known == series) {
                Some((_, sum)) => *sum = added(sum, histogram),
                None => self.histograms.push((series, histogram.clone())),
            }
        }
    }

    /// The last reading with the means in the place of its numbers. A series that it lacks and an earlier
    /// one had has the mean of those that had it.
    fn mean(&self, mut digest: Digest, names: &Names) -> Digest {
        digest.parsed.samples.clear();
        digest.between.clear();
        for (series, sum, count) in &self.samples {
            let Some(sample) = names.samples.get(series) else { continue };
            let value = sum / f64::from(*count);
            // Infinities of both signs have no mean.
            if value.is_nan() {
                continue;
            }
            let of =
                if sample.span == Span::Between { &mut digest.between } else { &mut digest.parsed.samples };
            of.push(Sample { value, ..sample.clone() });
        }
        digest.parsed.histograms = self.histograms.iter().map(|(_, sum)| sum.clone()).collect();
        digest
    }
}

/// Two distributions as one. Of two whose buckets cross each other, the later one alone: no bound is made
/// up.
fn added(sum: &Histogram, later: &Histogram) -> Histogram {
    let mut buckets: Vec<Bucket> = sum.buckets.clone();
    for bucket in &later.buckets {
        match buckets.iter_mut().find(|known| known.lo == bucket.lo && known.hi == bucket.hi) {
            Some(known) => known.count = known.count.saturating_add(bucket.count),
            None => buckets.push(*bucket),
        }
    }
    buckets.sort_by(|a, b| a.lo.total_cmp(&b.lo).then(a.hi.total_cmp(&b.hi)));
    if buckets.windows(2).any(|pair| pair[0].hi > pair[1].lo) {
        return later.clone();
    }
    Histogram {
        count: sum.count.saturating_add(later.count),
        sum: sum.sum.zip(later.sum).map(|(a, b)| a + b),
        max: sum.max.zip(later.max).map(|(a, b)| a.max(b)),
        buckets,
        ..later.clone()
    }
}
