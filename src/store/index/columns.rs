//! From the index's columns to values. A word or name that is none of ours is a broken index, and an
//! error: it never becomes a default.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::rows::{MetricRow, ReadingRow, Series, SweepRow};
use crate::model::{
    Cause, CollectorTime, Judging, Kept, Kind, Labels, Outcome, Span, SweepId, Trigger, Worse,
};

pub(super) type SqlResult<T> = rusqlite::Result<T>;

pub(super) const SERIES: &str = "SELECT s.id, m.name, s.labels, m.kind, s.span, p.name FROM series s
    JOIN metric m ON m.id = s.metric JOIN probe p ON p.id = s.probe";

pub(super) fn find_series(conn: &Connection, metric: &str) -> SqlResult<Vec<(i64, Arc<Series>)>> {
    list(conn, &format!("{SERIES} WHERE m.name = ?1 ORDER BY s.id"), [metric], series_row)
}

pub(super) fn series_row(row: &Row<'_>) -> SqlResult<(i64, Arc<Series>)> {
    let series = Series {
        metric: row.get(1)?,
        labels: labels(row, 2)?,
        kind: kind(row, 3)?,
        span: word(row, 4, |word| {
            [Span::Instant, Span::Window, Span::Between].into_iter().find(|span| span.as_str() == word)
        })?,
        probe: name(row, 5)?,
    };
    Ok((row.get(0)?, Arc::new(series)))
}

pub(super) fn metric_row(row: &Row<'_>) -> SqlResult<MetricRow> {
    let worse = match row.get::<_, String>("worse")?.as_str() {
        "higher" => Worse::Higher,
        "lower" => Worse::Lower,
        _ => Worse::Either,
    };
    let judged = row.get::<_, Option<String>>("judged")?;
    Ok(MetricRow {
        name: row.get("name")?,
        unit: row.get("unit")?,
        kind: kind(row, row.as_ref().column_index("kind")?)?,
        help: row.get("help")?,
        worse,
        warn: row.get("warn")?,
        resolution: row.get("resolution")?,
        judged: judged.and_then(|word| Judging::from_word(&word)).unwrap_or(Judging::usually(worse)),
    })
}

pub(super) fn sweep_row(row: &Row<'_>) -> SqlResult<SweepRow> {
    let column = |name: &str| row.as_ref().column_index(name);
    Ok(SweepRow {
        sweep: sweep_id(row, column("name")?)?,
        trigger: trigger(row, column("trigger")?)?,
        schedule: row.get("schedule")?,
        cause: cause(row, column("cause")?)?,
        started: CollectorTime::from_unix_ns(row.get("started_ns")?),
        ended: row.get::<_, Option<i64>>("ended_ns")?.map(CollectorTime::from_unix_ns),
        elapsed: row.get::<_, Option<i64>>("elapsed_ns")?.map(nanos),
        interrupted: row.get::<_, Option<bool>>("interrupted")?.unwrap_or(false),
        planned: unsigned(row, column("planned")?)?,
        readings: unsigned(row, column("readings")?)?,
        ok: unsigned(row, column("ok")?)?,
        archived: unsigned(row, column("archived")?)?,
        kept: kept(row, column("kept")?)?,
    })
}

pub(super) fn kept(row: &Row<'_>, at: usize) -> SqlResult<Kept> {
    word(row, at, |word| Kept::ALL.into_iter().find(|kept| kept.as_str() == word))
}

pub(super) const READING: &str = "SELECT w.name, h.name, p.name, r.outcome, r.detail, r.exit, r.started_ns, r.elapsed_ns,
        r.bytes_wire, r.bytes_raw, r.cpu_ns, r.samples, r.faults, r.truncated, r.offset
    FROM reading r JOIN sweep w ON w.id = r.sweep JOIN host h ON h.id = r.host JOIN probe p ON p.id = r.probe";

pub(super) fn reading_row(row: &Row<'_>) -> SqlResult<ReadingRow> {
    Ok(ReadingRow {
        sweep: sweep_id(row, 0)?,
        host: name(row, 1)?,
        probe: name(row, 2)?,
        outcome: word(row, 3, Outcome::from_word)?,
        detail: row.get(4)?,
        exit: row.get(5)?,
        started: CollectorTime::from_unix_ns(row.get(6)?),
        elapsed: nanos(row.get(7)?),
        bytes_wire: unsigned(row, 8)?,
        bytes_raw: unsigned(row, 9)?,
        cpu: row.get::<_, Option<i64>>(10)?.map(nanos),
        samples: unsigned(row, 11)?,
        faults: unsigned(row, 12)?,
        truncated: row.get(13)?,
        offset: unsigned(row, 14)?,
    })
}

pub(super) fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    row: impl FnOnce(&Row<'_>) -> SqlResult<T>,
) -> SqlResult<Option<T>> {
    conn.prepare_cached(sql)?.query_row(params, row).optional()
}

pub(super) fn list<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    row: impl FnMut(&Row<'_>) -> SqlResult<T>,
) -> SqlResult<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(params, row)?.collect()
}

fn nanos(value: i64) -> Duration {
    Duration::from_nanos(u64::try_from(value).unwrap_or(0))
}

pub(super) fn unsigned(row: &Row<'_>, at: usize) -> SqlResult<u64> {
    Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0))
}

/// A column that holds one of a closed set of words; anything else is a broken index.
pub(super) fn word<T>(row: &Row<'_>, at: usize, read: impl FnOnce(&str) -> Option<T>) -> SqlResult<T> {
    let text = row.get_ref(at)?.as_str()?;
    read(text).ok_or_else(|| {
        let unknown = format!("{text:?} is no word of this column");
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, unknown.into())
    })
}

pub(super) fn name<T: TryFrom<String>>(row: &Row<'_>, at: usize) -> SqlResult<T> {
    word(row, at, |text| T::try_from(text.to_owned()).ok())
}

pub(super) fn sweep_id(row: &Row<'_>, at: usize) -> SqlResult<SweepId> {
    name(row, at)
}

fn kind(row: &Row<'_>, at: usize) -> SqlResult<Kind> {
    word(row, at, |word| {
        [Kind::Counter, Kind::Gauge, Kind::Histogram].into_iter().find(|kind| kind.as_str() == word)
    })
}

pub(super) fn trigger(row: &Row<'_>, at: usize) -> SqlResult<Trigger> {
    word(row, at, |word| {
        use Trigger::{Adhoc, Backfill, Escalated, Scheduled};
        [Scheduled, Adhoc, Escalated, Backfill].into_iter().find(|trigger| trigger.as_str() == word)
    })
}

fn cause(row: &Row<'_>, at: usize) -> SqlResult<Option<Cause>> {
    if row.get_ref(at)? == rusqlite::types::ValueRef::Null {
        return Ok(None);
    }
    word(row, at, |text| serde_json::from_str(text).ok()).map(Some)
}

pub(super) fn labels(row: &Row<'_>, at: usize) -> SqlResult<Labels> {
    word(row, at, |text| serde_json::from_str(text).ok())
}
