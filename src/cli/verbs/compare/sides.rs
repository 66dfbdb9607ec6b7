//! The two sides of a comparison: which hosts, in which sweeps.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;

use super::Compare;
use crate::cli::Context;
use crate::cli::failure::Usage;
use crate::cli::recorded::Recorded;
use crate::model::{CollectorTime, HostName, Outcome, SweepId};
use crate::select::fold;
use crate::store::index::{ReadingRow, SweepRow};
use crate::survey;

/// Sweeps among which one with both sides is looked for.
const LOOK_BACK: usize = 200;

/// Sweeps before and after a change that are looked at, unless `--over` says how long.
const AROUND: usize = 24;

/// One side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side {
    pub hosts: BTreeSet<HostName>,
    /// The oldest first; never empty.
    pub sweeps: Vec<SweepId>,
}

impl Side {
    fn text(&self, name: &str, differ: bool) -> String {
        let hosts = format!("{name} {} ({})", fold(&self.hosts), self.hosts.len());
        match self.sweeps.as_slice() {
            [only] if differ => format!("{hosts} in {only}"),
            [first, .., last] => format!("{hosts} in {} sweeps, {first} to {last}", self.sweeps.len()),
            _ => hosts,
        }
    }
}

/// Both sides.
pub(super) struct Sides {
    pub a: Side,
    pub b: Side,
}

impl Sides {
    /// Whether both are of one sweep.
    pub(super) fn at_once(&self) -> Option<&SweepId> {
        match (self.a.sweeps.as_slice(), self.b.sweeps.as_slice()) {
            ([a], [b]) if a == b => Some(a),
            _ => None,
        }
    }

    pub(super) fn title(&self) -> String {
        let differ = self.at_once().is_none();
        let sides = format!("{} · {}", self.a.text("A", differ), self.b.text("B", differ));
        match self.at_once() {
            Some(sweep) => format!("{sides} · sweep {sweep}\n"),
            None => format!("{sides}\n"),
        }
    }
}

impl Compare {
    /// Two times of the same hosts, two groups at one time, or both at once.
    pub(super) fn sides(&self, context: &Context, recorded: &Recorded<'_>) -> Result<Sides> {
        let given = self.sweep.as_deref().map(|text| recorded.sweep(text)).transpose()?;
        match (&self.b, &self.at, &self.to) {
            (None, None, _) => {
                let why = "expected B, or --at TIME to compare A before and after it";
                Err(Usage(why.to_owned()).into())
            }
            (b, Some(at), Some(to)) => {
                let sweep = |text: &str| sweep_at(recorded, text);
                let (first, second) = (sweep(at)?, sweep(to)?);
                if first.sweep == second.sweep && b.is_none() {
                    let why = format!("--at {at} and --to {to} are the same sweep, {}", first.sweep);
                    return Err(Usage(why).into());
                }
                let a = self.side(recorded, &self.a, &first)?;
                let b = self.side(recorded, b.as_ref().unwrap_or(&self.a), &second)?;
                Ok(Sides { a, b })
            }
            (None, Some(at), None) => self.around(recorded, at),
            (Some(b), at, _) => {
                let given = match at {
                    Some(at) => Some(sweep_at(recorded, at)?),
                    None => given,
                };
                self.at_once(context, recorded, b, given)
            }
        }
    }

    /// Two groups in one sweep, or in those up to it.
    fn at_once(
        &self,
        context: &Context,
        recorded: &Recorded<'_>,
        b: &str,
        given: Option<SweepRow>,
    ) -> Result<Sides> {
        let side = |selector: &str| -> Result<BTreeSet<HostName>> {
            Ok(recorded.hosts(selector, given.as_ref())?.into_iter().collect())
        };
        let (mut ours, mut theirs) = (side(&self.a)?, side(b)?);
        let shared: BTreeSet<HostName> = theirs.intersection(&ours).cloned().collect();
        // `compare @web web06` asks for web06 against the rest of its group.
        let (larger, name) = if ours.len() > theirs.len() { (&mut ours, "B") } else { (&mut theirs, "A") };
        larger.retain(|host| !shared.contains(host));
        if larger.is_empty() {
            return Err(Usage(format!("{} and {b} are the same hosts", self.a)).into());
        }
        if !shared.is_empty() {
            context.remark(&format!("{} is on both sides: counted for {name} only", fold(shared)));
        }
        let last = match given {
            Some(sweep) => sweep,
            None => newest_with(recorded, &ours, &theirs)?,
        };
        let sweeps = self.up_to(recorded, &last)?;
        Ok(Sides { a: Side { hosts: ours, sweeps: sweeps.clone() }, b: Side { hosts: theirs, sweeps } })
    }

    /// One side at one moment.
    fn side(&self, recorded: &Recorded<'_>, selector: &str, sweep: &SweepRow) -> Result<Side> {
        let hosts = recorded.hosts(selector, Some(sweep))?.into_iter().collect();
        Ok(Side { hosts, sweeps: self.up_to(recorded, sweep)? })
    }

    /// The sweep, and with `--over` those before it.
    fn up_to(&self, recorded: &Recorded<'_>, last: &SweepRow) -> Result<Vec<SweepId>> {
        let Some(over) = self.over else { return Ok(vec![last.sweep.clone()]) };
        let sweeps = survey::history(&recorded.reader, last, over)?;
        Ok(sweeps.into_iter().map(|row| row.sweep).collect())
    }

    /// The same hosts before a change and after it.
    fn around(&self, recorded: &Recorded<'_>, text: &str) -> Result<Sides> {
        let at = recorded.moment(text)?;
        let hosts: BTreeSet<HostName> = recorded.hosts(&self.a, None)?.into_iter().collect();
        let width = self.over.unwrap_or(survey::WEEK);
        let ns = i64::try_from(width.as_nanos()).unwrap_or(i64::MAX);
        let from = CollectorTime::from_unix_ns(at.unix_ns().saturating_sub(ns));
        let until = CollectorTime::from_unix_ns(at.unix_ns().saturating_add(ns));
        let sweeps = survey::sweeps_in(&recorded.reader, from, until)?;
        let (mut before, mut after): (Vec<SweepRow>, Vec<SweepRow>) =
            sweeps.into_iter().partition(|sweep| sweep.started < at);
        if self.over.is_none() {
            before.drain(..before.len().saturating_sub(AROUND));
            after.truncate(AROUND);
        }
        let width = crate::model::duration_text(width);
        for (sweeps, where_) in [(&before, "before"), (&after, "since")] {
            if sweeps.is_empty() {
                let why = format!("no sweep within {width} {where_} {}; --over looks farther", at.rfc3339());
                return Err(Usage(why).into());
            }
        }
        let ids = |sweeps: Vec<SweepRow>| sweeps.into_iter().map(|row| row.sweep).collect();
        Ok(Sides {
            a: Side { hosts: hosts.clone(), sweeps: ids(before) },
            b: Side { hosts, sweeps: ids(after) },
        })
    }
}

/// The sweep that a text names, or the last one up to the time that it says.
fn sweep_at(recorded: &Recorded<'_>, text: &str) -> Result<SweepRow> {
    let at = recorded.moment(text)?;
    let sweeps = survey::sweeps_in(&recorded.reader, CollectorTime::from_unix_ns(i64::MIN), at)?;
    // One that is named is meant, also where it is none of the regular ones.
    let named = recorded.sweep(text).ok();
    named.or(sweeps.into_iter().next_back()).ok_or_else(|| {
        Usage(format!("no sweep was recorded up to {}; `dropsonde sweeps` lists them", at.rfc3339())).into()
    })
}

/// An ad-hoc sweep of one host is often the newest: the newest in which both sides answered is asked.
fn newest_with(recorded: &Recorded<'_>, a: &BTreeSet<HostName>, b: &BTreeSet<HostName>) -> Result<SweepRow> {
    for sweep in recorded.reader.sweeps(LOOK_BACK)? {
        let ledger = recorded.reader.ledger(&sweep.sweep)?;
        let answered =
            |side: &BTreeSet<HostName>| ledger.iter().any(|row| has_numbers(row) && side.contains(&row.host));
        if answered(a) && answered(b) {
            return Ok(sweep);
        }
    }
    let why = format!("none of the last {LOOK_BACK} sweeps has samples of both sides");
    Err(Usage(format!("{why}; --sweep names an older one")).into())
}

/// A reading may have histograms only, which are no samples.
fn has_numbers(row: &ReadingRow) -> bool {
    row.samples > 0 || row.outcome == Outcome::Ok
}

/// `--over`.
pub(super) fn over(text: &str) -> Result<Duration, String> {
    crate::model::parse_duration(text).map_err(|error| error.to_string())
}
