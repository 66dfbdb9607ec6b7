//! The two sides of a comparison: which hosts, in which sweeps.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;

use super::Compare;
use crate::cli::Context;
use crate::cli::failure::Usage;
use crate::cli::recorded::Recorded;
use crate::model::{CollectorTime, HostName, Outcome, SweepId};
use crate::render::counted;
use crate::select::fold;
use crate::store::index::{ReadingRow, SweepRow};
use crate::survey;

/// Sweeps among which one with both sides is looked for.
const LOOK_BACK: usize = 200;

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
            [first, .., last] => {
                format!("{hosts} in {}, {first} to {last}", counted(self.sweeps.len(), "sweep"))
            }
            _ => hosts,
        }
    }
}

/// Both sides.
pub(super) struct Sides {
    pub a: Side,
    pub b: Side,
    /// Each host stands on both sides and is compared with itself; the nth sweep of one side belongs to the nth
    /// of the other.
    pub same_hosts: bool,
    /// Whether both sides are of the same hours of the day.
    pub same_hours: bool,
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
            None if self.a.sweeps != self.b.sweeps && self.same_hours => {
                format!("{sides} · the same hours of the day\n")
            }
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
            (b, Some(at), Some(to)) => self.two_times(context, recorded, b.as_deref(), [at, to]),
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
        self.part(context, b, [&mut ours, &mut theirs])?;
        let last = match given {
            Some(sweep) => sweep,
            None => newest_with(recorded, &ours, &theirs)?,
        };
        let sweeps = ids(self.up_to(recorded, &last)?);
        let (a, b) = (Side { hosts: ours, sweeps: sweeps.clone() }, Side { hosts: theirs, sweeps });
        Ok(Sides { a, b, same_hosts: false, same_hours: true })
    }

    /// A at one time, and A or B at another.
    fn two_times(
        &self,
        context: &Context,
        recorded: &Recorded<'_>,
        b: Option<&str>,
        [at, to]: [&str; 2],
    ) -> Result<Sides> {
        let (first, second) = (sweep_at(recorded, at)?, sweep_at(recorded, to)?);
        let hosts = |selector: &str, sweep| -> Result<BTreeSet<HostName>> {
            Ok(recorded.hosts(selector, Some(sweep))?.into_iter().collect())
        };
        let (mut ours, mut theirs) = (hosts(&self.a, &first)?, hosts(b.unwrap_or(&self.a), &second)?);
        // A label may have moved from host to host meanwhile; A is A all the same.
        let same_hosts = b.is_none() || ours == theirs;
        if first.sweep == second.sweep && same_hosts {
            let why = format!("--at {at} and --to {to} are the same sweep, {}", first.sweep);
            return Err(Usage(why).into());
        }
        if let Some(b) = b.filter(|_| !same_hosts) {
            self.part(context, b, [&mut ours, &mut theirs])?;
        }
        let (before, after) = (self.up_to(recorded, &first)?, self.up_to(recorded, &second)?);
        if first.sweep != second.sweep && before.iter().any(|sweep| after.contains(sweep)) {
            let apart_s = first.started.unix_s().abs_diff(second.started.unix_s());
            let apart = crate::model::duration_text(Duration::from_secs(apart_s));
            let why = format!("--over is longer than the {apart} from --at to --to: the sides overlap");
            return Err(Usage(why).into());
        }
        let survey::Windows { a, b, same_hours } = survey::aligned(before, after);
        let (a, b) = (Side { hosts: ours, sweeps: ids(a) }, Side { hosts: theirs, sweeps: ids(b) });
        Ok(Sides { a, b, same_hosts, same_hours })
    }

    /// `compare @web web06` asks for web06 against the rest of its group: who is on both sides counts for the
    /// smaller one.
    fn part(&self, context: &Context, b: &str, sides: [&mut BTreeSet<HostName>; 2]) -> Result<()> {
        let [ours, theirs] = sides;
        let shared: BTreeSet<HostName> = theirs.intersection(ours).cloned().collect();
        let (larger, name) = if ours.len() > theirs.len() { (ours, "B") } else { (theirs, "A") };
        larger.retain(|host| !shared.contains(host));
        if larger.is_empty() {
            return Err(Usage(format!("{} and {b} are the same hosts", self.a)).into());
        }
        if !shared.is_empty() {
            let are = if shared.len() == 1 { "is" } else { "are" };
            context.remark(&format!("{} {are} on both sides: counted for {name} only", fold(shared)));
        }
        Ok(())
    }

    /// The sweep, and with `--over` those before it.
    fn up_to(&self, recorded: &Recorded<'_>, last: &SweepRow) -> Result<Vec<SweepRow>> {
        let Some(over) = self.over else { return Ok(vec![last.clone()]) };
        Ok(survey::history(&recorded.reader, last, over)?)
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
        let before = sweeps.iter().any(|sweep| sweep.started < at);
        let since = sweeps.iter().any(|sweep| sweep.started >= at);
        let width = crate::model::duration_text(width);
        for (there, where_) in [(before, "before"), (since, "since")] {
            if !there {
                let why = format!("no sweep within {width} {where_} {}; --over looks farther", at.rfc3339());
                return Err(Usage(why).into());
            }
        }
        let survey::Windows { a, b, same_hours } = survey::around(sweeps, at, self.over);
        let (a, b) = (Side { hosts: hosts.clone(), sweeps: ids(a) }, Side { hosts, sweeps: ids(b) });
        Ok(Sides { a, b, same_hosts: true, same_hours })
    }
}

fn ids(sweeps: Vec<SweepRow>) -> Vec<SweepId> {
    sweeps.into_iter().map(|row| row.sweep).collect()
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
    let over = crate::model::parse_duration(text).map_err(|error| error.to_string())?;
    if over.is_zero() { Err("a time longer than 0 is needed".to_owned()) } else { Ok(over) }
}
