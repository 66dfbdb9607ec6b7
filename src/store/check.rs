//! Verifies the archive against the index. It changes nothing, so it works on a read-only directory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::archive::{Damage, Entry, Member, TarFile};
use super::index::{Reader, ReadingRow, SweepRow, baseline_fault};
use super::{Journal, StateDir, StoreError};
use crate::model::{HostName, Outcome, Plan, ProbeName, SweepId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What a stopped collector leaves: nothing acknowledged is lost, and the next start mends it.
    Note,
    /// The index is not what the archive says: it can be rebuilt.
    Index,
    /// The archive itself is broken: what stood there is lost.
    Archive,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// The sweep it is about; `None` for the index as a whole.
    pub sweep: Option<SweepId>,
    pub what: String,
    pub remedy: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    pub sweeps: u64,
    /// Sweeps that a live collector is recording: looked at as far as they are indexed.
    pub running: u64,
    pub readings: u64,
    pub bytes: u64,
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Nothing lost and nothing to rebuild.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }

    fn find(&mut self, severity: Severity, sweep: Option<&SweepId>, what: String) {
        let remedy = match severity {
            Severity::Note => "the next collector that starts here mends it",
            Severity::Index => "run `dropsonde reindex`",
            Severity::Archive => {
                "restore this tar from a backup, then run `dropsonde reindex`; the other readings are whole"
            }
        };
        self.findings.push(Finding { severity, sweep: sweep.cloned(), what, remedy });
    }
}

/// Looks at everything in the state directory; `deep` also reads every member and compares its hash.
pub fn check(root: &Path, deep: bool) -> Result<CheckReport, StoreError> {
    let state = StateDir::at(root);
    let mut report = CheckReport::default();
    let sweeps = state.sweeps()?;
    let reader = open_index(root, sweeps.is_empty(), &mut report)?;
    let mut indexed: HashMap<SweepId, SweepRow> = HashMap::new();
    if let Some(reader) = &reader {
        indexed = reader.sweeps(usize::MAX)?.into_iter().map(|row| (row.sweep.clone(), row)).collect();
    }
    let pruned = interrupted_prune(&state, &mut report)?;
    for sweep in &sweeps {
        let row = indexed.remove(sweep);
        if pruned.contains(sweep) {
            continue;
        }
        let archived = read_sweep(&state, (sweep, row.as_ref()), deep, &mut report)?;
        if let Some(reader) = &reader {
            compare(sweep, &archived, row.as_ref(), reader, &mut report)?;
        }
    }
    let mut gone: Vec<_> = indexed.into_keys().filter(|sweep| !pruned.contains(sweep)).collect();
    gone.sort();
    for sweep in gone {
        report.find(Severity::Archive, Some(&sweep), "the index has it, the archive does not".to_owned());
    }
    report.sweeps = sweeps.len() as u64;
    if let Some(fault) = deep.then(|| baseline_fault(&state)).flatten() {
        report.find(Severity::Index, None, fault);
    }
    Ok(report)
}

/// Sweeps that a prune had decided about and was stopped in: they are as they were, or as they will be.
fn interrupted_prune(state: &StateDir, report: &mut CheckReport) -> Result<HashSet<SweepId>, StoreError> {
    let Some(journal) = Journal::read(state)? else { return Ok(HashSet::new()) };
    let what = format!("a prune of {} sweeps was stopped in the middle", journal.sweeps.len());
    report.find(Severity::Note, None, what);
    Ok(journal.sweeps.into_iter().collect())
}

fn open_index(root: &Path, empty: bool, report: &mut CheckReport) -> Result<Option<Reader>, StoreError> {
    let reader = match Reader::open(root) {
        Ok(reader) => reader,
        Err(StoreError::NoIndex { .. }) if empty => return Ok(None),
        Err(error @ StoreError::NewerIndex { .. }) => return Err(error),
        Err(error) => {
            report.find(Severity::Index, None, error.to_string());
            return Ok(None);
        }
    };
    match reader.integrity() {
        Ok(faults) if faults.is_empty() => Ok(Some(reader)),
        Ok(faults) => {
            faults.into_iter().for_each(|fault| report.find(Severity::Index, None, fault));
            Ok(Some(reader))
        }
        // SQLite cannot even look: asking it about single sweeps would only say the same again.
        Err(error) => {
            report.find(Severity::Index, None, error.to_string());
            Ok(None)
        }
    }
}

/// What a sweep's tar holds.
#[derive(Default)]
struct Archived {
    plan: Option<Plan>,
    readings: BTreeMap<(HostName, ProbeName), Place>,
    /// There are digests, which only a deep look reads: they are whole sweeps' numbers.
    unread: bool,
    running: bool,
    closed: bool,
    /// Where something is not whole, and what.
    broken: Vec<(u64, String)>,
}

/// A reading as the archive has it.
struct Place {
    /// Where its member begins; 0 for one whose bytes were pruned.
    offset: u64,
    /// Where the member begins that it stands in.
    member: u64,
    outcome: Option<Outcome>,
}

fn read_sweep(
    state: &StateDir,
    (sweep, row): (&SweepId, Option<&SweepRow>),
    deep: bool,
    report: &mut CheckReport,
) -> Result<Archived, StoreError> {
    let tar = TarFile::open(state, sweep)?;
    // Asked before the length: a sweep that ends in between is then only looked at less closely.
    let mut archived = Archived { running: !tar.is_idle(), ..Archived::default() };
    let len = tar.size()?;
    let mut walk = tar.walk(0, len);
    let mut tail = None;
    for step in walk.by_ref() {
        match step? {
            Ok(member) => take_member(&tar, member, (sweep, deep), &mut archived, report)?,
            Err(damage) if damage.end == len => tail = Some(damage),
            Err(damage) => archived.broken.push((damage.offset, describe(&tar, &damage))),
        }
    }
    archived.closed = walk.closed();
    report_broken((sweep, row), &mut archived, report);
    report.running += u64::from(archived.running);
    report.readings += archived.readings.len() as u64;
    report.bytes += len;
    if !archived.closed && !archived.running {
        // It was whole once if the index has seen its end; else a collector was stopped.
        let was_closed = row.is_some_and(|row| row.ended.is_some());
        let severity = if was_closed { Severity::Archive } else { Severity::Note };
        let torn = tail.map_or_else(|| "it has no end".to_owned(), |damage| describe(&tar, &damage));
        report.find(severity, Some(sweep), torn);
    } else if archived.plan.is_none() && !archived.running {
        report.find(Severity::Archive, Some(sweep), format!("{}: no plan", tar.path().display()));
    }
    Ok(archived)
}

/// What a collector had not synced when the power went may have holes; it was not acknowledged, and the next
/// start closes them. All else that is not whole was whole once.
fn report_broken(
    (sweep, row): (&SweepId, Option<&SweepRow>),
    archived: &mut Archived,
    report: &mut CheckReport,
) {
    let stopped = !archived.closed && !archived.running && row.is_none_or(|row| row.ended.is_none());
    let vouched = row.map_or(0, |row| row.archived);
    for (offset, what) in std::mem::take(&mut archived.broken) {
        let severity = if stopped && offset >= vouched { Severity::Note } else { Severity::Archive };
        report.find(severity, Some(sweep), what);
    }
}

fn describe(tar: &TarFile, damage: &Damage) -> String {
    format!("{}, bytes {} to {}: {}", tar.path().display(), damage.offset, damage.end, damage.what)
}

fn take_member(
    tar: &Arc<TarFile>,
    member: Member,
    (sweep, deep): (&SweepId, bool),
    archived: &mut Archived,
    report: &mut CheckReport,
) -> Result<(), StoreError> {
    let small = !matches!(member.entry, Entry::Reading(..));
    let digest = matches!(member.entry, Entry::Digest(_) | Entry::Merged(_));
    archived.unread |= digest && !deep;
    if deep || (small && !digest) {
        let sound = if digest { tar.digests(&member).map(drop) } else { tar.data(&member).map(drop) };
        match sound {
            Ok(()) => {}
            // Its facts are whole: the reading is still known by its outcome.
            Err(error @ StoreError::Damaged { .. }) => {
                archived.broken.push((member.offset, error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    match &member.entry {
        Entry::Plan => archived.plan = tar.json(&member).ok(),
        Entry::Reading(host, probe) => {
            let place =
                Place { offset: member.offset, member: member.offset, outcome: member.facts.outcome() };
            take_place((host.clone(), probe.clone()), place, sweep, archived, report);
        }
        Entry::Digest(_) | Entry::Merged(_) if deep => {
            for digest in tar.digests(&member).unwrap_or_default() {
                let place = Place { offset: 0, member: member.offset, outcome: digest.facts.outcome() };
                take_place((digest.host, digest.probe), place, sweep, archived, report);
            }
        }
        Entry::Digest(_) | Entry::Merged(_) | Entry::Probe(_) | Entry::End => {}
    }
    Ok(())
}

fn take_place(
    key: (HostName, ProbeName),
    place: Place,
    sweep: &SweepId,
    archived: &mut Archived,
    report: &mut CheckReport,
) {
    let what = format!("{} on {} stands in it twice", key.1, key.0);
    if archived.readings.insert(key, place).is_some() {
        report.find(Severity::Archive, Some(sweep), what);
    }
}

fn compare(
    sweep: &SweepId,
    archived: &Archived,
    row: Option<&SweepRow>,
    reader: &Reader,
    report: &mut CheckReport,
) -> Result<(), StoreError> {
    if archived.unread {
        return compare_counts(sweep, archived, (row, reader), report);
    }
    let ledger = reader.ledger(sweep)?;
    let mut indexed: HashSet<(HostName, ProbeName)> = HashSet::with_capacity(ledger.len());
    for reading in ledger {
        compare_reading(sweep, archived, &reading, report);
        indexed.insert((reading.host, reading.probe));
    }
    if archived.running {
        return Ok(());
    }
    let reach = row.map_or(0, |row| row.archived);
    let missing = archived.readings.iter().filter(|(key, _)| !indexed.contains(*key));
    let (behind, lacking): (Vec<_>, Vec<_>) = missing.partition(|(_, place)| place.member >= reach);
    if !behind.is_empty() || row.is_none() {
        report.find(Severity::Note, Some(sweep), format!("{} readings are not indexed yet", behind.len()));
    }
    for ((host, probe), _) in lacking {
        let what = format!("{probe} on {host} is in the archive and not in the index");
        report.find(Severity::Index, Some(sweep), what);
    }
    if archived.closed {
        planned_have_outcomes(sweep, archived, report);
    }
    broken_blocks(sweep, reader, report)
}

/// Of a sweep whose bytes were pruned: as many readings as were planned.
fn compare_counts(
    sweep: &SweepId,
    archived: &Archived,
    (row, reader): (Option<&SweepRow>, &Reader),
    report: &mut CheckReport,
) -> Result<(), StoreError> {
    let (planned, readings) = (archived.plan.as_ref().map(Plan::planned), row.map_or(0, |row| row.readings));
    report.readings += readings;
    if planned.is_some_and(|planned| planned as u64 != readings) {
        let what = format!("the index has {readings} of its {} readings", planned.unwrap_or_default());
        report.find(Severity::Index, Some(sweep), what);
    }
    broken_blocks(sweep, reader, report)
}

fn broken_blocks(sweep: &SweepId, reader: &Reader, report: &mut CheckReport) -> Result<(), StoreError> {
    let blocks = reader.broken_blocks(sweep)?;
    if blocks > 0 {
        report.find(Severity::Index, Some(sweep), format!("{blocks} blocks of samples do not decode"));
    }
    Ok(())
}

fn compare_reading(sweep: &SweepId, archived: &Archived, row: &ReadingRow, report: &mut CheckReport) {
    let key = (row.host.clone(), row.probe.clone());
    let what = match archived.readings.get(&key) {
        // Recorded while we looked.
        None if archived.running => return,
        None => format!("{} on {} is in the index and not in the archive", row.probe, row.host),
        Some(place) if place.offset != row.offset => {
            format!(
                "{} on {} is at byte {}, the index says {}",
                row.probe, row.host, place.offset, row.offset
            )
        }
        Some(place) if place.outcome != Some(row.outcome) => {
            format!("{} on {} has another outcome in the archive than {}", row.probe, row.host, row.outcome)
        }
        Some(_) => return,
    };
    report.find(Severity::Index, Some(sweep), what);
}

fn planned_have_outcomes(sweep: &SweepId, archived: &Archived, report: &mut CheckReport) {
    let Some(plan) = &archived.plan else { return };
    let mut owed: HashSet<(&HostName, &ProbeName)> = HashSet::with_capacity(plan.planned());
    for host in &plan.hosts {
        owed.extend(host.probes.iter().map(|probe| (&host.name, probe)));
    }
    for (host, probe) in archived.readings.keys() {
        if !owed.remove(&(host, probe)) {
            let what = format!("{probe} on {host} is in the archive and was not planned");
            report.find(Severity::Archive, Some(sweep), what);
        }
    }
    let mut missing: Vec<_> = owed.into_iter().collect();
    missing.sort();
    for (host, probe) in missing {
        let what = format!("{probe} on {host} was planned and has no outcome");
        report.find(Severity::Archive, Some(sweep), what);
    }
}
