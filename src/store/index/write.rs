//! The one writer of the index in a process. It takes events in the order of their numbers and does
//! nothing that depends on when it is called: a rebuild gives the same rows.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior, params};

use super::between::{Totals, between};
use super::catalog::{Catalog, SeriesName, Source};
use super::event::{Digested, Event, EventKind};
use super::open::{self, Built, Identity, identity};
use super::{histogram, numbers, strike};
use crate::model::{
    CollectorTime, Kept, Kind, Labels, Outcome, Parsed, Plan, Probe, Reading, Sample, Span, SweepEnd, SweepId,
};
use crate::store::{Locked, StateDir, StoreError};

/// Faults kept of one reading: broken input can have one per line.
const MAX_FAULTS: usize = 100;

/// How far the index has a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of its tar.
    pub archived: u64,
    /// Its end has been seen.
    pub ended: bool,
    /// Its samples stand in blocks.
    pub pivoted: bool,
    pub kept: Kept,
}

#[derive(Debug)]
pub struct Writer {
    pub(super) path: PathBuf,
    identity: Option<Identity>,
    pub(super) conn: Connection,
    pub(super) catalog: Catalog,
    /// Held while a new index is being built.
    building: Option<Locked>,
}

impl Writer {
    /// Opens the live index, or makes it.
    pub fn open(state: &StateDir) -> std::result::Result<Self, StoreError> {
        Ok(Self::over(&state.index(), open::open_live(state)?, None))
    }

    /// A new index beside the live one, for [`super::swap`].
    pub fn fresh(state: &StateDir) -> std::result::Result<Self, StoreError> {
        let (path, conn, lock) = open::open_fresh(state)?;
        Ok(Self::over(&path, conn, Some(lock)))
    }

    fn over(path: &Path, conn: Connection, building: Option<Locked>) -> Self {
        let catalog = Catalog::default();
        Self { path: path.to_owned(), identity: identity(path), conn, catalog, building }
    }

    /// Whether the file of this name is another one by now.
    pub fn is_replaced(&self) -> bool {
        identity(&self.path) != self.identity
    }

    /// Writes all events or none.
    pub fn ingest(&mut self, events: &[Event]) -> std::result::Result<(), StoreError> {
        let result = self.try_ingest(events);
        if result.is_err() {
            // Numbers given within the transaction went with it.
            self.catalog.forget();
        }
        self.failed(result)
    }

    fn try_ingest(&mut self, events: &[Event]) -> Result<()> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut ingest = Ingest { conn: &tx, catalog: &mut self.catalog, rewriting: false };
        for event in events {
            ingest.event(event)?;
        }
        tx.commit()
    }

    /// Fails when SQLite finds the file broken.
    pub fn quick_check(&self) -> std::result::Result<(), StoreError> {
        let found: Result<String> = self.conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        let broken = |what: String| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            Err(rusqlite::Error::SqliteFailure(code, Some(what)))
        };
        self.failed(found.and_then(|found| if found == "ok" { Ok(()) } else { broken(found) }))
    }

    /// Ends the building of a fresh index: all of it is on the disk. `None` for the live one.
    pub fn complete(self) -> std::result::Result<Option<Built>, StoreError> {
        let path = self.path;
        self.conn.close().map_err(|(_, error)| StoreError::index(&path, error))?;
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(|error| StoreError::io("sync", &path, error))?;
        Ok(self.building.map(|lock| Built { path, _lock: lock }))
    }

    /// How far the index has each sweep.
    pub fn marks(&self) -> std::result::Result<HashMap<SweepId, Mark>, StoreError> {
        self.failed(self.try_marks())
    }

    fn try_marks(&self) -> Result<HashMap<SweepId, Mark>> {
        let mut statement = self.conn.prepare_cached("SELECT name, archived, state, kept FROM sweep")?;
        let mut rows = statement.query([])?;
        let mut marks = HashMap::new();
        while let Some(row) = rows.next()? {
            let state: i64 = row.get(2)?;
            let archived = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            if let Ok(sweep) = SweepId::new(&row.get::<_, String>(0)?) {
                let kept = super::columns::kept(row, 3)?;
                marks.insert(sweep, Mark { archived, ended: state > 0, pivoted: state > 1, kept });
            }
        }
        Ok(marks)
    }

    /// The highest number among what the index holds.
    pub fn last_seq(&self) -> std::result::Result<u64, StoreError> {
        let last = self
            .conn
            .prepare_cached("SELECT coalesce(max(last_seq), 0) FROM sweep")
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)));
        self.failed(last).map(|last| u64::try_from(last).unwrap_or(0))
    }

    /// Moves an ended sweep's samples into blocks; does nothing when they are there.
    pub fn pivot(&mut self, sweep: &SweepId) -> std::result::Result<(), StoreError> {
        let result = super::pivot::pivot(&mut self.conn, sweep);
        self.catalog.forget_sweep(sweep);
        self.failed(result)
    }

    pub(super) fn failed<T>(&self, result: Result<T>) -> std::result::Result<T, StoreError> {
        result.map_err(|error| StoreError::index(&self.path, error))
    }
}

/// One transaction.
pub(super) struct Ingest<'a> {
    pub(super) conn: &'a Connection,
    pub(super) catalog: &'a mut Catalog,
    /// Rows of old readings are replaced: what they said about later ones has been noted long ago.
    pub(super) rewriting: bool,
}

impl Ingest<'_> {
    fn event(&mut self, event: &Event) -> Result<()> {
        match &event.kind {
            EventKind::Begin { plan, probes, kept } => {
                self.begin(plan, *kept)?;
                for probe in probes.iter() {
                    self.catalog.define(self.conn, probe)?;
                }
            }
            EventKind::Reading { reading, probe, parsed, truncated, offset, digested } => {
                let (truncated, offset) = (*truncated, *offset);
                let (probe, digested) = (probe.as_deref(), digested.as_ref());
                let stored = Stored { reading, probe, parsed, truncated, offset, digested };
                let key = self.key(&event.sweep, &stored)?;
                // A digest that was indexed in part is read again from its beginning.
                if digested.is_none() || !self.is_known(key)? {
                    self.reading(key, &stored)?;
                    self.remember(key, &stored)?;
                }
            }
            EventKind::End(end) => self.end(&event.sweep, end)?,
        }
        self.conn
            .prepare_cached("UPDATE sweep SET archived = ?2, last_seq = ?3 WHERE name = ?1")?
            .execute(params![event.sweep.as_str(), event.archived as i64, event.seq as i64])?;
        Ok(())
    }

    fn begin(&mut self, plan: &Plan, kept: Kept) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO sweep
                     (id, name, trigger, schedule, started_ns, planned, kept, cause, archived, last_seq)
                 VALUES ((SELECT max(coalesce(max(s.id), 0), d.last) + 1 FROM dropped d LEFT JOIN sweep s),
                     ?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0)",
            )?
            .execute(params![
                plan.sweep.as_str(),
                plan.trigger.as_str(),
                plan.schedule,
                plan.started.unix_ns(),
                plan.planned() as i64,
                kept.as_str(),
                plan.cause.as_ref().map(|cause| serde_json::json!(cause).to_string()),
            ])?;
        for host in &plan.hosts {
            let id = self.catalog.host(self.conn, &host.name)?;
            self.labels(id, "inventory", &host.labels, plan.started)?;
        }
        Ok(())
    }

    fn end(&mut self, sweep: &SweepId, end: &SweepEnd) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE sweep SET state = 1, ended_ns = ?2, elapsed_ns = ?3, interrupted = ?4 WHERE name = ?1",
            )?
            .execute(params![
                sweep.as_str(),
                end.ended.unix_ns(),
                i64::try_from(end.elapsed.as_nanos()).unwrap_or(i64::MAX),
                end.interrupted,
            ])?;
        Ok(())
    }

    pub(super) fn key(&mut self, sweep: &SweepId, stored: &Stored<'_>) -> Result<Key> {
        Ok(Key {
            sweep: self.catalog.sweep(self.conn, sweep)?,
            host: self.catalog.host(self.conn, &stored.reading.host)?,
            probe: self.catalog.probe(self.conn, &stored.reading.probe)?,
        })
    }

    fn is_known(&self, key: Key) -> Result<bool> {
        self.conn
            .prepare_cached("SELECT 1 FROM reading WHERE sweep = ?1 AND host = ?2 AND probe = ?3")?
            .exists([key.sweep, key.host, key.probe])
    }

    /// The rows of one reading.
    pub(super) fn reading(&mut self, key: Key, stored: &Stored<'_>) -> Result<()> {
        let definition = self.catalog.definition(self.conn, key.probe, stored.reading.probe_hash)?;
        let source = Source { probe_id: key.probe, definition: definition.unwrap_or(0), probe: stored.probe };
        let mut faults: Vec<String> = stored.parsed.faults.iter().map(|fault| fault.0.clone()).collect();
        let (mut values, refused) = self.samples(&source, &stored.parsed.samples)?;
        note_refused(&mut faults, refused);
        // Those of a digest are kept for the reading after it, too.
        let made = if self.rewriting { Vec::new() } else { self.between(key, &source, stored)? };
        values.extend(match stored.digested {
            Some(digested) => self.samples(&source, &digested.between)?.0,
            None => made,
        });
        values.sort_by_key(|(series, _)| *series);
        let all = values.len();
        values.dedup_by_key(|(series, _)| *series);
        if values.len() < all {
            faults.push(format!("{} samples repeat a series; the first of each is kept", all - values.len()));
        }
        if !values.is_empty() {
            self.conn
                .prepare_cached("INSERT INTO stage (sweep, host, probe, data) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![key.sweep, key.host, key.probe, numbers::encode(&values)])?;
        }
        self.histograms(key, &source, stored.parsed, &mut faults)?;
        self.faults(key, &faults)?;
        self.ledger(key, definition, stored, faults.len())
    }

    /// What a reading says about all that follow.
    fn remember(&mut self, key: Key, stored: &Stored<'_>) -> Result<()> {
        strike::note(self.conn, [key.host, key.probe], (stored.probe, stored.reading))?;
        if !stored.parsed.facts.is_empty() {
            self.labels(key.host, "fact", &stored.parsed.facts, stored.reading.started)?;
        }
        if let Some(cursor) = &stored.parsed.cursor {
            self.conn
                .prepare_cached("INSERT OR REPLACE INTO cursor (host, probe, value) VALUES (?1, ?2, ?3)")?
                .execute(params![key.host, key.probe, cursor])?;
        }
        Ok(())
    }

    /// Samples as (series, value), and how many have no room in the catalog.
    fn samples(&mut self, source: &Source<'_>, samples: &[Sample]) -> Result<(Vec<(i64, f64)>, usize)> {
        let mut values = Vec::with_capacity(samples.len());
        for Sample { metric, labels, kind, span, value } in samples {
            let name = SeriesName { metric, labels, kind: *kind, span: *span };
            values.extend(self.catalog.series(self.conn, source, name)?.map(|series| (series, *value)));
        }
        let refused = samples.len() - values.len();
        Ok((values, refused))
    }

    /// Rates since the last reading of the same boot; this reading's totals take its place.
    fn between(&mut self, key: Key, source: &Source<'_>, stored: &Stored<'_>) -> Result<Vec<(i64, f64)>> {
        let Some(clock) = stored.reading.clock.as_ref().filter(|_| !stored.parsed.totals.is_empty()) else {
            return Ok(Vec::new());
        };
        let uptime_s = stored.parsed.totals_uptime_s.unwrap_or(clock.uptime_end_s);
        if !uptime_s.is_finite() {
            return Ok(Vec::new());
        }
        let mut values = Vec::with_capacity(stored.parsed.totals.len());
        for total in &stored.parsed.totals {
            let name = SeriesName {
                metric: &total.metric,
                labels: &total.labels,
                kind: Kind::Counter,
                span: Span::Between,
            };
            if let Some(series) = self.catalog.series(self.conn, source, name)? {
                values.push((series, total.value));
            }
        }
        values.sort_by_key(|(series, _)| *series);
        values.dedup_by_key(|(series, _)| *series);
        let boot_id = stored.parsed.totals_boot_id.as_ref().unwrap_or(&clock.boot_id).clone();
        let now = Totals { boot_id, uptime_s, values };
        let last = self.last_totals(key)?;
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO counter_last (host, probe, boot_id, uptime_s, totals)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![key.host, key.probe, now.boot_id, now.uptime_s, numbers::encode(&now.values)])?;
        Ok(last.map(|last| between(&last, &now)).unwrap_or_default())
    }

    fn last_totals(&self, key: Key) -> Result<Option<Totals>> {
        self.conn
            .prepare_cached(
                "SELECT boot_id, uptime_s, totals FROM counter_last WHERE host = ?1 AND probe = ?2",
            )?
            .query_row([key.host, key.probe], |row| {
                let values = numbers::decode(row.get_ref(2)?.as_blob()?).unwrap_or_default();
                Ok(Totals { boot_id: row.get(0)?, uptime_s: row.get(1)?, values })
            })
            .optional()
    }

    fn histograms(
        &mut self,
        key: Key,
        source: &Source<'_>,
        parsed: &Parsed,
        faults: &mut Vec<String>,
    ) -> Result<()> {
        let mut refused = 0;
        for each in &parsed.histograms {
            let name = SeriesName {
                metric: &each.metric,
                labels: &each.labels,
                kind: Kind::Histogram,
                span: Span::Window,
            };
            let Some(series) = self.catalog.series(self.conn, source, name)? else {
                refused += 1;
                continue;
            };
            self.conn
                .prepare_cached(
                    "INSERT OR IGNORE INTO histogram (sweep, host, series, count, sum, max, buckets)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    key.sweep,
                    key.host,
                    series,
                    i64::try_from(each.count).unwrap_or(i64::MAX),
                    each.sum,
                    each.max,
                    histogram::encode(&each.buckets),
                ])?;
        }
        note_refused(faults, refused);
        Ok(())
    }

    fn faults(&self, key: Key, faults: &[String]) -> Result<()> {
        for (n, text) in faults.iter().take(MAX_FAULTS).enumerate() {
            self.conn
                .prepare_cached(
                    "INSERT INTO fault (sweep, host, probe, n, text) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![key.sweep, key.host, key.probe, n as i64 + 1, text])?;
        }
        Ok(())
    }

    fn ledger(&self, key: Key, definition: Option<i64>, stored: &Stored<'_>, faults: usize) -> Result<()> {
        let reading = stored.reading;
        let clock = reading.clock.as_ref();
        self.conn
            .prepare_cached(
                "INSERT INTO reading (sweep, host, probe, definition, outcome, detail, exit, started_ns,
                     elapsed_ns, bytes_wire, bytes_raw, cpu_ns, boot_id, host_start_ns, host_end_ns,
                     uptime_end_s, samples, faults, truncated, offset)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
            )?
            .execute(params![
                key.sweep,
                key.host,
                key.probe,
                definition,
                reading.outcome.as_str(),
                reading.detail,
                reading.exit,
                reading.started.unix_ns(),
                i64::try_from(reading.elapsed.as_nanos()).unwrap_or(i64::MAX),
                stored.digested.map_or(reading.wire.len() as u64, |digested| digested.bytes_wire) as i64,
                i64::try_from(reading.bytes_raw).unwrap_or(i64::MAX),
                reading.cpu.map(|cpu| i64::try_from(cpu.as_nanos()).unwrap_or(i64::MAX)),
                clock.map(|clock| clock.boot_id.as_str()),
                clock.map(|clock| clock.start.unix_ns()),
                clock.map(|clock| clock.end.unix_ns()),
                clock.map(|clock| clock.uptime_end_s),
                stored.parsed.samples.len() as i64,
                faults as i64,
                stored.truncated,
                stored.offset as i64,
            ])?;
        self.conn
            .prepare_cached("UPDATE sweep SET readings = readings + 1, ok = ok + ?2 WHERE id = ?1")?
            .execute(params![key.sweep, reading.outcome == Outcome::Ok])?;
        Ok(())
    }

    /// Notes which labels changed since they were last said.
    fn labels(&self, host: i64, source: &str, labels: &Labels, since: CollectorTime) -> Result<()> {
        let text = serde_json::to_string(labels).unwrap_or_default();
        let last: Option<String> = self
            .conn
            .prepare_cached("SELECT labels FROM label_set WHERE host = ?1 AND source = ?2")?
            .query_row(params![host, source], |row| row.get(0))
            .optional()?;
        if last.as_deref() == Some(text.as_str()) || (last.is_none() && labels.is_empty()) {
            return Ok(());
        }
        let before: Labels = last.and_then(|last| serde_json::from_str(&last).ok()).unwrap_or_default();
        let mut change = self.conn.prepare_cached(
            "INSERT OR REPLACE INTO host_label (host, source, label, since_ns, value) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for (label, value) in labels.iter().filter(|(label, value)| before.get(*label) != Some(*value)) {
            change.execute(params![host, source, label, since.unix_ns(), value])?;
        }
        for label in before.keys().filter(|label| !labels.contains_key(*label)) {
            change.execute(params![host, source, label, since.unix_ns(), None::<String>])?;
        }
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO label_set (host, source, labels) VALUES (?1, ?2, ?3)")?
            .execute(params![host, source, text])?;
        Ok(())
    }
}

#[derive(Clone, Copy)]
pub(super) struct Key {
    sweep: i64,
    host: i64,
    probe: i64,
}

pub(super) struct Stored<'a> {
    pub reading: &'a Reading,
    pub probe: Option<&'a Probe>,
    pub parsed: &'a Parsed,
    pub truncated: bool,
    pub offset: u64,
    pub digested: Option<&'a Digested>,
}

fn note_refused(faults: &mut Vec<String>, refused: usize) {
    if refused > 0 {
        faults.push(format!(
            "{refused} samples are of new series of a metric that has {} already: not indexed",
            super::catalog::MAX_SERIES_PER_METRIC
        ));
    }
}
