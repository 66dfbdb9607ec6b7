//! What a page draws of one finding. The values of every host in every sweep would be gigabytes before
//! they are a line, so only these sums are kept: the last sweep host by host, and of the others where most peers
//! were. It holds no text of a page.

use std::collections::BTreeSet;

use crate::compare::{Band, Course, Moment, Outlier};
use crate::model::HostName;

#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    pub(super) sweeps: Vec<Moment>,
    pub(super) hosts: Vec<HostName>,
    /// Host by host, in the judged sweep; absent is no number.
    pub(super) last: Vec<f64>,
    /// Of all hosts, in the judged sweep.
    pub(super) all: Option<Band>,
    /// Of the peers, sweep by sweep: in a small fleet a few outliers are more than a tenth of it.
    pub(super) peers: Vec<Option<Band>>,
}

impl Picture {
    /// `None` where there is no sweep.
    pub fn of(it: &Outlier, course: &Course) -> Option<Self> {
        let last = course.sweeps.len().checked_sub(1)?;
        let outliers: BTreeSet<&HostName> = it.hosts.iter().map(|it| &it.host).collect();
        let peers: Vec<usize> =
            (0..course.hosts.len()).filter(|row| !outliers.contains(&course.hosts[*row])).collect();
        Some(Self {
            sweeps: course.sweeps.clone(),
            hosts: course.hosts.clone(),
            last: course.sweep(last).to_vec(),
            all: course.band(last),
            peers: (0..course.sweeps.len()).map(|column| course.band_of(column, &peers)).collect(),
        })
    }

    /// The hosts' values, absent ones left out.
    pub(super) fn present(&self) -> impl Iterator<Item = f64> + '_ {
        self.last.iter().copied().filter(|value| value.is_finite())
    }
}
