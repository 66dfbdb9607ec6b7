//! The numbers of two sides: what each series has on either, how far apart they are, and whether so few
//! hosts could say it. Sweeps are never a sample: what follows each other hangs together.

use std::collections::HashMap;

use anyhow::Result;

use super::sides::Sides;
use crate::cli::recorded::Recorded;
use crate::compare::{
    Contrast, Shift, Sorted, benjamini_hochberg, contrast, paired_shift, rank_sum, resolution, shift,
    signed_rank,
};
use crate::model::{Kind, LabelPairs, SweepId};
use crate::render::json::CompareRow;
use crate::store::index::{Described, Frame, Series};

/// Fewer hosts on a side prove nothing, whatever their numbers are.
pub(super) const LEAST: usize = 4;

/// Of the interval that a shift lies in.
const CONFIDENCE: f64 = 0.95;

/// Less likely than this, after the correction for all lines, is taken for no chance.
const UNLIKELY: f64 = 0.05;

/// One series of both sides.
pub(super) struct Line {
    pub described: Described,
    pub contrast: Contrast,
    /// In how many sweeps, or on how many hosts that are compared with themselves, B lies above A, and of how
    /// many.
    pub above: Option<[u64; 2]>,
    /// What the ranks of the hosts say; `None` below [`LEAST`] of them.
    pub test: Option<Test>,
    pub shift: Option<Shift>,
    /// After the correction for all lines.
    pub p_bh: Option<f64>,
}

/// Whether chance alone sets the sides apart, and how far they lie apart.
#[derive(Clone, Copy)]
pub(super) struct Test {
    /// `None` where no p would be true: what is of other hours of the day differs by the hours.
    pub p: Option<f64>,
    pub delta: f64,
}

impl Line {
    pub(super) fn series(&self) -> &Series {
        &self.described.series
    }

    /// It is a difference, and not one that chance makes.
    pub(super) fn is_sure(&self) -> bool {
        self.contrast.distance > 0.0 && self.p_bh.is_some_and(|p| p < UNLIKELY)
    }

    pub(super) fn row(&self) -> CompareRow {
        let interval = |shift: Shift| shift.interval.map(|it| [it.lo, shift.estimate, it.hi]);
        CompareRow {
            metric: self.series().metric.clone(),
            probe: self.series().probe.clone(),
            labels: labels_of(self.series()).into(),
            a: self.contrast.a,
            b: self.contrast.b,
            ratio: self.contrast.ratio,
            n: self.contrast.n,
            above: self.above,
            shift: self.shift.and_then(interval),
            delta: self.test.map(|test| test.delta),
            p: self.test.and_then(|test| test.p),
            p_bh: self.p_bh,
            distribution: None,
        }
    }
}

pub(super) fn labels_of(series: &Series) -> LabelPairs {
    series.labels.iter().map(|(label, value)| (label.clone().into(), value.clone())).collect()
}

/// Where the two sides stand in a frame.
struct Places {
    hosts: [Vec<usize>; 2],
    /// The nth of one side belongs to the nth of the other.
    columns: [Vec<usize>; 2],
}

pub(super) fn lines(
    recorded: &Recorded<'_>,
    sides: &Sides,
    wanted: impl Fn(&Series) -> bool,
) -> Result<Vec<Line>> {
    let reader = &recorded.reader;
    let both = [&sides.a, &sides.b];
    let mut hosts: Vec<_> = both.iter().flat_map(|side| side.hosts.iter().cloned()).collect();
    hosts.sort();
    hosts.dedup();
    let mut sweeps: Vec<_> = both.iter().flat_map(|side| side.sweeps.iter().cloned()).collect();
    sweeps.sort();
    sweeps.dedup();
    let frame = reader.frame(&hosts, &sweeps)?;
    let places = places(&frame, sides);
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    for described in reader.described()? {
        if described.series.kind == Kind::Histogram || !wanted(&described.series) {
            continue;
        }
        reader.panel(&frame, &described, &mut values)?;
        let grid = Grid { values: &values, hosts: frame.hosts().len(), places: &places };
        let sample = if sides.same_hosts { grid.twice() } else { grid.groups() };
        if !sample.a.is_empty() || !sample.b.is_empty() {
            lines.push(line(described, &sample, sides.same_hours));
        }
    }
    Ok(lines)
}

fn places(frame: &Frame, sides: &Sides) -> Places {
    let hosts = [&sides.a, &sides.b].map(|side| {
        (0..frame.hosts().len()).filter(|row| side.hosts.contains(&frame.hosts()[*row])).collect()
    });
    let columns: HashMap<&SweepId, usize> =
        frame.sweeps().iter().enumerate().map(|(column, row)| (&row.sweep, column)).collect();
    let column = |sweep| columns.get(sweep).copied();
    let both = sides.a.sweeps.iter().zip(&sides.b.sweeps);
    let (a, b) = both.filter_map(|(a, b)| column(a).zip(column(b))).unzip();
    Places { hosts, columns: [a, b] }
}

/// A number of each host: only hosts are independent of each other, the sweeps of one are not.
#[derive(Default)]
struct Sample {
    a: Vec<f64>,
    b: Vec<f64>,
    /// The nth of `a` and of `b` are of one host.
    paired: bool,
    above: Option<[u64; 2]>,
}

/// The values of one series, sweep by sweep.
struct Grid<'a> {
    values: &'a [f64],
    hosts: usize,
    places: &'a Places,
}

impl Grid<'_> {
    fn at(&self, column: usize, row: usize) -> f64 {
        self.values[column * self.hosts + row]
    }

    /// Other hosts on either side: each with its median over the sweeps.
    fn groups(&self) -> Sample {
        let [a, b] = [0, 1].map(|side| self.medians(side));
        let columns = &self.places.columns;
        let middle = |side: usize, column: usize| {
            self.places.hosts[side].iter().map(|row| self.at(column, *row)).collect::<Sorted>().median()
        };
        let both = columns[0].iter().zip(&columns[1]).filter_map(|(x, y)| middle(0, *x).zip(middle(1, *y)));
        let above = (columns[0].len() > 1).then(|| above(both));
        Sample { a, b, paired: false, above }
    }

    fn medians(&self, side: usize) -> Vec<f64> {
        let columns = &self.places.columns[side];
        let of =
            |row: &usize| columns.iter().map(|column| self.at(*column, *row)).collect::<Sorted>().median();
        self.places.hosts[side].iter().filter_map(of).collect()
    }

    /// The same hosts on both sides: each with its medians over the sweeps that it has on both. A series that
    /// only one side has is shown as that.
    fn twice(&self) -> Sample {
        let [first, second] = &self.places.columns;
        let of = |row: &usize| {
            let both = || {
                let pairs = first.iter().zip(second).map(|(x, y)| (self.at(*x, *row), self.at(*y, *row)));
                pairs.filter(|(x, y)| !x.is_nan() && !y.is_nan())
            };
            let a = both().map(|pair| pair.0).collect::<Sorted>().median()?;
            let b = both().map(|pair| pair.1).collect::<Sorted>().median()?;
            Some((a, b))
        };
        let pairs: Vec<(f64, f64)> = self.places.hosts[0].iter().filter_map(of).collect();
        if pairs.is_empty() {
            return self.one_side();
        }
        let above = Some(above(pairs.iter().copied()));
        let (a, b) = pairs.into_iter().unzip();
        Sample { a, b, paired: true, above }
    }

    /// Where no host has both.
    fn one_side(&self) -> Sample {
        let [a, b] = [0, 1].map(|side| self.medians(side));
        Sample { a, b, paired: false, above: None }
    }
}

/// In how many of the pairs the second is larger, and of how many.
fn above(pairs: impl Iterator<Item = (f64, f64)>) -> [u64; 2] {
    pairs.fold([0, 0], |[above, all], (a, b)| [above + u64::from(b > a), all + 1])
}

fn line(described: Described, sample: &Sample, same_hours: bool) -> Line {
    let (unit, series) = (&described.metric.unit, &described.series);
    let contrast = contrast(&sample.a, &sample.b, resolution(unit, series.kind, series.span));
    let enough = sample.a.len().min(sample.b.len()) >= LEAST;
    let (test, shift) = if enough { tested(sample, same_hours) } else { (None, None) };
    Line { described, contrast, above: sample.above, test, shift, p_bh: None }
}

fn tested(sample: &Sample, same_hours: bool) -> (Option<Test>, Option<Shift>) {
    let (p, delta, mut shift) = if sample.paired {
        // Two infinities that are the same do not differ.
        let apart = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { b - a };
        let differences: Sorted = sample.a.iter().zip(&sample.b).map(apart).collect();
        let Some(found) = signed_rank(&differences) else { return (None, None) };
        (found.p, found.delta, paired_shift(&differences, CONFIDENCE))
    } else {
        let [a, b] = [&sample.a, &sample.b].map(|side| side.iter().copied().collect::<Sorted>());
        let Some(found) = rank_sum(&a, &b) else { return (None, None) };
        (found.p, found.delta, shift(&a, &b, CONFIDENCE))
    };
    if !same_hours {
        // An interval is as true as the p that it belongs to.
        shift = shift.map(|it| Shift { interval: None, ..it });
    }
    (Some(Test { p: same_hours.then_some(p), delta }), shift)
}

/// Corrects the chances for how many lines there are, and puts the most different first: of those that no
/// chance makes, then of the others.
pub(super) fn finish(lines: &mut [Line]) {
    let chance = |at: usize, line: &Line| line.test.and_then(|test| test.p).map(|p| (at, p));
    let tested = lines.iter().enumerate().filter_map(|(at, line)| chance(at, line));
    let (tested, chances): (Vec<usize>, Vec<f64>) = tested.unzip();
    for (at, p_bh) in tested.into_iter().zip(benjamini_hochberg(&chances)) {
        lines[at].p_bh = Some(p_bh);
    }
    let one_sided = |line: &Line| line.contrast.n.contains(&0);
    lines.sort_by(|x, y| {
        let farther = y.contrast.distance.total_cmp(&x.contrast.distance);
        let surer = y.is_sure().cmp(&x.is_sure());
        surer.then(farther).then_with(|| (one_sided(x), x.series()).cmp(&(one_sided(y), y.series())))
    });
}

/// Metrics that changed their unit or kind from one side to the other, and how.
pub(super) fn changed_meaning(lines: &[Line]) -> Vec<String> {
    let mut sides: HashMap<&str, [Option<(&str, Kind)>; 2]> = HashMap::new();
    for line in lines {
        let meaning = (line.described.metric.unit.as_str(), line.series().kind);
        let sides = sides.entry(line.series().metric.as_str()).or_default();
        match line.contrast.n {
            [_, 0] => sides[0] = Some(meaning),
            [0, _] => sides[1] = Some(meaning),
            _ => *sides = [Some(meaning); 2],
        }
    }
    let changed = |(name, sides): (&str, [Option<(&str, Kind)>; 2])| match sides {
        [Some(a), Some(b)] if a != b => Some(format!(
            "{name} is a {} in {} on A and a {} in {} on B: not compared",
            a.1.as_str(),
            unit(a.0),
            b.1.as_str(),
            unit(b.0)
        )),
        _ => None,
    };
    let mut changed: Vec<String> = sides.into_iter().filter_map(changed).collect();
    changed.sort();
    changed
}

fn unit(unit: &str) -> &str {
    if unit.is_empty() { "no unit" } else { unit }
}
