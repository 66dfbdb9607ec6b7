//! One subject of many hosts over many sweeps: what a chart, a band and a rule are made from.

use super::outliers::{About, Moment, Subject};
use super::{Grid, Sorted};
use crate::model::HostName;

/// Fewer hosts in a sweep than these are told apart from the rest no more: each has five peers.
const ENOUGH_HOSTS: usize = 6;

/// The values of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    pub subject: Subject,
    pub about: About,
    /// The oldest first.
    pub sweeps: Vec<Moment>,
    pub hosts: Vec<HostName>,
    /// Sweep by sweep, in each host by host; absent is no number.
    values: Vec<f64>,
}

/// Where the middle of the hosts lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    pub p10: f64,
    pub p50: f64,
    pub p90: f64,
}

impl Course {
    /// `values` must be whole sweeps.
    pub fn new(
        (subject, about): (Subject, About),
        sweeps: Vec<Moment>,
        hosts: Vec<HostName>,
        values: Vec<f64>,
    ) -> Self {
        assert!(values.len() == sweeps.len() * hosts.len(), "whole sweeps");
        Self { subject, about, sweeps, hosts, values }
    }

    /// All hosts in one sweep.
    pub fn sweep(&self, column: usize) -> &[f64] {
        &self.values[column * self.hosts.len()..(column + 1) * self.hosts.len()]
    }

    /// One host in one sweep.
    pub fn at(&self, column: usize, row: usize) -> Option<f64> {
        Some(self.sweep(column)[row]).filter(|value| value.is_finite())
    }

    /// One host, the oldest sweep first.
    pub fn history(&self, row: usize) -> Vec<Option<f64>> {
        (0..self.sweeps.len()).map(|column| self.at(column, row)).collect()
    }

    pub fn row(&self, host: &HostName) -> Option<usize> {
        self.hosts.iter().position(|it| it == host)
    }

    /// The hosts' values in a sweep, absent ones left out.
    pub fn present(&self, column: usize) -> impl Iterator<Item = f64> + '_ {
        self.sweep(column).iter().copied().filter(|value| value.is_finite())
    }

    /// `None` in a sweep without values.
    pub fn band(&self, column: usize) -> Option<Band> {
        band(&self.present(column).collect())
    }

    /// The same of some hosts.
    pub fn band_of(&self, column: usize, rows: &[usize]) -> Option<Band> {
        band(&rows.iter().filter_map(|row| self.at(column, *row)).collect())
    }

    /// The median of some hosts, sweep by sweep.
    pub fn median_of(&self, rows: &[usize]) -> Vec<Option<f64>> {
        let of = |column| rows.iter().filter_map(|row| self.at(column, *row)).collect::<Sorted>().median();
        (0..self.sweeps.len()).map(of).collect()
    }

    /// The sweeps that say something about the hosts of the last one: enough of them were in it. A sweep
    /// of a few others, or of other probes, is no part of their history.
    pub fn telling(&self) -> Vec<usize> {
        let Some(last) = self.sweeps.len().checked_sub(1) else { return Vec::new() };
        let now: Vec<usize> = (0..self.hosts.len()).filter(|row| self.at(last, *row).is_some()).collect();
        let need = ENOUGH_HOSTS.min(now.len().div_ceil(2)).max(1);
        let tells = |column: &usize| {
            let values = self.sweep(*column);
            *column == last || now.iter().filter(|row| values[**row].is_finite()).take(need).count() == need
        };
        (0..self.sweeps.len()).filter(tells).collect()
    }

    /// The values of some sweeps, host by host, as a [`Grid`] takes them.
    pub fn by_host(&self, columns: &[usize]) -> Vec<f64> {
        let (hosts, sweeps) = (self.hosts.len(), columns.len());
        let mut grid = vec![f64::NAN; hosts * sweeps];
        // A few hosts at a time, so that what is written stays in the cache.
        for first in (0..hosts).step_by(64) {
            let rows = first..hosts.min(first + 64);
            for (at, column) in columns.iter().enumerate() {
                let values = &self.sweep(*column)[rows.clone()];
                for (row, value) in rows.clone().zip(values) {
                    grid[row * sweeps + at] = *value;
                }
            }
        }
        debug_assert_eq!(Grid::new(&grid, sweeps).sweeps(), sweeps);
        grid
    }

    /// What it held, to be filled again.
    pub fn into_values(self) -> Vec<f64> {
        self.values
    }
}

fn band(sorted: &Sorted) -> Option<Band> {
    let last = sorted.len().checked_sub(1)?;
    let at = |share: f64| sorted.iter().nth((share * last as f64).round() as usize);
    Some(Band { p10: at(0.1)?, p50: sorted.median()?, p90: at(0.9)? })
}
