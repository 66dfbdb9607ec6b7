//! The numbers of two sides: what each series has on either, how far apart they are, and whether so few
//! numbers could say it.

use std::collections::HashMap;

use anyhow::Result;

use super::sides::{Side, Sides};
use crate::cli::recorded::Recorded;
use crate::compare::{
    Contrast, RankSum, Shift, Sorted, benjamini_hochberg, contrast, rank_sum, resolution, shift,
};
use crate::model::{Kind, LabelPairs};
use crate::render::json::CompareRow;
use crate::store::index::{Described, Frame, Series};

/// Fewer numbers on a side prove nothing, whatever they are.
pub(super) const LEAST: usize = 4;

/// Of the interval that a shift lies in.
const CONFIDENCE: f64 = 0.95;

/// One series of both sides.
pub(super) struct Line {
    pub described: Described,
    pub contrast: Contrast,
    /// What the two sides' ranks say; `None` below [`LEAST`].
    pub test: Option<RankSum>,
    pub shift: Option<Shift>,
    /// After the correction for all lines.
    pub p_bh: Option<f64>,
}

impl Line {
    pub(super) fn series(&self) -> &Series {
        &self.described.series
    }

    /// It is a difference, and not one that chance makes.
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
            shift: self.shift.and_then(interval),
            delta: self.test.map(|test| test.delta),
            p: self.test.map(|test| test.p),
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
    let places = places(&frame, both);
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    for described in reader.described()? {
        if described.series.kind == Kind::Histogram || !wanted(&described.series) {
            continue;
        }
        reader.panel(&frame, &described, &mut values)?;
        let [a, b] = samples(&values, frame.hosts().len(), &places);
        if !a.is_empty() || !b.is_empty() {
            lines.push(line(described, &a, &b));
        }
    }
    Ok(lines)
}

fn places(frame: &Frame, sides: [&Side; 2]) -> Places {
    let hosts = sides.map(|side| {
        (0..frame.hosts().len()).filter(|row| side.hosts.contains(&frame.hosts()[*row])).collect()
    });
    let columns = sides.map(|side| {
        (0..frame.sweeps().len()).filter(|at| side.sweeps.contains(&frame.sweeps()[*at].sweep)).collect()
    });
    Places { hosts, columns }
}

/// Each side's numbers. They should not hang together: with enough hosts each gives one, its median over the
/// sweeps; with fewer the sweeps give one each, the hosts' median.
fn samples(values: &[f64], hosts: usize, places: &Places) -> [Vec<f64>; 2] {
    let at = |column: usize, row: usize| values[column * hosts + row];
    let known = |value: &f64| !value.is_nan();
    let by_host = |side: usize| -> Vec<f64> {
        let of = |row: &usize| {
            places.columns[side].iter().map(|column| at(*column, *row)).collect::<Sorted>().median()
        };
        places.hosts[side].iter().filter_map(of).filter(known).collect()
    };
    let by_sweep = |side: usize| -> Vec<f64> {
        let of = |column: &usize| {
            places.hosts[side].iter().map(|row| at(*column, *row)).collect::<Sorted>().median()
        };
        places.columns[side].iter().filter_map(of).filter(known).collect()
    };
    let [a, b] = [by_host(0), by_host(1)];
    let once = places.columns.iter().all(|columns| columns.len() < 2);
    if once || a.len().min(b.len()) >= LEAST { [a, b] } else { [by_sweep(0), by_sweep(1)] }
}

fn line(described: Described, a: &[f64], b: &[f64]) -> Line {
    let (unit, series) = (&described.metric.unit, &described.series);
    let contrast = contrast(a, b, resolution(unit, series.kind, series.span));
    let sorted = |side: &[f64]| side.iter().copied().collect::<Sorted>();
    let (a, b) = (sorted(a), sorted(b));
    let enough = a.len().min(b.len()) >= LEAST;
    let test = enough.then(|| rank_sum(&a, &b)).flatten();
    let shift = enough.then(|| shift(&a, &b, CONFIDENCE)).flatten();
    Line { described, contrast, test, shift, p_bh: None }
}

/// Corrects the chances for how many lines there are, and puts the most different first.
pub(super) fn finish(lines: &mut [Line]) {
    let tested: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].test.is_some()).collect();
    let chances: Vec<f64> = tested.iter().filter_map(|at| lines[*at].test.map(|test| test.p)).collect();
    for (at, p_bh) in tested.into_iter().zip(benjamini_hochberg(&chances)) {
        lines[at].p_bh = Some(p_bh);
    }
    let one_sided = |line: &Line| line.contrast.n.contains(&0);
    lines.sort_by(|x, y| {
        let farther = y.contrast.distance.total_cmp(&x.contrast.distance);
        farther.then_with(|| (one_sided(x), x.series()).cmp(&(one_sided(y), y.series())))
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
